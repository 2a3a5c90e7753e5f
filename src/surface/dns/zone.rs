//! A zone at whichever provider is declared.

use super::designate::Designate;
use super::error::DnsError;
use super::plan::{DnsOperation, Observed};
use super::record::RecordKey;
use super::rfc2136::Rfc2136;
use super::{Beneath, DnsZone, Search, Seen};
use crate::desired::dns::RecordSet;

/// A zone and the provider that changes it.
pub enum Zone {
    /// A name server that takes dynamic updates.
    Rfc2136(Box<Rfc2136>),
    /// OpenStack's service.
    Designate(Box<Designate>),
}

impl Zone {
    /// Checks that the zone is there and may be written, as far as that can be told without changing anything.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn check_writable(&self) -> Result<(), DnsError> {
        match self {
            Self::Rfc2136(zone) => zone.check_writable().await,
            Self::Designate(zone) => zone.check_there().await,
        }
    }
}

impl DnsZone for Zone {
    async fn observe_one(&self, key: &RecordKey) -> Result<Observed, DnsError> {
        match self {
            Self::Rfc2136(zone) => zone.observe_one(key).await,
            Self::Designate(zone) => zone.observe_one(key).await,
        }
    }

    async fn apply_one(&self, operation: &DnsOperation) -> Result<(), DnsError> {
        match self {
            Self::Rfc2136(zone) => zone.apply_one(operation).await,
            Self::Designate(zone) => zone.apply_one(operation).await,
        }
    }

    async fn beneath(&self, search: &Search<'_>) -> Result<Beneath, DnsError> {
        match self {
            Self::Rfc2136(zone) => zone.beneath(search).await,
            Self::Designate(zone) => zone.beneath(search).await,
        }
    }

    async fn verify(&self, desired: &[RecordSet]) -> Result<Vec<Seen>, DnsError> {
        match self {
            Self::Rfc2136(zone) => zone.verify(desired).await,
            Self::Designate(zone) => zone.verify(desired).await,
        }
    }
}
