//! The tree and the files on disk: compare, write, remove what is stale.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;
use similar::TextDiff;

use super::{HEADER, RenderError, Tree};
use crate::{parallel, temporary};

/// Rendered files are for everybody who can read the repository.
const MODE: u32 = 0o644;

/// A file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<'text> {
    /// Path relative to the repository.
    pub path: Utf8PathBuf,
    /// What is wrong with it.
    pub kind: Kind,
    /// Text on disk, empty when absent.
    pub before: Cow<'text, str>,
    /// Text that belongs there, empty when the file does not.
    pub after: Cow<'text, str>,
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not there.
    Missing,
    /// It has other content.
    Changed,
    /// It was rendered earlier and does not belong to the tree any more.
    Stale,
}

impl Difference<'_> {
    /// A unified diff from what is on disk to what belongs there.
    #[must_use]
    pub fn unified(&self) -> String {
        let (before, after) = match self.kind {
            Kind::Missing => ("/dev/null".to_owned(), format!("b/{}", self.path)),
            Kind::Changed => (format!("a/{}", self.path), format!("b/{}", self.path)),
            Kind::Stale => (format!("a/{}", self.path), "/dev/null".to_owned()),
        };
        TextDiff::from_lines(self.before.as_ref(), self.after.as_ref())
            .unified_diff()
            .header(&before, &after)
            .to_string()
    }
}

/// What separates the files below `root` from `tree`, sorted by path. Files that lotse did not render are left alone.
pub fn compare<'tree>(tree: &'tree Tree, root: &Utf8Path) -> Result<Vec<Difference<'tree>>, RenderError> {
    check_folders(tree, root).map_err(files("looking at the folders of the tree"))?;
    let files: Vec<(&Utf8PathBuf, &String)> = tree.files.iter().collect();
    let found = parallel::map(&files, |(path, after)| difference(root, path, after));
    let mut differences = stale(tree, root)?;
    for difference in found {
        differences.extend(difference?);
    }
    for (path, after) in &tree.seeds {
        differences.extend(difference(root, path, after)?.filter(|each| each.kind == Kind::Missing));
    }
    differences.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(differences)
}

/// Makes the files below `root` equal to `tree` and tells what was not.
pub fn write<'tree>(tree: &'tree Tree, root: &Utf8Path) -> Result<Vec<Difference<'tree>>, RenderError> {
    let differences = compare(tree, root)?;
    let folders = differences.iter().filter_map(|each| each.path.parent());
    for folder in folders.collect::<BTreeSet<_>>() {
        temporary::sweep(&root.join(folder));
    }
    let made = parallel::map(&differences, |difference| {
        let path = root.join(&difference.path);
        if difference.kind == Kind::Stale {
            fs_err::remove_file(&path).map_err(files("removing a stale file"))
        } else {
            replace(&path, &difference.after).map_err(files("writing a rendered file"))
        }
    });
    made.into_iter().collect::<Result<(), _>>()?;
    Ok(differences)
}

fn replace(path: &Utf8Path, text: &str) -> io::Result<()> {
    match temporary::replace(path, text, MODE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(path.parent().unwrap_or_else(|| Utf8Path::new(".")))?;
            temporary::replace(path, text, MODE)
        }
        other => other,
    }
}

fn difference<'text>(
    root: &Utf8Path,
    path: &Utf8Path,
    after: &'text str,
) -> Result<Option<Difference<'text>>, RenderError> {
    let before = match text(&root.join(path)) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(files("reading a rendered file")(error)),
    };
    let kind = match &before {
        None => Kind::Missing,
        Some(before) if before != after => Kind::Changed,
        Some(_) => return Ok(None),
    };
    let before = before.unwrap_or_default();
    Ok(Some(Difference {
        path: path.to_owned(),
        kind,
        before: before.into(),
        after: after.into(),
    }))
}

/// Files that lotse rendered and that do not belong to `tree`.
fn stale(tree: &Tree, root: &Utf8Path) -> Result<Vec<Difference<'static>>, RenderError> {
    let mut found = Vec::new();
    let mut folders = vec![tree.folder.clone()];
    while let Some(folder) = folders.pop() {
        for (name, kind) in entries(&root.join(&folder)).map_err(files("listing rendered files"))? {
            let path = folder.join(name);
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("yaml")
                && !tree.files.contains_key(&path)
                && let Ok(before) = text(&root.join(&path))
                && before.starts_with(HEADER)
            {
                found.push(Difference {
                    path,
                    kind: Kind::Stale,
                    before: before.into(),
                    after: "".into(),
                });
            }
        }
    }
    Ok(found)
}

/// The text of a file; a pipe or device is refused without waiting for it.
fn text(path: &Utf8Path) -> io::Result<String> {
    let mut file = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other(format!(
            "{path} is in the way: it is not a file"
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Whether the folders of the tree are where they seem to be: what is written must stay below `root`.
fn check_folders(tree: &Tree, root: &Utf8Path) -> io::Result<()> {
    let real = match root.canonicalize_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let folders = tree.files.keys().filter_map(|path| path.parent());
    let folders: BTreeSet<&Utf8Path> = folders.flat_map(Utf8Path::ancestors).collect();
    for folder in folders.into_iter().filter(|folder| !folder.as_str().is_empty()) {
        match root.join(folder).canonicalize_utf8() {
            Ok(place) if !place.starts_with(&real) => {
                return Err(io::Error::other(format!(
                    "{folder} leads out of the repository, to {place}"
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Names and types of what is in `folder`; a symbolic link is one itself.
fn entries(folder: &Utf8Path) -> io::Result<Vec<(String, FileType)>> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.file_type()?));
        }
    }
    Ok(found)
}

fn files(action: &'static str) -> impl Fn(io::Error) -> RenderError {
    move |source| RenderError::Files { action, source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sample() -> Tree {
        let file =
            |name: &str, text: &str| (Utf8PathBuf::from(format!("clusters/x/{name}")), text.to_owned());
        Tree {
            folder: "clusters/x".into(),
            files: BTreeMap::from([file("a.yaml", &format!("{HEADER}\na: 1\n"))]),
            seeds: BTreeMap::from([file("flux-system/kustomization.yaml", "resources: []\n")]),
        }
    }

    fn kinds<'kind>(differences: &'kind [Difference<'_>]) -> Vec<(&'kind str, Kind)> {
        differences
            .iter()
            .map(|each| (each.path.as_str(), each.kind))
            .collect()
    }

    #[test]
    fn test_writing_makes_the_next_comparison_empty_and_leaves_foreign_files() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        assert_eq!(write(&sample(), root).unwrap().len(), 2);
        assert_eq!(compare(&sample(), root).unwrap(), Vec::new());

        fs_err::write(root.join("clusters/x/foreign.yaml"), "a: 1\n").unwrap();
        fs_err::write(root.join("clusters/x/old.yaml"), format!("{HEADER}\nold: 1\n")).unwrap();
        fs_err::write(
            root.join("clusters/x/flux-system/kustomization.yaml"),
            "resources: [mine]\n",
        )
        .unwrap();
        fs_err::write(root.join("clusters/x/a.yaml"), "a: 2\n").unwrap();
        let tree = sample();
        let differences = write(&tree, root).unwrap();
        assert_eq!(
            kinds(&differences),
            [
                ("clusters/x/a.yaml", Kind::Changed),
                ("clusters/x/old.yaml", Kind::Stale)
            ]
        );
        assert!(root.join("clusters/x/foreign.yaml").exists() && !root.join("clusters/x/old.yaml").exists());
        assert_eq!(compare(&sample(), root).unwrap(), Vec::new());
    }

    #[test]
    fn test_differences_are_shown_as_unified_diffs() {
        let difference = Difference {
            path: "clusters/x/a.yaml".into(),
            kind: Kind::Changed,
            before: "a: 2\n".into(),
            after: "a: 1\n".into(),
        };
        assert_eq!(
            difference.unified(),
            "--- a/clusters/x/a.yaml\n+++ b/clusters/x/a.yaml\n@@ -1 +1 @@\n-a: 2\n+a: 1\n"
        );
    }
}
