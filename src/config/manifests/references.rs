//! References to files and folders in kustomizations, and the objects of a file.

use std::rc::Rc;

use camino::{Utf8Path, Utf8PathBuf};

use super::Reading;
use super::files::{Entry, Fault, resolve};
use super::node::text;
use super::object::{Object, unfold};
use super::remote::is_remote;
use crate::config::tree::{Node, Value};
use crate::diag::{Code, Span, did_you_mean};

impl Reading<'_> {
    /// A text in a kustomization; anything else is reported.
    pub(super) fn expect_text<'node>(&mut self, node: &'node Node) -> Option<&'node str> {
        let found = text(node);
        if found.is_none() {
            let message = format!("a text belongs here, not {}", node.kind());
            self.report(Code::WrongType, node.span, message);
        }
        found
    }

    /// What a reference in a kustomization in `folder` leads to; whatever is wrong with it is reported.
    pub(super) fn reference(&mut self, folder: &Utf8Path, node: &Node) -> Option<(Utf8PathBuf, Entry)> {
        let written = self.expect_text(node)?.to_owned();
        self.reference_to(folder, &written, node.span)
    }

    /// The same for a reference that is part of a text.
    pub(super) fn reference_to(
        &mut self,
        folder: &Utf8Path,
        written: &str,
        span: Span,
    ) -> Option<(Utf8PathBuf, Entry)> {
        let found = self.follow(folder, written, span);
        self.is_incomplete |= found.is_none();
        found
    }

    fn follow(&mut self, folder: &Utf8Path, written: &str, span: Span) -> Option<(Utf8PathBuf, Entry)> {
        if is_remote(written) {
            let message = format!("`{written}` is fetched from somewhere else each time Flux applies it");
            self.report(Code::RemoteBase, span, message).help =
                Some("copy what is needed into the repository, or use `source.git` or `source.oci`".into());
            return None;
        }
        let homes = &self.subject.homes;
        let path = resolve(folder, written).filter(|path| homes.iter().any(|home| path.starts_with(home)));
        let Some(path) = path else {
            let message = format!("`{written}` leads out of the application's folder");
            let homes: Vec<String> = homes.iter().map(|home| format!("`{home}`")).collect();
            self.report(Code::Escapes, span, message).help =
                Some(format!("move the file into {}", homes.join(" or ")));
            return None;
        };
        match self.files.look(&path) {
            Ok(entry) => {
                self.referenced.insert(path.clone());
                Some((path, entry))
            }
            Err(fault) => {
                self.report_fault(&path, &fault, Some(span));
                None
            }
        }
    }

    /// Says why a path can't be used, at the place that names it or, without one, where the folder is declared.
    pub(super) fn report_fault(&mut self, path: &Utf8Path, fault: &Fault, span: Option<Span>) {
        let label = match span {
            Some(span) => self.label(span, ""),
            None => Some(self.subject.declared.clone()),
        };
        let (code, message, help) = match fault {
            Fault::Missing => (
                Code::BadKustomization,
                format!("{path} is not there"),
                self.near(path),
            ),
            Fault::Link(link) => (
                Code::Escapes,
                format!("{link} is a symbolic link, which Flux does not follow"),
                Some("put the file itself there".to_owned()),
            ),
            Fault::LeftOut => (
                Code::BadKustomization,
                format!("{path} is left out of what Flux fetches"),
                Some("Flux leaves out pictures, archives and files of CI systems; give the file another ending".to_owned()),
            ),
            Fault::Unreadable(reason) => (Code::NotAnObject, format!("{path} {reason}"), None),
        };
        self.report_at(code, label, message).help = help;
    }

    /// A name beside the missing one that may be meant.
    fn near(&self, path: &Utf8Path) -> Option<String> {
        let names = self.files.list(path.parent()?);
        let near = did_you_mean(path.file_name()?, names.iter().map(|(name, _)| name.as_str()))?;
        Some(format!("did you mean `{near}`?"))
    }

    /// The documents of a file, whatever is wrong with it being reported.
    pub(super) fn documents(&mut self, path: &Utf8Path) -> Vec<Rc<Node>> {
        let documents = match self.files.documents(path) {
            Ok(documents) => documents,
            Err(fault) => {
                self.is_incomplete = true;
                self.report_fault(path, &fault, None);
                return Vec::new();
            }
        };
        if let Some(fault) = documents.fault {
            self.is_incomplete = true;
            let span = fault.span.unwrap_or(documents.start);
            self.hide_secrets_near(span);
            self.report(Code::Syntax, span, fault.message).help = fault.help;
        }
        for document in &documents.nodes {
            self.check_duplicates(document);
        }
        documents.nodes
    }

    /// A line that can't be parsed may be one of a Secret.
    fn hide_secrets_near(&mut self, span: Span) {
        let Some((path, local)) = self.files.locate(span) else {
            return;
        };
        let (path, base) = (path.to_owned(), span.start - local.start);
        let Ok(text) = self.files.text(&path) else { return };
        if !text.contains("Secret") {
            return;
        }
        let mut start = 0;
        let mut hidden = Vec::new();
        for line in text.split_inclusive('\n') {
            let value = line.find([':', '-']).map_or(0, |separator| separator + 1);
            hidden.push(Span {
                start: base + start + value,
                end: base + start + line.len(),
            });
            start += line.len();
        }
        self.secrets.extend(hidden);
    }

    /// The objects of a file.
    pub(super) fn file_objects(&mut self, path: &Utf8Path) -> Vec<Object> {
        let mut objects = Vec::new();
        for document in self.documents(path) {
            for node in unfold(document) {
                objects.extend(self.object(node));
            }
        }
        objects
    }

    /// The object of a document; one that is none is reported.
    pub(super) fn object(&mut self, node: Rc<Node>) -> Option<Object> {
        let span = node.span;
        match Object::new(node) {
            Ok(object) => {
                let secrets = object.plain_secrets();
                self.secrets.extend(secrets);
                Some(object)
            }
            Err(fault) => {
                self.is_incomplete = true;
                let span = if fault.span.end > fault.span.start {
                    fault.span
                } else {
                    span
                };
                let message = format!("this is not a Kubernetes object: {}", fault.message);
                let help = "in a folder without kustomization.yaml Flux takes every .yaml and .yml file for manifests";
                self.report(Code::NotAnObject, span, message).help =
                    fault.is_something_else.then(|| help.to_owned());
                None
            }
        }
    }

    /// Reports keys that are written twice, wherever they are.
    fn check_duplicates(&mut self, node: &Node) {
        match &node.value {
            Value::Map(map) => {
                let mut names: Vec<_> = map.iter().map(|(key, _)| key).collect();
                names.sort_by_key(|key| (key.name.as_str(), key.span));
                for pair in names.windows(2).filter(|pair| pair[0].name == pair[1].name) {
                    let first = self.label(pair[0].span, "first here");
                    let message = format!("`{}` is written twice", pair[1].name);
                    self.report(Code::DuplicateKey, pair[1].span, message)
                        .labels
                        .extend(first);
                }
                for (_, value) in map {
                    self.check_duplicates(value);
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.check_duplicates(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}
