//! Reconciles a `LabControlPlane`: starts, watches over and stops the control plane of a workload cluster.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{self, Event, finalizer};

use super::ProviderError;
use super::context::ProviderContext;
use super::owner::{self, Owner};
use super::resources::{ControlPlaneInitialization, LabControlPlane, LabControlPlaneStatus, OidcSettings};
use super::{processes, secrets, status};
use crate::causes;
use crate::lab::conditions::{self, Verdict};
use crate::lab::control_plane::{self, ControlPlaneSpec, Oidc, RunningControlPlane};
use crate::lab::runner;

/// Keeps the object until its processes are stopped.
const FINALIZER: &str = "labcontrolplane.controlplane.cluster.x-k8s.io/processes";
/// The condition by which Cluster API judges a control plane.
const AVAILABLE: &str = "Available";
/// How often a control plane is looked at although nothing changed: its certificates may have to be renewed.
const REVISIT: Duration = Duration::from_secs(6 * 60 * 60);

/// How far a control plane is.
enum Outcome {
    /// Nothing is done.
    Paused,
    /// No Cluster owns it yet.
    WaitsForOwner,
    /// It is being started.
    Starts(String),
    /// It runs in this version.
    Runs(String),
    /// Something went wrong.
    Failed(String),
}

/// Brings one object nearer to what it should be.
pub(super) async fn reconcile(
    object: Arc<LabControlPlane>,
    context: Arc<ProviderContext>,
) -> Result<Action, ProviderError> {
    let owner = owner::find(context.client(), &object.metadata).await?;
    if owner::is_paused(&object.metadata) || owner.as_ref().is_some_and(|owner| owner.paused) {
        report(&object, Outcome::Paused, &context).await?;
        return Ok(Action::await_change());
    }
    let api = status::api_of(context.client(), &*object);
    let action = finalizer(&api, FINALIZER, Arc::clone(&object), |event| async {
        match event {
            Event::Apply(object) => apply(&object, owner, &context).await,
            Event::Cleanup(object) => clean_up(&object, &context).await,
        }
    })
    .await
    .map_err(|error| plain(&object, error))?;
    context.settled(&*object);
    Ok(action)
}

async fn apply(
    object: &LabControlPlane,
    owner: Option<Owner>,
    context: &ProviderContext,
) -> Result<Action, ProviderError> {
    let Some(owner) = owner else {
        report(object, Outcome::WaitsForOwner, context).await?;
        return Ok(Action::await_change());
    };
    let brought_up = bring_up(object, &owner, context).await;
    let outcome = match &brought_up {
        Ok(()) => match processes::crashed(&context.lab.supervisor.watch().borrow(), &owner.key()) {
            Some(message) => Outcome::Failed(message),
            None => Outcome::Runs(object.spec.version.clone()),
        },
        Err(error) => Outcome::Failed(causes::in_one_line(error)),
    };
    report(object, outcome, context).await?;
    brought_up.map(|()| Action::requeue(REVISIT))
}

async fn bring_up(
    object: &LabControlPlane,
    owner: &Owner,
    context: &ProviderContext,
) -> Result<(), ProviderError> {
    let running = start(object, owner, context).await?;
    secrets::write(object, owner, &running, context).await?;
    context.workloads.ensure(&owner.key(), &running).await?;
    Ok(())
}

/// Starts the control plane; while that lasts, the condition says what it waits for.
async fn start(
    object: &LabControlPlane,
    owner: &Owner,
    context: &ProviderContext,
) -> Result<RunningControlPlane, ProviderError> {
    let cluster = owner.key();
    let specification = specification(object, &cluster);
    let mut starting = std::pin::pin!(control_plane::start(&context.lab, &specification));
    let mut statuses = context.lab.supervisor.watch();
    let mut told = None;
    loop {
        tokio::select! {
            outcome = &mut starting => {
                return outcome.map_err(|source| ProviderError::Start { cluster, source });
            }
            Ok(()) = statuses.changed() => {
                let waits = processes::starting(&statuses.borrow_and_update(), &cluster);
                if waits.is_some() && waits != told {
                    told.clone_from(&waits);
                    report(object, Outcome::Starts(waits.unwrap_or_default()), context).await?;
                }
            }
        }
    }
}

fn specification(object: &LabControlPlane, cluster: &str) -> ControlPlaneSpec {
    let settings = &object.spec.settings;
    ControlPlaneSpec {
        name: cluster.to_owned(),
        version: object.spec.version.clone(),
        cert_sans: settings.cert_sans.clone(),
        oidc: settings.oidc.as_ref().map(oidc),
        authentication: settings.authentication.clone(),
        nodes: u32::try_from(settings.nodes).unwrap_or_default(),
    }
}

fn oidc(settings: &OidcSettings) -> Oidc {
    Oidc {
        issuer_url: settings.issuer_url.clone(),
        client_id: settings.client_id.clone(),
        username_claim: settings.username_claim.clone(),
        username_prefix: settings.username_prefix.clone(),
        groups_claim: settings.groups_claim.clone(),
        groups_prefix: settings.groups_prefix.clone(),
    }
}

async fn clean_up(object: &LabControlPlane, context: &ProviderContext) -> Result<Action, ProviderError> {
    let Some(name) = owner::owner_name(&object.metadata) else {
        return Ok(Action::await_change());
    };
    let cluster = owner::key(object.metadata.namespace.as_deref().unwrap_or_default(), name);
    context.workloads.end(&cluster).await;
    control_plane::stop(&context.lab, &cluster)
        .await
        .map_err(|source| ProviderError::Stop {
            cluster: cluster.clone(),
            source,
        })?;
    runner::forget(&context.lab, &cluster)?;
    Ok(Action::await_change())
}

async fn report(
    object: &LabControlPlane,
    outcome: Outcome,
    context: &ProviderContext,
) -> Result<(), ProviderError> {
    let mut status = object.status.clone().unwrap_or_default();
    change(&mut status, object.metadata.generation, outcome);
    Ok(status::write(context.client(), object, &status).await?)
}

fn change(status: &mut LabControlPlaneStatus, generation: Option<i64>, outcome: Outcome) {
    let runs = matches!(outcome, Outcome::Runs(_));
    let paused = matches!(outcome, Outcome::Paused);
    let before = status
        .initialization
        .unwrap_or_default()
        .control_plane_initialized;
    status.initialization = Some(ControlPlaneInitialization {
        control_plane_initialized: before || runs,
    });
    status.external_managed_control_plane = Some(true);
    status.observed_generation = generation;
    let now = Timestamp::now();
    conditions::set(&mut status.conditions, Verdict::paused(paused), generation, now);
    let verdict = match outcome {
        // What was last said stays true while nothing is done.
        Outcome::Paused => return,
        Outcome::Runs(version) => {
            status.version = Some(version);
            Verdict::holds(AVAILABLE, "Available")
        }
        Outcome::WaitsForOwner => Verdict::fails(AVAILABLE, "NoOwner", "waiting until a Cluster owns it"),
        Outcome::Starts(message) => Verdict::fails(AVAILABLE, "Starting", message),
        Outcome::Failed(message) => Verdict::fails(AVAILABLE, "Failed", message),
    };
    conditions::set(&mut status.conditions, verdict, generation, now);
}

/// Our own error as it is; what the finalizer itself met, as one of ours.
fn plain(object: &LabControlPlane, error: finalizer::Error<ProviderError>) -> ProviderError {
    match error {
        finalizer::Error::ApplyFailed(error) | finalizer::Error::CleanupFailed(error) => error,
        other => ProviderError::Finalizer {
            object: status::display(object),
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::provider::resources::{ControlPlaneSettings, LabControlPlaneSpec};

    #[test]
    fn test_specification_carries_every_setting() {
        let settings: ControlPlaneSettings = serde_json::from_value(serde_json::json!({
            "certSANs": ["api.prod.lab.test"],
            "oidc": {"clientID": "kubectl", "issuerURL": "https://127.0.0.1:1/realms/scs"},
            "authentication": {"jwt": []},
            "nodes": 3,
        }))
        .unwrap();
        let spec = LabControlPlaneSpec {
            version: "v1.36.3".to_owned(),
            settings,
        };
        let specification = specification(&LabControlPlane::new("prod", spec), "platform/prod");
        assert_eq!(
            specification,
            ControlPlaneSpec {
                name: "platform/prod".to_owned(),
                version: "v1.36.3".to_owned(),
                cert_sans: vec!["api.prod.lab.test".to_owned()],
                oidc: Some(Oidc {
                    issuer_url: "https://127.0.0.1:1/realms/scs".to_owned(),
                    client_id: "kubectl".to_owned(),
                    username_claim: "preferred_username".to_owned(),
                    username_prefix: "oidc:".to_owned(),
                    groups_claim: "groups".to_owned(),
                    groups_prefix: "oidc:".to_owned(),
                }),
                authentication: Some(serde_json::json!({"jwt": []})),
                nodes: 3,
            }
        );
    }

    #[test]
    fn test_failure_and_pause_keep_what_was_reached() {
        let mut status = LabControlPlaneStatus::default();
        change(&mut status, Some(1), Outcome::Runs("v1.36.3".to_owned()));
        change(
            &mut status,
            Some(2),
            Outcome::Failed("no such version".to_owned()),
        );
        assert!(status.initialization.unwrap().control_plane_initialized);
        assert_eq!(status.version.as_deref(), Some("v1.36.3"));
        change(&mut status, Some(3), Outcome::Paused);
        let available = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == AVAILABLE)
            .unwrap();
        assert_eq!(
            (available.status.as_str(), available.message.as_str()),
            ("False", "no such version")
        );
    }
}
