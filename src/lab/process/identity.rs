//! Which process is meant: told by `/proc`, so that a reused process number is never taken for the one before.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::MARK_VARIABLE;
use crate::names::LabName;

const ASK_EVERY: Duration = Duration::from_millis(20);

/// One process of this computer: its number, and when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process number.
    pub pid: i32,
    /// Clock ticks between the start of the computer and its own.
    pub started: u64,
}

/// What `/proc/<pid>/stat` says, as far as it matters here.
struct Stat {
    group: i32,
    started: u64,
    has_ended: bool,
}

impl ProcessIdentity {
    /// The process that has number `pid` now, if any.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self {
            pid,
            started: stat.started,
        })
    }

    /// Whether it runs. One that ended and was not yet collected by its parent does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.has_ended)
    }

    /// Whether it runs and carries `mark`.
    pub(in crate::lab) fn carries(self, mark: &str) -> bool {
        self.is_alive() && environment_mark(self.pid).as_deref() == Some(mark)
    }

    /// A handle that stays with this process, also when its number is reused.
    fn handle(self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        self.is_alive().then_some(handle)
    }
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Stat {
        has_ended: matches!(*fields.first()?, "Z" | "X") && !has_threads(pid),
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Whether there are threads besides the first one. That one may have ended while the others still hold files, ports
/// and locks.
fn has_threads(pid: i32) -> bool {
    fs_err::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

fn environment_mark(pid: i32) -> Option<String> {
    let environment = fs_err::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{MARK_VARIABLE}=");
    environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(prefix.as_bytes()))
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

pub(super) fn process_numbers() -> Vec<i32> {
    let entries = Utf8PathBuf::from("/proc").read_dir_utf8().into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().parse().ok())
        .collect()
}

/// Every running process that carries `mark`, ourselves left out.
pub(in crate::lab) fn marked_by(mark: &str) -> Vec<ProcessIdentity> {
    let ourselves = std::process::id().cast_signed();
    process_numbers()
        .into_iter()
        .filter(|&pid| pid != ourselves)
        .filter_map(ProcessIdentity::of)
        .filter(|process| process.carries(mark))
        .collect()
}

/// Every running process that works below `directory` and carries a mark of a lab called `name`, ourselves left out:
/// for a lab whose identifier can't be told any more.
pub(in crate::lab) fn marked_below(name: &LabName, directory: &Utf8Path) -> Vec<ProcessIdentity> {
    let prefix = format!("{name}/");
    let works_below = |pid: i32| {
        let place = Utf8PathBuf::from(format!("/proc/{pid}/cwd")).read_link_utf8();
        place.is_ok_and(|place| place.starts_with(directory))
    };
    let ourselves = std::process::id().cast_signed();
    process_numbers()
        .into_iter()
        .filter(|&pid| pid != ourselves && works_below(pid))
        .filter(|&pid| environment_mark(pid).is_some_and(|mark| mark.starts_with(&prefix)))
        .filter_map(ProcessIdentity::of)
        .filter(|process| process.is_alive())
        .collect()
}

/// Those of `group` (the number of its first process) that carry `mark`.
pub(super) fn group_marked_by(group: i32, mark: &str) -> Vec<ProcessIdentity> {
    process_numbers()
        .into_iter()
        .filter(|&pid| stat(pid).is_some_and(|stat| stat.group == group))
        .filter_map(ProcessIdentity::of)
        .filter(|process| process.carries(mark))
        .collect()
}

/// Ends `processes`: asks them to (SIGTERM), and after `patience` makes them (SIGKILL). Returns when none runs.
pub(in crate::lab) async fn end(processes: &[ProcessIdentity], patience: Duration) {
    future::join_all(processes.iter().map(|process| end_one(*process, patience))).await;
}

async fn end_one(process: ProcessIdentity, patience: Duration) {
    let Some(handle) = process.handle() else {
        return;
    };
    // A signal fails only when the process is gone, which is what is wanted.
    let _ = pidfd_send_signal(&handle, Signal::TERM);
    if tokio::time::timeout(patience, gone(process)).await.is_err() {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        gone(process).await;
    }
}

/// Asks until `process` has ended.
pub(in crate::lab) async fn gone(process: ProcessIdentity) {
    while process.is_alive() {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Memory in use (resident set, in KiB) by process group.
pub(in crate::lab) fn resident_memory_by_group() -> BTreeMap<i32, u64> {
    let mut memory = BTreeMap::new();
    for pid in process_numbers() {
        if let (Some(stat), Some(resident)) = (stat(pid), resident_memory(pid)) {
            *memory.entry(stat.group).or_default() += resident;
        }
    }
    memory
}

fn resident_memory(pid: i32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
