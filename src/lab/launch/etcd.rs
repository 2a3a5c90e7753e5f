//! The one etcd of a lab: every control plane keeps its objects below a prefix of its own.
//!
//! Only clients with a certificate of the lab get in, because whatever Kubernetes keeps secret is in here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8PathBuf;
use serde_json::json;

use super::{LaunchError, acquire};
use crate::lab::LabContext;
use crate::lab::component::{Acquired, Component};
use crate::lab::pki::Issued;
use crate::lab::process::{ProcessSpec, READY_WITHIN, ReadinessCheck};
use crate::secret::Secret;

/// How long one request may take: deleting a control plane's prefix is one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const NAME: &str = "etcd";
const PEER: &str = "etcd-peer";
/// Revisions older than this are dropped, so that the store does not grow with a lab's age.
const HISTORY: &str = "10m";

/// How to reach the lab's etcd. It need not run yet.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Etcd {
    /// `https://127.0.0.1:PORT`.
    pub(in crate::lab) url: String,
    /// What its certificate is checked against.
    pub(in crate::lab) ca_file: Utf8PathBuf,
    ca_pem: String,
    /// The certificate clients show.
    pub(in crate::lab) client: Issued,
}

impl Etcd {
    /// The etcd of this lab.
    pub(in crate::lab) fn of(context: &LabContext) -> Result<Self, LaunchError> {
        let client = context
            .authority
            .issue_client("etcd-client", "etcd-client", None)?;
        Ok(Self {
            url: format!("https://127.0.0.1:{}", context.ports.get(NAME)?),
            ca_file: context.authority.certificate_path(),
            ca_pem: context.authority.certificate_pem().to_owned(),
            client,
        })
    }

    /// Deletes every key below `prefix` (`/registry/moin`).
    pub(in crate::lab) async fn delete_prefix(&self, prefix: &str) -> Result<(), LaunchError> {
        // `0` follows `/`: the range ends before the first key that does not begin with the prefix and a slash.
        let range = json!({
            "key": STANDARD.encode(format!("{prefix}/")),
            "range_end": STANDARD.encode(format!("{prefix}0")),
        });
        let fault = |reason: String| LaunchError::Etcd {
            action: format!("deleting {prefix}"),
            reason,
        };
        let answer = self
            .client()
            .map_err(fault)?
            .post(format!("{}/v3/kv/deleterange", self.url))
            .json(&range)
            .send()
            .await
            .map_err(|error| fault(error.to_string()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let status = answer.status();
        Err(fault(format!(
            "{status}: {}",
            answer.text().await.unwrap_or_default()
        )))
    }

    /// Ready when etcd has a leader and can write.
    fn ready(&self) -> ReadinessCheck {
        let client = self.client();
        let url = format!("{}/health", self.url);
        Arc::new(move || {
            let (client, url) = (client.clone(), url.clone());
            Box::pin(async move {
                let answer = client?.get(url).send().await.map_err(|error| error.to_string())?;
                answer
                    .error_for_status()
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
        })
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let identity = Secret::new(format!(
            "{}{}",
            self.client.certificate_pem,
            self.client.key_pem.expose()
        ));
        let build = || {
            crate::proxy::client()
                .timeout(REQUEST_TIMEOUT)
                .no_proxy()
                .tls_certs_only([reqwest::Certificate::from_pem(self.ca_pem.as_bytes())?])
                .identity(reqwest::Identity::from_pem(identity.expose().as_bytes())?)
                .build()
        };
        build().map_err(|error| error.to_string())
    }
}

/// Starts etcd and returns when it answers.
pub(super) async fn start(context: &LabContext) -> Result<(), LaunchError> {
    let component = acquire(context, Component::Etcd).await?;
    Ok(context.supervisor.start(process(context, &component)?).await?)
}

fn process(context: &LabContext, component: &Acquired) -> Result<ProcessSpec, LaunchError> {
    let etcd = Etcd::of(context)?;
    let server = context
        .authority
        .issue_server(NAME, &[], &[Ipv4Addr::LOCALHOST.into()])?;
    let peer_url = format!("https://127.0.0.1:{}", context.ports.get(PEER)?);
    let directory = context.state.data(NAME)?;
    let arguments = vec![
        "--name=lab".into(),
        format!("--data-dir={directory}"),
        format!("--listen-client-urls={}", etcd.url),
        format!("--advertise-client-urls={}", etcd.url),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=lab={peer_url}"),
        format!("--cert-file={}", server.certificate_path),
        format!("--key-file={}", server.key_path),
        "--client-cert-auth".into(),
        format!("--trusted-ca-file={}", etcd.ca_file),
        format!("--peer-cert-file={}", server.certificate_path),
        format!("--peer-key-file={}", server.key_path),
        "--peer-client-cert-auth".into(),
        format!("--peer-trusted-ca-file={}", etcd.ca_file),
        // Its own HTTP gateway is a client of it too.
        format!("--client-cert-file={}", etcd.client.certificate_path),
        format!("--client-key-file={}", etcd.client.key_path),
        "--auto-compaction-mode=periodic".into(),
        format!("--auto-compaction-retention={HISTORY}"),
        // A lab that loses power is made anew; waiting for the disk at each write would double its start.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ];
    Ok(ProcessSpec {
        name: NAME.to_owned(),
        program: component.program().to_owned(),
        arguments,
        environment: BTreeMap::new(),
        directory,
        ready: etcd.ready(),
        ready_within: READY_WITHIN,
    })
}
