//! Who else has a say in the fields of an object: conflicts of a server-side apply. Pure.

use std::fmt;

use kube::core::Status;

/// What people change objects with by hand. Git decides against them, as it is told when it happens; another program that
/// looks after a field is not overruled unasked.
const BY_HAND: [&str; 6] = [
    "kubectl",
    "k9s",
    "lens",
    "headlamp",
    "Mozilla",
    "before-first-apply",
];
/// How the API server calls a field that another manager has set to something else.
const CONFLICT: &str = "FieldManagerConflict";

/// A field that another manager has set to something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldConflict {
    /// Its field manager.
    pub manager: String,
    /// Path of the field, `.spec.versions`.
    pub field: String,
}

impl FieldConflict {
    /// Whether somebody set it by hand.
    pub(super) fn is_by_hand(&self) -> bool {
        BY_HAND.iter().any(|tool| self.manager.starts_with(tool))
    }
}

impl fmt::Display for FieldConflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.field, self.manager)
    }
}

/// All conflicts that the server tells of; none where it refused for another reason.
pub(super) fn conflicts(status: &Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == CONFLICT);
    let mut found: Vec<FieldConflict> = conflicts
        .map(|cause| FieldConflict {
            manager: manager(&cause.message).to_owned(),
            field: cause.field.clone(),
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The name in `conflict with "name" using apps/v1 at ...` (`k8s.io/apimachinery`, `managedfields`).
fn manager(message: &str) -> &str {
    let after = message
        .split_once("conflict with \"")
        .map_or(message, |(_, after)| after);
    after.split_once('"').map_or(after, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(reason: &str, message: &str) -> Status {
        serde_json::from_value(json!({
            "status": "Failure", "code": 409, "message": "Apply failed", "reason": "Conflict",
            "details": {"causes": [{"reason": reason, "message": message, "field": ".spec.versions"}]},
        }))
        .unwrap()
    }

    #[test]
    fn test_managers_and_fields_are_read_from_the_causes() {
        let found = conflicts(&status(
            CONFLICT,
            "conflict with \"other-operator\" using clusterstack.x-k8s.io/v1alpha1",
        ));
        assert_eq!(found[0].to_string(), ".spec.versions (other-operator)");
        assert!(!found[0].is_by_hand());
        let found = conflicts(&status(
            CONFLICT,
            "conflict with \"kubectl-edit\" with subresource \"status\" using v1",
        ));
        assert_eq!(found[0].manager, "kubectl-edit");
        assert!(found[0].is_by_hand());
        assert!(conflicts(&status("FieldValueInvalid", "no")).is_empty());
    }
}
