//! A user's computer with what a test gives it, and what a command said there.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers as Java does when it is asked for its settings.
const JAVA: &str = "echo \"    java.home = /usr\nVERSION\" >&2";
/// A program that works for longer than any test.
const BUSY: &str = "exec sleep 1000";

/// A user with a home directory and programs of their own, and nothing else.
pub(crate) struct Computer {
    directory: tempfile::TempDir,
}

impl Computer {
    pub(crate) fn new() -> Self {
        // Short, for the path of a socket is limited.
        let directory = tempfile::Builder::new()
            .prefix("lotse-")
            .tempdir_in("/tmp")
            .unwrap();
        let computer = Self { directory };
        for name in ["home", "bin", "cache", "state", "assets"] {
            fs_err::create_dir(computer.path(name)).unwrap();
        }
        computer
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.directory.path()).unwrap().join(name)
    }

    /// Gives the user a program: shell text.
    pub(crate) fn with(self, name: &str, script: &str) -> Self {
        let path = self.path("bin").join(name);
        fs_err::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn with_java(self, version: &str) -> Self {
        self.with(
            "java",
            &JAVA.replace("VERSION", &format!("    java.version = {version}")),
        )
    }

    /// Gives the user every program a lab is built with; none of them comes to an end.
    pub(crate) fn with_busy(self, names: &[&str]) -> Self {
        names
            .iter()
            .fold(self, |computer, name| computer.with(name, BUSY))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", self.path("bin"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    /// The same on a computer whose file systems `mounting` (shell text) has changed: for this command and what it
    /// starts, in a mount namespace that ends with them.
    pub(crate) fn run_where(&self, mounting: &str, arguments: &[&str]) -> Ended {
        self.run_script_where(mounting, "exec \"$0\" \"$@\"", arguments)
    }

    /// There, `script` (shell text), which is given the program as `$0` and `arguments` as `$@`.
    pub(crate) fn run_script_where(&self, mounting: &str, script: &str, arguments: &[&str]) -> Ended {
        let plain = self.command(arguments);
        let mut command = Command::new("/usr/bin/unshare");
        let script = format!("(PATH=/usr/sbin:/usr/bin:/sbin:/bin; {mounting}) || exit 99; {script}");
        command
            .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", &script])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env_clear()
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        Ended::of(&command.output().unwrap())
    }

    /// Gives the user the programs of this machine that Go builds with. `settings` is the user's file of Go settings.
    pub(crate) fn with_go(self, settings: &str) -> Self {
        let directory = self.path("home/.config/go");
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("env"), settings).unwrap();
        ["go", "gcc", "git"].into_iter().fold(self, |computer, name| {
            computer.with(name, &format!("exec {} \"$@\"", of_this_machine(name)))
        })
    }

    /// A copy of this repository's declarations in which `from` reads `to` in the environment `lab`.
    pub(crate) fn declarations(&self, from: &str, to: &str) -> Utf8PathBuf {
        let copy = self.path("platform");
        fs_err::create_dir(&copy).unwrap();
        for folder in ["apps", "environments", "runbooks"] {
            let status = Command::new("/bin/cp")
                .args(["-r", folder, copy.as_str()])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(status.unwrap().success());
        }
        let file = copy.join("environments/lab/environment.yaml");
        let text = fs_err::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs_err::write(&file, text.replace(from, to)).unwrap();
        copy
    }

    /// The state of a lab that was stopped.
    pub(crate) fn with_stopped_lab(self, record: &str) -> Self {
        fs_err::create_dir_all(self.lab()).unwrap();
        fs_err::write(self.lab().join("lab.json"), record).unwrap();
        self
    }

    pub(crate) fn lab(&self) -> Utf8PathBuf {
        self.path("state/lotse/labs/default")
    }

    /// Every process that was started from here, told by its environment.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let wanted = format!("HOME={}", self.path("home"));
        let is_ours = |pid: i32| {
            let environment = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|entry| entry == wanted.as_bytes())
        };
        let entries = Utf8Path::new("/proc").read_dir_utf8().unwrap();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().parse().ok());
        numbers.filter(|&pid| is_ours(pid)).collect()
    }

    /// Waits until nothing runs that was started from here. A supervisor may take a moment to end after it has told
    /// that it does.
    pub(crate) fn assert_silent(&self) {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            assert!(
                begun.elapsed() < PATIENCE,
                "still running: {:?}",
                self.processes()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for_supervisor(&self, child: &mut Child) {
        let begun = Instant::now();
        while !self.path("cache/lotse/components").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            assert!(begun.elapsed() < PATIENCE, "no build has begun");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Where a program of this machine is.
fn of_this_machine(name: &str) -> Utf8PathBuf {
    let output = Command::new("/bin/sh")
        .args(["-c", "command -v \"$0\"", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name} is not on PATH: install it");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It failed with `code` and said all of `parts` in order, and nothing meant for its authors.
    #[track_caller]
    pub(crate) fn assert_says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let mut rest = self.err.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("`{part}` is missing in {self:#?}");
            };
            rest = after;
        }
        for word in ["panicked", "RUST_BACKTRACE", "{ ", "Some("] {
            assert!(!self.err.contains(word), "{self:#?}");
        }
        assert_eq!(self.err.matches("error: ").count(), 1, "{self:#?}");
    }
}
