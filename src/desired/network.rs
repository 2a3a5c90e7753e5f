//! Parts of network policies.

use serde_json::{Value, json};

use super::gateway::GATEWAY_NAMESPACE;
use super::{APP_LABEL, CLUSTER_WIDE_LABEL};

/// Label that the API server puts on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const DNS_PORT: u16 = 53;

/// What is not the internet: addresses of this network, private and shared ones, loopback, link-local (where clouds have
/// their metadata), reserved ones and multicast (IANA's registries of special-purpose addresses).
const NOT_INTERNET_4: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// The same in IPv6, and the ranges that are translated to IPv4. Mapped ones (`::ffff:0:0/96`) are not on any wire, and the
/// API server refuses them.
const NOT_INTERNET_6: [&str; 6] = [
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// The spec of a policy for all pods of a namespace. Both directions are governed; `None` opens nothing.
pub(super) fn policy(ingress: Option<Vec<Value>>, egress: Option<Vec<Value>>) -> Value {
    let mut spec = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    for (key, rules) in [("ingress", ingress), ("egress", egress)] {
        if let Some(rules) = rules {
            spec[key] = rules.into();
        }
    }
    spec
}

/// All pods of the policy's own namespace.
pub(super) fn same_namespace() -> Value {
    json!({ "podSelector": {} })
}

/// All pods of one namespace.
pub(super) fn namespace(name: &str) -> Value {
    json!({ "namespaceSelector": { "matchLabels": { NAMESPACE_NAME: name } } })
}

/// All pods of all applications.
pub(super) fn any_application() -> Value {
    json!({ "namespaceSelector": { "matchExpressions": [{ "key": APP_LABEL, "operator": "Exists" }] } })
}

/// The gateway's own namespace, and those of cluster-wide applications: which of these runs the proxies is the choice of
/// the gateway's class, and all of them are trusted with the whole cluster anyway.
pub(super) fn gateway() -> Vec<Value> {
    vec![
        namespace(GATEWAY_NAMESPACE),
        json!({ "namespaceSelector": { "matchLabels": { CLUSTER_WIDE_LABEL: "true" } } }),
    ]
}

/// The cluster's name servers.
pub(super) fn dns() -> Value {
    let mut servers = namespace("kube-system");
    servers["podSelector"] = json!({ "matchLabels": { "k8s-app": "kube-dns" } });
    let ports = ["UDP", "TCP"].map(|protocol| json!({ "port": DNS_PORT, "protocol": protocol }));
    json!({ "to": [servers], "ports": ports })
}

/// Public addresses.
pub(super) fn internet() -> Vec<Value> {
    [
        ("0.0.0.0/0", NOT_INTERNET_4.as_slice()),
        ("::/0", NOT_INTERNET_6.as_slice()),
    ]
    .into_iter()
    .map(|(range, except)| json!({ "ipBlock": { "cidr": range, "except": except } }))
    .collect()
}

/// TCP ports, each once.
pub(super) fn policy_ports(ports: &[u16]) -> Value {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    ports
        .into_iter()
        .map(|port| json!({ "port": port, "protocol": "TCP" }))
        .collect()
}
