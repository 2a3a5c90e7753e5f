//! The secret by which Flux reads the platform's repository.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{Api, ObjectMeta, PostParams};

use super::{FLUX_NAMESPACE, FLUX_SOURCE, WorkloadError};
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError, ObjectReference};
use crate::report;
use crate::secret::Secret;
use crate::ssh::DeployKey;

/// Keys of the secret as source-controller reads them (Flux, "Git repositories", secret reference).
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
const IDENTITY: &str = "identity";
const IDENTITY_PUBLIC: &str = "identity.pub";
const KNOWN_HOSTS: &str = "known_hosts";

/// What is in the secret.
type Content = BTreeMap<String, ByteString>;

/// What became of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSecret {
    /// It was not there, or was for reading in another way, and is as declared now.
    Written,
    /// It was there with these credentials.
    Kept,
    /// It was there with other credentials, which stay: somebody may have rotated them. Worth a warning.
    Differs,
}

/// The secret as it was found.
#[derive(Clone, Debug, Default)]
pub struct ObservedSource {
    found: Option<SecretObject>,
}

impl ObservedSource {
    /// Looks at the secret. Changes nothing.
    pub async fn look(cluster: &Cluster) -> Result<Self, WorkloadError> {
        let found = api(cluster).get_opt(FLUX_SOURCE).await;
        Ok(Self {
            found: found.map_err(|error| KubernetesError::request(fault("reading"), &error))?,
        })
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.found.is_none()
    }

    /// Whether Flux can read by user name and password with it, whichever those are.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.get(USERNAME).is_some() && self.get(PASSWORD).is_some()
    }

    /// The key in it, if it has one.
    #[must_use]
    pub fn deploy_key(&self) -> Option<DeployKey> {
        let text = std::str::from_utf8(self.get(IDENTITY)?).ok()?;
        DeployKey::read(&Secret::new(text))
    }

    /// Whether Flux takes these hosts, and no other, for the forge.
    #[must_use]
    pub fn knows(&self, hosts: &[String]) -> bool {
        self.get(KNOWN_HOSTS) == Some(known_hosts(hosts).as_bytes())
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        let data = self.found.as_ref()?.data.as_ref()?;
        data.get(key).map(|bytes| bytes.0.as_slice())
    }

    /// Sees to it that the secret has a user name and a password; does not overwrite those of somebody else.
    ///
    /// # Errors
    /// A conflict when another run was faster; its secret stays.
    pub async fn ensure_password(
        &self,
        cluster: &Cluster,
        username: &str,
        password: &Secret,
    ) -> Result<SourceSecret, WorkloadError> {
        let desired = Content::from([
            (USERNAME.to_owned(), ByteString(username.into())),
            (PASSWORD.to_owned(), ByteString(password.expose().into())),
        ]);
        if self.has_password() {
            let is_same = desired
                .iter()
                .all(|(key, value)| self.get(key) == Some(value.0.as_slice()));
            return Ok(if is_same {
                SourceSecret::Kept
            } else {
                SourceSecret::Differs
            });
        }
        self.write(cluster, desired).await?;
        Ok(SourceSecret::Written)
    }

    /// Sees to it that the secret has `key` and these lines of `known_hosts`.
    ///
    /// # Errors
    /// A conflict when another run was faster; its secret stays.
    pub async fn ensure_deploy_key(
        &self,
        cluster: &Cluster,
        key: &DeployKey,
        hosts: &[String],
    ) -> Result<SourceSecret, WorkloadError> {
        let has_key = self.deploy_key().is_some_and(|own| own.public() == key.public());
        if has_key && self.knows(hosts) {
            return Ok(SourceSecret::Kept);
        }
        let desired = Content::from([
            (IDENTITY.to_owned(), ByteString(key.private().expose().into())),
            (IDENTITY_PUBLIC.to_owned(), ByteString(key.public().into())),
            (KNOWN_HOSTS.to_owned(), ByteString(known_hosts(hosts).into())),
        ]);
        self.write(cluster, desired).await?;
        Ok(SourceSecret::Written)
    }

    /// Creates the secret, or replaces exactly the one that was looked at.
    async fn write(&self, cluster: &Cluster, data: Content) -> Result<(), KubernetesError> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api = api(cluster);
        if let Some(found) = &self.found {
            let secret = SecretObject {
                metadata: found.metadata.clone(),
                ..secret(data)
            };
            report::sends(format_args!("PUT Secret/{FLUX_NAMESPACE}/{FLUX_SOURCE}"));
            let replaced = api.replace(FLUX_SOURCE, &parameters, &secret).await;
            return replaced
                .map(drop)
                .map_err(|error| KubernetesError::request(fault("replacing"), &error));
        }
        report::sends(format_args!("POST Secret/{FLUX_NAMESPACE}/{FLUX_SOURCE}"));
        let created = api.create(&parameters, &secret(data)).await;
        created
            .map(drop)
            .map_err(|error| KubernetesError::request(fault("creating"), &error))
    }
}

/// The secret by which Flux reads the repository.
#[must_use]
pub fn source_secret() -> ObjectReference {
    ObjectReference::new("v1", "Secret", FLUX_SOURCE).in_namespace(FLUX_NAMESPACE)
}

fn api(cluster: &Cluster) -> Api<SecretObject> {
    Api::namespaced(cluster.client(), FLUX_NAMESPACE)
}

fn fault(action: &str) -> String {
    format!("{action} Secret/{FLUX_NAMESPACE}/{FLUX_SOURCE}")
}

fn known_hosts(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn secret(data: Content) -> SecretObject {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(data: &[(&str, &str)]) -> ObservedSource {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString((*value).into())))
            .collect();
        ObservedSource {
            found: Some(secret(data)),
        }
    }

    #[test]
    fn test_what_a_secret_is_good_for_is_seen() {
        let hosts = ["forge.test ssh-ed25519 AAAA".to_owned()];
        let password = observed(&[("username", "a"), ("password", "b")]);
        assert!(password.has_password());
        assert!(password.deploy_key().is_none());
        let key = DeployKey::generate().unwrap();
        let with_key = observed(&[
            ("identity", key.private().expose()),
            ("known_hosts", "forge.test ssh-ed25519 AAAA\n"),
        ]);
        assert_eq!(with_key.deploy_key().unwrap().public(), key.public());
        assert!(with_key.knows(&hosts) && !with_key.knows(&[]) && !with_key.has_password());
        assert!(ObservedSource::default().is_missing());
    }
}
