//! Diagnostics for tests.

use camino::Utf8Path;

use super::{Certainty, Code, Diagnostic, Fix, Sources, Span};

/// A misspelled team, after a letter of two bytes.
pub(super) fn unknown_team() -> (Vec<Diagnostic>, Sources) {
    let path = Utf8Path::new("apps/monitoring/app.yaml");
    let text = "# ä\nowners: [monitorng]\n";
    let start = text.find("monitorng").unwrap();
    let span = Span {
        start,
        end: start + "monitorng".len(),
    };
    let mut diagnostic = Diagnostic::new(Code::UnknownTeam, "team `monitorng` is not in people.yaml")
        .at(path, span, "unknown team")
        .with_help("did you mean `monitoring`?");
    diagnostic.fix = Some(Fix::replace(path, span, "monitoring", Certainty::Guess));
    (
        vec![diagnostic],
        Sources::from([(path.to_owned(), text.to_owned())]),
    )
}
