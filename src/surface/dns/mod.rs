//! DNS: record sets in the authoritative servers.
//!
//! Desired are the record sets of `dns.yaml`; [`DnsZone::observe`] asks the authoritative server for them and for their
//! marks, [`plan()`] compares, [`DnsZone::apply`] writes with compare-and-swap, and [`DnsZone::verify`] asks every
//! authoritative server what the world sees.

mod authority;
mod designate;
mod error;
mod exchange;
mod key;
mod listing;
mod mark;
mod plan;
mod record;
mod rfc2136;
mod zone;

use crate::desired::dns::RecordSet;
use crate::names::EnvironmentName;
use crate::plan::{Action, Plan};

pub use self::designate::Designate;
pub use self::error::DnsError;
pub use self::key::{KeyError, TsigAlgorithm, TsigKey};
pub use self::listing::{Beneath, Uncovered};
pub use self::mark::{Owner, mark_key, mark_of};
pub use self::plan::{Conflict, Conflicts, DnsOperation, Observed, SetChange, plan};
pub use self::record::{RecordError, RecordKey, zone_lines};
pub use self::rfc2136::Rfc2136;
pub use self::zone::Zone;

/// Whether records that exist without a mark may be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// A plan that adopts is refused as a whole, before anything is sent.
    Refused,
    /// They may.
    Allowed,
}

impl Adoption {
    /// Refuses a plan that would take over what it may not.
    fn check(self, plan: &Plan<DnsOperation>) -> Result<(), DnsError> {
        let adopted = plan.changes().filter(|change| change.action == Action::Adopt);
        let records: Vec<String> = adopted.map(|change| change.object.clone()).collect();
        if self == Self::Refused && !records.is_empty() {
            return Err(DnsError::AdoptionNeeded { records });
        }
        Ok(())
    }
}

/// A name server that answered as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The name server, host and port.
    pub server: String,
    /// How many record sets it was asked for.
    pub record_sets: usize,
    /// For how many seconds resolvers remember that a name is not there (RFC 2308, section 5).
    pub negative_ttl: u32,
}

/// What is looked for beside the declared record sets.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The wildcard (`*.prod.lab.test.`).
    pub wildcard: &'a str,
    /// Names that have records of their own by declaration, fully qualified.
    pub declared: Vec<&'a str>,
    /// Names that the wildcard should cover, fully qualified.
    pub served: Vec<&'a str>,
    /// Whose marks are looked for.
    pub owner: &'a EnvironmentName,
}

/// A zone that can be read and written.
pub trait DnsZone: Sync {
    /// Looks up what the zone holds under one key, with its owner. Sends nothing that could change the zone.
    fn observe_one(&self, key: &RecordKey) -> impl Future<Output = Result<Observed, DnsError>> + Send;

    /// Writes a record set and its mark, whole, and only while the zone is still as it was observed: otherwise
    /// [`DnsError::Changed`].
    fn apply_one(&self, operation: &DnsOperation) -> impl Future<Output = Result<(), DnsError>> + Send;

    /// Looks up what the zone holds under `keys`, with their owners. Sends nothing that could change the zone.
    fn observe(&self, keys: &[RecordKey]) -> impl Future<Output = Result<Vec<Observed>, DnsError>> + Send {
        async move {
            let mut observed = Vec::with_capacity(keys.len());
            for key in keys {
                observed.push(self.observe_one(key).await?);
            }
            Ok(observed)
        }
    }

    /// Applies a plan step by step. Each step is written whole, and only while the zone is still as it was observed;
    /// the first that is not ends the work with [`DnsError::Changed`]. Steps before it stay written.
    fn apply(
        &self,
        plan: &Plan<DnsOperation>,
        adoption: Adoption,
    ) -> impl Future<Output = Result<(), DnsError>> + Send {
        async move {
            adoption.check(plan)?;
            for step in &plan.steps {
                self.apply_one(&step.operation).await?;
            }
            Ok(())
        }
    }

    /// Looks for names that the wildcard does not cover, and for record sets that carry our mark. Sends queries only.
    fn beneath(&self, search: &Search<'_>) -> impl Future<Output = Result<Beneath, DnsError>> + Send;

    /// Asks every authoritative server of the zone for `desired`, by UDP and by TCP, and for a random name under each
    /// wildcard. Asks once; [`DnsError::is_transient`] says whether asking again may help.
    fn verify(&self, desired: &[RecordSet]) -> impl Future<Output = Result<Vec<Seen>, DnsError>> + Send;
}
