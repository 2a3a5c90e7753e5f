//! Kubeconfigs with a client certificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Issued, PkiError};
use crate::config::yaml;
use crate::secret::Secret;

/// The text of a kubeconfig whose one context, `name`, reaches `server` as `client`. It holds the client's private
/// key, so it is secret.
pub fn kubeconfig(
    name: &str,
    server: &str,
    authority_pem: &str,
    client: &Issued,
) -> Result<Secret, PkiError> {
    let user = format!("{name}-admin");
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(authority_pem)},
        }],
        "users": [{
            "name": user,
            "user": {
                "client-certificate-data": STANDARD.encode(&client.certificate_pem),
                "client-key-data": STANDARD.encode(client.key_pem.expose()),
            },
        }],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    });
    yaml::to_text(&content)
        .map(Secret::new)
        .map_err(|error| PkiError::Kubeconfig {
            server: server.to_owned(),
            reason: error.message,
        })
}
