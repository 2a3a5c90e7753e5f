//! Who is who in one control plane: its certificate authority, certificates, keys and kubeconfigs, as files.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use camino::Utf8PathBuf;

use super::ControlPlaneSpec;
use super::processes::{SERVICE_ADDRESS, apiserver_name};
use crate::lab::LabContext;
use crate::lab::launch::{LaunchError, write_private};
use crate::lab::pki::{CertificateAuthority, Issued, ServiceAccountKeys, kubeconfig};
use crate::lab::state::StateDirectory;
use crate::secret::Secret;

/// Where control planes keep what is theirs, below the lab's data.
const DIRECTORY: &str = "control-plane";
/// The group that may do everything.
const ADMINISTRATORS: &str = "system:masters";
/// Names every API server has inside its cluster.
const INNER_NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Everything of one control plane that is written before its first process starts.
pub(super) struct Identity {
    pub(super) directory: Utf8PathBuf,
    pub(super) port: u16,
    /// `https://127.0.0.1:PORT`.
    pub(super) server: String,
    pub(super) ca_pem: String,
    pub(super) ca_file: Utf8PathBuf,
    pub(super) ca_key_file: Utf8PathBuf,
    pub(super) serving: Issued,
    pub(super) service_account: ServiceAccountKeys,
    /// The administrator's kubeconfig.
    pub(super) kubeconfig: Secret,
    pub(super) kubeconfig_path: Utf8PathBuf,
    pub(super) controller_manager_kubeconfig: Utf8PathBuf,
    pub(super) scheduler_kubeconfig: Utf8PathBuf,
}

impl Identity {
    /// Reads it, and makes what is missing or no longer fits.
    pub(super) fn ensure(context: &LabContext, spec: &ControlPlaneSpec) -> Result<Self, LaunchError> {
        let directory = directory(context, &spec.name)?;
        let authority = CertificateAuthority::open(&directory.join("pki"))?;
        let port = context.ports.get(&apiserver_name(&spec.name))?;
        let server = format!("https://127.0.0.1:{port}");
        let users = Users {
            authority: &authority,
            directory: &directory,
            server: &server,
            cluster: spec.name.rsplit('/').next().unwrap_or(&spec.name),
        };
        let (kubeconfig_path, kubeconfig) = users.kubeconfig("admin", "lotse", Some(ADMINISTRATORS))?;
        let (controller_manager_kubeconfig, _) =
            users.kubeconfig("controller-manager", "system:kube-controller-manager", None)?;
        let (scheduler_kubeconfig, _) = users.kubeconfig("scheduler", "system:kube-scheduler", None)?;
        Ok(Self {
            port,
            ca_pem: authority.certificate_pem().to_owned(),
            ca_file: authority.certificate_path(),
            ca_key_file: authority.key_path(),
            serving: issue_serving(&authority, &spec.cert_sans)?,
            service_account: authority.service_account_keys("service-account")?,
            kubeconfig,
            kubeconfig_path,
            controller_manager_kubeconfig,
            scheduler_kubeconfig,
            server,
            directory,
        })
    }

    /// Which logins the API server accepts.
    pub(super) fn authentication_file(&self) -> Utf8PathBuf {
        self.directory.join("authentication.yaml")
    }
}

/// Forgets the keys and files of the control plane `name`.
pub(super) fn remove(context: &LabContext, name: &str) -> Result<(), LaunchError> {
    fs_err::remove_dir_all(directory(context, name)?).map_err(LaunchError::File)
}

fn directory(context: &LabContext, name: &str) -> Result<Utf8PathBuf, LaunchError> {
    Ok(context
        .state
        .data(&format!("{DIRECTORY}/{}", name.replace('/', ".")))?)
}

/// Kubeconfigs of administrators by control plane.
pub(super) fn kubeconfigs(state: &StateDirectory) -> BTreeMap<String, Utf8PathBuf> {
    let root = state.root().join("data").join(DIRECTORY);
    let Ok(entries) = root.read_dir_utf8() else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .map(|entry| {
            (
                entry.file_name().replace('.', "/"),
                entry.path().join("admin.kubeconfig"),
            )
        })
        .filter(|(_, path)| path.is_file())
        .collect()
}

fn issue_serving(authority: &CertificateAuthority, cert_sans: &[String]) -> Result<Issued, LaunchError> {
    let (addresses, hosts) = subject_alternative_names(cert_sans);
    Ok(authority.issue_server("kube-apiserver", &hosts, &addresses)?)
}

/// Addresses and host names, each once: the API server's own, then those asked for.
fn subject_alternative_names(asked: &[String]) -> (Vec<IpAddr>, Vec<String>) {
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
    addresses.extend(SERVICE_ADDRESS.parse::<IpAddr>());
    let mut hosts: Vec<String> = INNER_NAMES.map(str::to_owned).to_vec();
    for name in asked {
        match name.parse::<IpAddr>() {
            Ok(address) if !addresses.contains(&address) => addresses.push(address),
            Err(_) if !hosts.contains(name) => hosts.push(name.clone()),
            _ => {}
        }
    }
    (addresses, hosts)
}

/// Users of the API server that show a certificate.
struct Users<'a> {
    authority: &'a CertificateAuthority,
    directory: &'a Utf8PathBuf,
    server: &'a str,
    /// What the kubeconfigs call the cluster.
    cluster: &'a str,
}

impl Users<'_> {
    /// A kubeconfig for the user `common_name` in `group`, and its file, called `name`.
    fn kubeconfig(
        &self,
        name: &str,
        common_name: &str,
        group: Option<&str>,
    ) -> Result<(Utf8PathBuf, Secret), LaunchError> {
        let client = self.authority.issue_client(name, common_name, group)?;
        let text = kubeconfig(
            self.cluster,
            self.server,
            self.authority.certificate_pem(),
            &client,
        )?;
        let path = self.directory.join(format!("{name}.kubeconfig"));
        write_private(&path, text.expose())?;
        Ok((path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_names_and_addresses_are_told_apart_and_taken_once() {
        let asked = ["api.prod.lab.test", "127.0.0.1", "10.0.0.7", "localhost"].map(str::to_owned);
        let (addresses, hosts) = subject_alternative_names(&asked);
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1", SERVICE_ADDRESS, "10.0.0.7"]);
        assert_eq!(hosts.last().unwrap(), "api.prod.lab.test");
        assert_eq!(hosts.len(), INNER_NAMES.len() + 1);
    }
}
