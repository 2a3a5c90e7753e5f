//! The place where an editor sees plain text, and the end of everything that works there.
//!
//! sops starts the editor, and neither of them is asked before a signal ends it. So they are known by the place, which
//! stands in the environment of both.

use std::io;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// A file system in memory, where there is one: what an editor sees in plain text never gets to a disk.
const IN_MEMORY: &str = "/dev/shm";
/// Where programs put temporary files.
const VARIABLE: &str = "TMPDIR";
/// How long an editor may take to end when it is asked to; then it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A folder for plain text, which only the user can enter and which is gone when it is dropped.
pub(super) struct PlainPlace {
    folder: TempDir,
}

impl PlainPlace {
    pub(super) fn make() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("lotse-plain-");
        let folder = if Utf8Path::new(IN_MEMORY).is_dir() {
            builder.tempdir_in(IN_MEMORY)
        } else {
            builder.tempdir()
        };
        folder.map(|folder| Self { folder })
    }

    /// Has `command`, and all that it starts, put its temporary files here.
    pub(super) fn give_to(&self, command: &mut Command) {
        command.env(VARIABLE, self.folder.path());
    }

    /// Ends everything that works here: asks for it, and after `grace` kills it.
    pub(super) async fn end_all(&self, grace: Duration) {
        // Who is killed is waited for as well: what it wrote last has to go with the rest.
        for signal in [Signal::TERM, Signal::KILL] {
            self.signal_all(signal);
            let begun = Instant::now();
            while !self.processes().is_empty() && begun.elapsed() < grace {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        }
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.processes() {
            // It may have ended meanwhile.
            kill_process(process, signal).ok();
        }
    }

    /// Processes of the user that were started with this place; those that have ended have no environment.
    fn processes(&self) -> Vec<Pid> {
        let wanted = format!("{VARIABLE}={}", self.folder.path().display());
        let works_here = |process: &Utf8PathBuf| {
            let environment = fs_err::read(process.join("environ")).unwrap_or_default();
            let mut entries = environment.split(|byte| *byte == 0);
            entries.any(|entry| entry == wanted.as_bytes())
        };
        let entries = Utf8Path::new("/proc").read_dir_utf8().into_iter().flatten();
        entries
            .flatten()
            .map(|entry| entry.path().to_owned())
            .filter(works_here)
            .filter_map(|process| Pid::from_raw(process.file_name()?.parse().ok()?))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that goes when it is asked, one that does not, and one that its parent has left behind.
    #[tokio::test]
    async fn test_everything_that_works_there_is_ended_with_what_it_wrote() {
        let place = PlainPlace::make().unwrap();
        let folder = place.folder.path().to_owned();
        for script in [
            "echo plain > $TMPDIR/a; exec sleep 1000",
            "trap '' TERM; while :; do sleep 1000; done",
            "sleep 1000 & exit 0",
        ] {
            let mut command = Command::new("/bin/sh");
            place.give_to(&mut command);
            command.args(["-c", script]).spawn().unwrap();
        }
        while place.processes().len() < 3 || !folder.join("a").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        place.end_all(Duration::from_secs(1)).await;
        assert!(place.processes().is_empty());
        drop(place);
        assert!(!folder.exists());
    }
}
