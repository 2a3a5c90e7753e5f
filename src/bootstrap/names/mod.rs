//! The stage dns: every name of the environment leads where it is declared to lead.

mod addresses;
mod records;
mod words;

use std::time::{Duration, Instant};

pub(super) use self::records::{Records, plan_records};
pub(super) use self::words::wildcard;
use super::cluster::Workload;
use super::preflight::Systems;
use super::{Bootstrap, Pruning, Stage, StageError};
use crate::desired::PointsAt;
use crate::desired::dns::RecordSet;
use crate::report::{Reporter, Task};
use crate::surface::dns::{DnsZone, Seen, zone_lines};
use crate::surface::workload;
use crate::temporary;

/// Between two questions whether all name servers have the records.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Waits for the gateway's address, writes the records, and asks every name server for them. Gives how many record
/// sets changed.
pub(super) async fn point(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "dns", "the names of the environment");
    if let PointsAt::Holder(holder) = &bootstrap.desired.names.wildcard.at {
        let wait = bootstrap.wait(Stage::Dns, "the gateway's address", &task);
        workload::wait_for_addresses(&workload.cluster, holder, &wait).await?;
    }
    let records = plan_records(bootstrap, systems, &workload.cluster).await?;
    tell(&records, &task);
    let kept = back_up(bootstrap, &records)?;
    systems.zone.apply(&records.plan, bootstrap.adoption).await?;
    let seen = seen(bootstrap, systems, &records.desired, &task).await?;
    let negative_ttl = seen.iter().map(|seen| seen.negative_ttl).max();
    for note in words::of_resolvers(&records.plan, negative_ttl.unwrap_or_default()) {
        task.note(note);
    }
    if let Some(kept) = kept {
        task.note(kept);
    }
    task.finish(words::outcome(&records.desired, seen.len()));
    Ok(records.plan.steps.len())
}

/// What people should know before anything is written.
fn tell(records: &Records, task: &Task<'_>) {
    for warning in &records.warnings {
        task.warn(warning.clone());
    }
    for (name, after) in &records.later {
        task.warn(format!("{name} has no record yet: {after}"));
    }
    for note in words::of_edits(&records.plan) {
        task.note(note);
    }
    for note in &records.notes {
        task.note(note.clone());
    }
}

/// Keeps what is about to be deleted because it is no longer declared, as lines of a zone file; gives the sentence that
/// says so.
fn back_up(bootstrap: &Bootstrap<'_>, records: &Records) -> Result<Option<String>, StageError> {
    let (Some(Pruning { limit, backup }), false) = (&bootstrap.pruning, records.pruned.is_empty()) else {
        return Ok(None);
    };
    let deleted: Vec<String> = records.pruned.iter().map(|seen| seen.key.to_string()).collect();
    if deleted.len() > *limit {
        let (limit, place) = (*limit, "record sets of the zone");
        return Err(StageError::TooManyDeletions {
            place,
            deleted,
            limit,
        });
    }
    let path = backup.with_extension("zone");
    let unkept = |source| StageError::Backup {
        path: path.to_string(),
        source,
    };
    let sets = records.pruned.iter().filter_map(|seen| seen.set.as_ref());
    let text: String = sets.flat_map(zone_lines).map(|line| line + "\n").collect();
    fs_err::create_dir_all(path.parent().unwrap_or(&path)).map_err(unkept)?;
    temporary::replace(&path, text, temporary::PRIVATE).map_err(unkept)?;
    Ok(Some(format!(
        "not declared, and removed: {}; kept in {path}",
        deleted.join(", ")
    )))
}

/// Asks every name server of the zone until all have the records: some follow others after a while.
async fn seen(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    desired: &[RecordSet],
    task: &Task<'_>,
) -> Result<Vec<Seen>, StageError> {
    let deadline = Instant::now() + bootstrap.limits.of_stage(Stage::Dns);
    loop {
        match systems.zone.verify(desired).await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                task.waiting(error.to_string());
            }
            other => return Ok(other?),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
