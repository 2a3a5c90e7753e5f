//! A place for the labs of one test, and how they are looked at.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use lotse::lab::component::Sources;
use lotse::lab::{self, LabError, LabStatus, RunningLab, UpOptions};
use lotse::names::LabName;
use lotse::report::{Event, Reporter};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::parts::Planned;

const PATIENCE: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn ourselves() -> Utf8PathBuf {
    Utf8PathBuf::try_from(std::env::current_exe().unwrap()).unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<Event>>);

impl Reporter for Told {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A state root of one test. However the test ends, its labs are ended with it.
pub(crate) struct House {
    directory: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        // Short, for the path of a socket is limited.
        let directory = tempfile::Builder::new()
            .prefix("lotse-")
            .tempdir_in("/tmp")
            .unwrap();
        Self { directory }
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.directory.path()).unwrap()
    }

    /// The directory of one lab.
    pub(crate) fn lab(&self, name: &str) -> Utf8PathBuf {
        self.root().join("labs").join(name)
    }

    pub(crate) fn plan(&self, name: &str, plan: &[Planned]) {
        let text = serde_json::to_vec(plan).unwrap();
        fs_err::write(self.root().join(format!("{name}.plan")), text).unwrap();
    }

    pub(crate) fn options(&self, name: &str) -> UpOptions {
        UpOptions {
            name_server: None,
            extras: std::collections::BTreeSet::new(),
            name: LabName::new(name).unwrap(),
            state_root: self.root().to_owned(),
            sources: Sources {
                assets: None,
                kubebuilder_assets: None,
                cache: self.root().join("cache"),
            },
            program: ourselves(),
            interrupted: CancellationToken::new(),
        }
    }

    pub(crate) async fn up(&self, name: &str) -> Result<RunningLab, LabError> {
        lab::up(&self.options(name), &Told::default()).await
    }

    pub(crate) async fn down(&self, name: &str) -> Result<(), LabError> {
        lab::down(self.root(), &LabName::new(name).unwrap(), &Told::default()).await
    }

    pub(crate) async fn status(&self, name: &str) -> LabStatus {
        lab::status(self.root(), &LabName::new(name).unwrap())
            .await
            .unwrap()
    }

    /// Waits until the lab is as wanted.
    pub(crate) async fn wait(&self, name: &str, is_wanted: impl Fn(&LabStatus) -> bool) -> LabStatus {
        let begun = Instant::now();
        loop {
            let status = self.status(name).await;
            if is_wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "still: {status:#?}");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until `process` of the lab was started.
    pub(crate) async fn wait_for_process(&self, name: &str, process: &str) {
        let begun = Instant::now();
        while !self.lab(name).join("lab.json").exists() || self.record(name)["processes"][process].is_null() {
            assert!(begun.elapsed() < PATIENCE, "`{process}` was not started");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    pub(crate) fn record(&self, name: &str) -> Value {
        serde_json::from_slice(&fs_err::read(self.lab(name).join("lab.json")).unwrap()).unwrap()
    }

    pub(crate) fn supervisor(&self, name: &str) -> i32 {
        number(&self.record(name)["supervisor"]["pid"])
    }

    pub(crate) fn process(&self, name: &str, process: &str) -> i32 {
        number(&self.record(name)["processes"][process]["pid"])
    }

    /// Every process that belongs to the lab by what its environment says.
    pub(crate) fn processes(&self, name: &str) -> Vec<i32> {
        let record = self.record(name);
        marked(&format!(
            "LOTSE_LAB={name}/{}",
            record["identifier"].as_str().unwrap()
        ))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let root = self.root().to_owned();
        let clean = move || {
            for name in lab::state::known_labs(&root) {
                // What matters is how the test itself ended.
                drop(runtime().block_on(lab::down(&root, &name, &Told::default())));
            }
        };
        // In a thread of its own, since the test's runtime does not let another one block here.
        std::thread::spawn(clean).join().unwrap();
    }
}

fn number(value: &Value) -> i32 {
    let number = value.as_i64().unwrap_or_else(|| panic!("{value} is no number"));
    i32::try_from(number).unwrap()
}

fn marked(mark: &str) -> Vec<i32> {
    let has_mark = |pid: i32| {
        let environment = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == mark.as_bytes())
    };
    let entries = Utf8Path::new("/proc").read_dir_utf8().unwrap();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().parse().ok());
    numbers.filter(|&pid| has_mark(pid)).collect()
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat"));
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) async fn until_gone(pid: i32) {
    let begun = Instant::now();
    while runs(pid) {
        assert!(begun.elapsed() < PATIENCE, "process {pid} still runs");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
