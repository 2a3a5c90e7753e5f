//! The cluster-stack-operator on the management cluster: definitions, controller, webhooks, and the directory it
//! takes cluster stacks from.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use super::webhooks::WebhookServer;
use super::{LaunchError, MANAGEMENT_CLUSTER, acquire, definitions, write_private};
use crate::kubernetes::Cluster;
use crate::lab::component::{Acquired, Component};
use crate::lab::process::{ProcessSpec, READY_WITHIN, ReadinessCheck, http_ready, tcp_ready};
use crate::lab::{LabContext, files};

const NAME: &str = "cso";
/// Put before the names of its webhook configurations.
const NAMES: &str = "cso";
const WEBHOOKS: &str = "cso-webhooks";
const HOOKS: &str = "cso-hooks";
const HEALTH: &str = "cso-health";
/// Where the operator's webhook server looks for its certificate, below its directory for temporary files.
const WEBHOOK_CERTIFICATES: &str = "k8s-webhook-server/serving-certs";

/// Where releases of cluster stacks are put for the operator.
pub fn release_directory(context: &LabContext) -> Result<Utf8PathBuf, LaunchError> {
    Ok(context.state.data(&format!("{NAME}/releases"))?)
}

/// Makes the management cluster serve the operator's kinds, starts it and has the API server call its webhooks.
pub(super) async fn start(
    context: &LabContext,
    moin: &Cluster,
    kubeconfig: &Utf8Path,
) -> Result<(), LaunchError> {
    let fault = |source| LaunchError::kubernetes(MANAGEMENT_CLUSTER, source);
    let (component, helm) = tokio::try_join!(
        acquire(context, Component::ClusterStackOperator),
        acquire(context, Component::Helm)
    )?;
    let server = WebhookServer::listening(context, WEBHOOKS, NAMES)?;
    let objects = definitions::read(&component.share("crds.yaml"), &server)
        .await
        .map_err(fault)?;
    definitions::establish(moin, MANAGEMENT_CLUSTER, &objects).await?;
    context
        .supervisor
        .start(process(context, &component, &helm, kubeconfig)?)
        .await?;
    let webhooks = definitions::read(&component.share("webhooks.yaml"), &server)
        .await
        .map_err(fault)?;
    moin.apply_all(&webhooks).await.map(drop).map_err(fault)
}

fn process(
    context: &LabContext,
    component: &Acquired,
    helm: &Acquired,
    kubeconfig: &Utf8Path,
) -> Result<ProcessSpec, LaunchError> {
    let directory = context.state.data(NAME)?;
    let temporary = context.state.data(&format!("{NAME}/tmp"))?;
    let certificates = place_certificate(context, &temporary.join(WEBHOOK_CERTIFICATES))?;
    let health = context.ports.get(HEALTH)?;
    let webhooks = context.ports.get(WEBHOOKS)?;
    let arguments = vec![
        format!("--kubeconfig={kubeconfig}"),
        "--leader-elect=false".into(),
        // Releases come from the directory, not from a registry.
        "--local".into(),
        format!("--release-dir={}/", release_directory(context)?),
        "--metrics-bind-address=0".into(),
        format!("--webhook-port={webhooks}"),
        format!("--health-probe-bind-address=127.0.0.1:{health}"),
        format!("--hook-port={}", context.ports.get(HOOKS)?),
        format!("--hook-cert-dir={certificates}"),
    ];
    Ok(ProcessSpec {
        name: NAME.to_owned(),
        program: component.program().to_owned(),
        arguments,
        environment: environment(&temporary, helm),
        directory,
        ready: ready(health, webhooks),
        ready_within: READY_WITHIN,
    })
}

/// Its own place for temporary files, since it looks for certificates and leaves charts there; helm and nothing
/// else as a program to call.
fn environment(temporary: &Utf8Path, helm: &Acquired) -> BTreeMap<String, String> {
    let programs = helm.program().parent().unwrap_or_else(|| Utf8Path::new("/"));
    BTreeMap::from([
        ("PATH".to_owned(), programs.to_string()),
        ("HOME".to_owned(), temporary.to_string()),
        ("TMPDIR".to_owned(), temporary.to_string()),
    ])
}

/// Puts the webhook server's certificate where the operator looks for it; the directory.
fn place_certificate(context: &LabContext, directory: &Utf8Path) -> Result<Utf8PathBuf, LaunchError> {
    let server = context
        .authority
        .issue_server(NAME, &[], &[Ipv4Addr::LOCALHOST.into()])?;
    files::create_private_directory(directory).map_err(LaunchError::File)?;
    for (file, text) in [
        ("tls.crt", server.certificate_pem.as_str()),
        ("tls.key", server.key_pem.expose()),
    ] {
        write_private(&directory.join(file), text)?;
    }
    Ok(directory.to_owned())
}

/// The operator says that it is ready before its webhook server listens.
fn ready(health: u16, webhooks: u16) -> ReadinessCheck {
    let controllers = http_ready(format!("http://127.0.0.1:{health}/readyz"), None);
    let webhooks = tcp_ready(SocketAddr::from((Ipv4Addr::LOCALHOST, webhooks)));
    Arc::new(move || {
        let (controllers, webhooks) = (controllers(), webhooks());
        Box::pin(async move {
            controllers.await?;
            webhooks.await
        })
    })
}
