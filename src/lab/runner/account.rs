//! The credentials a Pod would have: those of its service account, so that RBAC is real.

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client};

use crate::config::yaml::{self, YamlError};
use crate::kubernetes::KubernetesError;
use crate::lab::files;
use crate::secret::Secret;
use crate::temporary;

/// How long a token is asked to live, in seconds: a year, for nothing renews it while its process runs.
const LIFETIME: i64 = 365 * 24 * 60 * 60;

/// The files of one account.
pub(super) struct Credentials {
    /// A kubeconfig without a secret in it: it names the token's file.
    pub(super) kubeconfig: Utf8PathBuf,
    token: Utf8PathBuf,
}

impl Credentials {
    /// Where they are below `directory`.
    pub(super) fn in_directory(directory: &Utf8Path) -> Self {
        Self {
            kubeconfig: directory.join("kubeconfig.yaml"),
            token: directory.join("token"),
        }
    }

    /// Writes both files, readable by their owner only. `administrator` says where the API server is.
    pub(super) fn write(&self, administrator: &Kubeconfig, token: &Secret) -> std::io::Result<()> {
        let text = self.text(administrator).map_err(std::io::Error::other)?;
        temporary::replace(&self.token, token.expose().as_bytes(), files::PRIVATE)?;
        temporary::replace(&self.kubeconfig, text.as_bytes(), files::PRIVATE)
    }

    fn text(&self, administrator: &Kubeconfig) -> Result<String, YamlError> {
        let mut kubeconfig = administrator.clone();
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(AuthInfo {
                token_file: Some(self.token.to_string()),
                ..AuthInfo::default()
            });
        }
        yaml::to_text(&kubeconfig)
    }
}

/// Asks for a token of the service account.
pub(super) async fn token(client: Client, namespace: &str, account: &str) -> Result<Secret, KubernetesError> {
    let api: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(LIFETIME),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let action = || format!("asking for a token of ServiceAccount/{namespace}/{account}");
    let answer = api
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .map_err(|error| KubernetesError::request(action(), &error))?;
    Ok(Secret::new(
        answer.status.and_then(|status| status.token).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ADMINISTRATOR: &str = "{apiVersion: v1, kind: Config, current-context: a, \
        clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: Q0E=}}], \
        users: [{name: admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}], \
        contexts: [{name: a, context: {cluster: a, user: admin}}]}";

    #[test]
    fn test_kubeconfig_holds_neither_token_nor_administrator() {
        let directory = tempfile::tempdir().unwrap();
        let credentials = Credentials::in_directory(Utf8Path::from_path(directory.path()).unwrap());
        let administrator = Kubeconfig::from_yaml(ADMINISTRATOR).unwrap();
        credentials
            .write(&administrator, &Secret::new("hunter2"))
            .unwrap();
        let text = fs_err::read_to_string(&credentials.kubeconfig).unwrap();
        for secret in ["hunter2", "S0VZ", "Q0VSVA=="] {
            assert!(!text.contains(secret), "{secret}");
        }
        let read = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(
            read.clusters[0].cluster.as_ref().unwrap().server.as_deref(),
            Some("https://127.0.0.1:1")
        );
        let user = read.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.token_file.as_deref(), Some(credentials.token.as_str()));
        for file in [&credentials.kubeconfig, &credentials.token] {
            assert_eq!(
                fs_err::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
}
