//! Colours, when the stream is a terminal that wants them. Meaning is never by colour alone.

use std::io::IsTerminal;
use std::time::Duration;

/// How words are set off on one stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Style {
    coloured: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    #[must_use]
    pub(in crate::cli) const fn plain() -> Self {
        Self { coloured: false }
    }

    /// As stderr wants it: a terminal, and neither `NO_COLOR` nor `TERM=dumb` is set (<https://no-color.org>).
    #[must_use]
    pub(in crate::cli) fn of_stderr() -> Self {
        Self {
            coloured: std::io::stderr().is_terminal() && super::super::settings::wants_colour(),
        }
    }

    /// As stdout wants it.
    #[must_use]
    pub(in crate::cli) fn of_stdout() -> Self {
        Self {
            coloured: std::io::stdout().is_terminal() && super::super::settings::wants_colour(),
        }
    }

    /// Whether escape codes are written.
    #[must_use]
    pub(in crate::cli) const fn is_coloured(self) -> bool {
        self.coloured
    }

    /// The word `error`.
    #[must_use]
    pub(in crate::cli) fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// The word `help`.
    #[must_use]
    pub(in crate::cli) fn help(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// The word `warning`.
    #[must_use]
    pub(in crate::cli) fn warning(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    /// The name of a task or a heading.
    #[must_use]
    pub(in crate::cli) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is added.
    #[must_use]
    pub(in crate::cli) fn added(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What is changed.
    #[must_use]
    pub(in crate::cli) fn changed(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// What is removed.
    #[must_use]
    pub(in crate::cli) fn removed(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A duration as a person reads it: `4.2s`, `1m12s`, `2h05m`.
#[must_use]
pub(in crate::cli) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_durations() {
        let shown = [4.21, 59.94, 72.0, 3900.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(shown, ["4.2s", "59.9s", "1m12s", "1h05m"]);
    }
}
