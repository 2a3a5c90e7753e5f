//! Connections and the kinds a server serves.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8Path;
use http::Uri;
use kube::api::{Api, DynamicObject};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::discovery::{self, Scope};
use kube::{Client, Config};

use super::{FIELD_MANAGER, KubernetesError, ObjectReference};
use crate::desired::Manifest;
use crate::proxy;
use crate::secret::Secret;

/// How long one request may take before it counts as failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What serves each (`apiVersion`, `kind`).
type Kinds = BTreeMap<(String, String), (ApiResource, Scope)>;

/// One Kubernetes cluster. Cheap to clone; remembers which kinds the server serves.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    kinds: Arc<Mutex<Kinds>>,
    manager: &'static str,
    overrules: bool,
}

impl Cluster {
    /// Wraps a ready client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: Arc::default(),
            manager: FIELD_MANAGER,
            overrules: false,
        }
    }

    /// The same connection; what it applies takes fields over from other programs where `overrules` says so.
    #[must_use]
    pub const fn overruling(mut self, overrules: bool) -> Self {
        self.overrules = overrules;
        self
    }

    /// Whether fields that other programs have set are taken over.
    #[must_use]
    pub const fn overrules(&self) -> bool {
        self.overrules
    }

    /// The same connection, applying in the name of `manager` in place of our own: for objects that belong to a
    /// controller from its first reconciliation on, so that it never shares their fields with us. Like the controller, it
    /// takes over fields that others have set.
    #[must_use]
    pub fn in_the_name_of(&self, manager: &'static str) -> Self {
        Self {
            manager,
            overrules: true,
            ..self.clone()
        }
    }

    /// The field manager of everything applied through this connection.
    #[must_use]
    pub const fn manager(&self) -> &'static str {
        self.manager
    }

    /// Connects by the kubeconfig file at `path` and its `context` (its current one when `None`).
    /// Does not send a request yet.
    pub async fn from_file(path: &Utf8Path, context: Option<&str>) -> Result<Self, KubernetesError> {
        let fault = |reason: String| KubernetesError::Kubeconfig {
            origin: path.to_string(),
            reason,
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| fault(in_words(&error)))?;
        Self::connect(kubeconfig, context).await.map_err(fault)
    }

    /// Connects by `path` where one is given, otherwise as kubectl does: by `KUBECONFIG`, then `~/.kube/config`.
    /// Does not send a request yet.
    pub async fn from_settings(
        path: Option<&Utf8Path>,
        context: Option<&str>,
    ) -> Result<Self, KubernetesError> {
        let Some(path) = path else {
            let fault = |reason: String| KubernetesError::Kubeconfig {
                origin: "of kubectl".to_owned(),
                reason,
            };
            let kubeconfig = Kubeconfig::read().map_err(|error| fault(in_words(&error)))?;
            return Self::connect(kubeconfig, context).await.map_err(fault);
        };
        Self::from_file(path, context).await
    }

    /// Connects by the text of a kubeconfig; `origin` says where it came from (`Secret prod/prod-kubeconfig`).
    pub async fn from_text(text: &str, origin: &str) -> Result<Self, KubernetesError> {
        let fault = |reason: String| KubernetesError::Kubeconfig {
            origin: origin.to_owned(),
            reason,
        };
        let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| fault(in_words(&error)))?;
        Self::connect(kubeconfig, None).await.map_err(fault)
    }

    /// Connects to the server of a kubeconfig as the bearer of `token`: its address and certificate authority are
    /// taken from the kubeconfig, its credentials are not.
    pub async fn as_bearer(text: &str, origin: &str, token: &Secret) -> Result<Self, KubernetesError> {
        let fault = |reason: String| KubernetesError::Kubeconfig {
            origin: origin.to_owned(),
            reason,
        };
        let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| fault(in_words(&error)))?;
        let mut config = configure(kubeconfig, None).await.map_err(fault)?;
        config.auth_info = AuthInfo {
            token: Some(token.expose().to_owned().into()),
            ..AuthInfo::default()
        };
        let client = Client::try_from(config).map_err(|error| fault(error.to_string()))?;
        Ok(Self::new(client))
    }

    async fn connect(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, String> {
        Client::try_from(configure(kubeconfig, context).await?)
            .map(Self::new)
            .map_err(|error| error.to_string())
    }

    /// The client itself, for typed access.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API for objects of the kind and in the namespace of `manifest`.
    pub async fn api(&self, manifest: &Manifest) -> Result<Api<DynamicObject>, KubernetesError> {
        self.api_of(&ObjectReference::from(manifest)).await
    }

    /// The API that serves `object`. A namespaced kind without a namespace is refused: its name says nothing then.
    pub(super) async fn api_of(
        &self,
        object: &ObjectReference,
    ) -> Result<Api<DynamicObject>, KubernetesError> {
        let (_, scope) = self.resolve(&object.api_version, &object.kind).await?;
        if scope == Scope::Namespaced && object.namespace.is_none() {
            return Err(KubernetesError::NoNamespace {
                object: object.to_string(),
            });
        }
        self.api_for(&object.api_version, &object.kind, object.namespace.as_deref())
            .await
    }

    /// The API for objects of one kind. `namespace` is ignored for cluster-scoped kinds; for namespaced ones
    /// `None` means all namespaces.
    pub async fn api_for(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Api<DynamicObject>, KubernetesError> {
        let (resource, scope) = self.resolve(api_version, kind).await?;
        Ok(match (scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client(), namespace, &resource),
            _ => Api::all_with(self.client(), &resource),
        })
    }

    /// Which resource serves a kind, asked once per kind and remembered when found.
    async fn resolve(&self, api_version: &str, kind: &str) -> Result<(ApiResource, Scope), KubernetesError> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self
            .kinds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(known.clone());
        }
        let not_served = || KubernetesError::NotServed {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let types = TypeMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let wanted = GroupVersionKind::try_from(types).map_err(|_| not_served())?;
        let (resource, capabilities) =
            discovery::pinned_kind(&self.client, &wanted)
                .await
                .map_err(|error| match &error {
                    kube::Error::Api(status) if status.code == 404 => not_served(),
                    kube::Error::Discovery(_) => not_served(),
                    _ => KubernetesError::request(
                        format!("asking which resource serves {api_version} {kind}"),
                        &error,
                    ),
                })?;
        let found = (resource, capabilities.scope);
        self.kinds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, found.clone());
        Ok(found)
    }
}

async fn configure(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config, String> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let contexts: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let declared: Vec<String> = kubeconfig
        .clusters
        .iter()
        .filter_map(|named| named.cluster.as_ref()?.proxy_url.clone())
        .collect();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| match error {
            KubeconfigError::LoadContext(name) => no_context(&name, &contexts),
            other => in_words(&other),
        })?;
    // The library knows no NO_PROXY. A proxy that the kubeconfig names is meant.
    let is_declared = |proxy: &Uri| {
        declared
            .iter()
            .any(|url| url.parse().ok().as_ref() == Some(proxy))
    };
    if !config.proxy_url.as_ref().is_some_and(is_declared) {
        config.proxy_url = proxy::of(&config.cluster_url);
    }
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(REQUEST_TIMEOUT);
    // Otherwise the time a pooled connection sat idle counts against the next answer on it.
    config.reset_reader_on_write = true;
    Ok(config)
}

/// What is wrong with a kubeconfig, in words for who wrote it.
fn in_words(error: &KubeconfigError) -> String {
    let file = |source: &io::Error, path: &Path| match source.kind() {
        io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
        _ => format!("{} can't be read: {source}", path.display()),
    };
    match error {
        KubeconfigError::FindPath => "neither KUBECONFIG nor a home directory says where it is".to_owned(),
        KubeconfigError::CurrentContextNotSet => "it has no current context".to_owned(),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("its context names no cluster it has: `{name}`")
        }
        KubeconfigError::ReadConfig(source, path)
        | KubeconfigError::LoadCertificateAuthority(LoadDataError::ReadFile(source, path))
        | KubeconfigError::LoadClientCertificate(LoadDataError::ReadFile(source, path))
        | KubeconfigError::LoadClientKey(LoadDataError::ReadFile(source, path)) => file(source, path),
        other => other.to_string(),
    }
}

fn no_context(name: &str, known: &[String]) -> String {
    if known.is_empty() {
        return format!("it has no context `{name}`, nor any other");
    }
    format!("it has no context `{name}`; it has {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(path: Option<&Utf8Path>, context: Option<&str>) -> String {
        let cluster = Cluster::from_settings(path, context).await;
        cluster.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn test_what_is_wrong_with_a_kubeconfig_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let path = folder.join("config");
        assert_eq!(
            refusal(Some(&path), None).await,
            format!("kubeconfig {path}: there is no file {path}")
        );
        let text =
            "apiVersion: v1\nkind: Config\ncontexts: [{name: moin, context: {cluster: far, user: me}}]\n";
        fs_err::write(&path, text).unwrap();
        assert_eq!(
            refusal(Some(&path), Some("elsewhere")).await,
            format!("kubeconfig {path}: it has no context `elsewhere`; it has moin")
        );
        assert_eq!(
            refusal(Some(&path), Some("moin")).await,
            format!("kubeconfig {path}: its context names no cluster it has: `far`")
        );
        let text = text.to_owned()
            + "clusters: [{name: far, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /none.crt}}]\n\
               users: [{name: me, user: {}}]\n";
        fs_err::write(&path, text).unwrap();
        assert_eq!(
            refusal(Some(&path), Some("moin")).await,
            format!("kubeconfig {path}: there is no file /none.crt")
        );
    }

    #[tokio::test]
    async fn test_a_server_that_is_not_there_is_told_in_words() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
            contexts: [{name: a, context: {cluster: a, user: a}}]\n\
            clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {}}]\n";
        let cluster = Cluster::from_text(text, "here").await.unwrap();
        let error = cluster.served_versions("apps").await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        let told = error.to_string();
        assert!(
            told.starts_with(
                "asking which API groups are served: the API server can't be reached: nothing listens at that \
                 address (Connection refused"
            ),
            "{told}"
        );
    }
}
