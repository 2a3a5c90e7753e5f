//! Checks of the management cluster.

use kube::api::DynamicObject;

use super::Looked;
use super::check::{Check, CheckId};
use super::{cloud, credentials};
use crate::bootstrap::{Bootstrap, CONFLICT_REMEDY, cluster};
use crate::config::Management;
use crate::kubernetes::{Cluster, KubernetesError, ObjectReference, is_true};
use crate::surface::management::{self, ManagementError};
use crate::surface::workload::{self, Question};

/// On the Deployments of Cluster API's controllers (clusterctl's contract of providers).
const PROVIDER_LABEL: &str = "cluster.x-k8s.io/provider";

/// What a bring-up does there, as `kubectl auth can-i` asks it.
const RIGHTS: [(&str, &str, &str); 6] = [
    ("create", "coordination.k8s.io", "leases"),
    ("create", "cluster.x-k8s.io", "clusters"),
    ("patch", "cluster.x-k8s.io", "clusters"),
    ("create", "clusterstack.x-k8s.io", "clusterstacks"),
    ("get", "", "secrets"),
    ("list", "cluster.x-k8s.io", "machines"),
];

const APIS_REMEDY: &str =
    "install Cluster API v1.8 or newer and the cluster-stack-operator on the management cluster";

/// Connects, and asks all of it.
pub(super) async fn look(bootstrap: &Bootstrap<'_>) -> Looked<Cluster> {
    let declared = &bootstrap.environment.management;
    let path = declared.kubeconfig.as_deref().map(Into::into);
    let cluster = match Cluster::from_settings(path, Some(&declared.context)).await {
        Ok(cluster) => cluster.overruling(bootstrap.force_conflicts),
        Err(error) => {
            return Looked::without(Check::by_error(
                CheckId::ManagementAnswers,
                &error,
                "management.kubeconfig and management.context in environment.yaml say where it is: correct them, or put \
                 the kubeconfig there",
            ));
        }
    };
    // Where it does not answer, every other question would be answered in the same way.
    if let Err(error) = cluster.served_versions("").await {
        let check = Check::by_error(CheckId::ManagementAnswers, &error, remedy_of_request(&error));
        return Looked::with(cluster, vec![check]);
    }
    let mut checks = vec![Check::passed(CheckId::ManagementAnswers)];
    let (apis, rights, controllers, cloud, of_cluster) = tokio::join!(
        apis(&cluster),
        rights(&cluster, declared),
        controllers(&cluster),
        in_the_cloud(bootstrap, &cluster),
        of_cluster(bootstrap, &cluster),
    );
    checks.extend([apis, rights, controllers]);
    checks.extend(of_cluster);
    checks.extend(cloud);
    Looked::with(cluster, checks)
}

/// The credentials of the cloud, and what the cloud says to them.
async fn in_the_cloud(bootstrap: &Bootstrap<'_>, management: &Cluster) -> Vec<Check> {
    let (check, found) = credentials::look(bootstrap, management).await;
    let mut checks = vec![check];
    if found.is_some() {
        let (class, is_new) = class_of(bootstrap, management).await;
        let needs = cloud::Needs::of(bootstrap.environment, class.as_ref(), is_new);
        checks.extend(cloud::checks(found.as_ref(), &needs).await);
    }
    checks
}

/// The class of the Cluster, where it is there, and whether the Cluster is not.
async fn class_of(bootstrap: &Bootstrap<'_>, management: &Cluster) -> (Option<DynamicObject>, bool) {
    let Ok(served) = management::served(management).await else {
        return (None, true);
    };
    let cluster = &bootstrap.environment.cluster;
    let read = async |kind: &str, name: &str| {
        let namespace = bootstrap.environment.management.namespace.as_str();
        let reference = ObjectReference::new(&served.cluster, kind, name).in_namespace(namespace);
        management.read(&reference).await.ok().flatten()
    };
    let class = read("ClusterClass", &cluster.stack.class_name()).await;
    (class, read("Cluster", cluster.name.as_str()).await.is_none())
}

async fn apis(cluster: &Cluster) -> Check {
    match management::served(cluster).await {
        Err(ManagementError::Kubernetes(error)) => {
            Check::by_error(CheckId::ManagementApis, &error, remedy_of_request(&error))
        }
        other => Check::of(CheckId::ManagementApis, other, APIS_REMEDY),
    }
}

/// What to do about a management cluster that does not answer, or refuses.
const fn remedy_of_request(error: &KubernetesError) -> &'static str {
    if error.is_transient() {
        "start the management cluster or the way to it (VPN, firewall), or correct management.kubeconfig and \
         management.context in environment.yaml"
    } else {
        "use credentials that may ask it: management.kubeconfig and management.context in environment.yaml"
    }
}

async fn rights(cluster: &Cluster, declared: &Management<String>) -> Check {
    let mut missing = Vec::new();
    for (verb, group, resource) in RIGHTS {
        let question = Question {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: Some(declared.namespace.to_string()),
        };
        match workload::can(cluster, "the management cluster's user", &question).await {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{verb} {resource}")),
            Err(error) => {
                return Check::by_error(
                    CheckId::ManagementRights,
                    &error,
                    "use credentials that may ask what they may do (SelfSubjectAccessReview)",
                );
            }
        }
    }
    if missing.is_empty() {
        return Check::passed(CheckId::ManagementRights);
    }
    let namespace = &declared.namespace;
    Check::failed(
        CheckId::ManagementRights,
        format!(
            "in namespace {namespace} it does not allow us to {}",
            missing.join(", ")
        ),
        format!(
            "have these rights given to the user of context {} there",
            declared.context
        ),
    )
}

/// Controllers may run outside of the cluster, where nothing is known of them.
async fn controllers(cluster: &Cluster) -> Check {
    let found = match cluster.list("apps/v1", "Deployment", None, PROVIDER_LABEL).await {
        Ok(found) => found,
        Err(error) => {
            return Check::not_asked(CheckId::ManagementControllers, error.to_string());
        }
    };
    if found.is_empty() {
        let reason = format!("no Deployment there has the label {PROVIDER_LABEL}");
        return Check::not_asked(CheckId::ManagementControllers, reason);
    }
    let is_down = |deployment: &&DynamicObject| !is_true(deployment, "Available");
    let down: Vec<String> = found
        .iter()
        .filter(is_down)
        .map(|deployment| ObjectReference::from(deployment).to_string())
        .collect();
    if down.is_empty() {
        return Check::passed(CheckId::ManagementControllers);
    }
    Check::failed(
        CheckId::ManagementControllers,
        format!("not Available: {}", down.join(", ")),
        "`kubectl describe` says why; nothing there is made or changed until they run",
    )
}

/// What came of a dry run of the Cluster.
enum Trial {
    NotMade(String),
    Taken,
    Contested(KubernetesError),
    /// By this class, for this reason.
    Refused(ObjectReference, KubernetesError),
}

async fn of_cluster(bootstrap: &Bootstrap<'_>, cluster: &Cluster) -> [Check; 2] {
    let (accepted, fields) = (CheckId::ClusterAccepted, CheckId::ClusterFields);
    match try_cluster(bootstrap, cluster).await {
        Trial::NotMade(reason) => [accepted, fields].map(|id| Check::not_asked(id, reason.as_str())),
        Trial::Taken => [accepted, fields].map(Check::passed),
        Trial::Contested(error) => [
            Check::passed(accepted),
            Check::by_error(fields, &error, CONFLICT_REMEDY),
        ],
        Trial::Refused(class, error) => {
            let remedy = format!(
                "correct `cluster` in environment.yaml: `kubectl get clusterclass {} -n {} -o yaml` has the variables \
                 under status.variables",
                class.name,
                class.namespace.as_deref().unwrap_or_default()
            );
            [
                Check::by_error(accepted, &error, &remedy),
                Check::not_asked(fields, "the Cluster is not taken at all"),
            ]
        }
    }
}

/// Tries the Cluster: Cluster API's own webhook holds the variables to the schema of their class.
async fn try_cluster(bootstrap: &Bootstrap<'_>, connection: &Cluster) -> Trial {
    let Ok(served) = management::served(connection).await else {
        return Trial::NotMade("Cluster API is not there".to_owned());
    };
    let manifests = management::adapt(&bootstrap.desired.management, &served);
    let Some(manifest) = manifests.iter().find(|manifest| manifest.kind() == "Cluster") else {
        return Trial::NotMade("no Cluster is declared".to_owned());
    };
    let name = bootstrap.environment.cluster.stack.class_name();
    let namespace = manifest.namespace().unwrap_or_default();
    let class = ObjectReference::new(&served.cluster, "ClusterClass", &name).in_namespace(namespace);
    match connection.read(&class).await {
        Ok(Some(class)) if is_true(&class, "VariablesReady") => {}
        Ok(_) => return Trial::NotMade(format!("known after {class} is there")),
        Err(error) => return Trial::NotMade(error.to_string()),
    }
    let fitted = match cluster::fit(bootstrap, connection, (&served, manifest)).await {
        Ok(fitted) => fitted.cluster,
        Err(error) => return Trial::NotMade(error.to_string()),
    };
    match connection.would_accept(&fitted).await {
        Ok(()) => Trial::Taken,
        Err(error @ KubernetesError::Conflict { .. }) => Trial::Contested(error),
        Err(error) => Trial::Refused(class, error),
    }
}
