//! What the controller reads of the cluster's objects, with the defaults of the Gateway API's definitions. Pure.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The Gateway API's group.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";

/// Namespace and name.
pub(super) type Key = (String, String);

/// Everything the controller decides by.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) classes: Vec<Known<ClassSpec>>,
    pub(super) gateways: Vec<Known<GatewaySpec>>,
    pub(super) routes: Vec<Known<RouteSpec>>,
    pub(super) grants: Vec<Known<GrantSpec>>,
    pub(super) services: Vec<Known<ServiceSpec>>,
    /// TLS Secrets; nothing is kept of what is in them.
    pub(super) certificates: Vec<Arc<DynamicObject>>,
    pub(super) namespaces: Vec<Arc<DynamicObject>>,
}

/// An object and what it says.
#[derive(Debug)]
pub(super) struct Known<Spec> {
    pub(super) object: Arc<DynamicObject>,
    pub(super) spec: Spec,
}

/// `GatewayClass`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClassSpec {
    pub(super) controller_name: String,
}

/// `Gateway`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GatewaySpec {
    pub(super) gateway_class_name: String,
    pub(super) listeners: Vec<Listener>,
}

/// One port and name at which a Gateway is reached.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) hostname: Option<String>,
    pub(super) port: u16,
    pub(super) protocol: String,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) allowed_routes: AllowedRoutes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tls {
    pub(super) mode: Option<String>,
    #[serde(default)]
    pub(super) certificate_refs: Vec<ObjectReference>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct AllowedRoutes {
    #[serde(default)]
    pub(super) namespaces: AllowedNamespaces,
    #[serde(default)]
    pub(super) kinds: Vec<RouteKind>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct AllowedNamespaces {
    /// `Same` where nothing is said.
    pub(super) from: Option<String>,
    pub(super) selector: Option<LabelSelector>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RouteKind {
    #[serde(default = "gateway_group")]
    pub(super) group: String,
    pub(super) kind: String,
}

/// A reference to a Secret or a Service.
#[derive(Debug, Deserialize)]
pub(super) struct ObjectReference {
    #[serde(default)]
    pub(super) group: String,
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

/// `HTTPRoute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteSpec {
    /// As they are written, since the status repeats them.
    #[serde(default)]
    pub(super) parent_refs: Vec<Value>,
    #[serde(default)]
    pub(super) hostnames: Vec<String>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) backend_refs: Vec<ObjectReference>,
}

/// To what a route wants to be attached.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParentReference {
    #[serde(default = "gateway_group")]
    pub(super) group: String,
    #[serde(default = "gateway_kind")]
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) section_name: Option<String>,
    pub(super) port: Option<u16>,
}

/// `ReferenceGrant`.
#[derive(Debug, Deserialize)]
pub(super) struct GrantSpec {
    pub(super) from: Vec<GrantFrom>,
    pub(super) to: Vec<GrantTo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GrantFrom {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct GrantTo {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: Option<String>,
}

/// `Service`.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) type_: Option<String>,
    #[serde(default)]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServicePort {
    pub(super) port: u16,
}

fn gateway_group() -> String {
    GROUP.to_owned()
}

fn gateway_kind() -> String {
    "Gateway".to_owned()
}

impl<Spec> Known<Spec> {
    pub(super) fn key(&self) -> Key {
        key(&self.object)
    }

    pub(super) fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.object.metadata.generation
    }

    /// `status`, or one field of it.
    pub(super) fn status(&self, pointer: &str) -> &Value {
        self.object
            .data
            .pointer(&format!("/status{pointer}"))
            .unwrap_or(&Value::Null)
    }
}

impl World {
    /// Whether an object of `from` (kind and namespace) may refer to `to` (group and kind) `name` in `namespace`.
    pub(super) fn is_granted(
        &self,
        (kind, from): (&str, &str),
        (to_group, to_kind): (&str, &str),
        (namespace, name): (&str, &str),
    ) -> bool {
        let allows = |grant: &GrantSpec| {
            let comes = |rule: &GrantFrom| rule.group == GROUP && rule.kind == kind && rule.namespace == from;
            let goes = |rule: &GrantTo| {
                rule.group == to_group
                    && rule.kind == to_kind
                    && rule.name.as_deref().is_none_or(|granted| granted == name)
            };
            grant.from.iter().any(comes) && grant.to.iter().any(goes)
        };
        from == namespace
            || self
                .grants
                .iter()
                .filter(|grant| grant.namespace() == namespace)
                .any(|grant| allows(&grant.spec))
    }
}

/// Namespace and name of `object`.
pub(super) fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// What `objects` say. One that the definitions would have refused is left out.
pub(super) fn read<Spec: DeserializeOwned>(objects: Vec<Arc<DynamicObject>>) -> Vec<Known<Spec>> {
    let known = objects.into_iter().filter_map(|object| {
        let spec = serde_json::from_value(object.data.get("spec")?.clone());
        let spec = spec
            .inspect_err(|error| tracing::warn!(name = %object.name_any(), %error, "gateway"))
            .ok()?;
        Some(Known { object, spec })
    });
    let mut known: Vec<_> = known.collect();
    known.sort_by_key(Known::key);
    known
}
