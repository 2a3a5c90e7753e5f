//! The command lines of a control plane's processes.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::identity::Identity;
use crate::lab::LabContext;
use crate::lab::component::Acquired;
use crate::lab::launch::LaunchError;
use crate::lab::launch::etcd::Etcd;
use crate::lab::process::{ProcessSpec, READY_WITHIN, ReadinessCheck, http_ready};

/// The Services of every control plane; they never meet, since nothing routes them.
const SERVICE_RANGE: &str = "10.96.0.0/16";
/// First address of [`SERVICE_RANGE`], which the Service `default/kubernetes` gets.
pub(super) const SERVICE_ADDRESS: &str = "10.96.0.1";
/// The only client that may speak for others through the aggregation layer. No such certificate is issued, but
/// kube-apiserver refuses to share its client authority with that layer without a name.
const FRONT_PROXY: &str = "front-proxy";
/// Who issues service account tokens.
const SERVICE_ACCOUNT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Nodes need no addresses, and the cloud's controllers no cloud.
const CONTROLLERS: &str = "--controllers=*,-nodeipam,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller";

pub(super) fn apiserver_name(control_plane: &str) -> String {
    format!("{control_plane}/kube-apiserver")
}

fn controller_manager_name(control_plane: &str) -> String {
    format!("{control_plane}/kube-controller-manager")
}

fn scheduler_name(control_plane: &str) -> String {
    format!("{control_plane}/kube-scheduler")
}

fn kwok_name(control_plane: &str) -> String {
    format!("{control_plane}/kwok")
}

/// The processes of a control plane, kube-apiserver last. Their ports have the same names.
pub(super) fn names_last_started_first(control_plane: &str) -> [String; 4] {
    [
        kwok_name(control_plane),
        scheduler_name(control_plane),
        controller_manager_name(control_plane),
        apiserver_name(control_plane),
    ]
}

/// Where a control plane keeps its objects in etcd. Names are made of RFC 1123 labels and slashes, so that with
/// the slashes as dots no prefix begins with another one and its slash.
pub(super) fn etcd_prefix(control_plane: &str) -> String {
    format!("/registry/{}", control_plane.replace('/', "."))
}

/// What the processes of one control plane share.
pub(super) struct Processes<'a> {
    name: &'a str,
    identity: &'a Identity,
    etcd: Etcd,
    controller_manager_port: u16,
    scheduler_port: u16,
    kwok_port: u16,
}

impl<'a> Processes<'a> {
    pub(super) fn prepare(
        context: &LabContext,
        name: &'a str,
        identity: &'a Identity,
    ) -> Result<Self, LaunchError> {
        Ok(Self {
            name,
            identity,
            etcd: Etcd::of(context)?,
            controller_manager_port: context.ports.get(&controller_manager_name(name))?,
            scheduler_port: context.ports.get(&scheduler_name(name))?,
            kwok_port: context.ports.get(&kwok_name(name))?,
        })
    }

    /// Those that only nodes need.
    pub(super) fn names_for_nodes(&self) -> [String; 2] {
        [kwok_name(self.name), scheduler_name(self.name)]
    }

    pub(super) fn apiserver(&self, component: &Acquired) -> ProcessSpec {
        let identity = self.identity;
        let etcd = &self.etcd;
        let arguments = vec![
            format!("--etcd-servers={}", etcd.url),
            format!("--etcd-cafile={}", etcd.ca_file),
            format!("--etcd-certfile={}", etcd.client.certificate_path),
            format!("--etcd-keyfile={}", etcd.client.key_path),
            format!("--etcd-prefix={}", etcd_prefix(self.name)),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", identity.port),
            "--endpoint-reconciler-type=none".into(),
            format!("--tls-cert-file={}", identity.serving.certificate_path),
            format!("--tls-private-key-file={}", identity.serving.key_path),
            format!("--client-ca-file={}", identity.ca_file),
            format!("--requestheader-client-ca-file={}", identity.ca_file),
            format!("--requestheader-allowed-names={FRONT_PROXY}"),
            "--requestheader-username-headers=X-Remote-User".into(),
            "--requestheader-group-headers=X-Remote-Group".into(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
            "--authorization-mode=Node,RBAC".into(),
            format!("--authentication-config={}", identity.authentication_file()),
            format!("--service-account-issuer={SERVICE_ACCOUNT_ISSUER}"),
            format!(
                "--service-account-key-file={}",
                identity.service_account.public_path
            ),
            format!(
                "--service-account-signing-key-file={}",
                identity.service_account.private_path
            ),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            "--allow-privileged".into(),
            // Without it, a watch that a controller has open keeps the server from ending for a minute.
            "--shutdown-watch-termination-grace-period=1s".into(),
            "--profiling=false".into(),
        ];
        let ready = http_ready(
            format!("{}/readyz", identity.server),
            Some(identity.ca_pem.clone()),
        );
        self.process(apiserver_name(self.name), component.program(), arguments, ready)
    }

    pub(super) fn controller_manager(&self, component: &Acquired) -> ProcessSpec {
        let identity = self.identity;
        let mut arguments = vec![
            format!("--kubeconfig={}", identity.controller_manager_kubeconfig),
            format!(
                "--service-account-private-key-file={}",
                identity.service_account.private_path
            ),
            format!("--root-ca-file={}", identity.ca_file),
            format!("--cluster-signing-cert-file={}", identity.ca_file),
            format!("--cluster-signing-key-file={}", identity.ca_key_file),
            "--use-service-account-credentials".into(),
            // A busy machine must not make its own nodes fail: nothing would make their pods ready again.
            "--node-monitor-grace-period=1h".into(),
            CONTROLLERS.into(),
        ];
        arguments.extend(self.serving(self.controller_manager_port));
        let ready = self.ready_at(self.controller_manager_port, "healthz");
        self.process(
            controller_manager_name(self.name),
            component.program(),
            arguments,
            ready,
        )
    }

    pub(super) fn scheduler(&self, component: &Acquired) -> ProcessSpec {
        let mut arguments = vec![format!("--kubeconfig={}", self.identity.scheduler_kubeconfig)];
        arguments.extend(self.serving(self.scheduler_port));
        let ready = self.ready_at(self.scheduler_port, "readyz");
        self.process(scheduler_name(self.name), component.program(), arguments, ready)
    }

    pub(super) fn kwok(&self, component: &Acquired) -> ProcessSpec {
        let arguments = vec![
            format!("--kubeconfig={}", self.identity.kubeconfig_path),
            format!("--config={}", component.share("stages.yaml")),
            "--manage-all-nodes=true".into(),
            "--node-lease-duration-seconds=40".into(),
            format!("--server-address=127.0.0.1:{}", self.kwok_port),
        ];
        let ready = http_ready(format!("http://127.0.0.1:{}/readyz", self.kwok_port), None);
        self.process(kwok_name(self.name), component.program(), arguments, ready)
    }

    /// The flags controller-manager and scheduler share.
    fn serving(&self, port: u16) -> [String; 6] {
        [
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", self.identity.serving.certificate_path),
            format!("--tls-private-key-file={}", self.identity.serving.key_path),
            "--leader-elect=false".into(),
            "--profiling=false".into(),
        ]
    }

    fn ready_at(&self, port: u16, path: &str) -> ReadinessCheck {
        http_ready(
            format!("https://127.0.0.1:{port}/{path}"),
            Some(self.identity.ca_pem.clone()),
        )
    }

    fn process(
        &self,
        name: String,
        program: &Utf8Path,
        arguments: Vec<String>,
        ready: ReadinessCheck,
    ) -> ProcessSpec {
        ProcessSpec {
            name,
            program: program.to_owned(),
            arguments,
            environment: BTreeMap::new(),
            directory: self.identity.directory.clone(),
            ready,
            ready_within: READY_WITHIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_etcd_prefixes_of_control_planes_do_not_overlap() {
        let prefixes = ["moin", "moin/pods", "prod", "prod/prod", "prod/prod-2"].map(etcd_prefix);
        for one in &prefixes {
            for other in &prefixes {
                assert!(
                    one == other || !one.starts_with(&format!("{other}/")),
                    "{one} is below {other}"
                );
            }
        }
    }
}
