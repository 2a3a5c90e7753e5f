//! The stage git: the rendered tree and the platform's files on the branch that Flux follows.

use super::preflight::Systems;
use super::{Bootstrap, StageError};
use crate::report::{Reporter, Task};
use crate::surface::git::{DesiredFile, Published};

/// Commits and pushes what differs. Gives the newest commit of the branch.
pub(super) async fn publish(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    reporter: &dyn Reporter,
) -> Result<Published, StageError> {
    let task = Task::start(reporter, "git", "the platform's repository");
    let git = &bootstrap.environment.git;
    let mut files = bootstrap.files.clone();
    let components = bootstrap.flux.components()?;
    files.insert(
        git.path.join("flux-system/gotk-components.yaml"),
        DesiredFile::text(components.into_bytes()),
    );
    let owned: Vec<&str> = bootstrap.owned.iter().map(String::as_str).collect();
    let message = format!("{}: the platform as declared", bootstrap.environment.name);
    let published = systems.branch.publish(&files, &owned, &message, &task).await?;
    tracing::info!(
        files = files.len(),
        changed = published.files,
        "compared with the repository"
    );
    task.finish(match published.files {
        0 => format!("{} is up to date at {}", git.branch, published.commit.short()),
        1 => format!("{} pushed to {} (1 file)", published.commit.short(), git.branch),
        changed => format!(
            "{} pushed to {} ({changed} files)",
            published.commit.short(),
            git.branch
        ),
    });
    Ok(published)
}
