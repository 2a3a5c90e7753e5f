//! The way from an object that is not ready down to the cause.

mod below;
mod readiness;
mod remedy;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

pub use self::remedy::remedy;

use self::readiness::{is_silent, unready};
use super::{Cluster, Condition, KubernetesError, ObjectReference};
use crate::causes;
use crate::report::Explanation;

/// No tree of owners is deeper; it ends a walk through objects that name each other.
const DEEPEST: usize = 10;
/// In the API groups of Flux.
const FLUX: &str = "toolkit.fluxcd.io";
/// A warning may be a little older than the condition that follows from it.
const BEFORE: SignedDuration = SignedDuration::from_secs(60);
/// So many bytes at the end of a warning tell whether it says something new.
const TELLING: usize = 32;

/// From what is waited for down to the deepest object that is known not to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    objects: Vec<ObjectReference>,
    reason: String,
    since: Option<Timestamp>,
    event: Option<String>,
}

/// Why an object is not ready, in its own words where it has some; `None` where it is.
#[must_use]
pub fn why_unready(object: &DynamicObject) -> Option<String> {
    unready(object).map(|unready| unready.reason)
}

impl Trail {
    /// `object` is not ready for `reason`.
    #[must_use]
    pub fn of(object: ObjectReference, reason: impl Into<String>) -> Self {
        Self {
            objects: vec![object],
            reason: reason.into(),
            since: None,
            event: None,
        }
    }

    /// `object` is not ready, as `condition` says.
    #[must_use]
    pub fn by_condition(object: ObjectReference, condition: &Condition) -> Self {
        Self {
            since: condition.since,
            ..Self::of(object, condition.explanation())
        }
    }

    /// From what is waited for to the deepest.
    #[must_use]
    pub fn objects(&self) -> &[ObjectReference] {
        &self.objects
    }

    /// For whoever waits; `seen` is how long the same has been said, which counts where no object says since when.
    #[must_use]
    pub fn explanation(&self, now: Timestamp, seen: Duration) -> Explanation {
        let said = self
            .since
            .and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        let words = format!("{} {}", self.reason, self.event.as_deref().unwrap_or_default());
        Explanation {
            path: self.objects.iter().map(ToString::to_string).collect(),
            reason: self.reason.clone(),
            lasts: Some(said.unwrap_or(seen)),
            event: self.event.clone(),
            remedy: remedy(&words).map(str::to_owned),
            runbook: None,
        }
    }
}

/// It is about no object that could be looked at.
impl From<String> for Trail {
    fn from(reason: String) -> Self {
        Self {
            objects: Vec::new(),
            reason,
            since: None,
            event: None,
        }
    }
}

impl Cluster {
    /// `trail` gone on with: from its last object down to the deepest that is not ready, with the newest warning about
    /// that. It explains and never fails: where something can't be read, it ends there.
    pub async fn deepen(&self, mut trail: Trail) -> Trail {
        let Some(last) = trail.objects.last() else {
            return trail;
        };
        let Ok(Some(mut object)) = self.read(last).await else {
            return trail;
        };
        if trail.since.is_none() {
            trail.since = unready(&object).and_then(|unready| unready.since);
        }
        while trail.objects.len() < DEEPEST {
            let Ok(below) = below::below(self, &object).await else {
                break;
            };
            // Flux does not wait for what has no status.
            let is_of_flux = trail
                .objects
                .last()
                .is_some_and(|last| last.api_version.contains(FLUX));
            let next = below.into_iter().find_map(|object| {
                let reference = ObjectReference::from(&object);
                let is_new = !trail.objects.contains(&reference);
                let counts = reference.api_version.contains(FLUX) || !(is_of_flux && is_silent(&object));
                unready(&object)
                    .filter(|_| is_new && counts)
                    .map(|unready| (reference, unready, object))
            });
            let Some((reference, unready, next)) = next else {
                break;
            };
            trail.objects.push(reference);
            trail.reason = unready.reason;
            trail.since = unready.since;
            object = next;
        }
        let warning = self.newest_warning(&object, trail.since).await.ok().flatten();
        trail.event = warning.filter(|warning| !repeats(warning, &trail.reason));
        trail
    }

    /// What the newest event says that tells of a failure of `object` in its present state, which lasts `since`.
    async fn newest_warning(
        &self,
        object: &DynamicObject,
        since: Option<Timestamp>,
    ) -> Result<Option<String>, KubernetesError> {
        let Some(uid) = &object.metadata.uid else {
            return Ok(None);
        };
        let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
        let events = self.api_for("v1", "Event", Some(namespace)).await?;
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let found = events
            .list(&about)
            .await
            .map_err(|error| KubernetesError::request("listing events", &error))?;
        let failures = found.items.iter().filter(|event| tells_of_failure(event));
        let is_past = |event: &&DynamicObject| {
            let (Some(happened), Some(since)) = (happened(event), since) else {
                return false;
            };
            happened < since.saturating_sub(BEFORE).unwrap_or(since)
        };
        let newest = failures
            .filter(|event| !is_past(event))
            .max_by_key(|event| happened(event));
        Ok(newest.and_then(|event| Some(message(event.data.get("message")?.as_str()?))))
    }
}

/// Events are of type `Warning`, or call a failure by its name: that of a volume claim without a class is `Normal`.
fn tells_of_failure(event: &DynamicObject) -> bool {
    let text = |key: &str| event.data.get(key).and_then(Value::as_str).unwrap_or_default();
    text("type") == "Warning" || text("reason").starts_with("Failed")
}

/// When an event happened last. Events of today's API (`events.k8s.io/v1`) have it elsewhere than those before.
fn happened(event: &DynamicObject) -> Option<Timestamp> {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"]
        .iter()
        .find_map(|pointer| event.data.pointer(pointer).and_then(Value::as_str)?.parse().ok())
}

/// What an event says, in one line. Many of one kind are told as one.
fn message(text: &str) -> String {
    causes::one_line(text.trim_start_matches("(combined from similar events): "))
}

/// Whether a warning ends with the same words as what the object says of itself: only names at its beginning differ.
fn repeats(warning: &str, reason: &str) -> bool {
    let start = warning.len().saturating_sub(TELLING);
    warning.get(start..).is_some_and(|end| reason.contains(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_warning_that_repeats_the_object_is_known() {
        let reason = "pods \"web-a\" is forbidden: exceeded quota: quota, requested: requests.cpu=50, limited: requests.cpu=2";
        let warning = message(
            "(combined from similar events): Error creating: pods \"web-b\" is forbidden: exceeded quota: quota,\n \
             requested: requests.cpu=50, limited: requests.cpu=2",
        );
        assert!(warning.starts_with("Error creating: pods") && repeats(&warning, reason));
        assert!(!repeats("0/2 nodes are available", reason));
        assert!(repeats("quota", reason));
    }

    #[test]
    fn test_an_explanation_says_how_long_and_what_to_do() {
        let pod = ObjectReference::new("v1", "Pod", "web-1").in_namespace("web");
        let now = "2026-11-23T15:03:12Z".parse().unwrap();
        let mut trail = Trail::of(pod, "container web: ErrImagePull");
        let told = trail.explanation(now, Duration::from_secs(5));
        assert_eq!(
            told.to_string(),
            "Pod/web/web-1: container web: ErrImagePull (for 5s)"
        );
        assert!(told.remedy.unwrap().contains("image's name"));
        trail.since = Some("2026-11-23T15:00:00Z".parse().unwrap());
        let told = trail.explanation(now, Duration::from_secs(5));
        assert_eq!(told.lasts, Some(Duration::from_secs(192)));
        // Clocks of two computers differ.
        trail.since = Some("2026-11-23T15:04:00Z".parse().unwrap());
        let told = trail.explanation(now, Duration::from_secs(5));
        assert_eq!(told.lasts, Some(Duration::from_secs(5)));
    }
}
