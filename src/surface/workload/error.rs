//! What can go wrong with the workload cluster beyond a failed request.

use crate::config::yaml::YamlError;
use crate::kubernetes::KubernetesError;

/// A workload cluster that can't be brought to what is desired.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A request failed, or a wait came to nothing.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// A file of Flux's release can't be read.
    #[error("Flux's manifests can't be read from {path}")]
    ReadRelease {
        /// Which file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Flux's release can't be fetched.
    #[error("Flux's manifests can't be fetched from {url}: {reason}")]
    FetchRelease {
        /// Where from.
        url: String,
        /// Why, in plain words.
        reason: String,
    },
    /// What was fetched is not what was pinned.
    #[error("Flux's manifests from {url} have SHA-256 {found}, not {pinned} as pinned: don't use them")]
    Digest {
        /// Where from.
        url: String,
        /// What is pinned.
        pinned: String,
        /// What came.
        found: String,
    },
    /// A part of Flux is not in the manifests.
    #[error("Flux's manifests have no {missing}: are they those of a whole release?")]
    Incomplete {
        /// The object that is missing.
        missing: String,
    },
    /// The components can't be written as YAML.
    #[error("writing Flux's components")]
    Write {
        /// What the writer said.
        source: YamlError,
    },
    /// The cluster does not accept a token.
    #[error("the cluster does not accept the token of {person}: {reason}")]
    TokenRefused {
        /// Whose token.
        person: String,
        /// What the server said.
        reason: String,
    },
    /// Flux has reconciled, and the cluster still differs from what it delivers.
    #[error("Flux has reconciled, and these still differ from what it delivers: {}", objects.join(", "))]
    NotPutBack {
        /// What differs.
        objects: Vec<String>,
    },
}
