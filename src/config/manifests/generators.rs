//! `ConfigMap`s and Secrets that a kustomization makes of files, and the other files that it reads.

use camino::Utf8Path;

use super::Reading;
use super::files::Entry;
use super::kustomization::{Keys, list};
use super::node::{at, field, is_true, items, text, text_at};
use super::object::Object;
use crate::config::sealed::is_sealed;
use crate::config::tree::Node;
use crate::diag::{Code, Span};

/// Keys with paths of files that do not become objects.
const PLAIN_FILES: [&str; 2] = ["configurations", "crds"];
/// Keys with paths of files, or with the content itself, that can change every object.
const CHANGERS: [&str; 2] = ["transformers", "validators"];

impl Reading<'_> {
    /// Adds what `configMapGenerator` and `secretGenerator` make.
    pub(super) fn generate(&mut self, folder: &Utf8Path, keys: &Keys<'_>, objects: &mut Vec<Object>) {
        for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            for item in list(keys, key) {
                self.check_generator_files(folder, item, kind == "Secret");
                objects.extend(generated(keys, item, kind));
            }
        }
        self.check_generated_namespace(keys);
    }

    fn check_generated_namespace(&mut self, keys: &Keys<'_>) {
        let app = self.subject.app.as_str();
        for item in list(keys, "configMapGenerator")
            .iter()
            .chain(list(keys, "secretGenerator"))
        {
            if let Some(node) = field(item, "namespace")
                && let Some(namespace) = text(node)
                && namespace != app
                && !app.is_empty()
            {
                self.report_namespace(namespace, node.span);
            }
        }
    }

    fn check_generator_files(&mut self, folder: &Utf8Path, item: &Node, is_secret: bool) {
        for source in field(item, "files").map_or(&[][..], items) {
            if let Some(written) = self.expect_text(source) {
                let path = written
                    .split_once('=')
                    .map_or(written, |(_, path)| path)
                    .to_owned();
                self.check_generator_file(folder, &path, source.span, is_secret);
            }
        }
        let sources = field(item, "envs").map_or(&[][..], items);
        for source in sources.iter().chain(field(item, "env")) {
            if let Some(path) = self.expect_text(source) {
                let path = path.to_owned();
                self.check_generator_file(folder, &path, source.span, is_secret);
            }
        }
        if is_secret {
            for literal in field(item, "literals").map_or(&[][..], items) {
                self.secrets.push(literal.span);
                self.report_plain_secret(literal.span);
            }
        }
    }

    fn check_generator_file(&mut self, folder: &Utf8Path, written: &str, span: Span, is_secret: bool) {
        let Some((path, _)) = self.reference_to(folder, written, span) else {
            return;
        };
        if !is_secret {
            return;
        }
        let is_encrypted = match self.files.text(&path) {
            Ok(text) => text.is_empty() || is_sealed(text),
            Err(_) => false,
        };
        if !is_encrypted {
            self.report_plain_secret(span);
        }
    }

    /// Checks the remaining files of a kustomization, and says what can't be followed.
    pub(super) fn other_files(&mut self, folder: &Utf8Path, keys: &Keys<'_>, objects: &mut [Object]) {
        for key in ["helmCharts", "helmChartInflationGenerator"] {
            if let Some(node) = keys.get(key) {
                self.is_incomplete = true;
                self.report(
                    Code::RemoteBase,
                    node.span,
                    format!("`{key}` is not done by Flux"),
                )
                .help = Some("declare the chart under `source.helm` in app.yaml".into());
            }
        }
        for key in PLAIN_FILES {
            for item in list(keys, key) {
                self.reference(folder, item);
            }
        }
        if let Some(path) = keys.get("openapi").and_then(|openapi| field(openapi, "path")) {
            self.reference(folder, path);
        }
        for key in CHANGERS {
            for item in list(keys, key) {
                self.transformer(folder, item);
            }
        }
        for item in list(keys, "generators") {
            self.is_incomplete = true;
            self.file_or_content(folder, item);
        }
        for item in list(keys, "replacements") {
            if let Some(path) = field(item, "path") {
                self.reference(folder, path);
            }
        }
        if ["transformers", "replacements", "vars"]
            .iter()
            .any(|key| keys.contains_key(key))
        {
            for object in objects {
                object.is_uncertain = true;
            }
        }
    }

    /// A transformer has the last word, even about the namespace that Flux sets.
    fn transformer(&mut self, folder: &Utf8Path, item: &Node) {
        let documents = match text(item) {
            Some(content) if is_content(content) => self.inline(content, item.span),
            _ => match self.reference(folder, item) {
                Some((path, Entry::File)) => self.documents(&path),
                _ => Vec::new(),
            },
        };
        for document in documents {
            let namespace = at(&document, &["metadata", "namespace"]);
            if text_at(&document, &["kind"]) == Some("NamespaceTransformer")
                && let Some(namespace) = namespace
                && let Some(name) = text(namespace)
                && name != self.subject.app
                && !self.subject.app.is_empty()
            {
                self.report_namespace(name, namespace.span);
            }
        }
    }

    /// A path, unless the content itself stands there.
    fn file_or_content(&mut self, folder: &Utf8Path, item: &Node) {
        if text(item).is_none_or(|text| !is_content(text)) {
            self.reference(folder, item);
        }
    }
}

/// Whether a text is YAML itself and not the path of a file.
pub(super) fn is_content(text: &str) -> bool {
    let text = text.trim();
    text.contains('\n') || text.starts_with(['{', '[']) || text.contains(": ")
}

/// The object of one generator; `None` when it changes another one.
fn generated(keys: &Keys<'_>, item: &Node, kind: &str) -> Option<Object> {
    let name = field(item, "name")?;
    if matches!(text_at(item, &["behavior"]), Some("merge" | "replace")) {
        return None;
    }
    let disable = "disableNameSuffixHash";
    let is_disabled = is_true(item, &["options", disable])
        || keys
            .get("generatorOptions")
            .is_some_and(|options| is_true(options, &[disable]));
    Some(Object::generated(kind, text(name)?, name.span, !is_disabled))
}
