//! What separates the cluster from what the controller wants of it. Pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::listeners::{self, Refusal};
use super::objects::{
    ClassSpec, GROUP, GatewaySpec, Key, Known, Listener, ObjectReference, ParentReference, RouteSpec,
    ServiceSpec, World,
};
use super::{CLASS, CONTROLLER, Kind};
use crate::lab::conditions::{self, Verdict};

/// Label of what belongs to a Gateway, as the Gateway API names it.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Apply this object.
    Apply { kind: Kind, key: Key, object: Value },
    /// Write these fields of the status, as long as the object is at this version.
    Status {
        kind: Kind,
        key: Key,
        version: Option<String>,
        status: Value,
    },
}

/// All changes, in an order in which they can be made.
pub(super) fn changes(world: &World, now: Timestamp) -> Vec<Change> {
    let ours = ours(world);
    let mut changes: Vec<Change> = class(world).into_iter().collect();
    changes.extend(world.classes.iter().filter_map(|class| class_status(class, now)));
    for gateway in &ours {
        changes.extend(service(world, gateway));
        changes.extend(gateway_status(world, gateway, now));
    }
    changes.extend(
        world
            .routes
            .iter()
            .filter_map(|route| route_status(world, &ours, route, now)),
    );
    changes
}

/// The Gateways of our classes that stay.
fn ours(world: &World) -> Vec<&Known<GatewaySpec>> {
    let classes: BTreeSet<String> = world
        .classes
        .iter()
        .filter(|class| class.spec.controller_name == CONTROLLER)
        .map(|class| class.object.name_any())
        .collect();
    let gateways = world.gateways.iter();
    gateways
        .filter(|gateway| classes.contains(&gateway.spec.gateway_class_name))
        .filter(|gateway| gateway.object.metadata.deletion_timestamp.is_none())
        .collect()
}

fn class(world: &World) -> Option<Change> {
    let is_there = world.classes.iter().any(|class| class.object.name_any() == CLASS);
    (!is_there).then(|| Change::Apply {
        kind: Kind::Class,
        key: (String::new(), CLASS.to_owned()),
        object: json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {
                "controllerName": CONTROLLER,
                "description": "The lab's gateway: it has an address, and nothing listens there.",
            },
        }),
    })
}

fn class_status(class: &Known<ClassSpec>, now: Timestamp) -> Option<Change> {
    if class.spec.controller_name != CONTROLLER {
        return None;
    }
    let verdict = Verdict::holds("Accepted", "Accepted");
    let conditions = judged(
        class.status("/conditions"),
        vec![verdict],
        class.generation(),
        now,
    );
    status(Kind::Class, class, json!({ "conditions": conditions }))
}

/// Name of the Service of a Gateway.
fn service_name(gateway: &Known<GatewaySpec>) -> String {
    format!(
        "{}-{}",
        gateway.object.name_any(),
        gateway.spec.gateway_class_name
    )
}

fn ports(gateway: &GatewaySpec) -> BTreeSet<u16> {
    gateway.listeners.iter().map(|listener| listener.port).collect()
}

fn find<'world>(world: &'world World, gateway: &Known<GatewaySpec>) -> Option<&'world Known<ServiceSpec>> {
    let wanted = (gateway.namespace(), service_name(gateway));
    world.services.iter().find(|service| service.key() == wanted)
}

fn is_owned(service: &Known<ServiceSpec>, gateway: &Known<GatewaySpec>) -> bool {
    let mut owners = service.object.owner_references().iter();
    owners.any(|owner| Some(&owner.uid) == gateway.object.metadata.uid.as_ref())
}

/// The load balancer in front of `gateway`, where it is not what it should be. One of somebody else is left alone.
fn service(world: &World, gateway: &Known<GatewaySpec>) -> Option<Change> {
    if let Some(service) = find(world, gateway) {
        let there: BTreeSet<u16> = service.spec.ports.iter().map(|port| port.port).collect();
        let is_right = service.spec.type_.as_deref() == Some("LoadBalancer") && there == ports(&gateway.spec);
        if is_right || !is_owned(service, gateway) {
            return None;
        }
    }
    let name = service_name(gateway);
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": gateway.namespace(),
            "labels": {GATEWAY_LABEL: gateway.object.name_any()},
            "ownerReferences": [{
                "apiVersion": format!("{GROUP}/v1"),
                "kind": "Gateway",
                "name": gateway.object.name_any(),
                "uid": gateway.object.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "type": "LoadBalancer",
            "ports": ports(&gateway.spec)
                .into_iter()
                .map(|port| json!({"name": format!("port-{port}"), "port": port, "protocol": "TCP"}))
                .collect::<Value>(),
        },
    });
    Some(Change::Apply {
        kind: Kind::Service,
        key: (gateway.namespace(), name),
        object,
    })
}

fn gateway_status(world: &World, gateway: &Known<GatewaySpec>, now: Timestamp) -> Option<Change> {
    let address = address(world, gateway);
    let mut verdicts = vec![gateway_accepted(&gateway.spec)];
    verdicts.push(match &address {
        Ok(_) => Verdict::holds("Programmed", "Programmed"),
        Err((reason, message)) => Verdict::fails("Programmed", reason, message.clone()),
    });
    let conditions = judged(gateway.status("/conditions"), verdicts, gateway.generation(), now);
    let listeners: Value = gateway
        .spec
        .listeners
        .iter()
        .map(|listener| listener_status(world, gateway, listener, now))
        .collect();
    let addresses = address.map_or(
        Value::Null,
        |address| json!([{"type": "IPAddress", "value": address}]),
    );
    let wanted = json!({"addresses": addresses, "conditions": conditions, "listeners": listeners});
    status(Kind::Gateway, gateway, wanted)
}

fn gateway_accepted(gateway: &GatewaySpec) -> Verdict {
    let invalid: Vec<&str> = gateway
        .listeners
        .iter()
        .filter(|listener| !listeners::is_valid(gateway, listener))
        .map(|listener| listener.name.as_str())
        .collect();
    let message = format!("not served: {}", invalid.join(", "));
    if invalid.is_empty() {
        Verdict::holds("Accepted", "Accepted")
    } else if invalid.len() == gateway.listeners.len() {
        Verdict::fails("Accepted", "ListenersNotValid", message)
    } else {
        Verdict {
            message,
            ..Verdict::holds("Accepted", "ListenersNotValid")
        }
    }
}

/// The address of the load balancer in front of `gateway`, or why there is none.
fn address(world: &World, gateway: &Known<GatewaySpec>) -> Result<String, Refusal> {
    let shown = format!("Service {}/{}", gateway.namespace(), service_name(gateway));
    let Some(service) = find(world, gateway) else {
        return Err(("AddressNotAssigned", format!("{shown} is not there yet")));
    };
    if !is_owned(service, gateway) {
        return Err((
            "NoResources",
            format!("{shown} is there already and not of this Gateway"),
        ));
    }
    let ingress = service.status("/loadBalancer/ingress/0/ip").as_str();
    ingress.map(str::to_owned).ok_or_else(|| {
        let message = format!("{shown} has no address from the load balancer yet");
        ("AddressNotAssigned", message)
    })
}

fn listener_status(
    world: &World,
    gateway: &Known<GatewaySpec>,
    listener: &Listener,
    now: Timestamp,
) -> Value {
    let known = gateway.status("/listeners").as_array();
    let before = known
        .and_then(|listeners| listeners.iter().find(|known| known["name"] == listener.name))
        .map_or(&Value::Null, |known| &known["conditions"]);
    let verdicts = listeners::verdicts(world, gateway, listener);
    json!({
        "name": listener.name,
        "supportedKinds": listeners::supported_kinds(listener),
        "attachedRoutes": attached(world, gateway, listener),
        "conditions": judged(before, verdicts, gateway.generation(), now),
    })
}

fn attached(world: &World, gateway: &Known<GatewaySpec>, listener: &Listener) -> usize {
    let is_attached = |route: &&Known<RouteSpec>| {
        parents(route).any(|(_, parent)| {
            refers_to(&parent, route, gateway)
                && listeners::taking(world, gateway, route, &parent)
                    .is_ok_and(|taking| taking.iter().any(|taking| taking.name == listener.name))
        })
    };
    world.routes.iter().filter(is_attached).count()
}

fn parents(route: &Known<RouteSpec>) -> impl Iterator<Item = (&Value, ParentReference)> {
    let references = route.spec.parent_refs.iter();
    references.filter_map(|written| Some((written, ParentReference::deserialize_from(written)?)))
}

fn refers_to(parent: &ParentReference, route: &Known<RouteSpec>, gateway: &Known<GatewaySpec>) -> bool {
    let namespace = parent.namespace.clone().unwrap_or_else(|| route.namespace());
    parent.group == GROUP && parent.kind == "Gateway" && (namespace, parent.name.clone()) == gateway.key()
}

/// What we say about a route beside what other controllers say. Nothing where it is none of ours and never was.
fn route_status(
    world: &World,
    ours: &[&Known<GatewaySpec>],
    route: &Known<RouteSpec>,
    now: Timestamp,
) -> Option<Change> {
    let before = route.status("/parents").as_array().map_or(&[][..], Vec::as_slice);
    let others = before.iter().filter(|said| said["controllerName"] != CONTROLLER);
    let mut said: Vec<Value> = others.cloned().collect();
    let backends = backends(world, route);
    for (written, parent) in parents(route) {
        let Some(gateway) = ours.iter().find(|gateway| refers_to(&parent, route, gateway)) else {
            continue;
        };
        let known = before
            .iter()
            .find(|said| said["controllerName"] == CONTROLLER && said["parentRef"] == *written)
            .map_or(&Value::Null, |said| &said["conditions"]);
        let accepted = match listeners::taking(world, gateway, route, &parent) {
            Ok(_) => Verdict::holds("Accepted", "Accepted"),
            Err((reason, message)) => Verdict::fails("Accepted", reason, message),
        };
        let conditions = judged(known, vec![accepted, backends.clone()], route.generation(), now);
        said.push(json!({"controllerName": CONTROLLER, "parentRef": written, "conditions": conditions}));
    }
    if said.is_empty() && before.is_empty() {
        return None;
    }
    status(Kind::Route, route, json!({ "parents": said }))
}

fn backends(world: &World, route: &Known<RouteSpec>) -> Verdict {
    let mut references = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
    match references.find_map(|reference| missing_backend(world, &route.namespace(), reference)) {
        None => Verdict::holds("ResolvedRefs", "ResolvedRefs"),
        Some((reason, message)) => Verdict::fails("ResolvedRefs", reason, message),
    }
}

fn missing_backend(world: &World, home: &str, reference: &ObjectReference) -> Option<Refusal> {
    let kind = reference.kind.as_deref().unwrap_or("Service");
    if kind != "Service" || !reference.group.is_empty() {
        return Some((
            "InvalidKind",
            format!("a route leads to a Service, not to a {kind}"),
        ));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(home);
    let shown = format!("Service {namespace}/{}", reference.name);
    if !world.is_granted(("HTTPRoute", home), ("", "Service"), (namespace, &reference.name)) {
        let message = format!("no ReferenceGrant in {namespace} lets a route of {home} lead to {shown}");
        return Some(("RefNotPermitted", message));
    }
    let wanted = (namespace.to_owned(), reference.name.clone());
    let Some(service) = world.services.iter().find(|service| service.key() == wanted) else {
        return Some(("BackendNotFound", format!("{shown} does not exist")));
    };
    let port = reference.port?;
    let has_port = service.spec.ports.iter().any(|known| known.port == port);
    (!has_port).then(|| ("BackendNotFound", format!("{shown} has no port {port}")))
}

impl ParentReference {
    fn deserialize_from(written: &Value) -> Option<Self> {
        serde_json::from_value(written.clone()).ok()
    }
}

/// `verdicts` as conditions: what was said `before` keeps its time while it stays true.
fn judged(before: &Value, verdicts: Vec<Verdict>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let known: Vec<Condition> = serde_json::from_value(before.clone()).unwrap_or_default();
    let mut said: Vec<Condition> = known
        .into_iter()
        .filter(|condition| verdicts.iter().any(|verdict| verdict.kind == condition.type_))
        .collect();
    for verdict in verdicts {
        conditions::set(&mut said, verdict, generation, now);
    }
    said
}

/// The change to `wanted`, unless the object says so already.
fn status<Spec>(kind: Kind, object: &Known<Spec>, wanted: Value) -> Option<Change> {
    let is_said = wanted.as_object().is_some_and(|fields| {
        fields
            .iter()
            .all(|(name, value)| object.status("")[name] == *value)
    });
    (!is_said).then(|| Change::Status {
        kind,
        key: object.key(),
        version: object.object.metadata.resource_version.clone(),
        status: wanted,
    })
}
