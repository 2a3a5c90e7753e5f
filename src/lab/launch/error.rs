//! Why the lab did not come up.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::yaml::YamlError;
use crate::kubernetes::KubernetesError;
use crate::lab::LaunchFault;
use crate::lab::component::ComponentError;
use crate::lab::dns::DnsServerError;
use crate::lab::pki::PkiError;
use crate::lab::process::ProcessError;
use crate::lab::provider::ProviderError;
use crate::lab::state::StateError;
use crate::ssh::NoKeyPair;

/// What was being done when a component of the lab could not be brought up. Each names the component.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program of a component is not to be had.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A process did not start, was not ready in time, or did not end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// No key pair could be made.
    #[error(transparent)]
    KeyPair(#[from] NoKeyPair),
    /// The lab's state can't be read or kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A certificate or key can't be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file of a component can't be read or written.
    #[error("preparing the files of a component")]
    File(#[source] io::Error),
    /// A file can't be written as YAML.
    #[error("writing {path}: {reason}")]
    Render {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        reason: String,
    },
    /// A control plane refused a request or did not answer.
    #[error("control plane {control_plane}")]
    Kubernetes {
        /// Its name.
        control_plane: String,
        /// What was asked and answered.
        #[source]
        source: KubernetesError,
    },
    /// A kind is not served although its definition was applied.
    #[error("control plane {control_plane} does not serve {definition} after {seconds} s: {state}")]
    NotEstablished {
        /// The control plane.
        control_plane: String,
        /// Name of the `CustomResourceDefinition`.
        definition: String,
        /// How long was waited.
        seconds: u64,
        /// What its conditions say.
        state: String,
    },
    /// Another Kubernetes version than the lab has.
    #[error(
        "Kubernetes {wanted} is not to be had in the lab: its control planes are {available}; set the cluster's version to {available}"
    )]
    Version {
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// Knot DNS is wanted and not there.
    #[error(
        "the lab is to have Knot DNS as its name server, and there is no `knotd` on PATH, in /usr/sbin or in /usr/local/sbin"
    )]
    KnotMissing,
    /// Designate is wanted, and what it needs is not there.
    #[error(
        "the lab is to have Designate, which needs Debian packages that are not installed: apt install {packages}"
    )]
    DesignateMissing {
        /// Their names.
        packages: String,
    },
    /// Designate can't be prepared.
    #[error("preparing Designate")]
    Designate(#[source] std::io::Error),
    /// The name server did not start.
    #[error("starting the name server")]
    NameServer(#[from] DnsServerError),
    /// The lab's Cluster API provider did not start.
    #[error("starting the lab's Cluster API provider")]
    Provider(#[source] Box<ProviderError>),
    /// etcd refused a request or did not answer.
    #[error("etcd: {action}: {reason}")]
    Etcd {
        /// What was asked.
        action: String,
        /// What it said.
        reason: String,
    },
    /// The forge can't be given its content.
    #[error("forge; its log is {log}")]
    Forge {
        /// Where to read more.
        log: Utf8PathBuf,
        /// What was asked and answered.
        #[source]
        source: ForgeError,
    },
}

impl LaunchError {
    /// The fault as the supervisor takes it: what a process or the state said stands for itself, so that it is known
    /// by its type.
    #[must_use]
    pub fn into_fault(self) -> LaunchFault {
        match self {
            Self::Process(source) => source.into(),
            Self::State(source) => source.into(),
            other => other.into(),
        }
    }

    /// What to do about it, where the error itself does not say.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::KnotMissing => Some(
                "`apt-get install knot` (its service need not run), or make the lab anew with `--name-server built-in`",
            ),
            _ => None,
        }
    }

    pub(in crate::lab) fn kubernetes(control_plane: &str, source: KubernetesError) -> Self {
        Self::Kubernetes {
            control_plane: control_plane.to_owned(),
            source,
        }
    }

    pub(in crate::lab) fn render(path: &Utf8Path, error: &YamlError) -> Self {
        Self::Render {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// What the forge was asked for in vain.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It refused a request or did not answer.
    #[error("{action}: {reason}")]
    Request {
        /// What was asked.
        action: String,
        /// What it said.
        reason: String,
    },
    /// A person has another id than the declarations say.
    #[error(
        "the account `{login}` has {}, and the lab's declarations say {wanted}; make the lab anew with `lotse lab down`",
        seen.map_or_else(|| "no id".to_owned(), |id| format!("id {id}"))
    )]
    PersonId {
        /// Login.
        login: String,
        /// The id it should have.
        wanted: u64,
        /// The id it has.
        seen: Option<u64>,
    },
}

impl ForgeError {
    pub(super) fn request(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Request {
            action: action.into(),
            reason: reason.into(),
        }
    }
}

impl From<ProviderError> for LaunchError {
    fn from(source: ProviderError) -> Self {
        Self::Provider(Box::new(source))
    }
}
