//! Why a lab command fails.

use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::context::ContextError;
use super::control::Failure;
use super::process;
use super::state::StateError;
use crate::names::LabName;

/// Why a lab command fails.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The lab's state can't be read or kept.
    #[error("the state of lab `{name}` can't be read or kept")]
    State {
        /// The lab.
        name: LabName,
        /// Why.
        #[source]
        source: StateError,
    },
    /// Its keys or state can't be opened by its supervisor.
    #[error("opening lab `{name}`")]
    Context {
        /// The lab.
        name: LabName,
        /// Why.
        #[source]
        source: ContextError,
    },
    /// The supervisor can't be started.
    #[error("starting the supervisor of lab `{name}` ({program})")]
    Spawn {
        /// The lab.
        name: LabName,
        /// Its program.
        program: Utf8PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The supervisor ended without a word.
    #[error(
        "the supervisor of lab `{name}` ended unexpectedly; `lotse lab up {name}` starts it again on the kept state{}",
        process::shown(Some(log), lines)
    )]
    SupervisorEnded {
        /// The lab.
        name: LabName,
        /// Its log.
        log: Utf8PathBuf,
        /// The last lines of that.
        lines: Vec<String>,
    },
    /// Another supervisor is there and does not answer.
    #[error("another supervisor of lab `{name}` did not end within {} s; `lotse lab down {name}` ends it", within.as_secs())]
    SupervisorStays {
        /// The lab.
        name: LabName,
        /// How long it was waited for.
        within: Duration,
    },
    /// The supervisor is there and does not answer.
    #[error("the supervisor of lab `{name}` does not answer within {} s; `lotse lab down {name}` ends it", within.as_secs())]
    Silent {
        /// The lab.
        name: LabName,
        /// How long it was waited for.
        within: Duration,
    },
    /// Talking to the supervisor.
    #[error("talking to the supervisor of lab `{name}`")]
    Control {
        /// The lab.
        name: LabName,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its supervisor is a version or build of lotse that says things we don't know.
    #[error(
        "lab `{name}` is run by another version of lotse, which this one does not understand; `lotse lab down {name}` \
         ends it, and it can be brought up anew"
    )]
    OtherVersion {
        /// The lab.
        name: LabName,
        /// What can't be read.
        #[source]
        source: io::Error,
    },
    /// It did not start. Everything that was started for it was stopped again.
    #[error("lab `{name}` did not start, and what was started for it was stopped again")]
    Failed {
        /// The lab.
        name: LabName,
        /// What was the matter.
        #[source]
        failure: Failure,
    },
    /// It was stopped by somebody else while it was starting.
    #[error("lab `{name}` was stopped while it was starting")]
    Stopped {
        /// The lab.
        name: LabName,
    },
    /// It is not up, so nobody can be told where anything in it is.
    #[error("lab `{name}` is not up: `lotse lab up {name}` brings it up")]
    NotReady {
        /// The lab.
        name: LabName,
    },
    /// The lab has no such cluster.
    #[error("lab `{name}` has no cluster `{cluster}`; it has {}", known.join(", "))]
    NoCluster {
        /// The lab.
        name: LabName,
        /// What was asked for.
        cluster: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The command was interrupted.
    #[error("interrupted; {}", after_interrupt(name, *goes_on))]
    Interrupted {
        /// The lab.
        name: LabName,
        /// Whether the lab is or gets up all the same.
        goes_on: bool,
    },
    /// There is no such lab.
    #[error("there is no lab `{name}`; {}", known_in_words(known))]
    Unknown {
        /// The lab.
        name: LabName,
        /// Those there are.
        known: Vec<LabName>,
    },
    /// It runs, and tells in other words where everything is.
    #[error(
        "lab `{name}` was brought up by another version of lotse; `lotse lab down {name}` and bring it up anew"
    )]
    Endpoints {
        /// The lab.
        name: LabName,
        /// What can't be read.
        #[source]
        source: serde_json::Error,
    },
    /// A component has no log.
    #[error("lab `{name}` has no log of `{component}`; it has {}", known.join(", "))]
    UnknownLog {
        /// The lab.
        name: LabName,
        /// The component.
        component: String,
        /// Those that have one.
        known: Vec<String>,
    },
    /// A log can't be read, or what was read can't be shown.
    #[error("showing the logs of lab `{name}`")]
    Logs {
        /// The lab.
        name: LabName,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// What was asked for can't be written to stdout.
    #[error("writing what was asked for about lab `{name}`")]
    Output {
        /// The lab.
        name: LabName,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl LabError {
    /// What talking to the supervisor of the lab `name` failed with.
    pub(super) fn talking(name: &LabName, source: io::Error) -> Self {
        let name = name.clone();
        match source.kind() {
            io::ErrorKind::InvalidData => Self::OtherVersion { name, source },
            _ => Self::Control { name, source },
        }
    }

    /// What to do about it, where the error itself does not say.
    #[must_use]
    pub fn remedies(&self) -> Vec<String> {
        match self {
            Self::State { source, .. } => source.remedy().map(str::to_owned).into_iter().collect(),
            Self::Failed { name, failure } => {
                let goes_on = format!("`lotse lab up {name}` goes on from here");
                failure.remedy.clone().into_iter().chain([goes_on]).collect()
            }
            Self::NoCluster { name, .. } => vec![format!(
                "`lotse bootstrap ENVIRONMENT` makes the clusters of an environment with `lab: {name}`; \
                 `--cluster moin` names the management cluster"
            )],
            _ => Vec::new(),
        }
    }

    /// Whether the command line or the surroundings don't fit, so that nothing was tried.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::State {
                source: StateError::SocketPath { .. },
                ..
            }
        )
    }

    /// Whether whoever read what was shown has seen enough.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source, .. } | Self::Logs { source, .. }
            if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn after_interrupt(name: &LabName, goes_on: bool) -> String {
    if goes_on {
        format!("lab `{name}` goes on; `lotse lab down {name}` ends it")
    } else {
        format!("what was started for lab `{name}` was stopped again")
    }
}

fn known_in_words(known: &[LabName]) -> String {
    if known.is_empty() {
        return "`lotse lab up` makes one".to_owned();
    }
    let names: Vec<&str> = known.iter().map(LabName::as_str).collect();
    format!("there is {}", names.join(", "))
}
