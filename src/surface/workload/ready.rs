//! Waiting until Flux has brought the cluster to one commit, and saying what holds it up.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{FLUX_NAMESPACE, FLUX_SOURCE, WorkloadError, revision};
use crate::kubernetes::{
    Cluster, KubernetesError, Look, ObjectReference, Trail, Wait, Watched, condition, is_true,
};

const SOURCE_API: &str = "source.toolkit.fluxcd.io/v1";
const KUSTOMIZE_API: &str = "kustomize.toolkit.fluxcd.io/v1";
const HELM_API: &str = "helm.toolkit.fluxcd.io/v2";
const APPS_API: &str = "apps/v1";
/// Asks a Flux controller to reconcile now rather than at its interval.
pub(super) const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";
/// A Kustomization in this state at the wanted commit stays in it until the next commit.
const WONT_BUILD: &str = "BuildFailed";
/// A Kustomization that only waits for another one is not what holds the cluster up.
const WAITS_FOR_ANOTHER: &str = "DependencyNotReady";

/// What was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Kustomizations and Helm releases that are ready at the commit, the root among them.
    pub ready: usize,
}

/// Waits until the source is at `commit`, and the root Kustomization, every Kustomization of the same source and every
/// Helm release they deliver are ready there. Asks Flux to reconcile now when it is not; a cluster that is at `commit`
/// already is only read.
///
/// # Errors
/// [`KubernetesError::Hopeless`] when something is suspended or can't be built at this commit;
/// [`KubernetesError::NotInTime`] with the failing object and its message.
pub async fn wait_at(cluster: &Cluster, commit: &str, wait: &Wait<'_>) -> Result<Sync, WorkloadError> {
    request_reconciliation(cluster, commit).await?;
    let look = || async move { Ok(judge(&State::read(cluster).await?, commit)) };
    Ok(cluster.wait(wait, &watched(), look).await?)
}

/// What moves while Flux reconciles.
pub(super) fn watched() -> [Watched; 4] {
    [
        Watched::kind(SOURCE_API, "GitRepository", Some(FLUX_NAMESPACE)),
        Watched::kind(KUSTOMIZE_API, "Kustomization", None),
        Watched::kind(HELM_API, "HelmRelease", None),
        Watched::kind(APPS_API, "Deployment", None),
    ]
}

/// Flux's objects that belong to the platform's repository.
#[derive(Debug, Default)]
pub(super) struct State {
    source: Option<DynamicObject>,
    pub(super) kustomizations: Vec<DynamicObject>,
    releases: Vec<DynamicObject>,
}

impl State {
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, KubernetesError> {
        let mut kustomizations = cluster.list(KUSTOMIZE_API, "Kustomization", None, "").await?;
        kustomizations.retain(is_of_our_source);
        let delivered = format!("kustomize.toolkit.fluxcd.io/namespace={FLUX_NAMESPACE}");
        Ok(Self {
            source: cluster.read(&source_reference()).await?,
            kustomizations,
            releases: cluster.list(HELM_API, "HelmRelease", None, &delivered).await?,
        })
    }

    fn root(&self) -> Option<&DynamicObject> {
        self.kustomizations.iter().find(|object| is_root(object))
    }
}

/// Whether a Kustomization is the one that everything else comes from.
pub(super) fn is_root(object: &DynamicObject) -> bool {
    object.metadata.name.as_deref() == Some(FLUX_SOURCE)
        && object.metadata.namespace.as_deref() == Some(FLUX_NAMESPACE)
}

fn source_reference() -> ObjectReference {
    ObjectReference::new(SOURCE_API, "GitRepository", FLUX_SOURCE).in_namespace(FLUX_NAMESPACE)
}

pub(super) fn text<'object>(object: &'object DynamicObject, pointer: &str) -> Option<&'object str> {
    object.data.pointer(pointer).and_then(Value::as_str)
}

fn is_of_our_source(object: &DynamicObject) -> bool {
    let namespace = text(object, "/spec/sourceRef/namespace").or(object.metadata.namespace.as_deref());
    text(object, "/spec/sourceRef/kind") == Some("GitRepository")
        && text(object, "/spec/sourceRef/name") == Some(FLUX_SOURCE)
        && namespace == Some(FLUX_NAMESPACE)
}

/// Asks for the source where it is at another commit, and for what has failed at this one: both would otherwise wait
/// for their interval.
async fn request_reconciliation(cluster: &Cluster, commit: &str) -> Result<(), KubernetesError> {
    let state = State::read(cluster).await?;
    for object in stale(&state, commit) {
        let now = Timestamp::now().to_string();
        cluster
            .annotate(&ObjectReference::from(object), &[(REQUESTED, &now)])
            .await?;
    }
    Ok(())
}

fn stale<'state>(state: &'state State, commit: &str) -> Vec<&'state DynamicObject> {
    let Some(source) = &state.source else {
        return Vec::new();
    };
    if !revision::is_at(text(source, "/status/artifact/revision"), commit) || !is_true(source, "Ready") {
        return vec![source];
    }
    let has_failed = |object: &&DynamicObject| {
        condition(object, "Ready").is_some_and(|condition| condition.status == "False")
    };
    state
        .kustomizations
        .iter()
        .chain(&state.releases)
        .filter(has_failed)
        .collect()
}

/// Source, root, the other Kustomizations, Helm releases: the first that is not there yet is told.
pub(super) fn judge(state: &State, commit: &str) -> Look<Sync> {
    let Some(source) = &state.source else {
        return Look::waiting(&source_reference(), "is not there yet");
    };
    let Some(root) = state.root() else {
        return root_is_missing();
    };
    let mut others: Vec<&DynamicObject> = state
        .kustomizations
        .iter()
        .filter(|object| ObjectReference::from(*object) != ObjectReference::from(root))
        .collect();
    others.sort_by_key(|object| {
        condition(object, "Ready").is_some_and(|condition| condition.reason == WAITS_FOR_ANOTHER)
    });
    let everything = || {
        std::iter::once(source)
            .chain(&state.kustomizations)
            .chain(&state.releases)
    };
    if let Some(suspended) = everything().find(|object| is_suspended(object)) {
        let reference = ObjectReference::from(suspended);
        return Look::Hopeless(format!(
            "{reference} is suspended: resume it with `flux resume` or set `spec.suspend: false`"
        ));
    }
    let mut failures = Vec::new();
    let verdicts = std::iter::once(judge_source(source, commit))
        .chain(std::iter::once(judge_kustomization(root, commit)))
        .chain(
            others
                .into_iter()
                .map(|object| judge_kustomization(object, commit)),
        )
        .chain(state.releases.iter().map(judge_release));
    for verdict in verdicts {
        match verdict {
            Look::Done(()) => {}
            Look::Waiting(trail) => failures.push(trail),
            Look::Hopeless(reason) => return Look::Hopeless(reason),
        }
    }
    match failures.into_iter().next() {
        Some(first) => Look::Waiting(first),
        None => Look::Done(Sync {
            ready: state.kustomizations.len() + state.releases.len(),
        }),
    }
}

/// The root alone.
pub(super) fn judge_root(state: &State, commit: &str) -> Look<()> {
    state
        .root()
        .map_or_else(root_is_missing, |root| judge_kustomization(root, commit))
}

fn root_is_missing<T>() -> Look<T> {
    let root = ObjectReference::new(KUSTOMIZE_API, "Kustomization", FLUX_SOURCE).in_namespace(FLUX_NAMESPACE);
    Look::waiting(&root, "is not there yet")
}

fn is_suspended(object: &DynamicObject) -> bool {
    object.data.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

fn judge_source(source: &DynamicObject, commit: &str) -> Look<()> {
    let reference = ObjectReference::from(source);
    let at = text(source, "/status/artifact/revision");
    if revision::is_at(at, commit) && is_true(source, "Ready") {
        return Look::Done(());
    }
    match condition(source, "Ready").filter(|condition| !condition.is_true()) {
        Some(condition) => Look::Waiting(Trail::by_condition(reference, &condition)),
        None => is_elsewhere(&reference, at, commit),
    }
}

fn is_elsewhere(object: &ObjectReference, at: Option<&str>, commit: &str) -> Look<()> {
    let (at, wanted) = (revision::short(at), revision::short(Some(commit)));
    Look::waiting(object, format!("is at {at}, not at {wanted}"))
}

fn judge_kustomization(object: &DynamicObject, commit: &str) -> Look<()> {
    let reference = ObjectReference::from(object);
    let at = text(object, "/status/lastAppliedRevision");
    let seen = object
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64);
    let is_seen = seen == object.metadata.generation;
    if is_seen && is_true(object, "Ready") && revision::is_at(at, commit) {
        return Look::Done(());
    }
    let Some(condition) = condition(object, "Ready").filter(|condition| !condition.is_true()) else {
        return is_elsewhere(&reference, at, commit);
    };
    let tried = text(object, "/status/lastAttemptedRevision");
    if condition.reason == WONT_BUILD && is_seen && revision::is_at(tried, commit) {
        return Look::Hopeless(format!("{reference}: {}", condition.explanation()));
    }
    Look::Waiting(Trail::by_condition(reference, &condition))
}

fn judge_release(object: &DynamicObject) -> Look<()> {
    let reference = ObjectReference::from(object);
    match condition(object, "Ready") {
        Some(_) if is_true(object, "Ready") => Look::Done(()),
        Some(condition) => Look::Waiting(Trail::by_condition(reference, &condition)),
        None => Look::waiting(&reference, "was not seen yet by helm-controller"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const COMMIT: &str = "a3f21c9000000000000000000000000000000000";

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn source(commit: &str) -> DynamicObject {
        object(json!({
            "apiVersion": SOURCE_API, "kind": "GitRepository",
            "metadata": {"name": "flux-system", "namespace": "flux-system", "generation": 1},
            "spec": {},
            "status": {
                "artifact": {"revision": format!("main@sha1:{commit}")},
                "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}],
            },
        }))
    }

    fn kustomization(name: &str, commit: &str, ready: &str, reason: &str) -> DynamicObject {
        object(json!({
            "apiVersion": KUSTOMIZE_API, "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "flux-system", "generation": 2},
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "flux-system"}},
            "status": {
                "observedGeneration": 2,
                "lastAppliedRevision": format!("main@sha1:{commit}"),
                "lastAttemptedRevision": format!("main@sha1:{COMMIT}"),
                "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "Deployment/web: no",
                                "observedGeneration": 2}],
            },
        }))
    }

    fn told<T: std::fmt::Debug>(look: Look<T>) -> String {
        match look {
            Look::Waiting(trail) => trail
                .explanation(Timestamp::UNIX_EPOCH, Duration::ZERO)
                .to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn state(kustomizations: Vec<DynamicObject>) -> State {
        State {
            source: Some(source(COMMIT)),
            kustomizations,
            ..State::default()
        }
    }

    #[test]
    fn test_done_only_when_all_are_ready_at_the_commit() {
        let root = || kustomization("flux-system", COMMIT, "True", "ReconciliationSucceeded");
        let app = |commit: &str| kustomization("website", commit, "True", "ReconciliationSucceeded");
        assert_eq!(
            judge(&state(vec![app(COMMIT), root()]), COMMIT),
            Look::Done(Sync { ready: 2 })
        );
        assert_eq!(
            told(judge(&state(vec![app("0000000aaaa"), root()]), COMMIT)),
            "Kustomization/flux-system/website: is at 0000000, not at a3f21c9"
        );
        assert!(matches!(
            judge(&state(vec![app(COMMIT)]), COMMIT),
            Look::Waiting(_)
        ));
        assert!(matches!(judge(&State::default(), COMMIT), Look::Waiting(_)));
    }

    #[test]
    fn test_a_newer_generation_is_not_ready() {
        let mut root = kustomization("flux-system", COMMIT, "True", "ReconciliationSucceeded");
        root.metadata.generation = Some(3);
        assert!(matches!(judge(&state(vec![root]), COMMIT), Look::Waiting(_)));
    }

    #[test]
    fn test_failures_are_explained_and_some_are_final() {
        let failing = |reason: &str| {
            judge(
                &state(vec![kustomization("flux-system", "0", "False", reason)]),
                COMMIT,
            )
        };
        let wanted = "Kustomization/flux-system/flux-system: Deployment/web: no";
        assert_eq!(told(failing("HealthCheckFailed")), wanted);
        assert_eq!(failing("BuildFailed"), Look::Hopeless(wanted.into()));
    }

    #[test]
    fn test_a_dependency_is_told_before_what_depends_on_it() {
        let dependent = kustomization("a", "0", "False", WAITS_FOR_ANOTHER);
        let failing = kustomization("b", "0", "False", "HealthCheckFailed");
        let root = kustomization("flux-system", COMMIT, "True", "ReconciliationSucceeded");
        assert_eq!(
            told(judge(&state(vec![dependent, failing, root]), COMMIT)),
            "Kustomization/flux-system/b: Deployment/web: no"
        );
    }

    #[test]
    fn test_suspended_is_hopeless() {
        let mut root = kustomization("flux-system", COMMIT, "True", "ReconciliationSucceeded");
        root.data["spec"]["suspend"] = true.into();
        assert!(
            matches!(judge(&state(vec![root]), COMMIT), Look::Hopeless(reason) if reason.contains("suspended"))
        );
    }

    #[test]
    fn test_reconciliation_is_requested_only_when_needed() {
        let root = |ready: &str| kustomization("flux-system", COMMIT, ready, "HealthCheckFailed");
        assert!(stale(&state(vec![root("True")]), COMMIT).is_empty());
        assert!(stale(&state(vec![root("Unknown")]), COMMIT).is_empty());
        assert_eq!(stale(&state(vec![root("False")]), COMMIT).len(), 1);
        let mut behind = state(vec![root("False")]);
        behind.source = Some(source("0000"));
        let names: Vec<_> = stale(&behind, COMMIT)
            .into_iter()
            .map(ObjectReference::from)
            .collect();
        assert_eq!(names, [source_reference()]);
    }

    #[test]
    fn test_kustomizations_of_other_sources_are_none_of_ours() {
        let mut foreign = kustomization("x", COMMIT, "True", "y");
        assert!(is_of_our_source(&foreign));
        foreign.data["spec"]["sourceRef"]["namespace"] = "team".into();
        assert!(!is_of_our_source(&foreign));
    }
}
