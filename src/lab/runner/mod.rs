//! Deployments of programs that the lab has, run as processes.
//!
//! kwok makes a cluster's Pods look as if they ran; nothing in them does. For Deployments of Flux's controllers the
//! runner starts the real program against that cluster, with the Deployment's own arguments and the rights of its
//! service account, so that what is written in Git has its effect.

mod account;
mod arguments;
mod deployment;
mod error;
mod image;
mod keeper;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::config::Kubeconfig;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::deployment::Wanted;
use self::keeper::{Order, Site, keep};
use super::LabContext;
use super::load_balancer::WATCH_SECONDS;

pub use error::RunnerError;
pub use place::forget;

/// Runs the Deployments of `cluster` (`<namespace>/<name>`) until `stop`, then stops the processes it started.
/// `administrator` says where the API server is; `client` talks to it with an administrator's rights.
pub async fn run(
    lab: LabContext,
    cluster: String,
    client: Client,
    administrator: Kubeconfig,
    stop: CancellationToken,
) {
    let reporter = Reporter {
        controller: "lotse.dev/lab".to_owned(),
        instance: None,
    };
    let site = Site {
        lab,
        cluster,
        events: Recorder::new(client.clone(), reporter),
        client,
        administrator,
    };
    let mut keepers = Keepers::new(Arc::new(site));
    follow(&mut keepers, &stop).await;
    keepers.end().await;
}

async fn follow(keepers: &mut Keepers, stop: &CancellationToken) {
    let (deployments, writer) = reflector::store();
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher(Api::<Deployment>::all(keepers.site.client.clone()), config)
        .default_backoff()
        .reflect(writer);
    let mut events = std::pin::pin!(events);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                // Until the first list is whole, a Deployment that is missing was not deleted.
                Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_))) => {}
                Some(Ok(_)) => keepers.follow(&deployments.state()),
                Some(Err(error)) => warn!(%error, cluster = keepers.site.cluster, "watching Deployments"),
                None => return,
            },
        }
    }
}

/// One keeper for each Deployment that runs or should.
struct Keepers {
    site: Arc<Site>,
    orders: BTreeMap<String, watch::Sender<Order>>,
    tasks: JoinSet<()>,
}

impl Keepers {
    fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            orders: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Tells each keeper what its Deployment wants now. A keeper whose Deployment is gone stays and runs nothing, so
    /// that there is never a second one for the same name.
    fn follow(&mut self, deployments: &[Arc<Deployment>]) {
        let mut present = BTreeSet::new();
        for deployment in deployments {
            if let Some(wanted) = deployment::wanted(deployment) {
                let namespace = deployment.namespace().unwrap_or_default();
                let process = self.site.process_name(&namespace, &deployment.name_any());
                present.insert(process.clone());
                self.hand_over(process, deployment, wanted);
            }
        }
        for (process, order) in &self.orders {
            if !present.contains(process) {
                send(order, |order| order.wanted = Wanted::Stopped);
            }
        }
    }

    fn hand_over(&mut self, process: String, deployment: &Deployment, wanted: Wanted) {
        let deployment = deployment.object_ref(&());
        match (self.orders.get(&process), wanted) {
            (_, Wanted::Undecided) | (None, Wanted::Stopped) => {}
            (Some(order), wanted) => send(order, |order| *order = Order { deployment, wanted }),
            (None, wanted) => {
                let (sender, receiver) = watch::channel(Order { deployment, wanted });
                self.tasks
                    .spawn(keep(Arc::clone(&self.site), process.clone(), receiver));
                self.orders.insert(process, sender);
            }
        }
    }

    /// Ends all keepers and waits until their processes are stopped.
    async fn end(mut self) {
        self.orders.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Changes an order; its keeper learns of it when something else is wanted than before.
fn send(order: &watch::Sender<Order>, change: impl FnOnce(&mut Order)) {
    order.send_if_modified(|order| {
        let before = order.wanted.clone();
        change(order);
        order.wanted != before
    });
}
