//! The stage dns: the wildcard record of the environment's domain at the address of its gateway.

use super::cluster::Workload;
use super::preflight::Systems;
use super::{Bootstrap, Stage, StageError};
use crate::desired::dns::{RecordSet, RecordType};
use crate::plan::Plan;
use crate::report::{Reporter, Task};
use crate::surface::dns::{Adoption, DnsOperation, DnsZone, RecordKey, plan};
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
    let (plan, record) = plan_record(bootstrap, systems, address).await?;
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
    let seen = systems.zone.verify(std::slice::from_ref(&record)).await?;
    task.finish(format!(
        "{name} {} {}, seen at {}",
        record.record_type,
        record.records.join(", "),
        servers(seen.len())
    ));
    Ok(plan.steps.len())
}

/// What separates the zone from the wildcard record at `address`, and that record.
pub(super) async fn plan_record(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    address: String,
) -> Result<(Plan<DnsOperation>, RecordSet), StageError> {
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
    Ok((plan, record))
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
