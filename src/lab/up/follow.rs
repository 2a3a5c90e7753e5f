//! Following a lab until it is ready, or will not be.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::arrival::{Arrival, Arrived};
use crate::lab::control::{Connection, LabPhase, Message, Snapshot};
use crate::lab::error::LabError;
use crate::lab::process::{self, ProcessIdentity, ProcessPhase, ProcessStatus};
use crate::report::{Reporter, Task};

/// How long a supervisor that has stopped everything may take to end.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How long a component of a lab that is up may take to come back after a crash, before the lab is used without it.
const MENDING_PATIENCE: Duration = Duration::from_secs(90);

/// Follows a lab until it is ready, or will not be.
pub(super) struct Follower<'run> {
    arrival: &'run Arrival<'run>,
    connection: Connection,
    task: &'run Task<'run>,
    reporter: &'run dyn Reporter,
    has_left: bool,
    /// Whether the supervisor was not started for us and may be ending: we have come to the end of an earlier run
    /// until it tells us otherwise.
    may_be_ending: bool,
    /// Whether that is so.
    is_ending: bool,
    /// A lab that is up, while a component of it that crashed starts again.
    mending: Option<Mending>,
    supervisor: Option<ProcessIdentity>,
    /// What was told last of what is waited for.
    told: Option<String>,
}

/// A lab that is up but for components that crashed.
struct Mending {
    snapshot: Snapshot,
    until: Instant,
}

impl<'run> Follower<'run> {
    pub(super) fn new(
        arrival: &'run Arrival<'run>,
        arrived: Arrived,
        task: &'run Task<'run>,
        reporter: &'run dyn Reporter,
    ) -> Self {
        Self {
            arrival,
            connection: arrived.connection,
            task,
            reporter,
            has_left: false,
            may_be_ending: !arrived.is_ours,
            is_ending: false,
            mending: None,
            supervisor: None,
            told: None,
        }
    }

    /// Answers the state of the lab once it is ready. When it will not be, its supervisor has ended. `None` when it
    /// was ending already as we came, and another one may be started.
    pub(super) async fn follow(
        mut self,
        interrupted: &CancellationToken,
    ) -> Result<Option<Snapshot>, LabError> {
        let outcome = self.await_outcome(interrupted).await;
        let goes_on = matches!(
            outcome,
            Ok(Some(_)) | Err(LabError::Interrupted { goes_on: true, .. })
        );
        if let Some(supervisor) = self.supervisor.filter(|_| !goes_on) {
            // It has said its last word; a time-out leaves it to the next command, which waits for it too.
            drop(tokio::time::timeout(END_PATIENCE, process::gone(supervisor)).await);
        }
        outcome
    }

    async fn await_outcome(&mut self, interrupted: &CancellationToken) -> Result<Option<Snapshot>, LabError> {
        loop {
            let message = tokio::select! {
                () = interrupted.cancelled(), if !self.has_left => {
                    self.leave().await?;
                    continue;
                }
                () = patience(self.mending.as_ref()) => return Ok(self.give_up_mending()),
                message = self.connection.next() => message.map_err(|source| self.arrival.control(source))?,
            };
            let Some(message) = message else {
                return self.end_of_messages();
            };
            if let Some(snapshot) = self.take(message)? {
                return Ok(Some(snapshot));
            }
        }
    }

    /// The lab as it is, with a warning about what is missing of it.
    fn give_up_mending(&mut self) -> Option<Snapshot> {
        let snapshot = self.mending.take()?.snapshot;
        let crashed: Vec<String> = crashed(&snapshot).collect();
        let name = self.arrival.name();
        self.task.warn(format!(
            "without {}: `lotse lab logs {name} --component COMPONENT` shows why",
            crashed.join(", ")
        ));
        Some(snapshot)
    }

    fn end_of_messages(&self) -> Result<Option<Snapshot>, LabError> {
        if self.has_left && self.is_ending {
            return Err(self.interrupted(false));
        }
        if self.may_be_ending || self.is_ending {
            return Ok(None);
        }
        Err(self.arrival.supervisor_ended(0))
    }

    async fn leave(&mut self) -> Result<(), LabError> {
        self.has_left = true;
        self.task
            .waiting("interrupted: what was started is being stopped");
        let outcome = self.connection.leave().await;
        outcome.map_err(|source| self.arrival.control(source))
    }

    /// Passes on what happened; answers the state of a lab that is ready.
    fn take(&mut self, message: Message) -> Result<Option<Snapshot>, LabError> {
        match message {
            Message::Event(event) => self.reporter.report(event),
            Message::Left { others: 0 } if self.mending.is_none() => {}
            Message::Left { .. } => return Err(self.interrupted(true)),
            Message::Snapshot(snapshot) => return self.judge(*snapshot),
        }
        Ok(None)
    }

    fn judge(&mut self, snapshot: Snapshot) -> Result<Option<Snapshot>, LabError> {
        let name = self.arrival.name();
        self.supervisor = snapshot.supervisor;
        self.take_bearings(&snapshot);
        match snapshot.phase {
            _ if self.is_ending => Ok(None),
            LabPhase::Ready if self.has_left => Err(self.interrupted(true)),
            LabPhase::Ready if crashed(&snapshot).next().is_none() => Ok(Some(snapshot)),
            LabPhase::Ready => {
                self.tell_waiting(&snapshot);
                let until = self.mending.take().map(|mending| mending.until);
                let until = until.unwrap_or_else(|| Instant::now() + MENDING_PATIENCE);
                self.mending = Some(Mending { snapshot, until });
                Ok(None)
            }
            LabPhase::Starting => {
                self.tell_waiting(&snapshot);
                Ok(None)
            }
            LabPhase::Stopping => Ok(None),
            LabPhase::Stopped if self.has_left => Err(self.interrupted(false)),
            LabPhase::Stopped => Err(LabError::Stopped { name }),
            LabPhase::Failed(failure) => Err(LabError::Failed { name, failure }),
        }
    }

    /// The first snapshot tells who the supervisor is, and whether it is ending.
    fn take_bearings(&mut self, snapshot: &Snapshot) {
        let is_first = std::mem::replace(&mut self.may_be_ending, false);
        if is_first && !snapshot.is_of_this_build() {
            self.tell_other_build(snapshot);
        }
        if is_first && matches!(snapshot.phase, LabPhase::Stopping | LabPhase::Stopped) {
            self.is_ending = true;
            self.task.waiting("its earlier run is being stopped");
        }
    }

    fn tell_other_build(&self, snapshot: &Snapshot) {
        let name = self.arrival.name();
        let ours = env!("CARGO_PKG_VERSION");
        let theirs = if snapshot.lotse == ours {
            format!("another build of lotse {ours}")
        } else {
            format!("lotse {}, and this is {ours}", snapshot.lotse)
        };
        self.task.warn(format!(
            "lab `{name}` is run by {theirs}; it is used as it is: `lotse lab down {name}` and bring it up anew for \
             what changed in the lab"
        ));
    }

    fn interrupted(&self, goes_on: bool) -> LabError {
        LabError::Interrupted {
            name: self.arrival.name(),
            goes_on,
        }
    }

    fn tell_waiting(&mut self, snapshot: &Snapshot) {
        let waiting = waiting_for(snapshot);
        if !self.has_left && waiting != self.told {
            if let Some(state) = &waiting {
                self.task.waiting(state.as_str());
            }
            self.told = waiting;
        }
    }
}

/// What a lab that is starting waits for: its processes that are not ready, by name. What each of them answers is told
/// by `lotse lab status`.
fn waiting_for(snapshot: &Snapshot) -> Option<String> {
    let unready: Vec<String> = snapshot.processes.iter().filter_map(unready).collect();
    if !unready.is_empty() {
        return Some(format!("waiting for {}", unready.join(", ")));
    }
    (!snapshot.processes.is_empty()).then(|| "setting up what runs on the ready components".to_owned())
}

/// Those that crashed and are not ready again, each with how it ended where that was just now.
fn crashed(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let was_ready = |status: &&ProcessStatus| status.restarts > 0 || is_crashed(status);
    snapshot.processes.iter().filter(was_ready).filter_map(unready)
}

const fn is_crashed(status: &ProcessStatus) -> bool {
    matches!(status.phase, ProcessPhase::Crashed { .. })
}

/// Waits until a lab that is mending has had its time; for ever when none is.
async fn patience(mending: Option<&Mending>) {
    match mending {
        None => std::future::pending().await,
        Some(mending) => tokio::time::sleep_until(mending.until.into()).await,
    }
}

fn unready(status: &ProcessStatus) -> Option<String> {
    match &status.phase {
        ProcessPhase::Starting { .. } => Some(status.name.clone()),
        ProcessPhase::Crashed { status: end, .. } => Some(format!("{} (ended with {end})", status.name)),
        ProcessPhase::Ready | ProcessPhase::Stopping => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::names::LabName;

    fn status(name: &str, phase: ProcessPhase) -> ProcessStatus {
        ProcessStatus {
            name: name.to_owned(),
            phase,
            since: Timestamp::UNIX_EPOCH,
            process: None,
            restarts: 0,
            log: "x.log".into(),
        }
    }

    #[test]
    fn test_what_is_waited_for_is_named_without_what_it_answers() {
        let mut snapshot = Snapshot::new(LabName::new("default").unwrap());
        assert_eq!(waiting_for(&snapshot), None, "nothing was started yet");
        let starting = ProcessPhase::Starting {
            waiting: Some("http://127.0.0.1:1/ does not answer yet".to_owned()),
        };
        let crashed = ProcessPhase::Crashed {
            status: "signal 9".to_owned(),
            lines: Vec::new(),
        };
        snapshot.processes = vec![
            status("etcd", ProcessPhase::Ready),
            status("keycloak", starting),
            status("forge", crashed),
        ];
        assert_eq!(
            waiting_for(&snapshot).as_deref(),
            Some("waiting for keycloak, forge (ended with signal 9)")
        );
        snapshot.processes.truncate(1);
        assert_eq!(
            waiting_for(&snapshot).as_deref(),
            Some("setting up what runs on the ready components")
        );
    }
}
