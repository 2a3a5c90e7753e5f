//! The secret by which an application logs its users in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::desired::Manifest;
use crate::kubernetes::{ApplyOperation, Cluster, Ensure, KubernetesError};
use crate::plan::Plan;
use crate::secret::Secret;
use crate::surface::keycloak::Fingerprint;

/// What an application needs to know of its OIDC client.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The issuer's address.
    pub issuer: String,
    /// Client identifier.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
}

/// Annotation of a Secret that is kept in Git: the fingerprint of what it holds, by which one sees without a key whether that
/// is of now.
pub const SECRET_HASH: &str = "lotse.dev/secret-hash";

impl ClientCredentials {
    /// What the credentials are recognised by without being read.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let purpose = format!("{} {}", self.issuer, self.client_id);
        Fingerprint::over(&self.client_secret, &purpose)
    }
}

/// Applies Secret `name` with keys `issuer`, `clientId` and `clientSecret` in the application's namespace.
pub async fn apply_client_secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    credentials: &ClientCredentials,
) -> Result<Ensure, KubernetesError> {
    cluster.apply(&client_secret(namespace, name, credentials)).await
}

/// What separates that Secret from `credentials`; values are masked.
pub async fn plan_client_secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    credentials: &ClientCredentials,
) -> Result<Plan<ApplyOperation>, KubernetesError> {
    cluster.plan(&[client_secret(namespace, name, credentials)]).await
}

fn client_secret(namespace: &str, name: &str, credentials: &ClientCredentials) -> Manifest {
    let content = json!({
        "type": "Opaque",
        // Not `stringData`: its fields have no owner after a server-side apply.
        "data": {
            "issuer": STANDARD.encode(&credentials.issuer),
            "clientId": STANDARD.encode(&credentials.client_id),
            "clientSecret": STANDARD.encode(credentials.client_secret.expose()),
        },
    });
    let content = content.as_object().cloned().unwrap_or_default();
    Manifest::build("v1", "Secret", name, content).in_namespace(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_client_secret_holds_three_keys() {
        let credentials = ClientCredentials {
            issuer: "https://auth.test/realms/scs".into(),
            client_id: "grafana".into(),
            client_secret: Secret::new("hunter2"),
        };
        let secret = client_secret("monitoring", "grafana-oidc", &credentials);
        assert_eq!(secret.to_string(), "Secret/monitoring/grafana-oidc");
        assert_eq!(secret.value()["data"]["clientSecret"], "aHVudGVyMg==");
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
