//! What the lab does inside each workload cluster: load balancers, gateways and Deployments that run as processes.

use std::collections::BTreeMap;

use kube::config::Kubeconfig;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kubernetes::{Cluster, KubernetesError};
use crate::lab::control_plane::RunningControlPlane;
use crate::lab::load_balancer::{self, Pool};
use crate::lab::{LabContext, gateway, runner};
use crate::secret::Secret;

/// The workload clusters that are looked after.
pub(super) struct Workloads {
    lab: LabContext,
    running: Mutex<BTreeMap<String, Workload>>,
}

struct Workload {
    kubeconfig: Secret,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Workload {
    async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Workloads {
    pub(super) fn new(lab: LabContext) -> Self {
        Self {
            lab,
            running: Mutex::default(),
        }
    }

    /// Looks after `cluster` (`<namespace>/<name>`) from now on. With other credentials than before it begins anew.
    pub(super) async fn ensure(
        &self,
        cluster: &str,
        control_plane: &RunningControlPlane,
    ) -> Result<(), KubernetesError> {
        let mut running = self.running.lock().await;
        let kubeconfig = &control_plane.kubeconfig;
        let known = running.get(cluster).map(|workload| workload.kubeconfig.expose());
        if known == Some(kubeconfig.expose()) {
            return Ok(());
        }
        if let Some(outdated) = running.remove(cluster) {
            outdated.end().await;
        }
        running.insert(cluster.to_owned(), self.begin(cluster, kubeconfig).await?);
        Ok(())
    }

    /// Ends what was begun for `cluster`, and returns when its processes are stopped.
    pub(super) async fn end(&self, cluster: &str) {
        let workload = self.running.lock().await.remove(cluster);
        if let Some(workload) = workload {
            workload.end().await;
        }
    }

    /// Ends what was begun for every cluster.
    pub(super) async fn end_all(&self) {
        let workloads = std::mem::take(&mut *self.running.lock().await);
        futures::future::join_all(workloads.into_values().map(Workload::end)).await;
    }

    async fn begin(&self, cluster: &str, kubeconfig: &Secret) -> Result<Workload, KubernetesError> {
        let origin = format!("the administrator of {cluster}");
        let client = Cluster::from_text(kubeconfig.expose(), &origin).await?.client();
        let administrator =
            Kubeconfig::from_yaml(kubeconfig.expose()).map_err(|error| KubernetesError::Kubeconfig {
                origin,
                reason: error.to_string(),
            })?;
        let stop = self.lab.stopping.child_token();
        let tasks = TaskTracker::new();
        let pool = Pool::of(self.lab.name.as_str(), cluster);
        tasks.spawn(load_balancer::run(client.clone(), pool, stop.clone()));
        tasks.spawn(gateway::run(client.clone(), stop.clone()));
        tasks.spawn(runner::run(
            self.lab.clone(),
            cluster.to_owned(),
            client,
            administrator,
            stop.clone(),
        ));
        tasks.close();
        Ok(Workload {
            kubeconfig: kubeconfig.clone(),
            stop,
            tasks,
        })
    }
}
