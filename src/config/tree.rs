//! A YAML document as a tree in which every value and key knows its place. Duplicate keys are kept, so that they
//! can be reported with everything else.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::{slip, yaml};
use crate::diag::{Code, Span};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    /// The value; of a list or mapping only its first line.
    pub(super) span: Span,
    /// One past the last byte of the whole value.
    end: usize,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Span,
}

impl Node {
    /// `value` at `span`, which is all of it.
    pub(super) const fn new(value: Value, span: Span) -> Self {
        Self {
            value,
            span,
            end: span.end,
        }
    }

    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The whole value, over all of its lines.
    pub(super) fn whole(&self) -> Span {
        Span {
            start: self.span.start,
            end: self.end.max(self.span.end),
        }
    }

    /// The same, as if all of it stood at `span`.
    pub(super) fn moved(mut self, span: Span) -> Self {
        (self.span, self.end) = (span, span.end);
        self.value = match self.value {
            Value::List(items) => Value::List(items.into_iter().map(|item| item.moved(span)).collect()),
            Value::Map(fields) => Value::Map(
                fields
                    .into_iter()
                    .map(|(key, value)| (Key { span, ..key }, value.moved(span)))
                    .collect(),
            ),
            plain => plain,
        };
        self
    }

    /// Makes lists and mappings reach from their beginning to their end, or to the end of their first line: the
    /// parser only tells where they begin.
    fn widen(&mut self, text: &str) {
        self.end = self.span.end;
        let children: Vec<&mut Self> = match &mut self.value {
            Value::List(items) => items.iter_mut().collect(),
            Value::Map(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
            _ => return,
        };
        let mut end = self.span.end;
        for child in children {
            child.widen(text);
            end = end.max(child.end);
        }
        if text
            .get(self.span.start..)
            .is_some_and(|rest| rest.starts_with(['[', '{']))
        {
            end = closing(text, end).unwrap_or(end);
        }
        self.end = end;
        let line = text
            .get(self.span.start..end)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        self.span.end = self.span.start + line.trim_end().len().max(1).min(line.len());
    }

    /// The same without places. Of duplicate keys the last one counts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => value.clone().into(),
            Value::Text(value) => value.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(fields) => fields
                .iter()
                .map(|(key, value)| (key.name.clone(), value.to_json()))
                .collect(),
        }
    }
}

/// One past the bracket that ends a list or mapping whose last value ends at `end`.
fn closing(text: &str, end: usize) -> Option<usize> {
    let mut at = end;
    loop {
        let rest = text.get(at..)?;
        let next = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        at += rest.len() - next.len();
        if next.starts_with([']', '}']) {
            return Some(at + 1);
        }
        if !next.starts_with('#') {
            return None;
        }
        at += next.find('\n')?;
    }
}

/// A text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) span: Option<Span>,
    /// What to do, where that can be told.
    pub(super) help: Option<String>,
}

/// Levels of nesting; each takes some ten kilobytes of the stack while it is read.
const DEPTH_LIMIT: usize = 32;

/// Values in one file, far more than a person writes.
const VALUE_LIMIT: usize = 100_000;

/// Parts of values that aliases of one file may stand for.
const REPLAYED_LIMIT: usize = 20_000;

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut options = yaml::options();
    options.budget = serde_saphyr::budget! { max_depth: DEPTH_LIMIT, max_nodes: VALUE_LIMIT };
    options.alias_limits = serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED_LIMIT };
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    let mut node: Node =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_error(text, &error))?;
    node.widen(text);
    Ok(node)
}

/// Reads every document of a stream; empty ones are left out.
pub(super) fn parse_all(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut options = yaml::options();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    let mut nodes: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| syntax_error(text, &error))?;
    for node in &mut nodes {
        node.widen(text);
    }
    Ok(nodes)
}

fn syntax_error(text: &str, error: &serde_saphyr::Error) -> SyntaxError {
    let code = if yaml::excess(error).is_some() {
        Code::TooComplex
    } else {
        Code::Syntax
    };
    let message = yaml::message(error);
    let span = error
        .location()
        .and_then(|location| span(&location).or_else(|| span_at(text, location.line(), location.column())))
        .filter(|span| text.get(span.start..span.end).is_some());
    let slip = span
        .filter(|_| code == Code::Syntax)
        .and_then(|span| slip::behind(&message, text, span));
    let (message, help) = match slip {
        Some(slip) => (slip.message, slip.help),
        None => (message, None),
    };
    SyntaxError {
        code,
        message,
        span,
        help,
    }
}

/// The character in that line and column, both counted from 1.
fn span_at(text: &str, line: u64, column: u64) -> Option<Span> {
    let line = text
        .split_inclusive('\n')
        .nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let line_start = line.as_ptr().addr() - text.as_ptr().addr();
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let (offset, character) = line.char_indices().nth(column)?;
    let start = line_start + offset;
    Some(Span {
        start,
        end: start + character.len_utf8(),
    })
}

fn span(location: &serde_saphyr::Location) -> Option<Span> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    Some(Span {
        start,
        end: start + length,
    })
}

fn span_or_start(location: &serde_saphyr::Location) -> Span {
    span(location).unwrap_or(Span { start: 0, end: 0 })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            span: span_or_start(&spanned.referenced),
            value: spanned.value,
            end: 0,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = yaml::whole_number(value).or_else(|| Number::from_f64(value));
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = fields.next_entry::<Spanned<String>, Node>()? {
            let span = span_or_start(&key.referenced);
            map.push((
                Key {
                    name: key.value,
                    span,
                },
                value,
            ));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Span) -> &str {
        &text[span.start..span.end]
    }

    #[test]
    fn test_every_value_and_key_knows_its_place() {
        let text = "# ä\nname: 'ö'\nlist: [a, 12]\nmap:\n  no: true\n  no: ~\n";
        let Value::Map(fields) = parse(text).unwrap().value else {
            panic!("a map")
        };
        assert_eq!(shown(text, fields[0].0.span), "name");
        assert_eq!(shown(text, fields[0].1.span), "'ö'");
        let Value::List(items) = &fields[1].1.value else {
            panic!("a list")
        };
        assert_eq!((shown(text, items[1].span), items[1].kind()), ("12", "a number"));
        let Value::Map(inner) = &fields[2].1.value else {
            panic!("a map")
        };
        assert_eq!((inner[0].0.name.as_str(), inner[1].0.name.as_str()), ("no", "no"));
        assert_eq!(inner[1].1.value, Value::Null);
        assert_eq!(shown(text, fields[1].1.span), "[a, 12]");
        assert_eq!(shown(text, fields[2].1.span), "no: true");
    }

    #[test]
    fn test_syntax_errors_have_a_place() {
        let error = parse("ä: [1\nb: 2\n").unwrap_err();
        assert_eq!(error.message, "the `[` in line 1 is not closed before this");
        assert_eq!(error.span, Some(Span { start: 8, end: 9 }));
    }

    #[test]
    fn test_wholes_reach_over_all_lines() {
        let text = "a: [x, # one\n  {y: [1]}, # two ]\n] # three\nb:\n- c: |\n    d\n  e: f\n";
        let Value::Map(fields) = parse(text).unwrap().value else {
            panic!("a map")
        };
        assert_eq!(
            shown(text, fields[0].1.whole()),
            "[x, # one\n  {y: [1]}, # two ]\n]"
        );
        assert_eq!(shown(text, fields[0].1.span), "[x, # one");
        assert!(shown(text, fields[1].1.whole()).ends_with("e: f"));
    }

    #[test]
    fn test_places_are_right_after_a_byte_order_mark_and_with_carriage_returns() {
        let text = "\u{feff}a: x\r\nb:\r\n  - 'ö'\r\n  - c: y\r\n";
        let Value::Map(fields) = parse(text).unwrap().value else {
            panic!("a map")
        };
        let names: Vec<&str> = fields.iter().map(|(key, _)| shown(text, key.span)).collect();
        assert_eq!((names, shown(text, fields[0].1.span)), (vec!["a", "b"], "x"));
        let Value::List(items) = &fields[1].1.value else {
            panic!("a list")
        };
        assert_eq!(
            (shown(text, items[0].span), shown(text, items[1].span)),
            ("'ö'", "c: y")
        );
    }

    #[test]
    fn test_a_nul_byte_is_no_end() {
        let error = parse("a: 1\n\0\nb: [\n").unwrap_err();
        assert_eq!(
            (error.code, error.span),
            (Code::Syntax, Some(Span { start: 5, end: 6 }))
        );
    }

    #[test]
    fn test_bombs_do_not_go_off() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let uses = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb.extend([format!("a{level}: &a{level} [{uses}]\n")]);
        }
        for (text, words) in [
            (bomb, "aliases"),
            ("[".repeat(5000), "nested"),
            ("- ".repeat(5000), "nested"),
            ("{a: ".repeat(5000), "nested"),
            ("a: ".repeat(2) + &"*x ".repeat(10), ""),
            ("- x\n".repeat(VALUE_LIMIT + 1), "values"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
            assert_eq!(error.code == Code::TooComplex, !words.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn test_json_is_what_the_other_door_reads() {
        let text = "{a: 0755, b: no, c: 1e3, d: [1.5, ~], e: {f: true}}";
        assert_eq!(parse(text).unwrap().to_json(), yaml::documents(text).unwrap()[0]);
    }
}
