//! What the provider's reconcilers share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::runtime::controller::Action;
use tracing::warn;

use super::ProviderError;
use super::status::{LabKind, display};
use super::workload::Workloads;
use crate::causes;
use crate::kubernetes::Cluster;
use crate::lab::LabContext;

/// Pause before the first new attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the provider's reconcilers share.
pub(super) struct ProviderContext {
    pub(super) lab: LabContext,
    pub(super) management: Cluster,
    pub(super) workloads: Workloads,
    /// How often each object failed in a row.
    failures: Mutex<BTreeMap<String, u32>>,
}

impl ProviderContext {
    pub(super) fn new(lab: LabContext, management: Cluster) -> Self {
        Self {
            workloads: Workloads::new(lab.clone()),
            lab,
            management,
            failures: Mutex::default(),
        }
    }

    pub(super) fn client(&self) -> Client {
        self.management.client()
    }

    /// Forgets the failures of `object`.
    pub(super) fn settled<K: LabKind>(&self, object: &K) {
        self.failures().remove(&display(object));
    }

    /// When to try `object` again after `error`: after a pause that doubles with each failure in a row.
    pub(super) fn retry<K: LabKind>(&self, object: &K, error: &ProviderError) -> Action {
        let name = display(object);
        warn!(object = %name, "{}", causes::in_one_line(error));
        let mut failures = self.failures();
        let count = failures.entry(name).or_default();
        let pause = FIRST_PAUSE
            .saturating_mul(1 << (*count).min(6))
            .min(LONGEST_PAUSE);
        *count += 1;
        Action::requeue(pause)
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
