//! A whole Kubernetes control plane as processes: kube-apiserver, kube-controller-manager, kube-scheduler, and kwok
//! for the nodes, which are the one thing that is not real.
//!
//! All control planes of a lab share one etcd, each below a prefix of its own. Each has its own certificate
//! authority, so that a certificate of one is nobody in the other. Does not know what the control plane is for.

mod authentication;
mod identity;
mod nodes;
mod processes;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::config::yaml;
use crate::kubernetes::Cluster;
use crate::lab::LabContext;
use crate::lab::component::Component;
use crate::lab::launch::etcd::Etcd;
use crate::lab::launch::{LaunchError, acquire, write_private};
use crate::lab::process::ProcessSpec;
use crate::lab::state::StateDirectory;
use crate::secret::Secret;

pub use authentication::Oidc;
use identity::Identity;
use processes::Processes;

/// What a control plane should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneSpec {
    /// Unique in the lab: `moin`, or `<namespace>/<cluster>`.
    pub name: String,
    /// Kubernetes version (`v1.36.3`): the one the lab's components have.
    pub version: String,
    /// Names and addresses the API server's certificate is valid for, beside its own.
    pub cert_sans: Vec<String>,
    /// The issuer whose tokens the API server accepts, if any.
    pub oidc: Option<Oidc>,
    /// Its `AuthenticationConfiguration`, where that is given as a whole.
    pub authentication: Option<Value>,
    /// How many nodes kwok plays.
    pub nodes: u32,
}

/// How to reach a control plane that is up.
#[derive(Clone, Debug)]
pub struct RunningControlPlane {
    /// Address of the API server (`https://127.0.0.1:43121`).
    pub server: String,
    /// What the API server's certificate is checked against.
    pub ca_pem: String,
    /// A kubeconfig of an administrator (group `system:masters`).
    pub kubeconfig: Secret,
    /// The file that holds the same kubeconfig, mode 0600.
    pub kubeconfig_path: Utf8PathBuf,
}

/// Address of the API server of the control plane `name`, which need not run yet: the port stays with the name.
pub fn server_url(context: &LabContext, name: &str) -> Result<String, LaunchError> {
    let port = context.ports.get(&processes::apiserver_name(name))?;
    Ok(format!("https://127.0.0.1:{port}"))
}

/// Makes sure that the control plane runs as `spec` says and returns when everything of it is ready.
///
/// Idempotent: what runs is left alone. A changed issuer or certificate is written to the files that kube-apiserver
/// reads again by itself; it accepts a new issuer within seconds. Needs the lab's etcd to run.
pub async fn start(
    context: &LabContext,
    spec: &ControlPlaneSpec,
) -> Result<RunningControlPlane, LaunchError> {
    check_version(&spec.version)?;
    let identity = Identity::ensure(context, spec)?;
    write_authentication(context, spec, &identity)?;
    let processes = Processes::prepare(context, &spec.name, &identity)?;
    start_processes(context, &processes, spec.nodes > 0).await?;
    let cluster = Cluster::from_file(&identity.kubeconfig_path, None)
        .await
        .map_err(|source| LaunchError::kubernetes(&spec.name, source))?;
    nodes::ensure(&cluster, &spec.name, spec.nodes).await?;
    Ok(RunningControlPlane {
        server: identity.server,
        ca_pem: identity.ca_pem,
        kubeconfig: identity.kubeconfig,
        kubeconfig_path: identity.kubeconfig_path,
    })
}

/// Ends the control plane `name` and removes what it kept: its objects in etcd, keys, ports.
/// Does nothing when there is no such control plane.
pub async fn stop(context: &LabContext, name: &str) -> Result<(), LaunchError> {
    for process in processes::names_last_started_first(name) {
        context.supervisor.stop(&process).await?;
    }
    Etcd::of(context)?
        .delete_prefix(&processes::etcd_prefix(name))
        .await?;
    identity::remove(context, name)?;
    for process in processes::names_last_started_first(name) {
        context.ports.release(&process)?;
    }
    Ok(())
}

/// Kubeconfigs of administrators by control plane: those that were started and not stopped.
#[must_use]
pub fn kubeconfigs(state: &StateDirectory) -> BTreeMap<String, Utf8PathBuf> {
    identity::kubeconfigs(state)
}

fn check_version(wanted: &str) -> Result<(), LaunchError> {
    let available = Component::KubeApiserver.version();
    if wanted.trim_start_matches('v') == available.trim_start_matches('v') {
        return Ok(());
    }
    Err(LaunchError::Version {
        wanted: wanted.to_owned(),
        available: format!("v{}", available.trim_start_matches('v')),
    })
}

fn write_authentication(
    context: &LabContext,
    spec: &ControlPlaneSpec,
    identity: &Identity,
) -> Result<(), LaunchError> {
    let configuration = match &spec.authentication {
        Some(whole) => whole.clone(),
        None => authentication::configuration(spec.oidc.as_ref(), context.authority.certificate_pem()),
    };
    let path = identity.authentication_file();
    let text = yaml::to_text(&configuration).map_err(|error| LaunchError::render(&path, &error))?;
    write_private(&path, &text)
}

/// kube-apiserver first; the others exit when it is not there yet. Without nodes there is nothing to schedule and
/// nothing to play.
async fn start_processes(
    context: &LabContext,
    processes: &Processes<'_>,
    has_nodes: bool,
) -> Result<(), LaunchError> {
    let apiserver = acquire(context, Component::KubeApiserver).await?;
    context.supervisor.start(processes.apiserver(&apiserver)).await?;
    let controllers = start_one(context, Component::KubeControllerManager, |component| {
        processes.controller_manager(component)
    });
    if has_nodes {
        let scheduler = start_one(context, Component::KubeScheduler, |component| {
            processes.scheduler(component)
        });
        let kwok = start_one(context, Component::Kwok, |component| processes.kwok(component));
        return tokio::try_join!(controllers, scheduler, kwok).map(drop);
    }
    controllers.await?;
    for process in processes.names_for_nodes() {
        context.supervisor.stop(&process).await?;
    }
    Ok(())
}

async fn start_one(
    context: &LabContext,
    component: Component,
    spec: impl FnOnce(&crate::lab::component::Acquired) -> ProcessSpec,
) -> Result<(), LaunchError> {
    let acquired = acquire(context, component).await?;
    Ok(context.supervisor.start(spec(&acquired)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_another_version_is_refused_with_the_one_there_is() {
        let error = check_version("v1.99.0").unwrap_err().to_string();
        assert!(error.contains("v1.99.0"), "{error}");
        assert!(
            error.contains(Component::KubeApiserver.version().trim_start_matches('v')),
            "{error}"
        );
        check_version(Component::KubeApiserver.version()).unwrap();
    }
}
