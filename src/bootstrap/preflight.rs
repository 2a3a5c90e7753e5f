//! The stage preflight: every system is asked whether it can do its part, all of them, before anything changes.

use std::error::Error;

use serde::Serialize;

use super::{Bootstrap, StageError};
use crate::causes;
use crate::config::{self, DnsProvider, GitMode, Management};
use crate::kubernetes::{Cluster, KubernetesError};
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::dns::{Rfc2136, TsigAlgorithm, TsigKey};
use crate::surface::git::{Branch, GitError, ObservedBranch, Repository};
use crate::surface::keycloak::Admin;

/// Versions of the API groups that a bring-up needs of the management cluster.
const MANAGEMENT_APIS: [(&str, &str, &str); 2] = [
    (
        "cluster.x-k8s.io",
        "v1beta2",
        "install Cluster API v1.11 or newer on the management cluster",
    ),
    (
        "clusterstack.x-k8s.io",
        "v1alpha1",
        "install the cluster-stack-operator on the management cluster",
    ),
];

/// One named check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked (`management cluster serves cluster.x-k8s.io/v1beta2`).
    pub name: String,
    /// What is wrong; `None` when it passed.
    pub problem: Option<String>,
    /// What to do about it.
    pub remedy: String,
}

/// Connections to the systems that are there before the cluster is.
pub(super) struct Systems {
    pub(super) management: Cluster,
    pub(super) branch: Branch,
    /// What the branch had before this bring-up.
    pub(super) published: ObservedBranch,
    pub(super) zone: Rfc2136,
    pub(super) keycloak: Admin,
}

/// One system: the connection to it where one could be prepared, and how its checks came out.
struct Looked<System> {
    system: Option<System>,
    checks: Vec<Check>,
}

/// Connects to every system and runs all checks.
pub(super) async fn connect(
    bootstrap: &Bootstrap<'_>,
    reporter: &dyn Reporter,
) -> Result<Systems, StageError> {
    let task = Task::start(reporter, "preflight", "can every system do its part?");
    let environment = bootstrap.environment;
    let (management, branch, zone, keycloak) = tokio::join!(
        management(&environment.management),
        branch(bootstrap),
        zone(&environment.dns),
        keycloak(&environment.identity)
    );
    let checks = [
        management.checks,
        branch.checks,
        zone.checks,
        keycloak.checks,
        vec![check_mode(environment.git.mode)],
        environment
            .encryption
            .is_some()
            .then(no_decryption)
            .into_iter()
            .collect(),
    ]
    .concat();
    let (failed, passed): (Vec<Check>, Vec<Check>) =
        checks.into_iter().partition(|check| check.problem.is_some());
    for check in &passed {
        tracing::info!(check = check.name, "passed");
    }
    match (management.system, branch.system, zone.system, keycloak.system) {
        (Some(management), Some((branch, published)), Some(zone), Some(keycloak)) if failed.is_empty() => {
            task.finish(format!("{} checks passed", passed.len()));
            Ok(Systems {
                management,
                branch,
                published,
                zone,
                keycloak,
            })
        }
        _ => Err(StageError::Preflight {
            failed,
            passed: passed.len(),
        }),
    }
}

async fn management(management: &Management<String>) -> Looked<Cluster> {
    let path = management.kubeconfig.as_deref().map(Into::into);
    match Cluster::from_settings(path, Some(&management.context)).await {
        Ok(cluster) => {
            let checks = check_management(&cluster).await;
            Looked::with(cluster, checks)
        }
        Err(error) => Looked::without(Check::failed(
            "management cluster can be asked".to_owned(),
            &error,
            "management.kubeconfig and management.context in environment.yaml say where it is: correct them, or put \
             the kubeconfig there",
        )),
    }
}

async fn check_management(cluster: &Cluster) -> Vec<Check> {
    let mut checks = Vec::new();
    for (group, version, remedy) in MANAGEMENT_APIS {
        let name = format!("management cluster serves {group}/{version}");
        checks.push(match cluster.served_versions(group).await {
            Ok(served) if served.iter().any(|served| served == version) => Check::passed(name),
            Ok(served) if served.is_empty() => {
                Check::refused(name, format!("it does not serve {group}"), remedy)
            }
            Ok(served) => Check::refused(name, format!("it serves only {}", served.join(", ")), remedy),
            Err(error) => {
                // The next question would be answered in the same way.
                let name = "management cluster answers".to_owned();
                return vec![Check::failed(name, &error, remedy_of_request(&error))];
            }
        });
    }
    checks
}

/// What to do about a management cluster that does not answer, or refuses.
const fn remedy_of_request(error: &KubernetesError) -> &'static str {
    if error.is_transient() {
        "start the management cluster or the way to it (VPN, firewall), or correct management.kubeconfig and \
         management.context in environment.yaml"
    } else {
        "use credentials that may ask it: management.kubeconfig and management.context in environment.yaml"
    }
}

async fn branch(bootstrap: &Bootstrap<'_>) -> Looked<(Branch, ObservedBranch)> {
    let name = "repository can be read".to_owned();
    let remedy = "check git.url and its credentials in environment.yaml";
    let git = &bootstrap.environment.git;
    let repository = Repository {
        url: git.url.clone(),
        branch: git.branch.clone(),
        username: git.username.clone().unwrap_or_default(),
        password: git.password.clone().unwrap_or_default(),
    };
    let copies = bootstrap.cache.join("repositories");
    let looked = async {
        let branch = Branch::new(repository, copies.join(bootstrap.environment.name.as_str()))?;
        let published = branch.observe().await?;
        Ok::<_, GitError>((branch, published))
    };
    match looked.await {
        Ok(seen) => Looked::with(seen, vec![Check::passed(name)]),
        Err(error) => Looked::without(Check::failed(name, &error, remedy)),
    }
}

fn check_mode(mode: GitMode) -> Check {
    let name = "changes get onto the branch by pushing".to_owned();
    match mode {
        GitMode::Push => Check::passed(name),
        GitMode::PullRequest => Check::refused(
            name,
            "git.mode is pull-request, which this version does not carry out".to_owned(),
            "set git.mode to push in environment.yaml, or wait for a version that opens pull requests",
        ),
    }
}

fn no_decryption() -> Check {
    Check::refused(
        "Flux can decrypt what is encrypted".to_owned(),
        "secrets.age is declared, and this version does not give Flux the key".to_owned(),
        "remove `secrets` from environment.yaml, or wait for a version that does",
    )
}

async fn zone(dns: &config::Dns<String, Secret>) -> Looked<Rfc2136> {
    let name = "zone takes signed updates".to_owned();
    let remedy = "check dns in environment.yaml and the server's update policy";
    let DnsProvider::Rfc2136(rfc2136) = &dns.provider else {
        return Looked::without(Check::refused(
            "records are written by dynamic updates".to_owned(),
            "dns.designate is declared, which this version does not carry out".to_owned(),
            "declare dns.rfc2136, or wait for a version that talks to OpenStack Designate",
        ));
    };
    let algorithm = match rfc2136.key.algorithm {
        config::TsigAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        config::TsigAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        config::TsigAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    };
    let key = TsigKey {
        name: rfc2136.key.name.clone(),
        algorithm,
        secret: rfc2136.key.secret.clone(),
    };
    match Rfc2136::new(&rfc2136.server, dns.zone.clone(), key) {
        Ok(zone) => {
            let check = Check::of(name, zone.check_writable().await, remedy);
            Looked::with(zone, vec![check])
        }
        Err(error) => Looked::without(Check::failed(name, &error, remedy)),
    }
}

async fn keycloak(identity: &config::Identity<String, Secret>) -> Looked<Admin> {
    let authority = match &identity.certificate_authority {
        None => None,
        Some(path) => match fs_err::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                return Looked::without(Check::failed(
                    "certificate authority of Keycloak can be read".to_owned(),
                    &error,
                    "put the certificate there, or correct identity.certificateAuthority in environment.yaml",
                ));
            }
        },
    };
    let name = "Keycloak's administration answers".to_owned();
    let remedy = "check identity.url and identity.admin in environment.yaml";
    let admin = &identity.admin;
    match Admin::new(
        &identity.url,
        &admin.username,
        admin.password.clone(),
        authority.as_deref(),
    ) {
        Ok(keycloak) => {
            let check = Check::of(name, keycloak.version().await, remedy);
            Looked::with(keycloak, vec![check])
        }
        Err(error) => Looked::without(Check::failed(name, &error, remedy)),
    }
}

impl<System> Looked<System> {
    const fn with(system: System, checks: Vec<Check>) -> Self {
        Self {
            system: Some(system),
            checks,
        }
    }

    fn without(check: Check) -> Self {
        Self {
            system: None,
            checks: vec![check],
        }
    }
}

impl Check {
    const fn passed(name: String) -> Self {
        Self {
            name,
            problem: None,
            remedy: String::new(),
        }
    }

    fn refused(name: String, problem: String, remedy: &str) -> Self {
        Self {
            name,
            problem: Some(problem),
            remedy: remedy.to_owned(),
        }
    }

    fn failed(name: String, error: &(dyn Error + 'static), remedy: &str) -> Self {
        Self::refused(name, causes::in_one_line(error), remedy)
    }

    fn of<T, E: Error + 'static>(name: String, outcome: Result<T, E>, remedy: &str) -> Self {
        match outcome {
            Ok(_) => Self::passed(name),
            Err(error) => Self::failed(name, &error, remedy),
        }
    }
}
