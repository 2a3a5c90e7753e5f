//! Secrets beside the `Cluster`: those by which its infrastructure provider gets at the infrastructure, and those that
//! Cluster API puts inside.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::config::{DnsProvider, ResolvedEnvironment};
use crate::desired::{self, GATEWAY_NAMESPACE, Manifest, cluster};
use crate::secret::Secret;

/// By this label `clusterctl move` takes a Secret along (Cluster API book, "clusterctl for developers").
const MOVES: &str = "clusterctl.cluster.x-k8s.io/move";
/// Type of a Secret with objects for a `ClusterResourceSet` (Cluster API book, "Cluster resource set").
const OBJECTS: &str = "addons.cluster.x-k8s.io/resource-set";
/// Namespace of the Secrets inside the workload cluster.
pub const INSIDE: &str = "kube-system";

/// The Secrets that the environment declares, as they are on the management cluster, with what is in them: never to be
/// shown or written anywhere.
#[must_use]
pub fn cluster_secrets(environment: &ResolvedEnvironment) -> Vec<Manifest> {
    let cluster = &environment.cluster;
    let namespace = environment.management.namespace.as_str();
    let beside = cluster.secrets.iter();
    let beside = beside.map(|(name, data)| secret(environment, name, "Opaque", data));
    let carriers = workload_secrets(environment).into_iter().map(|inner| {
        let content = BTreeMap::from([("secret.yaml".to_owned(), Secret::new(inner.value().to_string()))]);
        let name = cluster::carrier(&cluster.name, inner.name());
        secret(environment, &name, OBJECTS, &content)
    });
    let all = beside.chain(carriers);
    all.map(|manifest| manifest.in_namespace(namespace).with_label(MOVES, "true"))
        .collect()
}

/// Those that are inside the workload cluster, as they are there. Cluster API puts them in as soon as the API server
/// answers, since machines may need them; it does not look again at what became of them.
#[must_use]
pub fn workload_secrets(environment: &ResolvedEnvironment) -> Vec<Manifest> {
    let declared = environment.cluster.workload_secrets.iter();
    declared
        .map(|(name, data)| secret(environment, name, "Opaque", data).in_namespace(INSIDE))
        .collect()
}

/// The Secret by which cert-manager writes records into the zone, where it is to.
#[must_use]
pub fn zone_key(environment: &ResolvedEnvironment, (name, key): (&str, &str)) -> Option<Manifest> {
    let DnsProvider::Rfc2136(rfc2136) = &environment.dns.provider else {
        return None;
    };
    let data = BTreeMap::from([(key.to_owned(), rfc2136.key.secret.clone())]);
    Some(secret(environment, name, "Opaque", &data).in_namespace(GATEWAY_NAMESPACE))
}

fn secret(
    environment: &ResolvedEnvironment,
    name: &str,
    kind: &str,
    data: &BTreeMap<String, Secret>,
) -> Manifest {
    let data: Map<String, Value> = data
        .iter()
        .map(|(key, value)| (key.clone(), STANDARD.encode(value.expose()).into()))
        .collect();
    // Not `stringData`: its fields have no owner after a server-side apply.
    let content = json!({ "type": kind, "data": data });
    desired::marked(environment, ("v1", "Secret"), name, content)
}
