//! The way to a supervisor that answers: one that is there, or one that is started.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::UpOptions;
use crate::lab::control::{Connection, Request};
use crate::lab::error::LabError;
use crate::lab::process::{self, MARK_VARIABLE};
use crate::lab::state::{DirectoryLock, LabRecord, RecordFile, StateDirectory, StateError};
use crate::lab::supervise::end_leftovers;
use crate::names::LabName;

const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long a supervisor that is there may take to begin its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// The way to a supervisor that answers.
pub(super) struct Arrival<'options> {
    pub(super) options: &'options UpOptions,
    pub(super) directory: &'options StateDirectory,
}

/// A supervisor that answers.
pub(super) struct Arrived {
    pub(super) connection: Connection,
    /// Whether it was started for us, and not found.
    pub(super) is_ours: bool,
}

impl Arrived {
    const fn found(connection: Connection) -> Self {
        Self {
            connection,
            is_ours: false,
        }
    }

    const fn started(connection: Connection) -> Self {
        Self {
            connection,
            is_ours: true,
        }
    }
}

impl Arrival<'_> {
    /// Connects to the supervisor, and starts it before when there is none.
    pub(super) async fn connect_or_start(&self) -> Result<Arrived, LabError> {
        loop {
            self.directory.create().map_err(|source| self.state(source))?;
            if let Some(connection) = self.connect().await? {
                return Ok(Arrived::found(connection));
            }
            // Somebody who removes the lab meanwhile takes the lock's file with it; then all begins again.
            let lock = DirectoryLock::changing(self.directory).await;
            if let Some(_lock) = lock.map_err(|source| self.state(source.into()))? {
                return match self.connect().await? {
                    Some(connection) => Ok(Arrived::found(connection)),
                    None => self.start().await.map(Arrived::started),
                };
            }
        }
    }

    async fn connect(&self) -> Result<Option<Connection>, LabError> {
        match tokio::time::timeout(ANSWER_PATIENCE, self.converse()).await {
            Ok(outcome) => outcome.map_err(|source| self.control(source)),
            Err(_) => Err(LabError::Silent {
                name: self.name(),
                within: ANSWER_PATIENCE,
            }),
        }
    }

    async fn converse(&self) -> io::Result<Option<Connection>> {
        let Some(mut connection) = Connection::open(self.directory, Request::Watch).await? else {
            return Ok(None);
        };
        Ok(connection.is_answered().await?.then_some(connection))
    }

    /// Starts the supervisor and waits until it answers.
    async fn start(&self) -> Result<Connection, LabError> {
        let record = RecordFile::open(self.directory, &self.options.name);
        let record = record.map_err(|source| self.state(source))?;
        // Where the supervisor has no room for its state, it has none to say so either.
        record.check_room().map_err(|source| self.state(source))?;
        let log = process::open_log(&self.directory.log(process::SUPERVISOR))
            .map_err(|source| self.state(source.into()))?;
        let begins_at = log.begins_at;
        let mut child = self
            .spawn(&record.current().mark(), log.file)
            .map_err(|source| LabError::Spawn {
                name: self.name(),
                program: self.options.program.clone(),
                source,
            })?;
        loop {
            if let Some(connection) = self.connect().await? {
                return Ok(connection);
            }
            if child.try_wait().map_err(|source| self.control(source))?.is_some() {
                return Err(self.supervisor_ended(begins_at));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Ends what a supervisor left that was killed, unless somebody else starts the lab again. Whatever goes wrong
    /// here, the next command that starts or removes the lab makes good.
    pub(super) async fn end_orphans(&self) {
        let Ok(Some(_changing)) = DirectoryLock::changing(self.directory).await else {
            return;
        };
        let ended = DirectoryLock::supervising(self.directory);
        if let Ok(Ok(Some(_supervising))) = tokio::time::timeout(ANSWER_PATIENCE, ended).await
            && let Ok(Some(record)) = LabRecord::read(self.directory)
        {
            end_leftovers(&record).await;
        }
    }

    fn spawn(&self, mark: &str, log: File) -> io::Result<Child> {
        let errors = log.try_clone()?;
        Command::new(&self.options.program)
            .args(supervisor_arguments(self.options))
            .env(MARK_VARIABLE, mark)
            .current_dir(self.directory.root())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
    }

    pub(super) fn name(&self) -> LabName {
        self.options.name.clone()
    }

    fn state(&self, source: StateError) -> LabError {
        LabError::State {
            name: self.name(),
            source,
        }
    }

    pub(super) fn control(&self, source: io::Error) -> LabError {
        LabError::talking(&self.options.name, source)
    }

    pub(super) fn supervisor_ended(&self, begins_at: u64) -> LabError {
        let log = self.directory.log(process::SUPERVISOR);
        LabError::SupervisorEnded {
            name: self.name(),
            lines: process::last_lines(&log, begins_at, process::SHOWN_LINES),
            log,
        }
    }
}

fn supervisor_arguments(options: &UpOptions) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["lab", "supervise", options.name.as_str()]
        .map(OsString::from)
        .to_vec();
    let places = [
        ("--state", Some(&options.state_root)),
        ("--cache", Some(&options.sources.cache)),
        ("--assets", options.sources.assets.as_ref()),
        (
            "--kubebuilder-assets",
            options.sources.kubebuilder_assets.as_ref(),
        ),
    ];
    for (option, place) in places {
        if let Some(place) = place {
            arguments.extend([OsString::from(option), OsString::from(place)]);
        }
    }
    if let Some(name_server) = options.name_server {
        arguments.extend(["--name-server", name_server.as_str()].map(OsString::from));
    }
    for extra in &options.extras {
        arguments.extend(["--with", extra.as_str()].map(OsString::from));
    }
    arguments
}
