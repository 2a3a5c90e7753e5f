//! Which versions the management cluster serves, and our objects in one of them.

use serde_json::Value;

use super::{ADDONS_GROUP, CLUSTER_GROUP, ManagementError, STACK_GROUP};
use crate::desired::Manifest;
use crate::kubernetes::Cluster;

/// Versions of Cluster API we know, best first.
const CLUSTER_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// What the management cluster serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `apiVersion` in which we write and read Cluster API objects.
    pub cluster: String,
    /// `apiVersion` of the cluster-stack-operator's objects.
    pub stack: String,
}

/// Asks which versions are served.
///
/// # Errors
/// When Cluster API or the cluster-stack-operator is not there, or only in versions we don't know.
pub async fn served(cluster: &Cluster) -> Result<Served, ManagementError> {
    let versions = cluster.served_versions(CLUSTER_GROUP).await?;
    let best = CLUSTER_VERSIONS
        .iter()
        .find(|version| versions.iter().any(|served| served == *version))
        .ok_or(ManagementError::NotInstalled {
            group: CLUSTER_GROUP,
            program: "Cluster API",
        })?;
    let stacks = cluster.served_versions(STACK_GROUP).await?;
    let stack = stacks.first().ok_or(ManagementError::NotInstalled {
        group: STACK_GROUP,
        program: "the cluster-stack-operator (CSO)",
    })?;
    Ok(Served {
        cluster: format!("{CLUSTER_GROUP}/{best}"),
        stack: format!("{STACK_GROUP}/{stack}"),
    })
}

/// `manifests` as the management cluster takes them: what is of Cluster API is written for `v1beta2` and turned into
/// `v1beta1` where only that is served.
#[must_use]
pub fn adapt(manifests: &[Manifest], served: &Served) -> Vec<Manifest> {
    manifests
        .iter()
        .cloned()
        .map(|mut manifest| {
            let version = served.cluster.rsplit('/').next().unwrap_or_default();
            let (group, own) = manifest.api_version().split_once('/').unwrap_or_default();
            if [CLUSTER_GROUP, ADDONS_GROUP].contains(&group) && own != version {
                manifest.value_mut()["apiVersion"] = format!("{group}/{version}").into();
                if manifest.kind() == "Cluster" {
                    class_by_name(manifest.value_mut());
                }
            }
            manifest
        })
        .collect()
}

/// `v1beta1` names the class by two texts in place of a reference.
fn class_by_name(cluster: &mut Value) {
    let Some(topology) = cluster
        .pointer_mut("/spec/topology")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(Value::Object(mut reference)) = topology.remove("classRef") else {
        return;
    };
    for (from, to) in [("name", "class"), ("namespace", "classNamespace")] {
        if let Some(value) = reference.remove(from) {
            topology.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_cluster_is_adapted_to_an_older_version_only_where_needed() {
        let manifest = Manifest::new(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "prod"},
            "spec": {"topology": {"classRef": {"name": "lab", "namespace": "prod"}, "version": "v1.36.3"}},
        }))
        .unwrap();
        let served = |version: &str| Served {
            cluster: format!("cluster.x-k8s.io/{version}"),
            stack: "clusterstack.x-k8s.io/v1alpha1".into(),
        };
        let manifests = [manifest];
        assert_eq!(adapt(&manifests, &served("v1beta2")), manifests);
        let adapted = adapt(&manifests, &served("v1beta1"));
        assert_eq!(
            adapted[0].value()["spec"]["topology"],
            json!({"version": "v1.36.3", "class": "lab", "classNamespace": "prod"})
        );
    }
}
