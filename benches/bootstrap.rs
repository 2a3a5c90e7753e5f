//! How long a bring-up on the lab takes, and how much memory everything together needs.
//!
//! `cargo bench --bench bootstrap` brings the lab up from nothing, bootstraps it, and bootstraps it again; the
//! components are expected to be built (`lotse lab up` once). Prints one table, asserts nothing.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(500);

fn main() {
    let state = tempfile::Builder::new()
        .prefix("lotse-bench-")
        .tempdir_in("/tmp")
        .expect("a temporary directory");
    let run = |arguments: &[&str]| {
        let started = Instant::now();
        let status = Command::new(LOTSE)
            .args(arguments)
            .env("XDG_STATE_HOME", state.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("lotse can be started");
        assert!(status.success(), "lotse {} failed", arguments.join(" "));
        started.elapsed()
    };
    let memory = Memory::watch();
    let up = run(&["lab", "up"]);
    let first = run(&["bootstrap", "lab"]);
    let again = run(&["bootstrap", "lab"]);
    let peak = memory.end();
    run(&["lab", "down"]);
    let table = format!(
        "| step | measured |\n|---|---|\n\
         | `lab up`, components built | {:.1} s |\n\
         | `bootstrap lab` on the running lab | {:.1} s |\n\
         | both: `bootstrap lab` from nothing | {:.1} s |\n\
         | `bootstrap lab` again | {:.1} s |\n\
         | peak memory of all processes (PSS) | {} MiB |\n",
        up.as_secs_f64(),
        first.as_secs_f64(),
        (up + first).as_secs_f64(),
        again.as_secs_f64(),
        peak >> 20
    );
    std::io::stdout()
        .write_all(table.as_bytes())
        .expect("stdout can be written");
}

/// Samples the memory of every process of a lab: those that carry its mark in their environment.
struct Memory {
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Memory {
    fn watch() -> Self {
        let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stop) = (Arc::clone(&peak), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                seen.fetch_max(lab_memory(), Ordering::Relaxed);
                thread::sleep(SAMPLE);
            }
        });
        Self { peak, ended, thread }
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("sampling does not panic");
        self.peak.load(Ordering::Relaxed)
    }
}

/// Bytes, as proportional set size: a page shared by several processes counts once.
fn lab_memory() -> u64 {
    let Ok(processes) = fs_err::read_dir("/proc") else {
        return 0;
    };
    processes
        .flatten()
        .filter(|process| {
            fs_err::read(process.path().join("environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|one| one.starts_with(b"LOTSE_LAB="))
            })
        })
        .filter_map(|process| fs_err::read_to_string(process.path().join("smaps_rollup")).ok())
        .filter_map(|rollup| {
            let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum::<u64>()
        << 10
}
