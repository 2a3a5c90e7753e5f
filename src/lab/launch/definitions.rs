//! Applies the definitions of a controller's kinds and waits until the server serves them.

use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use serde_json::Value;

use super::LaunchError;
use super::webhooks::WebhookServer;
use crate::desired::Manifest;
use crate::kubernetes::{Cluster, KubernetesError, read_manifests};
use futures::{StreamExt, TryStreamExt};

/// How long the server may take to serve a new kind.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(100);
/// Definitions applied at once.
const PARALLEL: usize = 8;

/// The objects in the file `path`, calling `server` where they call a webhook.
pub(super) async fn read(
    path: &camino::Utf8Path,
    server: &WebhookServer,
) -> Result<Vec<Manifest>, KubernetesError> {
    let text = fs_err::tokio::read_to_string(path)
        .await
        .map_err(|error| KubernetesError::Manifest {
            origin: path.to_string(),
            reason: error.to_string(),
        })?;
    let manifests = read_manifests(path.as_str(), &text)?;
    Ok(manifests
        .into_iter()
        .map(|manifest| server.rewrite(manifest))
        .collect())
}

/// Applies `definitions` to the control plane called `name` and returns when all are served.
pub(super) async fn establish(
    cluster: &Cluster,
    name: &str,
    definitions: &[Manifest],
) -> Result<(), LaunchError> {
    futures::stream::iter(definitions)
        .map(|definition| async move {
            cluster
                .apply(definition)
                .await
                .map_err(|source| LaunchError::kubernetes(name, source))?;
            wait_until_served(cluster, name, definition).await
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}

async fn wait_until_served(cluster: &Cluster, name: &str, definition: &Manifest) -> Result<(), LaunchError> {
    let began = Instant::now();
    loop {
        let object = cluster
            .get(definition)
            .await
            .map_err(|source| LaunchError::kubernetes(name, source))?;
        let state = object.as_ref().map_or("it is gone", served_state);
        if state == SERVED {
            return Ok(());
        }
        if began.elapsed() > ESTABLISHED_WITHIN {
            return Err(LaunchError::NotEstablished {
                control_plane: name.to_owned(),
                definition: definition.name().to_owned(),
                seconds: ESTABLISHED_WITHIN.as_secs(),
                state: state.to_owned(),
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

const SERVED: &str = "served";

/// [`SERVED`], or what the definition's conditions complain about.
fn served_state(definition: &DynamicObject) -> &str {
    let conditions = definition
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let status_of = |wanted: &str| conditions.iter().find(|condition| condition["type"] == wanted);
    match (status_of("Established"), status_of("NamesAccepted")) {
        (Some(established), _) if established["status"] == "True" => SERVED,
        (_, Some(names)) if names["status"] == "False" => {
            names["message"].as_str().unwrap_or("its names are taken")
        }
        _ => "not established yet",
    }
}
