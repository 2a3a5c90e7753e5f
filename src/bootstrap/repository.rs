//! The stage git: the rendered tree and the platform's files on the branch that Flux follows.

use super::preflight::Systems;
use super::scope::Publication;
use super::{Bootstrap, Scope, Stage, StageError};
use crate::config::GitMode;
use crate::plan::Plan;
use crate::report::{Reporter, Task};
use crate::surface::git::{self, DesiredFile, DesiredFiles, Edited, GitOperation, Proposal, Published};

/// Commits and pushes what differs and is in `scope`. Gives the newest commit of the branch.
pub(super) async fn publish(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<Published, StageError> {
    let task = Task::start(reporter, "git", "the platform's repository");
    let git = &bootstrap.environment.git;
    let publication = Publication::of(bootstrap, systems, scope).await?;
    let (files, owned) = (&publication.files, publication.owned());
    let message = format!("{}: the platform as declared", bootstrap.environment.name);
    let plan = git::plan(files, &owned, &systems.published)?;
    tell_edits(systems, &plan, (&message, &task)).await?;
    let published = match git.mode {
        GitMode::Push => systems.branch.publish(files, &owned, &message, &task).await?,
        GitMode::PullRequest => {
            let proposal = Proposal {
                head: format!("lotse/{}", bootstrap.environment.name),
                title: message,
                limit: bootstrap.limits.of_stage(Stage::Git),
                task: &task,
            };
            systems.branch.propose(files, &owned, &proposal).await?
        }
    };
    systems.branch.remember(published.commit).await?;
    let verb = match git.mode {
        GitMode::Push => "pushed to",
        GitMode::PullRequest => "merged into",
    };
    tracing::info!(
        files = files.len(),
        changed = published.files,
        "compared with the repository"
    );
    task.finish(match published.files {
        0 => format!("{} is up to date at {}", git.branch, published.commit.short()),
        1 => format!("{} {verb} {} (1 file)", published.commit.short(), git.branch),
        changed => format!(
            "{} {verb} {} ({changed} files)",
            published.commit.short(),
            git.branch
        ),
    });
    Ok(published)
}

/// Names what others changed under paths of ours, before it is put back.
async fn tell_edits(
    systems: &Systems,
    plan: &Plan<GitOperation>,
    (message, task): (&str, &Task<'_>),
) -> Result<(), StageError> {
    if let Some(lost) = systems.branch.lost(&systems.published).await? {
        task.warn(format!(
            "somebody has rewritten the history of the branch: {}, which was published from here, is no longer in it",
            lost.short()
        ));
    }
    for Edited { path, commit, author } in systems.branch.edited(plan, &systems.published, message).await? {
        task.note(format!(
            "{path} was changed by {author} in {commit}: put back as declared"
        ));
    }
    Ok(())
}

/// Everything that should be on the branch: Flux's components, too.
pub(super) fn files(bootstrap: &Bootstrap<'_>) -> Result<DesiredFiles, StageError> {
    let mut files = bootstrap.files.clone();
    let components = bootstrap.flux.components()?;
    files.insert(
        bootstrap
            .environment
            .git
            .path
            .join("flux-system/gotk-components.yaml"),
        DesiredFile::text(components.into_bytes()),
    );
    Ok(files)
}

/// What is on the branch, without publishing anything.
///
/// # Errors
/// When nothing was ever published or, with `must_be_desired`, when something else is on the branch than is desired.
pub(super) fn published(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    must_be_desired: bool,
) -> Result<Published, StageError> {
    let branch = &bootstrap.environment.git.branch;
    let unpublished = |files| StageError::Unpublished {
        branch: branch.clone(),
        files,
    };
    let owned: Vec<&str> = bootstrap.owned.iter().map(String::as_str).collect();
    let plan = git::plan(&files(bootstrap)?, &owned, &systems.published)?;
    match systems.published.head {
        Some(commit) if plan.is_empty() || !must_be_desired => Ok(Published { commit, files: 0 }),
        _ => Err(unpublished(plan.steps.len())),
    }
}
