//! The supervisor: the process that outlives `lotse lab up` and runs everything of one lab.

use std::any::Any;
use std::error::Error;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use futures::FutureExt;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::component::{Components, Sources};
use super::context::{LabContext, Surroundings};
use super::control::{self, Board, Desk, Failure, LabPhase, Snapshot, StopReason};
use super::error::LabError;
use super::launch::LaunchError;
use super::process::{self, ProcessError, ProcessIdentity};
use super::state::{DirectoryLock, LabRecord, RecordFile, StateDirectory, StateError};
use crate::causes;
use crate::names::LabName;

/// How long a supervisor waits for one before it to end.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(30);
/// How long a lab is started without anybody who follows: the time between a supervisor's start and the first
/// connection.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// How long commands may take to read the last messages.
const TELLING_PATIENCE: Duration = Duration::from_secs(5);
/// How long left-over processes may take to end when they are asked to: shorter than in an orderly stop, for they are
/// all asked at once, and those whose peers are gone already would wait in vain.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(4);

/// What a supervisor is told when it is started.
#[derive(Clone, Debug)]
pub struct SuperviseOptions {
    /// The lab.
    pub name: LabName,
    /// Where all labs keep their state.
    pub state_root: Utf8PathBuf,
    /// Where components come from.
    pub sources: Sources,
    /// What components get of the environment.
    pub surroundings: Surroundings,
}

/// Why launching a lab failed. A [`ProcessError`] among its sources has its log lines shown.
pub type LaunchFault = Box<dyn Error + Send + Sync>;

/// Runs the lab until it is asked to stop: launches everything by `launch`, which answers where everything is
/// (no secret among it), tells commands over the control socket, and stops everything at the end.
///
/// When launching fails, everything is stopped again and this returns; the fault is told to the commands that follow.
pub async fn supervise<Launch>(options: &SuperviseOptions, launch: Launch) -> Result<(), LabError>
where
    Launch: AsyncFnOnce(&LabContext) -> Result<Value, LaunchFault>,
{
    // It fails when this process leads a session already, which is what is wanted.
    let _ = rustix::process::setsid();
    let name = &options.name;
    let state = |source| LabError::State {
        name: name.clone(),
        source,
    };
    let directory = StateDirectory::locate(&options.state_root, name).map_err(state)?;
    let _lock = take_over(name, &directory).await?;
    let record = RecordFile::open(&directory, name).map_err(state)?;
    end_leftovers(&record.current()).await;
    let ourselves = ProcessIdentity::of(std::process::id().cast_signed());
    let enrol = |record: &mut LabRecord| {
        record.supervisor = ourselves;
        record.processes.clear();
    };
    record.change(enrol).map_err(state)?;
    let board = Arc::new(Board::new(Snapshot::new(name.clone())));
    let desk = Desk::new(Arc::clone(&board));
    let server = open_desk(&directory, &desk).map_err(state)?;
    run(options, &directory, &record, &board, &desk, launch).await;
    board.close();
    tell_the_end(&desk).await;
    server.abort();
    close_desk(&directory, &record).map_err(state)
}

/// Waits until everybody was told how it ended, whoever started this supervisor among them: a lab that fails at once
/// does so before they have connected.
async fn tell_the_end(desk: &Desk) {
    // When nobody comes, whoever started this supervisor has gone.
    drop(tokio::time::timeout(FOLLOWED_WITHIN, desk.somebody_came()).await);
    if tokio::time::timeout(TELLING_PATIENCE, desk.all_told())
        .await
        .is_err()
    {
        tracing::warn!("a command did not read everything it was told");
    }
}

/// Waits until no other supervisor of this lab is there, and keeps others from coming.
async fn take_over(name: &LabName, directory: &StateDirectory) -> Result<DirectoryLock, LabError> {
    directory.create().map_err(|source| LabError::State {
        name: name.clone(),
        source,
    })?;
    let fault = |source: io::Error| LabError::State {
        name: name.clone(),
        source: source.into(),
    };
    match tokio::time::timeout(PREDECESSOR_PATIENCE, DirectoryLock::supervising(directory)).await {
        Err(_) => Err(LabError::SupervisorStays {
            name: name.clone(),
            within: PREDECESSOR_PATIENCE,
        }),
        Ok(lock) => lock
            .map_err(fault)?
            .ok_or_else(|| LabError::Stopped { name: name.clone() }),
    }
}

/// Ends what an earlier supervisor of this lab left running when it was killed: every process that carries the lab's
/// mark, whether it is recorded or not. Again and again, since one of them may have been about to start another.
pub(super) async fn end_leftovers(record: &LabRecord) {
    let mark = record.mark();
    end_found(|| process::marked_by(&mark)).await;
}

/// Ends what `find` finds until it finds nothing.
pub(super) async fn end_found(find: impl Fn() -> Vec<ProcessIdentity>) {
    loop {
        let leftovers = find();
        if leftovers.is_empty() {
            return;
        }
        process::end(&leftovers, LEFTOVER_PATIENCE).await;
    }
}

fn open_desk(directory: &StateDirectory, desk: &Desk) -> Result<JoinHandle<()>, StateError> {
    let socket = directory.socket();
    remove_if_there(&socket)?;
    let listener = UnixListener::bind(&socket)?;
    fs_err::set_permissions(&socket, std::fs::Permissions::from_mode(super::files::PRIVATE))?;
    Ok(tokio::spawn(control::serve(listener, desk.clone())))
}

fn close_desk(directory: &StateDirectory, record: &RecordFile) -> Result<(), StateError> {
    remove_if_there(&directory.socket())?;
    record.change(|record| record.supervisor = None)
}

fn remove_if_there(path: &Utf8PathBuf) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// From the first process to the end of the last one. What came of it is on the board afterwards.
async fn run<Launch>(
    options: &SuperviseOptions,
    directory: &StateDirectory,
    record: &RecordFile,
    board: &Arc<Board>,
    desk: &Desk,
    launch: Launch,
) where
    Launch: AsyncFnOnce(&LabContext) -> Result<Value, LaunchFault>,
{
    let context = LabContext::with_record(
        record.clone(),
        directory.clone(),
        Components::new(options.sources.clone()),
        options.surroundings.clone(),
        Arc::clone(board) as Arc<dyn crate::report::Reporter>,
    );
    let context = match context {
        Ok(context) => context,
        Err(error) => return board.update(|snapshot| snapshot.phase = LabPhase::Failed(failure(&error))),
    };
    let teller = tokio::spawn(tell_processes(context.clone(), Arc::clone(board)));
    let phase = launch_and_serve(&context, board, desk, launch).await;
    board.update(|snapshot| snapshot.phase = LabPhase::Stopping);
    context.stop().await;
    teller.abort();
    board.update(|snapshot| {
        snapshot.processes.clear();
        snapshot.phase = phase;
    });
}

/// Until the lab is to stop; answers the phase it has once it has stopped.
async fn launch_and_serve<Launch>(
    context: &LabContext,
    board: &Board,
    desk: &Desk,
    launch: Launch,
) -> LabPhase
where
    Launch: AsyncFnOnce(&LabContext) -> Result<Value, LaunchFault>,
{
    let stop = stop_requested(desk);
    tokio::pin!(stop);
    tokio::select! {
        biased;
        () = &mut stop => return LabPhase::Stopped,
        () = abandoned_from_the_start(desk) => return LabPhase::Stopped,
        launched = AssertUnwindSafe(launch(context)).catch_unwind() => match launched {
            // What was started is to be stopped all the same.
            Err(panic) => return LabPhase::Failed(fault_of_ours(context, &*panic)),
            Ok(Err(error)) => return LabPhase::Failed(failure(&*error)),
            Ok(Ok(endpoints)) => board.update(|snapshot| {
                snapshot.phase = LabPhase::Ready;
                snapshot.endpoints = Some(endpoints);
            }),
        },
    }
    stop.await;
    LabPhase::Stopped
}

/// Waits until a command asks for the end, nobody follows a lab that is starting, or a signal says so.
async fn stop_requested(desk: &Desk) {
    let reason = tokio::select! {
        reason = desk.stop_requested() => format!("{reason:?}"),
        () = signalled(SignalKind::terminate()) => "SIGTERM".to_owned(),
        () = signalled(SignalKind::interrupt()) => "SIGINT".to_owned(),
    };
    tracing::info!(reason, "stopping the lab");
}

async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "a signal can't be waited for");
            std::future::pending::<()>().await;
        }
    }
}

/// Ends when nobody came to follow in time: whoever started this supervisor has gone.
async fn abandoned_from_the_start(desk: &Desk) {
    if tokio::time::timeout(FOLLOWED_WITHIN, desk.somebody_came())
        .await
        .is_ok()
    {
        std::future::pending::<()>().await;
    }
    desk.request_stop(StopReason::Abandoned);
}

async fn tell_processes(context: LabContext, board: Arc<Board>) {
    let mut processes = context.supervisor.watch();
    while processes.changed().await.is_ok() {
        let current = processes.borrow_and_update().clone();
        board.update(|snapshot| snapshot.processes = current);
    }
}

/// Launching panicked with the payload `panic`; where it did so is in the supervisor's log.
fn fault_of_ours(context: &LabContext, panic: &(dyn Any + Send)) -> Failure {
    let log = context.state.log(process::SUPERVISOR);
    let told = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    Failure {
        message: format!("a fault in lotse itself ({told}); please report it with the lines below"),
        remedy: None,
        lines: process::last_lines(&log, 0, process::SHOWN_LINES),
        log: Some(log),
    }
}

fn failure(error: &(dyn Error + 'static)) -> Failure {
    let culprit = causes::chain(error).find_map(|error| error.downcast_ref::<ProcessError>());
    let remedy = causes::chain(error).find_map(remedy);
    Failure {
        message: causes::in_one_line(error),
        remedy: remedy.map(str::to_owned),
        log: culprit.and_then(ProcessError::log).cloned(),
        lines: culprit
            .map(|error| error.log_lines().to_vec())
            .unwrap_or_default(),
    }
}

fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let of_state = error.downcast_ref().and_then(StateError::remedy);
    of_state.or_else(|| error.downcast_ref().and_then(LaunchError::remedy))
}
