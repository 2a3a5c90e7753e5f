//! From a `Cluster` to a working control plane and its kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{ManagementError, Served};
use crate::desired::Manifest;
use crate::kubernetes::{
    Cluster, KubernetesError, Look, ObjectReference, Trail, Wait, Watched, condition, is_true,
};
use crate::secret::Secret;

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
    let look = || async move { look(management, reference, addon).await };
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
    reference: &ObjectReference,
    addon_reference: &ObjectReference,
) -> Result<Look<()>, KubernetesError> {
    let Some(cluster) = management.read(reference).await? else {
        return Ok(Look::waiting(reference, "is not there yet"));
    };
    if cluster.data.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Ok(Look::Hopeless(format!(
            "{reference} is paused: set `spec.paused: false`"
        )));
    }
    let addon = management.read(addon_reference).await?;
    let is_applied = addon
        .as_ref()
        .is_none_or(|addon| addon.data.pointer("/status/ready") == Some(&Value::Bool(true)));
    let summary = ["Available", "Ready"]
        .iter()
        .find_map(|name| condition(&cluster, name));
    Ok(match (is_available(&cluster), is_applied, summary) {
        (true, true, _) => Look::Done(()),
        (true, false, _) => Look::waiting(addon_reference, "is not applied yet"),
        (false, _, Some(summary)) if !summary.is_true() => {
            Look::Waiting(Trail::by_condition(reference.clone(), &summary))
        }
        (false, ..) => Look::waiting(reference, "was not looked at yet by its controller"),
    })
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
