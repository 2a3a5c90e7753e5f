//! The only door to the terminal: data to stdout, everything else to stderr.

mod lines;
mod live;
mod style;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

pub(super) use style::{Style, duration};

use super::{CommandError, Kind};
use crate::report::Reporter;

/// The reporter that fits the terminal: one updated line per task on a TTY, plain lines otherwise.
#[must_use]
pub(super) fn reporter(quiet: bool) -> Arc<dyn Reporter> {
    if quiet {
        Arc::new(crate::report::Silent)
    } else if io::stderr().is_terminal() {
        Arc::new(live::LiveReporter::new())
    } else {
        Arc::new(lines::LineReporter::new(io::stderr()))
    }
}

/// Writes data to stdout. A closed pipe ends quietly: whoever reads has seen enough.
pub(super) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Writes to stderr.
pub(super) fn eprint(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()));
}

/// Whether somebody is there to answer questions.
pub(super) fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks before something is changed; no is the default.
///
/// # Errors
/// When nobody is there to answer.
pub(super) async fn confirm(question: &str) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(
            CommandError::new(Kind::Usage, format!("{question} There is no terminal to ask at"))
                .hint("say --yes to go ahead without being asked"),
        );
    }
    ask(question).await
}

/// Asks a question that is answered with yes or no; no is the default.
pub(super) async fn ask(question: &str) -> Result<bool, CommandError> {
    let answer = answer(&format!("{question} [y/N]")).await?;
    Ok(matches!(answer.as_str(), "y" | "Y" | "yes"))
}

/// What is typed after `question`, without space around it. Other tasks go on meanwhile: Ctrl-C is heard.
///
/// # Errors
/// When the input ends.
pub(super) async fn answer(question: &str) -> Result<String, CommandError> {
    eprint(&format!("{question} "));
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map(|read| (read > 0).then_some(answer))
    });
    match read.await {
        Ok(Ok(Some(answer))) => Ok(answer.trim().to_owned()),
        Ok(Ok(None)) => Err(unanswered()),
        Ok(Err(source)) => Err(CommandError::from_error(Kind::Failed, &source)),
        Err(source) => Err(CommandError::internal("the answer could not be read", source)),
    }
}

/// Somebody ended the command where it asked.
pub(super) fn unanswered() -> CommandError {
    eprint("\n");
    CommandError::new(Kind::Interrupted, "interrupted: nothing was changed")
}

/// Shows why a command failed and gives its exit code.
pub(super) fn fail(error: &CommandError) -> ExitCode {
    eprint(&describe(error, Style::of_stderr()));
    error.kind.exit().into()
}

fn describe(error: &CommandError, style: Style) -> String {
    if error.message.is_empty() {
        return String::new();
    }
    let prefix = match error.kind {
        Kind::Interrupted => String::new(),
        Kind::Internal => style.error("internal error: "),
        _ => style.error("error: "),
    };
    let mut text = format!("{prefix}{}\n", error.message);
    for cause in &error.causes {
        text.push_str("  caused by: ");
        text.push_str(&cause.replace('\n', "\n             "));
        text.push('\n');
    }
    for hint in &error.hints {
        text.push_str(&style.help("help: "));
        text.push_str(&hint.replace('\n', "\n      "));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_failure_names_cause_and_remedy() {
        let mut error =
            CommandError::new(Kind::Failed, "the lab did not start").hint("run `lotse lab logs -c etcd`");
        error.causes.push("etcd exited with 1".into());
        assert_eq!(
            describe(&error, Style::plain()),
            "error: the lab did not start\n  caused by: etcd exited with 1\nhelp: run `lotse lab logs -c etcd`\n"
        );
        assert_eq!(
            describe(&CommandError::shown(Kind::Declarations), Style::plain()),
            ""
        );
    }
}
