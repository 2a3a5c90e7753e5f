//! Plain lines for logs and CI: a line when a task waits for something new, one when it ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::style::duration;
use crate::report::{Event, Explanation, Reporter, Unit};

/// The least time between two lines of one task about its waiting, so that a log stays readable.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A task that waits for the same says so again after this time, so that a log shows that it goes on.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Only what has lasted so long gets advice: things that are on their way pass by themselves.
pub(super) const PASSES_BY_ITSELF: Duration = Duration::from_secs(15);

/// Column at which what a task says begins.
pub(super) const NAME_WIDTH: usize = 10;

/// Column at which the time a task took begins.
const TIME_COLUMN: usize = 68;

/// Writes one line per thing worth knowing.
pub(super) struct LineReporter<W> {
    shown: Mutex<Shown<W>>,
}

struct Shown<W> {
    output: W,
    tasks: BTreeMap<String, TaskLines>,
}

struct TaskLines {
    started: Instant,
    last_line: Instant,
    last_state: Explanation,
    is_advised: bool,
}

impl<W: Write> LineReporter<W> {
    pub(super) const fn new(output: W) -> Self {
        Self {
            shown: Mutex::new(Shown {
                output,
                tasks: BTreeMap::new(),
            }),
        }
    }
}

impl<W: Write + Send> Reporter for LineReporter<W> {
    fn report(&self, event: Event) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = shown.line(event) {
            drop(writeln!(shown.output, "{line}"));
        }
    }
}

impl<W> Shown<W> {
    fn line(&mut self, event: Event) -> Option<String> {
        let now = Instant::now();
        match event {
            Event::Started { task, what } => {
                self.tasks.insert(
                    task,
                    TaskLines {
                        started: now,
                        last_line: now,
                        last_state: what.into(),
                        is_advised: false,
                    },
                );
                None
            }
            Event::Waiting { task, state } => self.waiting(&task, state, now),
            Event::Progress {
                task,
                done,
                total,
                unit,
            } => self.waiting(&task, progress(done, total, unit).into(), now),
            Event::Finished { task, summary, took } => {
                self.tasks.remove(&task);
                Some(finished(&task, &summary, took))
            }
            Event::Noted { task, message } => Some(format!("{task:NAME_WIDTH$} {message}")),
            Event::Warned { task, message } => Some(format!("{task:NAME_WIDTH$} warning: {message}")),
        }
    }

    fn waiting(&mut self, task: &str, state: Explanation, now: Instant) -> Option<String> {
        let lines = self.tasks.entry(task.to_owned()).or_insert_with(|| TaskLines {
            started: now,
            last_line: now,
            last_state: Explanation::default(),
            is_advised: false,
        });
        let is_same = state.tells_the_same(&lines.last_state);
        let silent = now.duration_since(lines.last_line);
        let advice = advice(&state);
        let is_due = !is_same || silent >= SAID_AGAIN || (!advice.is_empty() && !lines.is_advised);
        if !is_due || silent < BETWEEN_LINES {
            return None;
        }
        lines.last_line = now;
        let taken = duration(now.duration_since(lines.started));
        let mut text = format!("{task:NAME_WIDTH$} {state} ({taken})");
        if !is_same || !lines.is_advised {
            for line in &advice {
                let _ = write!(text, "\n{:NAME_WIDTH$} {line}", "");
            }
        }
        lines.is_advised = !advice.is_empty();
        lines.last_state = state;
        Some(text)
    }
}

/// What to tell beyond the first line: nothing of what may pass by itself.
pub(super) fn advice(state: &Explanation) -> Vec<String> {
    let has_lasted = state.lasts.is_some_and(|lasts| lasts >= PASSES_BY_ITSELF);
    if has_lasted { state.advice() } else { Vec::new() }
}

/// The line of a task that ended well, its time in a column of its own.
pub(super) fn finished(task: &str, summary: &str, took: Duration) -> String {
    let said = format!("{task:NAME_WIDTH$} {summary}");
    format!("{said:TIME_COLUMN$} {:>6}", duration(took))
}

/// How far a countable piece of work is.
pub(super) fn progress(done: u64, total: Option<u64>, unit: Unit) -> String {
    let (done, total, word) = match unit {
        Unit::Bytes => (done >> 20, total.map(|total| total >> 20), "MiB"),
        Unit::Packages => (done, total, "packages"),
        Unit::Files => (done, total, "files"),
    };
    match total {
        Some(total) => format!("{done} of {total} {word}"),
        None => format!("{done} {word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_only_what_is_worth_a_line_is_written() {
        let mut shown = Shown {
            output: (),
            tasks: BTreeMap::new(),
        };
        let started = Event::Started {
            task: "flux".into(),
            what: "installs Flux".into(),
        };
        assert_eq!(shown.line(started), None);
        let waiting = Event::Waiting {
            task: "flux".into(),
            state: "source-controller is not ready".into(),
        };
        assert_eq!(shown.line(waiting), None, "too soon for a line");
        let finished = Event::Finished {
            task: "flux".into(),
            summary: "Ready".into(),
            took: Duration::from_millis(1200),
        };
        let line = shown.line(finished).unwrap();
        assert!(
            line.starts_with("flux       Ready ") && line.ends_with("  1.2s"),
            "{line}"
        );
    }

    #[test]
    fn test_advice_comes_with_what_lasts_and_once() {
        let mut shown = Shown {
            output: (),
            tasks: BTreeMap::new(),
        };
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let state = |lasts: u64| Explanation {
            path: vec!["Pod/web/a".into()],
            reason: "no image".into(),
            lasts: Some(Duration::from_secs(lasts)),
            remedy: Some("build it".into()),
            ..Explanation::default()
        };
        assert_eq!(shown.waiting("flux", state(0), begun), None);
        let line = |shown: &mut Shown<()>, seconds: u64| shown.waiting("flux", state(seconds), at(seconds));
        assert_eq!(
            line(&mut shown, 10).unwrap(),
            "flux       Pod/web/a: no image (for 10s) (10.0s)"
        );
        assert_eq!(line(&mut shown, 16), None, "too soon");
        assert_eq!(
            line(&mut shown, 21).unwrap(),
            "flux       Pod/web/a: no image (for 21s) (21.0s)\n           help: build it"
        );
        assert_eq!(line(&mut shown, 50), None);
        assert_eq!(
            line(&mut shown, 82).unwrap(),
            "flux       Pod/web/a: no image (for 1m 22s) (1m22s)"
        );
    }

    #[test]
    fn test_progress_of_bytes_is_in_mebibytes() {
        assert_eq!(progress(3 << 20, Some(166 << 20), Unit::Bytes), "3 of 166 MiB");
        assert_eq!(progress(12, None, Unit::Packages), "12 packages");
    }
}
