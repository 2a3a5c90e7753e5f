//! The local copy of the repository: a directory of ours that can be thrown away at any time.

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Index, IndexEntry, IndexTime, Oid, Repository, Signature, Time, TreeWalkMode, TreeWalkResult};

use super::files::Content;
use super::plan::{Entry, GitOperation, ObservedBranch};
use super::{CommitId, GitError};
use crate::plan::Plan;

/// Taken while the local copy is in use; so a lock file found inside it was left by a process that is gone.
pub(super) struct CacheLock {
    _file: fs_err::File,
}

impl CacheLock {
    /// Waits until no other process uses the local copy at `directory`.
    pub(super) async fn take(directory: &Utf8Path) -> Result<Self, GitError> {
        let fault = |source| GitError::Cache {
            directory: directory.to_string(),
            source,
        };
        let path = Utf8PathBuf::from(format!("{directory}.lock"));
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(fault)?;
        }
        let file = fs_err::File::create(&path).map_err(fault)?;
        let waiting = tokio::task::spawn_blocking(move || file.file().lock().map(|()| file));
        let file = waiting.await.map_err(std::io::Error::other).map_err(fault)?;
        Ok(Self {
            _file: file.map_err(fault)?,
        })
    }
}

/// Opens the local copy, making it first where there is none.
pub(super) fn open(directory: &Utf8Path) -> Result<Repository, GitError> {
    match Repository::open_bare(directory) {
        Ok(repository) => Ok(repository),
        Err(_) => renew(directory),
    }
}

/// Throws the local copy away and makes an empty one.
pub(super) fn renew(directory: &Utf8Path) -> Result<Repository, GitError> {
    let fault = |source| GitError::Cache {
        directory: directory.to_string(),
        source,
    };
    if directory.exists() {
        fs_err::remove_dir_all(directory).map_err(fault)?;
    }
    fs_err::create_dir_all(directory).map_err(fault)?;
    Repository::init_bare(directory).map_err(GitError::local("making a repository"))
}

/// Whether a commit and everything it needs is there already.
pub(super) fn holds(repository: &Repository, commit: CommitId) -> bool {
    repository
        .find_commit(commit.0)
        .and_then(|commit| commit.tree())
        .is_ok()
}

/// The newest commit and its files.
pub(super) fn observe(repository: &Repository, head: CommitId) -> Result<ObservedBranch, GitError> {
    let fault = || GitError::local(format!("reading commit {head}"));
    let tree = repository
        .find_commit(head.0)
        .and_then(|commit| commit.tree())
        .map_err(fault())?;
    let mut files = std::collections::BTreeMap::new();
    tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
        if let (Some(_), Ok(name)) = (
            entry.kind().filter(|kind| *kind != git2::ObjectType::Tree),
            entry.name(),
        ) {
            let mode = entry.filemode().cast_unsigned();
            let blob = entry.id();
            files.insert(
                Utf8PathBuf::from(format!("{directory}{name}")),
                Entry { mode, blob },
            );
        }
        TreeWalkResult::Ok
    })
    .map_err(fault())?;
    Ok(ObservedBranch {
        head: Some(head),
        files,
    })
}

/// The text of a file; `None` when it is no UTF-8.
pub(super) fn text(repository: &Repository, entry: &Entry) -> Result<Option<String>, GitError> {
    let blob = repository
        .find_blob(entry.blob)
        .map_err(GitError::local("reading a file"))?;
    Ok(String::from_utf8(blob.content().to_vec()).ok())
}

/// Whether `commit` is what `plan` makes of `base`, and has it as its only parent.
pub(super) fn is_one_step(
    repository: &Repository,
    commit: CommitId,
    (base, plan): (Option<CommitId>, &Plan<GitOperation>),
) -> Result<bool, GitError> {
    let tree = write_tree(repository, base, plan)?;
    let commit = repository
        .find_commit(commit.0)
        .map_err(GitError::local("reading a commit"))?;
    let parents: Vec<CommitId> = commit.parent_ids().map(CommitId).collect();
    Ok(commit.tree_id() == tree && parents == base.into_iter().collect::<Vec<_>>())
}

/// A commit on top of `parent` that changes nothing, in the local copy only.
pub(super) fn empty_commit(repository: &Repository, parent: Option<CommitId>) -> Result<CommitId, GitError> {
    let fault = || GitError::local("making a commit to ask with");
    let parent = parent
        .map(|parent| repository.find_commit(parent.0))
        .transpose()
        .map_err(fault())?;
    let tree = match &parent {
        Some(parent) => parent.tree_id(),
        None => Index::new()
            .and_then(|mut index| index.write_tree_to(repository))
            .map_err(fault())?,
    };
    let tree = repository.find_tree(tree).map_err(fault())?;
    let author = Signature::new("lotse", "lotse@localhost", &Time::new(0, 0)).map_err(fault())?;
    let parents: Vec<_> = parent.iter().collect();
    let message = "asks whether a commit may be pushed";
    repository
        .commit(None, &author, &author, message, &tree, &parents)
        .map(CommitId)
        .map_err(fault())
}

/// Writes the tree that `plan` leads to, starting from `head`, and gives its id.
pub(super) fn write_tree(
    repository: &Repository,
    head: Option<CommitId>,
    plan: &Plan<GitOperation>,
) -> Result<Oid, GitError> {
    let fault = || GitError::local("writing the new tree");
    let mut index = Index::new().map_err(fault())?;
    if let Some(head) = head {
        let tree = repository
            .find_commit(head.0)
            .and_then(|commit| commit.tree())
            .map_err(fault())?;
        index.read_tree(&tree).map_err(fault())?;
    }
    // Removals first: a directory may give way to a file of its name.
    for step in &plan.steps {
        if let GitOperation::Remove { path } = &step.operation {
            index.remove_path(path.as_std_path()).map_err(fault())?;
        }
    }
    for step in &plan.steps {
        if let GitOperation::Write { path, content } = &step.operation {
            let entry = index_entry(repository, path, content).map_err(fault())?;
            index.add(&entry).map_err(fault())?;
        }
    }
    index.write_tree_to(repository).map_err(fault())
}

fn index_entry(
    repository: &Repository,
    path: &Utf8Path,
    content: &Content,
) -> Result<IndexEntry, git2::Error> {
    let id = repository.blob(content.bytes())?;
    Ok(IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: content.mode(),
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_str().as_bytes().to_vec(),
    })
}
