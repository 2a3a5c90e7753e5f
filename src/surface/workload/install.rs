//! Installing Flux: definitions, components, sync objects; each only where Flux does not look after it already.

use kube::api::DynamicObject;

use super::release::is_definition;
use super::{FLUX_MANAGER, FLUX_NAMESPACE, FluxRelease, WorkloadError};
use crate::desired::Manifest;
use crate::kubernetes::{
    ApplyOperation, Cluster, KubernetesError, Look, ObjectReference, Wait, Watched, is_true, why_unready,
};
use crate::plan::Plan;

/// On everything that a Flux Kustomization delivers.
const DELIVERED: &str = "kustomize.toolkit.fluxcd.io/name";

/// What is missing of Flux's components or differs. What Flux itself delivers from Git is left to it.
pub async fn plan_components(
    cluster: &Cluster,
    release: &FluxRelease,
) -> Result<Plan<ApplyOperation>, WorkloadError> {
    plan_those(cluster, release.objects(), |observed, _| !is_delivered(observed)).await
}

/// Applies the components in two stages: first the namespace and the definitions, and when those are established, the
/// rest. Gives the number of objects that were added or updated.
pub async fn apply_components(
    cluster: &Cluster,
    plan: &Plan<ApplyOperation>,
    wait: &Wait<'_>,
) -> Result<usize, WorkloadError> {
    let cluster = cluster.in_the_name_of(FLUX_MANAGER);
    let (definitions, rest): (Vec<_>, Vec<_>) = plan
        .steps
        .iter()
        .map(|step| step.operation.0.clone())
        .partition(is_definition);
    let mut changed = cluster.apply_all(&definitions).await?;
    wait_until_established(&cluster, &definitions, wait).await?;
    changed += cluster.apply_all(&rest).await?;
    Ok(changed)
}

/// Applies what [`plan_sync`] finds. Gives the number of objects that were added or updated.
pub async fn apply_sync(cluster: &Cluster, sync: &[Manifest]) -> Result<usize, WorkloadError> {
    let plan = plan_sync(cluster, sync).await?;
    Ok(cluster.in_the_name_of(FLUX_MANAGER).apply_plan(&plan).await?)
}

/// What is missing of the `GitRepository` and the root Kustomization, or differs while Flux does not deliver them yet.
/// A source that reads from elsewhere, or in another way, than is declared counts as well: Flux would never see what it
/// should deliver.
pub async fn plan_sync(cluster: &Cluster, sync: &[Manifest]) -> Result<Plan<ApplyOperation>, WorkloadError> {
    plan_those(cluster, sync, |observed, desired| {
        !is_delivered(observed) || reads_otherwise(observed, desired)
    })
    .await
}

fn reads_otherwise(observed: &DynamicObject, desired: &Manifest) -> bool {
    desired.kind() == "GitRepository"
        && ["/spec/url", "/spec/secretRef"]
            .iter()
            .any(|pointer| observed.data.pointer(pointer) != desired.value().pointer(pointer))
}

/// Waits until all controllers of the release run as their Deployments say.
pub async fn wait_for_controllers(
    cluster: &Cluster,
    release: &FluxRelease,
    wait: &Wait<'_>,
) -> Result<(), WorkloadError> {
    let names: Vec<&str> = release
        .objects()
        .iter()
        .filter(|object| object.kind() == "Deployment")
        .map(Manifest::name)
        .collect();
    let names = names.as_slice();
    let watched = [Watched::kind("apps/v1", "Deployment", Some(FLUX_NAMESPACE))];
    let look = || async move { look_at_controllers(cluster, names).await };
    Ok(cluster.wait(wait, &watched, look).await?)
}

/// Plans what is missing, and what `is_ours` to change as it was observed.
async fn plan_those(
    cluster: &Cluster,
    objects: &[Manifest],
    is_ours: impl Fn(&DynamicObject, &Manifest) -> bool,
) -> Result<Plan<ApplyOperation>, WorkloadError> {
    let mut ours = Vec::new();
    for object in objects {
        let observed = cluster.get(object).await?;
        if observed.is_none_or(|observed| is_ours(&observed, object)) {
            ours.push(object.clone());
        }
    }
    Ok(cluster.in_the_name_of(FLUX_MANAGER).plan(&ours).await?)
}

fn is_delivered(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(DELIVERED))
}

async fn wait_until_established(
    cluster: &Cluster,
    definitions: &[Manifest],
    wait: &Wait<'_>,
) -> Result<(), KubernetesError> {
    let definitions: Vec<ObjectReference> = definitions
        .iter()
        .filter(|object| object.kind() == "CustomResourceDefinition")
        .map(ObjectReference::from)
        .collect();
    let definitions = definitions.as_slice();
    let watched: Vec<Watched> = definitions.iter().map(Watched::from).collect();
    let look = || async move {
        for definition in definitions {
            let object = cluster.read(definition).await?;
            if !object.is_some_and(|object| is_true(&object, "Established")) {
                return Ok(Look::waiting(definition, "is not established yet"));
            }
        }
        Ok(Look::Done(()))
    };
    cluster.wait(wait, &watched, look).await
}

async fn look_at_controllers(cluster: &Cluster, names: &[&str]) -> Result<Look<()>, KubernetesError> {
    for name in names {
        let reference = ObjectReference::new("apps/v1", "Deployment", name).in_namespace(FLUX_NAMESPACE);
        let Some(deployment) = cluster.read(&reference).await? else {
            return Ok(Look::waiting(&reference, "is not there"));
        };
        if let Some(reason) = why_unready(&deployment) {
            return Ok(Look::waiting(&reference, reason));
        }
    }
    Ok(Look::Done(()))
}
