//! Runs the programs that make components: each leads a process group of its own, which dies with the future.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};

use camino::Utf8Path;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::{Component, ComponentError};

/// How many of the last lines of a failed program are kept.
const LAST_LINES: usize = 30;

/// The programs on a search path.
pub(super) struct Toolbox {
    search_path: Option<OsString>,
}

/// One call of a program.
pub(super) struct Call<'call> {
    pub(super) component: Component,
    pub(super) program: &'call str,
    pub(super) remedy: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) directory: &'call Utf8Path,
}

/// What a program that ended wrote.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    /// All it wrote to stdout, lines ended by `\n`.
    pub(super) stdout: String,
    /// The last lines that may tell why it failed.
    pub(super) last: Vec<String>,
}

/// Where a line came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Toolbox {
    pub(super) fn new(search_path: Option<OsString>) -> Self {
        Self { search_path }
    }

    /// The search path in effect; nothing is that of this process.
    pub(super) fn search_path(&self) -> Option<&OsStr> {
        self.search_path.as_deref()
    }

    /// Runs `call` to its end and tells `observe` each line as it comes; it answers whether the line may tell why
    /// the program failed. Carriage returns end lines too.
    pub(super) async fn run(
        &self,
        call: &Call<'_>,
        mut observe: impl FnMut(&str) -> bool + Send,
    ) -> Result<Output, ComponentError> {
        let mut group = self.spawn(call)?;
        let (sender, mut lines) = mpsc::channel(256);
        if let Some(stdout) = group.child.stdout.take() {
            tokio::spawn(read_lines(stdout, Stream::Stdout, sender.clone()));
        }
        if let Some(stderr) = group.child.stderr.take() {
            tokio::spawn(read_lines(stderr, Stream::Stderr, sender));
        }
        let mut stdout = String::new();
        let mut last = Vec::new();
        while let Some((stream, line)) = lines.recv().await {
            if stream == Stream::Stdout {
                stdout.push_str(&line);
                stdout.push('\n');
            }
            if observe(&line) {
                remember(&mut last, line);
            }
        }
        let status = group.wait().await.map_err(|source| broken(call, source))?;
        Ok(Output { status, stdout, last })
    }

    /// Runs `call` to its end; anything but success is an error made from its last lines by `explain`.
    pub(super) async fn succeed(
        &self,
        call: &Call<'_>,
        observe: impl FnMut(&str) -> bool + Send,
        explain: impl FnOnce(Component, &str) -> Option<ComponentError>,
    ) -> Result<String, ComponentError> {
        let output = self.run(call, observe).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let last = output.last.join("\n");
        Err(
            explain(call.component, &last).unwrap_or_else(|| ComponentError::BuildFailed {
                component: call.component,
                tool: call.program.to_owned(),
                status: output.status.to_string(),
                last,
            }),
        )
    }

    fn spawn(&self, call: &Call<'_>) -> Result<Group, ComponentError> {
        let mut command = Command::new(call.program);
        command
            .args(&call.arguments)
            .envs(call.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(call.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = self.search_path() {
            command.env("PATH", path);
        }
        match command.spawn() {
            Ok(child) => Ok(Group::of(child)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Err(ComponentError::ToolMissing {
                component: call.component,
                tool: call.program.to_owned(),
                remedy: call.remedy,
            }),
            Err(source) => Err(broken(call, source)),
        }
    }
}

/// A child that leads its process group. Dropping it kills the whole group, since compilers outlive a killed `go`.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self { child, leader }
    }

    /// Waits for the leader. After that its number may belong to somebody else, so the group is let go.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.leader = None;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader
            && let Err(error) = rustix::process::kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!(%error, "the process group of a build was gone already");
        }
    }
}

/// The leaders of process groups that run below `directory`, as `/proc` tells. None where there is no `/proc`.
pub(super) fn leaders_below(directory: &Utf8Path) -> Vec<Pid> {
    let Ok(processes) = Utf8Path::new("/proc").read_dir_utf8() else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter(|process| {
            let runs_in = process.path().join("cwd").read_link_utf8();
            runs_in.is_ok_and(|path| path.starts_with(directory))
        })
        .filter_map(|process| process.file_name().parse().ok().and_then(Pid::from_raw))
        .filter(|pid| rustix::process::getpgid(Some(*pid)).is_ok_and(|group| group == *pid))
        .collect()
}

fn broken(call: &Call<'_>, source: io::Error) -> ComponentError {
    ComponentError::ToolBroken {
        tool: call.program.to_owned(),
        source,
    }
}

fn remember(last: &mut Vec<String>, line: String) {
    if line.trim().is_empty() {
        return;
    }
    if last.len() == LAST_LINES {
        last.remove(0);
    }
    last.push(line);
}

async fn read_lines(
    mut reader: impl AsyncRead + Unpin,
    stream: Stream,
    sender: mpsc::Sender<(Stream, String)>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut pending = Vec::new();
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        for &byte in &buffer[..length] {
            if byte != b'\n' && byte != b'\r' {
                pending.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&pending).into_owned();
            pending.clear();
            if sender.send((stream, line)).await.is_err() {
                return;
            }
        }
    }
    if !pending.is_empty() {
        let line = String::from_utf8_lossy(&pending).into_owned();
        sender.send((stream, line)).await.ok();
    }
}
