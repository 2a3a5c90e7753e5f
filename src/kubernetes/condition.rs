//! Reading `status.conditions` of any object. Pure.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::causes::one_line;

/// One entry of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub name: String,
    /// `status`: `True`, `False` or `Unknown`.
    pub status: String,
    /// `reason`, empty when the object gives none.
    pub reason: String,
    /// `message`, empty when the object gives none.
    pub message: String,
    /// The generation it speaks of, where the controller says.
    pub observed_generation: Option<i64>,
    /// When its status last changed.
    pub since: Option<Timestamp>,
}

impl Condition {
    /// Whether its status is `True`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// What a person reads: the message, or else the reason, or else the bare status.
    #[must_use]
    pub fn explanation(&self) -> String {
        [&self.message, &self.reason]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or_else(
                || format!("{} is {}", self.name, self.status),
                |text| one_line(text),
            )
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Some(Self {
            name: value.get("type")?.as_str()?.to_owned(),
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            observed_generation: value.get("observedGeneration").and_then(Value::as_i64),
            since: text("lastTransitionTime")
                .parse()
                .ok()
                .filter(|since| *since > Timestamp::UNIX_EPOCH),
        })
    }
}

/// All conditions of `object`, in the order in which it has them. Cluster API objects in version `v1beta1` keep
/// those of the present contract under `status.v1beta2`; these win where both are there.
#[must_use]
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    ["/status/v1beta2/conditions", "/status/conditions"]
        .iter()
        .filter_map(|pointer| object.data.pointer(pointer)?.as_array())
        .find(|conditions| !conditions.is_empty())
        .map(|conditions| conditions.iter().filter_map(Condition::read).collect())
        .unwrap_or_default()
}

/// The condition `name` of `object`.
#[must_use]
pub fn condition(object: &DynamicObject, name: &str) -> Option<Condition> {
    conditions(object)
        .into_iter()
        .find(|condition| condition.name == name)
}

/// Whether the condition `name` is `True` and not about an older generation.
#[must_use]
pub fn is_true(object: &DynamicObject, name: &str) -> bool {
    condition(object, name).is_some_and(|condition| condition.is_true() && !is_outdated(object, &condition))
}

fn is_outdated(object: &DynamicObject, condition: &Condition) -> bool {
    match (condition.observed_generation, object.metadata.generation) {
        (Some(observed), Some(present)) => observed < present,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(generation: i64, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Sample",
            "metadata": {"name": "a", "generation": generation}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn test_condition_of_an_older_generation_does_not_count() {
        let status = json!({"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]});
        assert!(is_true(&object(1, &status), "Ready"));
        assert!(!is_true(&object(2, &status), "Ready"));
    }

    #[test]
    fn test_v1beta2_conditions_win_over_deprecated_ones() {
        let status = json!({
            "conditions": [{"type": "Ready", "status": "False"}],
            "v1beta2": {"conditions": [{"type": "Available", "status": "True"}]},
        });
        let object = object(1, &status);
        assert!(is_true(&object, "Available"));
        assert_eq!(condition(&object, "Ready"), None);
    }

    #[test]
    fn test_explanation_falls_back_and_is_one_line() {
        let mut shown = Condition::read(&json!({
            "type": "Ready", "status": "False", "reason": "Broken",
            "message": "* Machine a:\n  * no image", "lastTransitionTime": "2026-11-23T15:00:00Z",
        }))
        .unwrap();
        assert_eq!(shown.explanation(), "* Machine a: * no image");
        assert!(shown.since.is_some());
        let never =
            json!({"type": "Accepted", "status": "Unknown", "lastTransitionTime": "1970-01-01T00:00:00Z"});
        let never = Condition::read(&never).unwrap();
        assert_eq!(never.since, None, "the default of the Gateway API's definitions");
        shown.message.clear();
        assert_eq!(shown.explanation(), "Broken");
        shown.reason.clear();
        assert_eq!(shown.explanation(), "Ready is False");
    }
}
