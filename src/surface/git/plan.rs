//! What separates the desired files from a commit. Pure.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use git2::{ObjectType, Oid};

use super::files::{Content, DesiredFile, DesiredFiles, check_path};
use super::{CommitId, GitError};
use crate::plan::{Action, Plan};

/// What was seen of the branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedBranch {
    /// Its newest commit; `None` while the repository has no such branch.
    pub head: Option<CommitId>,
    /// Every file of that commit.
    pub(super) files: BTreeMap<Utf8PathBuf, Entry>,
}

impl ObservedBranch {
    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &Utf8PathBuf> {
        self.files.keys()
    }

    /// Whether the branch has `file` at `path`.
    #[must_use]
    pub fn has(&self, path: &Utf8Path, file: &DesiredFile) -> bool {
        let entry = self.files.get(path);
        entry.is_some_and(|entry| is_same(entry, &file.content).unwrap_or(false))
    }
}

/// One file of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) blob: Oid,
}

/// One step towards the desired tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitOperation {
    /// Write a file.
    Write {
        /// Where.
        path: Utf8PathBuf,
        /// What.
        content: Content,
    },
    /// Remove a file.
    Remove {
        /// Where.
        path: Utf8PathBuf,
    },
}

impl GitOperation {
    /// The file that is written or removed.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        match self {
            Self::Write { path, .. } | Self::Remove { path } => path,
        }
    }
}

/// Compares what should be with the branch. Files under `owned` (directories or single files) that are not desired go
/// away; files elsewhere are left alone.
///
/// # Errors
/// When a desired path can't be in a repository or is not under `owned`.
pub fn plan(
    desired: &DesiredFiles,
    owned: &[&str],
    observed: &ObservedBranch,
) -> Result<Plan<GitOperation>, GitError> {
    let mut plan = Plan::empty();
    for (path, file) in desired {
        check_path(path)?;
        if !is_owned(path, owned) {
            return Err(GitError::BadPath {
                path: path.to_string(),
                reason: "it is not under a path of ours",
            });
        }
        let action = match observed.files.get(path) {
            None => Action::Create,
            Some(_) if file.only_if_absent => continue,
            Some(entry) if is_same(entry, &file.content)? => continue,
            Some(_) => Action::Update,
        };
        let operation = GitOperation::Write {
            path: path.clone(),
            content: file.content.clone(),
        };
        plan.push(action, path.as_str(), Vec::new(), operation);
    }
    let surplus = observed
        .files
        .keys()
        .filter(|path| is_owned(path, owned) && !desired.contains_key(*path));
    for path in surplus {
        let operation = GitOperation::Remove { path: path.clone() };
        plan.push(Action::Delete, path.as_str(), Vec::new(), operation);
    }
    Ok(plan)
}

fn is_owned(path: &Utf8Path, owned: &[&str]) -> bool {
    owned.iter().any(|prefix| path.starts_with(prefix))
}

fn is_same(entry: &Entry, content: &Content) -> Result<bool, GitError> {
    let blob =
        Oid::hash_object(ObjectType::Blob, content.bytes()).map_err(GitError::local("hashing a file"))?;
    Ok(entry.mode == content.mode() && entry.blob == blob)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNED: [&str; 2] = ["apps", "clusters/lab"];

    /// What the branch holds after a plan was applied.
    fn applied(mut observed: ObservedBranch, plan: &Plan<GitOperation>) -> ObservedBranch {
        for step in &plan.steps {
            match &step.operation {
                GitOperation::Write { path, content } => {
                    let blob = Oid::hash_object(ObjectType::Blob, content.bytes()).unwrap();
                    let mode = content.mode();
                    observed.files.insert(path.clone(), Entry { mode, blob });
                }
                GitOperation::Remove { path } => {
                    observed.files.remove(path);
                }
            }
        }
        observed
    }

    fn branch(files: &[(&str, &str)]) -> ObservedBranch {
        let desired: DesiredFiles = files
            .iter()
            .map(|(path, text)| ((*path).into(), DesiredFile::text(*text)))
            .collect();
        let all: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        applied(
            ObservedBranch::default(),
            &plan(&desired, &all, &ObservedBranch::default()).unwrap(),
        )
    }

    fn shown(plan: &Plan<GitOperation>) -> Vec<(Action, &str)> {
        plan.changes()
            .map(|change| (change.action, change.object.as_str()))
            .collect()
    }

    #[test]
    fn test_plan_leaves_foreign_files_alone() {
        let observed = branch(&[
            ("README.md", "theirs"),
            ("apps/old/app.yaml", "x"),
            ("apps/web/app.yaml", "before"),
            ("clusters/lab-2/dns.yaml", "theirs"),
            ("clusters/lab/kept.yaml", "patched by people"),
        ]);
        let desired = DesiredFiles::from([
            ("apps/web/app.yaml".into(), DesiredFile::text("after")),
            ("clusters/lab/dns.yaml".into(), DesiredFile::text("new")),
            (
                "clusters/lab/kept.yaml".into(),
                DesiredFile::text("ours").only_if_absent(),
            ),
        ]);
        assert_eq!(
            shown(&plan(&desired, &OWNED, &observed).unwrap()),
            [
                (Action::Update, "apps/web/app.yaml"),
                (Action::Create, "clusters/lab/dns.yaml"),
                (Action::Delete, "apps/old/app.yaml"),
            ]
        );
    }

    #[test]
    fn test_a_branch_has_a_file_that_is_as_desired() {
        let observed = branch(&[("apps/a", "x")]);
        assert!(observed.has("apps/a".into(), &DesiredFile::text("x")));
        assert!(!observed.has("apps/a".into(), &DesiredFile::text("y")));
        assert!(!observed.has("apps/b".into(), &DesiredFile::text("x")));
    }

    #[test]
    fn test_a_changed_mode_alone_is_a_change() {
        let observed = branch(&[("apps/run.sh", "x")]);
        let executable = DesiredFile::from(Content::File {
            bytes: b"x".to_vec(),
            executable: true,
        });
        let desired = DesiredFiles::from([("apps/run.sh".into(), executable)]);
        assert_eq!(
            shown(&plan(&desired, &OWNED, &observed).unwrap()),
            [(Action::Update, "apps/run.sh")]
        );
    }

    #[test]
    fn test_a_desired_file_elsewhere_is_refused() {
        let desired = DesiredFiles::from([("README.md".into(), DesiredFile::text("x"))]);
        assert!(plan(&desired, &OWNED, &ObservedBranch::default()).is_err());
    }

    fn some_files() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec(("(apps|clusters/lab|docs)/[a-c]{1,2}", "[a-b]{0,2}"), 0..8)
    }

    proptest! {
        #[test]
        fn test_plan_of_what_was_applied_is_empty(before in some_files(), after in some_files()) {
            let before: Vec<_> = before.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            let observed = branch(&before);
            let desired: DesiredFiles = after
                .iter()
                .filter(|(path, _)| !path.starts_with("docs"))
                .map(|(path, text)| (path.into(), DesiredFile::text(text.as_str())))
                .collect();
            let first = plan(&desired, &OWNED, &observed).unwrap();
            let reached = applied(observed.clone(), &first);
            prop_assert!(plan(&desired, &OWNED, &reached).unwrap().is_empty());
            for (path, entry) in &observed.files {
                if path.starts_with("docs") {
                    prop_assert_eq!(reached.files.get(path), Some(entry));
                }
            }
        }
    }
}
