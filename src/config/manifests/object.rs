//! One Kubernetes object of a manifest.

use std::fmt;
use std::rc::Rc;

use super::node::{at, entries, entry, field, field_mut, items, map_node, text, text_at, text_node};
use crate::config::tree::{Node, Value};
use crate::diag::Span;

/// A Kubernetes object while kustomizations work on it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Its content; shared with the file it is from until it is changed.
    pub(super) node: Rc<Node>,
    /// Names that it had before prefixes and suffixes: patches may use them.
    earlier_names: Vec<String>,
    /// Namespace that a kustomization gives it, and where.
    given_namespace: Option<(String, Span)>,
    /// Whether something changes it that is not followed here (replacements, transformers).
    pub(super) is_uncertain: bool,
    /// Whether its name gets a hash at the end.
    pub(super) is_hashed: bool,
}

/// Why a document is not a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotAnObject {
    pub(super) message: String,
    pub(super) span: Span,
    /// Whether it has neither `apiVersion` nor `kind`.
    pub(super) is_something_else: bool,
}

impl Object {
    /// Takes a document that has what every object must have.
    pub(super) fn new(node: Rc<Node>) -> Result<Self, NotAnObject> {
        for path in [&["apiVersion"][..], &["kind"], &["metadata", "name"]] {
            check_text(&node, path)?;
        }
        if let Some(namespace) = at(&node, &["metadata", "namespace"])
            && text(namespace).is_none()
            && namespace.value != Value::Null
        {
            return Err(NotAnObject {
                message: format!("`metadata.namespace` is {}, not a text", namespace.kind()),
                span: namespace.span,
                is_something_else: false,
            });
        }
        Ok(Self {
            node,
            earlier_names: Vec::new(),
            given_namespace: None,
            is_uncertain: false,
            is_hashed: false,
        })
    }

    /// What a generator of a kustomization makes.
    pub(super) fn generated(kind: &str, name: &str, span: Span, is_hashed: bool) -> Self {
        let metadata = map_node([("name", text_node(name, span))], span);
        let fields = [
            ("apiVersion", text_node("v1", span)),
            ("kind", text_node(kind, span)),
            ("metadata", metadata),
        ];
        Self {
            node: Rc::new(map_node(fields, span)),
            earlier_names: Vec::new(),
            given_namespace: None,
            is_uncertain: false,
            is_hashed,
        }
    }

    pub(super) fn api_version(&self) -> &str {
        text_at(&self.node, &["apiVersion"]).unwrap_or_default()
    }

    /// Group of the API; empty for the core group.
    pub(super) fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn version(&self) -> &str {
        let api_version = self.api_version();
        api_version
            .split_once('/')
            .map_or(api_version, |(_, version)| version)
    }

    pub(super) fn kind(&self) -> &str {
        text_at(&self.node, &["kind"]).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        text_at(&self.node, &["metadata", "name"]).unwrap_or_default()
    }

    /// Whether it is of a built-in group and kind.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.kind() == kind && self.group() == group
    }

    /// The namespace it is meant for, and where that is said.
    pub(super) fn namespace(&self) -> Option<(&str, Span)> {
        if let Some((namespace, span)) = &self.given_namespace {
            return Some((namespace, *span));
        }
        let node = at(&self.node, &["metadata", "namespace"])?;
        Some((text(node)?, node.span))
    }

    /// Where a field stands; where the object begins when it has no such field.
    pub(super) fn span(&self, path: &[&str]) -> Span {
        at(&self.node, path).map_or(self.node.span, |node| node.span)
    }

    /// Where its name stands.
    pub(super) fn place(&self) -> Span {
        self.span(&["metadata", "name"])
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        text_at(&self.node, &["metadata", "annotations", name])
    }

    /// Whether a patch that names `name` means it.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.name() == name || self.earlier_names.iter().any(|earlier| earlier == name)
    }

    pub(super) fn give_namespace(&mut self, namespace: &str, span: Span) {
        self.given_namespace = Some((namespace.to_owned(), span));
    }

    pub(super) fn rename(&mut self, name: String) {
        let earlier = self.name().to_owned();
        let node = Rc::make_mut(&mut self.node);
        let metadata = field_mut(node, "metadata");
        if let Some(place) = metadata.and_then(|metadata| field_mut(metadata, "name")) {
            place.value = Value::Text(name);
            self.earlier_names.push(earlier);
        }
    }

    /// Places of the values of a Secret that are written in plain text.
    pub(super) fn plain_secrets(&self) -> Vec<Span> {
        if !self.is("", "Secret") {
            return Vec::new();
        }
        let is_encrypted = text_at(&self.node, &["sops", "mac"]).is_some();
        ["data", "stringData"]
            .into_iter()
            .filter_map(|name| field(&self.node, name))
            .flat_map(entries)
            .filter(|(_, value)| !(is_encrypted && is_encrypted_value(value)))
            .filter(|(_, value)| !matches!(&value.value, Value::Null))
            .filter(|(_, value)| text(value).is_none_or(|text| !text.is_empty()))
            .map(|(_, value)| value.span)
            .collect()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind(), self.name())
    }
}

/// What sops writes in place of a value.
fn is_encrypted_value(node: &Node) -> bool {
    text(node).is_some_and(|text| text.starts_with("ENC[") && text.ends_with(']'))
}

fn check_text(node: &Node, path: &[&str]) -> Result<(), NotAnObject> {
    let shown = path.join(".");
    let found = at(node, path).filter(|found| found.value != Value::Null);
    let (message, span) = match found {
        None => {
            let first = entries(node).first().map(|(key, _)| key.span);
            let parent = entry(node, path[0]).map(|(key, _)| key.span);
            let span = parent.or(first).unwrap_or(node.span);
            (format!("`{shown}` is missing"), span)
        }
        Some(found) => match text(found) {
            Some("") => (format!("`{shown}` is empty"), found.span),
            Some(_) => return Ok(()),
            None => (format!("`{shown}` is {}, not a text", found.kind()), found.span),
        },
    };
    Err(NotAnObject {
        message,
        span,
        is_something_else: field(node, "apiVersion").is_none() && field(node, "kind").is_none(),
    })
}

/// The objects of a document: itself, or the items of a list. Kubernetes and kustomize take every kind that ends with
/// `List` and has `items` for one.
pub(super) fn unfold(document: Rc<Node>) -> Vec<Rc<Node>> {
    let is_list = text_at(&document, &["kind"]).is_some_and(|kind| kind.ends_with("List"));
    match field(&document, "items") {
        Some(list) if is_list && matches!(list.value, Value::List(_) | Value::Null) => items(list)
            .iter()
            .flat_map(|item| unfold(Rc::new(item.clone())))
            .collect(),
        _ => vec![document],
    }
}
