//! How a lab is: asked from its supervisor, or read from its record when there is none.

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::control::{Connection, LabPhase, Message, Request, Snapshot};
use super::error::LabError;
use super::process::{self, ProcessIdentity, ProcessPhase, ProcessStatus};
use super::state::{LabRecord, StateDirectory, known_labs};
use crate::names::LabName;

/// How a lab is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabStatus {
    /// The lab.
    pub name: LabName,
    /// How it is.
    pub state: LabState,
    /// The version of lotse that runs it or ran it last.
    pub lotse: String,
    /// Where it keeps its state.
    pub directory: Utf8PathBuf,
    /// What runs, in the order in which it was started.
    pub processes: Vec<ProcessRow>,
    /// Where everything is, when it is ready.
    pub endpoints: Option<Value>,
}

/// How a lab can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabState {
    /// Not everything is ready.
    Starting,
    /// Everything is ready.
    Ready,
    /// It was ready, and a process of it crashed and is being started again.
    Degraded,
    /// Everything is being stopped.
    Stopping,
    /// Nothing runs; `lotse lab up` starts it again on its kept state.
    Stopped,
    /// Its supervisor was killed and processes of it run on.
    Unattended,
}

/// One process of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRow {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: String,
    /// What there is to say about that: what a starting one waits for, how a crashed one ended.
    pub detail: Option<String>,
    /// The last lines of the log of a crashed one.
    pub log_lines: Vec<String>,
    /// Its process number.
    pub pid: Option<i32>,
    /// Memory in use with everything it started, in KiB.
    pub memory_kib: Option<u64>,
    /// How often it was started again after a crash.
    pub restarts: u32,
    /// Since when it is doing that.
    pub since: Option<Timestamp>,
    /// Its log file.
    pub log: Utf8PathBuf,
}

/// How the lab `name` is.
pub async fn status(state_root: &Utf8Path, name: &LabName) -> Result<LabStatus, LabError> {
    let state = |source| LabError::State {
        name: name.clone(),
        source,
    };
    let directory = StateDirectory::locate(state_root, name).map_err(state)?;
    if let Some(snapshot) = ask(&directory, name).await? {
        return Ok(attended(&directory, snapshot));
    }
    match LabRecord::read(&directory).map_err(state)? {
        Some(record) => Ok(unattended(&directory, record)),
        None => Err(LabError::Unknown {
            name: name.clone(),
            known: known_labs(state_root),
        }),
    }
}

async fn ask(directory: &StateDirectory, name: &LabName) -> Result<Option<Snapshot>, LabError> {
    let fault = |source| LabError::talking(name, source);
    let Some(mut connection) = Connection::open(directory, Request::Status)
        .await
        .map_err(fault)?
    else {
        return Ok(None);
    };
    while let Some(message) = connection.next().await.map_err(fault)? {
        if let Message::Snapshot(snapshot) = message {
            return Ok(Some(*snapshot));
        }
    }
    Ok(None)
}

fn attended(directory: &StateDirectory, snapshot: Snapshot) -> LabStatus {
    let memory = process::resident_memory_by_group();
    let is_whole = snapshot
        .processes
        .iter()
        .all(|status| status.phase == ProcessPhase::Ready);
    let rows = snapshot.processes.into_iter().map(|status| {
        let resident = status
            .process
            .and_then(|process| memory.get(&process.pid).copied());
        row(status, resident)
    });
    LabStatus {
        name: snapshot.name,
        state: match snapshot.phase {
            LabPhase::Starting => LabState::Starting,
            LabPhase::Ready if is_whole => LabState::Ready,
            LabPhase::Ready => LabState::Degraded,
            LabPhase::Stopping => LabState::Stopping,
            LabPhase::Stopped | LabPhase::Failed(_) => LabState::Stopped,
        },
        lotse: snapshot.lotse,
        directory: directory.root().to_owned(),
        processes: rows.collect(),
        endpoints: snapshot.endpoints,
    }
}

fn row(status: ProcessStatus, memory_kib: Option<u64>) -> ProcessRow {
    let (state, detail, log_lines) = match status.phase {
        ProcessPhase::Starting { waiting } => ("starting", waiting, Vec::new()),
        ProcessPhase::Ready => ("ready", None, Vec::new()),
        ProcessPhase::Crashed { status, lines } => ("crashed", Some(format!("ended with {status}")), lines),
        ProcessPhase::Stopping => ("stopping", None, Vec::new()),
    };
    ProcessRow {
        name: status.name,
        state: state.to_owned(),
        detail,
        log_lines,
        pid: status.process.map(|process| process.pid),
        memory_kib,
        restarts: status.restarts,
        since: Some(status.since),
        log: status.log,
    }
}

/// What can be told without a supervisor: which recorded processes run on.
fn unattended(directory: &StateDirectory, record: LabRecord) -> LabStatus {
    let memory = process::resident_memory_by_group();
    let mark = record.mark();
    let is_left = |process: &ProcessIdentity| process.carries(&mark);
    let rows: Vec<ProcessRow> = record
        .processes
        .iter()
        .filter(|(_, process)| is_left(process))
        .map(|(name, process)| ProcessRow {
            name: name.clone(),
            state: "unattended".to_owned(),
            detail: None,
            log_lines: Vec::new(),
            pid: Some(process.pid),
            memory_kib: memory.get(&process.pid).copied(),
            restarts: 0,
            since: None,
            log: directory.log(name),
        })
        .collect();
    LabStatus {
        name: record.name,
        state: if rows.is_empty() {
            LabState::Stopped
        } else {
            LabState::Unattended
        },
        lotse: record.lotse,
        directory: directory.root().to_owned(),
        processes: rows,
        endpoints: None,
    }
}
