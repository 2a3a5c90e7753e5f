//! Looking into trees, and making small ones.

use crate::config::tree::{Key, Node, Value};
use crate::diag::Span;

/// The entry of `name`, when `node` is a mapping that has it.
pub(super) fn entry<'node>(node: &'node Node, name: &str) -> Option<(&'node Key, &'node Node)> {
    let (key, value) = entries(node).iter().find(|(key, _)| key.name == name)?;
    Some((key, value))
}

/// The value of `name`, when `node` is a mapping that has it.
pub(super) fn field<'node>(node: &'node Node, name: &str) -> Option<&'node Node> {
    entry(node, name).map(|(_, value)| value)
}

/// The value at the end of `path`.
pub(super) fn at<'node>(node: &'node Node, path: &[&str]) -> Option<&'node Node> {
    path.iter().try_fold(node, |node, name| field(node, name))
}

/// The value of `name`, to be changed.
pub(super) fn field_mut<'node>(node: &'node mut Node, name: &str) -> Option<&'node mut Node> {
    let Value::Map(map) = &mut node.value else {
        return None;
    };
    let (_, value) = map.iter_mut().find(|(key, _)| key.name == name)?;
    Some(value)
}

/// The entries of a mapping; none of anything else.
pub(super) fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        Value::Map(map) => map,
        _ => &[],
    }
}

/// The items of a list; none of anything else.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// A text that stands there.
pub(super) fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The text at the end of `path`.
pub(super) fn text_at<'node>(node: &'node Node, path: &[&str]) -> Option<&'node str> {
    at(node, path).and_then(text)
}

/// Whether `true` stands at the end of `path`.
pub(super) fn is_true(node: &Node, path: &[&str]) -> bool {
    at(node, path).is_some_and(|value| value.value == Value::Bool(true))
}

/// Moves every place of the tree by `offset` bytes.
pub(super) fn shift(node: &mut Node, offset: usize) {
    each_span(node, &mut |span| {
        span.start += offset;
        span.end += offset;
    });
}

/// Gives every part of the tree the place `span`.
pub(super) fn place_all(node: &mut Node, span: Span) {
    each_span(node, &mut |each| *each = span);
}

fn each_span(node: &mut Node, change: &mut impl FnMut(&mut Span)) {
    change(&mut node.span);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| each_span(item, change)),
        Value::Map(map) => {
            for (key, value) in map {
                change(&mut key.span);
                each_span(value, change);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// A text at `span`.
pub(super) fn text_node(text: &str, span: Span) -> Node {
    Node::new(Value::Text(text.to_owned()), span)
}

/// A mapping at `span`.
pub(super) fn map_node(fields: impl IntoIterator<Item = (&'static str, Node)>, span: Span) -> Node {
    let entry = |(name, value): (&str, Node)| {
        let name = name.to_owned();
        (Key { name, span }, value)
    };
    Node::new(Value::Map(fields.into_iter().map(entry).collect()), span)
}
