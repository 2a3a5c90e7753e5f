//! Edits that mend a problem, and what a text is after them.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Diagnostic, Sources, Span};

/// Bytes of a file, and what belongs there instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Path relative to the repository.
    pub path: Utf8PathBuf,
    /// Bytes of the file's text; empty where something is only put in.
    pub span: Span,
    /// What takes their place.
    pub replacement: String,
}

/// How sure it is that a fix is what was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The meaning stays, or only one meaning is possible.
    Certain,
    /// A guess, such as the nearest name: somebody has to say yes to it.
    Guess,
}

/// What mends a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// A few words: what it does.
    pub title: String,
    /// All of them together mend it; they never overlap.
    pub edits: Vec<Edit>,
    /// How sure it is.
    pub certainty: Certainty,
}

impl Fix {
    /// One text in place of another.
    #[must_use]
    pub fn replace(
        path: &Utf8Path,
        span: Span,
        replacement: impl Into<String>,
        certainty: Certainty,
    ) -> Self {
        let replacement = replacement.into();
        Self {
            title: format!("write `{replacement}`"),
            edits: vec![Edit {
                path: path.to_owned(),
                span,
                replacement,
            }],
            certainty,
        }
    }

    /// Whether it may be made without asking.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.certainty == Certainty::Certain
    }

    fn overlaps(&self, other: &Self) -> bool {
        let pairs = self
            .edits
            .iter()
            .flat_map(|edit| other.edits.iter().map(move |other| (edit, other)));
        pairs
            .into_iter()
            .any(|(one, other)| one.path == other.path && touches(one.span, other.span))
    }
}

/// Whether two edits could not both be made. Two at the same point would have no order.
const fn touches(one: Span, other: Span) -> bool {
    one.start == other.start || (one.start < other.end && other.start < one.end)
}

/// The diagnostics whose fixes are `allowed` and can be made together: of two that overlap, the first.
#[must_use]
pub fn compatible(diagnostics: &[Diagnostic], allowed: impl Fn(&Fix) -> bool) -> Vec<&Diagnostic> {
    let mut chosen: Vec<(&Diagnostic, &Fix)> = Vec::new();
    for diagnostic in diagnostics {
        if let Some(fix) = diagnostic.fix.as_ref().filter(|fix| allowed(fix))
            && !chosen.iter().any(|(_, earlier)| earlier.overlaps(fix))
        {
            chosen.push((diagnostic, fix));
        }
    }
    chosen.into_iter().map(|(diagnostic, _)| diagnostic).collect()
}

/// The `texts` after `fixes`. A file is left out when it is not among the texts, or when one of its edits does not fit
/// it any more.
#[must_use]
pub fn mended<'fix>(texts: &Sources, fixes: impl IntoIterator<Item = &'fix Fix>) -> Sources {
    let mut edits: Vec<&Edit> = fixes.into_iter().flat_map(|fix| &fix.edits).collect();
    edits.sort();
    let mut mended = Sources::new();
    for group in edits.chunk_by(|one, other| one.path == other.path) {
        let path = &group[0].path;
        if let Some(text) = texts.get(path).and_then(|text| edited(text, group)) {
            mended.insert(path.clone(), text);
        }
    }
    mended
}

/// `text` after `edits`, which are sorted by place.
fn edited(text: &str, edits: &[&Edit]) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        result.push_str(text.get(done..edit.span.start)?);
        text.get(edit.span.start..edit.span.end)?;
        result.push_str(&edit.replacement);
        done = edit.span.end;
    }
    result.push_str(text.get(done..)?);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    fn problem(span: Span, replacement: &str) -> Diagnostic {
        let path = Utf8Path::new("a.yaml");
        let mut diagnostic = Diagnostic::new(Code::UnknownKey, "x").at(path, span, "");
        diagnostic.fix = Some(Fix::replace(path, span, replacement, Certainty::Certain));
        diagnostic
    }

    fn after(text: &str, diagnostics: &[Diagnostic]) -> Option<String> {
        let chosen = compatible(diagnostics, Fix::is_safe);
        let fixes = chosen.into_iter().filter_map(|each| each.fix.as_ref());
        let texts = Sources::from([("a.yaml".into(), text.to_owned())]);
        mended(&texts, fixes).remove(Utf8Path::new("a.yaml"))
    }

    #[test]
    fn test_all_edits_are_made_at_once() {
        let diagnostics = [problem(span(7, 8), "drei"), problem(span(0, 3), "eins")];
        assert_eq!(
            after("one ä 3 vier", &diagnostics).as_deref(),
            Some("eins ä drei vier")
        );
    }

    #[test]
    fn test_of_two_that_overlap_the_first_is_made() {
        let diagnostics = [
            problem(span(0, 3), "x"),
            problem(span(2, 4), "y"),
            problem(span(3, 4), "z"),
            problem(span(3, 3), "again at the same point"),
        ];
        assert_eq!(after("abcdef", &diagnostics).as_deref(), Some("xzef"));
    }

    #[test]
    fn test_edits_that_do_not_fit_leave_the_file_alone() {
        for outside in [span(2, 9), span(1, 2), span(3, 2)] {
            assert_eq!(after("ä!", &[problem(outside, "x")]), None, "{outside:?}");
        }
    }

    #[test]
    fn test_guesses_are_made_only_when_they_are_allowed() {
        let mut guess = problem(span(0, 1), "x");
        guess.fix.as_mut().unwrap().certainty = Certainty::Guess;
        assert_eq!(compatible(std::slice::from_ref(&guess), Fix::is_safe).len(), 0);
        assert_eq!(compatible(&[guess], |_| true).len(), 1);
    }
}
