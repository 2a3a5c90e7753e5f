//! Fields of built-in kinds, held to the types of the API: what is misspelt, of another type or missing.

mod reader;
mod required;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use k8s_openapi::api::{
    apps, autoscaling, batch, coordination, core, networking, policy, rbac, scheduling, storage,
};
use serde::Deserialize;

use super::Reading;
use super::node::field;
use super::object::Object;
use crate::config::tree::Node;
use crate::diag::Code;
use reader::{Found, Mismatch, Reader, Refusal};

/// Values of one object that are looked behind after one is refused.
const REFUSED_LIMIT: usize = 50;

/// Reads a tree as a type, which notes what is wrong with it.
type Read = for<'tree> fn(Reader<'tree>) -> Result<(), Mismatch>;

fn read<T: for<'de> Deserialize<'de>>(reader: Reader<'_>) -> Result<(), Mismatch> {
    T::deserialize(reader).map(drop)
}

/// How to read a kind; `None` of kinds whose types are not known here.
fn reading_of(api_version: &str, kind: &str) -> Option<Read> {
    Some(match (api_version, kind) {
        ("v1", "ConfigMap") => read::<core::v1::ConfigMap>,
        ("v1", "LimitRange") => read::<core::v1::LimitRange>,
        ("v1", "Namespace") => read::<core::v1::Namespace>,
        ("v1", "PersistentVolume") => read::<core::v1::PersistentVolume>,
        ("v1", "PersistentVolumeClaim") => read::<core::v1::PersistentVolumeClaim>,
        ("v1", "Pod") => read::<core::v1::Pod>,
        ("v1", "ReplicationController") => read::<core::v1::ReplicationController>,
        ("v1", "ResourceQuota") => read::<core::v1::ResourceQuota>,
        ("v1", "Secret") => read::<core::v1::Secret>,
        ("v1", "Service") => read::<core::v1::Service>,
        ("v1", "ServiceAccount") => read::<core::v1::ServiceAccount>,
        ("apps/v1", "DaemonSet") => read::<apps::v1::DaemonSet>,
        ("apps/v1", "Deployment") => read::<apps::v1::Deployment>,
        ("apps/v1", "ReplicaSet") => read::<apps::v1::ReplicaSet>,
        ("apps/v1", "StatefulSet") => read::<apps::v1::StatefulSet>,
        ("autoscaling/v1", "HorizontalPodAutoscaler") => read::<autoscaling::v1::HorizontalPodAutoscaler>,
        ("autoscaling/v2", "HorizontalPodAutoscaler") => read::<autoscaling::v2::HorizontalPodAutoscaler>,
        ("batch/v1", "CronJob") => read::<batch::v1::CronJob>,
        ("batch/v1", "Job") => read::<batch::v1::Job>,
        ("coordination.k8s.io/v1", "Lease") => read::<coordination::v1::Lease>,
        ("networking.k8s.io/v1", "Ingress") => read::<networking::v1::Ingress>,
        ("networking.k8s.io/v1", "NetworkPolicy") => read::<networking::v1::NetworkPolicy>,
        ("policy/v1", "PodDisruptionBudget") => read::<policy::v1::PodDisruptionBudget>,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => read::<rbac::v1::ClusterRole>,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => read::<rbac::v1::ClusterRoleBinding>,
        ("rbac.authorization.k8s.io/v1", "Role") => read::<rbac::v1::Role>,
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => read::<rbac::v1::RoleBinding>,
        ("scheduling.k8s.io/v1", "PriorityClass") => read::<scheduling::v1::PriorityClass>,
        ("storage.k8s.io/v1", "StorageClass") => read::<storage::v1::StorageClass>,
        _ => return None,
    })
}

impl Reading<'_> {
    /// Reports every field that the API server refuses in an object of a built-in kind.
    pub(super) fn check_fields(&mut self, object: &Object) {
        let is_encrypted = field(&object.node, "sops").is_some();
        if is_encrypted || object.is_uncertain {
            return;
        }
        for refusal in refusals(object.api_version(), object.kind(), &object.node) {
            self.report(Code::BadField, refusal.span, refusal.message).help = refusal.help;
        }
    }
}

/// What the API server refuses in `node`; nothing of kinds that are not known here.
fn refusals(api_version: &str, kind: &str, node: &Node) -> Vec<Refusal> {
    let Some(read) = reading_of(api_version, kind) else {
        return Vec::new();
    };
    let found = RefCell::new(Found::default());
    for _ in 0..REFUSED_LIMIT {
        if read(Reader::new(node, &found)).is_ok() {
            break;
        }
    }
    found.into_inner().refusals
}
