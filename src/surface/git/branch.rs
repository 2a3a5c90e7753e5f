//! The branch of the platform's repository: observe, apply, publish.

use std::collections::BTreeMap;
#[cfg(test)]
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use git2::Oid;

use super::cache::Edited;
use super::files::DesiredFiles;
use super::plan::{GitOperation, ObservedBranch, plan};
use super::program::{Failure, Git, SILENCE_LIMIT};
use super::{CommitId, Forge, GitError, cache};
use crate::plan::Plan;
use crate::proxy;
use crate::report::{self, Task};
use crate::secret::Secret;

/// How often a push is tried when others push at the same time.
const ATTEMPTS: u32 = 5;
/// Where the local copy keeps the branch as last fetched.
const FETCHED: &str = "refs/remotes/origin/fetched";
/// Who commits when the user's git settings name nobody.
const FALLBACK_IDENTITY: [(&str, &str); 2] = [
    ("user.name", "user.name=lotse"),
    ("user.email", "user.email=lotse@localhost"),
];

/// Where the platform's repository is and how to get in.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its address, without credentials: `https://`, `http://`, `ssh://`, `file://` or a path.
    pub url: String,
    /// The branch that Flux follows.
    pub branch: String,
    /// User name; empty where the user's own credential helpers or SSH are to be used.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// What [`Branch::publish`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The newest commit of the branch, which holds everything desired.
    pub commit: CommitId,
    /// How many files that commit wrote or removed; 0 when the branch held everything already.
    pub files: usize,
}

/// The branch of a repository, with a local copy.
#[derive(Clone, Debug)]
pub struct Branch {
    repository: Repository,
    git: Git,
}

impl Branch {
    /// The branch of `repository`; the local copy is kept in `cache`, a directory for this repository alone.
    ///
    /// # Errors
    /// When the address carries credentials.
    pub fn new(repository: Repository, cache: Utf8PathBuf) -> Result<Self, GitError> {
        if url::Url::parse(&repository.url).is_ok_and(|url| url.password().is_some()) {
            return Err(GitError::CredentialsInAddress);
        }
        let credentials = (!repository.username.is_empty() || !repository.password.is_empty())
            .then(|| (repository.username.clone(), repository.password.clone()));
        let git = Git {
            directory: cache,
            credentials,
            silence_limit: SILENCE_LIMIT,
            is_own: repository.url.parse().is_ok_and(|url| proxy::is_own(&url)),
        };
        Ok(Self { repository, git })
    }

    /// Waits so long, in whole seconds, for a server that is silent.
    #[cfg(test)]
    const fn with_silence_limit(mut self, limit: Duration) -> Self {
        self.git.silence_limit = limit;
        self
    }

    /// Reads the newest commit of the branch.
    pub async fn observe(&self) -> Result<ObservedBranch, GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        self.observe_locked().await
    }

    /// Texts of the files of `observed` that are `wanted`; what is no UTF-8 is left out.
    pub async fn texts(
        &self,
        observed: &ObservedBranch,
        wanted: impl Fn(&Utf8Path) -> bool,
    ) -> Result<BTreeMap<Utf8PathBuf, String>, GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        let repository = cache::open(&self.git.directory)?;
        let mut texts = BTreeMap::new();
        for (path, entry) in observed.files.iter().filter(|(path, _)| wanted(path)) {
            if let Some(text) = cache::text(&repository, entry)? {
                texts.insert(path.clone(), text);
            }
        }
        Ok(texts)
    }

    /// The forge that keeps the repository.
    ///
    /// # Errors
    /// When its address is not one of a forge.
    pub fn forge(&self) -> Result<Forge, GitError> {
        Forge::of(&self.repository)
    }

    pub(super) const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Another branch of the same repository.
    pub(super) fn sibling(&self, branch: &str) -> Self {
        let mut sibling = self.clone();
        branch.clone_into(&mut sibling.repository.branch);
        sibling
    }

    /// The newest commit of the branch, `None` where there is no such branch.
    pub async fn head(&self) -> Result<Option<CommitId>, GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        drop(cache::open(&self.git.directory)?);
        self.remote_head().await
    }

    /// Whether the branch is what `plan` makes of `base`, in one commit on top of it.
    pub(super) async fn is_one_step_from(
        &self,
        base: &ObservedBranch,
        plan: &Plan<GitOperation>,
    ) -> Result<(bool, ObservedBranch), GitError> {
        let observed = self.observe().await?;
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        let repository = cache::open(&self.git.directory)?;
        let is_it = match observed.head {
            Some(head) => cache::is_one_step(&repository, head, (base.head, plan))?,
            None => false,
        };
        Ok((is_it, observed))
    }

    /// Makes the branch, which is at `before`, one commit on top of `base` that does what `plan` says.
    pub(super) async fn put_on_top(
        &self,
        base: &ObservedBranch,
        plan: &Plan<GitOperation>,
        (before, message): (&ObservedBranch, &str),
    ) -> Result<(), GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        let commit = self.commit(plan, base.head, message).await?;
        self.push(commit, before.head).await
    }

    /// Asks the server whether a commit on top of `observed` may be pushed, without pushing one (`--dry-run`). What hooks
    /// of the server decide, such as the protection of a branch, is only said at a real push.
    pub async fn try_push(&self, observed: &ObservedBranch) -> Result<(), GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        let commit = cache::empty_commit(&cache::open(&self.git.directory)?, observed.head)?;
        self.push_with(&["--dry-run"], commit, observed.head).await
    }

    /// Keeps in mind that `commit` was published from here.
    ///
    /// # Errors
    /// When the local copy can't be written.
    pub async fn remember(&self, commit: CommitId) -> Result<(), GitError> {
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        cache::remember(&cache::open(&self.git.directory)?, &self.repository.url, commit)
    }

    /// The commit that was published last from here, where somebody has taken it out of the history of the branch.
    ///
    /// # Errors
    /// When the local copy can't be read.
    pub async fn lost(&self, observed: &ObservedBranch) -> Result<Option<CommitId>, GitError> {
        let Some(head) = observed.head else {
            return Ok(None);
        };
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        cache::lost(&cache::open(&self.git.directory)?, &self.repository.url, head)
    }

    /// Files that `plan` overwrites or removes although somebody else changed them since the last commit with the message
    /// `ours`.
    pub async fn edited(
        &self,
        plan: &Plan<GitOperation>,
        observed: &ObservedBranch,
        ours: &str,
    ) -> Result<Vec<Edited>, GitError> {
        let Some(head) = observed.head.filter(|_| !plan.is_empty()) else {
            return Ok(Vec::new());
        };
        let paths = plan.steps.iter().map(|step| step.operation.path().to_owned());
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        cache::edited(&cache::open(&self.git.directory)?, head, (&paths.collect(), ours))
    }

    /// Commits what `plan` says on top of what it was computed from, and pushes it. Gives the newest commit; without
    /// a step there is no commit and nothing is sent.
    ///
    /// # Errors
    /// [`GitError::Moved`] when the branch is no longer at what was observed: the plan is stale.
    pub async fn apply(
        &self,
        plan: &Plan<GitOperation>,
        observed: &ObservedBranch,
        message: &str,
    ) -> Result<Option<CommitId>, GitError> {
        if plan.is_empty() {
            return Ok(observed.head);
        }
        let _lock = cache::CacheLock::take(&self.git.directory).await?;
        let commit = self.commit(plan, observed.head, message).await?;
        self.push(commit, observed.head).await?;
        Ok(Some(commit))
    }

    /// Brings the branch to `desired` under the paths `owned`: observes, plans, applies, and starts over when somebody
    /// else pushed in between.
    ///
    /// # Errors
    /// [`GitError::Moved`] when that happened every time, and whatever the steps fail with.
    pub async fn publish(
        &self,
        desired: &DesiredFiles,
        owned: &[&str],
        message: &str,
        task: &Task<'_>,
    ) -> Result<Published, GitError> {
        let mut attempt = 1;
        loop {
            let observed = self.observe().await?;
            let plan = plan(desired, owned, &observed)?;
            match self.apply(&plan, &observed, message).await {
                Ok(Some(commit)) => {
                    let files = plan.steps.len();
                    return Ok(Published { commit, files });
                }
                Ok(None) => {
                    return Err(GitError::Git {
                        action: format!("publishing to {}", self.repository.branch),
                        said: "nothing is desired and the branch does not exist".to_owned(),
                    });
                }
                Err(error @ GitError::Moved { .. }) if attempt < ATTEMPTS => {
                    task.waiting(format!("{error} (attempt {attempt} of {ATTEMPTS})"));
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The local copy is a cache, so a look that it makes impossible is tried once more in a new one: a killed process
    /// leaves lock files and half-written objects behind.
    async fn observe_locked(&self) -> Result<ObservedBranch, GitError> {
        match self.look().await {
            Err(GitError::Git { .. } | GitError::Local { .. }) => {
                cache::renew(&self.git.directory)?;
                self.look().await
            }
            other => other,
        }
    }

    async fn look(&self) -> Result<ObservedBranch, GitError> {
        cache::open(&self.git.directory)?;
        let Some(head) = self.remote_head().await? else {
            return Ok(ObservedBranch::default());
        };
        if !cache::holds(&cache::open(&self.git.directory)?, head) {
            self.fetch().await?;
        }
        cache::observe(&cache::open(&self.git.directory)?, head)
    }

    /// Asks the server for the newest commit of the branch.
    async fn remote_head(&self) -> Result<Option<CommitId>, GitError> {
        let reference = self.reference();
        let listed = self
            .git
            .run(
                &format!("reading {}", self.repository.url),
                &["ls-remote", "--", &self.repository.url, &reference],
                "",
            )
            .await?
            .map_err(|failure| self.explain(&failure))?;
        listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == reference)
            .map(|(id, _)| parse_commit(id))
            .transpose()
    }

    async fn fetch(&self) -> Result<(), GitError> {
        let refspec = format!("+{}:{FETCHED}", self.reference());
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--",
            &self.repository.url,
            &refspec,
        ];
        self.git
            .run(&format!("fetching {}", self.repository.url), &arguments, "")
            .await?
            .map(|_| ())
            .map_err(|failure| self.explain(&failure))
    }

    /// Makes the commit. The `git` program does it, since it knows who the user is and signs where the user wants that.
    async fn commit(
        &self,
        plan: &Plan<GitOperation>,
        parent: Option<CommitId>,
        message: &str,
    ) -> Result<CommitId, GitError> {
        let (tree, settings) = {
            let repository = cache::open(&self.git.directory)?;
            let tree = cache::write_tree(&repository, parent, plan)?.to_string();
            let settings = repository
                .config()
                .map_err(GitError::local("reading git's settings"))?;
            (tree, CommitSettings::read(&settings))
        };
        let parent = parent.map(|parent| parent.to_string());
        let mut arguments: Vec<&str> = settings.fallback_identity;
        arguments.extend(["commit-tree", &tree]);
        if let Some(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        if settings.sign {
            arguments.push("-S");
        }
        let written = self
            .git
            .run("committing", &arguments, message)
            .await?
            .map_err(|failure| self.explain(&failure))?;
        parse_commit(written.trim())
    }

    async fn push(&self, commit: CommitId, expected: Option<CommitId>) -> Result<(), GitError> {
        report::sends(format_args!("push to {}", self.repository.branch));
        self.push_with(&[], commit, expected).await
    }

    async fn push_with(
        &self,
        options: &[&str],
        commit: CommitId,
        expected: Option<CommitId>,
    ) -> Result<(), GitError> {
        let reference = self.reference();
        let expected = expected.map(|expected| expected.to_string()).unwrap_or_default();
        // The lease makes a branch that moved a plain refusal, also where it moved back to an older commit.
        let lease = format!("--force-with-lease={reference}:{expected}");
        let refspec = format!("{commit}:{reference}");
        let rest = [lease.as_str(), "--", &self.repository.url, &refspec];
        let arguments = [&["push", "--quiet"], options, &rest].concat();
        let pushed = self
            .git
            .run(&format!("pushing to {}", self.repository.branch), &arguments, "")
            .await?;
        pushed.map(|_| ()).map_err(|failure| self.explain(&failure))
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.repository.branch)
    }

    fn explain(&self, failure: &Failure) -> GitError {
        GitError::from_failure(&self.repository.url, &self.repository.branch, failure)
    }
}

/// What the user's git settings say about commits.
struct CommitSettings {
    /// Arguments that name a committer, where the settings name none. As settings they give way to the environment.
    fallback_identity: Vec<&'static str>,
    sign: bool,
}

impl CommitSettings {
    fn read(settings: &git2::Config) -> Self {
        let is_set = |key: &str| settings.get_string(key).is_ok_and(|value| !value.is_empty());
        let mut fallback_identity = Vec::new();
        for (key, argument) in FALLBACK_IDENTITY {
            if !is_set(key) {
                fallback_identity.extend(["-c", argument]);
            }
        }
        Self {
            fallback_identity,
            sign: settings.get_bool("commit.gpgsign").unwrap_or(false),
        }
    }
}

fn parse_commit(text: &str) -> Result<CommitId, GitError> {
    Oid::from_str(text)
        .map(CommitId)
        .map_err(GitError::local(format!("reading commit id `{text}`")))
}

#[cfg(test)]
mod tests;
