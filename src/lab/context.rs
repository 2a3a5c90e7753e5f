//! What everything that runs for a lab gets.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::component::Components;
use super::dns::NameServer;
use super::extra::Extra;
use super::pki::{CertificateAuthority, PkiError};
use super::process::Supervisor;
use super::state::{LabSecrets, Ports, RecordFile, StateDirectory, StateError};
use crate::names::LabName;
use crate::report::Reporter;

/// How long the lab's own tasks may take to end.
const TASKS_PATIENCE: Duration = Duration::from_secs(10);

/// What a lab takes from the environment of the program.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `PATH`, for components that call other programs.
    pub path: String,
    /// `HOME`.
    pub home: String,
    /// Whether the user named a C compiler with `CC`.
    pub has_compiler: bool,
    /// The name server the user asked for.
    pub name_server: Option<NameServer>,
    /// What the user asked for beside what every lab has.
    pub extras: BTreeSet<Extra>,
}

/// One lab, for whoever starts or runs a part of it. Cheap to clone.
#[derive(Clone)]
pub struct LabContext {
    /// Its name.
    pub name: LabName,
    /// Runs its processes.
    pub supervisor: Supervisor,
    /// Gives the programs it runs.
    pub components: Components,
    /// What it took from the environment of the program.
    pub surroundings: Surroundings,
    /// Its directory.
    pub state: StateDirectory,
    /// What is kept of it over restarts.
    pub(in crate::lab) record: RecordFile,
    /// Its ports.
    pub ports: Ports,
    /// Issues its certificates.
    pub authority: Arc<CertificateAuthority>,
    /// Its passwords and tokens.
    pub secrets: LabSecrets,
    /// Who is told what happens.
    pub reporter: Arc<dyn Reporter>,
    /// Tasks of the program itself that belong to the lab (DNS server, controllers): spawn them here.
    pub tasks: TaskTracker,
    /// Cancelled when the lab is being stopped: the tasks end then, before any process is stopped.
    pub stopping: CancellationToken,
}

/// Why a lab's context can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Its state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its certificate authority.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl LabContext {
    /// Opens the lab `name` in `state`, and makes what is not there yet. Starts nothing.
    ///
    /// # Does not
    /// keep a second program from doing the same: the lab's supervisor does, by a lock.
    pub fn open(
        name: &LabName,
        state: StateDirectory,
        components: Components,
        surroundings: Surroundings,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, ContextError> {
        state.create()?;
        let record = RecordFile::open(&state, name)?;
        Self::with_record(record, state, components, surroundings, reporter)
    }

    /// Opens the lab whose record is open already.
    pub(super) fn with_record(
        record: RecordFile,
        state: StateDirectory,
        components: Components,
        surroundings: Surroundings,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, ContextError> {
        let environment = BTreeMap::from([
            ("PATH".to_owned(), surroundings.path.clone()),
            ("HOME".to_owned(), surroundings.home.clone()),
        ]);
        Ok(Self {
            name: record.current().name,
            supervisor: Supervisor::new(state.clone(), record.clone(), environment, Arc::clone(&reporter)),
            components,
            surroundings,
            ports: Ports::new(record.clone()),
            record,
            authority: Arc::new(CertificateAuthority::open(&state.pki())?),
            secrets: LabSecrets::open(&state)?,
            state,
            reporter,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Stops everything that runs for the lab: its tasks, then its processes in order.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(TASKS_PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("a task of the lab did not end; its processes are stopped all the same");
        }
        self.supervisor.stop_all().await;
    }
}
