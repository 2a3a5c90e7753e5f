//! What can go wrong at a kube-apiserver. `kube::Error` prints its whole chain itself, so it is kept as a leaf.

use std::time::Duration;

use crate::causes;
use crate::plan::FieldConflict;
use crate::report::Explanation;

/// A failed request or an answer that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig can't be read or has no such context.
    #[error("kubeconfig {origin}: {reason}")]
    Kubeconfig {
        /// Where it came from: a path, or the Secret that held it.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A request failed.
    #[error("{action}: {reason}")]
    Request {
        /// What was being done to which object.
        action: String,
        /// What the server or the connection said.
        reason: String,
        /// HTTP status, where the server answered.
        status: Option<u16>,
    },
    /// Another program has set fields of the object to something else.
    #[error("{object}: another program looks after {}", list(conflicts))]
    Conflict {
        /// Which object.
        object: String,
        /// Which fields, and who.
        conflicts: Vec<FieldConflict>,
    },
    /// The server does not serve a kind.
    #[error("the API server does not serve {api_version} {kind}")]
    NotServed {
        /// `apiVersion` asked for.
        api_version: String,
        /// `kind` asked for.
        kind: String,
    },
    /// An object of a namespaced kind without a namespace.
    #[error("{object} needs a namespace")]
    NoNamespace {
        /// Which object.
        object: String,
    },
    /// What was waited for did not come in time.
    #[error("{what} was not reached within {}: {state}", in_words(*limit))]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What the last look said.
        state: Box<Explanation>,
    },
    /// What was waited for won't come by waiting.
    #[error("{what} can't become ready: {reason}")]
    Hopeless {
        /// What was waited for.
        what: String,
        /// What stands in the way, and what to do about it.
        reason: String,
    },
    /// A file of manifests can't be read as Kubernetes objects.
    #[error("{origin}: {reason}")]
    Manifest {
        /// File or place.
        origin: String,
        /// What is wrong.
        reason: String,
    },
}

impl KubernetesError {
    /// Says what was being done when `error` came back.
    pub fn request(action: impl Into<String>, error: &kube::Error) -> Self {
        let (reason, status) = match error {
            kube::Error::Api(status) => (status.message.clone(), Some(status.code)),
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                let why = causes::of_connection(error);
                (format!("the API server can't be reached: {why}"), None)
            }
            other => (other.to_string(), None),
        };
        Self::Request {
            action: action.into(),
            reason,
            status,
        }
    }

    /// Whether the same request may succeed later: no answer, too many requests, or a fault of the server.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Request { status: None, .. } => true,
            Self::Request {
                status: Some(status), ..
            } => *status == 429 || *status >= 500,
            Self::Kubeconfig { .. }
            | Self::Conflict { .. }
            | Self::NotServed { .. }
            | Self::NoNamespace { .. }
            | Self::NotInTime { .. }
            | Self::Hopeless { .. }
            | Self::Manifest { .. } => false,
        }
    }
}

fn list(conflicts: &[FieldConflict]) -> String {
    conflicts
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// `20m`, `1h 30m`, `45s`.
fn in_words(limit: Duration) -> String {
    jiff::SignedDuration::try_from(limit).map_or_else(|_| format!("{limit:?}"), |limit| format!("{limit:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_not_in_time_says_what_how_long_and_why() {
        let error = KubernetesError::NotInTime {
            what: "Cluster/prod/prod Available".into(),
            limit: Duration::from_secs(1200),
            state: Box::new("LabCluster/prod/prod-x: no address".into()),
        };
        assert_eq!(
            error.to_string(),
            "Cluster/prod/prod Available was not reached within 20m: LabCluster/prod/prod-x: no address"
        );
    }
}
