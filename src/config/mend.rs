//! Fixes for declarations: edits of the text that leave comments and layout alone.

use camino::Utf8Path;

use super::read::suggestion;
use super::trap;
use super::tree::{self, Node, Value};
use crate::diag::{Certainty, Diagnostic, Edit, Fix, Span, did_you_mean};
use crate::names::AppName;

/// Gives `diagnostic` the [`suggestion`] as help, and the fix that writes it.
pub(super) fn suggest<'name>(
    diagnostic: &mut Diagnostic,
    written: &str,
    known: impl IntoIterator<Item = &'name str, IntoIter: Clone>,
    certainty: Certainty,
) {
    let known = known.into_iter();
    diagnostic.help = suggestion(written, known.clone());
    if let Some(near) = did_you_mean(written, known) {
        diagnostic.mend(scalar(near), certainty);
    }
}

/// `text` as it is written in YAML, with quotes where it needs them.
#[must_use]
pub fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && tree::parse(text).is_ok_and(|node| node.value == Value::Text(text.to_owned()))
        && trap::reading(text).is_none();
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// `text` in quotes that every reader of YAML takes off again.
pub(super) fn quoted(text: &str) -> String {
    // A text of JSON is one of YAML, too.
    serde_json::Value::from(text).to_string()
}

/// The text of an `environment.yaml` with `app` as the last of `apps`. `None` where the layout of the list is not one
/// that an entry can be added to without a look at what is meant.
#[must_use]
pub fn with_app(text: &str, app: &AppName) -> Option<String> {
    let before = apps_of(text)?;
    let node = tree::parse(text).ok()?;
    if field(&node, "apps").is_none() && field(&node, "extends").is_some() {
        // A list of its own would take the place of the one that is extended.
        return None;
    }
    let (at, addition) = match field(&node, "apps") {
        None => (text.len(), key_line(text, app)),
        Some(list) => addition(text, list, &scalar(app.as_str()))?,
    };
    let after = format!("{}{addition}{}", text.get(..at)?, text.get(at..)?);
    let is_added = apps_of(&after)?.split_last() == Some((&app.to_string(), &before));
    is_added.then_some(after)
}

/// Whether the text of an `environment.yaml` lists `app` under `apps`.
#[must_use]
pub fn lists_app(text: &str, app: &AppName) -> bool {
    apps_of(text).is_some_and(|apps| apps.iter().any(|name| name == app.as_str()))
}

fn key_line(text: &str, app: &AppName) -> String {
    let start = if text.ends_with('\n') { "" } else { "\n" };
    format!("{start}apps: [{}]\n", scalar(app.as_str()))
}

/// The texts under `apps`; none where the key is missing.
fn apps_of(text: &str) -> Option<Vec<String>> {
    let node = tree::parse(text).ok()?;
    let Some(apps) = field(&node, "apps") else {
        return matches!(node.value, Value::Map(_)).then(Vec::new);
    };
    let Value::List(items) = &apps.value else {
        return None;
    };
    let names = items.iter().map(|item| match &item.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

fn field<'node>(node: &'node Node, name: &str) -> Option<&'node Node> {
    let Value::Map(fields) = &node.value else {
        return None;
    };
    fields
        .iter()
        .find(|(key, _)| key.name == name)
        .map(|(_, value)| value)
}

/// Where `entry` is added to `list`, and how.
fn addition(text: &str, list: &Node, entry: &str) -> Option<(usize, String)> {
    let Value::List(items) = &list.value else {
        return None;
    };
    let end = items.last().map(Node::whole);
    if text.get(list.span.start..)?.starts_with('[') {
        return Some(match end {
            Some(item) => (item.end, format!(", {entry}")),
            None => (list.span.start + 1, entry.to_owned()),
        });
    }
    let lines = entry_lines(text, end?)?;
    let line = text.get(lines.start..)?.lines().next()?;
    let dash = line.find('-')?;
    let (start, end) = match text.get(lines.start..lines.end)? {
        whole if whole.ends_with("\r\n") => ("", "\r\n"),
        whole if whole.ends_with('\n') => ("", "\n"),
        _ => ("\n", ""),
    };
    Some((lines.end, format!("{start}{}- {entry}{end}", line.get(..dash)?)))
}

/// What takes `item` out of `list`. Nothing where more than the entry would go: a comment between two entries, or a
/// layout that is not one entry a line.
pub(super) fn removal(text: &str, path: &Utf8Path, list: &Node, item: Span) -> Option<Fix> {
    let Value::List(items) = &list.value else {
        return None;
    };
    let index = items.iter().position(|other| other.span == item)?;
    if item.start < list.span.start {
        // The list stands elsewhere, under an anchor, and may have other readers.
        return None;
    }
    let edits = if text.get(list.span.start..)?.starts_with('[') {
        vec![(flow_entry(text, items, index)?, String::new())]
    } else {
        block_entry(text, items, index)?
    };
    let edits = edits.into_iter().map(|(span, replacement)| Edit {
        path: path.to_owned(),
        span,
        replacement,
    });
    Some(Fix {
        title: "remove the entry".into(),
        edits: edits.collect(),
        certainty: Certainty::Certain,
    })
}

/// The entry of a list in brackets, with the comma beside it.
fn flow_entry(text: &str, items: &[Node], index: usize) -> Option<Span> {
    let item = items[index].whole();
    let span = if let Some(before) = index.checked_sub(1).and_then(|before| items.get(before)) {
        Span {
            start: before.whole().end,
            end: item.end,
        }
    } else if let Some(after) = items.get(index + 1) {
        Span {
            start: item.start,
            end: after.whole().start,
        }
    } else {
        item
    };
    let beside = [text.get(span.start..item.start)?, text.get(item.end..span.end)?];
    let is_comma = |part: &&str| part.chars().all(|each| each == ',' || each.is_whitespace());
    beside.iter().all(is_comma).then_some(span)
}

/// The lines of an entry after a dash. The last entry leaves `[]` behind.
fn block_entry(text: &str, items: &[Node], index: usize) -> Option<Vec<(Span, String)>> {
    let lines = entry_lines(text, items[index].whole())?;
    if items.len() > 1 {
        return Some(vec![(lines, String::new())]);
    }
    let key_end = text.get(..lines.start)?.trim_end().len();
    let key_line = text[..key_end].rsplit('\n').next().unwrap_or_default();
    let is_after_key = key_line.ends_with(':') && !key_line.contains('#');
    is_after_key.then(|| {
        let point = Span {
            start: key_end,
            end: key_end,
        };
        vec![(point, " []".to_owned()), (lines, String::new())]
    })
}

/// Whole lines from the dash before the entry to the end of its last line.
fn entry_lines(text: &str, item: Span) -> Option<Span> {
    let start = text.get(..item.start)?.rfind('\n').map_or(0, |at| at + 1);
    let has_dash_only = text.get(start..item.start)?.trim() == "-";
    let trimmed = text.get(..item.end)?.trim_end().len().max(item.start);
    let rest = text.get(trimmed..)?;
    let line = rest.split_inclusive('\n').next().unwrap_or_default();
    let is_rest_a_comment = line.trim().is_empty() || line.trim_start().starts_with('#');
    (has_dash_only && is_rest_a_comment).then_some(Span {
        start,
        end: trimmed + line.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Sources, mended};

    /// `text` without an entry of the list under its first key.
    fn without(text: &str, index: usize) -> Option<String> {
        let node = tree::parse(text).unwrap();
        let Value::Map(fields) = &node.value else {
            panic!("a map")
        };
        let Value::List(items) = &fields[0].1.value else {
            panic!("a list")
        };
        let path = Utf8Path::new("a.yaml");
        let fix = removal(text, path, &fields[0].1, items[index].span)?;
        let after = mended(&Sources::from([(path.to_owned(), text.to_owned())]), [&fix]).remove(path)?;
        let Value::Map(fields) = tree::parse(&after).unwrap().value else {
            panic!("a map: {after}")
        };
        assert!(
            matches!(&fields[0].1.value, Value::List(left) if left.len() == items.len() - 1),
            "{after}"
        );
        Some(after)
    }

    #[test]
    fn test_entries_in_brackets_go_with_their_comma() {
        assert_eq!(without("a: [x, y, z] # why\n", 1).unwrap(), "a: [x, z] # why\n");
        assert_eq!(without("a: [x, {y: [1, 2]}]\n", 1).unwrap(), "a: [x]\n");
        assert_eq!(without("a: [{x: 1}, y]\n", 0).unwrap(), "a: [y]\n");
        assert_eq!(without("a: [ x ]\n", 0).unwrap(), "a: [  ]\n");
        assert_eq!(without("a: [\n  x,\n  y,\n]\n", 1).unwrap(), "a: [\n  x,\n]\n");
        assert_eq!(without("a: [x, # of x\n  y]\n", 1), None);
    }

    #[test]
    fn test_entries_after_a_dash_go_as_whole_lines() {
        let text = "a:\n  # one\n  - x # of x\n  - {y: 1,\n     z: 2}\n  # two\n  - w: |\n      1\n\n      2\nb: 1\n";
        assert_eq!(
            without(text, 0).unwrap(),
            "a:\n  # one\n  - {y: 1,\n     z: 2}\n  # two\n  - w: |\n      1\n\n      2\nb: 1\n"
        );
        assert_eq!(
            without(text, 1).unwrap(),
            "a:\n  # one\n  - x # of x\n  # two\n  - w: |\n      1\n\n      2\nb: 1\n"
        );
        assert_eq!(
            without(text, 2).unwrap(),
            "a:\n  # one\n  - x # of x\n  - {y: 1,\n     z: 2}\n  # two\nb: 1\n"
        );
    }

    #[test]
    fn test_the_last_entry_leaves_an_empty_list() {
        assert_eq!(without("a:\n- x: 1\n  y: 2\nb: 1\n", 0).unwrap(), "a: []\nb: 1\n");
        assert_eq!(
            without("a:\r\n  - x\r\nb: 1\r\n", 0).unwrap(),
            "a: []\r\nb: 1\r\n"
        );
        assert_eq!(without("a:\n  - x", 0).unwrap(), "a: []\n");
        assert_eq!(without("a:\n  # why\n  - x\n", 0), None);
        assert_eq!(without("a:\n  - - x\n    - y\n", 0).unwrap(), "a: []\n");
    }

    #[test]
    fn test_an_application_is_added_in_the_layout_of_the_list() {
        let with = |text| with_app(text, &AppName::new("web").unwrap());
        let wanted = [
            ("apps: [db]\nb: 1\n", Some("apps: [db, web]\nb: 1\n")),
            (
                "apps: [ db, \"no\", ] # all\n",
                Some("apps: [ db, \"no\", web, ] # all\n"),
            ),
            ("apps: []\n", Some("apps: [web]\n")),
            (
                "apps:\n  - db # first\n  # last\nb: 1\n",
                Some("apps:\n  - db # first\n  - web\n  # last\nb: 1\n"),
            ),
            ("apps:\n- db", Some("apps:\n- db\n- web")),
            (
                "apps:\r\n  - db\r\nb: 1\r\n",
                Some("apps:\r\n  - db\r\n  - web\r\nb: 1\r\n"),
            ),
            ("b: 1", Some("b: 1\napps: [web]\n")),
            ("a: &all [db]\napps: *all\n", None),
            ("apps: db\n", None),
            ("- apps\n", None),
        ];
        for (before, after) in wanted {
            assert_eq!(with(before).as_deref(), after, "{before}");
        }
        let number = AppName::new("007").unwrap();
        assert_eq!(
            with_app("apps: [db]\n", &number).unwrap(),
            "apps: [db, \"007\"]\n"
        );
    }

    #[test]
    fn test_scalars_are_quoted_where_they_must() {
        let written = [
            "platform", "a.b/c-d", "no", "007", "1.36", "true", "*", "a b", "ä", "\"", "-a", "",
        ];
        let wanted = [
            "platform", "a.b/c-d", "\"no\"", "\"007\"", "\"1.36\"", "\"true\"", "\"*\"", "\"a b\"", "\"ä\"",
            "\"\\\"\"", "\"-a\"", "\"\"",
        ];
        assert_eq!(written.map(scalar), wanted);
        for text in written {
            assert_eq!(
                tree::parse(&scalar(text)).unwrap().value,
                Value::Text(text.into())
            );
        }
    }
}
