//! How Flux finds the rendered tree, and what all its Kustomizations have in common.

use serde_json::{Value, json};

use super::{Manifest, marked};
use crate::config::Environment;

/// Namespace of Flux.
pub const FLUX_NAMESPACE: &str = "flux-system";
/// File of the sync objects below `clusters/<environment>/`, where `flux bootstrap` writes them too.
pub const SYNC_FILE: &str = "flux-system/gotk-sync.yaml";
/// Name of the source, of its Secret, and of the root Kustomization.
pub(super) const SOURCE: &str = "flux-system";
/// Group, version and kind.
pub(super) const KUSTOMIZATION: (&str, &str) = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization");
/// Whom Flux acts as for the platform: the default account of the lockdown has no rights.
pub(super) const PLATFORM_ACCOUNT: &str = "kustomize-controller";
/// The Secret with the key that opens what is encrypted in Git.
pub const DECRYPTION_SECRET: &str = "sops-age";

/// A folder that Flux delivers by a Kustomization of its own.
pub(super) struct Folder {
    /// Kind and name of the source.
    pub(super) source: (&'static str, String),
    /// Path in the source, beginning with `./`.
    pub(super) path: String,
    /// Service account in Flux's namespace.
    pub(super) account: String,
    /// Where everything is put; `None` leaves it where it says.
    pub(super) namespace: Option<String>,
    /// Kustomizations that must be ready before.
    pub(super) depends_on: Vec<String>,
    /// How long everything in it may take to become ready before that counts as a failure.
    pub(super) timeout: String,
    /// Whether files may be encrypted.
    pub(super) is_encrypted: bool,
    /// What ready means for kinds that have no condition `Ready`.
    pub(super) health: Option<Value>,
}

/// The spec of a Kustomization. The hour between two looks is only for drift: a new commit is taken up at once, and the
/// controllers spread their looks by a jitter of 5 % themselves.
pub(super) fn kustomization_spec(folder: &Folder) -> Value {
    let (kind, name) = &folder.source;
    let mut spec = json!({
        "interval": "60m",
        "retryInterval": "1m",
        "timeout": folder.timeout,
        "sourceRef": { "kind": kind, "name": name },
        "path": folder.path,
    });
    if let Some(namespace) = &folder.namespace {
        spec["targetNamespace"] = namespace.as_str().into();
    }
    spec["serviceAccountName"] = folder.account.as_str().into();
    spec["prune"] = true.into();
    spec["wait"] = true.into();
    if folder.is_encrypted {
        spec["decryption"] = json!({ "provider": "sops", "secretRef": { "name": DECRYPTION_SECRET } });
    }
    if !folder.depends_on.is_empty() {
        spec["dependsOn"] = folder
            .depends_on
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
    }
    if let Some(health) = &folder.health {
        spec["healthCheckExprs"] = health.clone();
    }
    spec
}

/// The source and the root Kustomization.
pub(super) fn sync<Key>(environment: &Environment<String, Key>) -> Vec<Manifest> {
    vec![repository(environment), root(environment)]
}

fn repository<Key>(environment: &Environment<String, Key>) -> Manifest {
    let git = &environment.git;
    let mut spec = json!({ "interval": "1m", "url": git.url_for_flux(), "ref": { "branch": git.branch } });
    if git.for_flux().is_some() {
        spec["secretRef"] = json!({ "name": SOURCE });
    }
    let kind = ("source.toolkit.fluxcd.io/v1", "GitRepository");
    marked(environment, kind, SOURCE, json!({ "spec": spec })).in_namespace(FLUX_NAMESPACE)
}

/// Applies the tree.
fn root<Key>(environment: &Environment<String, Key>) -> Manifest {
    let spec = json!({
        "interval": "10m",
        "retryInterval": "1m",
        "timeout": "5m",
        "path": format!("./{}", environment.git.path),
        "prune": true,
        "serviceAccountName": PLATFORM_ACCOUNT,
        "sourceRef": { "kind": "GitRepository", "name": SOURCE },
    });
    marked(environment, KUSTOMIZATION, SOURCE, json!({ "spec": spec })).in_namespace(FLUX_NAMESPACE)
}
