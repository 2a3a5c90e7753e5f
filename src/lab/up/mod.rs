//! Bringing a lab up, or finding it running.

mod arrival;
mod follow;

use camino::Utf8PathBuf;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

use self::arrival::Arrival;
use self::follow::Follower;
use super::component::Sources;
use super::control::Snapshot;
use super::dns::NameServer;
use super::error::LabError;
use super::extra::Extra;
use super::running::RunningLab;
use super::state::{LabRecord, LabSecrets, StateDirectory};
use crate::names::LabName;
use crate::report::{Reporter, Task};

/// What `up` needs to know.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The lab.
    pub name: LabName,
    /// Where all labs keep their state.
    pub state_root: Utf8PathBuf,
    /// Where components come from.
    pub sources: Sources,
    /// Our own program, which is started again as the supervisor.
    pub program: Utf8PathBuf,
    /// The name server that is asked for; only a new lab takes it up.
    pub name_server: Option<NameServer>,
    /// What is asked for beside what every lab has; a lab that runs already does not take it up.
    pub extras: BTreeSet<Extra>,
    /// Cancelled when the user interrupts.
    pub interrupted: CancellationToken,
}

/// Brings the lab up and returns when everything in it is ready. One that runs is found, one that somebody else is
/// starting is followed, one whose supervisor was killed is started again on its kept state.
///
/// # Guarantees
/// When this fails, nothing that was started for the lab is running any more, unless somebody else is starting the
/// same lab.
pub async fn up(options: &UpOptions, reporter: &dyn Reporter) -> Result<RunningLab, LabError> {
    let name = &options.name;
    let state = |source| LabError::State {
        name: name.clone(),
        source,
    };
    let directory = StateDirectory::locate(&options.state_root, name).map_err(state)?;
    let arrival = Arrival {
        options,
        directory: &directory,
    };
    let task = Task::start(reporter, "lab", format!("bringing lab `{name}` up"));
    let outcome = arrive(&arrival, &task, reporter).await;
    if matches!(outcome, Err(LabError::SupervisorEnded { .. })) {
        arrival.end_orphans().await;
    }
    let snapshot = outcome?;
    tell_what_it_was_not_made_with(options, &directory, &task);
    task.finish(format!("{} components ready", snapshot.processes.len()));
    Ok(RunningLab {
        name: name.clone(),
        endpoints: snapshot.endpoints.unwrap_or_default(),
        secrets: LabSecrets::open(&directory).map_err(state)?,
        state: directory,
    })
}

/// A lab keeps the name server it was made with, and takes nothing up while it runs; who asked for that is told.
fn tell_what_it_was_not_made_with(options: &UpOptions, directory: &StateDirectory, task: &Task<'_>) {
    // What can't be read now was read when the lab was started.
    let Ok(Some(record)) = LabRecord::read(directory) else {
        return;
    };
    for extra in options.extras.difference(&record.extras) {
        let name = &options.name;
        task.warn(format!(
            "lab `{name}` runs without {extra}: `lotse lab down {name}`, and bring it up anew with it"
        ));
    }
    if let (Some(asked), Some(running)) = (options.name_server, record.name_server)
        && asked != running
    {
        let name = &options.name;
        task.warn(format!(
            "lab `{name}` was made with the name server {running} and keeps it: `lotse lab down {name}` and bring it \
             up anew for {asked}"
        ));
    }
}

async fn arrive(
    arrival: &Arrival<'_>,
    task: &Task<'_>,
    reporter: &dyn Reporter,
) -> Result<Snapshot, LabError> {
    loop {
        let arrived = arrival.connect_or_start().await?;
        let follower = Follower::new(arrival, arrived, task, reporter);
        if let Some(snapshot) = follower.follow(&arrival.options.interrupted).await? {
            return Ok(snapshot);
        }
    }
}
