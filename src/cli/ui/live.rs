//! A terminal: one line per running task, rewritten in place, and one that stays when it ends.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::lines::{NAME_WIDTH, advice, finished, progress};
use super::style::Style;
use crate::report::{Event, Explanation, Reporter};

/// Redraws a second: enough to look alive, little enough not to flicker over a slow line.
const REDRAWS: u8 = 10;

/// How often the time behind a task moves on.
const TICK: Duration = Duration::from_millis(250);

/// Draws running tasks below and finished ones above.
pub(super) struct LiveReporter {
    screen: MultiProgress,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A task that is drawn.
#[derive(Clone)]
struct Running {
    bar: ProgressBar,
    /// What it does.
    what: String,
    /// The lines below its first.
    below: Arc<Mutex<String>>,
}

impl LiveReporter {
    pub(super) fn new() -> Self {
        Self {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS)),
            running: Mutex::default(),
        }
    }

    fn task(&self, task: &str) -> Running {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .entry(task.to_owned())
            .or_insert_with(|| self.begin(task))
            .clone()
    }

    fn begin(&self, task: &str) -> Running {
        let bar = self.screen.add(ProgressBar::new_spinner());
        let below = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&below);
        let key = move |_: &ProgressState, line: &mut dyn Write| {
            let below = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = line.write_str(&below);
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {msg} {elapsed:.dim}{below}") {
            bar.set_style(style.with_key("below", key));
        }
        bar.set_prefix(task.to_owned());
        bar.enable_steady_tick(TICK);
        Running {
            bar,
            what: String::new(),
            below,
        }
    }

    fn start(&self, task: &str, what: String) {
        let mut begun = self.task(task);
        begun.bar.set_elapsed(Duration::ZERO);
        begun.tell(what.clone(), String::new());
        begun.what = what;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(task.to_owned(), begun);
    }

    fn end(&self, task: &str, line: &str) {
        let ended = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task);
        if let Some(ended) = ended {
            ended.bar.finish_and_clear();
        }
        drop(self.screen.println(line));
    }
}

impl Reporter for LiveReporter {
    fn report(&self, event: Event) {
        match event {
            Event::Started { task, what } => self.start(&task, what),
            Event::Waiting { task, state } => self.task(&task).wait(&state),
            Event::Progress {
                task,
                done,
                total,
                unit,
            } => {
                self.task(&task).tell(progress(done, total, unit), String::new());
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

impl Running {
    fn tell(&self, first: String, below: String) {
        *self.below.lock().unwrap_or_else(PoisonError::into_inner) = below;
        self.bar.set_message(first);
    }

    /// What the task does stays in the first line; what is in its way is drawn below as a tree.
    fn wait(&self, state: &Explanation) {
        if state.path.is_empty() {
            return self.tell(state.to_string(), String::new());
        }
        let below = tree(state).into_iter().fold(String::new(), |mut text, line| {
            let _ = write!(text, "\n{:NAME_WIDTH$} {line}", "");
            text
        });
        self.tell(self.what.clone(), below);
    }
}

/// From what is waited for down to the deepest object that is not ready, what that says, and advice.
fn tree(state: &Explanation) -> Vec<String> {
    let indented = |depth: usize, text: &str| format!("{:depth$}{text}", "", depth = 2 * depth);
    let mut lines: Vec<String> = state
        .path
        .iter()
        .enumerate()
        .map(|(depth, object)| match depth {
            0 => object.clone(),
            _ => indented(depth - 1, &format!("└ {object}")),
        })
        .collect();
    let deepest = state.path.len().saturating_sub(1);
    if let (Some(last), age) = (lines.last_mut(), state.age())
        && !age.is_empty()
    {
        let _ = write!(last, "  for {age}");
    }
    lines.push(indented(deepest, &state.reason));
    lines.extend(advice(state).iter().map(|line| indented(deepest, line)));
    lines
}

impl Drop for LiveReporter {
    fn drop(&mut self) {
        drop(self.screen.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_is_in_the_way_is_drawn_as_a_tree() {
        let state = Explanation {
            path: vec![
                "Cluster/prod/prod".into(),
                "Machine/prod/a".into(),
                "OpenStackMachine/prod/a".into(),
            ],
            reason: "no valid flavor".into(),
            lasts: Some(Duration::from_secs(192)),
            event: Some("create failed".into()),
            remedy: Some("take another".into()),
            runbook: Some("runbooks/platform/cluster-not-ready.md".into()),
        };
        assert_eq!(
            tree(&state).join("\n"),
            "Cluster/prod/prod\n\
             └ Machine/prod/a\n  \
             └ OpenStackMachine/prod/a  for 3m 12s\n    \
             no valid flavor\n    \
             event: create failed\n    \
             help: take another\n    \
             runbook: runbooks/platform/cluster-not-ready.md"
        );
    }
}
