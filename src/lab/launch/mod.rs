//! Brings all components of a lab up, each as soon as what it needs is ready.
//!
//! ```text
//! Keycloak ─────────────────────────────────┐
//! Gitea ── persons, repository, application ┤
//! name server ──────────────────────────────┤
//! components of workload clusters ──────────┤
//! etcd ── moin ─┬─ Cluster API ─────────────┼── ready
//!               ├─ cluster-stack-operator ──┤
//!               └─ the lab's provider ──────┘
//! ```
//!
//! Knows how each real component is started; what is done with them afterwards is somebody else's.

mod cluster_api;
mod cluster_stack_operator;
mod definitions;
mod designate;
mod error;
pub(in crate::lab) mod etcd;
mod forge;
mod keycloak;
mod name_server;
mod variables;
mod webhooks;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::kubernetes::Cluster;
use crate::lab::component::{Acquired, Component};
use crate::lab::control_plane::{self, ControlPlaneSpec, RunningControlPlane};
use crate::lab::{LabContext, files, provider};
use crate::report::Event;
use crate::temporary;

pub use cluster_stack_operator::release_directory;
pub use error::LaunchError;
pub use forge::REALM;
pub use variables::{extra_of, passwords, variable_names, variables};

/// Name of the management cluster's control plane.
pub const MANAGEMENT_CLUSTER: &str = "moin";

/// What every lab runs from the beginning.
const COMPONENTS: [Component; 8] = [
    Component::Keycloak,
    Component::Gitea,
    Component::Etcd,
    Component::KubeApiserver,
    Component::KubeControllerManager,
    Component::ClusterApi,
    Component::ClusterStackOperator,
    Component::Helm,
];

/// Where everything is. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Kubeconfig file of the management cluster, mode 0600.
    pub management_kubeconfig: Utf8PathBuf,
    /// The forge (`http://127.0.0.1:PORT`).
    pub forge: String,
    /// The platform's Git repository.
    pub git: String,
    /// The same for SSH (`ssh://git@127.0.0.1:PORT/...`).
    pub git_ssh: String,
    /// A line of `known_hosts` for the forge's SSH server.
    pub git_known_host: String,
    /// Keycloak (`https://127.0.0.1:PORT`).
    pub keycloak: String,
    /// The lab's certificate authority, PEM.
    pub ca_file: Utf8PathBuf,
    /// The name server (`127.0.0.1:PORT`), UDP and TCP.
    pub dns: String,
    /// `clouds.yaml` of the lab's OpenStack, in a lab with Designate.
    #[serde(default)]
    pub clouds_file: Option<Utf8PathBuf>,
    /// The name server that Designate fills (`127.0.0.1:PORT`), UDP and TCP.
    #[serde(default)]
    pub designate_dns: Option<String>,
    /// Where the cluster-stack-operator looks for releases.
    pub release_directory: Utf8PathBuf,
}

/// Starts everything and returns when all of it is ready. Starting what runs already does nothing.
///
/// When one component fails, the error is returned at once; what was started meanwhile keeps running until the
/// supervisor stops it.
pub async fn all(context: &LabContext) -> Result<Endpoints, LaunchError> {
    check_surroundings(context)?;
    let keycloak_url = keycloak::url(context)?;
    tell_what_is_built(context);
    let (keycloak, forge, dns, designate, management_kubeconfig, ()) = tokio::try_join!(
        keycloak::start(context),
        forge::start(context, &keycloak_url),
        name_server::start(context),
        designate::start(context),
        management_cluster(context),
        components_of_workload_clusters(context),
    )?;
    Ok(Endpoints {
        management_kubeconfig,
        forge: forge.url,
        git: forge.git,
        git_ssh: forge.git_ssh,
        git_known_host: forge.known_host,
        keycloak,
        ca_file: context.authority.certificate_path(),
        dns,
        clouds_file: designate.as_ref().map(|running| running.clouds_file.clone()),
        designate_dns: designate.map(|running| running.name_server),
        release_directory: cluster_stack_operator::release_directory(context)?,
    })
}

/// Starts etcd and one control plane on it, and nothing else of a lab: an API server to try objects at.
pub async fn control_plane_alone(
    context: &LabContext,
    spec: &ControlPlaneSpec,
) -> Result<RunningControlPlane, LaunchError> {
    etcd::start(context).await?;
    control_plane::start(context, spec).await
}

/// What would be found missing one by one is told at once, before anything is started or built.
fn check_surroundings(context: &LabContext) -> Result<(), LaunchError> {
    let surroundings = &context.surroundings;
    context
        .components
        .check_programs(&COMPONENTS, &surroundings.path, surroundings.has_compiler)?;
    name_server::check(context)?;
    designate::check(context)?;
    Ok(context.state.check_space()?)
}

/// Tells how much there is to build, and how long that will take: once on every machine.
fn tell_what_is_built(context: &LabContext) {
    let wanted: Vec<Component> = of_lab().collect();
    let estimate = context.components.estimate(&wanted);
    if estimate.is_zero() {
        return;
    }
    let minutes = estimate.as_secs().div_ceil(60);
    let message = format!(
        "builds its components once, about {minutes} min on two cores; what is built starts meanwhile"
    );
    context.reporter.report(Event::Noted {
        task: "lab".to_owned(),
        message,
    });
}

/// Gets what only workload clusters run, so that a bring-up does not find itself waiting for a build.
async fn components_of_workload_clusters(context: &LabContext) -> Result<(), LaunchError> {
    for component in of_lab() {
        acquire(context, component).await?;
    }
    Ok(())
}

fn of_lab() -> impl Iterator<Item = Component> {
    Component::ALL
        .into_iter()
        .filter(|component| component.is_of_lab())
}

/// etcd, the control plane moin, and the controllers on it; the kubeconfig file of moin.
async fn management_cluster(context: &LabContext) -> Result<Utf8PathBuf, LaunchError> {
    etcd::start(context).await?;
    let spec = ControlPlaneSpec {
        name: MANAGEMENT_CLUSTER.to_owned(),
        version: Component::KubeApiserver.version().to_owned(),
        cert_sans: Vec::new(),
        oidc: None,
        authentication: None,
        nodes: 0,
    };
    let control_plane = control_plane::start(context, &spec).await?;
    let path = control_plane.kubeconfig_path;
    let moin = Cluster::from_file(&path, None)
        .await
        .map_err(|source| LaunchError::kubernetes(MANAGEMENT_CLUSTER, source))?;
    // The operator watches Clusters and exits where that kind is not served.
    cluster_api::define(context, &moin).await?;
    tokio::try_join!(
        cluster_api::start(context, &moin, &path),
        cluster_stack_operator::start(context, &moin, &path),
        async { Ok(provider::run(context, moin.clone(), &release_directory(context)?).await?) },
    )?;
    Ok(path)
}

/// The component's program, got or built now.
pub(in crate::lab) async fn acquire(
    context: &LabContext,
    component: Component,
) -> Result<Acquired, LaunchError> {
    let acquired = context.components.acquire(component, context.reporter.as_ref());
    Ok(acquired.await?)
}

/// Makes the file at `path`, mode 0600, say `text`. A file that says it already is left alone, so that whoever watches
/// it is not woken.
pub(in crate::lab) fn write_private(path: &Utf8Path, text: &str) -> Result<(), LaunchError> {
    if fs_err::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    temporary::replace(path, text.as_bytes(), files::PRIVATE).map_err(LaunchError::File)
}
