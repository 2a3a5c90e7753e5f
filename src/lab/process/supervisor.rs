//! Everything that runs for a lab: started, watched, stopped in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8PathBuf;
use futures::future;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::keeper::Keeper;
use super::{ProcessError, ProcessIdentity, ProcessSpec};
use crate::lab::state::{RecordFile, StateDirectory};
use crate::report::Reporter;

/// What one process of the lab is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    #[serde(flatten)]
    pub phase: ProcessPhase,
    /// Since when.
    pub since: Timestamp,
    /// The process itself, while there is one.
    pub process: Option<ProcessIdentity>,
    /// How often it was started again after it had crashed.
    pub restarts: u32,
    /// Its log file.
    pub log: Utf8PathBuf,
}

/// What a process can be doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum ProcessPhase {
    /// It was started and is not ready yet.
    Starting {
        /// Its last answer to the question.
        waiting: Option<String>,
    },
    /// It does its work.
    Ready,
    /// It ended though nobody asked it to; it is started again after a delay.
    Crashed {
        /// Exit code or signal, in words.
        status: String,
        /// The last lines of its log.
        lines: Vec<String>,
    },
    /// It was asked to end.
    Stopping,
}

/// Starts, watches and stops the processes of one lab. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) directory: StateDirectory,
    pub(super) record: RecordFile,
    pub(super) mark: String,
    /// What every process gets in its environment.
    pub(super) environment: BTreeMap<String, String>,
    pub(super) reporter: Arc<dyn Reporter>,
    registry: Mutex<Registry>,
    statuses: watch::Sender<Vec<ProcessStatus>>,
}

#[derive(Default)]
struct Registry {
    is_closed: bool,
    clock: u64,
    entries: BTreeMap<String, Entry>,
}

/// One name under which a process runs, ran or is about to run.
#[derive(Default)]
struct Entry {
    /// Locked while the process is being started or stopped, so that this happens one after the other.
    slot: Arc<tokio::sync::Mutex<Option<Running>>>,
    stop: CancellationToken,
    is_active: bool,
    started: u64,
    ready: Option<u64>,
}

struct Running {
    spec: ProcessSpec,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        // A keeper that panicked has dropped its process, which kills it.
        drop(self.keeper.await);
    }
}

impl Supervisor {
    /// A supervisor without processes. `environment` is what each of them gets: `PATH` and `HOME`.
    pub(in crate::lab) fn new(
        directory: StateDirectory,
        record: RecordFile,
        environment: BTreeMap<String, String>,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let shared = Shared {
            directory,
            mark: record.current().mark(),
            record,
            environment,
            reporter,
            registry: Mutex::default(),
            statuses: watch::Sender::new(Vec::new()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Starts the process that `spec` describes and returns when it is ready. One that runs by an equal spec stays;
    /// one that runs by another spec is stopped first. When it does not get ready, it is ended before this returns.
    pub async fn start(&self, spec: ProcessSpec) -> Result<(), ProcessError> {
        let name = spec.name.clone();
        let slot = self.slot(&name);
        let mut slot = slot.lock().await;
        if let Some(running) = slot.as_ref()
            && running.spec.is_same(&spec)
            && self.is_running(&name)
        {
            return Ok(());
        }
        if let Some(running) = slot.take() {
            running.stop().await;
        }
        let stop = self.admit(&name)?;
        let (ready, became_ready) = oneshot::channel();
        let keeper = Keeper {
            shared: Arc::clone(&self.shared),
            spec: spec.clone(),
            stop: stop.clone(),
        };
        let keeper = tokio::spawn(keeper.keep(ready));
        *slot = Some(Running { spec, stop, keeper });
        let outcome = became_ready
            .await
            .unwrap_or_else(|_| Err(ProcessError::Stopped { name: name.clone() }));
        if outcome.is_ok() {
            self.shared.became_ready(&name);
        } else {
            // Its keeper has ended, and the process with it.
            drop(slot.take());
            self.shared.left(&name);
        }
        outcome
    }

    /// Stops the process called `name` and returns when it has ended. Does nothing when none runs.
    pub async fn stop(&self, name: &str) -> Result<(), ProcessError> {
        let Some((slot, stop)) = self.find(name) else {
            return Ok(());
        };
        // Before the lock: whoever holds it may be waiting for the process to get ready.
        stop.cancel();
        if let Some(running) = slot.lock().await.take() {
            running.stop().await;
        }
        // Its keeper has said so already, unless it panicked.
        self.shared.left(name);
        Ok(())
    }

    /// Whether the process called `name` is ready.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.shared
            .statuses
            .borrow()
            .iter()
            .any(|status| status.name == name && status.phase == ProcessPhase::Ready)
    }

    /// What all processes are doing, in the order in which they were started, and every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Vec<ProcessStatus>> {
        self.shared.statuses.subscribe()
    }

    /// Stops everything and starts nothing any more. A process ends only after all that were started when it was
    /// ready, for those may need it; what can't need each other ends in parallel.
    pub async fn stop_all(&self) {
        self.shared.registry().is_closed = true;
        loop {
            let wave = self.shared.registry().independent();
            if wave.is_empty() {
                return;
            }
            future::join_all(wave.iter().map(|name| self.stop(name))).await;
        }
    }

    fn slot(&self, name: &str) -> Arc<tokio::sync::Mutex<Option<Running>>> {
        let mut registry = self.shared.registry();
        Arc::clone(&registry.entries.entry(name.to_owned()).or_default().slot)
    }

    fn find(&self, name: &str) -> Option<(Arc<tokio::sync::Mutex<Option<Running>>>, CancellationToken)> {
        let registry = self.shared.registry();
        let entry = registry.entries.get(name)?;
        Some((Arc::clone(&entry.slot), entry.stop.clone()))
    }

    /// Counts the process called `name` as active, unless everything is being stopped.
    fn admit(&self, name: &str) -> Result<CancellationToken, ProcessError> {
        let mut registry = self.shared.registry();
        if registry.is_closed {
            return Err(ProcessError::Stopped {
                name: name.to_owned(),
            });
        }
        registry.clock += 1;
        let started = registry.clock;
        let entry = registry.entries.entry(name.to_owned()).or_default();
        entry.stop = CancellationToken::new();
        entry.is_active = true;
        entry.started = started;
        entry.ready = None;
        Ok(entry.stop.clone())
    }
}

impl Registry {
    /// The active processes that no other active one can need.
    fn independent(&self) -> Vec<String> {
        let active = || self.entries.iter().filter(|(_, entry)| entry.is_active);
        let is_needed =
            |ready: Option<u64>| ready.is_some_and(|ready| active().any(|(_, other)| other.started > ready));
        active()
            .filter(|(_, entry)| !is_needed(entry.ready))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Shared {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn became_ready(&self, name: &str) {
        let mut registry = self.registry();
        registry.clock += 1;
        let now = registry.clock;
        if let Some(entry) = registry.entries.get_mut(name) {
            entry.ready = Some(now);
        }
    }

    /// Tells that the process called `name` ended and is not started again.
    pub(super) fn left(&self, name: &str) {
        self.statuses
            .send_modify(|statuses| statuses.retain(|status| status.name != name));
        if let Some(entry) = self.registry().entries.get_mut(name) {
            entry.is_active = false;
        }
    }

    /// Changes what is told of the process called `name`.
    pub(super) fn tell(&self, name: &str, change: impl FnOnce(&mut ProcessStatus)) {
        self.statuses.send_if_modified(|statuses| {
            let index = statuses
                .iter()
                .position(|status| status.name == name)
                .unwrap_or_else(|| {
                    statuses.push(self.first_status(name));
                    statuses.len() - 1
                });
            let before = statuses[index].clone();
            change(&mut statuses[index]);
            statuses[index] != before || before.process.is_none()
        });
    }

    fn first_status(&self, name: &str) -> ProcessStatus {
        ProcessStatus {
            name: name.to_owned(),
            phase: ProcessPhase::Starting { waiting: None },
            since: Timestamp::now(),
            process: None,
            restarts: 0,
            log: self.directory.log(name),
        }
    }
}
