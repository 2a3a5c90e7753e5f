//! Runs of two programs in turn, and what each costs.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use wait4::Wait4;

/// How often the two programs of a pair run and are counted.
pub(crate) const PAIRS: usize = 9;

/// First argument of a run that only measures another program.
const MEASURE: &str = "--measure";

/// A command that is run again and again.
pub(crate) struct Run {
    program: String,
    arguments: Vec<String>,
    before: Option<Box<dyn Fn()>>,
}

/// What one run cost.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    /// User and system time of all threads.
    cpu: Duration,
    /// Bytes at most in memory at once.
    memory: u64,
}

/// One run that ended.
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    output: String,
    cost: Cost,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<Utf8Path>, arguments: &[&str]) -> Self {
        Self {
            program: program.as_ref().to_string(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            before: None,
        }
    }

    /// Calls `step` before each run; it is not counted.
    pub(crate) fn before(mut self, step: impl Fn() + 'static) -> Self {
        self.before = Some(Box::new(step));
        self
    }

    /// Runs it twice, and counts the second time: the other program of the pair left the processor's caches full of its own.
    fn warm(&self) -> Ended {
        self.once();
        self.once()
    }

    /// Runs it below a new process of this program: what a child costs begins with the memory of its parent.
    pub(crate) fn once(&self) -> Ended {
        if let Some(step) = &self.before {
            step();
        }
        let measured = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg(MEASURE)
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .expect("this program starts");
        let told = String::from_utf8(measured.stderr).expect("what was measured is text");
        let numbers: Vec<u64> = told
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [wall, cpu, memory] = numbers[..] else {
            unreachable!("three numbers are told: {told}")
        };
        Ended {
            is_success: measured.status.success(),
            output: String::from_utf8(measured.stdout).expect("the output is text"),
            cost: Cost {
                wall: Duration::from_micros(wall),
                cpu: Duration::from_micros(cpu),
                memory,
            },
        }
    }
}

/// Runs the command that is named after [`MEASURE`] and tells what it cost: microseconds of wall time, of CPU time, and bytes.
/// Gives whether it succeeded; nothing where this is no such run.
pub(crate) fn measure(arguments: &[String]) -> Option<bool> {
    let [_, first, program, rest @ ..] = arguments else {
        return None;
    };
    if first != MEASURE {
        return None;
    }
    let started = Instant::now();
    let mut command = Command::new(program);
    let mut child = command
        .args(rest)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let ended = child.wait4().expect("the program is waited for");
    let wall = started.elapsed().as_micros();
    let cpu = (ended.rusage.utime + ended.rusage.stime).as_micros();
    let told = format!("{wall} {cpu} {}\n", ended.rusage.maxrss);
    std::io::stderr()
        .write_all(told.as_bytes())
        .expect("stderr can be written");
    Some(ended.status.success())
}

/// What runs of two programs in turn cost.
pub(crate) struct Pairs {
    costs: Vec<(Cost, Cost)>,
    /// What the peer wrote last.
    pub(crate) last_output_of_peer: String,
}

impl Pairs {
    pub(crate) fn run(ours: &Run, theirs: &Run) -> Self {
        let mut pairs = Self {
            costs: Vec::new(),
            last_output_of_peer: String::new(),
        };
        for _ in 0..PAIRS {
            let (our, their) = (ours.warm(), theirs.warm());
            assert!(our.is_success && their.is_success, "both have to do their work");
            pairs.costs.push((our.cost, their.cost));
            pairs.last_output_of_peer = their.output;
        }
        pairs
    }

    /// A row of the table; ratios are those of the peer to lotse.
    pub(crate) fn row(&self, what: &str) -> String {
        let ours = |of: fn(&Cost) -> f64| median(self.costs.iter().map(|(our, _)| of(our)));
        let theirs = |of: fn(&Cost) -> f64| median(self.costs.iter().map(|(_, their)| of(their)));
        let ratio = |of: fn(&Cost) -> f64| median(self.costs.iter().map(|(our, their)| of(their) / of(our)));
        let both = |side: &dyn Fn(fn(&Cost) -> f64) -> f64| {
            format!(
                "{:.1} ms, {:.1} ms CPU, {:.1} MiB",
                side(wall) * 1e3,
                side(cpu) * 1e3,
                side(memory)
            )
        };
        format!(
            "| {what} | {} | {} | {:.2}× | {:.2}× | {:.2}× |\n",
            both(&ours),
            both(&theirs),
            ratio(wall),
            ratio(cpu),
            ratio(memory)
        )
    }
}

fn wall(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64()
}

/// At least the clock's own step: a run may end before it is counted.
fn cpu(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64().max(1e-4)
}

#[expect(clippy::cast_precision_loss, reason = "to a tenth of a MiB")]
fn memory(cost: &Cost) -> f64 {
    cost.memory as f64 / f64::from(1 << 20)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
