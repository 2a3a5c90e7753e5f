//! Who may start or remove a lab: one process at a time, told by locks that end with their holder.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::StateDirectory;

const ASK_EVERY: Duration = Duration::from_millis(50);

/// A lock on a lab, held until it is dropped or its process ends.
#[derive(Debug)]
pub(in crate::lab) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Waits until nobody else starts or removes the lab. `None` when the lab was removed meanwhile.
    pub(in crate::lab) async fn changing(directory: &StateDirectory) -> io::Result<Option<Self>> {
        Self::acquire(directory.root().join("change.lock")).await
    }

    /// Waits until no supervisor of the lab is alive. `None` when the lab was removed meanwhile.
    pub(in crate::lab) async fn supervising(directory: &StateDirectory) -> io::Result<Option<Self>> {
        Self::acquire(directory.root().join("supervisor.lock")).await
    }

    /// Asks again and again rather than blocking in the system, so that whoever waits can be interrupted.
    async fn acquire(path: Utf8PathBuf) -> io::Result<Option<Self>> {
        let mut options = fs_err::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?.into_parts().0,
        };
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(is_still_at(&file, &path)?.then_some(Self { _file: file })),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(ASK_EVERY).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Whether the locked file is the one that others find at `path`: it may have been removed while we waited.
fn is_still_at(file: &File, path: &Utf8Path) -> io::Result<bool> {
    match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => Ok(other?.ino() == file.metadata()?.ino()),
    }
}
