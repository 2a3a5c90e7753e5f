//! The stage preflight: every system is asked whether it can do its part, all of them, before anything changes.

mod check;
mod cloud;
#[cfg(test)]
mod cloud_tests;
mod credentials;
mod decryption;
mod issuers;
mod keycloak;
mod management;
mod repository;
mod versions;

use super::{Bootstrap, Scope, StageError, Surface};
use crate::age::Identity;
use crate::causes;
use crate::config::{self, DnsProvider};
use crate::kubernetes::Cluster;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::dns::{Designate, DnsError, Rfc2136, TsigAlgorithm, TsigKey, Zone};
use crate::surface::git::{Branch, GitError, ObservedBranch, Repository};
use crate::surface::keycloak::Admin;
use crate::surface::openstack;

pub use check::{Check, CheckId, CheckOutcome, Chosen, UnknownCheck};

/// Connections to the systems that are there before the cluster is.
pub(super) struct Systems {
    pub(super) management: Cluster,
    pub(super) branch: Branch,
    /// What the branch had before this bring-up.
    pub(super) published: ObservedBranch,
    pub(super) zone: Zone,
    pub(super) keycloak: Admin,
    /// The service account that is declared in place of an administrator.
    pub(super) accounts: Option<Accounts>,
    /// Opens what is encrypted in Git, where something may be.
    pub(super) identity: Option<Identity>,
}

/// A service account, and the administrator who looks after it.
pub(super) struct Accounts {
    pub(super) service: Admin,
    /// Not needed once the account is as declared, and not there most of the time.
    pub(super) administrator: Option<Admin>,
}

/// One system: the connection to it where one could be prepared, and how its checks came out.
struct Looked<System> {
    system: Option<System>,
    checks: Vec<Check>,
}

/// Connects to every system and runs the checks of those that `scope` has something in.
pub(super) async fn connect(
    bootstrap: &Bootstrap<'_>,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<Systems, StageError> {
    let task = Task::start(reporter, "preflight", "can every system do its part?");
    let (systems, mut checks) = Box::pin(look(bootstrap, scope)).await;
    if !scope.touches(Surface::Dns) {
        checks.retain(|check| check.id != CheckId::ZoneWritable);
    }
    let (failed, others): (Vec<Check>, Vec<Check>) = checks.into_iter().partition(Check::has_failed);
    for check in &others {
        tracing::info!(check = check.id.as_str(), outcome = ?check.outcome, "did not fail");
    }
    let passed = others
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Passed)
        .count();
    match systems {
        Some(systems) if failed.is_empty() => {
            task.finish(format!("{passed} checks passed"));
            Ok(systems)
        }
        _ => Err(StageError::Preflight { failed, passed }),
    }
}

/// Runs the checks that are chosen, and tells how each came out. Changes nothing.
pub async fn preflight(bootstrap: &Bootstrap<'_>, reporter: &dyn Reporter) -> Vec<Check> {
    let task = Task::start(reporter, "preflight", "can every system do its part?");
    let (_, checks) = Box::pin(look(bootstrap, &Scope::default())).await;
    task.finish("every system was asked");
    checks
}

/// The connections, where all could be prepared, and the outcome of every check that is chosen.
async fn look(bootstrap: &Bootstrap<'_>, scope: &Scope) -> (Option<Systems>, Vec<Check>) {
    let environment = bootstrap.environment;
    let (management, branch, zone, keycloak) = tokio::join!(
        management::look(bootstrap),
        branch(bootstrap),
        zone(bootstrap),
        keycloak::look(&environment.identity, scope.needs_keycloak())
    );
    let mut checks = [management.checks, branch.checks, zone.checks, keycloak.checks].concat();
    checks.push(versions::flux_range(environment));
    checks.push(versions::policy(environment, bootstrap.today));
    let (identity, decryption) = decryption::look(environment, management.system.as_ref()).await;
    checks.extend(decryption);
    checks.extend(issuers::look(bootstrap).await);
    checks.retain(|check| bootstrap.checks.has(check.id));
    checks.sort_by_key(|check| check.id);
    let systems = match (management.system, branch.system, zone.system, keycloak.system) {
        (Some(management), Some((branch, published)), Some(zone), Some((keycloak, accounts))) => {
            Some(Systems {
                management,
                branch,
                published,
                zone,
                keycloak,
                accounts,
                identity,
            })
        }
        _ => None,
    };
    (systems, checks)
}

async fn branch(bootstrap: &Bootstrap<'_>) -> Looked<(Branch, ObservedBranch)> {
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
        Ok((branch, published)) => {
            let mut checks = vec![Check::passed(CheckId::RepositoryReadable)];
            checks.extend(repository::checks(&branch, &published, git).await);
            let copy = copies.join(format!("{}-reader", bootstrap.environment.name));
            checks.extend(repository::reader(&branch, git, copy).await);
            Looked::with((branch, published), checks)
        }
        Err(error) => Looked::without(Check::by_stage(
            CheckId::RepositoryReadable,
            error,
            "check git.url and its credentials in environment.yaml",
        )),
    }
}

async fn zone(bootstrap: &Bootstrap<'_>) -> Looked<Zone> {
    let id = CheckId::ZoneWritable;
    let dns = &bootstrap.environment.dns;
    let (zone, remedy) = match &dns.provider {
        DnsProvider::Rfc2136(rfc2136) => (
            of_name_server(dns, rfc2136).map_err(|error| causes::in_one_line(&error)),
            "check dns in environment.yaml and the server's update policy",
        ),
        DnsProvider::Designate { cloud } => (
            of_cloud(bootstrap, cloud),
            "check dns in environment.yaml and the cloud's entry in clouds.yaml",
        ),
    };
    match zone {
        Ok(zone) => {
            let check = match zone.check_writable().await {
                Ok(()) => Check::passed(id),
                Err(error) => Check::by_stage(id, error, remedy),
            };
            Looked::with(zone, vec![check])
        }
        Err(problem) => Looked::without(Check::failed(id, problem, remedy)),
    }
}

fn of_name_server(
    dns: &config::Dns<String, Secret>,
    rfc2136: &config::Rfc2136<String, Secret>,
) -> Result<Zone, DnsError> {
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
    let zone = Rfc2136::new(&rfc2136.server, dns.zone.clone(), key)?;
    Ok(Zone::Rfc2136(Box::new(
        zone.with_name_servers(dns.name_servers.clone()),
    )))
}

/// The zone at the cloud `name` of `clouds.yaml`, or why there is no way to it.
fn of_cloud(bootstrap: &Bootstrap<'_>, name: &str) -> Result<Zone, String> {
    let text = bootstrap.clouds.as_ref().ok_or(
        "there is no clouds.yaml (OS_CLIENT_CONFIG_FILE names one, or it is in ~/.config/openstack or /etc/openstack), and OS_AUTH_URL is \
         not set",
    )?;
    let cloud = openstack::cloud(text.expose(), name).map_err(|fault| fault.to_string())?;
    let dns = &bootstrap.environment.dns;
    let zone = Designate::new(cloud, name, dns.zone.clone());
    let zone = zone.map_err(|error| causes::in_one_line(&error))?;
    Ok(Zone::Designate(Box::new(
        zone.with_name_servers(dns.name_servers.clone()),
    )))
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
