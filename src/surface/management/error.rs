//! What can go wrong with the management cluster beyond a failed request.

use crate::kubernetes::KubernetesError;

/// A management cluster that can't give us a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// A request failed, or a wait came to nothing.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// Something has to be installed there first.
    #[error("the management cluster does not serve {group}: install {program} there first")]
    NotInstalled {
        /// API group.
        group: &'static str,
        /// What serves it.
        program: &'static str,
    },
    /// A manifest lacks what we have to know of it.
    #[error("{object} has no `{field}`")]
    MissingField {
        /// Which object.
        object: String,
        /// Dotted path.
        field: &'static str,
    },
    /// Somebody else is at it.
    #[error("{holder} was changing this environment all the time")]
    Busy {
        /// Who.
        holder: String,
    },
    /// A Secret that should hold the environment's age identity holds something else.
    #[error("{secret} has no age identity under key `{key}`")]
    NotAnIdentity {
        /// Which Secret.
        secret: String,
        /// Where in it.
        key: &'static str,
    },
    /// There is no kubeconfig for the cluster yet.
    #[error("{secret} has no kubeconfig under key `value`: is the control plane initialised?")]
    NoKubeconfig {
        /// The Secret that should have it.
        secret: String,
    },
}
