//! The right to make one entry of the cache: a locked file, and the directory in which the entry is made.

use std::fs::TryLockError;
use std::io;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use tokio::sync::oneshot;

use crate::lab::files;
use crate::report::Task;

use super::cache::{Cache, entry_name, seal};
use super::{Acquired, Component, ComponentError};

/// Begins the names of directories in which entries are made.
const MAKING: &str = ".making-";
/// The directory of the lock files.
const LOCKS: &str = ".locks";

/// The right to make one entry; ends with the value, or with the process that holds it.
pub(super) struct Claim {
    cache: Cache,
    component: Component,
    begun: Instant,
    /// The system releases the lock when the file is closed, also for a killed process.
    _lock: File,
}

/// The directory in which an entry is made; goes with the value unless it was published.
pub(super) struct Scaffold<'claim> {
    claim: &'claim Claim,
    root: Utf8PathBuf,
}

impl Claim {
    /// Waits until nobody else makes `component`, and removes what dead builders left.
    pub(super) async fn take(
        cache: &Cache,
        component: Component,
        task: &Task<'_>,
    ) -> Result<Self, ComponentError> {
        let path = cache.root().join(LOCKS).join(entry_name(component));
        let failed = |error| ComponentError::from_io(component, &path, error);
        let lock = files::open_lock(&path).map_err(failed)?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::WouldBlock) => {
                task.waiting(format!("{}, which makes it already", holder(&path)));
                wait_for(lock).await.map_err(failed)?
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        fs_err::write(&path, std::process::id().to_string()).map_err(failed)?;
        sweep(cache.root());
        Ok(Self {
            cache: cache.clone(),
            component,
            begun: Instant::now(),
            _lock: lock,
        })
    }

    /// Makes an empty scaffold.
    pub(super) fn scaffold(&self) -> Result<Scaffold<'_>, ComponentError> {
        let name = format!("{MAKING}{}", entry_name(self.component));
        let scaffold = Scaffold {
            claim: self,
            root: self.cache.root().join(name),
        };
        clear(&scaffold.root);
        for directory in [scaffold.home(), scaffold.work(), scaffold.temporary()] {
            fs_err::create_dir_all(&directory).map_err(|error| scaffold.failed(error))?;
        }
        Ok(scaffold)
    }
}

impl Scaffold<'_> {
    /// What becomes the entry.
    pub(super) fn home(&self) -> Utf8PathBuf {
        self.root.join("entry")
    }

    /// Where the programs that make it run.
    pub(super) fn work(&self) -> Utf8PathBuf {
        self.root.join("work")
    }

    /// Where they put temporary files.
    pub(super) fn temporary(&self) -> Utf8PathBuf {
        self.root.join("tmp")
    }

    /// Lists the entry's files and moves it to its place in one step.
    pub(super) async fn publish(self) -> Result<Acquired, ComponentError> {
        let component = self.claim.component;
        let (home, begun) = (self.home(), self.claim.begun);
        tokio::task::spawn_blocking(move || seal(&home, component, begun))
            .await
            .map_err(|source| ComponentError::Interrupted { component, source })?
            .map_err(|error| self.failed(error))?;
        let entry = self.claim.cache.entry(component);
        remove(&entry)
            .and_then(|()| fs_err::rename(self.home(), &entry))
            .map_err(|error| self.failed(error))?;
        Ok(Acquired::new(entry, component))
    }

    /// What a failure of the file system in here means.
    pub(super) fn failed(&self, error: io::Error) -> ComponentError {
        ComponentError::from_io(self.claim.component, &self.root, error)
    }
}

impl Drop for Scaffold<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.root) {
            tracing::warn!(%error, "a half-made component stays until the next build");
        }
    }
}

/// Who holds the lock, as far as the file says.
fn holder(path: &Utf8Path) -> String {
    match fs_err::read_to_string(path) {
        Ok(pid) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
        _ => "another process".to_owned(),
    }
}

/// Waits for the lock on a thread of its own: it may take as long as a build, and must not keep this program
/// from ending.
async fn wait_for(lock: File) -> io::Result<File> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let locked = lock.lock().map(|()| lock);
        drop(sender.send(locked));
    });
    receiver.await.map_err(io::Error::other)?
}

/// Removes what builders left that were killed: every scaffold whose lock nobody holds. What can't be removed
/// stays for the next time.
fn sweep(root: &Utf8Path) {
    let Ok(entries) = root.read_dir_utf8() else {
        return;
    };
    for entry in entries.flatten() {
        let Some(name) = entry.file_name().strip_prefix(MAKING) else {
            continue;
        };
        let lock = files::open_lock(&root.join(LOCKS).join(name));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            clear(entry.path());
        }
    }
}

/// Ends what still works in a dead builder's scaffold, and removes it.
fn clear(scaffold: &Utf8Path) {
    for orphan in super::tool::leaders_below(scaffold) {
        if let Err(error) = rustix::process::kill_process_group(orphan, rustix::process::Signal::KILL) {
            tracing::debug!(%error, "an orphan of a killed build was gone already");
        }
    }
    if let Err(error) = remove(scaffold) {
        tracing::warn!(%error, "what a killed build left stays until the next one");
    }
}

fn remove(directory: &Utf8Path) -> io::Result<()> {
    match fs_err::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
