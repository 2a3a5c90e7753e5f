//! Runs of two programs in turn, and what each costs.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use wait4::Wait4;

/// How often the two programs of a pair run, after one run each that is not counted.
pub(crate) const PAIRS: usize = 9;

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

    pub(crate) fn once(&self) -> Ended {
        if let Some(step) = &self.before {
            step();
        }
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut output = String::new();
        let mut stdout = child.stdout.take().expect("stdout is piped");
        stdout.read_to_string(&mut output).expect("the output is text");
        let ended = child.wait4().expect("the program is waited for");
        Ended {
            is_success: ended.status.success(),
            output,
            cost: Cost {
                wall: started.elapsed(),
                cpu: ended.rusage.utime + ended.rusage.stime,
                memory: ended.rusage.maxrss,
            },
        }
    }
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
        for round in 0..=PAIRS {
            let (our, their) = (ours.once(), theirs.once());
            assert!(our.is_success && their.is_success, "both have to do their work");
            if round > 0 {
                pairs.costs.push((our.cost, their.cost));
            }
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
