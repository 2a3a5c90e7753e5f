//! The controller's decisions about small clusters.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values are written where they are passed"
)]

use std::sync::Arc;

use super::*;

fn object(value: Value) -> Arc<DynamicObject> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn one(kind: &str, namespace: &str, name: &str, spec: Value, status: Value) -> Arc<DynamicObject> {
    object(json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{name}"), "generation": 3},
        "spec": spec,
        "status": status,
    }))
}

/// A cluster with a Gateway for HTTP and HTTPS that takes routes of namespaces with the label `app`.
struct Cluster {
    gateways: Vec<Arc<DynamicObject>>,
    routes: Vec<Arc<DynamicObject>>,
    grants: Vec<Arc<DynamicObject>>,
    services: Vec<Arc<DynamicObject>>,
    certificates: Vec<Arc<DynamicObject>>,
}

impl Cluster {
    fn new() -> Self {
        let allowed =
            json!({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"app": "yes"}}}});
        let spec = json!({
            "gatewayClassName": "lab",
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"},
                {
                    "name": "https",
                    "port": 443,
                    "protocol": "HTTPS",
                    "hostname": "*.lab.test",
                    "tls": {"certificateRefs": [{"kind": "Secret", "name": "wildcard"}]},
                    "allowedRoutes": allowed,
                },
            ],
        });
        Self {
            gateways: vec![one("Gateway", "gateway", "gateway", spec, Value::Null)],
            routes: Vec::new(),
            grants: Vec::new(),
            services: Vec::new(),
            certificates: Vec::new(),
        }
    }

    fn with_service(mut self) -> Self {
        self.services.push(object(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "namespace": "gateway",
                "name": "gateway-lab",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Gateway", "name": "gateway", "uid": "uid-gateway"},
                ],
            },
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.0.7.10"}]}},
        })));
        self
    }

    fn with_certificate(mut self) -> Self {
        self.certificates.push(object(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": "gateway", "name": "wildcard"},
        })));
        self
    }

    fn with_backend(mut self, namespace: &str, name: &str) -> Self {
        let spec = json!({"type": "ClusterIP", "ports": [{"port": 80}]});
        self.services
            .push(one("Service", namespace, name, spec, json!({})));
        self
    }

    fn with_route(mut self, namespace: &str, parent: Value, backend: Value) -> Self {
        let spec = json!({
            "parentRefs": [parent],
            "hostnames": ["web.lab.test"],
            "rules": [{"backendRefs": [backend]}],
        });
        self.routes
            .push(one("HTTPRoute", namespace, "web", spec, Value::Null));
        self
    }

    fn changes(self) -> Vec<Change> {
        let namespace = |name: &str, app: &str| {
            object(json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"app": app}},
            }))
        };
        let class = |name: &str, controller: &str| {
            let spec = json!({"controllerName": controller});
            let status = json!({"conditions": [{
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]});
            object(json!({
                "apiVersion": "v1",
                "kind": "GatewayClass",
                "metadata": {"name": name, "generation": 3},
                "spec": spec,
                "status": status,
            }))
        };
        let world = World {
            classes: read(vec![
                class("lab", CONTROLLER),
                class("envoy", "example.org/envoy"),
            ]),
            gateways: read(self.gateways),
            routes: read(self.routes),
            grants: read(self.grants),
            services: read(self.services),
            certificates: self.certificates,
            namespaces: vec![namespace("web", "yes"), namespace("other", "no")],
        };
        changes(&world, Timestamp::UNIX_EPOCH)
    }
}

fn status_of(changes: &[Change], wanted: Kind) -> Value {
    let found = changes.iter().find_map(|change| match change {
        Change::Status { kind, status, .. } if *kind == wanted => Some(status.clone()),
        _ => None,
    });
    found.unwrap()
}

/// `True Reason` of each condition.
fn said(conditions: &Value) -> Vec<String> {
    let conditions = conditions.as_array().unwrap().iter();
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    conditions
        .map(|condition| {
            let [kind, status, reason] = ["type", "status", "reason"].map(|field| text(condition, field));
            format!("{kind} {status} {reason}")
        })
        .collect()
}

fn route_says(cluster: Cluster) -> (Vec<String>, String) {
    let status = status_of(&cluster.changes(), Kind::Route);
    let conditions = &status["parents"][0]["conditions"];
    let messages = conditions.as_array().unwrap().iter();
    let messages: Vec<&str> = messages.filter_map(|each| each["message"].as_str()).collect();
    (said(conditions), messages.concat())
}

fn gateway_ref(section: Option<&str>) -> Value {
    let mut parent = json!({"name": "gateway", "namespace": "gateway"});
    if let Some(section) = section {
        parent["sectionName"] = section.into();
    }
    parent
}

#[test]
fn test_a_new_gateway_gets_a_load_balancer_and_waits_for_its_address() {
    let changes = Cluster::new().changes();
    let Change::Apply { key, object, .. } = &changes[0] else {
        panic!("{changes:?}");
    };
    assert_eq!(key, &("gateway".to_owned(), "gateway-lab".to_owned()));
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "uid-gateway");
    assert_eq!(object["spec"]["ports"][1]["port"], 443);
    let status = status_of(&changes, Kind::Gateway);
    assert_eq!(
        said(&status["conditions"]),
        ["Accepted True Accepted", "Programmed False AddressNotAssigned"]
    );
    assert_eq!(status["addresses"], Value::Null);
    assert_eq!(
        said(&status["listeners"][1]["conditions"])[2],
        "ResolvedRefs False InvalidCertificateRef"
    );
}

#[test]
fn test_address_and_listeners_are_told() {
    let status = status_of(
        &Cluster::new().with_service().with_certificate().changes(),
        Kind::Gateway,
    );
    assert_eq!(
        status["addresses"],
        json!([{"type": "IPAddress", "value": "127.0.7.10"}])
    );
    assert_eq!(said(&status["conditions"])[1], "Programmed True Programmed");
    assert_eq!(
        said(&status["listeners"][1]["conditions"]),
        [
            "Accepted True Accepted",
            "Conflicted False NoConflicts",
            "ResolvedRefs True ResolvedRefs",
            "Programmed True Programmed"
        ]
    );
}

#[test]
fn test_what_is_said_already_is_not_said_again() {
    let first = Cluster::new().with_service().with_certificate();
    let status = status_of(&first.changes(), Kind::Gateway);
    let mut cluster = Cluster::new().with_service().with_certificate();
    let spec = cluster.gateways[0].data["spec"].clone();
    cluster.gateways = vec![one("Gateway", "gateway", "gateway", spec, status)];
    assert_eq!(cluster.changes(), []);
}

#[test]
fn test_gateways_of_other_classes_are_left_alone() {
    let mut cluster = Cluster::new();
    let mut spec = cluster.gateways[0].data["spec"].clone();
    spec["gatewayClassName"] = "envoy".into();
    cluster.gateways = vec![one("Gateway", "gateway", "gateway", spec, Value::Null)];
    let cluster = cluster.with_route("web", gateway_ref(None), json!({"name": "web", "port": 80}));
    assert_eq!(cluster.changes(), []);
}

#[test]
fn test_a_service_of_somebody_else_is_not_taken() {
    let cluster = Cluster::new().with_backend("gateway", "gateway-lab");
    let changes = cluster.changes();
    assert!(
        !changes
            .iter()
            .any(|change| matches!(change, Change::Apply { .. })),
        "{changes:?}"
    );
    let conditions = &status_of(&changes, Kind::Gateway)["conditions"];
    assert_eq!(said(conditions)[1], "Programmed False NoResources");
}

#[test]
fn test_a_route_is_attached_and_counted() {
    let cluster = || {
        let backend = json!({"name": "web", "port": 80});
        let cluster = Cluster::new().with_service().with_certificate();
        cluster
            .with_backend("web", "web")
            .with_route("web", gateway_ref(Some("https")), backend)
    };
    let (conditions, _) = route_says(cluster());
    assert_eq!(
        conditions,
        ["Accepted True Accepted", "ResolvedRefs True ResolvedRefs"]
    );
    let status = status_of(&cluster().changes(), Kind::Gateway);
    let counts = [0, 1].map(|index| status["listeners"][index]["attachedRoutes"].clone());
    assert_eq!(counts, [json!(0), json!(1)]);
}

#[test]
fn test_a_missing_backend_is_named() {
    let backend = |name: &str, port: u16| {
        let backend = json!({"name": name, "port": port});
        Cluster::new()
            .with_backend("web", "web")
            .with_route("web", gateway_ref(None), backend)
    };
    for (cluster, message) in [
        (backend("shop", 80), "Service web/shop does not exist"),
        (backend("web", 81), "Service web/web has no port 81"),
    ] {
        let (conditions, messages) = route_says(cluster);
        assert_eq!(conditions[1], "ResolvedRefs False BackendNotFound");
        assert_eq!(messages, message);
    }
}

#[test]
fn test_backends_elsewhere_need_a_grant() {
    let backend = json!({"name": "web", "namespace": "other", "port": 80});
    let cluster = || {
        let cluster = Cluster::new().with_backend("other", "web");
        cluster.with_route("web", gateway_ref(None), backend.clone())
    };
    assert_eq!(route_says(cluster()).0[1], "ResolvedRefs False RefNotPermitted");
    let mut granted = cluster();
    let spec = json!({
        "from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "web"}],
        "to": [{"group": "", "kind": "Service"}],
    });
    granted
        .grants
        .push(one("ReferenceGrant", "other", "web", spec, Value::Null));
    assert_eq!(route_says(granted).0[1], "ResolvedRefs True ResolvedRefs");
}

#[test]
fn test_refused_routes_are_told_why() {
    let backend = json!({"name": "web", "port": 80});
    for (namespace, section, reason) in [
        ("web", Some("tcp"), "NoMatchingParent"),
        ("web", Some("http"), "NotAllowedByListeners"),
        ("other", Some("https"), "NotAllowedByListeners"),
    ] {
        let cluster = Cluster::new().with_route(namespace, gateway_ref(section), backend.clone());
        let (conditions, _) = route_says(cluster);
        assert_eq!(
            conditions[0],
            format!("Accepted False {reason}"),
            "{namespace} {section:?}"
        );
    }
    let mut cluster = Cluster::new().with_route("web", gateway_ref(Some("https")), backend);
    let mut spec = cluster.routes[0].data["spec"].clone();
    spec["hostnames"] = json!(["web.elsewhere.test"]);
    cluster.routes = vec![one("HTTPRoute", "web", "web", spec, Value::Null)];
    assert_eq!(
        route_says(cluster).0[0],
        "Accepted False NoMatchingListenerHostname"
    );
}

#[test]
fn test_what_other_controllers_say_about_a_route_stays() {
    let backend = json!({"name": "web", "port": 80});
    let mut cluster = Cluster::new().with_route("web", gateway_ref(None), backend);
    let theirs = json!({"controllerName": "example.org/envoy", "parentRef": {"name": "x"}, "conditions": []});
    let spec = cluster.routes[0].data["spec"].clone();
    let status = json!({ "parents": [theirs] });
    cluster.routes = vec![one("HTTPRoute", "web", "web", spec, status)];
    let parents = status_of(&cluster.changes(), Kind::Route)["parents"].clone();
    assert_eq!(parents[0], theirs);
    assert_eq!(parents[1]["controllerName"], CONTROLLER);
}

#[test]
fn test_the_class_is_made_where_it_is_missing() {
    let changes = changes(&World::default(), Timestamp::UNIX_EPOCH);
    let [Change::Apply { object, .. }] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(object["spec"]["controllerName"], CONTROLLER);
}
