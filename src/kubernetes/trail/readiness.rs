//! Whether an object is ready, and what it says where it is not. Pure.
//!
//! Most kinds sum themselves up in a condition. Kinds that Kubernetes brings say it in counts and phases
//! (`k8s.io/api`, `apps/v1`, `batch/v1` and `core/v1`).

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::causes::one_line;
use crate::kubernetes::{Condition, condition, conditions};

/// Conditions that sum an object up, best first: Cluster API's `Available`, a Gateway's `Programmed`.
const SUMMARIES: [&str; 5] = [
    "Available",
    "Ready",
    "Programmed",
    "VariablesReady",
    "Established",
];
/// Reasons for which a container is not up yet without anything being wrong.
const ON_THE_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Kinds that are there or not, and never more than that.
const INERT: [&str; 14] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "HTTPRoute",
    "LimitRange",
    "Namespace",
    "NetworkPolicy",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "StorageClass",
];

/// What an object that is not ready says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unready {
    pub(super) reason: String,
    pub(super) since: Option<Timestamp>,
}

/// Why an object is not ready, if so.
pub(super) fn unready(object: &DynamicObject) -> Option<Unready> {
    let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
    match kind {
        "Deployment" => short_of_pods(
            object,
            "/spec/replicas",
            &["availableReplicas", "updatedReplicas"],
        ),
        "ReplicaSet" | "StatefulSet" => short_of_pods(object, "/spec/replicas", &["readyReplicas"]),
        "DaemonSet" => short_of_pods(object, "/status/desiredNumberScheduled", &["numberReady"]),
        "Pod" => pod(object),
        "Job" => job(object),
        "PersistentVolumeClaim" => claim(object),
        "Service" => service(object),
        _ if is_inert(kind) => None,
        _ => by_summary(object),
    }
}

/// Whether objects of a kind have nothing to become ready for.
pub(super) fn is_inert(kind: &str) -> bool {
    INERT.contains(&kind)
}

/// Whether an object says nothing of how it is, so that whoever waits for what it says does not wait for it.
pub(super) fn is_silent(object: &DynamicObject) -> bool {
    let status = object.data.get("status").and_then(Value::as_object);
    status.is_none_or(serde_json::Map::is_empty)
}

fn number(object: &DynamicObject, pointer: &str) -> Option<i64> {
    object.data.pointer(pointer).and_then(Value::as_i64)
}

fn text<'object>(object: &'object DynamicObject, pointer: &str) -> Option<&'object str> {
    object.data.pointer(pointer).and_then(Value::as_str)
}

fn list<'object>(object: &'object DynamicObject, pointer: &str) -> impl Iterator<Item = &'object Value> {
    let list = object.data.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn said(condition: &Condition) -> Unready {
    Unready {
        reason: condition.explanation(),
        since: condition.since,
    }
}

fn by_summary(object: &DynamicObject) -> Option<Unready> {
    match SUMMARIES.iter().find_map(|name| condition(object, name)) {
        Some(summary) if summary.is_true() => None,
        Some(summary) => Some(Unready {
            reason: told(object, &summary),
            since: summary.since,
        }),
        None if says_ready(object) => None,
        None => Some(Unready {
            reason: "was not looked at yet by its controller".to_owned(),
            since: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        }),
    }
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

/// Why no pod can be made says more than that there are too few; a count says it where nothing else does.
fn short_of_pods(object: &DynamicObject, wanted: &str, counts: &[&str]) -> Option<Unready> {
    let generation = object.metadata.generation.unwrap_or(0);
    if number(object, "/status/observedGeneration").unwrap_or(0) < generation {
        return Some(Unready {
            reason: "its newest version was not looked at yet".to_owned(),
            since: None,
        });
    }
    let wanted = number(object, wanted).unwrap_or(1);
    let ready = counts
        .iter()
        .map(|count| number(object, &format!("/status/{count}")).unwrap_or(0))
        .min()
        .unwrap_or(0);
    let replaced = match number(object, "/status/updatedReplicas") {
        Some(updated) => number(object, "/status/replicas").unwrap_or(0) - updated,
        None => 0,
    };
    if ready >= wanted && replaced > 0 {
        // The old ones run on until the new ones do.
        return Some(Unready {
            reason: format!("waits for its new version: pods of the one before are still there ({replaced})"),
            since: condition(object, "Progressing").and_then(|condition| condition.since),
        });
    }
    if ready >= wanted {
        return None;
    }
    let failure = condition(object, "ReplicaFailure").filter(Condition::is_true);
    let stuck = condition(object, "Progressing").filter(|condition| condition.status == "False");
    let since = condition(object, "Available").and_then(|condition| condition.since);
    Some(failure.or(stuck).map_or_else(
        || Unready {
            reason: format!("{ready} of {wanted} pods are ready"),
            since,
        },
        |condition| said(&condition),
    ))
}

fn pod(object: &DynamicObject) -> Option<Unready> {
    if text(object, "/status/phase") == Some("Succeeded") {
        return None;
    }
    let ready = condition(object, "Ready");
    if ready.as_ref().is_some_and(Condition::is_true) {
        return None;
    }
    if let Some(unscheduled) =
        condition(object, "PodScheduled").filter(|condition| condition.status == "False")
    {
        return Some(said(&unscheduled));
    }
    let since = ready.as_ref().and_then(|condition| condition.since);
    let containers =
        list(object, "/status/initContainerStatuses").chain(list(object, "/status/containerStatuses"));
    if let Some(reason) = containers.into_iter().find_map(container) {
        return Some(Unready { reason, since });
    }
    let reason = ready.map_or_else(
        || "was not seen by a node yet".to_owned(),
        |ready| ready.explanation(),
    );
    Some(Unready { reason, since })
}

/// What holds a container up, where something does.
fn container(status: &Value) -> Option<String> {
    let name = status["name"].as_str().unwrap_or_default();
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let ended = [&status["state"]["terminated"], &status["lastState"]["terminated"]]
        .into_iter()
        .find(|state| state["exitCode"].as_i64().is_some_and(|code| code != 0));
    if let (Some(ended), true) = (ended, reason.is_empty() || reason == "CrashLoopBackOff") {
        let why = ended["reason"].as_str().filter(|why| *why != "Error");
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let starts = status["restartCount"].as_i64().unwrap_or(0);
        return Some(format!(
            "container {name} ended with exit code {}{why}, started again {starts} times",
            ended["exitCode"]
        ));
    }
    if reason.is_empty() || ON_THE_WAY.contains(&reason) {
        return None;
    }
    let message = waiting["message"].as_str().unwrap_or_default();
    let message = one_line(message);
    Some(if message.is_empty() {
        format!("container {name}: {reason}")
    } else {
        format!("container {name}: {reason}: {message}")
    })
}

fn job(object: &DynamicObject) -> Option<Unready> {
    if condition(object, "Complete").is_some_and(|condition| condition.is_true()) {
        return None;
    }
    let failed = condition(object, "Failed").filter(Condition::is_true);
    Some(failed.map_or_else(
        || Unready {
            reason: "has not ended yet".to_owned(),
            since: text(object, "/status/startTime").and_then(|time| time.parse().ok()),
        },
        |failed| said(&failed),
    ))
}

fn claim(object: &DynamicObject) -> Option<Unready> {
    let phase = text(object, "/status/phase").unwrap_or("Pending");
    (phase != "Bound").then(|| Unready {
        reason: format!("is {phase}: no volume is bound to it"),
        since: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
    })
}

fn service(object: &DynamicObject) -> Option<Unready> {
    let is_balanced = text(object, "/spec/type") == Some("LoadBalancer");
    let has_address = list(object, "/status/loadBalancer/ingress").next().is_some();
    (is_balanced && !has_address).then(|| Unready {
        reason: "has no address from the load balancer yet".to_owned(),
        since: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: &str, rest: &Value) -> Option<String> {
        let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "generation": 1}});
        for (key, part) in rest.as_object().unwrap() {
            value[key] = part.clone();
        }
        unready(&serde_json::from_value(value).unwrap()).map(|unready| unready.reason)
    }

    fn status(kind: &str, status: &Value) -> Option<String> {
        told(kind, &json!({ "status": status }))
    }

    #[test]
    fn test_a_condition_sums_most_kinds_up() {
        let condition = |kind: &str, status: &str, message: &str| json!({"conditions": [{"type": kind, "status": status, "message": message}]});
        assert_eq!(status("Cluster", &condition("Available", "True", "")), None);
        let told = status("Cluster", &condition("Available", "False", "no port")).unwrap();
        assert_eq!(told, "no port");
        let two = json!({"conditions": [
            {"type": "Ready", "status": "False"}, {"type": "Image", "status": "False", "message": "gone"},
        ]});
        assert_eq!(status("Machine", &two).unwrap(), "gone");
        let told = status("Machine", &json!({})).unwrap();
        assert_eq!(told, "was not looked at yet by its controller");
        assert_eq!(status("ClusterAddon", &json!({"ready": true})), None);
        assert_eq!(status("ConfigMap", &json!({})), None);
    }

    #[test]
    fn test_what_holds_a_pod_up_is_told_by_its_container() {
        let waiting = |reason: &str, message: &str| {
            json!({"conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status"}],
                   "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": reason, "message": message}}}]})
        };
        assert_eq!(
            status(
                "Pod",
                &waiting("ImagePullBackOff", "Back-off pulling image \"a:1\"")
            )
            .unwrap(),
            "container web: ImagePullBackOff: Back-off pulling image \"a:1\""
        );
        assert_eq!(
            status("Pod", &waiting("ContainerCreating", "")).unwrap(),
            "containers with unready status"
        );
        let crashed = json!({"containerStatuses": [{
            "name": "web", "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        }]});
        assert_eq!(
            status("Pod", &crashed).unwrap(),
            "container web ended with exit code 137 (OOMKilled), started again 4 times"
        );
        let homeless = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/4 nodes are available: 4 Insufficient cpu."},
        ]});
        let told = status("Pod", &homeless).unwrap();
        assert_eq!(told, "0/4 nodes are available: 4 Insufficient cpu.");
        assert_eq!(status("Pod", &json!({"phase": "Succeeded"})), None);
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(status("Pod", &ready), None);
    }

    #[test]
    fn test_what_makes_pods_says_how_many_or_why_none() {
        let deployment =
            |status: &Value| told("Deployment", &json!({"spec": {"replicas": 2}, "status": status}));
        assert_eq!(
            deployment(&json!({"observedGeneration": 0})).unwrap(),
            "its newest version was not looked at yet"
        );
        let some = json!({"observedGeneration": 1, "availableReplicas": 2, "updatedReplicas": 1});
        assert_eq!(deployment(&some).unwrap(), "1 of 2 pods are ready");
        let refused = json!({"observedGeneration": 1, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
        ]});
        assert_eq!(deployment(&refused).unwrap(), "exceeded quota");
        let rolling =
            json!({"observedGeneration": 1, "replicas": 3, "availableReplicas": 2, "updatedReplicas": 2});
        assert_eq!(
            deployment(&rolling).unwrap(),
            "waits for its new version: pods of the one before are still there (1)"
        );
        let all =
            json!({"observedGeneration": 1, "replicas": 2, "availableReplicas": 2, "updatedReplicas": 2});
        assert_eq!(deployment(&all), None);
        let set = json!({"observedGeneration": 1, "readyReplicas": 1});
        assert_eq!(status("ReplicaSet", &set), None);
        let daemons = json!({"observedGeneration": 1, "desiredNumberScheduled": 3, "numberReady": 1});
        assert_eq!(status("DaemonSet", &daemons).unwrap(), "1 of 3 pods are ready");
    }

    #[test]
    fn test_jobs_claims_and_load_balancers() {
        assert_eq!(status("Job", &json!({})).unwrap(), "has not ended yet");
        let failed =
            json!({"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]});
        assert_eq!(status("Job", &failed).unwrap(), "backoff limit");
        let bound = json!({"phase": "Bound"});
        assert_eq!(status("PersistentVolumeClaim", &bound), None);
        assert!(status("PersistentVolumeClaim", &json!({})).is_some());
        assert!(told("Service", &json!({"spec": {"type": "LoadBalancer"}})).is_some());
        assert_eq!(told("Service", &json!({"spec": {"type": "ClusterIP"}})), None);
    }
}
