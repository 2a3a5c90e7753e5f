//! Writing files of the repository.

use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};

use super::{DECLARATION_LIMIT, inside, read};
use crate::diag::Diagnostic;
use crate::temporary;

/// A file that will be replaced as a whole: nobody ever sees half of it, and its mode stays.
#[derive(Debug)]
pub struct Replacement {
    temporary: tempfile::NamedTempFile,
    target: Utf8PathBuf,
    before: String,
}

impl Replacement {
    /// Writes `after` beside the declaration `path`, which is still `before`.
    ///
    /// # Errors
    /// When the file has another text by now, or can't be written.
    pub fn prepare(root: &Utf8Path, path: &Utf8Path, before: &str, after: &str) -> io::Result<Self> {
        let refused = |diagnostic: &Diagnostic| io::Error::other(diagnostic.message.clone());
        let now = read(root, path, DECLARATION_LIMIT).map_err(|unread| refused(&unread.diagnostic))?;
        if now != before {
            return Err(changed_meanwhile());
        }
        let target = inside(root, path).map_err(|diagnostic| refused(&diagnostic))?;
        let folder = target.parent().unwrap_or(root);
        let temporary =
            written(folder, after).map_err(|error| temporary::unwritten(&root.join(path), &error))?;
        fs_err::set_permissions(temporary.path(), fs_err::metadata(&target)?.permissions())?;
        Ok(Self {
            temporary,
            target,
            before: before.to_owned(),
        })
    }

    /// Puts it in the place of the file, which is looked at once more: two of us at once take turns, by a lock of the
    /// folder.
    ///
    /// # Errors
    /// When the file has another text by now.
    pub fn finish(self) -> io::Result<()> {
        let folder = self.target.parent().unwrap_or(&self.target);
        let turn = fs_err::File::open(folder)?;
        turn.file().lock()?;
        if fs_err::read_to_string(&self.target)? != self.before {
            return Err(changed_meanwhile());
        }
        self.temporary
            .persist(&self.target)
            .map(drop)
            .map_err(|error| error.error)
    }
}

fn changed_meanwhile() -> io::Error {
    io::Error::other("it was changed meanwhile; run the command again")
}

/// What became of a file that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was not there.
    Created,
    /// It was there with the same text: an earlier run wrote it.
    NotNeeded,
}

impl Creation {
    /// Writes `text` as the file `path` below `root`, with the folders it needs.
    ///
    /// # Errors
    /// When it is there with another text, when its folder is outside of `root`, or when it can't be written.
    pub fn make(root: &Utf8Path, path: &Utf8Path, text: &str) -> io::Result<Self> {
        if let Some(there) = Self::foresee(root, path, text)? {
            return Ok(there);
        }
        let target = root.join(path);
        let folder = target.parent().unwrap_or(root);
        fs_err::create_dir_all(folder)?;
        let temporary = written(folder, text).map_err(|error| temporary::unwritten(&target, &error))?;
        for_everybody(temporary.path())?;
        match temporary.persist_noclobber(&target) {
            Ok(_) => Ok(Self::Created),
            Err(error) => Err(error.error),
        }
    }

    /// What [`Creation::make`] would find there; nothing where it would write.
    pub fn foresee(root: &Utf8Path, path: &Utf8Path, text: &str) -> io::Result<Option<Self>> {
        let root = match root.canonicalize_utf8() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let whole = root.join(path);
        let folders = whole.ancestors().skip(1);
        for folder in folders.take_while(|folder| *folder != root) {
            match folder.canonicalize_utf8() {
                Ok(real) if !real.starts_with(&root) => {
                    let message = format!("{path} would be outside of the repository, below {real}");
                    return Err(io::Error::other(message));
                }
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if fs_err::symlink_metadata(&whole).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        match read(&root, path, DECLARATION_LIMIT) {
            Ok(there) if there == text => Ok(Some(Self::NotNeeded)),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{path} is there already, with another text"),
            )),
            Err(unread) => Err(io::Error::other(unread.diagnostic.message)),
        }
    }
}

/// A file in `folder` with the content `text`, which has arrived on the disk.
fn written(folder: &Utf8Path, text: &str) -> io::Result<tempfile::NamedTempFile> {
    temporary::sweep(folder);
    let mut file = temporary::file_in(folder, "", temporary::PRIVATE)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Temporary files are private; these are for everybody who can read the repository.
fn for_everybody(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Folder {
        directory: tempfile::TempDir,
    }

    impl Folder {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(directory.path().join("root/apps/web")).unwrap();
            Self { directory }
        }

        fn root(&self) -> Utf8PathBuf {
            Utf8PathBuf::from_path_buf(self.directory.path().join("root")).unwrap()
        }

        fn file(&self) -> Utf8PathBuf {
            self.root().join("apps/web/app.yaml")
        }

        fn text(&self) -> String {
            fs_err::read_to_string(self.file()).unwrap()
        }
    }

    #[test]
    fn test_a_file_is_replaced_as_a_whole_where_it_really_is() {
        let folder = Folder::new();
        let shared = folder.root().join("shared.yaml");
        fs_err::write(&shared, "a: 1").unwrap();
        fs_err::set_permissions(&shared, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("../../shared.yaml", folder.file()).unwrap();
        let prepare =
            |before| Replacement::prepare(&folder.root(), Utf8Path::new("apps/web/app.yaml"), before, "b: 2");
        assert!(
            prepare("a: 2")
                .unwrap_err()
                .to_string()
                .contains("changed meanwhile")
        );
        let replacement = prepare("a: 1").unwrap();
        assert_eq!(folder.text(), "a: 1");
        replacement.finish().unwrap();
        assert_eq!(folder.text(), "b: 2");
        assert!(folder.file().is_symlink());
        assert_eq!(
            fs_err::metadata(&shared).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            folder.root().read_dir_utf8().unwrap().count(),
            2,
            "nothing is left over"
        );
    }

    #[test]
    fn test_a_file_is_created_once_and_never_replaced() {
        let folder = Folder::new();
        let create = |text| Creation::make(&folder.root(), Utf8Path::new("apps/web/app.yaml"), text);
        assert_eq!(create("a: 1").unwrap(), Creation::Created);
        assert_eq!(create("a: 1").unwrap(), Creation::NotNeeded);
        assert_eq!(create("a: 2").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(folder.text(), "a: 1");
        let mode = fs_err::metadata(folder.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn test_nothing_is_created_where_a_link_leads_out() {
        let folder = Folder::new();
        symlink(folder.directory.path(), folder.root().join("apps/db")).unwrap();
        symlink("nowhere", folder.file()).unwrap();
        for path in [
            "apps/db/app.yaml",
            "apps/db/manifests/db.yaml",
            "apps/web/app.yaml",
        ] {
            assert!(Creation::make(&folder.root(), Utf8Path::new(path), "a: 1").is_err());
        }
        assert_eq!(folder.directory.path().read_dir().unwrap().count(), 1);
    }
}
