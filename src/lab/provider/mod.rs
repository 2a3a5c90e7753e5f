//! The lab's Cluster API provider: workload clusters as processes, by the v1beta2 contract.
//!
//! It watches the management cluster for `LabCluster` and `LabControlPlane`, which Cluster API makes from the lab's
//! cluster class. For each it starts a whole second control plane, and looks after what a cloud would do for it:
//! load balancers, and the containers that matter (see [`super::runner`]).

mod context;
mod definitions;
mod error;
mod lab_cluster;
mod lab_control_plane;
mod owner;
mod processes;
pub mod resources;
mod secrets;
mod status;
mod workload;

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::Utf8Path;
use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use tokio::sync::watch;
use tracing::debug;

use self::context::ProviderContext;
use self::resources::{LabCluster, LabControlPlane};
use super::component::KUBERNETES_VERSION;
use super::load_balancer::WATCH_SECONDS;
use super::process::ProcessStatus;
use super::{LabContext, launch, stack};
use crate::kubernetes::Cluster;

pub use error::ProviderError;

/// Makes the provider's kinds known, releases the lab's cluster stack, and starts the controllers as tasks of the
/// lab: they end when the lab is being stopped. Returns when the kinds are served.
///
/// `management` is the management cluster, where Cluster API's own kinds are served already; `releases` is the
/// cluster-stack-operator's release directory.
pub async fn run(lab: &LabContext, management: Cluster, releases: &Utf8Path) -> Result<(), ProviderError> {
    release_stack(lab, releases).await?;
    definitions::install(&management).await?;
    let context = Arc::new(ProviderContext::new(lab.clone(), management));
    lab.tasks.spawn(clusters(Arc::clone(&context)));
    lab.tasks.spawn(control_planes(context));
    Ok(())
}

async fn release_stack(lab: &LabContext, releases: &Utf8Path) -> Result<(), ProviderError> {
    let acquire = |component| launch::acquire(lab, component);
    let acquired = future::try_join_all(stack::components().map(acquire))
        .await
        .map_err(ProviderError::Kinds)?;
    stack::kinds(&acquired)
        .and_then(|kinds| stack::release(releases, KUBERNETES_VERSION, &kinds))
        .map_err(ProviderError::Stack)
}

/// Reconciles every `LabCluster` until the lab is being stopped.
async fn clusters(context: Arc<ProviderContext>) {
    let stopping = context.lab.stopping.clone();
    let controller = Controller::new(Api::<LabCluster>::all(context.client()), watching());
    let known = controller.store();
    let outcomes = controller
        .watches_with(owners(&context), owner::cluster_kind(), watching(), |cluster| {
            owner::referred::<LabCluster>(&cluster, "/spec/infrastructureRef")
        })
        .watches(
            Api::<Secret>::all(context.client()),
            watching().labels(secrets::CLUSTER_LABEL),
            move |secret| infrastructure_of(&secret, &known),
        )
        .run(
            lab_cluster::reconcile,
            |object, error, context: Arc<ProviderContext>| context.retry(&*object, error),
            context,
        );
    follow(outcomes.take_until(stopping.cancelled_owned())).await;
}

/// The `LabCluster` of the cluster that a Secret belongs to.
fn infrastructure_of(secret: &Secret, known: &Store<LabCluster>) -> Option<ObjectRef<LabCluster>> {
    let cluster = secret.labels().get(secrets::CLUSTER_LABEL)?;
    let infrastructure = known.find(|infrastructure| {
        infrastructure.metadata.namespace == secret.metadata.namespace
            && owner::owner_name(&infrastructure.metadata) == Some(cluster)
    })?;
    Some(ObjectRef::from_obj(&*infrastructure))
}

/// Reconciles every `LabControlPlane` until the lab is being stopped, then ends what was begun for the clusters.
async fn control_planes(context: Arc<ProviderContext>) {
    let stopping = context.lab.stopping.clone();
    let outcomes = Controller::new(Api::<LabControlPlane>::all(context.client()), watching())
        .watches_with(owners(&context), owner::cluster_kind(), watching(), |cluster| {
            owner::referred::<LabControlPlane>(&cluster, "/spec/controlPlaneRef")
        })
        .owns(
            Api::<Secret>::all(context.client()),
            watching().labels(secrets::CLUSTER_LABEL),
        )
        .reconcile_all_on(crashes(context.lab.supervisor.watch()))
        .run(
            lab_control_plane::reconcile,
            |object, error, context: Arc<ProviderContext>| context.retry(&*object, error),
            Arc::clone(&context),
        );
    follow(outcomes.take_until(stopping.cancelled_owned())).await;
    context.workloads.end_all().await;
}

fn owners(context: &ProviderContext) -> Api<DynamicObject> {
    Api::all_with(context.client(), &owner::cluster_kind())
}

fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Says each time that other processes of control planes have crashed than before.
fn crashes(statuses: watch::Receiver<Vec<ProcessStatus>>) -> impl Stream<Item = ()> + Send + 'static {
    let before = BTreeSet::new();
    stream::unfold((statuses, before), |(mut statuses, before)| async move {
        loop {
            statuses.changed().await.ok()?;
            let now = processes::all_crashed(&statuses.borrow_and_update());
            if now != before {
                return Some(((), (statuses, now)));
            }
        }
    })
}

/// Runs a controller. Failed reconciliations were told where they are tried again; what is left are faults of watches.
async fn follow<Outcome, Fault: std::fmt::Display>(outcomes: impl Stream<Item = Result<Outcome, Fault>>) {
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        if let Err(fault) = outcome {
            debug!(%fault, "controller");
        }
    }
}
