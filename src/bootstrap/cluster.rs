//! The stages stack and cluster: what the management cluster is asked for, and the cluster that comes of it.

use super::preflight::Systems;
use super::{Bootstrap, StageError, drift};
use crate::desired::Manifest;
use crate::kubernetes::Cluster;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::management;

/// The workload cluster, reached with its administrator's kubeconfig.
pub(super) struct Workload {
    pub(super) cluster: Cluster,
    pub(super) kubeconfig: Secret,
    /// How many objects of the management cluster changed.
    pub(super) changes: usize,
}

/// Applies the desired objects of the management cluster, waits until the cluster is Available, and connects to it.
pub(super) async fn bring_up(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    reporter: &dyn Reporter,
) -> Result<Workload, StageError> {
    let environment = bootstrap.environment;
    let management = &systems.management;
    let served = management::served(management).await?;
    let manifests = management::adapt(&bootstrap.desired.management, &served);
    let (cluster, before): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|manifest| manifest.kind() == "Cluster");

    let class = environment.cluster.stack.class_name();
    let task = Task::start(reporter, "stack", format!("the cluster stack {class}"));
    let is_published = drift::is_published(bootstrap, systems, "management/cluster.yaml");
    let mut changes = apply(management, &before, is_published.then_some(&task)).await?;
    for stack in before.iter().filter(|manifest| manifest.kind() == "ClusterStack") {
        let wait = bootstrap.wait(&format!("ClusterClass {class}"), &task);
        management::wait_for_class(management, &served, stack, &cluster[0], &wait).await?;
    }
    task.finish(format!("{class}: ClusterClass ready"));

    let name = cluster[0].name();
    let task = Task::start(reporter, "cluster", format!("the Cluster {name}"));
    changes += apply(management, &cluster, is_published.then_some(&task)).await?;
    let wait = bootstrap.wait(&format!("{} Available", cluster[0]), &task);
    management::wait_for_cluster(management, &served, &cluster[0], &wait).await?;
    let kubeconfig = management::kubeconfig(management, &cluster[0]).await?;
    let workload = Cluster::from_text(kubeconfig.expose(), &format!("of {}", cluster[0])).await?;
    task.finish(format!(
        "{name}: control plane {} Available",
        environment.cluster.version
    ));
    Ok(Workload {
        cluster: workload,
        kubeconfig,
        changes,
    })
}

/// Applies what differs, and tells `mending` that this was changed by others, where that is known.
async fn apply(
    cluster: &Cluster,
    manifests: &[Manifest],
    mending: Option<&Task<'_>>,
) -> Result<usize, StageError> {
    let plan = cluster.plan(manifests).await?;
    if let Some(task) = mending {
        drift::tell(task, plan.changes());
    }
    Ok(cluster.apply_plan(&plan).await?)
}
