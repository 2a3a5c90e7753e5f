//! Who may talk to the pods of an application, and whom they may talk to.
//!
//! Everything is closed in both directions; policies add up, so each one opens something. What a `NetworkPolicy` can and
//! can't say about the API server and the internet is told in docs/hardening.md.

use serde_json::{Value, json};

use super::around;
use crate::config::{App, NetworkPeer, NetworkRule};
use crate::desired::network::{
    any_application, dns, gateway, internet, namespace, policy, policy_ports, same_namespace,
};
use crate::desired::{Manifest, Site};

/// Where API servers of kubeadm's clusters listen. Policies see a connection after the Service's address was translated,
/// so it is this port and not 443.
const API_SERVER_PORT: u16 = 6443;

/// `default-deny`, `platform` (what every application may), and `declared` where something is.
pub(super) fn policies<Key>(app: &App, site: &Site<'_, Key>) -> Vec<Manifest> {
    let make = |name: &str, spec: Value| {
        let kind = ("networking.k8s.io/v1", "NetworkPolicy");
        around(app, site.environment, kind, name, json!({ "spec": spec }))
    };
    let mut policies = vec![
        make("default-deny", policy(None, None)),
        make("platform", platform(app, site.is_cluster_wide(&app.name))),
    ];
    if let Some(spec) = declared(app) {
        policies.push(make("declared", spec));
    }
    policies
}

/// Pods of one application, DNS, and the gateway for those it leads to. A login's issuer is behind the gateway too.
fn platform(app: &App, is_cluster_wide: bool) -> Value {
    let mut ingress = vec![json!({ "from": [same_namespace()] })];
    let mut egress = vec![json!({ "to": [same_namespace()] }), dns()];
    if app.hosts.iter().any(|host| host.backend().is_some()) {
        ingress.push(json!({ "from": gateway() }));
    }
    if !app.login.is_empty() {
        egress.push(json!({ "to": gateway() }));
    }
    if is_cluster_wide {
        // Operators and gateways serve all applications; whether one lets them in is its own declaration.
        egress.push(json!({ "to": [any_application()] }));
        egress.push(json!({ "ports": policy_ports(&[API_SERVER_PORT]) }));
    }
    policy(Some(ingress), Some(egress))
}

fn declared(app: &App) -> Option<Value> {
    let side = |rules: &[NetworkRule], key: &str, outwards: bool| {
        let mut rules: Vec<&NetworkRule> = rules.iter().collect();
        // The order of the declaration says nothing.
        rules.sort();
        rules.dedup();
        let rules = rules.into_iter().map(|rule| opening(rule, key, outwards));
        let rules: Vec<Value> = rules.collect();
        (!rules.is_empty()).then_some(rules)
    };
    let ingress = side(&app.network.allow_from, "from", false);
    let egress = side(&app.network.allow_to, "to", true);
    (ingress.is_some() || egress.is_some()).then(|| policy(ingress, egress))
}

/// One entry of `ingress` or `egress`; without peers it is open to everybody on its ports.
fn opening(rule: &NetworkRule, key: &str, outwards: bool) -> Value {
    let mut ports = rule.ports.clone();
    let peers = match &rule.peer {
        NetworkPeer::Gateway => Some(gateway()),
        NetworkPeer::Internet if outwards => Some(internet()),
        // A load balancer hands connections on from its own address or a node's, which nothing here knows.
        NetworkPeer::Internet => None,
        NetworkPeer::ApiServer => {
            if outwards && ports.is_empty() {
                ports.push(API_SERVER_PORT);
            }
            None
        }
        NetworkPeer::App(name) => Some(vec![namespace(name.as_str())]),
        NetworkPeer::Cidr(range) => Some(vec![json!({ "ipBlock": { "cidr": range.trunc().to_string() } })]),
    };
    let mut entry = json!({});
    if let Some(peers) = peers {
        entry[key] = peers.into();
    }
    if !ports.is_empty() {
        entry["ports"] = policy_ports(&ports);
    }
    entry
}
