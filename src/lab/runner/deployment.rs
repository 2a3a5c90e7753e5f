//! What a Deployment asks the runner for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};
use kube::ResourceExt;

use super::image::{self, Known};
use crate::lab::component::Component;

/// A controller that a Deployment wants to have running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    /// Namespace of the Deployment.
    pub(super) namespace: String,
    /// Name of the Deployment.
    pub(super) name: String,
    /// The program.
    pub(super) component: Component,
    /// The account whose rights it has.
    pub(super) service_account: String,
    /// The container's arguments as written.
    pub(super) arguments: Vec<String>,
    /// The container's variables, as far as they are plain text or name the namespace, the Deployment or the account.
    pub(super) variables: BTreeMap<String, String>,
}

/// What a Deployment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// That this runs.
    Running(Controller),
    /// That nothing runs: it is scaled to nothing.
    Stopped,
    /// Nothing new yet: the cluster has not made Pods of its present template, so what runs goes on.
    Undecided,
    /// A program in a version the lab does not have.
    OtherVersion {
        /// The image.
        image: String,
        /// What the lab has.
        component: Component,
    },
}

/// Reads `deployment`; `None` when none of its images is a program of the lab.
pub(super) fn wanted(deployment: &Deployment) -> Option<Wanted> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let (container, known) = pod
        .containers
        .iter()
        .find_map(|container| Some((container, image::recognise(container.image.as_deref()?)?)))?;
    Some(if is_stopped(deployment) {
        Wanted::Stopped
    } else {
        match known {
            Known::OtherVersion(component) => Wanted::OtherVersion {
                image: container.image.clone().unwrap_or_default(),
                component,
            },
            Known::Component(_) if !has_pods(deployment) => Wanted::Undecided,
            Known::Component(component) => Wanted::Running(controller(deployment, pod, container, component)),
        }
    })
}

fn is_stopped(deployment: &Deployment) -> bool {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    replicas == Some(0) || deployment.metadata.deletion_timestamp.is_some()
}

/// Whether the cluster accepted Pods of the present template: quota, Pod Security and admission had their say.
fn has_pods(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|status| {
        status.updated_replicas.unwrap_or_default() > 0
            && status.observed_generation.unwrap_or_default()
                >= deployment.metadata.generation.unwrap_or_default()
    })
}

fn controller(
    deployment: &Deployment,
    pod: &PodSpec,
    container: &Container,
    component: Component,
) -> Controller {
    let account = pod
        .service_account_name
        .as_deref()
        .filter(|name| !name.is_empty());
    let mut controller = Controller {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        component,
        service_account: account.unwrap_or("default").to_owned(),
        arguments: container.args.clone().unwrap_or_default(),
        variables: BTreeMap::new(),
    };
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, &controller) {
            controller.variables.insert(variable.name.clone(), value);
        }
    }
    controller
}

/// The value of a variable, where it can be known without a Pod.
fn value_of(variable: &EnvVar, controller: &Controller) -> Option<String> {
    let Some(source) = &variable.value_from else {
        return Some(variable.value.clone().unwrap_or_default());
    };
    match source.field_ref.as_ref()?.field_path.as_str() {
        "metadata.namespace" => Some(controller.namespace.clone()),
        "metadata.name" => Some(controller.name.clone()),
        "spec.serviceAccountName" => Some(controller.service_account.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(change: impl FnOnce(&mut Value)) -> Deployment {
        let version = Component::SourceController
            .version()
            .trim_start_matches('v')
            .to_owned();
        let mut object = json!({
            "metadata": {"name": "source-controller", "namespace": "flux-system", "generation": 2},
            "spec": {
                "replicas": 1,
                "selector": {},
                "template": {"spec": {
                    "serviceAccountName": "source-controller",
                    "containers": [{
                        "name": "manager",
                        "image": format!("ghcr.io/fluxcd/source-controller:v{version}"),
                        "args": ["--log-level=info"],
                        "env": [
                            {"name": "RUNTIME_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                            {"name": "TUF_ROOT", "value": "/tmp/.sigstore"},
                            {"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                        ],
                    }],
                }},
            },
            "status": {"observedGeneration": 2, "updatedReplicas": 1},
        });
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn test_controller_is_read_from_its_deployment() {
        let Some(Wanted::Running(controller)) = wanted(&deployment(|_| {})) else {
            panic!("should run");
        };
        assert_eq!(controller.service_account, "source-controller");
        assert_eq!(controller.arguments, ["--log-level=info"]);
        let variables: Vec<_> = controller.variables.into_iter().collect();
        assert_eq!(
            variables,
            [
                ("RUNTIME_NAMESPACE".to_owned(), "flux-system".to_owned()),
                ("TUF_ROOT".to_owned(), "/tmp/.sigstore".to_owned())
            ]
        );
    }

    #[test]
    fn test_scaled_to_nothing_and_deleted_are_stopped() {
        let scaled = deployment(|object| object["spec"]["replicas"] = 0.into());
        let deleted =
            deployment(|object| object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
        assert_eq!(wanted(&scaled), Some(Wanted::Stopped));
        assert_eq!(wanted(&deleted), Some(Wanted::Stopped));
    }

    #[test]
    fn test_nothing_new_runs_before_the_cluster_made_its_pods() {
        let refused = deployment(|object| object["status"]["updatedReplicas"] = 0.into());
        let unseen = deployment(|object| object["metadata"]["generation"] = 3.into());
        assert_eq!(wanted(&refused), Some(Wanted::Undecided));
        assert_eq!(wanted(&unseen), Some(Wanted::Undecided));
    }

    #[test]
    fn test_other_version_is_told_also_without_pods() {
        let image = "ghcr.io/fluxcd/source-controller:v0.0.1";
        let other = deployment(|object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
            object["status"] = json!({});
        });
        assert_eq!(
            wanted(&other),
            Some(Wanted::OtherVersion {
                image: image.to_owned(),
                component: Component::SourceController
            })
        );
    }

    #[test]
    fn test_other_programs_are_none_of_ours() {
        let other = deployment(|object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.29".into();
        });
        assert_eq!(wanted(&other), None);
    }

    #[test]
    fn test_account_defaults_as_in_a_pod() {
        let bare = deployment(|object| {
            object["spec"]["template"]["spec"]["serviceAccountName"] = "".into();
        });
        let Some(Wanted::Running(controller)) = wanted(&bare) else {
            panic!("should run");
        };
        assert_eq!(controller.service_account, "default");
    }
}
