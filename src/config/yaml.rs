//! The one door to the YAML crate, with one set of options for every text that is read.
//!
//! Untyped scalars are read as kubectl reads them (YAML 1.1 where it matters): `0755` is 493, `no` and `on`
//! stay text, `1e3` is the integer 1000.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::{Error, Options, UserMessageFormatter};

pub use serde_saphyr::Spanned;

/// Parts of values that aliases may stand for, all together: a file of a few lines could fill the memory.
const REPLAYED_LIMIT: usize = 100_000;

const TOO_DEEP: &str = "lists and mappings are nested too deeply";

/// Why a text is not the YAML that was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// One sentence, without position.
    pub message: String,
    /// Where, when known.
    pub position: Option<Position>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1, in characters.
    pub column: u64,
}

/// Reads one document as `T`.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| describe(&error))
}

/// Reads every document of a stream as JSON; empty documents are left out.
pub fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| describe(&error))?;
    documents.retain(|document| !document.is_null());
    documents.iter_mut().for_each(restore_integers);
    Ok(documents)
}

/// Whether `text` is one YAML document.
#[must_use]
pub fn is_document(text: &str) -> bool {
    super::tree::parse(text).is_ok()
}

/// Writes `value` so that YAML 1.1 and 1.2 readers read the same.
///
/// # Errors
/// When `value` can't be represented, such as a map with composite keys.
pub fn to_text(value: &impl Serialize) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|error| YamlError {
        message: error.to_string(),
        position: None,
    })
}

/// Whole floats become integers: the reader takes `1e3` for 1000.0 where kubectl reads 1000, and a server-side
/// apply of an integer field refuses a float.
fn restore_integers(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            if let Some(whole) = number.as_f64().and_then(whole_number) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(restore_integers),
        Value::Object(fields) => fields.values_mut().for_each(restore_integers),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The integer that `float` is, when it is whole and exact.
pub(super) fn whole_number(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() != 0.0 || float.abs() >= EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, so exact")]
    let whole = float as i64;
    Some(whole.into())
}

pub(super) fn options() -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPLAYED_LIMIT,
        },
    }
}

/// What a text has too much of, when that is what is wrong with it.
pub(super) fn excess(error: &Error) -> Option<&'static str> {
    match error {
        Error::AliasError { error, .. } => excess(error),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Some("its aliases stand for too many values"),
        Error::Budget { breach, .. } => Some(match breach {
            BudgetBreach::Depth { .. } => TOO_DEEP,
            BudgetBreach::Aliases { .. }
            | BudgetBreach::Anchors { .. }
            | BudgetBreach::AliasAnchorRatio { .. } => "it has too many anchors or aliases",
            BudgetBreach::MergeKeys { .. } => "it has too many merge keys",
            _ => "it has too many values",
        }),
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error)
                if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) =>
            {
                Some(TOO_DEEP)
            }
            _ => None,
        },
        _ => None,
    }
}

/// One sentence, without position.
pub(super) fn message(error: &Error) -> String {
    if let Some(excess) = excess(error) {
        return excess.to_owned();
    }
    let message = error.render_with_formatter(&UserMessageFormatter);
    let place = error
        .location()
        .map(|location| format!(" at line {}, column {}", location.line(), location.column()));
    place
        .and_then(|place| message.strip_suffix(&place))
        .map(str::to_owned)
        .unwrap_or(message)
}

fn describe(error: &Error) -> YamlError {
    let position = error.location().map(|location| Position {
        line: location.line(),
        column: location.column(),
    });
    YamlError {
        message: message(error),
        position,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_untyped_scalars_are_read_as_kubectl_reads_them() {
        let text =
            "{a: 0755, b: no, c: on, d: y, e: 08, f: 1_000, g: 1e3, h: 0o17, i: 2024-01-01, j: true, k: 1.5}";
        let expected = json!({
            "a": 493, "b": "no", "c": "on", "d": "y", "e": 8, "f": 1000, "g": 1000, "h": 15,
            "i": "2024-01-01", "j": true, "k": 1.5
        });
        assert_eq!(documents(text).unwrap(), vec![expected]);
    }

    #[test]
    fn test_written_text_is_safe_for_both_yaml_versions() {
        let text = to_text(&json!({"a": "no", "b": "0755", "c": "1e3", "d": "2024-01-01"})).unwrap();
        assert_eq!(
            documents(&text).unwrap()[0],
            json!({"a": "no", "b": "0755", "c": "1e3", "d": "2024-01-01"})
        );
        for line in text.lines() {
            assert!(line.contains('"') || line.contains('\''), "unquoted: {line}");
        }
    }

    #[test]
    fn test_duplicate_keys_are_refused_with_their_place() {
        let error = documents("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.position, Some(Position { line: 3, column: 1 }));
    }
}
