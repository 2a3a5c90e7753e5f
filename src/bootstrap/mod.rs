//! The ordered stages of a bring-up, from declarations to a cluster that is proved to work.
//!
//! Every stage can be repeated: it looks first, changes only what differs, and waits until what it made is
//! there. What was done is read from the systems themselves, so a bring-up that was killed goes on when it is
//! started again, from any computer. Nothing here knows whether it talks to a lab.

pub mod access;
mod cluster;
mod drift;
mod error;
mod flux;
mod identity;
mod limits;
mod names;
mod plan;
mod preflight;
mod proof;
mod repository;
mod rotation;
mod runbooks;
mod scope;
mod undeclared;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use camino::Utf8PathBuf;
use futures::future::BoxFuture;
use jiff::civil::Date;

use error::CONFLICT_REMEDY;
pub use error::{BootstrapError, Stage, StageError};
pub use identity::{Restoration, restoration};
pub use limits::{Limits, NotALimit, STAGE_LIMIT, StageLimit};
pub use plan::{API_VERSION as PLAN_API_VERSION, KIND as PLAN_KIND};
pub use plan::{
    EnvironmentPlan, KnownAfter, Moved, PlannedChange, Surface, SurfacePlan, UnknownSurface, plan,
};
pub use preflight::{Check, CheckId, CheckOutcome, Chosen, UnknownCheck, preflight};
pub use rotation::{Rotated, client_credentials, in_words, rotate};
pub use scope::Scope;

use crate::config::{Declarations, ResolvedEnvironment};
use crate::desired::Desired;
use crate::desired::cluster::Authorities;
use crate::kubernetes::Wait;
use crate::names::Login;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::dns::Adoption;
use crate::surface::git::DesiredFiles;
use crate::surface::keycloak::Prune;
use crate::surface::workload::FluxRelease;
use preflight::Systems;

/// Logs people in without their doing, where the environment has the means for it.
pub trait PersonLogin: Send + Sync {
    /// Gets an identity token of `person` for the public client `kubectl`. The error says which page or answer
    /// came instead.
    fn token<'a>(&'a self, issuer: &'a str, person: &'a Login) -> BoxFuture<'a, Result<Secret, String>>;
}

/// Everything a bring-up needs to know.
pub struct Bootstrap<'a> {
    /// The declarations.
    pub declarations: &'a Declarations,
    /// The environment with all its settings.
    pub environment: &'a ResolvedEnvironment,
    /// What should be.
    pub desired: &'a Desired<'a>,
    /// Files that go to the platform's repository, without Flux's components.
    pub files: DesiredFiles,
    /// Directories and files of the repository that are ours.
    pub owned: Vec<String>,
    /// Flux's install manifests.
    pub flux: FluxRelease,
    /// Where local copies of repositories are kept.
    pub cache: Utf8PathBuf,
    /// The day that decides about expired grants.
    pub today: Date,
    /// How to log people in for the proof; `None` leaves the proof to them.
    pub login: Option<&'a dyn PersonLogin>,
    /// Who brings it up, and where: a place where only one bring-up of the environment runs at a time.
    pub who: String,
    /// Which checks count before anything is changed.
    pub checks: Chosen,
    /// PEM of the authorities of issuers' certificates, where they aren't public ones.
    pub authorities: Authorities,
    /// `clouds.yaml`, where there is one: the zone may be at one of its clouds.
    pub clouds: Option<Secret>,
    /// What is done with objects of the realm that are ours and no longer declared; they stay without it.
    pub pruning: Option<Pruning>,
    /// Whether records of the zone that are there without a mark are taken over.
    pub adoption: Adoption,
    /// Whether fields that other programs have set are taken over from them.
    pub force_conflicts: bool,
    /// How long each stage may take.
    pub limits: Limits,
}

/// Objects of the realm that are ours and no longer declared are deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// At most so many; a plan with more is refused as a whole.
    pub limit: usize,
    /// Where they are kept before: a file that `lotse identity restore` reads.
    pub backup: Utf8PathBuf,
}

impl Bootstrap<'_> {
    const fn prune(&self) -> Prune {
        match self.pruning {
            Some(_) => Prune::Delete,
            None => Prune::Keep,
        }
    }

    /// A wait of `stage` for `what`.
    fn wait<'task>(&'task self, stage: Stage, what: &str, task: &'task Task<'task>) -> Wait<'task> {
        Wait {
            what: what.to_owned(),
            limit: self.limits.of_stage(stage),
            task,
            runbooks: self,
        }
    }
}

/// What a bring-up came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The commit that Flux reconciles, abbreviated.
    pub commit: String,
    /// How many things were changed in each stage that changed something.
    pub changes: BTreeMap<Stage, usize>,
    /// Issuer of the tokens that the cluster accepts.
    pub issuer: String,
    /// What is left to do by hand, one sentence each.
    pub left: Vec<String>,
}

impl Outcome {
    /// Whether everything was as desired already.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Carries the bring-up out.
///
/// 1. preflight: every system is asked whether it can do its part; nothing is changed
/// 2. stack and cluster on the management cluster; logins, the realm, beside them (docs/decisions/0005)
/// 3. git: the rendered tree on the branch that Flux follows
/// 4. flux: installed, and Ready at that commit; secrets, those of clients into their namespaces, beside it
/// 5. dns: the wildcard record at the gateway's address, seen at every name server
/// 6. proof: what a member's token may and may not do
///
/// Of all this, only what is in `scope`.
///
/// # Errors
/// Says which stage failed, which were done by then, and what the system said. The same call goes on from there.
pub async fn run(
    bootstrap: &Bootstrap<'_>,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<Outcome, BootstrapError> {
    let progress = Progress::default();
    let outcome = Box::pin(alone(bootstrap, scope, (reporter, &progress))).await;
    outcome.map_err(|(stage, source)| BootstrapError {
        stage,
        done: progress.stages(),
        changes: progress.changes().values().sum(),
        source: Box::new(source),
    })
}

/// A stage, and why it failed.
type Fault = (Stage, StageError);

/// Carries the stages out while nobody else does, on whatever computer.
async fn alone(
    bootstrap: &Bootstrap<'_>,
    scope: &Scope,
    (reporter, progress): (&dyn Reporter, &Progress),
) -> Result<Outcome, Fault> {
    let preflight = preflight::connect(bootstrap, scope, reporter);
    let systems = progress.of(Stage::Preflight, preflight, |_| 0).await?;
    let turn = cluster::take_turn(bootstrap, &systems, reporter).await;
    let turn = turn.map_err(|error| (Stage::Stack, error))?;
    let work = async {
        if scope.is_everything() {
            Box::pin(stages(bootstrap, &systems, reporter, progress)).await
        } else {
            Box::pin(some_stages(bootstrap, &systems, (scope, reporter), progress)).await
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = turn.lost() => Err((Stage::Cluster, StageError::TurnLost)),
    };
    turn.give_back().await;
    outcome
}

async fn stages(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    reporter: &dyn Reporter,
    progress: &Progress,
) -> Result<Outcome, Fault> {
    let cluster = async {
        let stack = cluster::provide_stack(bootstrap, systems, reporter);
        let stack = progress.of(Stage::Stack, stack, |stack| stack.changes).await?;
        let cluster = cluster::bring_up(bootstrap, systems, stack, reporter);
        progress
            .of(Stage::Cluster, cluster, |workload| workload.changes)
            .await
    };
    let everything = Scope::default();
    let logins = identity::set_up(bootstrap, systems, &everything, reporter);
    let (workload, _) = tokio::try_join!(cluster, progress.of(Stage::Logins, logins, |changes| *changes))?;

    let published = repository::publish(bootstrap, systems, &everything, reporter);
    let published = progress
        .of(Stage::Git, published, |published| published.files)
        .await?;

    // Flux is Ready only when applications have started, and those with a login start only with their secret.
    let flux = flux::hand_over(bootstrap, (systems, &workload), &published, reporter);
    let secrets = identity::carry_secrets(bootstrap, systems, &workload, &everything, reporter);
    tokio::try_join!(
        progress.of(Stage::Flux, flux, |changes| *changes),
        progress.of(Stage::Secrets, secrets, |changes| *changes),
    )?;

    let names = names::point(bootstrap, systems, &workload, reporter);
    progress.of(Stage::Dns, names, |changes| *changes).await?;
    let proof = proof::prove(bootstrap, &workload, reporter);
    let mut left = progress.of(Stage::Proof, proof, |_| 0).await?;
    left.extend(proof::refused_issuers(bootstrap, &workload).await);
    let undeclared = undeclared::left(bootstrap, systems, &workload).await;
    left.extend(undeclared.map_err(|error| (Stage::Proof, error.into()))?);

    Ok(Outcome {
        commit: published.commit.short(),
        changes: progress.changes(),
        issuer: bootstrap.environment.identity.issuer(),
        left,
    })
}

/// The stages that change what is in `scope`, and no other.
async fn some_stages(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    (scope, reporter): (&Scope, &dyn Reporter),
    progress: &Progress,
) -> Result<Outcome, Fault> {
    let has_apps = !scope.apps.is_empty();
    let has = |surface| scope.has(surface);
    let made = if has(Surface::Management) {
        let stack = cluster::provide_stack(bootstrap, systems, reporter);
        let stack = progress.of(Stage::Stack, stack, |stack| stack.changes).await?;
        let cluster = cluster::bring_up(bootstrap, systems, stack, reporter);
        let workload = progress.of(Stage::Cluster, cluster, |workload| workload.changes);
        Some(workload.await?)
    } else {
        None
    };
    if has(Surface::Keycloak) || has_apps {
        let logins = identity::set_up(bootstrap, systems, scope, reporter);
        progress.of(Stage::Logins, logins, |changes| *changes).await?;
    }
    let published = if has(Surface::Git) || has_apps {
        let published = repository::publish(bootstrap, systems, scope, reporter);
        progress
            .of(Stage::Git, published, |published| published.files)
            .await?
    } else {
        repository::published(bootstrap, systems, has(Surface::Workload))
            .map_err(|error| (Stage::Git, error))?
    };
    if has(Surface::Workload) || has(Surface::Dns) || has_apps {
        let workload = match made {
            Some(workload) => workload,
            None => cluster::connect(bootstrap, systems)
                .await
                .map_err(|error| (Stage::Cluster, error))?,
        };
        if has(Surface::Workload) || has_apps {
            let flux = async {
                if has(Surface::Workload) {
                    flux::hand_over(bootstrap, (systems, &workload), &published, reporter).await
                } else {
                    flux::follow(bootstrap, &workload, &published, reporter).await
                }
            };
            let secrets = identity::carry_secrets(bootstrap, systems, &workload, scope, reporter);
            tokio::try_join!(
                progress.of(Stage::Flux, flux, |changes| *changes),
                progress.of(Stage::Secrets, secrets, |changes| *changes),
            )?;
        }
        if has(Surface::Dns) {
            let names = names::point(bootstrap, systems, &workload, reporter);
            progress.of(Stage::Dns, names, |changes| *changes).await?;
        }
    }
    Ok(Outcome {
        commit: published.commit.short(),
        changes: progress.changes(),
        issuer: bootstrap.environment.identity.issuer(),
        left: Vec::new(),
    })
}

/// Which stages were done, each with how many things it changed. Stages that run side by side share it.
#[derive(Default)]
struct Progress {
    done: Mutex<BTreeMap<Stage, usize>>,
}

impl Progress {
    /// Carries a stage out, and notes it when it is done; `changes` counts what it changed.
    async fn of<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, StageError>>,
        changes: impl FnOnce(&T) -> usize,
    ) -> Result<T, Fault> {
        let begun = Instant::now();
        tracing::info!(%stage, "begins");
        let outcome = work.await;
        let took = begun.elapsed().as_millis();
        tracing::info!(%stage, milliseconds = took, ended_well = outcome.is_ok(), "has ended");
        let value = outcome.map_err(|error| (stage, error))?;
        self.lock().insert(stage, changes(&value));
        Ok(value)
    }

    fn stages(&self) -> Vec<Stage> {
        self.lock().keys().copied().collect()
    }

    /// Only the stages that changed something.
    fn changes(&self) -> BTreeMap<Stage, usize> {
        let done = self.lock();
        done.iter()
            .filter(|(_, changes)| **changes > 0)
            .map(|(stage, changes)| (*stage, *changes))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Stage, usize>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
