//! The Cluster that an object of ours belongs to, and what Cluster API says about it there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::reflector::{Lookup, ObjectRef};
use kube::{Api, Client};
use serde_json::Value;

use crate::kubernetes::KubernetesError;

/// API group of Cluster API's own kinds.
const GROUP: &str = "cluster.x-k8s.io";
/// On any object: Cluster API and its providers leave it alone.
const PAUSED_ANNOTATION: &str = "cluster.x-k8s.io/paused";
/// On infrastructure that somebody else provides.
const MANAGED_BY_ANNOTATION: &str = "cluster.x-k8s.io/managed-by";

/// What we read of a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Whether reconciling is paused for it.
    pub(super) paused: bool,
}

impl Owner {
    /// How the lab names everything that belongs to this cluster: `<namespace>/<name>`.
    pub(super) fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }

    fn read(namespace: &str, cluster: &DynamicObject) -> Self {
        let paused = cluster.data.pointer("/spec/paused").and_then(Value::as_bool);
        Self {
            namespace: namespace.to_owned(),
            name: cluster.metadata.name.clone().unwrap_or_default(),
            paused: paused.unwrap_or_default() || is_paused(&cluster.metadata),
        }
    }
}

/// How the lab names everything that belongs to a cluster.
pub(super) fn key(namespace: &str, cluster: &str) -> String {
    format!("{namespace}/{cluster}")
}

/// Whether the annotation that pauses is there, whatever its value.
pub(super) fn is_paused(metadata: &ObjectMeta) -> bool {
    has_annotation(metadata, PAUSED_ANNOTATION)
}

/// Whether somebody else provides this infrastructure.
pub(super) fn is_externally_managed(metadata: &ObjectMeta) -> bool {
    has_annotation(metadata, MANAGED_BY_ANNOTATION)
}

fn has_annotation(metadata: &ObjectMeta, key: &str) -> bool {
    metadata
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(key))
}

/// Name of the owning Cluster, once Cluster API has set the reference.
pub(super) fn owner_name(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "Cluster" && owner.api_version.split('/').next() == Some(GROUP))
        .map(|owner| owner.name.as_str())
}

/// Reads the owning Cluster; `None` while there is no owner, or no longer one.
pub(super) async fn find(client: Client, metadata: &ObjectMeta) -> Result<Option<Owner>, KubernetesError> {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let Some(name) = owner_name(metadata) else {
        return Ok(None);
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &cluster_kind());
    let cluster = api
        .get_opt(name)
        .await
        .map_err(|error| KubernetesError::request(format!("reading Cluster/{namespace}/{name}"), &error))?;
    Ok(cluster.map(|cluster| Owner::read(namespace, &cluster)))
}

/// Cluster API's Cluster.
pub(super) fn cluster_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1beta2", "Cluster"), "clusters")
}

/// The object of kind `K` that a Cluster refers to at `pointer`, to be reconciled when the Cluster changes.
pub(super) fn referred<K>(cluster: &DynamicObject, pointer: &str) -> Option<ObjectRef<K>>
where
    K: Lookup<DynamicType = ()> + kube::Resource<DynamicType = ()>,
{
    let reference = cluster.data.pointer(pointer)?;
    if reference.get("kind")?.as_str()? != <K as kube::Resource>::kind(&()) {
        return None;
    }
    let name = reference.get("name")?.as_str()?;
    Some(ObjectRef::new(name).within(cluster.metadata.namespace.as_deref()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resources::{LabCluster, LabControlPlane};
    use super::*;

    fn cluster(content: Value) -> DynamicObject {
        let mut cluster = DynamicObject::new("prod", &cluster_kind()).within("platform");
        cluster.data = content;
        cluster
    }

    #[test]
    fn test_pause_comes_from_spec_or_annotation() {
        assert!(Owner::read("platform", &cluster(json!({"spec": {"paused": true}}))).paused);
        let owner = Owner::read("platform", &cluster(json!({"spec": {}})));
        assert_eq!((owner.key().as_str(), owner.paused), ("platform/prod", false));
        let mut annotated = cluster(json!({}));
        annotated.metadata.annotations = Some([(PAUSED_ANNOTATION.to_owned(), String::new())].into());
        assert!(Owner::read("platform", &annotated).paused);
    }

    #[test]
    fn test_owner_reference_must_be_a_cluster_of_cluster_api() {
        let metadata = |api_version: &str, kind: &str| -> ObjectMeta {
            serde_json::from_value(json!({"ownerReferences": [
                {"apiVersion": api_version, "kind": kind, "name": "prod", "uid": "1"}
            ]}))
            .unwrap()
        };
        assert_eq!(
            owner_name(&metadata("cluster.x-k8s.io/v1beta2", "Cluster")),
            Some("prod")
        );
        assert_eq!(owner_name(&metadata("example.com/v1", "Cluster")), None);
        assert_eq!(owner_name(&metadata("cluster.x-k8s.io/v1beta2", "Machine")), None);
    }

    #[test]
    fn test_reference_of_another_kind_is_not_ours() {
        let cluster = cluster(json!({"spec": {
            "infrastructureRef": {"kind": "LabCluster", "name": "prod-abc"},
            "controlPlaneRef": {"kind": "KubeadmControlPlane", "name": "prod-def"},
        }}));
        let reference: ObjectRef<LabCluster> = referred(&cluster, "/spec/infrastructureRef").unwrap();
        assert_eq!(
            (reference.name.as_str(), reference.namespace.as_deref()),
            ("prod-abc", Some("platform"))
        );
        assert!(referred::<LabControlPlane>(&cluster, "/spec/controlPlaneRef").is_none());
    }
}
