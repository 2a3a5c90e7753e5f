//! Which objects the `target` of a patch means.

use super::node::{at, entries, text, text_at};
use super::object::Object;
use crate::config::tree::Node;

/// Whether an object is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It is not.
    No,
    /// The selector is one that is not followed here.
    Perhaps,
    /// It is.
    Yes,
}

impl From<bool> for Match {
    fn from(is_meant: bool) -> Self {
        if is_meant { Self::Yes } else { Self::No }
    }
}

/// Whether `target` means `object`.
pub(super) fn select(object: &Object, target: &Node) -> Match {
    let namespace = object.namespace().map_or("", |(namespace, _)| namespace);
    let by_name = text_at(target, &["name"]).map_or(Match::Yes, |pattern| {
        // Names from before prefixes count too.
        if object.has_name(pattern) {
            Match::Yes
        } else {
            matches(pattern, object.name())
        }
    });
    let mut result = by_name;
    for (key, value) in [
        ("group", object.group()),
        ("version", object.version()),
        ("kind", object.kind()),
        ("namespace", namespace),
    ] {
        if let Some(pattern) = text_at(target, &[key]) {
            result = result.min(matches(pattern, value));
        }
    }
    for (key, place) in [("labelSelector", "labels"), ("annotationSelector", "annotations")] {
        if let Some(selector) = text_at(target, &[key]) {
            result = result.min(selects(selector, object, place));
        }
    }
    result
}

/// Whether the whole text matches a regular expression: literals, `.`, `*`, `+` and alternatives.
fn matches(pattern: &str, text: &str) -> Match {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    if pattern.contains(['[', ']', '(', ')', '{', '}', '?', '\\', '^', '$']) {
        return Match::Perhaps;
    }
    pattern
        .split('|')
        .any(|alternative| matches_one(alternative, text))
        .into()
}

/// Runs all ways through the pattern at once, so that no pattern takes long.
fn matches_one(pattern: &str, text: &str) -> bool {
    let mut steps: Vec<(char, char)> = Vec::new();
    for character in pattern.chars() {
        match (character, steps.last_mut()) {
            ('*' | '+', Some((_, repeat))) => *repeat = character,
            _ => steps.push((character, ' ')),
        }
    }
    // `+` is one and then any number.
    let steps: Vec<(char, bool)> = steps
        .into_iter()
        .flat_map(|(character, repeat)| match repeat {
            '*' => vec![(character, true)],
            '+' => vec![(character, false), (character, true)],
            _ => vec![(character, false)],
        })
        .collect();
    let mut reached = vec![false; steps.len() + 1];
    reached[0] = true;
    skip(&steps, &mut reached);
    for character in text.chars() {
        let mut next = vec![false; steps.len() + 1];
        for (index, (wanted, repeats)) in steps.iter().enumerate() {
            if reached[index] && (*wanted == '.' || *wanted == character) {
                next[if *repeats { index } else { index + 1 }] = true;
            }
        }
        skip(&steps, &mut next);
        reached = next;
    }
    reached[steps.len()]
}

/// A step that may be repeated may also be left out.
fn skip(steps: &[(char, bool)], reached: &mut [bool]) {
    for (index, (_, repeats)) in steps.iter().enumerate() {
        if reached[index] && *repeats {
            reached[index + 1] = true;
        }
    }
}

/// Whether labels or annotations meet a selector of `key=value`, `key!=value` and `key`.
fn selects(selector: &str, object: &Object, place: &str) -> Match {
    if selector.contains(['(', ')', '!']) && !selector.contains("!=") {
        return Match::Perhaps;
    }
    let found = at(&object.node, &["metadata", place]);
    let value_of = |wanted: &str| {
        let mut entries = found.map_or(&[][..], entries).iter();
        entries
            .find(|(key, _)| key.name == wanted)
            .map(|(_, value)| text(value).unwrap_or_default())
    };
    selector
        .split(',')
        .map(str::trim)
        .all(|requirement| {
            if let Some((key, value)) = requirement.split_once("!=") {
                value_of(key.trim()) != Some(value.trim())
            } else if let Some((key, value)) = requirement.split_once('=') {
                value_of(key.trim()) == Some(value.trim_start_matches('=').trim())
            } else {
                requirement.is_empty() || value_of(requirement).is_some()
            }
        })
        .into()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn test_patterns_match_whole_texts() {
        for (pattern, text, wanted) in [
            ("web", "web", Match::Yes),
            ("web", "webs", Match::No),
            (".*", "", Match::Yes),
            ("w.*b", "wooob", Match::Yes),
            ("a+", "", Match::No),
            ("a+", "aaa", Match::Yes),
            ("web|db", "db", Match::Yes),
            ("^web$", "web", Match::Yes),
            ("we[bc]", "web", Match::Perhaps),
            ("*", "x", Match::No),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} on {text}");
        }
    }

    #[test]
    fn test_targets_need_every_part() {
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {a: b}}}";
        let object = Object::new(Rc::new(parse(text).unwrap())).unwrap();
        for (target, wanted) in [
            ("{kind: Deployment}", Match::Yes),
            ("{kind: Deployment, name: db}", Match::No),
            ("{group: apps, version: v1, labelSelector: a=b}", Match::Yes),
            ("{labelSelector: 'a!=b'}", Match::No),
            ("{labelSelector: 'a in (b, c)'}", Match::Perhaps),
            ("{kind: Service, labelSelector: 'a in (b, c)'}", Match::No),
            ("{annotationSelector: x}", Match::No),
        ] {
            assert_eq!(select(&object, &parse(target).unwrap()), wanted, "{target}");
        }
    }
}
