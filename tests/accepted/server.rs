//! A control plane that holds what is rendered for one environment.

use camino::Utf8PathBuf;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lotse::desired::{FLUX_NAMESPACE, Manifest, OIDC_PREFIX};
use lotse::kubernetes::{Cluster, KubernetesError};
use lotse::lab::control_plane::RunningControlPlane;

use super::house::House;
use super::{kinds, rendered};

/// An object and the file it is in.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) file: Utf8PathBuf,
    pub(crate) manifest: Manifest,
}

/// What is rendered for one environment, and the API server it was put before.
pub(crate) struct Server {
    kubeconfig: String,
    pub(crate) administrator: Cluster,
    pub(crate) tree: Vec<Placed>,
    pub(crate) management: Vec<Placed>,
    /// What of the tree was refused.
    pub(crate) refused: Vec<String>,
}

/// In whose name something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom<'name> {
    /// Somebody of the realm, with no group.
    Person(&'name str),
    /// A service account of Flux's namespace.
    Flux(&'name str),
}

impl Whom<'_> {
    fn user(self) -> String {
        match self {
            Self::Person(login) => format!("{OIDC_PREFIX}{login}"),
            Self::Flux(account) => format!("system:serviceaccount:{FLUX_NAMESPACE}:{account}"),
        }
    }

    fn groups(self) -> Vec<String> {
        let everybody = "system:authenticated".to_owned();
        match self {
            Self::Person(_) => vec![everybody],
            Self::Flux(_) => vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{FLUX_NAMESPACE}"),
                everybody,
            ],
        }
    }
}

/// Whether an accepted object stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    Really,
    Dry,
}

impl Server {
    /// Makes all kinds known, and applies the tree for real: later objects refer to earlier ones.
    pub(crate) async fn prepare(
        house: &House,
        (tree, management): (Vec<Placed>, Vec<Placed>),
        running: &RunningControlPlane,
    ) -> Self {
        let kubeconfig = running.kubeconfig.expose();
        let administrator = Cluster::from_text(kubeconfig, "the administrator").await.unwrap();
        kinds::establish(house, &running.kubeconfig_path, &administrator).await;
        let mut server = Self {
            kubeconfig: kubeconfig.to_owned(),
            administrator,
            tree,
            management,
            refused: Vec::new(),
        };
        server.refused = rendered::put(&server).await;
        server
    }

    /// The server as `whom` sees it.
    pub(crate) async fn as_whom(&self, whom: Whom<'_>) -> Cluster {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.auth_info.impersonate = Some(whom.user());
        config.auth_info.impersonate_groups = Some(whom.groups());
        Cluster::new(Client::try_from(config).unwrap())
    }
}

/// Applies `manifest` with strict validation; what the server says when it refuses.
pub(crate) async fn apply(
    cluster: &Cluster,
    manifest: &Manifest,
    stay: Stay,
) -> Result<DynamicObject, String> {
    let api = cluster.api(manifest).await.map_err(in_words)?;
    let mut parameters = PatchParams::apply("accepted").force().validation_strict();
    parameters.dry_run = stay == Stay::Dry;
    let applied = api
        .patch(manifest.name(), &parameters, &Patch::Apply(manifest.value()))
        .await;
    applied.map_err(|error| in_words(KubernetesError::request("applying it", &error)))
}

fn in_words(error: KubernetesError) -> String {
    match error {
        KubernetesError::Request {
            reason,
            status: Some(_),
            ..
        } => reason,
        KubernetesError::Request { status: None, .. } => panic!("the API server does not answer: {error}"),
        other => other.to_string(),
    }
}

impl Placed {
    /// File, object and what was said about it.
    pub(crate) fn fault(&self, said: &str) -> String {
        format!("{}: {}: {said}", self.file, self.manifest)
    }
}
