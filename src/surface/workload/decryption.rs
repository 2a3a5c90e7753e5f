//! The Secret by which Flux opens what is encrypted in Git.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::FLUX_NAMESPACE;
use crate::age::Identity;
use crate::desired::{DECRYPTION_SECRET, Manifest};
use crate::names::EnvironmentName;

/// That Secret with `identity`. kustomize-controller tries every key whose name ends in `.agekey` (Flux, "Decryption").
#[must_use]
pub fn decryption_secret(environment: &EnvironmentName, identity: &Identity) -> Manifest {
    let key = format!("{environment}.agekey");
    let content = json!({
        "type": "Opaque",
        // Not `stringData`: its fields have no owner after a server-side apply.
        "data": { key: STANDARD.encode(identity.secret().expose()) },
    });
    let content = content.as_object().cloned().unwrap_or_default();
    Manifest::build("v1", "Secret", DECRYPTION_SECRET, content).in_namespace(FLUX_NAMESPACE)
}
