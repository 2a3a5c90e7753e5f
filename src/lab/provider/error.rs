//! What can go wrong in the lab's Cluster API provider.

use crate::kubernetes::KubernetesError;
use crate::lab::launch::LaunchError;
use crate::lab::runner::RunnerError;
use crate::lab::stack::StackError;

/// Why something was not reconciled, or the provider not started.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// One of the provider's kinds can't be made known.
    #[error("defining {name} at the management cluster")]
    Definition {
        /// Name of the definition.
        name: String,
        /// Why.
        #[source]
        source: KubernetesError,
    },
    /// The API server does not get to serve one of the provider's kinds.
    #[error("waiting until the management cluster serves {name}: {reason}")]
    NotServed {
        /// Name of the definition.
        name: String,
        /// What the connection said.
        reason: String,
    },
    /// The cluster stack is not where the cluster-stack-operator looks for it.
    #[error("releasing the lab's cluster stack")]
    Stack(#[source] StackError),
    /// What the cluster stack brings to every cluster can't be had.
    #[error("getting the kinds that the lab's cluster stack brings")]
    Kinds(#[source] LaunchError),
    /// A request to the management cluster or to a workload cluster failed.
    #[error(transparent)]
    Request(#[from] KubernetesError),
    /// There is no port for a cluster's API server.
    #[error("finding the endpoint of {cluster}")]
    Endpoint {
        /// `<namespace>/<name>` of the Cluster.
        cluster: String,
        /// Why.
        #[source]
        source: LaunchError,
    },
    /// A control plane does not start.
    #[error("starting the control plane of {cluster}")]
    Start {
        /// `<namespace>/<name>` of the Cluster.
        cluster: String,
        /// Why.
        #[source]
        source: LaunchError,
    },
    /// A control plane does not stop.
    #[error("stopping the control plane of {cluster}")]
    Stop {
        /// `<namespace>/<name>` of the Cluster.
        cluster: String,
        /// Why.
        #[source]
        source: LaunchError,
    },
    /// What the Deployments of a cluster kept does not go away.
    #[error(transparent)]
    Forget(#[from] RunnerError),
    /// The mark that keeps an object until its processes are stopped can't be set or taken away.
    #[error("keeping the finalizer of {object}: {reason}")]
    Finalizer {
        /// Kind, namespace and name.
        object: String,
        /// What the API server said.
        reason: String,
    },
}
