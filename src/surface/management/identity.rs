//! The age identity of an environment, which the management cluster keeps: a Secret beside the `Cluster`.
//!
//! It is made once and never overwritten: what is encrypted in Git opens with no other.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{Api, ObjectMeta, PostParams};

use super::ManagementError;
use crate::age::Identity;
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError, ObjectReference};
use crate::names::{EnvironmentName, NamespaceName};
use crate::report;
use crate::secret::Secret;

/// Key of the identity in its Secret.
const KEY: &str = "identity";

/// Where the identity of an environment is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPlace {
    namespace: String,
    name: String,
}

impl IdentityPlace {
    /// That of `environment`, beside its `Cluster`.
    #[must_use]
    pub fn of(environment: &EnvironmentName, namespace: &NamespaceName) -> Self {
        Self {
            namespace: namespace.to_string(),
            name: format!("{environment}-age"),
        }
    }

    /// Its Secret.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        ObjectReference::new("v1", "Secret", &self.name).in_namespace(&self.namespace)
    }

    fn api(&self, cluster: &Cluster) -> Api<SecretObject> {
        Api::namespaced(cluster.client(), &self.namespace)
    }

    /// The identity that is kept; `None` where there is none.
    ///
    /// # Errors
    /// [`ManagementError::NotAnIdentity`] when the Secret holds something else.
    pub async fn read(&self, cluster: &Cluster) -> Result<Option<Identity>, ManagementError> {
        let fault =
            |error: &kube::Error| KubernetesError::request(format!("reading {}", self.reference()), error);
        let found = self.api(cluster).get_opt(&self.name).await;
        let Some(secret) = found.map_err(|error| fault(&error))? else {
            return Ok(None);
        };
        let data = secret.data.unwrap_or_default();
        let text = data.get(KEY).and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
        let identity = text.and_then(|text| Identity::read(&Secret::new(text)).ok());
        identity.map(Some).ok_or_else(|| ManagementError::NotAnIdentity {
            secret: self.reference().to_string(),
            key: KEY,
        })
    }

    /// Keeps `identity` where none is kept yet.
    ///
    /// # Errors
    /// A conflict when another run was faster; its identity stays.
    pub async fn keep(&self, cluster: &Cluster, identity: &Identity) -> Result<(), ManagementError> {
        let secret = SecretObject {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                KEY.to_owned(),
                ByteString(identity.secret().expose().into()),
            )])),
            type_: Some("Opaque".to_owned()),
            immutable: Some(true),
            ..SecretObject::default()
        };
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        report::sends(format_args!("POST {}", self.reference()));
        let created = self.api(cluster).create(&parameters, &secret).await;
        created.map(drop).map_err(|error| {
            KubernetesError::request(format!("creating {}", self.reference()), &error).into()
        })
    }
}
