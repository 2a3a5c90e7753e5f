//! What is to be said about the listeners of a Gateway, and which of them take a route. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::objects::{
    AllowedNamespaces, GROUP, GatewaySpec, Known, Listener, ObjectReference, ParentReference, RouteSpec,
    World, key,
};
use crate::lab::conditions::Verdict;

const ROUTE_KIND: &str = "HTTPRoute";

/// Why a route is not attached: reason and message.
pub(super) type Refusal = (&'static str, String);

/// The verdicts about `listener` of `gateway`.
pub(super) fn verdicts(world: &World, gateway: &Known<GatewaySpec>, listener: &Listener) -> Vec<Verdict> {
    let accepted = protocol_fault(listener);
    let conflict = conflict(&gateway.spec, listener);
    let unresolved = unresolved(world, gateway, listener);
    let serves = accepted.is_none() && conflict.is_none() && unresolved.is_none();
    let fails = |kind, (reason, message): Refusal| Verdict::fails(kind, reason, message);
    vec![
        accepted.map_or_else(
            || Verdict::holds("Accepted", "Accepted"),
            |refusal| fails("Accepted", refusal),
        ),
        conflict.map_or_else(
            || Verdict::fails("Conflicted", "NoConflicts", ""),
            |(reason, message)| Verdict {
                message,
                ..Verdict::holds("Conflicted", reason)
            },
        ),
        unresolved.map_or_else(
            || Verdict::holds("ResolvedRefs", "ResolvedRefs"),
            |refusal| fails("ResolvedRefs", refusal),
        ),
        if serves {
            Verdict::holds("Programmed", "Programmed")
        } else {
            Verdict::fails("Programmed", "Invalid", "the other conditions say why")
        },
    ]
}

/// Whether anything can be reached at `listener` but for its certificate.
pub(super) fn is_valid(gateway: &GatewaySpec, listener: &Listener) -> bool {
    protocol_fault(listener).is_none() && conflict(gateway, listener).is_none()
}

/// The kinds of routes that `listener` takes of those the lab knows.
pub(super) fn supported_kinds(listener: &Listener) -> Value {
    let kinds = &listener.allowed_routes.kinds;
    let named = kinds
        .iter()
        .any(|kind| kind.kind == ROUTE_KIND && kind.group == GROUP);
    if protocol_fault(listener).is_none() && (kinds.is_empty() || named) {
        json!([{"group": GROUP, "kind": ROUTE_KIND}])
    } else {
        json!([])
    }
}

fn protocol_fault(listener: &Listener) -> Option<Refusal> {
    let refused = |message| Some(("UnsupportedProtocol", message));
    match listener.protocol.as_str() {
        "HTTP" => None,
        "HTTPS" if listener.tls.mode.as_deref().unwrap_or("Terminate") == "Terminate" => None,
        "HTTPS" => refused("the lab's gateway ends TLS itself: mode Terminate".to_owned()),
        other => refused(format!("the lab's gateway knows HTTP and HTTPS, not {other}")),
    }
}

fn conflict(gateway: &GatewaySpec, listener: &Listener) -> Option<Refusal> {
    let other = gateway
        .listeners
        .iter()
        .find(|other| other.port == listener.port && other.protocol != listener.protocol)?;
    let message = format!("listener {} has the same port and another protocol", other.name);
    Some(("ProtocolConflict", message))
}

fn unresolved(world: &World, gateway: &Known<GatewaySpec>, listener: &Listener) -> Option<Refusal> {
    if let Some(kind) = listener
        .allowed_routes
        .kinds
        .iter()
        .find(|kind| kind.kind != ROUTE_KIND || kind.group != GROUP)
    {
        let message = format!("the lab's gateway knows no {} of {}", kind.kind, kind.group);
        return Some(("InvalidRouteKinds", message));
    }
    if listener.protocol != "HTTPS" {
        return None;
    }
    let references = &listener.tls.certificate_refs;
    if references.is_empty() {
        return Some(("InvalidCertificateRef", "no certificate is named".to_owned()));
    }
    references
        .iter()
        .find_map(|reference| unresolved_certificate(world, &gateway.namespace(), reference))
}

fn unresolved_certificate(world: &World, home: &str, reference: &ObjectReference) -> Option<Refusal> {
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    if kind != "Secret" || !reference.group.is_empty() {
        return Some((
            "InvalidCertificateRef",
            format!("a certificate is in a Secret, not in a {kind}"),
        ));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(home);
    let shown = format!("Secret {namespace}/{}", reference.name);
    if !world.is_granted(("Gateway", home), ("", "Secret"), (namespace, &reference.name)) {
        return Some((
            "RefNotPermitted",
            format!("no ReferenceGrant in {namespace} lets a Gateway of {home} use {shown}"),
        ));
    }
    let wanted = (namespace.to_owned(), reference.name.clone());
    let is_there = world.certificates.iter().any(|secret| key(secret) == wanted);
    (!is_there).then(|| {
        (
            "InvalidCertificateRef",
            format!("there is no {shown} of type kubernetes.io/tls"),
        )
    })
}

/// The listeners of `gateway` that take `route` by `parent`, or why none does.
pub(super) fn taking<'gateway>(
    world: &World,
    gateway: &'gateway Known<GatewaySpec>,
    route: &Known<RouteSpec>,
    parent: &ParentReference,
) -> Result<Vec<&'gateway Listener>, Refusal> {
    let mut listeners: Vec<&Listener> = gateway.spec.listeners.iter().collect();
    listeners.retain(|listener| {
        parent
            .section_name
            .as_ref()
            .is_none_or(|name| *name == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    });
    if listeners.is_empty() {
        return Err(("NoMatchingParent", "the Gateway has no such listener".to_owned()));
    }
    listeners.retain(|listener| allows(world, gateway, listener, &route.namespace()));
    if listeners.is_empty() {
        let message = format!("no listener takes routes of namespace {}", route.namespace());
        return Err(("NotAllowedByListeners", message));
    }
    listeners.retain(|listener| hosts_meet(listener.hostname.as_deref(), &route.spec.hostnames));
    if listeners.is_empty() {
        let message = format!("no listener is for {}", route.spec.hostnames.join(", "));
        return Err(("NoMatchingListenerHostname", message));
    }
    Ok(listeners)
}

fn allows(world: &World, gateway: &Known<GatewaySpec>, listener: &Listener, namespace: &str) -> bool {
    if supported_kinds(listener) == json!([]) {
        return false;
    }
    let AllowedNamespaces { from, selector } = &listener.allowed_routes.namespaces;
    match from.as_deref().unwrap_or("Same") {
        "All" => true,
        "Same" => gateway.namespace() == namespace,
        "Selector" => selector
            .clone()
            .and_then(|selector| Selector::try_from(selector).ok())
            .is_some_and(|selector| selector.matches(&labels(world, namespace))),
        _ => false,
    }
}

fn labels(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let found = world
        .namespaces
        .iter()
        .find(|object| object.meta().name.as_deref() == Some(namespace));
    found.map(|object| object.labels().clone()).unwrap_or_default()
}

/// Whether a listener for `listener` serves any of `hosts`. Either side says nothing to mean every name.
fn hosts_meet(listener: Option<&str>, hosts: &[String]) -> bool {
    match listener {
        None => true,
        Some(_) if hosts.is_empty() => true,
        Some(listener) => hosts.iter().any(|host| host_meets(listener, host)),
    }
}

/// A wildcard stands for one label or more.
fn host_meets(one: &str, other: &str) -> bool {
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (None, None) => one == other,
        (Some(suffix), None) => is_below(other, suffix),
        (None, Some(suffix)) => is_below(one, suffix),
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
    }
}

fn is_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_wildcards_stand_for_one_label_or_more() {
        for (one, other, meets) in [
            ("a.example.org", "a.example.org", true),
            ("a.example.org", "b.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "aexample.org", false),
            ("*.example.org", "*.b.example.org", true),
            ("*.example.org", "*.example.com", false),
        ] {
            assert_eq!(host_meets(one, other), meets, "{one} {other}");
            assert_eq!(host_meets(other, one), meets, "{other} {one}");
        }
        assert!(hosts_meet(None, &["a.test".to_owned()]));
        assert!(hosts_meet(Some("*.test"), &[]));
    }
}
