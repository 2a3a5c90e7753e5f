//! Where all hosts of the environment lead to.
//!
//! The namespace comes with the platform. The Gateway, its certificate and the routes are kinds that cluster-wide
//! applications bring, so Flux delivers them apart, after those (docs/decisions/0009).

mod certificate;
mod routes;

use std::fmt;

use serde_json::{Value, json};

use self::certificate::CERTIFICATE;
pub(super) use self::certificate::{ZONE_KEY, needs_zone_key};
pub(super) use self::routes::{redirect, routes};
use super::app::kustomizations;
use super::flux::{self, FLUX_NAMESPACE, Folder, PLATFORM_ACCOUNT, SOURCE};
use super::network::{any_application, dns, gateway, policy};
use super::{APP_LABEL, Manifest, Site, marked, pod_security};
use crate::config::{Environment, Gateway};

/// Namespace of the gateway.
pub const GATEWAY_NAMESPACE: &str = "gateway";
/// The Service whose load-balancer address the wildcard record has, where no class of gateways is declared.
pub const GATEWAY_SERVICE: &str = "gateway";
/// Folder of the tree with everything that needs the Gateway API, and the Kustomization that delivers it.
pub(super) const GATEWAY_FOLDER: &str = "gateway";
/// Name of the `Gateway`.
const GATEWAY: &str = "gateway";
/// The listeners.
const HTTP: &str = "http";
const HTTPS: &str = "https";

/// Where an address is found that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressOf {
    /// `status.loadBalancer.ingress` of a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// `status.addresses` of a `Gateway` (`gateway.networking.k8s.io/v1`).
    Gateway {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for AddressOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { namespace, name } => write!(formatter, "Service {namespace}/{name}"),
            Self::Gateway { namespace, name } => write!(formatter, "Gateway {namespace}/{name}"),
        }
    }
}

/// Where the address of the gateway is found.
pub(super) fn address_of<Text, Key>(environment: &Environment<Text, Key>) -> AddressOf {
    let namespace = GATEWAY_NAMESPACE.to_owned();
    if environment.gateway.is_some() {
        let name = GATEWAY.to_owned();
        AddressOf::Gateway { namespace, name }
    } else {
        let name = GATEWAY_SERVICE.to_owned();
        AddressOf::Service { namespace, name }
    }
}

/// What the platform has of the gateway: the namespace with its network, and either the Kustomization of the gateway's
/// folder or, where no class is declared, the load balancer alone.
pub(super) fn platform<Key>(site: &Site<'_, Key>) -> Vec<Manifest> {
    let environment = site.environment;
    let namespace = marked(environment, ("v1", "Namespace"), GATEWAY_NAMESPACE, json!({}));
    let mut objects = vec![pod_security(namespace, environment, "restricted")];
    objects.extend(network_policies(environment));
    objects.push(if environment.gateway.is_some() {
        delivery(site)
    } else {
        load_balancer(environment)
    });
    objects
}

/// Anybody may come in; proxies that run here go on to the applications and to the controller that instructs them.
fn network_policies<Text, Key>(environment: &Environment<Text, Key>) -> [Manifest; 2] {
    let make = |name: &str, spec: Value| {
        let kind = ("networking.k8s.io/v1", "NetworkPolicy");
        marked(environment, kind, name, json!({ "spec": spec })).in_namespace(GATEWAY_NAMESPACE)
    };
    let mut peers = gateway();
    peers.push(any_application());
    let open = policy(Some(vec![json!({})]), Some(vec![json!({ "to": peers }), dns()]));
    [make("default-deny", policy(None, None)), make("platform", open)]
}

fn load_balancer<Text, Key>(environment: &Environment<Text, Key>) -> Manifest {
    let port =
        |name: &str, port: u16| json!({ "name": name, "port": port, "targetPort": name, "protocol": "TCP" });
    let spec = json!({
        "type": "LoadBalancer",
        "selector": { "app.kubernetes.io/name": "gateway" },
        "ports": [port(HTTP, 80), port(HTTPS, 443)],
    });
    let kind = ("v1", "Service");
    marked(environment, kind, GATEWAY_SERVICE, json!({ "spec": spec })).in_namespace(GATEWAY_NAMESPACE)
}

fn delivery<Key>(site: &Site<'_, Key>) -> Manifest {
    let cluster_wide = site.apps().filter(|app| site.is_cluster_wide(&app.name));
    let mut depends_on: Vec<String> = cluster_wide.flat_map(kustomizations).collect();
    // The root makes the namespaces that the routes are in.
    depends_on.push(SOURCE.to_owned());
    depends_on.sort_unstable();
    let folder = Folder {
        source: ("GitRepository", SOURCE.to_owned()),
        path: format!("./{}/{GATEWAY_FOLDER}", site.environment.git.path),
        account: PLATFORM_ACCOUNT.to_owned(),
        namespace: None,
        depends_on,
        timeout: "10m".to_owned(),
        is_encrypted: false,
        health: Some(json!([{
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "failed": "status.conditions.exists(c, c.type == 'Accepted' && c.status == 'False')",
            "current": "status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True')",
        }])),
    };
    let content = json!({ "spec": flux::kustomization_spec(&folder) });
    marked(site.environment, flux::KUSTOMIZATION, GATEWAY_FOLDER, content).in_namespace(FLUX_NAMESPACE)
}

/// The Gateway, its certificate, and the way from http to https.
pub(super) fn objects<Key>(site: &Site<'_, Key>, declared: &Gateway) -> Vec<Manifest> {
    let environment = site.environment;
    let hosts = site
        .apps()
        .flat_map(|app| &app.hosts)
        .filter(|host| host.backend().is_some());
    let mut hosts: Vec<String> = hosts
        .map(|host| format!("{}.{}", host.name, environment.domain))
        .collect();
    hosts.sort_unstable();
    let mut objects = vec![listeners(environment, declared)];
    objects.extend(certificate::objects(environment, declared, &hosts));
    objects.push(redirect(environment));
    objects
}

/// Only namespaces of applications may attach routes, and only to https; their routes are rendered, nobody else may write
/// any.
fn listeners<Key>(environment: &Environment<String, Key>, declared: &Gateway) -> Manifest {
    let hosts = format!("*.{}", environment.domain);
    let routes = json!([{ "kind": "HTTPRoute" }]);
    let applications = json!({ "matchExpressions": [{ "key": APP_LABEL, "operator": "Exists" }] });
    let spec = json!({
        "gatewayClassName": declared.class,
        "listeners": [
            {
                "name": HTTP,
                "hostname": hosts,
                "port": 80,
                "protocol": "HTTP",
                "allowedRoutes": { "kinds": routes, "namespaces": { "from": "Same" } },
            },
            {
                "name": HTTPS,
                "hostname": hosts,
                "port": 443,
                "protocol": "HTTPS",
                "tls": { "mode": "Terminate", "certificateRefs": [{ "kind": "Secret", "name": CERTIFICATE }] },
                "allowedRoutes": {
                    "kinds": routes,
                    "namespaces": { "from": "Selector", "selector": applications },
                },
            },
        ],
    });
    let kind = ("gateway.networking.k8s.io/v1", "Gateway");
    marked(environment, kind, GATEWAY, json!({ "spec": spec })).in_namespace(GATEWAY_NAMESPACE)
}
