//! What others changed of what Flux delivered. Flux itself puts it back: at its interval, or now when it is asked.

use jiff::Timestamp;
use kube::api::DynamicObject;

use super::ready::{self, State, Sync};
use super::{FLUX_MANAGER, WorkloadError};
use crate::desired::Manifest;
use crate::kubernetes::{ApplyOperation, Cluster, Look, ObjectReference, Trail, Wait};
use crate::plan::Plan;

/// Where a Flux controller says which request it has answered.
const HANDLED: &str = "/status/lastHandledReconcileAt";

/// What separates the cluster from `delivered`, objects that Flux brings there: in Flux's name, so that fields it gave up
/// are seen to go.
pub async fn plan_delivered(
    cluster: &Cluster,
    delivered: &[Manifest],
) -> Result<Plan<ApplyOperation>, WorkloadError> {
    Ok(cluster.in_the_name_of(FLUX_MANAGER).plan(delivered).await?)
}

/// Has Flux reconcile everything again at `commit`: first the root, which namespaces come from, then the rest. Waits
/// until all of it is ready, and looks whether the cluster is as `delivered` then.
///
/// # Errors
/// [`WorkloadError::NotPutBack`] names what still differs: something else keeps changing it, or Flux was told to leave
/// it alone.
pub async fn have_put_back(
    cluster: &Cluster,
    delivered: &[Manifest],
    commit: &str,
    wait: &Wait<'_>,
) -> Result<Sync, WorkloadError> {
    let request = Timestamp::now().to_string();
    let root = ask(cluster, &request, ready::is_root).await?;
    let look = || async {
        let state = State::read(cluster).await?;
        Ok(match unanswered(&state, &root, &request) {
            Some(trail) => Look::Waiting(trail),
            None => ready::judge_root(&state, commit),
        })
    };
    cluster.wait(wait, &ready::watched(), look).await?;
    let others = ask(cluster, &request, |object| !ready::is_root(object)).await?;
    let look = || async {
        let state = State::read(cluster).await?;
        Ok(match unanswered(&state, &others, &request) {
            Some(trail) => Look::Waiting(trail),
            None => ready::judge(&state, commit),
        })
    };
    let sync = cluster.wait(wait, &ready::watched(), look).await?;
    let left: Vec<String> = plan_delivered(cluster, delivered)
        .await?
        .changes()
        .map(|change| change.object.clone())
        .collect();
    if left.is_empty() {
        return Ok(sync);
    }
    Err(WorkloadError::NotPutBack { objects: left })
}

/// Asks the Kustomizations that are `wanted` to reconcile, and gives who was asked.
async fn ask(
    cluster: &Cluster,
    request: &str,
    wanted: impl Fn(&DynamicObject) -> bool,
) -> Result<Vec<ObjectReference>, WorkloadError> {
    let state = State::read(cluster).await?;
    let wanted = state.kustomizations.iter().filter(|object| wanted(object));
    let asked: Vec<ObjectReference> = wanted.map(ObjectReference::from).collect();
    for reference in &asked {
        cluster
            .annotate(reference, &[(ready::REQUESTED, request)])
            .await?;
    }
    Ok(asked)
}

/// Who of those that were `asked` has not answered yet. One that was made anew meanwhile does not know of the request.
fn unanswered(state: &State, asked: &[ObjectReference], request: &str) -> Option<Trail> {
    let is_open = |object: &&DynamicObject| {
        let annotations = object.metadata.annotations.as_ref();
        let was_asked = annotations
            .and_then(|all| all.get(ready::REQUESTED))
            .is_some_and(|at| at == request);
        was_asked && ready::text(object, HANDLED) != Some(request)
    };
    let open = state
        .kustomizations
        .iter()
        .filter(is_open)
        .map(ObjectReference::from);
    let mut open = open.filter(|reference| asked.contains(reference));
    open.next()
        .map(|first| Trail::of(first, "puts back what was changed"))
}
