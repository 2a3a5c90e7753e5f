//! The life of one process: spawned, asked until it is ready, watched, started again after a crash, ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::supervisor::Shared;
use super::{
    MARK_VARIABLE, ProcessError, ProcessIdentity, ProcessPhase, ProcessSpec, SHOWN_LINES, identity, log,
};
use crate::lab::state::LabRecord;
use crate::report::Event;

/// How long a process may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a process is left alone after it was asked whether it is ready: at first, and at most.
const ASK_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How long after a crash it is started again: the first time, and at most.
const RESTART_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A process that was ready for so long has earned the first delay again.
const COUNTS_AS_STEADY: Duration = Duration::from_secs(60);

/// Looks after one process.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) spec: ProcessSpec,
    pub(super) stop: CancellationToken,
}

/// A process that was spawned.
struct Spawned {
    child: Child,
    identity: ProcessIdentity,
    log_begins_at: u64,
}

impl Keeper {
    /// Looks after the process until it is stopped. Answers on `ready` when it is ready for the first time, or
    /// that it was not to be.
    pub(super) async fn keep(self, ready: oneshot::Sender<Result<(), ProcessError>>) {
        let outcome = match self.bring_up().await {
            Ok(spawned) => {
                // Whoever started it may have gone away; the process stays.
                drop(ready.send(Ok(())));
                self.watch_over(spawned).await;
                None
            }
            Err(error) => Some((ready, error)),
        };
        self.shared.left(&self.spec.name);
        if let Some((ready, error)) = outcome {
            drop(ready.send(Err(error)));
        }
    }

    /// Spawns the process and waits until it is ready. When that fails, it has ended.
    async fn bring_up(&self) -> Result<Spawned, ProcessError> {
        let mut spawned = self.spawn()?;
        let identity = spawned.identity;
        self.tell(ProcessPhase::Starting { waiting: None }, Some(identity));
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(self.stopped()),
            exit = spawned.child.wait() => Err(self.exited(&exit, spawned.log_begins_at)),
            outcome = self.await_ready(spawned.log_begins_at) => outcome,
        };
        match outcome.and_then(|()| self.record(identity)) {
            Ok(()) => {
                self.tell(ProcessPhase::Ready, Some(identity));
                Ok(spawned)
            }
            Err(error) => {
                self.end(&mut spawned).await;
                Err(error)
            }
        }
    }

    fn spawn(&self) -> Result<Spawned, ProcessError> {
        let fault = |source: io::Error| ProcessError::Spawn {
            name: self.spec.name.clone(),
            program: self.spec.program.clone(),
            source,
        };
        let log = log::open(&self.shared.directory.log(&self.spec.name)).map_err(fault)?;
        let errors = log.file.try_clone().map_err(fault)?;
        let child = self
            .command()
            .stdout(log.file)
            .stderr(errors)
            .spawn()
            .map_err(fault)?;
        let pid = child.id().unwrap_or_default().cast_signed();
        let identity = ProcessIdentity::of(pid).unwrap_or(ProcessIdentity { pid, started: 0 });
        self.record(identity)?;
        Ok(Spawned {
            child,
            identity,
            log_begins_at: log.begins_at,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.spec.program);
        command
            .args(&self.spec.arguments)
            .env_clear()
            .envs(&self.shared.environment)
            .envs(&self.spec.environment)
            .env(MARK_VARIABLE, &self.shared.mark)
            .current_dir(&self.spec.directory)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Asks the process until it says that it is ready.
    async fn await_ready(&self, log_begins_at: u64) -> Result<(), ProcessError> {
        let started = Instant::now();
        let (mut pause, longest) = ASK_AFTER;
        loop {
            let Err(reason) = (self.spec.ready)().await else {
                return Ok(());
            };
            if started.elapsed() > self.spec.ready_within {
                return Err(self.not_ready(reason, log_begins_at));
            }
            self.shared.tell(&self.spec.name, |status| {
                status.phase = ProcessPhase::Starting {
                    waiting: Some(reason),
                };
            });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Waits for the end of a process that is ready, and starts it again unless it was stopped.
    async fn watch_over(&self, spawned: Spawned) {
        let mut next = Ok(spawned);
        let mut delay = RESTART_AFTER.0;
        loop {
            let crash = match next {
                Err(ProcessError::Stopped { .. }) => return,
                Err(error) => error,
                Ok(spawned) => {
                    let ready_since = Instant::now();
                    let Some(crash) = self.await_crash(spawned).await else {
                        return;
                    };
                    if ready_since.elapsed() > COUNTS_AS_STEADY {
                        delay = RESTART_AFTER.0;
                    }
                    crash
                }
            };
            self.tell_crash(&crash, delay);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RESTART_AFTER.1);
            next = self.bring_up().await;
        }
    }

    /// Waits until the process ends by itself (then: how), or is stopped (then: `None`).
    async fn await_crash(&self, mut spawned: Spawned) -> Option<ProcessError> {
        let crash = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            exit = spawned.child.wait() => Some(self.exited(&exit, spawned.log_begins_at)),
        };
        if crash.is_none() {
            self.tell(ProcessPhase::Stopping, Some(spawned.identity));
        }
        self.end(&mut spawned).await;
        crash
    }

    /// Ends the process with everything it started.
    async fn end(&self, spawned: &mut Spawned) {
        // Without a number the process is collected already, and its number may be somebody else's by now.
        let group = spawned
            .child
            .id()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(group) = group {
            // It fails only when there is nobody left to signal.
            let _ = kill_process_group(group, Signal::TERM);
            if tokio::time::timeout(PATIENCE, spawned.child.wait())
                .await
                .is_err()
            {
                let _ = kill_process_group(group, Signal::KILL);
                drop(spawned.child.wait().await);
            }
        }
        let left = identity::group_marked_by(spawned.identity.pid, &self.shared.mark);
        identity::end(&left, Duration::ZERO).await;
        self.forget();
    }

    fn record(&self, identity: ProcessIdentity) -> Result<(), ProcessError> {
        let is_recorded = |record: &LabRecord| record.processes.get(&self.spec.name) == Some(&identity);
        if is_recorded(&self.shared.record.current()) {
            return Ok(());
        }
        let insert = |record: &mut LabRecord| {
            record.processes.insert(self.spec.name.clone(), identity);
        };
        self.shared
            .record
            .change(insert)
            .map_err(|source| ProcessError::Record {
                name: self.spec.name.clone(),
                source,
            })
    }

    fn forget(&self) {
        if let Err(error) = self
            .shared
            .record
            .change(|record| record.processes.remove(&self.spec.name))
        {
            // The entry is harmless: a process is ended only when its start time and mark match.
            tracing::warn!(process = self.spec.name, %error, "the end of a process can't be recorded");
        }
    }

    fn tell(&self, phase: ProcessPhase, process: Option<ProcessIdentity>) {
        self.shared.tell(&self.spec.name, |status| {
            status.phase = phase;
            status.process = process;
            status.since = Timestamp::now();
        });
    }

    fn tell_crash(&self, crash: &ProcessError, delay: Duration) {
        let status_text = match crash {
            ProcessError::Exited { status, .. } => status.clone(),
            other => other.to_string(),
        };
        self.shared.reporter.report(Event::Warned {
            task: self.spec.name.clone(),
            message: format!(
                "ended unasked with {status_text}, starts again in {} s; its log is {}",
                delay.as_secs(),
                self.shared.directory.log(&self.spec.name)
            ),
        });
        self.shared.tell(&self.spec.name, |status| {
            status.phase = ProcessPhase::Crashed {
                status: status_text,
                lines: crash.log_lines().to_vec(),
            };
            status.process = None;
            status.since = Timestamp::now();
            status.restarts += 1;
        });
    }

    fn stopped(&self) -> ProcessError {
        ProcessError::Stopped {
            name: self.spec.name.clone(),
        }
    }

    fn exited(&self, exit: &io::Result<ExitStatus>, log_begins_at: u64) -> ProcessError {
        let log = self.shared.directory.log(&self.spec.name);
        ProcessError::Exited {
            name: self.spec.name.clone(),
            status: in_words(exit),
            lines: log::last_lines(&log, log_begins_at, SHOWN_LINES),
            log,
        }
    }

    fn not_ready(&self, reason: String, log_begins_at: u64) -> ProcessError {
        let log = self.shared.directory.log(&self.spec.name);
        ProcessError::NotReady {
            name: self.spec.name.clone(),
            within: self.spec.ready_within,
            reason,
            lines: log::last_lines(&log, log_begins_at, SHOWN_LINES),
            log,
        }
    }
}

fn in_words(exit: &io::Result<ExitStatus>) -> String {
    match exit {
        Err(error) => format!("an unknown status ({error})"),
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        },
    }
}
