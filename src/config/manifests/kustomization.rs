//! Folders as Flux and kustomize read them: by a kustomization, or all manifests when there is none.
//!
//! The order of steps is that of `sigs.k8s.io/kustomize/api` (`internal/target`); what the controller does before is
//! in `github.com/fluxcd/pkg/kustomize`.

use std::collections::BTreeMap;
use std::rc::Rc;

use camino::{Utf8Path, Utf8PathBuf};

use super::Reading;
use super::files::{Entry, Fault};
use super::image::{ImageChange, change_images};
use super::kinds::{self, Scope};
use super::node::{entries, field, items, text, text_at};
use super::object::Object;
use crate::config::tree::Node;
use crate::diag::{Code, did_you_mean};

/// Names that kustomize knows, in its order.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Every key of a kustomization (`types.Kustomization`).
const KEYS: [&str; 34] = [
    "apiVersion",
    "bases",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "imageTags",
    "images",
    "kind",
    "labels",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "openapi",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "resources",
    "secretGenerator",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
];

/// An annotation of objects that kustomize uses but does not put out.
const LOCAL: &str = "config.kubernetes.io/local-config";

/// The keys of one kustomization.
pub(super) type Keys<'node> = BTreeMap<&'static str, &'node Node>;

/// The items under a key.
pub(super) fn list<'node>(keys: &Keys<'node>, key: &str) -> &'node [Node] {
    keys.get(key).map_or(&[], |node| items(node))
}

impl Reading<'_> {
    /// All objects of the subject's folder.
    pub(super) fn objects(&mut self) -> Vec<Object> {
        let folder = self.subject.folder.clone();
        if let Err(fault) = self.files.look(&folder) {
            // The declaration's own check says that there is no such folder.
            if fault != Fault::Missing {
                self.report_fault(&folder, &fault, None);
            }
            self.is_incomplete = true;
            return Vec::new();
        }
        let mut objects = match self.kustomization_file(&folder) {
            Some(file) => {
                let objects = self.build(&folder, &file, &mut Vec::new(), None);
                if !self.is_incomplete {
                    self.check_listed(&folder);
                }
                objects
            }
            None => self.scan(&folder),
        };
        objects.retain(|object| object.annotation(LOCAL).is_none_or(|value| value == "false"));
        objects
    }

    /// Reports manifests beside the kustomization that it does not refer to.
    fn check_listed(&mut self, folder: &Utf8Path) {
        for (name, entry) in self.files.list(folder) {
            let path = folder.join(&name);
            let is_manifest = matches!(path.extension(), Some("yaml" | "yml")) && entry == Entry::File;
            if !is_manifest || FILE_NAMES.contains(&name.as_str()) || self.referenced.contains(&path) {
                continue;
            }
            let Ok(documents) = self.files.documents(&path) else {
                continue;
            };
            let is_object = |node: &Rc<Node>| {
                text_at(node, &["apiVersion"]).is_some() && text_at(node, &["kind"]).is_some()
            };
            if documents.nodes.iter().any(is_object) {
                let message = format!("{path} is not delivered: kustomization.yaml does not list it");
                self.report(Code::NotDelivered, documents.start, message).help =
                    Some(format!("add `{name}` to `resources`, or remove the file"));
            }
        }
    }

    /// The kustomization of a folder.
    fn kustomization_file(&mut self, folder: &Utf8Path) -> Option<Utf8PathBuf> {
        let names = self.files.list(folder);
        let is_there = |wanted: &&str| {
            names
                .iter()
                .any(|(name, entry)| name == wanted && *entry == Entry::File)
        };
        let mut found = FILE_NAMES.iter().filter(|name| is_there(name));
        let (first, second) = (found.next()?, found.next());
        let file = folder.join(first);
        if let Some(second) = second
            && let Ok(documents) = self.files.documents(&file)
        {
            let message = format!("{folder} has both {first} and {second}");
            self.report(Code::BadKustomization, documents.start, message).help =
                Some("remove one of them".into());
        }
        Some(file)
    }

    /// Every manifest below a folder without a kustomization, as Flux puts them into one that it makes up.
    fn scan(&mut self, folder: &Utf8Path) -> Vec<Object> {
        let mut objects = Vec::new();
        for (name, entry) in self.files.list(folder) {
            let path = folder.join(&name);
            match entry {
                Entry::Folder => match self.kustomization_file(&path) {
                    Some(file) => {
                        objects.extend(self.build(
                            &path,
                            &file,
                            &mut vec![self.subject.folder.clone()],
                            None,
                        ));
                    }
                    None => objects.extend(self.scan(&path)),
                },
                Entry::File if matches!(path.extension(), Some("yaml" | "yml")) => {
                    match self.files.look(&path) {
                        Ok(_) => objects.extend(self.file_objects(&path)),
                        Err(fault) => self.report_fault(&path, &fault, None),
                    }
                }
                Entry::Link => self.report_fault(&path, &Fault::Link(path.clone()), None),
                Entry::File => {}
            }
        }
        objects
    }

    /// The objects of a kustomization. A component works on those that are `given`.
    fn build(
        &mut self,
        folder: &Utf8Path,
        file: &Utf8Path,
        stack: &mut Vec<Utf8PathBuf>,
        given: Option<Vec<Object>>,
    ) -> Vec<Object> {
        let is_component = given.is_some();
        let mut objects = given.unwrap_or_default();
        let Some(node) = self.documents(file).into_iter().next() else {
            return objects;
        };
        let keys = self.keys(&node);
        self.check_kind(&node, is_component);
        stack.push(folder.to_owned());
        for item in list(&keys, "resources").iter().chain(list(&keys, "bases")) {
            objects.extend(self.resource(folder, item, stack));
        }
        self.generate(folder, &keys, &mut objects);
        for item in list(&keys, "components") {
            objects = self.component(folder, item, stack, objects);
        }
        self.other_files(folder, &keys, &mut objects);
        self.transform(folder, &keys, &mut objects);
        stack.pop();
        objects
    }

    fn keys<'node>(&mut self, node: &'node Rc<Node>) -> Keys<'node> {
        let mut keys = Keys::new();
        for (key, value) in entries(node) {
            // kustomize reads keys as Go does, whatever their case.
            if let Some(known) = KEYS.iter().find(|known| known.eq_ignore_ascii_case(&key.name)) {
                keys.insert(known, value);
                continue;
            }
            let message = format!("kustomize does not know `{}`", key.name);
            self.report(Code::UnknownKey, key.span, message).help =
                did_you_mean(&key.name, KEYS).map(|near| format!("did you mean `{near}`?"));
        }
        if keys.is_empty() {
            self.report(Code::BadKustomization, node.span, "this is not a kustomization");
        }
        keys
    }

    fn check_kind(&mut self, node: &Node, is_component: bool) {
        let wanted = if is_component {
            "Component"
        } else {
            "Kustomization"
        };
        let kind = field(node, "kind");
        let is_right = match kind.and_then(text) {
            None => !is_component,
            Some(kind) => kind == wanted,
        };
        if !is_right {
            let span = kind.map_or(node.span, |kind| kind.span);
            let message = format!("this must be `kind: {wanted}` to be used as one");
            self.report(Code::BadKustomization, span, message).help =
                Some("list a Component under `components`, a Kustomization under `resources`".into());
        }
    }

    fn resource(&mut self, folder: &Utf8Path, item: &Node, stack: &mut Vec<Utf8PathBuf>) -> Vec<Object> {
        match self.reference(folder, item) {
            Some((path, Entry::Folder)) => self.nested(&path, item, stack, None).unwrap_or_default(),
            Some((path, _)) => self.file_objects(&path),
            None => Vec::new(),
        }
    }

    fn component(
        &mut self,
        folder: &Utf8Path,
        item: &Node,
        stack: &mut Vec<Utf8PathBuf>,
        objects: Vec<Object>,
    ) -> Vec<Object> {
        match self.reference(folder, item) {
            Some((path, Entry::Folder)) => self
                .nested(&path, item, stack, Some(objects.clone()))
                .unwrap_or(objects),
            Some((path, _)) => {
                let message = format!("{path} is a file; a component is a folder");
                self.report(Code::BadKustomization, item.span, message);
                objects
            }
            None => objects,
        }
    }

    /// The kustomization in another folder.
    fn nested(
        &mut self,
        path: &Utf8Path,
        item: &Node,
        stack: &mut Vec<Utf8PathBuf>,
        given: Option<Vec<Object>>,
    ) -> Option<Vec<Object>> {
        if stack.iter().any(|visited| visited.starts_with(path)) {
            let message = format!("{path} leads back to where it is used");
            self.report(Code::BadKustomization, item.span, message);
            return None;
        }
        let Some(file) = self.kustomization_file(path) else {
            self.is_incomplete = true;
            let message = format!("{path} has no kustomization.yaml");
            self.report(Code::BadKustomization, item.span, message).help =
                Some("name the files, or write a kustomization.yaml there".into());
            return None;
        };
        Some(self.build(path, &file, stack, given))
    }

    /// What changes the objects, in the order of kustomize.
    fn transform(&mut self, folder: &Utf8Path, keys: &Keys<'_>, objects: &mut Vec<Object>) {
        self.patch(folder, keys, objects);
        if let Some(node) = keys.get("namespace")
            && let Some(namespace) = text(node)
        {
            for object in objects.iter_mut() {
                if object.is("", "Namespace") {
                    object.rename(namespace.to_owned());
                } else if kinds::scope(object.group(), object.kind()) != Scope::Cluster {
                    object.give_namespace(namespace, node.span);
                }
            }
        }
        let part = |key: &str| keys.get(key).and_then(|node| text(node)).unwrap_or_default();
        let (prefix, suffix) = (part("namePrefix"), part("nameSuffix"));
        if !(prefix.is_empty() && suffix.is_empty()) {
            for object in objects.iter_mut().filter(|object| is_renamed(object)) {
                object.rename(format!("{prefix}{}{suffix}", object.name()));
            }
        }
        self.patch_late(folder, keys, objects);
        let changes: Vec<ImageChange> = list(keys, "images")
            .iter()
            .chain(list(keys, "imageTags"))
            .map(image_change)
            .collect();
        if !changes.is_empty() {
            for object in objects {
                change_images(object, &changes);
            }
        }
    }
}

/// kustomize gives these their name as it is.
fn is_renamed(object: &Object) -> bool {
    !matches!(object.kind(), "CustomResourceDefinition" | "Namespace")
        && !object.is("apiregistration.k8s.io", "APIService")
}

fn image_change(node: &Node) -> ImageChange {
    let part = |key: &str| {
        text_at(node, &[key])
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    ImageChange {
        name: part("name").unwrap_or_default(),
        new_name: part("newName"),
        new_tag: part("newTag"),
        tag_suffix: part("tagSuffix"),
        digest: part("digest"),
    }
}
