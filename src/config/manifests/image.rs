//! References of container images, and how `images` of a kustomization changes them.

use std::rc::Rc;

use super::node::{entries, field, field_mut, text};
use super::object::Object;
use crate::config::tree::{Node, Value};
use crate::diag::Span;

/// Lists of containers, wherever they stand in an object.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// A reference to an image: name, tag, digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference<'text> {
    pub(super) name: &'text str,
    pub(super) tag: Option<&'text str>,
    pub(super) digest: Option<&'text str>,
}

impl<'text> Reference<'text> {
    /// Takes a reference apart. A colon before the last slash belongs to the port of the registry.
    pub(super) fn new(text: &'text str) -> Self {
        let (rest, digest) = text
            .split_once('@')
            .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let path = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[path..].find(':') {
            Some(colon) => (&rest[..path + colon], Some(&rest[path + colon + 1..])),
            None => (rest, None),
        };
        Self { name, tag, digest }
    }

    /// What keeps it from meaning one image for ever, in words.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.name.is_empty() {
            return Some("has no name");
        }
        match (self.digest, self.tag) {
            (Some(digest), _) => (!is_digest(digest)).then_some("has a digest that is none"),
            (None, None | Some("")) => Some("has neither tag nor digest"),
            (None, Some("latest")) => Some("has the tag `latest`, which means another image tomorrow"),
            (None, Some(_)) => None,
        }
    }
}

/// `sha256:` and 64 hexadecimal digits, or `sha512:` and 128.
fn is_digest(text: &str) -> bool {
    let is_hexadecimal = |digits: &str, length: usize| {
        digits.len() == length
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some(("sha256", digits)) => is_hexadecimal(digits, 64),
        Some(("sha512", digits)) => is_hexadecimal(digits, 128),
        _ => false,
    }
}

/// One entry of `images` in a kustomization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageChange {
    pub(super) name: String,
    pub(super) new_name: Option<String>,
    pub(super) new_tag: Option<String>,
    pub(super) tag_suffix: Option<String>,
    pub(super) digest: Option<String>,
}

impl ImageChange {
    /// What becomes of a reference; `None` when it is another image.
    fn apply(&self, text: &str) -> Option<String> {
        let reference = Reference::new(text);
        if reference.name != self.name {
            return None;
        }
        let name = self.new_name.as_deref().unwrap_or(reference.name);
        let (tag, digest) = match (&self.new_tag, &self.digest, &self.tag_suffix) {
            (None, None, None) => (reference.tag.map(str::to_owned), reference.digest),
            (None, None, Some(suffix)) => (
                Some(format!("{}{suffix}", reference.tag.unwrap_or_default())),
                None,
            ),
            (tag, digest, _) => (tag.clone(), digest.as_deref()),
        };
        let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
        let digest = digest.map_or_else(String::new, |digest| format!("@{digest}"));
        Some(format!("{name}{tag}{digest}"))
    }
}

/// The images that an object makes nodes pull, with their places. What is inside a chart's values is not among them.
pub(super) fn images(object: &Object) -> Vec<(&str, Span)> {
    let mut found = Vec::new();
    if has_images(object) {
        collect(&object.node, &mut found);
    }
    found
}

fn has_images(object: &Object) -> bool {
    !matches!(
        object.kind(),
        "CustomResourceDefinition" | "HelmRelease" | "ConfigMap" | "Secret"
    )
}

fn collect<'node>(node: &'node Node, found: &mut Vec<(&'node str, Span)>) {
    match &node.value {
        Value::Map(_) => {
            for (key, value) in entries(node) {
                if let Value::List(list) = &value.value {
                    let images = list.iter().filter_map(|item| image_of(&key.name, item));
                    found.extend(images.filter_map(|image| Some((text(image)?, image.span))));
                }
                collect(value, found);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// The image of a container, or of a volume made of an image.
fn image_of<'node>(list: &str, item: &'node Node) -> Option<&'node Node> {
    if CONTAINERS.contains(&list) {
        return field(item, "image");
    }
    if list == "volumes" {
        return field(field(item, "image")?, "reference");
    }
    None
}

/// Applies `images` of a kustomization.
pub(super) fn change_images(object: &mut Object, changes: &[ImageChange]) {
    let is_meant = images(object)
        .iter()
        .any(|(image, _)| changes.iter().any(|change| change.apply(image).is_some()));
    if is_meant {
        change(Rc::make_mut(&mut object.node), changes);
    }
}

fn change(node: &mut Node, changes: &[ImageChange]) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map {
                if let Value::List(list) = &mut value.value {
                    for item in list {
                        change_item(&key.name, item, changes);
                    }
                }
                change(value, changes);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| change(item, changes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn change_item(list: &str, item: &mut Node, changes: &[ImageChange]) {
    // kustomize does not know ephemeral containers.
    let image = match list {
        "containers" | "initContainers" => field_mut(item, "image"),
        "volumes" => field_mut(item, "image").and_then(|image| field_mut(image, "reference")),
        _ => None,
    };
    if let Some(Value::Text(image)) = image.map(|image| &mut image.value) {
        for change in changes {
            if let Some(changed) = change.apply(image) {
                *image = changed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_references_are_taken_apart_around_ports_and_digests() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let with_digest = format!("quay.io:443/a/b:1@{digest}");
        for (text, name, tag, has_digest) in [
            ("nginx", "nginx", None, false),
            ("nginx:1.27", "nginx", Some("1.27"), false),
            ("localhost:5000/nginx", "localhost:5000/nginx", None, false),
            ("localhost:5000/nginx:1", "localhost:5000/nginx", Some("1"), false),
            (&with_digest, "quay.io:443/a/b", Some("1"), true),
        ] {
            let reference = Reference::new(text);
            assert_eq!(
                (reference.name, reference.tag, reference.digest.is_some()),
                (name, tag, has_digest),
                "{text}"
            );
        }
    }

    #[test]
    fn test_images_that_move_are_faults() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for good in [
            "a:1",
            "localhost:5000/a:1",
            &format!("a@{digest}"),
            &format!("a:latest@{digest}"),
        ] {
            assert_eq!(Reference::new(good).fault(), None, "{good}");
        }
        for bad in [
            "a",
            "a:",
            "a:latest",
            "localhost:5000/a",
            "a@sha256:abc",
            "a:1@",
            ":1",
            "",
        ] {
            assert!(Reference::new(bad).fault().is_some(), "{bad}");
        }
    }

    #[test]
    fn test_changes_work_as_in_kustomize() {
        let change = |tag: Option<&str>, digest: Option<&str>| ImageChange {
            name: "nginx".into(),
            new_name: Some("quay.io/nginx".into()),
            new_tag: tag.map(Into::into),
            digest: digest.map(Into::into),
            tag_suffix: None,
        };
        assert_eq!(
            change(Some("2"), None).apply("nginx:1@sha256:0"),
            Some("quay.io/nginx:2".into())
        );
        assert_eq!(
            change(None, Some("sha256:0")).apply("nginx:1"),
            Some("quay.io/nginx@sha256:0".into())
        );
        assert_eq!(
            change(None, None).apply("nginx:1"),
            Some("quay.io/nginx:1".into())
        );
        assert_eq!(change(None, None).apply("nginx-exporter:1"), None);
    }
}
