//! The stages stack and cluster: what the management cluster is asked for, and the cluster that comes of it.

use super::preflight::Systems;
use super::{Bootstrap, Stage, StageError, drift};
use crate::desired::Manifest;
use crate::desired::cluster::authentication;
use crate::kubernetes::{Cluster, KubernetesError};
use crate::plan::{Change, FieldChange};
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::management::{self, Fitted, HeldTurn, Logins, Served, Turn};

/// The workload cluster, reached with its administrator's kubeconfig.
pub(super) struct Workload {
    pub(super) cluster: Cluster,
    pub(super) kubeconfig: Secret,
    /// How many objects of the management cluster changed.
    pub(super) changes: usize,
}

/// What the management cluster needs before it can make the Cluster, and the Cluster it is to make.
pub(super) struct Stack {
    served: Served,
    cluster: Manifest,
    is_published: bool,
    /// How many objects of the management cluster changed.
    pub(super) changes: usize,
}

/// Waits until nobody else changes the environment.
pub(super) async fn take_turn(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    reporter: &dyn Reporter,
) -> Result<HeldTurn, StageError> {
    let management = &systems.management;
    let declared = bootstrap.desired.management.iter();
    for namespace in declared.filter(|manifest| manifest.kind() == "Namespace") {
        // The Lease needs it, so it is the first thing that a bring-up makes.
        if management.get(namespace).await?.is_none() {
            management.apply(namespace).await?;
        }
    }
    let turn = Turn {
        namespace: bootstrap.environment.management.namespace.to_string(),
        name: format!("lotse-{}", bootstrap.environment.name),
        holder: bootstrap.who.clone(),
    };
    Ok(management::take(
        management,
        &turn,
        bootstrap.limits.of_stage(Stage::Preflight),
        reporter,
    )
    .await?)
}

/// Applies what comes before the Cluster and waits until its class is there.
pub(super) async fn provide_stack(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    reporter: &dyn Reporter,
) -> Result<Stack, StageError> {
    let management = &systems.management;
    let served = management::served(management).await?;
    let (mut clusters, mut before): (Vec<_>, Vec<_>) =
        management::adapt(&bootstrap.desired.management, &served)
            .into_iter()
            .partition(|manifest| manifest.kind() == "Cluster");
    let cluster = clusters.swap_remove(0);
    before.extend(management::cluster_secrets(bootstrap.environment));

    let class = bootstrap.environment.cluster.stack.class_name();
    let task = Task::start(reporter, "stack", format!("the cluster stack {class}"));
    let is_published = drift::is_published(bootstrap, systems, "management/cluster.yaml");
    let changes = apply(management, &before, is_published.then_some(&task)).await?;
    for stack in before.iter().filter(|manifest| manifest.kind() == "ClusterStack") {
        let wait = bootstrap.wait(Stage::Stack, &format!("ClusterClass {class}"), &task);
        management::wait_for_class(management, &served, stack, &cluster, &wait).await?;
    }
    let fitted = fit(bootstrap, management, (&served, &cluster)).await?;
    let others = bootstrap.environment.identity.other_issuers.len();
    match fitted.logins {
        Logins::None => task.warn(format!(
            "{class} has no variable `oidcConfig`: the API server takes tokens of the realm only when it is told of it otherwise"
        )),
        Logins::One if others > 0 => task.warn(format!(
            "{class} has no variable `authenticationConfiguration`: the API server takes tokens of the realm only, not of \
             identity.otherIssuers"
        )),
        Logins::One | Logins::Any => {}
    }
    task.finish(format!("{class}: ClusterClass ready"));
    Ok(Stack {
        served,
        cluster: fitted.cluster,
        is_published,
        changes,
    })
}

/// Applies the Cluster, waits until it is Available, and connects to it.
pub(super) async fn bring_up(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    stack: Stack,
    reporter: &dyn Reporter,
) -> Result<Workload, StageError> {
    let management = &systems.management;
    let cluster = std::slice::from_ref(&stack.cluster);
    let name = stack.cluster.name();
    let task = Task::start(reporter, "cluster", format!("the Cluster {name}"));
    let changes = apply(management, cluster, stack.is_published.then_some(&task)).await?;
    let wait = bootstrap.wait(Stage::Cluster, &format!("{} Available", stack.cluster), &task);
    management::wait_for_cluster(management, &stack.served, &stack.cluster, &wait).await?;
    let kubeconfig = management::kubeconfig(management, &stack.cluster).await?;
    let workload = Cluster::from_text(kubeconfig.expose(), &format!("of {}", stack.cluster))
        .await?
        .overruling(bootstrap.force_conflicts);
    task.finish(format!(
        "{name}: control plane {} Available",
        bootstrap.environment.cluster.version
    ));
    Ok(Workload {
        cluster: workload,
        kubeconfig,
        changes,
    })
}

/// The Cluster as its class takes it.
pub(super) async fn fit(
    bootstrap: &Bootstrap<'_>,
    management: &Cluster,
    (served, cluster): (&Served, &Manifest),
) -> Result<Fitted, KubernetesError> {
    let authentication = authentication(bootstrap.environment, &bootstrap.authorities);
    management::fit(management, served, cluster, &authentication).await
}

/// Connects to a cluster that is there already.
pub(super) async fn connect(bootstrap: &Bootstrap<'_>, systems: &Systems) -> Result<Workload, StageError> {
    let served = management::served(&systems.management).await?;
    let mut clusters: Vec<_> = management::adapt(&bootstrap.desired.management, &served)
        .into_iter()
        .filter(|manifest| manifest.kind() == "Cluster")
        .collect();
    let manifest = clusters.swap_remove(0);
    let kubeconfig = management::kubeconfig(&systems.management, &manifest).await?;
    let cluster = Cluster::from_text(kubeconfig.expose(), &format!("of {manifest}"))
        .await?
        .overruling(bootstrap.force_conflicts);
    Ok(Workload {
        cluster,
        kubeconfig,
        changes: 0,
    })
}

/// Applies what differs, and tells `mending` that this was changed by others, where that is known: what secrets and the list
/// of issuers should be is not published.
async fn apply(
    cluster: &Cluster,
    manifests: &[Manifest],
    mending: Option<&Task<'_>>,
) -> Result<usize, StageError> {
    let plan = cluster.plan(manifests).await?;
    if let Some(task) = mending {
        drift::tell(task, plan.changes().filter(|change| is_of_published(change)));
    }
    Ok(cluster.apply_plan(&plan).await?)
}

fn is_of_published(change: &Change) -> bool {
    let is_secret = change.object.starts_with("Secret/");
    let is_of_issuers = |field: &FieldChange| field.path.contains(management::AUTHENTICATION);
    !is_secret && (change.fields.is_empty() || !change.fields.iter().all(is_of_issuers))
}
