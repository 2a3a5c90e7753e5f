//! One bootstrap of an environment at a time on this computer: two that change the same things at once would trip over
//! each other.

use std::fs::TryLockError;
use std::io::{self, Write};
use std::time::Duration;

use camino::Utf8Path;
use fs_err::File;

use super::{CommandError, Kind, Settings};
use crate::lab::files;
use crate::names::EnvironmentName;
use crate::report::{Reporter, Task};

const ASK_EVERY: Duration = Duration::from_millis(100);
/// The task under which waiting is shown.
const TASK: &str = "bootstrap";

/// The right to change an environment; ends with the value, or with the process that holds it.
pub(super) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until no other bootstrap of `environment` runs for this user.
    ///
    /// # Does not
    /// keep somebody on another computer from doing the same.
    pub(super) async fn take(
        environment: &EnvironmentName,
        settings: &Settings,
        reporter: &dyn Reporter,
    ) -> Result<Self, CommandError> {
        let path = settings
            .state
            .join("bootstrap")
            .join(format!("{environment}.lock"));
        let failed = |error: io::Error| {
            CommandError::new(
                Kind::Failed,
                format!("the lock of environment {environment} can't be kept: {error}"),
            )
            .hint("choose another place with XDG_STATE_HOME if this one can't be written")
        };
        let lock = files::open_lock(&path).map_err(failed)?;
        tokio::select! {
            locked = wait_for(&lock, &path, environment, reporter) => locked.map_err(failed)?,
            () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
        }
        Ok(Self { _lock: lock })
    }
}

/// Asks again and again rather than blocking in the system, so that whoever waits can be interrupted.
async fn wait_for(
    lock: &File,
    path: &Utf8Path,
    environment: &EnvironmentName,
    reporter: &dyn Reporter,
) -> io::Result<()> {
    let mut task = None;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                task.get_or_insert_with(|| tell(reporter, path, environment));
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
    if let Some(task) = task {
        task.finish("the other one has ended");
    }
    lock.set_len(0)?;
    let mut writer: &std::fs::File = lock.file();
    write!(writer, "{}", std::process::id())
}

/// Says at once, and not only when it has taken a while, who is waited for.
fn tell<'reporter>(
    reporter: &'reporter dyn Reporter,
    path: &Utf8Path,
    environment: &EnvironmentName,
) -> Task<'reporter> {
    let task = Task::start(
        reporter,
        TASK,
        format!("waiting for another bootstrap of {environment}"),
    );
    let holder = match fs_err::read_to_string(path) {
        Ok(pid) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    task.warn(format!(
        "{holder} is changing {environment} already; this one goes on when that has ended"
    ));
    task
}
