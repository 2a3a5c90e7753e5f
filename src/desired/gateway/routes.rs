//! Routes from the gateway to Services of applications.

use serde_json::{Value, json};

use super::{GATEWAY, GATEWAY_NAMESPACE, HTTP, HTTPS};
use crate::config::{App, Environment, Host};
use crate::desired::{APP_LABEL, Manifest, marked};

const HTTP_ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");

/// One route for each host of `app` that leads to the gateway, in its namespace and sorted by host.
pub(in crate::desired) fn routes<Key>(app: &App, environment: &Environment<String, Key>) -> Vec<Manifest> {
    let mut hosts: Vec<&Host> = app.hosts.iter().collect();
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    hosts
        .into_iter()
        .filter_map(|host| route(app, environment, host))
        .collect()
}

fn route<Key>(app: &App, environment: &Environment<String, Key>, host: &Host) -> Option<Manifest> {
    let (service, port) = host.backend()?;
    let spec = json!({
        "hostnames": [format!("{}.{}", host.name, environment.domain)],
        "parentRefs": [parent(HTTPS)],
        "rules": [{ "backendRefs": [{ "name": service, "port": port }] }],
    });
    let route = marked(
        environment,
        HTTP_ROUTE,
        host.name.as_str(),
        json!({ "spec": spec }),
    );
    Some(
        route
            .in_namespace(app.name.as_str())
            .with_label(APP_LABEL, app.name.as_str()),
    )
}

/// Sends every host from http to https.
pub(in crate::desired) fn redirect<Text, Key>(environment: &Environment<Text, Key>) -> Manifest {
    let to_https = json!({
        "type": "RequestRedirect",
        "requestRedirect": { "scheme": "https", "statusCode": 301 },
    });
    let spec = json!({ "parentRefs": [parent(HTTP)], "rules": [{ "filters": [to_https] }] });
    marked(environment, HTTP_ROUTE, "https-only", json!({ "spec": spec })).in_namespace(GATEWAY_NAMESPACE)
}

pub(super) fn parent(listener: &str) -> Value {
    json!({ "name": GATEWAY, "namespace": GATEWAY_NAMESPACE, "sectionName": listener })
}
