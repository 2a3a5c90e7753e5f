//! What is probably wrong with a line that no reader of YAML can take, in the words of whoever writes it.

use crate::diag::Span;

/// What to say instead of the parser's words, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The slip behind the parser's `message` at `span`; `None` where its own words have to do.
pub(super) fn behind(message: &str, text: &str, span: Span) -> Option<Slip> {
    let before = text.get(..span.start)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next().unwrap_or_default();
    let column = span.start - start;
    let place = Place {
        above: text.get(..start)?,
        line,
        left: line.get(..column).unwrap_or(line),
        right: line.get(column..).unwrap_or_default(),
    };
    place.slip(message)
}

/// A line, and the column that the parser stopped at.
struct Place<'text> {
    above: &'text str,
    line: &'text str,
    left: &'text str,
    right: &'text str,
}

impl Place<'_> {
    fn slip(&self, message: &str) -> Option<Slip> {
        if message == "expected string scalar" && self.line.contains("{{") {
            return Some(said(
                "`{{` without quotes begins a mapping",
                "put the whole text into quotes: \"{{domain}}\"",
            ));
        }
        if message.contains("simple key") {
            return Some(said(
                "a colon is missing in this line",
                "write `key: value`, with a space after the colon",
            ));
        }
        if message.contains("mapping values are not allowed") {
            return Some(self.second_colon().unwrap_or_else(|| self.misindented()));
        }
        if message.contains("did not find expected key") || message.contains("did not find expected '-'") {
            return Some(self.misindented());
        }
        if message.contains("illegal placement") || message.contains("did not find expected ',' or") {
            return self.unclosed_bracket();
        }
        if message.starts_with("tabs disallowed") {
            return Some(said("a tab stands in the indentation", "indent with spaces"));
        }
        if message.starts_with("unexpected character") {
            let first = self.right.chars().next()?;
            return Some(said(
                format!("no text can begin with `{first}`"),
                "put it into quotes",
            ));
        }
        if message.contains("unknown value") {
            return Some(said(
                "`*` refers to a value that is marked with `&` elsewhere, and there is none",
                "put it into quotes if the text is meant",
            ));
        }
        if message == "unclosed quote" {
            let quote = self.right.chars().next().unwrap_or('"');
            return Some(said(
                "the quote that begins here is not closed",
                format!("add {quote} where the text ends"),
            ));
        }
        if message.starts_with("invalid trailing content") {
            return Some(said(
                "something follows the text in quotes",
                "add a comma between two entries, or take the quotes around the whole text",
            ));
        }
        (message == "misplaced bracket").then(|| said("this bracket closes nothing", "remove it"))
    }

    /// `description: Notes: of all`
    fn second_colon(&self) -> Option<Slip> {
        let (key, _) = self.left.split_once(": ")?;
        let key = key.trim().trim_start_matches("- ");
        Some(said(
            "a text with a colon in it needs quotes",
            format!("write `{key}: \"...\"`"),
        ))
    }

    fn misindented(&self) -> Slip {
        let column = |line: &str| line.len() - line.trim_start().len();
        let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let above = self
            .above
            .lines()
            .rfind(is_content)
            .map(column)
            .unwrap_or_default();
        let here = column(self.line);
        let message = match here.cmp(&above) {
            std::cmp::Ordering::Greater => "this line is indented more than what it stands beside",
            std::cmp::Ordering::Less => "this line is indented less than what it stands beside",
            std::cmp::Ordering::Equal => "this line does not go on with what stands above it",
        };
        said(
            message,
            format!(
                "entries of one list or mapping begin in one column; above it is column {}",
                above + 1
            ),
        )
    }

    fn unclosed_bracket(&self) -> Option<Slip> {
        let is_open = |line: &str, (opening, closing): (char, char)| {
            line.matches(opening).count() > line.matches(closing).count()
        };
        let found = self.above.lines().enumerate().filter_map(|(index, line)| {
            let brackets = [('[', ']'), ('{', '}')];
            let bracket = brackets.into_iter().find(|each| is_open(line, *each))?;
            Some((index + 1, bracket))
        });
        let (number, bracket) = found.last()?;
        Some(said(
            format!("the `{}` in line {number} is not closed before this", bracket.0),
            format!("add `{}` at the end of line {number}", bracket.1),
        ))
    }
}

fn said(message: impl Into<String>, help: impl Into<String>) -> Slip {
    Slip {
        message: message.into(),
        help: Some(help.into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tree::parse;

    #[test]
    fn test_slips_are_told_in_plain_words() {
        let cases = [
            (
                "a: b\nname web\n",
                "a colon is missing in this line",
                "write `key: value`, with a space after the colon",
            ),
            (
                "a: [b\nhosts: [c]\n",
                "the `[` in line 1 is not closed before this",
                "add `]` at the end of line 1",
            ),
            (
                "a: \"b\nc: d\n",
                "the quote that begins here is not closed",
                "add \" where the text ends",
            ),
            (
                "d: Notes: of all\n",
                "a text with a colon in it needs quotes",
                "write `d: \"...\"`",
            ),
            (
                "a: [{{domain}}]\n",
                "`{{` without quotes begins a mapping",
                "put the whole text into quotes: \"{{domain}}\"",
            ),
            (
                "a: b\n  c: d\n",
                "this line is indented more than what it stands beside",
                "entries of one list or mapping begin in one column; above it is column 1",
            ),
            (
                "a:\n  - b\n - c\n",
                "this line is indented less than what it stands beside",
                "entries of one list or mapping begin in one column; above it is column 3",
            ),
            (
                "a:\n\t- b\n",
                "a tab stands in the indentation",
                "indent with spaces",
            ),
            ("a: @b\n", "no text can begin with `@`", "put it into quotes"),
            (
                "a: *b\n",
                "`*` refers to a value that is marked with `&` elsewhere, and there is none",
                "put it into quotes if the text is meant",
            ),
            (
                "a: {b: \"1\" c: 2}\n",
                "something follows the text in quotes",
                "add a comma between two entries, or take the quotes around the whole text",
            ),
            ("a: [b]]\n", "this bracket closes nothing", "remove it"),
        ];
        for (text, message, help) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.message.as_str(), error.help.as_deref()),
                (message, Some(help)),
                "{text}"
            );
        }
    }
}
