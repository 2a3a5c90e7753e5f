//! Desired state to texts.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::{Value, json};

use super::RenderError;
use crate::config::yaml;
use crate::desired::dns::RecordSet;
use crate::desired::{Desired, DesiredFile, PointsAt, in_gateway_folder, is_of_root};
use crate::parallel;

/// Beginning of every file that is ours to overwrite and to remove.
pub const HEADER: &str = "# Rendered by lotse";

const TEMPLATE: &str = include_str!("template.hbs");
/// What the template is registered as.
const FILE: &str = "file";

/// The rendered files, by path relative to the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Folder that the tree fills (`clusters/<environment>`).
    pub folder: Utf8PathBuf,
    /// Files that are overwritten.
    pub files: BTreeMap<Utf8PathBuf, String>,
    /// Files that are written only where they are absent, since people may add to them (patches of Flux).
    pub seeds: BTreeMap<Utf8PathBuf, String>,
}

/// Renders everything desired, on as many threads as there are processors.
pub fn tree(desired: &Desired<'_>) -> Result<Tree, RenderError> {
    let frame = Frame::new(desired)?;
    let mut files = BTreeMap::new();
    for file in &desired.platform {
        files.extend([frame.file(file)?]);
    }
    for rendered in frame.around_apps() {
        files.extend(rendered?);
    }
    let below = |path: &'_ Utf8PathBuf| path.strip_prefix(&frame.folder).map(Utf8Path::to_owned).ok();
    let paths: Vec<Utf8PathBuf> = files.keys().filter_map(below).collect();
    let environment_file = frame.declaration("environment.yaml");
    let people_file = frame.declaration("people.yaml");
    files.extend([
        frame.text("management/cluster.yaml", &environment_file, &desired.management)?,
        frame.text("dns.yaml", &environment_file, &[dns(desired)])?,
        frame.text("identity.yaml", &people_file, &[&desired.realm])?,
        frame.text("kustomization.yaml", &environment_file, &[kustomization(&paths)])?,
    ]);
    let routes: Vec<&Utf8Path> = paths.iter().filter_map(|path| in_gateway_folder(path)).collect();
    if !routes.is_empty() {
        let resources = kustomize(&json!(routes));
        files.extend([frame.text("gateway/kustomization.yaml", &environment_file, &[resources])?]);
    }
    let seeds = BTreeMap::from([(
        frame.folder.join("flux-system/kustomization.yaml"),
        flux_kustomization()?,
    )]);
    Ok(Tree {
        folder: frame.folder,
        files,
        seeds,
    })
}

/// A file of the tree: its path, and its text.
type Rendered = (Utf8PathBuf, String);

/// What all files of one tree share.
struct Frame<'desired> {
    desired: &'desired Desired<'desired>,
    folder: Utf8PathBuf,
    handlebars: Handlebars<'static>,
}

impl<'desired> Frame<'desired> {
    fn new(desired: &'desired Desired<'desired>) -> Result<Self, RenderError> {
        let folder = Utf8Path::new("clusters").join(desired.environment.as_str());
        let mut handlebars = Handlebars::new();
        handlebars.set_strict_mode(true);
        handlebars.register_escape_fn(handlebars::no_escape);
        handlebars
            .register_template_string(FILE, TEMPLATE)
            .map_err(|source| RenderError::Template {
                path: folder.clone(),
                source: Box::new(source.into()),
            })?;
        Ok(Self {
            desired,
            folder,
            handlebars,
        })
    }

    fn declaration(&self, file: &str) -> Utf8PathBuf {
        Utf8Path::new("environments")
            .join(self.desired.environment.as_str())
            .join(file)
    }

    /// The files of all applications.
    fn around_apps(&self) -> Vec<Result<Vec<Rendered>, RenderError>> {
        parallel::map(&self.desired.apps, |app| {
            let files = self.desired.around(app);
            files.iter().map(|file| self.file(file)).collect()
        })
    }

    fn file(&self, file: &DesiredFile) -> Result<Rendered, RenderError> {
        self.text(&file.path, &file.origin, &file.manifests)
    }

    fn text(
        &self,
        path: impl AsRef<Utf8Path>,
        origin: &Utf8Path,
        documents: &[impl Serialize],
    ) -> Result<Rendered, RenderError> {
        let path = self.folder.join(path);
        let documents = documents
            .iter()
            .map(|document| yaml_text(&path, document))
            .collect::<Result<Vec<_>, _>>()?;
        let values = json!({
            "header": HEADER,
            "origin": origin,
            "environment": self.desired.environment.as_str(),
        });
        let head = self
            .handlebars
            .render(FILE, &values)
            .map_err(|source| RenderError::Template {
                path: path.clone(),
                source: Box::new(source),
            })?;
        // Exactly as long as it is: all texts of the tree are in memory at once.
        Ok((path, [head, documents.join("---\n")].concat()))
    }
}

/// One document with a line break at its end.
fn yaml_text(path: &Utf8Path, document: &impl Serialize) -> Result<String, RenderError> {
    let text = yaml::to_text(document).map_err(|error| RenderError::Yaml {
        path: path.to_owned(),
        reason: error.message,
    })?;
    Ok(format!("{}\n", text.trim_end()))
}

/// What the root Kustomization applies of the tree; the rest has Kustomizations of its own. Flux's own components are
/// beside the sync objects.
fn kustomization(paths: &[Utf8PathBuf]) -> Value {
    let flux_folder = Utf8Path::new("flux-system");
    let of_root = paths
        .iter()
        .map(Utf8PathBuf::as_path)
        .filter(|path| is_of_root(path));
    let resources: Vec<&Utf8Path> = std::iter::once(flux_folder).chain(of_root).collect();
    kustomize(&json!(resources))
}

fn kustomize(resources: &Value) -> Value {
    json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    })
}

/// Flux's own layout. Patches of its components belong here.
fn flux_kustomization() -> Result<String, RenderError> {
    let resources = json!(["gotk-components.yaml", "gotk-sync.yaml"]);
    let comment = "# Written once, yours to edit: patches of Flux's components belong here.\n";
    Ok(comment.to_owned() + &yaml_text("flux-system/kustomization.yaml".into(), &kustomize(&resources))?)
}

/// The record sets; the values of some are known only when a load balancer has an address.
fn dns(desired: &Desired<'_>) -> Value {
    let names = &desired.names;
    let mut sets: Vec<Value> = Vec::new();
    for pointed in names.pointed() {
        match &pointed.at {
            PointsAt::Addresses(addresses) => {
                let sets_of = RecordSet::leading(&pointed.name, addresses, names.ttl);
                sets.extend(sets_of.iter().map(|set| json!(set)));
            }
            elsewhere => sets.push(json!({
                "name": pointed.name,
                "ttl": names.ttl,
                "addressOf": elsewhere.to_string(),
            })),
        }
    }
    sets.extend(names.records.iter().map(|set| json!(set)));
    json!({ "zone": desired.zone.as_str(), "recordSets": sets })
}
