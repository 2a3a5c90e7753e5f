//! Who goes first when nodes are full.

use serde_json::json;

use super::policies::PLATFORM_PRIORITY;
use crate::config::Environment;
use crate::desired::{Manifest, marked};

/// Name, value, whether others make room for it, and what it is for. Pods that name none have 0.
const PRIORITIES: [(&str, i32, &str, &str); 3] = [
    (
        PLATFORM_PRIORITY,
        1_000_000,
        "PreemptLowerPriority",
        "What applications stand on: cluster-wide applications only",
    ),
    (
        "lotse-important",
        10_000,
        "PreemptLowerPriority",
        "Others stop when nodes are full: logins, monitoring, the status page",
    ),
    (
        "lotse-expendable",
        -1_000,
        "Never",
        "Goes first when nodes are full: batch work that can be repeated",
    ),
];

/// The priority classes.
pub(in crate::desired) fn priorities<Text, Key>(environment: &Environment<Text, Key>) -> Vec<Manifest> {
    let kind = ("scheduling.k8s.io/v1", "PriorityClass");
    PRIORITIES
        .into_iter()
        .map(|(name, value, preemption, description)| {
            let content =
                json!({ "value": value, "preemptionPolicy": preemption, "description": description });
            marked(environment, kind, name, content)
        })
        .collect()
}
