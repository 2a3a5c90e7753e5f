//! What can go wrong when a Deployment's controller is started as a process.

use std::io;

use crate::kubernetes::KubernetesError;
use crate::lab::component::ComponentError;
use crate::lab::process::ProcessError;
use crate::lab::state::StateError;

/// Why a Deployment's controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Its account gives no token.
    #[error("no token for the account {account} of Deployment {deployment}")]
    Token {
        /// Namespace and name of the Deployment.
        deployment: String,
        /// Name of the service account.
        account: String,
        /// What the API server said.
        #[source]
        source: KubernetesError,
    },
    /// One of its files can't be written; the cause names it.
    #[error("keeping the files of {deployment}")]
    Files {
        /// Namespace and name of the Deployment.
        deployment: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What a cluster's Deployments kept can't be removed; the cause names it.
    #[error("removing what the Deployments of {cluster} kept")]
    Forget {
        /// `<namespace>/<name>` of the Cluster.
        cluster: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has no folder or port.
    #[error("finding a place for {deployment}")]
    Place {
        /// Namespace and name of the Deployment.
        deployment: String,
        /// Why.
        #[source]
        source: StateError,
    },
    /// The program can't be had.
    #[error("the program for {deployment} can't be had")]
    Program {
        /// Namespace and name of the Deployment.
        deployment: String,
        /// Why.
        #[source]
        source: Box<ComponentError>,
    },
    /// It does not start.
    #[error("running {deployment}")]
    Process {
        /// Namespace and name of the Deployment.
        deployment: String,
        /// Why.
        #[source]
        source: Box<ProcessError>,
    },
}
