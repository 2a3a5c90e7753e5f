//! Objects that Flux removes since they leave the published tree.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde_json::Value;

use super::super::preflight::Systems;
use super::super::{Bootstrap, StageError};
use super::{Ownership, PlannedChange};
use crate::config::yaml;
use crate::desired::Manifest;
use crate::kubernetes::{Cluster, ObjectReference};
use crate::plan::{Action, Change};

/// Folders of the tree whose files Flux does not deliver as they are.
const OTHERS: [&str; 2] = ["management", "flux-system"];

/// What is on the cluster by the published tree, and not in the desired one.
pub(super) async fn pruned(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    cluster: &Cluster,
    (delivered, ownership): (&[Manifest], &Ownership<'_>),
) -> Result<Vec<PlannedChange>, StageError> {
    let desired: BTreeSet<ObjectReference> = delivered.iter().map(ObjectReference::from).collect();
    let folder = &bootstrap.environment.git.path;
    let is_delivered = |path: &Utf8Path| {
        let below = path.strip_prefix(folder).ok();
        below.is_some_and(|below| !OTHERS.iter().any(|other| below.starts_with(other)))
    };
    let files = systems.branch.texts(&systems.published, is_delivered).await?;
    let mut removed = Vec::new();
    for text in files.values() {
        for manifest in objects(text) {
            let reference = ObjectReference::from(&manifest);
            let is_gone = !desired.contains(&reference) && !is_handed_over(bootstrap, &reference);
            if is_gone && cluster.read(&reference).await?.is_some() {
                let change = Change::whole(Action::Delete, reference.to_string());
                removed.push(PlannedChange::new(ownership.of_manifest(&manifest), change));
            }
        }
    }
    Ok(removed)
}

/// Whether it is the Secret of a login that was in Git and is written into the cluster now.
fn is_handed_over(bootstrap: &Bootstrap<'_>, reference: &ObjectReference) -> bool {
    let mut clients = bootstrap.desired.realm.clients.iter();
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    reference.kind == "Secret"
        && clients
            .any(|client| !client.kind.is_in_git() && client.kind.has_secret(namespace, &reference.name))
}

/// The Kubernetes objects of a file; what kustomize reads itself is none.
fn objects(text: &str) -> impl Iterator<Item = Manifest> {
    let documents = yaml::documents(text).unwrap_or_default();
    let is_object = |document: &Value| {
        let of_kustomize = |api: &str| api.starts_with("kustomize.config.k8s.io/");
        document["apiVersion"]
            .as_str()
            .is_some_and(|api| !of_kustomize(api))
    };
    documents
        .into_iter()
        .filter(is_object)
        .filter_map(|document| Manifest::new(document).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_only_objects_of_the_cluster_count() {
        let text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n---\nname: scs\n";
        let names: Vec<String> = objects(text).map(|object| object.to_string()).collect();
        assert_eq!(names, ["ConfigMap/web/a"]);
    }
}
