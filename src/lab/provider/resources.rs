//! The lab's kinds at the management cluster, as the Cluster API v1beta2 contract wants them.
//!
//! Types and schemas only; what they mean is in the reconcilers beside this file.

#![expect(
    clippy::duplicated_attributes,
    reason = "printed columns of one kind share the type of their values"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The infrastructure of a lab cluster: nothing but the address at which its API server will listen.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "infrastructure.cluster.x-k8s.io",
    version = "v1alpha1",
    kind = "LabCluster",
    doc = "The infrastructure of a lab cluster: the address at which its API server listens.",
    namespaced,
    status = "LabClusterStatus",
    shortname = "labc",
    category = "cluster-api",
    printcolumn(
        name = "Endpoint",
        json_path = ".spec.controlPlaneEndpoint.port",
        type_ = "integer"
    ),
    printcolumn(
        name = "Ready",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        type_ = "string"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LabClusterSpec {
    /// Where the API server will listen. Set by the lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane_endpoint: Option<ApiEndpoint>,
}

/// The address of an API server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ApiEndpoint {
    /// Host name or IP address.
    #[schemars(length(min = 1, max = 512))]
    pub host: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// What the lab tells about a [`LabCluster`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabClusterStatus {
    /// How far the first provisioning is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialization: Option<InfrastructureInitialization>,
    /// `Ready` and `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether the infrastructure was provisioned once; never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct InfrastructureInitialization {
    /// Whether the infrastructure was provisioned once.
    pub provisioned: bool,
}

/// What a cluster class makes each [`LabCluster`] from.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "infrastructure.cluster.x-k8s.io",
    version = "v1alpha1",
    kind = "LabClusterTemplate",
    doc = "What a cluster class makes each LabCluster from.",
    namespaced,
    shortname = "labct",
    category = "cluster-api"
)]
pub struct LabClusterTemplateSpec {
    /// The template.
    pub template: LabClusterTemplateResource,
}

/// The part of a [`LabClusterTemplate`] that is copied.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct LabClusterTemplateResource {
    /// Labels and annotations for the copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// The specification of the copies.
    pub spec: LabClusterSpec,
}

/// Labels and annotations that a template hands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct TemplateMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// A whole control plane of the lab: kube-apiserver, controller manager, scheduler and fake nodes, as processes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "controlplane.cluster.x-k8s.io",
    version = "v1alpha1",
    kind = "LabControlPlane",
    doc = "A control plane of the lab, run as processes.",
    namespaced,
    status = "LabControlPlaneStatus",
    shortname = "labcp",
    category = "cluster-api",
    printcolumn(name = "Version", json_path = ".status.version", type_ = "string"),
    printcolumn(
        name = "Available",
        json_path = ".status.conditions[?(@.type==\"Available\")].status",
        type_ = "string"
    ),
    printcolumn(
        name = "Message",
        json_path = ".status.conditions[?(@.type==\"Available\")].message",
        type_ = "string",
        priority = 1
    )
)]
pub struct LabControlPlaneSpec {
    /// Kubernetes version (`v1.36.3`).
    #[schemars(length(min = 1, max = 256))]
    pub version: String,
    /// What else can be set.
    #[serde(flatten)]
    pub settings: ControlPlaneSettings,
}

/// What can be set on a control plane besides its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ControlPlaneSettings {
    /// Further names and addresses for the API server's certificate.
    #[serde(rename = "certSANs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub cert_sans: Vec<String>,
    /// Who issues the tokens of persons; without it only certificates and service accounts are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSettings>,
    /// The API server's `AuthenticationConfiguration`, as it is; `oidc` has no effect beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub authentication: Option<serde_json::Value>,
    /// How many fake nodes the cluster has.
    #[serde(default = "default_nodes")]
    #[schemars(range(min = 0, max = 50))]
    pub nodes: i32,
}

/// `OpenID` Connect as kube-apiserver is told about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OidcSettings {
    /// The client whose tokens are accepted: their audience.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The issuer, an https URL.
    #[serde(rename = "issuerURL")]
    pub issuer_url: String,
    /// The claim that names the person.
    #[serde(default = "default_username_claim")]
    pub username_claim: String,
    /// The claim that lists the groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// What is put before user names.
    #[serde(default = "default_prefix")]
    pub username_prefix: String,
    /// What is put before group names.
    #[serde(default = "default_prefix")]
    pub groups_prefix: String,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

const fn default_nodes() -> i32 {
    2
}

fn default_username_claim() -> String {
    "preferred_username".to_owned()
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}

fn default_prefix() -> String {
    "oidc:".to_owned()
}

/// What the lab tells about a [`LabControlPlane`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabControlPlaneStatus {
    /// How far the first start is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialization: Option<ControlPlaneInitialization>,
    /// The Kubernetes version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Always true: no Machine stands for this control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_managed_control_plane: Option<bool>,
    /// `Available` and `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether the control plane answered once; never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneInitialization {
    /// Whether the control plane answered once.
    pub control_plane_initialized: bool,
}

/// What a cluster class makes each [`LabControlPlane`] from.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "controlplane.cluster.x-k8s.io",
    version = "v1alpha1",
    kind = "LabControlPlaneTemplate",
    doc = "What a cluster class makes each LabControlPlane from.",
    namespaced,
    shortname = "labcpt",
    category = "cluster-api"
)]
pub struct LabControlPlaneTemplateSpec {
    /// The template.
    pub template: LabControlPlaneTemplateResource,
}

/// The part of a [`LabControlPlaneTemplate`] that is copied; the version comes from the Cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct LabControlPlaneTemplateResource {
    /// Labels and annotations for the copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// The specification of the copies.
    pub spec: ControlPlaneSettings,
}

/// The schema of `metav1.Condition` in a list keyed by type, so that each writer owns its own conditions.
fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                "message": {"type": "string", "maxLength": 32768}
            }
        }
    })
}
