//! One bring-up of an environment at a time, wherever it is started: a `Lease` on the management cluster says whose turn
//! it is.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ManagementError;
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError};
use crate::report::{Reporter, Task};

/// A turn whose holder did not renew it for so long is over.
const DURATION: Duration = Duration::from_secs(30);
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Between two looks whether it is our turn.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The task under which waiting is shown.
const TASK: &str = "turn";

/// Which turn, and for whom.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Namespace of the `Lease`; made where it is not there.
    pub namespace: String,
    /// Name of the `Lease`.
    pub name: String,
    /// Who wants it: a person and a place where only one bring-up runs at a time. A turn that the same one holds already
    /// is that of a process which was killed.
    pub holder: String,
}

/// The right to change an environment. Renewed until it is given back; who drops it without that leaves it to run out.
#[derive(Debug)]
pub struct HeldTurn {
    api: Api<Lease>,
    turn: Turn,
    lost: CancellationToken,
    renewal: JoinHandle<()>,
}

impl HeldTurn {
    /// Waits until somebody else has the turn, or it could not be renewed in time: what was to be done alone is to be
    /// stopped then.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Gives the turn back, so that nobody waits for it.
    pub async fn give_back(self) {
        self.renewal.abort();
        let given = async {
            let mut lease = self.api.get(&self.turn.name).await?;
            if holder(&lease) == Some(self.turn.holder.as_str()) {
                lease.spec.get_or_insert_default().holder_identity = None;
                self.api.replace(&self.turn.name, &parameters(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = given.await {
            // It runs out by itself.
            tracing::warn!(lease = self.turn.name, %error, "the turn could not be given back");
        }
    }
}

impl Drop for HeldTurn {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Waits until it is our turn, at most `limit`.
///
/// # Errors
/// [`ManagementError::Busy`] when somebody else had it all the time.
pub async fn take(
    cluster: &Cluster,
    turn: &Turn,
    limit: Duration,
    reporter: &dyn Reporter,
) -> Result<HeldTurn, ManagementError> {
    let api: Api<Lease> = Api::namespaced(cluster.client(), &turn.namespace);
    let deadline = Instant::now() + limit;
    let mut patience = Patience::default();
    let mut waiting = None;
    loop {
        match attempt(&api, turn, &mut patience).await? {
            Attempt::Ours => break,
            Attempt::Lost => {}
            Attempt::Theirs(holder) => {
                let what = format!("{holder} is changing this environment");
                let task = waiting.get_or_insert_with(|| Task::start(reporter, TASK, what.clone()));
                if patience.is_told_first(&holder) {
                    task.warn(format!("{what}; this goes on when that has ended"));
                }
                task.waiting(what);
                if Instant::now() > deadline {
                    return Err(ManagementError::Busy { holder });
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
    if let Some(task) = waiting {
        task.finish("the other one has ended");
    }
    let lost = CancellationToken::new();
    let renewal = tokio::spawn(renew(api.clone(), turn.clone(), lost.clone()));
    Ok(HeldTurn {
        api,
        turn: turn.clone(),
        lost,
        renewal,
    })
}

/// What one try to take the turn came to.
enum Attempt {
    Ours,
    /// Somebody was faster: look again.
    Lost,
    Theirs(String),
}

/// Since when the same holder has not renewed, by the clock here: those of two computers differ.
#[derive(Default)]
struct Patience {
    seen: Option<(Option<Timestamp>, Instant)>,
    told: Option<String>,
}

impl Patience {
    fn has_run_out(&mut self, lease: &Lease) -> bool {
        let renewed = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.renew_time.as_ref())
            .map(|time| time.0);
        match self.seen {
            Some((seen, since)) if seen == renewed => since.elapsed() > DURATION,
            _ => {
                self.seen = Some((renewed, Instant::now()));
                false
            }
        }
    }

    fn is_told_first(&mut self, holder: &str) -> bool {
        let is_new = self.told.as_deref() != Some(holder);
        self.told = Some(holder.to_owned());
        is_new
    }
}

async fn attempt(api: &Api<Lease>, turn: &Turn, patience: &mut Patience) -> Result<Attempt, ManagementError> {
    let found = api
        .get_opt(&turn.name)
        .await
        .map_err(|error| failed("reading", turn, &error))?;
    let outcome = match found {
        None => api.create(&parameters(), &lease(turn, None)).await,
        Some(found) => {
            let theirs = holder(&found).filter(|holder| *holder != turn.holder);
            if let Some(theirs) = theirs
                && !patience.has_run_out(&found)
            {
                return Ok(Attempt::Theirs(theirs.to_owned()));
            }
            // With the version that was seen, so that only one of several takes it.
            api.replace(
                &turn.name,
                &parameters(),
                &lease(turn, found.metadata.resource_version),
            )
            .await
        }
    };
    match outcome {
        Ok(_) => Ok(Attempt::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Lost),
        Err(error) => Err(failed("taking", turn, &error)),
    }
}

async fn renew(api: Api<Lease>, turn: Turn, lost: CancellationToken) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let outcome = async {
            let found = api.get(&turn.name).await?;
            if holder(&found) != Some(turn.holder.as_str()) {
                return Ok(false);
            }
            let wanted = lease(&turn, found.metadata.resource_version);
            api.replace(&turn.name, &parameters(), &wanted)
                .await
                .map(|_| true)
        };
        match outcome.await {
            Ok(true) => renewed = Instant::now(),
            Ok(false) => break,
            Err(error) => {
                let error: kube::Error = error;
                tracing::warn!(lease = turn.name, %error, "the turn was not renewed");
                if renewed.elapsed() > DURATION {
                    break;
                }
            }
        }
    }
    lost.cancel();
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

fn lease(turn: &Turn, version: Option<String>) -> Lease {
    let now = MicroTime(Timestamp::now());
    Lease {
        metadata: ObjectMeta {
            name: Some(turn.name.clone()),
            namespace: Some(turn.namespace.clone()),
            resource_version: version,
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(turn.holder.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn failed(verb: &str, turn: &Turn, error: &kube::Error) -> ManagementError {
    let action = format!("{verb} Lease/{}/{}", turn.namespace, turn.name);
    KubernetesError::request(action, error).into()
}
