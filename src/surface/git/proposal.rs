//! Changes that get onto the branch by a pull request: somebody else has to merge it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::branch::{Branch, Published};
use super::files::DesiredFiles;
use super::forge::{Forge, PullRequest, PullRequestState};
use super::plan::{GitOperation, ObservedBranch, plan};
use super::{CommitId, GitError};
use crate::plan::{Action, Plan};
use crate::report::Task;

/// Between two looks whether a request is merged. Forges have no way to be watched.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// So many files are named in a request; the forge shows all of them.
const NAMED: usize = 50;

/// What is proposed, and how long to wait for somebody to merge it.
pub struct Proposal<'a> {
    /// The branch that the request is made from; lotse's own, overwritten each time.
    pub head: String,
    /// Title of the request and first line of the commit.
    pub title: String,
    /// How long to wait for the merge.
    pub limit: Duration,
    /// Tells what is waited for.
    pub task: &'a Task<'a>,
}

impl Branch {
    /// Brings the branch to `desired` under the paths `owned` by a pull request, and waits until it is merged. Where the
    /// branch moves meanwhile, the request is made anew on top of it. Nothing is done when the branch has it all.
    ///
    /// Killed and started again, it finds its request and goes on waiting.
    ///
    /// # Errors
    /// [`GitError::Declined`] when somebody closed the request, [`GitError::Unmerged`] when nobody merged it in time.
    pub async fn propose(
        &self,
        desired: &DesiredFiles,
        owned: &[&str],
        proposal: &Proposal<'_>,
    ) -> Result<Published, GitError> {
        let forge = Forge::of(self.repository())?;
        let deadline = Instant::now() + proposal.limit;
        let mut proposed = 0;
        loop {
            let observed = self.observe().await?;
            let plan = plan(desired, owned, &observed)?;
            if let (true, Some(commit)) = (plan.is_empty(), observed.head) {
                return Ok(Published {
                    commit,
                    files: proposed,
                });
            }
            let base = observed.head.ok_or_else(|| GitError::NoBase {
                branch: self.repository().branch.clone(),
            })?;
            proposed = plan.steps.len();
            self.push_proposal(&plan, &observed, proposal).await?;
            let request = self.open(&forge, &plan, proposal).await?;
            self.wait_for(&forge, &request, base, (deadline, proposal))
                .await?;
        }
    }

    /// Puts one commit on top of the branch into a branch of its own, unless that has it already.
    async fn push_proposal(
        &self,
        plan: &Plan<GitOperation>,
        observed: &ObservedBranch,
        proposal: &Proposal<'_>,
    ) -> Result<(), GitError> {
        let own = self.sibling(&proposal.head);
        let (has_it, before) = own.is_one_step_from(observed, plan).await?;
        if has_it {
            return Ok(());
        }
        own.put_on_top(observed, plan, (&before, &proposal.title)).await
    }

    async fn open(
        &self,
        forge: &Forge,
        plan: &Plan<GitOperation>,
        proposal: &Proposal<'_>,
    ) -> Result<PullRequest, GitError> {
        let base = &self.repository().branch;
        let body = body(plan);
        if let Some(request) = forge.open_request(&proposal.head, base).await? {
            forge.describe(&request, &proposal.title, &body).await?;
            return Ok(request);
        }
        Ok(forge
            .request(&proposal.head, base, &proposal.title, &body)
            .await?)
    }

    /// Waits until the request is merged, or the branch has moved otherwise.
    async fn wait_for(
        &self,
        forge: &Forge,
        request: &PullRequest,
        base: CommitId,
        (deadline, proposal): (Instant, &Proposal<'_>),
    ) -> Result<(), GitError> {
        proposal
            .task
            .note(format!("{request} wants to be looked at and merged"));
        loop {
            proposal.task.waiting(format!("{request} is not merged yet"));
            match forge.state(request).await {
                Ok(PullRequestState::Merged) => return Ok(()),
                Ok(PullRequestState::Closed) => {
                    return Err(GitError::Declined {
                        request: request.to_string(),
                    });
                }
                Ok(PullRequestState::Open) => {}
                Err(error) if error.is_transient() => proposal.task.waiting(error.to_string()),
                Err(error) => return Err(error.into()),
            }
            match self.head().await {
                Ok(Some(head)) if head != base => return Ok(()),
                Ok(_) => {}
                Err(error) if error.is_transient() => proposal.task.waiting(error.to_string()),
                Err(error) => return Err(error),
            }
            if Instant::now() > deadline {
                return Err(GitError::Unmerged {
                    request: request.to_string(),
                });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// What the request says: every file, for whoever decides.
fn body(plan: &Plan<GitOperation>) -> String {
    let mut text = String::from(
        "Proposed by lotse: the platform as it is declared. Merging this brings it onto the cluster.\n\n",
    );
    for change in plan.changes().take(NAMED) {
        let verb = match change.action {
            Action::Create => "adds",
            Action::Update | Action::Adopt => "changes",
            Action::Delete => "removes",
        };
        let _ = writeln!(text, "- {verb} `{}`", change.object);
    }
    if let Some(more) = plan.steps.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = writeln!(text, "- and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;
    use crate::secret::Secret;
    use crate::surface::git::Repository;
    use crate::surface::patience::played::{Act, serve};

    const OPEN: &str = r#"{"number": 3, "html_url": "http://forge/3", "state": "open"}"#;
    const MERGED: &str = r#"{"number": 3, "html_url": "http://forge/3", "state": "closed", "merged": true}"#;

    /// The request is open first, and whatever happens then, merged the next time; Git is answered by `git`.
    async fn waited(git: Act) -> Result<(), GitError> {
        let mut states = vec![OPEN, MERGED].into_iter();
        let (address, _) = serve(move |request| {
            if request.line.starts_with("GET /api/v1/") {
                states.next().map_or(Act::Hang, |state| Act::say(200, state))
            } else {
                git.clone()
            }
        })
        .await;
        let repository = Repository {
            url: format!("{address}/lotse/platform.git"),
            branch: "main".into(),
            username: "ada".into(),
            password: Secret::new("hunter2"),
        };
        let cache = tempfile::tempdir().unwrap();
        let folder = camino::Utf8Path::from_path(cache.path()).unwrap().join("cache");
        let branch = Branch::new(repository, folder).unwrap();
        let task = Task::start(&Silent, "git", "propose");
        let proposal = Proposal {
            head: "lotse/lab".into(),
            title: "a".into(),
            limit: Duration::from_secs(60),
            task: &task,
        };
        let request = PullRequest::open(3);
        let base = CommitId(git2::Oid::from_str(&"1".repeat(40)).unwrap());
        let until = (Instant::now() + proposal.limit, &proposal);
        branch.wait_for(&branch.forge()?, &request, base, until).await
    }

    #[tokio::test]
    async fn test_a_wait_for_a_merge_outlives_a_git_server_with_a_fault() {
        waited(Act::say(500, "")).await.unwrap();
        waited(Act::Hang).await.unwrap();
        let error = waited(Act::say(403, "")).await.unwrap_err();
        assert!(matches!(error, GitError::Forbidden { .. }), "{error}");
    }
}
