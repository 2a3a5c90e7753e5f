//! The ordered stages of a bring-up, from declarations to a cluster that is proved to work.
//!
//! Every stage can be repeated: it looks first, changes only what differs, and waits until what it made is
//! there. What was done is read from the systems themselves, so a bring-up that was killed goes on when it is
//! started again, from any computer. Nothing here knows whether it talks to a lab.

mod cluster;
mod drift;
mod error;
mod flux;
mod identity;
mod names;
mod preflight;
mod proof;
mod repository;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use futures::future::BoxFuture;
use jiff::civil::Date;

pub use error::{BootstrapError, Stage, StageError};
pub use preflight::Check;

use crate::config::{Declarations, ResolvedEnvironment};
use crate::desired::Desired;
use crate::kubernetes::Wait;
use crate::names::Login;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::git::DesiredFiles;
use crate::surface::workload::FluxRelease;

/// How long a stage may wait for the systems before it gives up.
pub const STAGE_LIMIT: Duration = Duration::from_secs(20 * 60);

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
    pub desired: &'a Desired,
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
    /// How long each stage may take.
    pub limit: Duration,
}

impl Bootstrap<'_> {
    /// A wait for `what` with the limit of a stage.
    fn wait<'task>(&self, what: &str, task: &'task Task<'task>) -> Wait<'task> {
        Wait {
            what: what.to_owned(),
            limit: self.limit,
            task,
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
/// 2. stack and cluster on the management cluster, and beside them the realm (docs/decisions/0005)
/// 3. git: the rendered tree on the branch that Flux follows
/// 4. flux: installed, and Ready at that commit; beside it, client secrets into the namespaces of their applications
/// 5. dns: the wildcard record at the gateway's address, seen at every name server
/// 6. proof: what a member's token may and may not do
///
/// # Errors
/// Says which stage failed, which were done before it, and what the system said. The same call goes on from there.
pub async fn run(bootstrap: &Bootstrap<'_>, reporter: &dyn Reporter) -> Result<Outcome, BootstrapError> {
    let mut progress = Progress::default();
    let outcome = Box::pin(stages(bootstrap, reporter, &mut progress)).await;
    outcome.map_err(|(stage, source)| BootstrapError {
        stage,
        done: progress.done,
        source: Box::new(source),
    })
}

/// A stage, and why it failed.
type Fault = (Stage, StageError);

async fn stages(
    bootstrap: &Bootstrap<'_>,
    reporter: &dyn Reporter,
    progress: &mut Progress,
) -> Result<Outcome, Fault> {
    let systems = at(Stage::Preflight, preflight::connect(bootstrap, reporter)).await?;
    progress.done(Stage::Preflight, 0);

    let (workload, realm) = tokio::try_join!(
        at(Stage::Cluster, cluster::bring_up(bootstrap, &systems, reporter)),
        at(Stage::Logins, identity::set_up(bootstrap, &systems, reporter)),
    )?;
    progress.done(Stage::Cluster, workload.changes);
    progress.done(Stage::Logins, realm);

    let published = at(Stage::Git, repository::publish(bootstrap, &systems, reporter)).await?;
    progress.done(Stage::Git, published.files);

    // Flux is Ready only when applications have started, and those with a login start only with their secret.
    let (reconciled, carried) = tokio::try_join!(
        at(
            Stage::Flux,
            flux::hand_over(bootstrap, &workload, &published, reporter)
        ),
        at(
            Stage::Secrets,
            identity::carry_secrets(bootstrap, &systems, &workload, reporter)
        ),
    )?;
    progress.done(Stage::Flux, reconciled);
    progress.done(Stage::Secrets, carried);

    let wildcard = at(
        Stage::Dns,
        names::point_at_gateway(bootstrap, &systems, &workload, reporter),
    )
    .await?;
    progress.done(Stage::Dns, wildcard);
    let left = at(Stage::Proof, proof::prove(bootstrap, &workload, reporter)).await?;
    progress.done(Stage::Proof, 0);

    Ok(Outcome {
        commit: published.commit.short(),
        changes: std::mem::take(&mut progress.changes),
        issuer: bootstrap.environment.identity.issuer(),
        left,
    })
}

async fn at<T>(stage: Stage, work: impl Future<Output = Result<T, StageError>>) -> Result<T, Fault> {
    let begun = Instant::now();
    tracing::info!(%stage, "begins");
    let outcome = work.await;
    let took = begun.elapsed().as_millis();
    tracing::info!(%stage, milliseconds = took, ended_well = outcome.is_ok(), "has ended");
    outcome.map_err(|error| (stage, error))
}

/// Which stages were done, and what they changed.
#[derive(Default)]
struct Progress {
    done: Vec<Stage>,
    changes: BTreeMap<Stage, usize>,
}

impl Progress {
    fn done(&mut self, stage: Stage, changes: usize) {
        self.done.push(stage);
        if changes > 0 {
            self.changes.insert(stage, changes);
        }
    }
}
