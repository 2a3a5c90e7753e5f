//! Files that are written beside where they belong and put there as a whole, so that nobody ever sees half of one.
//!
//! A process that is killed leaves its file behind. Each is locked as long as its process lives, so that the next one
//! that writes into the same folder can tell and removes it.

use std::fs::{Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use camino::Utf8Path;
use tempfile::NamedTempFile;

use crate::causes;

/// How the names of all of them begin.
const PREFIX: &str = ".lotse-";
/// For everybody whom the user's umask lets.
pub const FOR_EVERYBODY: u32 = 0o666;
/// For the user alone.
pub const PRIVATE: u32 = 0o600;
/// One is made first and locked then; a younger one may be in between.
const SETTLED: Duration = Duration::from_secs(60);

/// An empty file in `folder`, whose name ends with `ending` and which is gone when it is dropped.
///
/// # Errors
/// When it can't be made.
pub fn file_in(folder: &Utf8Path, ending: &str, mode: u32) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(ending)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    // Where a file system has no locks, nothing can be told of them and nothing is swept.
    file.as_file().lock().ok();
    Ok(file)
}

/// Gives the file `path` this content, whether it is there or not.
///
/// # Guarantees
/// Where it fails, the file is as it was.
///
/// # Errors
/// When the folder is not there, or there is no room in it, or the path is that of a device or a pipe, which would be lost.
pub fn replace(path: &Utf8Path, content: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
    let write = || {
        refuse_device(path)?;
        let mut file = file_in(folder.unwrap_or_else(|| Utf8Path::new(".")), "", mode)?;
        file.write_all(content.as_ref())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| unwritten(path, &error))
}

/// # Errors
/// When `path` is that of a device, a pipe or a folder, which a file would take the place of.
pub fn refuse_device(path: &Utf8Path) -> io::Result<()> {
    if fs_err::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is there and no plain file",
        ));
    }
    Ok(())
}

/// The same error about `path`, since nobody knows the name of what was written in its place.
#[must_use]
pub fn unwritten(path: &Utf8Path, error: &io::Error) -> io::Error {
    let deepest = causes::chain(error).last().map(ToString::to_string);
    let why = deepest.unwrap_or_default();
    let why = why.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), format!("{path} can't be written: {why}"))
}

/// Removes from `folder` what processes left that are gone. What can't be looked at or removed is left: it is in nobody's
/// way.
pub fn sweep(folder: &Utf8Path) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.file_name().starts_with(PREFIX) && is_left_behind(entry.path()).unwrap_or(false) {
            tracing::info!(path = %entry.path(), "removing what a killed run left");
            drop(fs_err::remove_file(entry.path()));
        }
    }
}

fn is_left_behind(path: &Utf8Path) -> io::Result<bool> {
    let metadata = fs_err::symlink_metadata(path)?;
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    if !metadata.is_file() || age < SETTLED {
        return Ok(false);
    }
    match fs_err::File::open(path)?.file().try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn age(file: &std::fs::File) {
        file.set_modified(SystemTime::now() - 2 * SETTLED).unwrap();
    }

    #[test]
    fn test_a_file_that_cannot_be_written_is_named_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("none/plan");
        let told = replace(&path, "a", PRIVATE).unwrap_err().to_string();
        assert!(
            told.starts_with(&format!("{path} can't be written: No such file")),
            "{told}"
        );
        assert!(!told.contains(PREFIX), "{told}");
    }

    #[test]
    fn test_a_pipe_or_a_device_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let pipe = path.join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            pipe.as_std_path(),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let link = path.join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for there in [&pipe, &link, &path.to_owned()] {
            let error = replace(there, "text", PRIVATE).unwrap_err();
            assert!(error.to_string().contains("no plain file"), "{error}");
        }
        assert!(!pipe.metadata().unwrap().is_file() && link.is_symlink());
    }

    #[test]
    fn test_only_what_nobody_works_on_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(directory.path()).unwrap();
        let at_work = file_in(folder, ".yaml", PRIVATE).unwrap();
        age(at_work.as_file());
        for (name, is_old) in [(".lotse-a.yaml", true), (".lotse-b", false), ("lotse-c", true)] {
            let file = fs_err::File::create(folder.join(name)).unwrap();
            if is_old {
                age(file.file());
            }
        }
        fs_err::create_dir(folder.join(".lotse-d")).unwrap();
        sweep(folder);
        let left = folder.read_dir_utf8().unwrap();
        let mut left: Vec<String> = left.map(|entry| entry.unwrap().file_name().to_owned()).collect();
        left.retain(|name| Some(name.as_str()) != at_work.path().file_name().and_then(|name| name.to_str()));
        left.sort();
        assert_eq!(left, [".lotse-b", ".lotse-d", "lotse-c"]);
        assert!(at_work.path().exists());
    }

    #[test]
    fn test_a_file_that_has_no_room_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("a");
        replace(&path, "one", FOR_EVERYBODY).unwrap();
        replace(&path, "two", PRIVATE).unwrap();
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
        replace(&path.join("b"), "three", PRIVATE).unwrap_err();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }
}
