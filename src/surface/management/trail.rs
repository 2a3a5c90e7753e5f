//! The way down from a Cluster to the deepest object that is not ready. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp, Unit};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::kubernetes::{Condition, ObjectReference, condition, conditions};

/// Conditions that sum an object up, best first. Cluster API's contract names one of them for every kind.
const SUMMARIES: [&str; 3] = ["Available", "Ready", "VariablesReady"];

/// A Cluster and what it is made of.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// The Cluster.
    pub(super) cluster: Option<DynamicObject>,
    /// What is below it, the causes before the consequences: infrastructure, control plane, Machines, add-on.
    pub(super) members: Vec<DynamicObject>,
}

/// One object that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unready {
    object: String,
    reason: String,
    lasts: Option<SignedDuration>,
}

/// From the Cluster down to the deepest object that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trail(Vec<Unready>);

impl Family {
    /// The way down; empty when nothing is unready. `now` is for how long it has been so.
    pub(super) fn trail(&self, now: Timestamp) -> Trail {
        let mut trail = Vec::new();
        if let Some(cluster) = &self.cluster {
            trail.extend(unready(cluster, now));
        }
        let deepest = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(place, object)| Some((self.depth(object), place, unready(object, now)?)))
            // The deepest; among equals the first.
            .max_by_key(|(depth, place, _)| (*depth, std::cmp::Reverse(*place)));
        if let Some((_, place, unready)) = deepest {
            trail.extend(self.owner_between(&self.members[place], now));
            trail.push(unready);
        }
        Trail(trail)
    }

    /// How many owners are above an object.
    fn depth(&self, object: &DynamicObject) -> usize {
        let mut depth = 0;
        let mut above = self.owner(object);
        while let Some(owner) = above.filter(|_| depth < self.members.len()) {
            depth += 1;
            above = self.owner(owner);
        }
        depth
    }

    fn owner(&self, object: &DynamicObject) -> Option<&DynamicObject> {
        let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().find_map(|owner| {
            self.members
                .iter()
                .find(|member| member.metadata.uid.as_deref() == Some(&owner.uid))
        })
    }

    fn owner_between(&self, object: &DynamicObject, now: Timestamp) -> Option<Unready> {
        unready(self.owner(object)?, now)
    }
}

/// Why an object is not ready, if so. Without a summarising condition it has not been looked at yet.
fn unready(object: &DynamicObject, now: Timestamp) -> Option<Unready> {
    let summary = SUMMARIES.iter().find_map(|name| condition(object, name));
    let (reason, since) = match summary {
        Some(summary) if summary.is_true() => return None,
        Some(summary) => (told(object, &summary), summary.since),
        None if says_ready(object) => return None,
        None => ("was not looked at yet by its controller".to_owned(), None),
    };
    Some(Unready {
        object: ObjectReference::from(object).to_string(),
        reason,
        lasts: since.and_then(|since| now.duration_since(since).round(Unit::Second).ok()),
    })
}

/// The summary's own words, or those of the first condition that is `False`.
fn told(object: &DynamicObject, summary: &Condition) -> String {
    if !summary.message.is_empty() {
        return summary.explanation();
    }
    conditions(object)
        .iter()
        .find(|condition| condition.status == "False" && !condition.message.is_empty())
        .map_or_else(|| summary.explanation(), Condition::explanation)
}

/// Objects of kinds without conditions say it in a field.
fn says_ready(object: &DynamicObject) -> bool {
    [
        "/status/ready",
        "/status/initialization/provisioned",
        "/status/initialization/controlPlaneInitialized",
    ]
    .iter()
    .any(|pointer| object.data.pointer(pointer) == Some(&Value::Bool(true)))
}

impl fmt::Display for Trail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((deepest, above)) = self.0.split_last() else {
            return formatter.write_str("everything below it is ready, it is not yet");
        };
        for unready in above {
            write!(formatter, "{} > ", unready.object)?;
        }
        write!(formatter, "{}: {}", deepest.object, deepest.reason)?;
        match deepest.lasts {
            Some(lasts) if lasts.is_positive() => write!(formatter, " (for {lasts:#})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, uid: &str, owner: &str, ready: (&str, &str, &str)) -> DynamicObject {
        let (condition, status, message) = ready;
        serde_json::from_value(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": kind,
            "metadata": {
                "name": format!("prod-{uid}"), "namespace": "prod", "uid": uid,
                "ownerReferences": [{"apiVersion": "a/v1", "kind": "X", "name": "x", "uid": owner}],
            },
            "status": {"conditions": [{
                "type": condition, "status": status, "message": message,
                "lastTransitionTime": "2026-11-23T15:00:00Z",
            }]},
        }))
        .unwrap()
    }

    fn shown(members: Vec<DynamicObject>) -> String {
        let cluster = Some(object(
            "Cluster",
            "0",
            "",
            ("Available", "False", "* InfrastructureReady: ..."),
        ));
        let now = "2026-11-23T15:03:12Z".parse().unwrap();
        Family { cluster, members }.trail(now).to_string()
    }

    #[test]
    fn test_trail_ends_at_the_deepest_object() {
        let told = shown(vec![
            object("OpenStackCluster", "1", "0", ("Ready", "True", "")),
            object(
                "KubeadmControlPlane",
                "2",
                "0",
                ("Available", "False", "no machine"),
            ),
            object(
                "Machine",
                "3",
                "2",
                ("Ready", "False", "waiting for infrastructure"),
            ),
            object(
                "OpenStackMachine",
                "4",
                "3",
                ("Ready", "False", "no valid flavor"),
            ),
        ]);
        assert_eq!(
            told,
            "Cluster/prod/prod-0 > Machine/prod/prod-3 > OpenStackMachine/prod/prod-4: no valid flavor (for 3m 12s)"
        );
    }

    #[test]
    fn test_of_equals_the_cause_comes_first() {
        let told = shown(vec![
            object("LabCluster", "1", "0", ("Ready", "False", "no port")),
            object("LabControlPlane", "2", "0", ("Available", "Unknown", "")),
        ]);
        assert_eq!(
            told,
            "Cluster/prod/prod-0 > LabCluster/prod/prod-1: no port (for 3m 12s)"
        );
    }

    #[test]
    fn test_without_a_culprit_the_cluster_speaks() {
        assert_eq!(
            shown(Vec::new()),
            "Cluster/prod/prod-0: * InfrastructureReady: ... (for 3m 12s)"
        );
        let nothing = Family::default().trail("2026-11-23T15:03:12Z".parse().unwrap());
        assert_eq!(nothing.to_string(), "everything below it is ready, it is not yet");
    }

    #[test]
    fn test_objects_without_conditions_say_it_in_a_field() {
        let mut plain = object("ClusterAddon", "1", "0", ("Ready", "True", ""));
        plain.data = json!({"status": {"ready": true}});
        assert_eq!(unready(&plain, Timestamp::UNIX_EPOCH), None);
        plain.data = json!({});
        assert!(unready(&plain, Timestamp::UNIX_EPOCH).is_some());
    }
}
