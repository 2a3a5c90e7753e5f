//! What `lotse render` writes.

use std::collections::BTreeMap;

use camino::Utf8Path;
use jiff::civil::date;
use lotse::config::{self, Environment, ResolvedEnvironment};
use lotse::desired::{Desired, Manifest};
use lotse::kubernetes::read_manifests;
use lotse::names::EnvironmentName;
use lotse::render;
use serde_json::json;

use super::house::House;
use super::root;
use super::server::{Placed, Server, Stay, Whom, apply};

/// Whom the root Kustomization acts as.
pub(crate) const ROOT_ACCOUNT: &str = "kustomize-controller";
/// Files of the tree that hold no Kubernetes objects.
const OTHER_FILES: [&str; 3] = ["dns.yaml", "identity.yaml", "kustomization.yaml"];
/// The part of the tree that is the management cluster's.
const MANAGEMENT: &str = "management";

/// The objects of the workload cluster and those of the management cluster, read back from the rendered text.
pub(crate) fn objects(environment: &EnvironmentName) -> (Vec<Placed>, Vec<Placed>) {
    let declarations = config::load(root(), environment, date(2026, 11, 23))
        .unwrap_or_else(|problems| {
            panic!(
                "{}",
                lotse::diag::to_text(&problems.diagnostics, &problems.sources, lotse::diag::Look::Plain)
            )
        })
        .declarations;
    let environment = settled(&declarations.environment);
    let desired = Desired::build(&declarations, &environment, date(2026, 11, 23));
    let tree = render::tree(&desired).unwrap();
    let mut placed = Vec::new();
    for (file, text) in &tree.files {
        let below = file.strip_prefix(&tree.folder).unwrap();
        if below.file_name().is_some_and(|name| OTHER_FILES.contains(&name)) {
            continue;
        }
        for manifest in read_manifests(file.as_str(), text).unwrap() {
            let file = below.to_owned();
            placed.push(Placed { file, manifest });
        }
    }
    placed
        .into_iter()
        .partition(|placed| !placed.file.starts_with(Utf8Path::new(MANAGEMENT)))
}

/// With a value for each variable that is known only at run time.
fn settled(environment: &Environment) -> ResolvedEnvironment {
    let names = match environment.resolve(&BTreeMap::new()) {
        Ok(resolved) => return resolved,
        Err(missing) => missing.names,
    };
    let value = |name: &str| {
        if name.ends_with("_URL") {
            "https://example.org".to_owned()
        } else {
            "example".to_owned()
        }
    };
    let values = names
        .iter()
        .map(|name| (name.as_str().to_owned(), value(name.as_str())))
        .collect();
    environment.resolve(&values).unwrap()
}

/// Applies the tree as Flux does, namespaces first; what was refused.
pub(crate) async fn put(server: &Server) -> Vec<String> {
    let root = server.as_whom(Whom::Flux(ROOT_ACCOUNT)).await;
    let mut objects: Vec<&Placed> = server.tree.iter().collect();
    objects.sort_by_key(|placed| placed.manifest.kind() != "Namespace");
    let mut refused = Vec::new();
    for placed in objects {
        if let Err(said) = apply(&root, &placed.manifest, Stay::Really).await {
            refused.push(placed.fault(&said));
        }
    }
    refused
}

pub(crate) fn the_tree_is_accepted(_: &House, server: &Server) -> Vec<String> {
    for kind in ["Namespace", "Kustomization", "RoleBinding", "GitRepository"] {
        let is_there = |placed: &Placed| placed.manifest.kind() == kind;
        assert!(server.tree.iter().any(is_there), "no {kind} was rendered");
    }
    server.refused.clone()
}

/// Its webhooks are not there: what they would refuse is not found here.
pub(crate) fn the_management_cluster_accepts_its_objects(house: &House, server: &Server) -> Vec<String> {
    assert!(
        !server.management.is_empty(),
        "nothing was rendered for the management cluster"
    );
    house.block_on(async {
        let mut refused = Vec::new();
        for placed in &server.management {
            ensure_namespace(server, &placed.manifest).await;
            if let Err(said) = apply(&server.administrator, &placed.manifest, Stay::Dry).await {
                refused.push(placed.fault(&said));
            }
        }
        refused
    })
}

async fn ensure_namespace(server: &Server, manifest: &Manifest) {
    if let Some(namespace) = manifest.namespace() {
        let namespace = Manifest::new(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace},
        }));
        server.administrator.apply(&namespace.unwrap()).await.unwrap();
    }
}
