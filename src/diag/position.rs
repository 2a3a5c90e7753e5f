//! Bytes to lines and columns.

use super::{Label, Sources, Span};

/// A place in a text as people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters; a byte order mark is none.
    pub column: usize,
}

/// First and one past the last character of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: Position,
    pub(super) end: Position,
}

impl Position {
    /// Where `byte` of `text` is. A byte within a character is taken for the character, one past the end for the end.
    #[must_use]
    pub fn of(text: &str, byte: usize) -> Self {
        let before = &text[..boundary(text, byte)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before[line_start..].trim_start_matches('\u{feff}');
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

impl Region {
    pub(super) fn of(text: &str, span: Span) -> Self {
        Self {
            start: Position::of(text, span.start),
            end: Position::of(text, span.end.max(span.start)),
        }
    }

    /// Where a label points, within whatever is known of its file.
    pub(super) fn of_label(label: &Label, sources: &Sources) -> Self {
        Self::of(sources.get(&label.path).map_or("", String::as_str), label.span)
    }
}

/// The last character boundary of `text` at or before `byte`.
pub(super) fn boundary(text: &str, byte: usize) -> usize {
    let mut boundary = byte.min(text.len());
    while !text.is_char_boundary(boundary) {
        boundary -= 1;
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_columns_are_characters() {
        let text = "\u{feff}äb\r\nc€d";
        let at = |found: &str| {
            let position = Position::of(text, text.find(found).unwrap());
            (position.line, position.column)
        };
        assert_eq!(
            (at("ä"), at("b"), at("c"), at("d")),
            ((1, 1), (1, 2), (2, 1), (2, 3))
        );
        assert_eq!(Position::of(text, 999), Position { line: 2, column: 4 });
        assert_eq!(Position::of(text, 4), Position { line: 1, column: 1 }, "within ä");
    }
}
