//! Conditions as `metav1` defines them: one per type, with the time at which its status last changed. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Longest message the schema takes, in bytes; longer ones are cut.
const MESSAGE_LIMIT: usize = 2000;

/// What is to be said about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Verdict {
    /// Type of the condition.
    pub(in crate::lab) kind: &'static str,
    /// Whether it holds.
    pub(in crate::lab) holds: bool,
    /// One word, for programs.
    pub(in crate::lab) reason: &'static str,
    /// One sentence, for people; may be empty where the reason says it all.
    pub(in crate::lab) message: String,
}

impl Verdict {
    /// The condition `kind` holds.
    pub(in crate::lab) fn holds(kind: &'static str, reason: &'static str) -> Self {
        Self {
            kind,
            holds: true,
            reason,
            message: String::new(),
        }
    }

    /// The condition `kind` does not hold, and why.
    pub(in crate::lab) fn fails(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            holds: false,
            reason,
            message: message.into(),
        }
    }

    /// Whether the object is left alone because it or its Cluster is paused.
    pub(in crate::lab) fn paused(paused: bool) -> Self {
        if paused {
            Self::holds("Paused", "Paused")
        } else {
            Self::fails("Paused", "NotPaused", "")
        }
    }
}

/// Puts `verdict` into `conditions`. The time of the transition stays as it is while the status does.
pub(in crate::lab) fn set(
    conditions: &mut Vec<Condition>,
    verdict: Verdict,
    generation: Option<i64>,
    now: Timestamp,
) {
    let status = if verdict.holds { "True" } else { "False" };
    let known = conditions
        .iter()
        .position(|condition| condition.type_ == verdict.kind);
    let since = known
        .map(|index| conditions.remove(index))
        .filter(|condition| condition.status == status)
        .map_or(Time(now), |condition| condition.last_transition_time);
    let condition = Condition {
        type_: verdict.kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: cut(verdict.message),
        observed_generation: generation,
        last_transition_time: since,
    };
    conditions.insert(known.unwrap_or(conditions.len()), condition);
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let end = (0..=MESSAGE_LIMIT)
            .rev()
            .find(|&end| message.is_char_boundary(end));
        message.truncate(end.unwrap_or_default());
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn test_transition_time_changes_only_with_the_status() {
        let mut conditions = Vec::new();
        set(
            &mut conditions,
            Verdict::fails("Available", "Starting", "a"),
            Some(1),
            at(1),
        );
        set(
            &mut conditions,
            Verdict::fails("Available", "Starting", "b"),
            Some(2),
            at(2),
        );
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (conditions[0].message.as_str(), conditions[0].observed_generation),
            ("b", Some(2))
        );
        set(
            &mut conditions,
            Verdict::holds("Available", "Available"),
            Some(2),
            at(3),
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(3)));
    }

    #[test]
    fn test_conditions_keep_their_place() {
        let mut conditions = Vec::new();
        set(&mut conditions, Verdict::paused(false), None, at(1));
        set(&mut conditions, Verdict::holds("Ready", "Ready"), None, at(1));
        set(&mut conditions, Verdict::paused(true), None, at(2));
        let types: Vec<&str> = conditions
            .iter()
            .map(|condition| condition.type_.as_str())
            .collect();
        assert_eq!(types, ["Paused", "Ready"]);
    }

    #[test]
    fn test_long_messages_are_cut_between_characters() {
        let mut conditions = Vec::new();
        set(
            &mut conditions,
            Verdict::fails("Ready", "No", "ä".repeat(2000)),
            None,
            at(1),
        );
        assert!(conditions[0].message.len() <= MESSAGE_LIMIT + '…'.len_utf8());
    }
}
