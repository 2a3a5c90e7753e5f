//! Ending a lab so that nothing of it is left.

use std::io;
use std::time::Duration;

use camino::Utf8Path;

use super::control::{Connection, LabPhase, Message, Request, Snapshot};
use super::error::LabError;
use super::process;
use super::state::{DirectoryLock, LabRecord, StateDirectory, StateError, known_labs};
use super::supervise::{end_found, end_leftovers};
use crate::names::LabName;
use crate::report::{Reporter, Task};

/// How long a supervisor may take to begin its answer. One that hangs does not.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may be silent while it stops everything: longer than it gives any one process.
const SILENCE_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end after it has stopped everything.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long one that hangs may take to end.
const HANGING_PATIENCE: Duration = Duration::from_secs(1);

/// Stops everything of the lab `name` and removes its state. Works too when its supervisor was killed or hangs:
/// exactly the processes that carry the lab's mark are ended.
pub async fn down(state_root: &Utf8Path, name: &LabName, reporter: &dyn Reporter) -> Result<(), LabError> {
    let departure = Departure {
        name,
        directory: StateDirectory::locate(state_root, name).map_err(|source| LabError::State {
            name: name.clone(),
            source,
        })?,
    };
    if !departure.directory.exists() {
        return Err(LabError::Unknown {
            name: name.clone(),
            known: known_labs(state_root),
        });
    }
    let task = Task::start(reporter, "lab", format!("stopping lab `{name}`"));
    departure.ask(&task).await;
    departure.remove(&task).await?;
    task.finish("stopped, its state removed");
    Ok(())
}

struct Departure<'options> {
    name: &'options LabName,
    directory: StateDirectory,
}

impl Departure<'_> {
    /// Asks the supervisor to stop everything, and waits until it has. Whatever goes wrong here is made good by
    /// force afterwards.
    async fn ask(&self, task: &Task<'_>) {
        let Ok(Some(mut connection)) = Connection::open(&self.directory, Request::Stop).await else {
            return;
        };
        let mut patience = ANSWER_PATIENCE;
        loop {
            match tokio::time::timeout(patience, connection.next()).await {
                Err(_) => return self.end_hanging(task).await,
                Ok(Ok(Some(Message::Snapshot(snapshot)))) if !has_ended(&snapshot) => tell(task, &snapshot),
                Ok(Ok(Some(Message::Event(_)))) => {}
                Ok(_) => return,
            }
            patience = SILENCE_PATIENCE;
        }
    }

    /// Ends a supervisor that does not answer, so that it can't start anew what is ended next.
    async fn end_hanging(&self, task: &Task<'_>) {
        task.warn("the supervisor does not answer; it and its processes are ended by force");
        if let Ok(Some(record)) = LabRecord::read(&self.directory) {
            let supervisor = record
                .supervisor
                .filter(|supervisor| supervisor.carries(&record.mark()));
            process::end(supervisor.as_slice(), HANGING_PATIENCE).await;
        }
    }

    /// Ends what still runs, and removes the state while nobody can start the lab again.
    async fn remove(&self, task: &Task<'_>) -> Result<(), LabError> {
        let Some(_changing) = DirectoryLock::changing(&self.directory)
            .await
            .map_err(|source| self.io(source))?
        else {
            return Ok(());
        };
        // Somebody may have started it again after the first request; from now on nobody can.
        self.ask(task).await;
        match LabRecord::read(&self.directory) {
            Ok(Some(record)) => self.end_processes(&record).await?,
            Ok(None) => {}
            Err(StateError::Unreadable { path, .. }) => {
                task.warn(format!(
                    "{path} can't be read; what runs in the lab's directory is ended"
                ));
                end_found(|| process::marked_below(self.name, self.directory.root())).await;
            }
            Err(source) => {
                return Err(LabError::State {
                    name: self.name.clone(),
                    source,
                });
            }
        }
        match fs_err::remove_dir_all(self.directory.root()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(error)),
            _ => Ok(()),
        }
    }

    /// Leaves time to a supervisor that is about to end; then every process with the lab's mark is ended.
    async fn end_processes(&self, record: &LabRecord) -> Result<(), LabError> {
        let supervisor_ended = DirectoryLock::supervising(&self.directory);
        if let Ok(outcome) = tokio::time::timeout(END_PATIENCE, supervisor_ended).await {
            drop(outcome.map_err(|source| self.io(source))?);
        }
        end_leftovers(record).await;
        Ok(())
    }

    fn io(&self, source: io::Error) -> LabError {
        LabError::State {
            name: self.name.clone(),
            source: StateError::from(source),
        }
    }
}

fn has_ended(snapshot: &Snapshot) -> bool {
    matches!(snapshot.phase, LabPhase::Stopped | LabPhase::Failed(_))
}

fn tell(task: &Task<'_>, snapshot: &Snapshot) {
    let names: Vec<&str> = snapshot
        .processes
        .iter()
        .map(|status| status.name.as_str())
        .collect();
    if !names.is_empty() {
        task.waiting(format!("{} to end", names.join(", ")));
    }
}
