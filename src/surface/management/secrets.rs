//! Secrets beside the `Cluster`: those by which its infrastructure provider gets at the infrastructure, and those that
//! Cluster API puts inside.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::config::ResolvedEnvironment;
use crate::desired::{Manifest, cluster};
use crate::secret::Secret;

/// By this label `clusterctl move` takes a Secret along (Cluster API book, "clusterctl for developers").
const MOVES: &str = "clusterctl.cluster.x-k8s.io/move";
/// Type of a Secret with objects for a `ClusterResourceSet` (Cluster API book, "Cluster resource set").
const OBJECTS: &str = "addons.cluster.x-k8s.io/resource-set";
/// Where Secrets inside the workload cluster are.
const INSIDE: &str = "kube-system";

/// The Secrets that the environment declares, with what is in them: never to be shown or written anywhere.
#[must_use]
pub fn cluster_secrets(environment: &ResolvedEnvironment) -> Vec<Manifest> {
    let cluster = &environment.cluster;
    let namespace = environment.management.namespace.as_str();
    let beside = cluster.secrets.iter();
    let beside = beside.map(|(name, data)| secret(name, "Opaque", data).in_namespace(namespace));
    let carriers = cluster.workload_secrets.iter().map(|(name, data)| {
        let inner = secret(name, "Opaque", data).in_namespace(INSIDE);
        let content = BTreeMap::from([("secret.yaml".to_owned(), Secret::new(inner.value().to_string()))]);
        let name = cluster::carrier(&cluster.name, name);
        secret(&name, OBJECTS, &content).in_namespace(namespace)
    });
    let all = beside.chain(carriers);
    all.map(|manifest| manifest.with_label(MOVES, "true")).collect()
}

fn secret(name: &str, kind: &str, data: &BTreeMap<String, Secret>) -> Manifest {
    let data: Map<String, Value> = data
        .iter()
        .map(|(key, value)| (key.clone(), STANDARD.encode(value.expose()).into()))
        .collect();
    // Not `stringData`: its fields have no owner after a server-side apply.
    let content = json!({ "type": kind, "data": data });
    Manifest::build(
        "v1",
        "Secret",
        name,
        content.as_object().cloned().unwrap_or_default(),
    )
}
