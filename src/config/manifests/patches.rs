//! Patches of a kustomization.

use std::rc::Rc;

use camino::Utf8Path;

use super::Reading;
use super::generators::is_content;
use super::kustomization::{Keys, list};
use super::merge::{is_operations, merged, operated};
use super::node::{entry, field, items, place_all, text, text_at};
use super::object::Object;
use super::select::{Match, select};
use crate::config::tree::{self, Node, Value};
use crate::diag::{Code, Span};

impl Reading<'_> {
    /// Applies `patchesStrategicMerge` and `patches`.
    pub(super) fn patch(&mut self, folder: &Utf8Path, keys: &Keys<'_>, objects: &mut Vec<Object>) {
        for item in list(keys, "patchesStrategicMerge") {
            let Some(written) = self.expect_text(item) else {
                continue;
            };
            let patches = if is_content(written) {
                self.inline(written, item.span)
            } else {
                self.patch_file(folder, item)
            };
            for patch in patches {
                self.apply(&patch, None, objects);
            }
        }
        for item in list(keys, "patches") {
            self.patch_entry(folder, item, objects);
        }
    }

    /// Applies `patchesJson6902`, which kustomize does after names have changed.
    pub(super) fn patch_late(&mut self, folder: &Utf8Path, keys: &Keys<'_>, objects: &mut Vec<Object>) {
        for item in list(keys, "patchesJson6902") {
            self.patch_entry(folder, item, objects);
        }
    }

    fn patch_entry(&mut self, folder: &Utf8Path, item: &Node, objects: &mut Vec<Object>) {
        let patches = match (field(item, "path"), field(item, "patch")) {
            (Some(path), None) => self.patch_file(folder, path),
            (None, Some(patch)) => match self.expect_text(patch) {
                Some(content) => {
                    self.check_json(content, patch.span);
                    self.inline(content, patch.span)
                }
                None => Vec::new(),
            },
            _ => {
                let message = "a patch has either `path` or `patch`";
                self.report(Code::BadKustomization, item.span, message);
                Vec::new()
            }
        };
        for patch in patches {
            self.apply(&patch, field(item, "target"), objects);
        }
    }

    /// kustomize takes a list in brackets for JSON, which is stricter than YAML.
    fn check_json(&mut self, content: &str, span: Span) {
        let content = content.trim();
        if content.starts_with('[') && serde_json::from_str::<serde_json::Value>(content).is_err() {
            let message = "kustomize reads a patch that begins with `[` as JSON, and this is none";
            self.report(Code::BadKustomization, span, message).help =
                Some("quote its texts with \", or write it as a YAML list with dashes".into());
        }
    }

    fn patch_file(&mut self, folder: &Utf8Path, node: &Node) -> Vec<Rc<Node>> {
        let found = self.reference(folder, node);
        found.map(|(path, _)| self.documents(&path)).unwrap_or_default()
    }

    /// A patch that is written in the kustomization itself; all of it is at the place of the text.
    pub(super) fn inline(&mut self, content: &str, span: Span) -> Vec<Rc<Node>> {
        match tree::parse_all(content) {
            Ok(nodes) => nodes
                .into_iter()
                .map(|mut node| {
                    place_all(&mut node, span);
                    Rc::new(node)
                })
                .collect(),
            Err(fault) => {
                self.report(Code::Syntax, span, format!("in this patch: {}", fault.message));
                Vec::new()
            }
        }
    }

    fn apply(&mut self, patch: &Node, target: Option<&Node>, objects: &mut Vec<Object>) {
        if is_operations(patch) {
            self.apply_operations(patch, target, objects);
            return;
        }
        if !matches!(patch.value, Value::Map(_)) {
            self.report(
                Code::BadKustomization,
                patch.span,
                "a patch is a mapping or a list of operations",
            );
            return;
        }
        let mut is_used = false;
        let laid = without_identity(patch);
        objects.retain_mut(|object| {
            let found = match target {
                Some(target) => select(object, target),
                None => Match::from(is_named(object, patch)),
            };
            if found == Match::No {
                return true;
            }
            is_used = true;
            object.is_uncertain |= found == Match::Perhaps;
            match merged(object.node.as_ref().clone(), &laid) {
                Some(node) => {
                    object.node = Rc::new(node);
                    true
                }
                None => false,
            }
        });
        if !is_used && target.is_none() && !self.is_incomplete {
            self.report_unused(patch);
        }
        let secrets: Vec<Span> = objects.iter().flat_map(Object::plain_secrets).collect();
        self.secrets.extend(secrets);
    }

    fn report_unused(&mut self, patch: &Node) {
        let kind = text_at(patch, &["kind"]).unwrap_or("object without kind");
        let name = text_at(patch, &["metadata", "name"]).unwrap_or("without name");
        let span = field(patch, "metadata")
            .and_then(|metadata| entry(metadata, "name"))
            .map_or(patch.span, |(_, name)| name.span);
        let message = format!("there is no {kind}/{name} that this patch could change");
        self.report(Code::BadKustomization, span, message);
    }

    fn apply_operations(&mut self, patch: &Node, target: Option<&Node>, objects: &mut [Object]) {
        let Some(target) = target else {
            let message = "a list of operations needs `target`";
            self.report(Code::BadKustomization, patch.span, message);
            return;
        };
        for object in objects {
            let found = select(object, target);
            if found == Match::No {
                continue;
            }
            match operated(object.node.as_ref().clone(), items(patch)) {
                Ok(node) => {
                    let changed = self.object(Rc::new(node));
                    if let Some(changed) = changed {
                        object.node = changed.node;
                    }
                }
                Err((operation, reason)) if found == Match::Yes && !object.is_uncertain => {
                    let message = format!("the patch of {object} can't be carried out: {reason}");
                    self.report(Code::BadKustomization, operation.span, message);
                }
                Err(_) => {}
            }
            object.is_uncertain |= found == Match::Perhaps;
        }
    }
}

/// Whether a patch names the object: kind, name, group and, when given, namespace.
fn is_named(object: &Object, patch: &Node) -> bool {
    let word = |path: &[&str]| text_at(patch, path);
    let group = word(&["apiVersion"]).and_then(|version| version.split_once('/'));
    let namespace = word(&["metadata", "namespace"]);
    word(&["kind"]) == Some(object.kind())
        && word(&["metadata", "name"]).is_some_and(|name| object.has_name(name))
        && group.map_or("", |(group, _)| group) == object.group()
        && namespace.is_none_or(|wanted| {
            object
                .namespace()
                .is_none_or(|(namespace, _)| namespace == wanted)
        })
}

/// A patch without what tells which object it is for: kustomize keeps that of the object.
fn without_identity(patch: &Node) -> Node {
    let mut patch = patch.clone();
    let Value::Map(map) = &mut patch.value else {
        return patch;
    };
    map.retain(|(key, _)| !matches!(key.name.as_str(), "apiVersion" | "kind"));
    for (key, value) in map {
        if let (true, Value::Map(metadata)) = (key.name == "metadata", &mut value.value) {
            metadata.retain(|(key, value)| {
                !matches!(key.name.as_str(), "name" | "namespace") || text(value).is_none()
            });
        }
    }
    patch
}
