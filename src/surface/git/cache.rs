//! The local copy of the repository: a directory of ours that can be thrown away at any time.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use git2::{
    Commit, Index, IndexEntry, IndexTime, ObjectType, Oid, Repository, Signature, Time, TreeWalkMode,
    TreeWalkResult,
};

use super::files::Content;
use super::plan::{Entry, GitOperation, ObservedBranch};
use super::{CommitId, GitError};
use crate::plan::Plan;

/// So many commits are looked at for the last one of ours.
const LOOKED_BACK: usize = 1_000;

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

/// Where the local copy keeps the commit that was published last from here to the repository at `url`: environments of one
/// name, of two labs perhaps, share a copy.
fn published(url: &str) -> Result<String, GitError> {
    let place = Oid::hash_object(ObjectType::Blob, url.as_bytes());
    let place = place.map_err(GitError::local("naming what was published"))?;
    Ok(format!("refs/lotse/published-{place}"))
}

/// Keeps `commit` in mind as the one that was published last to `url`.
pub(super) fn remember(repository: &Repository, url: &str, commit: CommitId) -> Result<(), GitError> {
    repository
        .reference(&published(url)?, commit.0, true, "published")
        .map(drop)
        .map_err(GitError::local("keeping what was published"))
}

/// The commit that was published last to `url`, where it is no longer in the history of `head`. Histories without a common
/// beginning are of two repositories, one in the place of the other.
pub(super) fn lost(repository: &Repository, url: &str, head: CommitId) -> Result<Option<CommitId>, GitError> {
    let Ok(published) = repository.refname_to_id(&published(url)?) else {
        return Ok(None);
    };
    let is_another = repository.merge_base(head.0, published).is_err();
    let is_kept = published == head.0
        || is_another
        || repository
            .graph_descendant_of(head.0, published)
            .map_err(GitError::local("comparing histories"))?;
    Ok((!is_kept).then_some(CommitId(published)))
}

/// A file that somebody else changed since the last commit of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The file.
    pub path: Utf8PathBuf,
    /// The commit that changed it last, abbreviated.
    pub commit: String,
    /// Who made that commit.
    pub author: String,
}

/// Which of the files `paths` others have changed since the last commit whose message begins with `ours`, newest commit first;
/// none where there is no such commit within the last [`LOOKED_BACK`].
pub(super) fn edited(
    repository: &Repository,
    head: CommitId,
    (paths, ours): (&BTreeSet<Utf8PathBuf>, &str),
) -> Result<Vec<Edited>, GitError> {
    let fault = || GitError::local("reading the history of the branch");
    let mut walk = repository.revwalk().map_err(fault())?;
    walk.push(head.0).map_err(fault())?;
    walk.simplify_first_parent().map_err(fault())?;
    let mut edited: Vec<Edited> = Vec::new();
    for id in walk.take(LOOKED_BACK) {
        let commit = repository.find_commit(id.map_err(fault())?).map_err(fault())?;
        // A squashed request has its number behind the message, a merged one has our commit as its second parent.
        let is_ours = |commit: &Commit<'_>| commit.message().is_ok_and(|message| message.starts_with(ours));
        if is_ours(&commit) || commit.parents().skip(1).any(|parent| is_ours(&parent)) {
            return Ok(edited);
        }
        let tree = commit.tree().map_err(fault())?;
        let before = commit.parent(0).and_then(|parent| parent.tree()).ok();
        let changes = repository
            .diff_tree_to_tree(before.as_ref(), Some(&tree), None)
            .map_err(fault())?;
        for delta in changes.deltas() {
            let path = delta.new_file().path().or_else(|| delta.old_file().path());
            let Some(path) = path.and_then(camino::Utf8Path::from_path) else {
                continue;
            };
            let is_known = edited.iter().any(|each| each.path == path);
            if paths.contains(path) && !is_known {
                edited.push(Edited {
                    path: path.to_owned(),
                    commit: CommitId(commit.id()).short(),
                    author: commit.author().name().unwrap_or("somebody").to_owned(),
                });
            }
        }
    }
    Ok(Vec::new())
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
