//! Writing what the lab tells about its objects.

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::kubernetes::KubernetesError;

/// The provider's own field manager: what a person or Cluster API sets beside it stays theirs.
const FIELD_MANAGER: &str = "lotse-lab-provider";

/// A kind of this provider.
pub(super) trait LabKind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug
{
}

impl<K> LabKind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
{
}

/// The objects of one kind in the namespace of `object`.
pub(super) fn api_of<K: LabKind>(client: Client, object: &K) -> Api<K> {
    Api::namespaced(client, &object.namespace().unwrap_or_default())
}

/// `Kind/namespace/name`.
pub(super) fn display<K: LabKind>(object: &K) -> String {
    format!(
        "{}/{}/{}",
        K::kind(&()),
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// Writes the whole status. Changes nothing on the server when it is the same.
pub(super) async fn write<K: LabKind>(
    client: Client,
    object: &K,
    status: &impl Serialize,
) -> Result<(), KubernetesError> {
    let patch = apply_patch::<K>(&object.name_any(), "status", status);
    api_of(client, object)
        .patch_status(&object.name_any(), &parameters(), &Patch::Apply(patch))
        .await
        .map(drop)
        .map_err(|error| {
            KubernetesError::request(format!("writing the status of {}", display(object)), &error)
        })
}

/// Sets the given fields of the specification.
pub(super) async fn write_spec<K: LabKind>(
    client: Client,
    object: &K,
    spec: &impl Serialize,
) -> Result<(), KubernetesError> {
    let patch = apply_patch::<K>(&object.name_any(), "spec", spec);
    api_of(client, object)
        .patch(&object.name_any(), &parameters(), &Patch::Apply(patch))
        .await
        .map(drop)
        .map_err(|error| KubernetesError::request(format!("writing {}", display(object)), &error))
}

/// How the provider applies.
pub(super) fn parameters() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

fn apply_patch<K: LabKind>(name: &str, field: &str, content: &impl Serialize) -> serde_json::Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        field: content,
    })
}
