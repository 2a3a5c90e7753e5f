//! Reconciles a `LabCluster`: its infrastructure is one port on loopback, chosen once, and it is there when the API
//! server answers at that port.
//!
//! Cluster API tries to connect the moment the infrastructure is there, and after a failure waits half a minute. So,
//! as with other hosted control planes, the infrastructure is reported after the control plane, not before.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use url::Url;

use super::ProviderError;
use super::context::ProviderContext;
use super::owner::{self, Owner};
use super::resources::{
    ApiEndpoint, InfrastructureInitialization, LabCluster, LabClusterSpec, LabClusterStatus,
};
use super::{secrets, status};
use crate::causes;
use crate::lab::conditions::{self, Verdict};
use crate::lab::control_plane;

/// The condition by which Cluster API judges infrastructure.
const READY: &str = "Ready";

/// How far a `LabCluster` is.
enum Outcome {
    /// Nothing is done.
    Paused,
    /// Nobody can connect yet.
    WaitsForControlPlane,
    /// The API server answers at the endpoint.
    Provisioned,
    /// Something went wrong.
    Failed(String),
}

/// Brings one object nearer to what it should be.
///
/// No finalizer: the port belongs to the control plane, which gives it back when it is deleted, before this is.
pub(super) async fn reconcile(
    object: Arc<LabCluster>,
    context: Arc<ProviderContext>,
) -> Result<Action, ProviderError> {
    let skip = object.metadata.deletion_timestamp.is_some() || owner::is_externally_managed(&object.metadata);
    if !skip && let Some(owner) = owner::find(context.client(), &object.metadata).await? {
        if owner.paused || owner::is_paused(&object.metadata) {
            report(&object, Outcome::Paused, &context).await?;
        } else {
            let provided = provide(&object, &owner, &context).await;
            let outcome = match &provided {
                Ok(true) => Outcome::Provisioned,
                Ok(false) => Outcome::WaitsForControlPlane,
                Err(error) => Outcome::Failed(causes::in_one_line(error)),
            };
            report(&object, outcome, &context).await?;
            provided?;
        }
    }
    context.settled(&*object);
    Ok(Action::await_change())
}

/// Sets the endpoint; tells whether it can be connected to.
async fn provide(
    object: &LabCluster,
    owner: &Owner,
    context: &ProviderContext,
) -> Result<bool, ProviderError> {
    if object.spec.control_plane_endpoint.is_none() {
        let cluster = owner.key();
        let server = control_plane::server_url(&context.lab, &cluster)
            .map_err(|source| ProviderError::Endpoint { cluster, source })?;
        let spec = LabClusterSpec {
            control_plane_endpoint: endpoint(&server),
        };
        status::write_spec(context.client(), object, &spec).await?;
    }
    Ok(is_initialized(object) || secrets::kubeconfig_exists(context.client(), owner).await?)
}

fn is_initialized(object: &LabCluster) -> bool {
    let initialization = object.status.as_ref().and_then(|status| status.initialization);
    initialization.unwrap_or_default().provisioned
}

/// The host and port of an API server's address.
fn endpoint(server: &str) -> Option<ApiEndpoint> {
    let url = Url::parse(server).ok()?;
    Some(ApiEndpoint {
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?.into(),
    })
}

async fn report(
    object: &LabCluster,
    outcome: Outcome,
    context: &ProviderContext,
) -> Result<(), ProviderError> {
    let mut status = object.status.clone().unwrap_or_default();
    change(&mut status, object.metadata.generation, outcome);
    Ok(status::write(context.client(), object, &status).await?)
}

fn change(status: &mut LabClusterStatus, generation: Option<i64>, outcome: Outcome) {
    let provisioned = matches!(outcome, Outcome::Provisioned);
    let paused = matches!(outcome, Outcome::Paused);
    let before = status.initialization.unwrap_or_default().provisioned;
    status.initialization = Some(InfrastructureInitialization {
        provisioned: before || provisioned,
    });
    status.observed_generation = generation;
    let now = Timestamp::now();
    conditions::set(&mut status.conditions, Verdict::paused(paused), generation, now);
    let verdict = match outcome {
        Outcome::Provisioned => Verdict::holds(READY, "Provisioned"),
        // What was last said stays true while nothing is done.
        Outcome::Paused => return,
        Outcome::WaitsForControlPlane => Verdict::fails(
            READY,
            "WaitingForControlPlane",
            "waiting until the control plane's API server answers",
        ),
        Outcome::Failed(message) => Verdict::fails(READY, "Failed", message),
    };
    conditions::set(&mut status.conditions, verdict, generation, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provisioned(status: &LabClusterStatus) -> bool {
        status.initialization.unwrap().provisioned
    }

    #[test]
    fn test_endpoint_is_host_and_port() {
        let endpoint = endpoint("https://127.0.0.1:43121").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("127.0.0.1", 43121));
    }

    #[test]
    fn test_provisioned_never_goes_back() {
        let mut status = LabClusterStatus::default();
        change(&mut status, Some(1), Outcome::WaitsForControlPlane);
        assert!(!provisioned(&status));
        change(&mut status, Some(1), Outcome::Provisioned);
        assert!(provisioned(&status));
        change(&mut status, Some(2), Outcome::Failed("no port".to_owned()));
        assert!(provisioned(&status));
        assert_eq!(status.observed_generation, Some(2));
    }

    #[test]
    fn test_pause_changes_nothing_else() {
        let mut status = LabClusterStatus::default();
        change(&mut status, Some(1), Outcome::Provisioned);
        change(&mut status, Some(1), Outcome::Paused);
        let shown: Vec<_> = status
            .conditions
            .iter()
            .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
            .collect();
        assert_eq!(shown, [("Paused", "True"), ("Ready", "True")]);
    }
}
