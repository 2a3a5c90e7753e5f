//! One Deployment's controller, kept as the Deployment wants it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::config::Kubeconfig;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::sync::watch;
use tracing::{info, warn};

use super::account::{self, Credentials};
use super::arguments::{self, Places};
use super::deployment::{Controller, Wanted};
use super::error::RunnerError;
use super::place::{self, Use};
use crate::causes;
use crate::lab::LabContext;
use crate::lab::component::Component;
use crate::lab::process::{ProcessSpec, READY_WITHIN, http_ready};
use crate::lab::state::StateError;
use crate::report;

/// Longest note an Event takes, in bytes.
const NOTE_LIMIT: usize = 1000;
/// First and longest pause before a failed start is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A workload cluster as the runner sees it.
pub(super) struct Site {
    pub(super) lab: LabContext,
    /// `<namespace>/<name>` of the cluster; all its processes are named below it.
    pub(super) cluster: String,
    pub(super) client: Client,
    pub(super) administrator: Kubeconfig,
    pub(super) events: Recorder,
}

/// What a keeper is told.
pub(super) struct Order {
    /// Where Events belong.
    pub(super) deployment: ObjectReference,
    /// What the Deployment wants.
    pub(super) wanted: Wanted,
}

/// Follows the orders until their sender is gone, then stops what runs.
pub(super) async fn keep(site: Arc<Site>, process: String, mut orders: watch::Receiver<Order>) {
    let mut pause = PAUSES.0;
    loop {
        let (deployment, wanted) = {
            let order = orders.borrow_and_update();
            (order.deployment.clone(), order.wanted.clone())
        };
        let outcome = tokio::select! {
            outcome = site.realise(&process, &wanted) => outcome,
            changed = orders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        let failed = outcome.is_err();
        site.tell(&process, &deployment, &wanted, outcome).await;
        tokio::select! {
            changed = orders.changed() => match changed {
                Ok(()) => pause = PAUSES.0,
                Err(_) => break,
            },
            () = tokio::time::sleep(pause), if failed => pause = (pause * 2).min(PAUSES.1),
        }
    }
    site.stop(&process).await;
}

impl Site {
    /// Name of the process that stands for a Deployment.
    pub(super) fn process_name(&self, namespace: &str, name: &str) -> String {
        format!("{}/{namespace}/{name}", self.cluster)
    }

    async fn realise(&self, process: &str, target: &Wanted) -> Result<(), RunnerError> {
        if let Wanted::Running(controller) = target {
            return self.start(process, controller).await;
        }
        self.stop(process).await;
        Ok(())
    }

    async fn stop(&self, process: &str) {
        if let Err(error) = self.lab.supervisor.stop(process).await {
            warn!(%process, error = &error as &dyn std::error::Error, "stopping");
        }
    }

    async fn start(&self, process: &str, controller: &Controller) -> Result<(), RunnerError> {
        let deployment = || format!("{}/{}", controller.namespace, controller.name);
        let directory = place::directory(&self.lab, process).map_err(|source| RunnerError::Place {
            deployment: deployment(),
            source,
        })?;
        let credentials = Credentials::in_directory(&directory);
        let token = account::token(
            self.client.clone(),
            &controller.namespace,
            &controller.service_account,
        )
        .await
        .map_err(|source| RunnerError::Token {
            deployment: deployment(),
            account: controller.service_account.clone(),
            source,
        })?;
        let prepare = || {
            credentials.write(&self.administrator, &token)?;
            ["storage", "tmp"]
                .iter()
                .try_for_each(|folder| fs_err::create_dir_all(directory.join(folder)))
        };
        prepare().map_err(|source| RunnerError::Files {
            deployment: deployment(),
            source,
        })?;
        let spec = self
            .specification(process, controller, &directory, &credentials)
            .await?;
        self.lab
            .supervisor
            .start(spec)
            .await
            .map_err(|source| RunnerError::Process {
                deployment: deployment(),
                source: Box::new(source),
            })
    }

    async fn specification(
        &self,
        process: &str,
        controller: &Controller,
        directory: &Utf8Path,
        credentials: &Credentials,
    ) -> Result<ProcessSpec, RunnerError> {
        let deployment = || format!("{}/{}", controller.namespace, controller.name);
        let program = self
            .lab
            .components
            .acquire(controller.component, &*self.lab.reporter)
            .await
            .map_err(|source| RunnerError::Program {
                deployment: deployment(),
                source: Box::new(source),
            })?;
        let storage = directory.join("storage");
        let places = self
            .places(process, controller, &storage)
            .map_err(|source| RunnerError::Place {
                deployment: deployment(),
                source,
            })?;
        Ok(ProcessSpec {
            name: process.to_owned(),
            program: program.program().to_owned(),
            arguments: arguments::for_process(
                controller.component,
                &controller.arguments,
                &controller.variables,
                &places,
            ),
            environment: environment(controller, directory, credentials),
            directory: directory.to_owned(),
            ready: http_ready(format!("http://127.0.0.1:{}/readyz", places.health), None),
            ready_within: READY_WITHIN,
        })
    }

    /// The ports of a controller. Events go to the notification-controller of the same namespace, by its usual name.
    fn places<'path>(
        &self,
        process: &str,
        controller: &Controller,
        storage: &'path Utf8Path,
    ) -> Result<Places<'path>, StateError> {
        let receiver = self.process_name(&controller.namespace, Component::NotificationController.name());
        Ok(Places {
            health: place::port(&self.lab, process, Use::Health)?,
            metrics: place::port(&self.lab, process, Use::Metrics)?,
            events: place::port(&self.lab, &receiver, Use::Events)?,
            service: place::port(&self.lab, process, Use::Service)?,
            storage,
        })
    }

    /// Tells how it went: in the log, to whoever watches the lab, and as an Event at the Deployment.
    async fn tell(
        &self,
        process: &str,
        deployment: &ObjectReference,
        target: &Wanted,
        outcome: Result<(), RunnerError>,
    ) {
        let (kind, reason, note) = match (target, outcome) {
            (_, Err(error)) => (EventType::Warning, "FailedToStart", causes::in_one_line(&error)),
            (Wanted::OtherVersion { image, component }, Ok(())) => {
                (EventType::Warning, "ImageNotInLab", missing(image, *component))
            }
            (Wanted::Running(_), Ok(())) => (EventType::Normal, "Started", "runs as a process".to_owned()),
            (Wanted::Stopped | Wanted::Undecided, Ok(())) => {
                info!(%process, "stopped");
                return;
            }
        };
        if kind == EventType::Warning {
            warn!(%process, reason, "{note}");
            self.lab.reporter.report(report::Event::Warned {
                task: process.to_owned(),
                message: note.clone(),
            });
        } else {
            info!(%process, reason, "{note}");
        }
        self.publish(deployment, kind, reason, note).await;
    }

    async fn publish(&self, deployment: &ObjectReference, kind: EventType, reason: &str, note: String) {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note.chars().take(NOTE_LIMIT / 4).collect()),
            action: "Run".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.events.publish(&event, deployment).await {
            warn!(%error, reason, "publishing an Event");
        }
    }
}

/// The variables of the process. What the Pod would find under `/tmp` is in a folder of its own.
fn environment(
    controller: &Controller,
    directory: &Utf8Path,
    credentials: &Credentials,
) -> BTreeMap<String, String> {
    let temporary = directory.join("tmp");
    let mut environment = controller.variables.clone();
    for value in environment.values_mut() {
        if let Some(rest) = value
            .strip_prefix("/tmp")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            *value = format!("{temporary}{rest}");
        }
    }
    environment.insert("KUBECONFIG".to_owned(), credentials.kubeconfig.to_string());
    environment.insert("TMPDIR".to_owned(), temporary.to_string());
    environment.insert("HOME".to_owned(), temporary.into_string());
    environment
}

fn missing(image: &str, component: Component) -> String {
    format!(
        "the lab has {} {} only, so {image} does not run",
        component.name(),
        component.version()
    )
}
