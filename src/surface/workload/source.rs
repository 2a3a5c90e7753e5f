//! The secret by which Flux reads the platform's repository.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{Api, ObjectMeta, PostParams};

use super::{FLUX_NAMESPACE, FLUX_SOURCE};
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError, ObjectReference};
use crate::report;
use crate::secret::Secret;

/// What [`ensure_source_secret`] found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSecret {
    /// It was not there and was created.
    Created,
    /// It was there with these credentials.
    Kept,
    /// It was there with other credentials, which stay: somebody may have rotated them. Worth a warning.
    Differs,
}

/// Creates the secret where it is missing; never overwrites one.
pub async fn ensure_source_secret(
    cluster: &Cluster,
    username: &str,
    password: &Secret,
) -> Result<SourceSecret, KubernetesError> {
    let api: Api<SecretObject> = Api::namespaced(cluster.client(), FLUX_NAMESPACE);
    let fault = |action: &str| format!("{action} Secret/{FLUX_NAMESPACE}/{FLUX_SOURCE}");
    let desired = BTreeMap::from([
        ("username".to_owned(), ByteString(username.into())),
        ("password".to_owned(), ByteString(password.expose().into())),
    ]);
    let observed = api
        .get_opt(FLUX_SOURCE)
        .await
        .map_err(|error| KubernetesError::request(fault("reading"), &error))?;
    if let Some(observed) = observed {
        let data = observed.data.unwrap_or_default();
        let is_same = desired.iter().all(|(key, value)| data.get(key) == Some(value));
        return Ok(if is_same {
            SourceSecret::Kept
        } else {
            SourceSecret::Differs
        });
    }
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    report::sends(format_args!("POST Secret/{FLUX_NAMESPACE}/{FLUX_SOURCE}"));
    // Created rather than applied: should another run be faster, its secret stays.
    api.create(&parameters, &secret(desired))
        .await
        .map_err(|error| KubernetesError::request(fault("creating"), &error))?;
    Ok(SourceSecret::Created)
}

/// The secret by which Flux reads the repository.
#[must_use]
pub fn source_secret() -> ObjectReference {
    ObjectReference::new("v1", "Secret", FLUX_SOURCE).in_namespace(FLUX_NAMESPACE)
}

fn secret(data: BTreeMap<String, ByteString>) -> SecretObject {
    SecretObject {
        metadata: ObjectMeta {
            name: Some(FLUX_SOURCE.to_owned()),
            namespace: Some(FLUX_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..SecretObject::default()
    }
}
