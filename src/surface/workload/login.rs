//! The secret by which an application logs its users in.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use kube::core::DynamicObject;

use crate::desired::{self, APP_LABEL, Manifest};
use crate::kubernetes::{ApplyOperation, Cluster, Ensure, FIELD_MANAGER, KubernetesError, ObjectReference};
use crate::names::EnvironmentName;
use crate::plan::{FieldConflict, Plan};
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

/// The Secret of a login in its application's namespace.
#[derive(Clone, Copy, Debug)]
pub struct LoginSecret<'declared> {
    /// The environment whose mark it carries.
    pub environment: &'declared EnvironmentName,
    /// Namespace, which has the application's name.
    pub namespace: &'declared str,
    /// Name.
    pub name: &'declared str,
}

impl LoginSecret<'_> {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        ObjectReference::new("v1", "Secret", self.name).in_namespace(self.namespace)
    }

    /// Applies it with keys `issuer`, `clientId` and `clientSecret`.
    ///
    /// # Errors
    /// When the cluster does not take it, or a Secret of that name is there that lotse never wrote and that is not to be
    /// taken over.
    pub async fn apply(
        &self,
        cluster: &Cluster,
        credentials: &ClientCredentials,
    ) -> Result<Ensure, KubernetesError> {
        let there = cluster.read(&self.reference()).await?;
        let conflicts = there.as_ref().map(written_by_others).unwrap_or_default();
        if !conflicts.is_empty() && !cluster.overrules() {
            return Err(KubernetesError::Conflict {
                object: self.reference().to_string(),
                conflicts,
            });
        }
        cluster.apply(&self.with(credentials)).await
    }

    /// What separates it from `credentials`; values are masked.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn plan(
        &self,
        cluster: &Cluster,
        credentials: &ClientCredentials,
    ) -> Result<Plan<ApplyOperation>, KubernetesError> {
        cluster.plan(&[self.with(credentials)]).await
    }

    fn with(&self, credentials: &ClientCredentials) -> Manifest {
        let secret = client_secret(self.namespace, self.name, credentials);
        desired::with_marks(secret, self.environment)
            .with_label(APP_LABEL, self.namespace)
            .with_label(COMPONENT, LOGIN)
    }
}

const COMPONENT: &str = "app.kubernetes.io/component";
const LOGIN: &str = "login";

/// Secrets of logins that `environment` has in the cluster, declared or not.
///
/// # Errors
/// When the cluster does not answer.
pub async fn login_secrets(
    cluster: &Cluster,
    environment: &EnvironmentName,
) -> Result<Vec<ObjectReference>, KubernetesError> {
    let selector = format!("{},{COMPONENT}={LOGIN}", desired::selector_of(environment));
    let found = cluster.list("v1", "Secret", None, &selector).await?;
    Ok(found.iter().map(ObjectReference::from).collect())
}

/// Who wrote a Secret that lotse has never written; nothing where it has.
#[must_use]
pub fn written_by_others(secret: &DynamicObject) -> Vec<FieldConflict> {
    let managers = secret.metadata.managed_fields.iter().flatten();
    let managers: Vec<&str> = managers.filter_map(|entry| entry.manager.as_deref()).collect();
    if managers.contains(&FIELD_MANAGER) {
        return Vec::new();
    }
    let others: BTreeSet<&str> = managers.into_iter().collect();
    others
        .into_iter()
        .map(|manager| FieldConflict {
            field: ".data".to_owned(),
            manager: manager.to_owned(),
        })
        .collect()
}

/// Whether Flux has delivered an object and would remove it with the file that it came from.
#[must_use]
pub fn is_of_flux(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(DELIVERED_BY))
}

/// The label by which Flux knows what it delivered (kustomize-controller, `controllers/kustomization_controller.go`).
const DELIVERED_BY: &str = "kustomize.toolkit.fluxcd.io/name";

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
