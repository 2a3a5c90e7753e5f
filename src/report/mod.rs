//! What a long operation tells whoever watches it: ground floor, no terminal.
//!
//! Rooms that wait or work for a while take a [`Reporter`]; only `cli` knows how to draw one.

mod explanation;

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use explanation::Explanation;

/// One thing told about a task. Tasks are named by the stage or component they belong to (`flux`, `etcd`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The task began; `what` says what it will do.
    Started {
        /// Name of the task.
        task: String,
        /// What it will do.
        what: String,
    },
    /// The task waits, and this is what for and what is wrong with it.
    Waiting {
        /// Name of the task.
        task: String,
        /// The deepest object that is not ready, and what it says.
        state: Explanation,
    },
    /// How far a countable piece of work is.
    Progress {
        /// Name of the task.
        task: String,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// The task ended well.
    Finished {
        /// Name of the task.
        task: String,
        /// What was reached, in one line.
        summary: String,
        /// How long it took.
        took: Duration,
    },
    /// Something worth knowing, such as how long the task will take.
    Noted {
        /// Name of the task.
        task: String,
        /// One sentence.
        message: String,
    },
    /// Something the user should know that stops nothing.
    Warned {
        /// Name of the task.
        task: String,
        /// One sentence.
        message: String,
    },
}

impl Event {
    /// Name of the task it is about.
    #[must_use]
    pub fn task(&self) -> &str {
        match self {
            Self::Started { task, .. }
            | Self::Waiting { task, .. }
            | Self::Progress { task, .. }
            | Self::Finished { task, .. }
            | Self::Noted { task, .. }
            | Self::Warned { task, .. } => task,
        }
    }
}

/// What [`Event::Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Go packages compiled.
    Packages,
    /// Files unpacked or written.
    Files,
}

/// Somebody who watches. Implementations must not block for long: they are called from the work itself.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Notes in the log (`-vv`) that a request which changes something is about to be sent: `request` names method and object,
/// without secrets.
pub fn sends(request: impl fmt::Display) {
    tracing::debug!(%request, "sends a change");
}

/// A reporter that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: Event) {}
}

/// A running task of a [`Reporter`]: remembers its name and when it began.
pub struct Task<'reporter> {
    reporter: &'reporter dyn Reporter,
    name: String,
    started: Instant,
}

impl<'reporter> Task<'reporter> {
    /// Tells that the task began.
    pub fn start(
        reporter: &'reporter dyn Reporter,
        name: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        let name = name.into();
        reporter.report(Event::Started {
            task: name.clone(),
            what: what.into(),
        });
        Self {
            reporter,
            name,
            started: Instant::now(),
        }
    }

    /// Tells what the task waits for.
    pub fn waiting(&self, state: impl Into<Explanation>) {
        self.reporter.report(Event::Waiting {
            task: self.name.clone(),
            state: state.into(),
        });
    }

    /// Tells how far it is.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: Unit) {
        self.reporter.report(Event::Progress {
            task: self.name.clone(),
            done,
            total,
            unit,
        });
    }

    /// Tells something worth knowing.
    pub fn note(&self, message: impl Into<String>) {
        self.reporter.report(Event::Noted {
            task: self.name.clone(),
            message: message.into(),
        });
    }

    /// Tells something that stops nothing.
    pub fn warn(&self, message: impl Into<String>) {
        self.reporter.report(Event::Warned {
            task: self.name.clone(),
            message: message.into(),
        });
    }

    /// Tells that it ended well, and how long it took.
    pub fn finish(self, summary: impl Into<String>) {
        self.reporter.report(Event::Finished {
            task: self.name,
            summary: summary.into(),
            took: self.started.elapsed(),
        });
    }
}
