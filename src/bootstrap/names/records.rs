//! What separates the zone from what is declared.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::preflight::Systems;
use super::super::{Bootstrap, StageError};
use super::addresses::{Found, find};
use super::words;
use crate::desired::dns::{RecordSet, RecordType};
use crate::desired::{PointedName, PointsAt};
use crate::kubernetes::Cluster;
use crate::plan::Plan;
use crate::surface::dns::{DnsOperation, DnsZone, Observed, Owner, RecordKey, Search, plan};
use crate::surface::workload;

/// What there is to be done in the zone, and what there is to be said of it.
#[derive(Default)]
pub(in crate::bootstrap) struct Records {
    /// What changes.
    pub(in crate::bootstrap) plan: Plan<DnsOperation>,
    /// The record sets as they should be, as far as their addresses are known.
    pub(in crate::bootstrap) desired: Vec<RecordSet>,
    /// Names that have no address yet, and what has to be there first.
    pub(in crate::bootstrap) later: Vec<(String, String)>,
    /// What a change of an address breaks, one sentence each.
    pub(in crate::bootstrap) moves: Vec<String>,
    /// What is not as it should be, one sentence each.
    pub(in crate::bootstrap) warnings: Vec<String>,
    /// What is worth knowing, one sentence each.
    pub(in crate::bootstrap) notes: Vec<String>,
    /// Record sets with our mark that are no longer declared, and stay.
    pub(in crate::bootstrap) undeclared: Vec<String>,
    /// Those that go.
    pub(in crate::bootstrap) pruned: Vec<Observed>,
}

/// What separates the zone from the declarations, with the addresses that names have now.
pub(in crate::bootstrap) async fn plan_records(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Cluster,
) -> Result<Records, StageError> {
    let names = &bootstrap.desired.names;
    let mut records = Records {
        desired: names.records.clone(),
        ..Records::default()
    };
    let mut keys: BTreeSet<RecordKey> = names.records.iter().map(RecordKey::of).collect();
    for pointed in names.pointed() {
        match find(bootstrap, systems, workload, pointed).await? {
            Found::At(addresses) => {
                let sets = RecordSet::leading(&pointed.name, &addresses, names.ttl);
                records.desired.extend(sets);
                keys.extend(keys_of(pointed));
                records
                    .warnings
                    .extend(reserved(bootstrap, workload, pointed, &addresses).await?);
            }
            Found::Later(after) => records.later.push((pointed.name.clone(), after)),
        }
    }
    let mut observed = systems.zone.observe(&Vec::from_iter(keys)).await?;
    let stray = look_beneath(bootstrap, systems, &mut records).await?;
    if bootstrap.pruning.is_some() {
        observed.extend(stray.iter().cloned());
        records.pruned = stray;
    } else {
        records.undeclared = stray.iter().map(|seen| seen.key.to_string()).collect();
    }
    let owner = &bootstrap.environment.name;
    records.plan = plan(&records.desired, &observed, owner)?;
    tracing::info!(zone = %bootstrap.desired.zone, "compared");
    records.plan.log();
    records.moves = words::of_moves(&records.plan, names);
    let of_others = observed.iter().filter(|seen| {
        let mut desired = records.desired.iter();
        !desired.any(|set| RecordKey::of(set) == seen.key)
    });
    let beside = of_others.filter_map(|seen| words::beside(owner, seen));
    records.warnings.extend(beside);
    Ok(records)
}

/// Both kinds of address: the one that is not declared may be there all the same.
fn keys_of(pointed: &PointedName) -> [RecordKey; 2] {
    [RecordType::A, RecordType::Aaaa].map(|record_type| RecordKey::new(pointed.name.clone(), record_type))
}

/// Looks for names that the wildcard does not cover, and gives the record sets with our mark that nothing declares.
async fn look_beneath(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    records: &mut Records,
) -> Result<Vec<Observed>, StageError> {
    let names = &bootstrap.desired.names;
    let search = Search {
        wildcard: &names.wildcard.name,
        declared: names.others.iter().map(|pointed| pointed.name.as_str()).collect(),
        served: names.served.iter().map(|(name, _)| name.as_str()).collect(),
        owner: &bootstrap.environment.name,
    };
    let beneath = systems.zone.beneath(&search).await?;
    let declared: BTreeSet<RecordKey> = names
        .pointed()
        .flat_map(keys_of)
        .chain(names.records.iter().map(RecordKey::of))
        .collect();
    let stray: Vec<RecordKey> = beneath
        .ours
        .into_iter()
        .filter(|key| !declared.contains(key))
        .collect();
    // What goes with this run covers nothing any more.
    let is_stray = |name: &str| stray.iter().any(|key| key.name == name);
    let uncovered = beneath.uncovered.iter().filter(|found| !is_stray(&found.name));
    let (hosts, others): (Vec<_>, Vec<_>) =
        uncovered.partition(|found| names.served.iter().any(|(name, _)| *name == found.name));
    records
        .warnings
        .extend(hosts.into_iter().map(|found| words::of_host(found, names)));
    records.notes.extend(words::of_uncovered(&others, names));
    let mut stray = systems.zone.observe(&stray).await?;
    stray.retain(|seen| seen.owner == Owner::Lotse(bootstrap.environment.name.to_string()));
    Ok(stray)
}

/// Says where addresses that are reserved are not those of the gateway.
async fn reserved(
    bootstrap: &Bootstrap<'_>,
    workload: &Cluster,
    pointed: &PointedName,
    addresses: &[IpAddr],
) -> Result<Option<String>, StageError> {
    let is_wildcard = *pointed == bootstrap.desired.names.wildcard;
    if !is_wildcard || !matches!(pointed.at, PointsAt::Addresses(_)) {
        return Ok(None);
    }
    let holder = &bootstrap.desired.address_of;
    let found = workload::addresses(workload, holder).await?;
    let is_reserved = |text: &String| text.parse().is_ok_and(|found: IpAddr| addresses.contains(&found));
    if !found.is_empty() && found.iter().all(is_reserved) {
        return Ok(None);
    }
    Ok(Some(words::of_reserved(pointed, holder, &found)))
}
