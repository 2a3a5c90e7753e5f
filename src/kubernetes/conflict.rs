//! Who else has a say in the fields of an object: conflicts of a server-side apply. Pure.

use kube::core::Status;

use crate::plan::FieldConflict;

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

/// Whether somebody set the field by hand.
pub(super) fn is_by_hand(conflict: &FieldConflict) -> bool {
    BY_HAND.iter().any(|tool| conflict.manager.starts_with(tool))
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
        assert!(!is_by_hand(&found[0]));
        let found = conflicts(&status(
            CONFLICT,
            "conflict with \"kubectl-edit\" with subresource \"status\" using v1",
        ));
        assert_eq!(found[0].manager, "kubectl-edit");
        assert!(is_by_hand(&found[0]));
        assert!(conflicts(&status("FieldValueInvalid", "no")).is_empty());
    }
}
