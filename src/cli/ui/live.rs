//! A terminal: one line per running task, rewritten in place, and one that stays when it ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::{finished, progress};
use super::style::Style;
use crate::report::{Event, Reporter};

/// Redraws a second: enough to look alive, little enough not to flicker over a slow line.
const REDRAWS: u8 = 10;

/// How often the time behind a task moves on.
const TICK: Duration = Duration::from_millis(250);

/// Draws running tasks below and finished ones above.
pub(super) struct LiveReporter {
    screen: MultiProgress,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl LiveReporter {
    pub(super) fn new() -> Self {
        Self {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS)),
            running: Mutex::default(),
        }
    }

    fn bar(&self, task: &str) -> ProgressBar {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .entry(task.to_owned())
            .or_insert_with(|| self.new_bar(task))
            .clone()
    }

    fn new_bar(&self, task: &str) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.set_prefix(task.to_owned());
        bar.enable_steady_tick(TICK);
        bar
    }

    fn end(&self, task: &str, line: &str) {
        let ended = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task);
        if let Some(bar) = ended {
            bar.finish_and_clear();
        }
        drop(self.screen.println(line));
    }
}

impl Reporter for LiveReporter {
    fn report(&self, event: Event) {
        match event {
            Event::Started { task, what } => {
                let bar = self.bar(&task);
                bar.set_elapsed(Duration::ZERO);
                bar.set_message(what);
            }
            Event::Waiting { task, state } => self.bar(&task).set_message(state),
            Event::Progress {
                task,
                done,
                total,
                unit,
            } => {
                self.bar(&task).set_message(progress(done, total, unit));
            }
            Event::Finished { task, summary, took } => self.end(&task, &finished(&task, &summary, took)),
            Event::Noted { task, message } => drop(self.screen.println(format!("{task:<10} {message}"))),
            Event::Warned { task, message } => {
                let warning = Style::of_stderr().warning("warning:");
                drop(self.screen.println(format!("{task:<10} {warning} {message}")));
            }
        }
    }
}

impl Drop for LiveReporter {
    fn drop(&mut self) {
        drop(self.screen.clear());
    }
}
