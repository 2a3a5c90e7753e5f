//! Components as processes: start, readiness, logs, a crash noticed, an orderly stop.
//!
//! Knows nothing of what the components are for.

mod identity;
mod keeper;
mod listener;
mod log;
mod readiness;
mod supervisor;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;

pub use identity::ProcessIdentity;
pub(super) use identity::{end, gone, marked_below, marked_by, resident_memory_by_group};
pub(super) use listener::listener_on;
pub(super) use log::{last_lines, open as open_log, shown};
pub use readiness::{ReadinessAnswer, ReadinessCheck, http_ready, tcp_ready};
pub use supervisor::{ProcessPhase, ProcessStatus, Supervisor};

use super::state::StateError;

/// The environment variable that marks every process of a lab; its value is `<name>/<random identifier>`.
pub const MARK_VARIABLE: &str = "LOTSE_LAB";

/// How many lines of a log are shown beside a fault.
pub(super) const SHOWN_LINES: usize = 20;
/// The name of the supervisor's own log.
pub(super) const SUPERVISOR: &str = "supervisor";

/// How long a component may take to get ready when its [`ProcessSpec`] has no reason for another limit.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// How to run one component.
#[derive(Clone)]
pub struct ProcessSpec {
    /// Unique in the lab; names its log file and its row in `lotse lab status` (`etcd`, `moin/kube-apiserver`).
    pub name: String,
    /// The program.
    pub program: Utf8PathBuf,
    /// Its arguments; no secret among them.
    pub arguments: Vec<String>,
    /// Its whole environment besides `PATH`, `HOME` and the lab's mark. Values may be secret: they are never shown.
    /// A `PATH` or `HOME` given here counts instead of the lab's own.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: Utf8PathBuf,
    /// How it says that it is ready.
    pub ready: ReadinessCheck,
    /// How long that may take; [`READY_WITHIN`] suits most.
    pub ready_within: Duration,
}

impl ProcessSpec {
    /// Whether a process that was started by `other` is what this asks for. The readiness check, being code, is
    /// left out.
    fn is_same(&self, other: &Self) -> bool {
        let key = |spec: &Self| {
            (
                spec.program.clone(),
                spec.arguments.clone(),
                spec.environment.clone(),
                spec.directory.clone(),
            )
        };
        key(self) == key(other)
    }
}

/// Why a process can't be started or kept.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system did not start it.
    #[error("starting `{name}` ({program})")]
    Spawn {
        /// Name of the process.
        name: String,
        /// Its program.
        program: Utf8PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("`{name}` ended with {status} before it was ready; its log is {log}")]
    Exited {
        /// Name of the process.
        name: String,
        /// Exit code or signal, in words.
        status: String,
        /// Its log file.
        log: Utf8PathBuf,
        /// The last lines of that.
        lines: Vec<String>,
    },
    /// It runs and does not get ready.
    #[error("`{name}` was not ready within {} s: {reason}; its log is {log}", within.as_secs())]
    NotReady {
        /// Name of the process.
        name: String,
        /// How long it was given.
        within: Duration,
        /// Its last answer.
        reason: String,
        /// Its log file.
        log: Utf8PathBuf,
        /// The last lines of that.
        lines: Vec<String>,
    },
    /// It was stopped while it was starting, or the whole lab is being stopped.
    #[error("`{name}` was not started because it is being stopped")]
    Stopped {
        /// Name of the process.
        name: String,
    },
    /// It can't be written down, so it was not kept.
    #[error("recording `{name}`")]
    Record {
        /// Name of the process.
        name: String,
        /// Why.
        #[source]
        source: StateError,
    },
}

impl ProcessError {
    /// The component's log, where it was its own fault.
    #[must_use]
    pub const fn log(&self) -> Option<&Utf8PathBuf> {
        match self {
            Self::Exited { log, .. } | Self::NotReady { log, .. } => Some(log),
            Self::Spawn { .. } | Self::Stopped { .. } | Self::Record { .. } => None,
        }
    }

    /// The last lines of the component's log, where it was its own fault.
    #[must_use]
    pub fn log_lines(&self) -> &[String] {
        match self {
            Self::Exited { lines, .. } | Self::NotReady { lines, .. } => lines,
            Self::Spawn { .. } | Self::Stopped { .. } | Self::Record { .. } => &[],
        }
    }
}
