//! The stage dns: the wildcard record of the environment's domain at the address of its gateway.

use std::time::{Duration, Instant};

use super::cluster::Workload;
use super::preflight::Systems;
use super::{Bootstrap, Stage, StageError};
use crate::desired::dns::{RecordSet, RecordType};
use crate::plan::Plan;
use crate::report::{Reporter, Task};
use crate::surface::dns::{Adoption, DnsOperation, DnsZone, Observed, Owner, RecordKey, Seen, plan};
use crate::surface::workload;

/// Waits for the gateway's address, writes the record, and asks every name server for it. Gives how many record
/// sets changed.
pub(super) async fn point_at_gateway(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "dns", "the wildcard record");
    let wait = bootstrap.wait(Stage::Dns, "the gateway's address", &task);
    let holder = &bootstrap.desired.address_of;
    let address = workload::wait_for_address(&workload.cluster, holder, &wait).await?;
    let Wildcard { plan, record, beside } = plan_record(bootstrap, systems, address).await?;
    for warning in beside {
        task.warn(warning);
    }
    let name = &record.name;
    for was in plan
        .steps
        .iter()
        .filter_map(|step| step.operation.record.before.as_ref())
    {
        task.note(format!(
            "{name} {} was {}: edited elsewhere, or the gateway had another address",
            was.record_type,
            was.records.join(", ")
        ));
    }
    systems.zone.apply(&plan, Adoption::Refused).await?;
    let seen = seen(bootstrap, systems, &record, &task).await?;
    task.finish(format!(
        "{name} {} {}, seen at {}",
        record.record_type,
        record.records.join(", "),
        servers(seen.len())
    ));
    Ok(plan.steps.len())
}

/// Between two questions whether all name servers have the record.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Asks every name server of the zone until all have the record: some follow others after a while.
async fn seen(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    record: &RecordSet,
    task: &Task<'_>,
) -> Result<Vec<Seen>, StageError> {
    let deadline = Instant::now() + bootstrap.limits.of_stage(Stage::Dns);
    loop {
        match systems.zone.verify(std::slice::from_ref(record)).await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                task.waiting(error.to_string());
            }
            other => return Ok(other?),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// The wildcard record as it should be.
pub(super) struct Wildcard {
    /// What separates the zone from it.
    pub(super) plan: Plan<DnsOperation>,
    /// The record.
    pub(super) record: RecordSet,
    /// What others have at its name, one sentence each.
    pub(super) beside: Vec<String>,
}

/// What separates the zone from the wildcard record at `address`.
pub(super) async fn plan_record(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    address: String,
) -> Result<Wildcard, StageError> {
    let address = address
        .parse()
        .map_err(|_| StageError::GatewayAddress { address })?;
    let record = RecordSet::wildcard(&bootstrap.desired.domain, address);
    let name = &record.name;
    let keys = [RecordType::A, RecordType::Aaaa].map(|record_type| RecordKey::new(name.clone(), record_type));
    let observed = systems.zone.observe(&keys).await?;
    let plan = plan(
        std::slice::from_ref(&record),
        &observed,
        &bootstrap.environment.name,
    )?;
    tracing::info!(%name, "compared with the zone");
    plan.log();
    let others = observed
        .iter()
        .filter(|seen| seen.key.record_type != record.record_type);
    let beside = others.filter_map(|seen| beside(bootstrap, seen)).collect();
    Ok(Wildcard { plan, record, beside })
}

/// What somebody else has beside the record, whom programs that ask for the other kind of address follow.
fn beside(bootstrap: &Bootstrap<'_>, seen: &Observed) -> Option<String> {
    let set = seen.set.as_ref()?;
    if seen.owner == Owner::Lotse(bootstrap.environment.name.to_string()) {
        return None;
    }
    Some(format!(
        "{} {} is somebody else's: whoever asks for that kind of address does not come to the gateway; remove it, or have \
         it lead there",
        seen.key,
        set.records.join(", ")
    ))
}

/// The wildcard record in a few words, before its address is known.
pub(super) fn wildcard(bootstrap: &Bootstrap<'_>) -> String {
    format!("*.{} at the gateway's address", bootstrap.desired.domain)
}

fn servers(count: usize) -> String {
    if count == 1 {
        "1 name server".to_owned()
    } else {
        format!("{count} name servers")
    }
}
