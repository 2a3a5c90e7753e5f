//! What lies below an object: the objects of which it is made, or for which it waits, the causes before the
//! consequences.
//!
//! Cluster API's references are those of both its contracts (`spec.infrastructureRef` by version in `v1beta1`, by group
//! in `v1beta2`); what Flux delivered is in `status.inventory` of a Kustomization and by label of a Helm release.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use serde_json::Value;

use super::readiness::is_inert;
use crate::kubernetes::{Cluster, KubernetesError, ObjectReference, condition};

const CLUSTER_GROUP: &str = "cluster.x-k8s.io";
const STACK_GROUP: &str = "clusterstack.x-k8s.io";
/// On everything that belongs to a Cluster.
const CLUSTER_LABEL: &str = "cluster.x-k8s.io/cluster-name";
const KUSTOMIZE_GROUP: &str = "kustomize.toolkit.fluxcd.io";
const HELM_GROUP: &str = "helm.toolkit.fluxcd.io";
const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
/// A Kustomization in this state only waits for another one.
const WAITS_FOR_ANOTHER: &str = "DependencyNotReady";
/// Kinds of a chart's objects that become ready.
const OF_CHARTS: [(&str, &str); 5] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
];

/// What lies below `object`.
pub(super) async fn below(
    cluster: &Cluster,
    object: &DynamicObject,
) -> Result<Vec<DynamicObject>, KubernetesError> {
    let reference = ObjectReference::from(object);
    let group = reference
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let look = Below {
        cluster,
        object,
        reference: &reference,
    };
    match (group, reference.kind.as_str()) {
        (CLUSTER_GROUP, "Cluster") => look.of_cluster().await,
        (CLUSTER_GROUP, "MachineDeployment") => look.owned(&reference.api_version, "MachineSet").await,
        (CLUSTER_GROUP, "MachineSet") => look.owned(&reference.api_version, "Machine").await,
        (CLUSTER_GROUP, "Machine") => {
            look.named(&["/spec/bootstrap/configRef", "/spec/infrastructureRef"])
                .await
        }
        (STACK_GROUP, "ClusterStack") => look.owned(&reference.api_version, "ClusterStackRelease").await,
        (KUSTOMIZE_GROUP, _) => look.of_kustomization().await,
        (HELM_GROUP, _) => look.of_helm_release().await,
        ("apps", "Deployment") => look.owned("apps/v1", "ReplicaSet").await,
        ("apps" | "batch", _) => look.owned("v1", "Pod").await,
        ("", "Pod") => look.of_pod().await,
        _ if object.data.pointer("/spec/machineTemplate").is_some() => look.of_control_plane().await,
        _ => Ok(Vec::new()),
    }
}

struct Below<'a> {
    cluster: &'a Cluster,
    object: &'a DynamicObject,
    reference: &'a ObjectReference,
}

impl Below<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.object.data.pointer(pointer).and_then(Value::as_str)
    }

    fn namespace(&self) -> &str {
        self.reference.namespace.as_deref().unwrap_or_default()
    }

    /// Objects of a kind in the same namespace that name this one as an owner, the newest first.
    async fn owned(&self, api_version: &str, kind: &str) -> Result<Vec<DynamicObject>, KubernetesError> {
        let mut objects = self
            .cluster
            .list(api_version, kind, Some(self.namespace()), "")
            .await?;
        objects.retain(|object| {
            let owners = object.metadata.owner_references.iter().flatten();
            owners
                .into_iter()
                .any(|owner| Some(&owner.uid) == self.object.metadata.uid.as_ref())
        });
        objects.sort_by_key(|object| std::cmp::Reverse(object.metadata.creation_timestamp.clone()));
        Ok(objects)
    }

    async fn of_cluster(&self) -> Result<Vec<DynamicObject>, KubernetesError> {
        let mut members = self
            .named(&["/spec/infrastructureRef", "/spec/controlPlaneRef"])
            .await?;
        let labels = format!("{CLUSTER_LABEL}={}", self.reference.name);
        let deployments = self.cluster.list(
            &self.reference.api_version,
            "MachineDeployment",
            Some(self.namespace()),
            &labels,
        );
        members.extend(deployments.await?);
        let addon = format!("cluster-addon-{}", self.reference.name);
        if let Some(addon_api) = self.best_version(STACK_GROUP).await? {
            let addon =
                ObjectReference::new(&addon_api, "ClusterAddon", &addon).in_namespace(self.namespace());
            members.extend(self.cluster.read(&addon).await?);
        }
        Ok(members)
    }

    /// Machines of whatever control plane makes them.
    async fn of_control_plane(&self) -> Result<Vec<DynamicObject>, KubernetesError> {
        match self.best_version(CLUSTER_GROUP).await? {
            Some(api_version) => self.owned(&api_version, "Machine").await,
            None => Ok(Vec::new()),
        }
    }

    /// The objects that fields name in Cluster API's manner.
    async fn named(&self, pointers: &[&str]) -> Result<Vec<DynamicObject>, KubernetesError> {
        let mut found = Vec::new();
        for pointer in pointers {
            let field = |key: &str| self.text(&format!("{pointer}/{key}"));
            let (Some(kind), Some(name)) = (field("kind"), field("name")) else {
                continue;
            };
            let api_version = match (field("apiVersion"), field("apiGroup")) {
                (Some(api_version), _) => Some(api_version.to_owned()),
                (None, Some(group)) => self.best_version(group).await?,
                (None, None) => None,
            };
            if let Some(api_version) = api_version {
                let reference = ObjectReference::new(&api_version, kind, name).in_namespace(self.namespace());
                found.extend(self.cluster.read(&reference).await?);
            }
        }
        Ok(found)
    }

    async fn best_version(&self, group: &str) -> Result<Option<String>, KubernetesError> {
        let versions = self.cluster.served_versions(group).await?;
        Ok(versions.first().map(|best| format!("{group}/{best}")))
    }

    async fn of_kustomization(&self) -> Result<Vec<DynamicObject>, KubernetesError> {
        let is_behind =
            condition(self.object, "Ready").is_some_and(|ready| ready.reason == WAITS_FOR_ANOTHER);
        let mut found = Vec::new();
        if is_behind {
            let before = self
                .object
                .data
                .pointer("/spec/dependsOn")
                .and_then(Value::as_array);
            for each in before.into_iter().flatten() {
                let name = each["name"].as_str().unwrap_or_default();
                let namespace = each["namespace"].as_str().unwrap_or_else(|| self.namespace());
                let other = ObjectReference::new(&self.reference.api_version, "Kustomization", name);
                found.extend(self.cluster.read(&other.in_namespace(namespace)).await?);
            }
            return Ok(found);
        }
        found.extend(self.source("/spec/sourceRef").await?);
        let labels = format!(
            "{KUSTOMIZE_GROUP}/name={},{KUSTOMIZE_GROUP}/namespace={}",
            self.reference.name,
            self.namespace()
        );
        for (api_version, kind) in delivered_kinds(self.object) {
            found.extend(self.cluster.list(&api_version, &kind, None, &labels).await?);
        }
        Ok(found)
    }

    async fn of_helm_release(&self) -> Result<Vec<DynamicObject>, KubernetesError> {
        let mut found = Vec::new();
        found.extend(self.source("/spec/chart/spec/sourceRef").await?);
        // `<namespace>/<name>` of the HelmChart that helm-controller made.
        let made = self
            .text("/status/helmChart")
            .and_then(|chart| chart.split_once('/'));
        if let (Some((namespace, name)), Some(api)) = (made, self.best_version(SOURCE_GROUP).await?) {
            let chart = ObjectReference::new(&api, "HelmChart", name).in_namespace(namespace);
            found.extend(self.cluster.read(&chart).await?);
        }
        let labels = format!(
            "{HELM_GROUP}/name={},{HELM_GROUP}/namespace={}",
            self.reference.name,
            self.namespace()
        );
        for (api_version, kind) in OF_CHARTS {
            found.extend(self.cluster.list(api_version, kind, None, &labels).await?);
        }
        Ok(found)
    }

    /// The source that a Flux object takes its content from.
    async fn source(&self, pointer: &str) -> Result<Option<DynamicObject>, KubernetesError> {
        let field = |key: &str| self.text(&format!("{pointer}/{key}"));
        let (Some(kind), Some(name)) = (field("kind"), field("name")) else {
            return Ok(None);
        };
        let Some(api_version) = self.best_version(SOURCE_GROUP).await? else {
            return Ok(None);
        };
        let namespace = field("namespace").unwrap_or_else(|| self.namespace());
        let source = ObjectReference::new(&api_version, kind, name).in_namespace(namespace);
        self.cluster.read(&source).await
    }

    async fn of_pod(&self) -> Result<Vec<DynamicObject>, KubernetesError> {
        let volumes = self
            .object
            .data
            .pointer("/spec/volumes")
            .and_then(Value::as_array);
        let claims = volumes.into_iter().flatten();
        let mut found = Vec::new();
        for name in claims.filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str()) {
            let claim =
                ObjectReference::new("v1", "PersistentVolumeClaim", name).in_namespace(self.namespace());
            found.extend(self.cluster.read(&claim).await?);
        }
        Ok(found)
    }
}

/// Kinds of what a Kustomization delivered that become ready, those that deliver others last.
fn delivered_kinds(kustomization: &DynamicObject) -> Vec<(String, String)> {
    let entries = kustomization
        .data
        .pointer("/status/inventory/entries")
        .and_then(Value::as_array);
    let mut kinds: BTreeMap<bool, BTreeSet<(String, String)>> = BTreeMap::new();
    for entry in entries.into_iter().flatten() {
        // `<namespace>_<name>_<group>_<kind>`; names have no underscores.
        let id = entry["id"].as_str().unwrap_or_default();
        let parts: Vec<&str> = id.split('_').collect();
        let (Some(version), [_, _, group, kind]) = (entry["v"].as_str(), parts.as_slice()) else {
            continue;
        };
        if is_inert(kind) || *kind == "CustomResourceDefinition" {
            continue;
        }
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let delivers = group.ends_with("toolkit.fluxcd.io");
        kinds
            .entry(delivers)
            .or_default()
            .insert((api_version, (*kind).to_owned()));
    }
    kinds.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_kinds_that_become_ready_are_taken_from_the_inventory() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "web"},
            "status": {"inventory": {"entries": [
                {"id": "flux-system_db_kustomize.toolkit.fluxcd.io_Kustomization", "v": "v1"},
                {"id": "web_web_apps_Deployment", "v": "v1"},
                {"id": "web_other_apps_Deployment", "v": "v1"},
                {"id": "web_web__Service", "v": "v1"},
                {"id": "web_web__ConfigMap", "v": "v1"},
                {"id": "oddity", "v": "v1"},
            ]}},
        }))
        .unwrap();
        let pair = |api_version: &str, kind: &str| (api_version.to_owned(), kind.to_owned());
        assert_eq!(
            delivered_kinds(&object),
            [
                pair("apps/v1", "Deployment"),
                pair("v1", "Service"),
                pair("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
            ]
        );
    }
}
