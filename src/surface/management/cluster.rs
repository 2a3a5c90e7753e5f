//! From a `Cluster` to a working control plane and its kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use super::trail::Family;
use super::{CLUSTER_GROUP, ManagementError, Served};
use crate::desired::Manifest;
use crate::kubernetes::{Cluster, KubernetesError, Look, ObjectReference, Wait, Watched, is_true};
use crate::secret::Secret;

/// On everything that belongs to a Cluster.
const CLUSTER_LABEL: &str = "cluster.x-k8s.io/cluster-name";

/// Waits until `cluster` is Available at its present generation and its add-on is applied.
///
/// While it waits it says which object below the Cluster is the deepest that is not ready.
pub async fn wait_for_cluster(
    management: &Cluster,
    served: &Served,
    cluster: &Manifest,
    wait: &Wait<'_>,
) -> Result<(), ManagementError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let reference = &ObjectReference::new(&served.cluster, "Cluster", cluster.name()).in_namespace(namespace);
    let addon = &addon_reference(served, reference);
    let watched = [
        Watched::from(reference),
        Watched::from(addon),
        Watched::kind(&served.cluster, "Machine", Some(namespace)),
    ];
    let look = || async move { look(management, served, reference, addon).await };
    Ok(management.wait(wait, &watched, look).await?)
}

/// The administrator's kubeconfig of `cluster`. Cluster API's contract: for the platform's own use, never for people.
pub async fn kubeconfig(management: &Cluster, cluster: &Manifest) -> Result<Secret, ManagementError> {
    let name = format!("{}-kubeconfig", cluster.name());
    let reference =
        ObjectReference::new("v1", "Secret", &name).in_namespace(cluster.namespace().unwrap_or_default());
    let secret = management.read(&reference).await?;
    let text = secret.as_ref().and_then(|secret| {
        let encoded = secret.data.pointer("/data/value")?.as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    });
    text.map(Secret::new)
        .ok_or_else(|| ManagementError::NoKubeconfig {
            secret: reference.to_string(),
        })
}

async fn look(
    management: &Cluster,
    served: &Served,
    reference: &ObjectReference,
    addon: &ObjectReference,
) -> Result<Look<()>, KubernetesError> {
    let Some(cluster) = management.read(reference).await? else {
        return Ok(Look::Waiting(format!("{reference} is not there yet")));
    };
    if cluster.data.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Ok(Look::Hopeless(format!(
            "{reference} is paused: set `spec.paused: false`"
        )));
    }
    let addon = management.read(addon).await?;
    let is_applied = addon
        .as_ref()
        .is_none_or(|addon| addon.data.pointer("/status/ready") == Some(&Value::Bool(true)));
    if is_available(&cluster) && is_applied {
        return Ok(Look::Done(()));
    }
    let mut members = members(management, served, reference, &cluster).await?;
    members.extend(addon);
    let family = Family {
        cluster: Some(cluster),
        members,
    };
    Ok(Look::Waiting(family.trail(Timestamp::now()).to_string()))
}

/// `Available`, which older versions of Cluster API do not have: there the control plane's readiness stands for it.
fn is_available(cluster: &DynamicObject) -> bool {
    let has_seen = cluster
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64)
        .is_none_or(|seen| Some(seen) >= cluster.metadata.generation);
    let is_old = cluster.data.pointer("/status/v1beta2").is_none()
        && cluster.data.pointer("/status/controlPlaneReady").is_some();
    has_seen && is_true(cluster, if is_old { "Ready" } else { "Available" })
}

/// The cluster-stack-operator's add-on for a Cluster; there is none for a class that does not come from a stack.
fn addon_reference(served: &Served, cluster: &ObjectReference) -> ObjectReference {
    ObjectReference {
        name: format!("cluster-addon-{}", cluster.name),
        kind: "ClusterAddon".to_owned(),
        api_version: served.stack.clone(),
        namespace: cluster.namespace.clone(),
    }
}

/// What a Cluster is made of, the causes before the consequences.
async fn members(
    management: &Cluster,
    served: &Served,
    reference: &ObjectReference,
    cluster: &DynamicObject,
) -> Result<Vec<DynamicObject>, KubernetesError> {
    let mut members = Vec::new();
    for pointer in ["/spec/infrastructureRef", "/spec/controlPlaneRef"] {
        members.extend(follow(management, served, reference, cluster.data.pointer(pointer)).await?);
    }
    let labels = format!("{CLUSTER_LABEL}={}", reference.name);
    for kind in ["MachineDeployment", "Machine"] {
        let objects = management
            .list(&served.cluster, kind, reference.namespace.as_deref(), &labels)
            .await?;
        for object in &objects {
            let infrastructure = object.data.pointer("/spec/infrastructureRef");
            members.extend(follow(management, served, reference, infrastructure).await?);
        }
        members.extend(objects);
    }
    Ok(members)
}

/// The object that a reference of Cluster API names: by group in `v1beta2`, by version in `v1beta1`.
async fn follow(
    management: &Cluster,
    served: &Served,
    cluster: &ObjectReference,
    reference: Option<&Value>,
) -> Result<Option<DynamicObject>, KubernetesError> {
    let text = |key: &str| reference.and_then(|reference| reference.get(key)?.as_str());
    let (Some(kind), Some(name)) = (text("kind"), text("name")) else {
        return Ok(None);
    };
    let api_version = match (text("apiVersion"), text("apiGroup")) {
        (Some(api_version), _) => api_version.to_owned(),
        (None, Some(CLUSTER_GROUP)) => served.cluster.clone(),
        (None, Some(group)) => {
            let versions = management.served_versions(group).await?;
            let Some(best) = versions.first() else {
                return Ok(None);
            };
            format!("{group}/{best}")
        }
        (None, None) => return Ok(None),
    };
    let namespace = cluster.namespace.as_deref().unwrap_or_default();
    let reference = ObjectReference::new(&api_version, kind, name).in_namespace(namespace);
    management.read(&reference).await
}
