//! Cluster API core on the management cluster: its definitions, its controller, its webhooks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use camino::Utf8Path;

use super::webhooks::WebhookServer;
use super::{LaunchError, MANAGEMENT_CLUSTER, acquire, definitions};
use crate::kubernetes::Cluster;
use crate::lab::LabContext;
use crate::lab::component::{Acquired, Component};
use crate::lab::process::{ProcessSpec, READY_WITHIN, http_ready};

const NAME: &str = "cluster-api";
/// Put before the names of its webhook configurations.
const NAMES: &str = "capi";
const WEBHOOKS: &str = "cluster-api-webhooks";
const HEALTH: &str = "cluster-api-health";
const DIAGNOSTICS: &str = "cluster-api-diagnostics";

/// Makes the management cluster serve Cluster API's kinds.
pub(super) async fn define(context: &LabContext, moin: &Cluster) -> Result<(), LaunchError> {
    let component = acquire(context, Component::ClusterApi).await?;
    let objects = definitions::read(
        &component.share("crds.yaml"),
        &WebhookServer::listening(context, WEBHOOKS, NAMES)?,
    )
    .await
    .map_err(|source| LaunchError::kubernetes(MANAGEMENT_CLUSTER, source))?;
    definitions::establish(moin, MANAGEMENT_CLUSTER, &objects).await
}

/// Starts the controller and, once it answers, has the API server call its webhooks.
pub(super) async fn start(
    context: &LabContext,
    moin: &Cluster,
    kubeconfig: &Utf8Path,
) -> Result<(), LaunchError> {
    let component = acquire(context, Component::ClusterApi).await?;
    context
        .supervisor
        .start(process(context, &component, kubeconfig)?)
        .await?;
    let path = component.share("webhooks.yaml");
    let fault = |source| LaunchError::kubernetes(MANAGEMENT_CLUSTER, source);
    let webhooks = definitions::read(&path, &WebhookServer::listening(context, WEBHOOKS, NAMES)?)
        .await
        .map_err(fault)?;
    moin.apply_all(&webhooks).await.map(drop).map_err(fault)
}

fn process(
    context: &LabContext,
    component: &Acquired,
    kubeconfig: &Utf8Path,
) -> Result<ProcessSpec, LaunchError> {
    let directory = context.state.data(NAME)?;
    context
        .authority
        .issue_server(NAME, &[], &[Ipv4Addr::LOCALHOST.into()])?;
    let health = context.ports.get(HEALTH)?;
    let arguments = vec![
        format!("--kubeconfig={kubeconfig}"),
        "--leader-elect=false".into(),
        "--feature-gates=ClusterTopology=true".into(),
        format!("--webhook-port={}", context.ports.get(WEBHOOKS)?),
        format!("--webhook-cert-dir={}", context.state.pki()),
        format!("--webhook-cert-name={NAME}.crt"),
        format!("--webhook-key-name={NAME}.key"),
        format!("--health-addr=127.0.0.1:{health}"),
        format!(
            "--diagnostics-address=127.0.0.1:{}",
            context.ports.get(DIAGNOSTICS)?
        ),
        "--insecure-diagnostics".into(),
    ];
    Ok(ProcessSpec {
        name: NAME.to_owned(),
        program: component.program().to_owned(),
        arguments,
        environment: BTreeMap::new(),
        directory,
        ready: http_ready(format!("http://127.0.0.1:{health}/readyz"), None),
        ready_within: READY_WITHIN,
    })
}
