//! Diagnostics about user files: codes, spans, help. Knows no terminal and no file system; a rendering is a text.

mod code;
mod fix;
mod github;
mod json;
mod position;
mod render;
#[cfg(test)]
mod samples;
mod sarif;

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

pub use code::{Code, UnknownCode};
pub use fix::{Certainty, Edit, Fix, compatible, mended};
pub use github::to_github;
pub use json::to_json;
pub use position::Position;
pub use render::{Look, to_text};
pub use sarif::to_sarif;

/// Texts of the files that diagnostics point into, by path relative to the repository.
pub type Sources = BTreeMap<Utf8PathBuf, String>;

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be done with the files.
    Error,
    /// Probably not what is meant; stops nothing.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Bytes of a text, from `start` up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place in a file, with a few words about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Path relative to the repository.
    pub path: Utf8PathBuf,
    /// Bytes of the file's text.
    pub span: Span,
    /// A few words, or nothing.
    pub text: String,
}

/// One problem in user files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of problem; its severity comes with it.
    pub code: Code,
    /// One sentence without full stop.
    pub message: String,
    /// Where; the first is the place itself, the others explain it. Empty when no file is at fault.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// What mends it, where a program can.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A problem without place and help.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// The same with one more place.
    #[must_use]
    pub fn at(mut self, path: &Utf8Path, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            path: path.to_owned(),
            span,
            text: text.into(),
        });
        self
    }

    /// The same with help.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says that `replacement` in the first place mends it.
    pub fn mend(&mut self, replacement: impl Into<String>, certainty: Certainty) -> &mut Self {
        self.fix = self
            .labels
            .first()
            .map(|label| Fix::replace(&label.path, label.span, replacement, certainty));
        self
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// The candidate nearest to `written`, when it is near enough to be what was meant.
#[must_use]
pub fn did_you_mean<'name>(
    written: &str,
    candidates: impl IntoIterator<Item = &'name str>,
) -> Option<&'name str> {
    let limit = written.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_did_you_mean_takes_the_nearest_or_nothing() {
        let teams = ["platform", "monitoring"];
        assert_eq!(did_you_mean("monitorng", teams), Some("monitoring"));
        assert_eq!(did_you_mean("plaftorm", teams), Some("platform"));
        assert_eq!(did_you_mean("website", teams), None);
    }
}
