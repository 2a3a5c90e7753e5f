//! From a `ClusterStack` to the `ClusterClass` it brings.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{ManagementError, Served};
use crate::desired::Manifest;
use crate::kubernetes::{
    Cluster, Condition, KubernetesError, Look, ObjectReference, Trail, Wait, Watched, condition, conditions,
    is_true,
};

/// What the operator says while it has not got what a release consists of.
const NOT_DOWNLOADED: &str = "assets not downloaded";

/// Waits until the releases of `stack` are ready and the class that `cluster` is made from is there with its variables
/// known.
pub async fn wait_for_class(
    management: &Cluster,
    served: &Served,
    stack: &Manifest,
    cluster: &Manifest,
    wait: &Wait<'_>,
) -> Result<(), ManagementError> {
    let releases = releases(served, stack)?;
    let class = class(served, cluster)?;
    let namespace = stack.namespace();
    let watched = [
        Watched::kind(&served.stack, "ClusterStackRelease", namespace),
        Watched::kind(&served.cluster, "ClusterClass", class.namespace.as_deref()),
    ];
    let (stack, releases, class) = (&ObjectReference::from(stack), releases.as_slice(), &class);
    let look = || async move { look(management, stack, releases, class).await };
    Ok(management.wait(wait, &watched, look).await?)
}

async fn look(
    management: &Cluster,
    stack: &ObjectReference,
    releases: &[ObjectReference],
    class: &ObjectReference,
) -> Result<Look<()>, KubernetesError> {
    let Some(observed) = management.read(stack).await? else {
        return Ok(Look::waiting(stack, "is not there"));
    };
    for release in releases {
        let found = management.read(release).await?;
        if let Some(trail) = unready_release(stack, &observed, release, found.as_ref()) {
            return Ok(Look::Waiting(trail));
        }
    }
    let found = management.read(class).await?;
    Ok(unready_class(class, found.as_ref()).map_or(Look::Done(()), Look::Waiting))
}

/// One release per wanted version, named as the operator names them: `<provider>-<name>-<major>-<minor>-<version>`.
fn releases(served: &Served, stack: &Manifest) -> Result<Vec<ObjectReference>, ManagementError> {
    let text = |pointer: &str, field| {
        let value = stack.value().pointer(pointer).and_then(Value::as_str);
        value.ok_or_else(|| ManagementError::MissingField {
            object: stack.to_string(),
            field,
        })
    };
    let provider = text("/spec/provider", "spec.provider")?;
    let name = text("/spec/name", "spec.name")?;
    let kubernetes = text("/spec/kubernetesVersion", "spec.kubernetesVersion")?.replace('.', "-");
    let namespace = stack.namespace().unwrap_or_default();
    let versions = stack.value().pointer("/spec/versions").and_then(Value::as_array);
    Ok(versions
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|version| {
            let release = format!("{provider}-{name}-{kubernetes}-{version}").replace('.', "-");
            ObjectReference::new(&served.stack, "ClusterStackRelease", &release).in_namespace(namespace)
        })
        .collect())
}

/// The class of `cluster`, in its own namespace unless it names another.
pub(super) fn class(served: &Served, cluster: &Manifest) -> Result<ObjectReference, ManagementError> {
    let topology = cluster.value().pointer("/spec/topology").unwrap_or(&Value::Null);
    let text = |pointers: [&str; 2]| {
        pointers
            .iter()
            .find_map(|pointer| topology.pointer(pointer).and_then(Value::as_str))
    };
    let name = text(["/classRef/name", "/class"]).ok_or_else(|| ManagementError::MissingField {
        object: cluster.to_string(),
        field: "spec.topology.classRef.name",
    })?;
    let namespace = text(["/classRef/namespace", "/classNamespace"]).or_else(|| cluster.namespace());
    Ok(ObjectReference::new(&served.cluster, "ClusterClass", name)
        .in_namespace(namespace.unwrap_or_default()))
}

fn unready_release(
    stack: &ObjectReference,
    observed_stack: &DynamicObject,
    release: &ObjectReference,
    observed: Option<&DynamicObject>,
) -> Option<Trail> {
    let Some(observed) = observed else {
        let told = not_true(observed_stack).unwrap_or_else(|| "the operator has not made it yet".to_owned());
        return Some(Trail::of(stack.clone(), format!("no {release}: {told}")));
    };
    if observed.data.pointer("/status/ready") == Some(&Value::Bool(true)) {
        return None;
    }
    let told = not_true(observed).unwrap_or_else(|| "not ready yet".to_owned());
    // A release that does not exist is waited for by the operator like one that is on its way.
    let advice = if told.contains(NOT_DOWNLOADED) {
        "; where that stays so, there is no such release: `cluster.stack` in environment.yaml names it"
    } else {
        ""
    };
    Some(Trail::of(release.clone(), format!("{told}{advice}")))
}

fn unready_class(class: &ObjectReference, observed: Option<&DynamicObject>) -> Option<Trail> {
    let Some(observed) = observed else {
        return Some(Trail::of(
            class.clone(),
            "is not there, though its release is ready",
        ));
    };
    if is_true(observed, "VariablesReady") {
        return None;
    }
    Some(condition(observed, "VariablesReady").map_or_else(
        || Trail::of(class.clone(), "its variables are not checked yet"),
        |condition| Trail::by_condition(class.clone(), &condition),
    ))
}

/// The first condition that is not `True`; the summary comes last, since it only repeats another.
fn not_true(object: &DynamicObject) -> Option<String> {
    let mut conditions = conditions(object);
    conditions.sort_by_key(|condition| condition.name == "Ready");
    conditions
        .iter()
        .find(|condition| !condition.is_true())
        .map(Condition::explanation)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn served() -> Served {
        Served {
            cluster: "cluster.x-k8s.io/v1beta2".into(),
            stack: "clusterstack.x-k8s.io/v1alpha1".into(),
        }
    }

    fn object(status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "x/v1", "kind": "X", "metadata": {"name": "x"}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn test_releases_and_class_are_named_as_the_operator_does() {
        let stack = Manifest::new(json!({
            "apiVersion": "clusterstack.x-k8s.io/v1alpha1", "kind": "ClusterStack",
            "metadata": {"name": "lab", "namespace": "prod"},
            "spec": {"provider": "lab", "name": "lab", "kubernetesVersion": "1.36", "versions": ["v1"]},
        }))
        .unwrap();
        let names: Vec<_> = releases(&served(), &stack)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["ClusterStackRelease/prod/lab-lab-1-36-v1"]);
        let cluster = Manifest::new(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "prod", "namespace": "prod"},
            "spec": {"topology": {"classRef": {"name": "lab-lab-1-36-v1"}}},
        }))
        .unwrap();
        assert_eq!(
            class(&served(), &cluster).unwrap().to_string(),
            "ClusterClass/prod/lab-lab-1-36-v1"
        );
    }

    #[test]
    fn test_release_tells_the_cause_and_not_the_summary() {
        let stack = ObjectReference::new("a/v1", "ClusterStack", "lab");
        let release = ObjectReference::new("a/v1", "ClusterStackRelease", "lab-v1");
        let status = json!({"ready": false, "conditions": [
            {"type": "Ready", "status": "False", "message": "summary"},
            {"type": "ClusterStackReleaseDownloaded", "status": "False", "message": "no such asset"},
        ]});
        let told = |status: &Value| {
            let trail = unready_release(&stack, &object(&json!({})), &release, Some(&object(status)));
            trail.map(|trail| {
                trail
                    .explanation(Timestamp::UNIX_EPOCH, Duration::ZERO)
                    .to_string()
            })
        };
        assert_eq!(
            told(&status).unwrap(),
            "ClusterStackRelease/lab-v1: no such asset"
        );
        let status = json!({"conditions": [
            {"type": "ClusterStackReleaseDownloaded", "status": "False", "message": "assets not downloaded yet"},
        ]});
        assert!(
            told(&status)
                .unwrap()
                .contains("`cluster.stack` in environment.yaml")
        );
        assert_eq!(told(&json!({"ready": true})), None);
        assert!(unready_release(&stack, &object(&json!({})), &release, None).is_some());
    }
}
