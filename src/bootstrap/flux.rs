//! The stage flux: the cluster is handed to Flux, and Flux has reconciled the commit that was published.

use super::cluster::Workload;
use super::preflight::Systems;
use super::{Bootstrap, Stage, StageError, drift};
use crate::causes;
use crate::config::FluxCredentials;
use crate::desired::{Manifest, SYNC_FILE};
use crate::kubernetes::{Cluster, Ensure};
use crate::plan::Action;
use crate::report::{Reporter, Task};
use crate::ssh::DeployKey;
use crate::surface::git::{Published, deploy_key};
use crate::surface::management;
use crate::surface::workload::{self, ObservedSource, SourceSecret};

/// Installs Flux, gives it its source, and waits until everything is Ready at the commit. Gives how many objects
/// changed.
pub(super) async fn hand_over(
    bootstrap: &Bootstrap<'_>,
    (systems, workload): (&Systems, &Workload),
    published: &Published,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "flux", "installing Flux");
    let cluster = &workload.cluster;
    let release = &bootstrap.flux;
    let plan = workload::plan_components(cluster, release).await?;
    let created = plan.changes().filter(|change| change.action == Action::Create);
    let was_there = created.count() < release.objects().len();
    let mending = was_there && drift::is_published(bootstrap, systems, SYNC_FILE);
    if mending {
        drift::tell(&task, plan.changes());
    }
    let wait = bootstrap.wait(Stage::Flux, "Flux's definitions", &task);
    let mut changes = workload::apply_components(cluster, &plan, &wait).await?;
    changes += give_secrets(bootstrap, cluster).await?;
    changes += give_source_secret(bootstrap, systems, workload, &task).await?;
    changes += give_decryption_key(bootstrap, systems, workload).await?;
    workload::wait_for_controllers(
        cluster,
        release,
        &bootstrap.wait(Stage::Flux, "Flux's controllers", &task),
    )
    .await?;
    if mending {
        let plan = workload::plan_sync(cluster, &bootstrap.desired.sync).await?;
        drift::tell(&task, plan.changes());
    }
    changes += workload::apply_sync(cluster, &bootstrap.desired.sync).await?;
    let commit = published.commit.to_string();
    let wait = bootstrap.wait(Stage::Flux, "the platform", &task);
    let mut sync = workload::wait_at(cluster, &commit, &wait).await?;
    let delivered: Vec<Manifest> = bootstrap.desired.delivered().collect();
    let drift = workload::plan_delivered(cluster, &delivered).await?;
    if !drift.is_empty() {
        drift::tell(&task, drift.changes());
        changes += drift.steps.len();
        sync = workload::have_put_back(cluster, &delivered, &commit, &wait).await?;
    }
    task.finish(format!(
        "{}, {} Ready at {}",
        release.version(),
        objects(sync.ready),
        published.commit.short()
    ));
    Ok(changes)
}

/// Waits until everything is Ready at the commit. Changes nothing itself.
pub(super) async fn follow(
    bootstrap: &Bootstrap<'_>,
    workload: &Workload,
    published: &Published,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "flux", "the platform");
    let wait = bootstrap.wait(Stage::Flux, "the platform", &task);
    let sync = workload::wait_at(&workload.cluster, &published.commit.to_string(), &wait).await?;
    task.finish(format!(
        "{} Ready at {}",
        objects(sync.ready),
        published.commit.short()
    ));
    Ok(0)
}

fn objects(count: usize) -> String {
    match count {
        1 => "1 object".to_owned(),
        count => format!("{count} objects"),
    }
}

/// What Cluster API has put into the cluster is as declared, whatever has become of it since. Its fields are looked after
/// by Cluster API, in our name.
async fn give_secrets(bootstrap: &Bootstrap<'_>, cluster: &Cluster) -> Result<usize, StageError> {
    let secrets = management::workload_secrets(bootstrap.environment);
    Ok(cluster.clone().overruling(true).apply_all(&secrets).await?)
}

/// Before the first sync: what is encrypted would fail otherwise.
async fn give_decryption_key(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
) -> Result<usize, StageError> {
    let Some(identity) = &systems.identity else {
        return Ok(0);
    };
    let secret = workload::decryption_secret(&bootstrap.environment.name, identity);
    let ensured = workload.cluster.apply(&secret).await?;
    Ok(usize::from(ensured != Ensure::NotNeeded))
}

/// Flux reads the repository with the reader's credentials, or else with the environment's own; a secret that is there
/// already stays, unless it is for reading in another way.
async fn give_source_secret(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
    task: &Task<'_>,
) -> Result<usize, StageError> {
    let cluster = &workload.cluster;
    let Some(credentials) = bootstrap.environment.git.for_flux() else {
        return Ok(0);
    };
    let observed = ObservedSource::look(cluster).await?;
    let (username, password) = match credentials {
        FluxCredentials::Password(username, password) => (username, password),
        FluxCredentials::DeployKey(hosts) => {
            return give_deploy_key(bootstrap, systems, (cluster, &observed), hosts).await;
        }
    };
    let removed = forget_deploy_key(bootstrap, systems, (&observed, task)).await;
    match observed.ensure_password(cluster, username, password).await? {
        SourceSecret::Written => Ok(1 + removed),
        SourceSecret::Kept => Ok(0),
        SourceSecret::Differs => {
            task.warn(
                "Flux's source secret has other credentials than this environment; it is left as it is",
            );
            Ok(0)
        }
    }
}

/// Flux reads by user name and password from now on: its key goes, as long as the cluster has it and so tells that
/// there is one. Where the forge does not let it go, that is left to people.
async fn forget_deploy_key(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    (observed, task): (&ObservedSource, &Task<'_>),
) -> usize {
    if observed.deploy_key().is_none() {
        return 0;
    }
    let title = deploy_key::title(bootstrap.environment.name.as_str());
    let removed = async { deploy_key::unregister(&systems.branch.forge()?, &title).await };
    removed.await.unwrap_or_else(|error| {
        let reason = causes::in_one_line(&error);
        task.warn(format!("the deploy key `{title}` is left at the forge: {reason}"));
        0
    })
}

/// The key is in the cluster before the forge hears of it: a bring-up that is killed in between goes on with it.
async fn give_deploy_key(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    (cluster, observed): (&Cluster, &ObservedSource),
    hosts: &[String],
) -> Result<usize, StageError> {
    let key = match observed.deploy_key() {
        Some(key) => key,
        None => DeployKey::generate()?,
    };
    let written = observed.ensure_deploy_key(cluster, &key, hosts).await?;
    let title = deploy_key::title(bootstrap.environment.name.as_str());
    let registered = deploy_key::register(&systems.branch.forge()?, &title, &key).await?;
    Ok(usize::from(written == SourceSecret::Written) + registered)
}
