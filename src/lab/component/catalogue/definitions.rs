//! Definitions of kinds that are not Kubernetes' own, each from the module of those who wrote it: read when they are
//! needed, never copied into this repository.

use super::{GoRecipe, ShareFile};

/// The directory below `share/` with the definitions, a file for each.
pub(super) const DIRECTORY: &str = "definitions";

/// The definitions in one directory of `module`, pinned by `go_mod` and `go_sum`.
const fn recipe(
    module: &'static str,
    (go_mod, go_sum): (&'static str, &'static str),
    share: &'static [ShareFile],
) -> GoRecipe {
    GoRecipe {
        go_mod,
        go_sum,
        module,
        package: None,
        cgo_tags: None,
        stamped: false,
        share,
        edits: &[],
    }
}

macro_rules! pinned {
    ($name:literal) => {
        (
            include_str!(concat!("../../modules/", $name, "/go.mod")),
            include_str!(concat!("../../modules/", $name, "/go.sum")),
        )
    };
}

macro_rules! definitions_in {
    ($directory:literal) => {
        &[ShareFile::Copied {
            to: DIRECTORY,
            from: $directory,
        }]
    };
}

/// The standard channel.
pub(super) static GATEWAY_API: GoRecipe = recipe(
    "sigs.k8s.io/gateway-api",
    pinned!("gateway-api"),
    definitions_in!("config/crd/standard"),
);
pub(super) static CERT_MANAGER: GoRecipe = recipe(
    "github.com/cert-manager/cert-manager",
    pinned!("cert-manager"),
    definitions_in!("deploy/crds"),
);
pub(super) static CLOUDNATIVE_PG: GoRecipe = recipe(
    "github.com/cloudnative-pg/cloudnative-pg",
    pinned!("cloudnative-pg"),
    definitions_in!("config/crd/bases"),
);
pub(super) static BARMAN_CLOUD: GoRecipe = recipe(
    "github.com/cloudnative-pg/plugin-barman-cloud",
    pinned!("plugin-barman-cloud"),
    definitions_in!("config/crd/bases"),
);
pub(super) static PROMETHEUS_OPERATOR: GoRecipe = recipe(
    "github.com/prometheus-operator/prometheus-operator",
    pinned!("prometheus-operator"),
    definitions_in!("example/prometheus-operator-crd"),
);
/// Envoy Gateway's own kinds, without those of the Gateway API.
pub(super) static ENVOY_GATEWAY: GoRecipe = recipe(
    "github.com/envoyproxy/gateway",
    pinned!("envoy-gateway"),
    definitions_in!("charts/gateway-helm/charts/crds/crds/generated"),
);
