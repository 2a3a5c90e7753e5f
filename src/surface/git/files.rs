//! Files as they stand in a repository, and a checkout's directories read as such.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::GitError;

/// What one path of the repository holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link, pointing inside the repository.
    Link {
        /// Where it points, as written.
        target: String,
    },
}

/// One path that should be in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFile {
    /// What it should hold.
    pub content: Content,
    /// Whether a file that is there already stays as it is: for files that people add to.
    pub only_if_absent: bool,
}

/// Everything that should be under the paths we own.
pub type DesiredFiles = BTreeMap<Utf8PathBuf, DesiredFile>;

impl DesiredFile {
    /// A plain file.
    #[must_use]
    pub fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Self::from(Content::File {
            bytes: bytes.into(),
            executable: false,
        })
    }

    /// The same, written only where nothing is yet.
    #[must_use]
    pub fn only_if_absent(mut self) -> Self {
        self.only_if_absent = true;
        self
    }
}

impl From<Content> for DesiredFile {
    fn from(content: Content) -> Self {
        Self {
            content,
            only_if_absent: false,
        }
    }
}

impl Content {
    /// As git names it: `100644`, `100755` or `120000`.
    pub(super) const fn mode(&self) -> u32 {
        match self {
            Self::File {
                executable: false, ..
            } => 0o100_644,
            Self::File { executable: true, .. } => 0o100_755,
            Self::Link { .. } => 0o120_000,
        }
    }

    /// What git keeps as the blob.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::File { bytes, .. } => bytes.as_slice(),
            Self::Link { target } => target.as_bytes(),
        }
    }
}

/// Reads the directories (or single files) `paths` of the checkout at `root`. What the checkout's `.gitignore`
/// leaves out is left out here; a path that is not there brings nothing.
///
/// # Errors
/// A file that can't be read, or a symbolic link that leaves the checkout.
pub fn read_checkout(root: &Utf8Path, paths: &[&str]) -> Result<DesiredFiles, GitError> {
    let reader = Reader {
        root,
        repository: git2::Repository::discover(root).ok(),
    };
    let mut files = DesiredFiles::new();
    for path in paths {
        let path = Utf8Path::new(path);
        if root.join(path).symlink_metadata().is_ok() {
            reader.read(path, &mut files)?;
        }
    }
    Ok(files)
}

struct Reader<'checkout> {
    root: &'checkout Utf8Path,
    repository: Option<git2::Repository>,
}

impl Reader<'_> {
    fn read(&self, path: &Utf8Path, files: &mut DesiredFiles) -> Result<(), GitError> {
        if path.file_name() == Some(".git") || self.is_ignored(path) {
            return Ok(());
        }
        let absolute = self.root.join(path);
        let fault = |source| GitError::ReadFile {
            path: path.to_string(),
            source,
        };
        let metadata = fs_err::symlink_metadata(&absolute).map_err(fault)?;
        if metadata.is_dir() {
            return self.read_directory(path, files);
        }
        let content = if metadata.is_symlink() {
            let target = fs_err::read_link(&absolute).map_err(fault)?;
            link(path, &target.to_string_lossy())?
        } else {
            Content::File {
                bytes: fs_err::read(&absolute).map_err(fault)?,
                executable: metadata.permissions().mode() & 0o100 != 0,
            }
        };
        files.insert(path.to_owned(), DesiredFile::from(content));
        Ok(())
    }

    fn read_directory(&self, path: &Utf8Path, files: &mut DesiredFiles) -> Result<(), GitError> {
        let fault = |source| GitError::ReadFile {
            path: path.to_string(),
            source,
        };
        for entry in fs_err::read_dir(self.root.join(path)).map_err(fault)? {
            let name = entry.map_err(fault)?.file_name();
            let name = name.to_str().ok_or_else(|| GitError::BadPath {
                path: path.join(name.to_string_lossy().as_ref()).to_string(),
                reason: "it is not UTF-8",
            })?;
            self.read(&path.join(name), files)?;
        }
        Ok(())
    }

    fn is_ignored(&self, path: &Utf8Path) -> bool {
        let absolute = self.root.canonicalize_utf8().map(|root| root.join(path));
        match (&self.repository, absolute) {
            (Some(repository), Ok(absolute)) => repository.is_path_ignored(absolute).unwrap_or(false),
            _ => false,
        }
    }
}

/// A link at `path`, refused when it leaves the repository.
fn link(path: &Utf8Path, target: &str) -> Result<Content, GitError> {
    let parent = path.parent().unwrap_or_else(|| Utf8Path::new(""));
    let mut depth = 0_usize;
    let mut stays_inside = !Utf8Path::new(target).is_absolute();
    for component in parent.join(target).components() {
        match component {
            Utf8Component::Normal(_) => depth += 1,
            Utf8Component::ParentDir if depth > 0 => depth -= 1,
            Utf8Component::CurDir => {}
            _ => stays_inside = false,
        }
    }
    if !stays_inside {
        return Err(GitError::LinkOutside {
            path: path.to_string(),
            target: target.to_owned(),
        });
    }
    Ok(Content::Link {
        target: target.to_owned(),
    })
}

/// Refuses what git would refuse, or what would reach outside of the repository.
pub(super) fn check_path(path: &Utf8Path) -> Result<(), GitError> {
    let fault = |reason| GitError::BadPath {
        path: path.to_string(),
        reason,
    };
    if path.as_str().is_empty() {
        return Err(fault("it is empty"));
    }
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) if !name.eq_ignore_ascii_case(".git") => {}
            Utf8Component::Normal(_) => return Err(fault("`.git` is git's own")),
            _ => return Err(fault("it must be relative, without `.` and `..`")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        fs_err::create_dir_all(root.join("apps/web")).unwrap();
        fs_err::write(root.join("apps/web/app.yaml"), "kind: App\n").unwrap();
        (directory, root)
    }

    #[test]
    fn test_checkout_keeps_modes_and_links_and_leaves_ignored_files_out() {
        let (_directory, root) = checkout();
        git2::Repository::init(&root).unwrap();
        fs_err::write(root.join(".gitignore"), "*.secret\n").unwrap();
        fs_err::write(root.join("apps/web/key.secret"), "x").unwrap();
        let script = root.join("apps/web/run.sh");
        fs_err::write(&script, "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::os::unix::fs::symlink("../web/app.yaml", root.join("apps/web/same.yaml")).unwrap();

        let files = read_checkout(&root, &["apps", "runbooks"]).unwrap();

        let shown: Vec<_> = files
            .iter()
            .map(|(path, file)| (path.as_str(), format!("{:o}", file.content.mode())))
            .collect();
        assert_eq!(
            shown,
            [
                ("apps/web/app.yaml", "100644".to_owned()),
                ("apps/web/run.sh", "100755".to_owned()),
                ("apps/web/same.yaml", "120000".to_owned()),
            ]
        );
    }

    #[test]
    fn test_link_out_of_the_checkout_is_refused() {
        for target in ["/etc/passwd", "../../../outside", "../../../../etc"] {
            let (_directory, root) = checkout();
            fs_err::os::unix::fs::symlink(target, root.join("apps/web/link")).unwrap();
            let error = read_checkout(&root, &["apps"]).unwrap_err();
            assert!(matches!(error, GitError::LinkOutside { .. }), "{error}");
        }
    }

    #[test]
    fn test_paths_that_git_refuses_are_refused() {
        for path in ["", "/etc", "a/../b", ".git/config", "a/.GIT/x"] {
            assert!(check_path(Utf8Path::new(path)).is_err(), "{path}");
        }
        check_path(Utf8Path::new("clusters/lab/dns.yaml")).unwrap();
    }
}
