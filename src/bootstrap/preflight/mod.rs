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

use super::{Bootstrap, StageError};
use crate::age::Identity;
use crate::config::{self, DnsProvider};
use crate::kubernetes::Cluster;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::dns::{Rfc2136, TsigAlgorithm, TsigKey};
use crate::surface::git::{Branch, GitError, ObservedBranch, Repository};
use crate::surface::keycloak::Admin;

pub use check::{Check, CheckId, CheckOutcome, Chosen, UnknownCheck};

/// Connections to the systems that are there before the cluster is.
pub(super) struct Systems {
    pub(super) management: Cluster,
    pub(super) branch: Branch,
    /// What the branch had before this bring-up.
    pub(super) published: ObservedBranch,
    pub(super) zone: Rfc2136,
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

/// Connects to every system and runs all checks.
pub(super) async fn connect(
    bootstrap: &Bootstrap<'_>,
    reporter: &dyn Reporter,
) -> Result<Systems, StageError> {
    let task = Task::start(reporter, "preflight", "can every system do its part?");
    let (systems, checks) = Box::pin(look(bootstrap)).await;
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
    let (_, checks) = Box::pin(look(bootstrap)).await;
    task.finish("every system was asked");
    checks
}

/// The connections, where all could be prepared, and the outcome of every check that is chosen.
async fn look(bootstrap: &Bootstrap<'_>) -> (Option<Systems>, Vec<Check>) {
    let environment = bootstrap.environment;
    let (management, branch, zone, keycloak) = tokio::join!(
        management::look(bootstrap),
        branch(bootstrap),
        zone(&environment.dns),
        keycloak::look(&environment.identity)
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

async fn zone(dns: &config::Dns<String, Secret>) -> Looked<Rfc2136> {
    let id = CheckId::ZoneWritable;
    let remedy = "check dns in environment.yaml and the server's update policy";
    let DnsProvider::Rfc2136(rfc2136) = &dns.provider else {
        return Looked::without(Check::failed(
            id,
            "dns.designate is declared, which this version does not carry out",
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
            let check = match zone.check_writable().await {
                Ok(()) => Check::passed(id),
                Err(error) => Check::by_stage(id, error, remedy),
            };
            Looked::with(zone, vec![check])
        }
        Err(error) => Looked::without(Check::by_error(id, &error, remedy)),
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
