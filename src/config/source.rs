//! What an application consists of.

use camino::Utf8PathBuf;
use serde_json::{Map, Value};

/// What runs: manifests of our own, something of somebody else's, or both. Never neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A folder with Kubernetes manifests or a kustomization, relative to the repository.
    pub manifests: Option<Utf8PathBuf>,
    /// What comes from somewhere else.
    pub upstream: Option<Upstream>,
}

/// What is delivered besides manifests of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A Helm chart.
    Helm(Helm),
    /// A folder of a Git repository.
    Git(GitFolder),
    /// A folder of an OCI artifact.
    Oci(OciFolder),
}

/// A release of a Helm chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helm {
    /// The chart.
    pub chart: Chart,
    /// Values for it.
    pub values: Option<ChartValues>,
}

/// Where a Helm chart comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chart {
    /// A chart repository (`https://`) or an OCI registry (`oci://`).
    Repository {
        /// Address of the repository, without the chart.
        url: String,
        /// Name of the chart.
        name: String,
        /// Exact version (Semantic Versioning 2).
        version: String,
    },
    /// A folder of this repository, relative to it.
    Folder(Utf8PathBuf),
}

/// Values of a Helm release as they are written; `{{domain}}`, `{{issuer}}` and `{{environment}}` are not replaced yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartValues {
    /// The file, relative to the repository.
    pub path: Utf8PathBuf,
    /// What stands in it.
    pub content: Map<String, Value>,
}

/// A folder of a Git repository at a fixed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitFolder {
    /// Address (`https://`).
    pub url: String,
    /// Which state.
    pub reference: GitReference,
    /// The folder, `.` for all.
    pub path: Utf8PathBuf,
}

/// A state of a Git repository that does not move by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReference {
    /// A tag.
    Tag(String),
    /// A commit, 40 hexadecimal digits.
    Commit(String),
}

/// A folder of an OCI artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciFolder {
    /// Address (`oci://`).
    pub url: String,
    /// Which state.
    pub reference: OciReference,
    /// The folder, `.` for all.
    pub path: Utf8PathBuf,
}

/// A state of an OCI artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OciReference {
    /// A tag.
    Tag(String),
    /// `sha256:` and 64 hexadecimal digits.
    Digest(String),
}
