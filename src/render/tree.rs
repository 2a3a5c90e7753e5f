//! Desired state to texts.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::{Value, json};

use super::RenderError;
use crate::config::yaml;
use crate::desired::{Desired, dns::TTL_SECONDS};

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

/// Renders everything desired.
pub fn tree(desired: &Desired) -> Result<Tree, RenderError> {
    let frame = Frame::new(desired)?;
    let mut files = BTreeMap::new();
    for (path, file) in &desired.files {
        frame.add(&mut files, path, &file.origin, &file.manifests)?;
    }
    let environment_file = frame.declaration("environment.yaml");
    frame.add(
        &mut files,
        "management/cluster.yaml".into(),
        &environment_file,
        &desired.management,
    )?;
    frame.add(&mut files, "dns.yaml".into(), &environment_file, &[dns(desired)])?;
    frame.add(
        &mut files,
        "identity.yaml".into(),
        &frame.declaration("people.yaml"),
        &[&desired.realm],
    )?;
    frame.add(
        &mut files,
        "kustomization.yaml".into(),
        &environment_file,
        &[kustomization(desired)],
    )?;
    let routes: Vec<&Utf8Path> = desired.gateway_files().collect();
    if !routes.is_empty() {
        frame.add(
            &mut files,
            "gateway/kustomization.yaml".into(),
            &environment_file,
            &[kustomize(&json!(routes))],
        )?;
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

/// What all files of one tree share.
struct Frame<'desired> {
    desired: &'desired Desired,
    folder: Utf8PathBuf,
    handlebars: Handlebars<'static>,
}

impl<'desired> Frame<'desired> {
    fn new(desired: &'desired Desired) -> Result<Self, RenderError> {
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

    fn add(
        &self,
        files: &mut BTreeMap<Utf8PathBuf, String>,
        path: &Utf8Path,
        origin: &Utf8Path,
        documents: &[impl Serialize],
    ) -> Result<(), RenderError> {
        let path = self.folder.join(path);
        let documents = documents
            .iter()
            .map(|document| yaml_text(&path, document))
            .collect::<Result<Vec<_>, _>>()?;
        let values = json!({
            "header": HEADER,
            "origin": origin,
            "environment": self.desired.environment.as_str(),
            "documents": documents,
        });
        let text = self
            .handlebars
            .render(FILE, &values)
            .map_err(|source| RenderError::Template {
                path: path.clone(),
                source: Box::new(source),
            })?;
        files.insert(path, text);
        Ok(())
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
fn kustomization(desired: &Desired) -> Value {
    let flux_folder = Utf8Path::new("flux-system");
    let resources: Vec<&Utf8Path> = std::iter::once(flux_folder).chain(desired.root_files()).collect();
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

/// The record sets whose values are known only when the load balancer has an address.
fn dns(desired: &Desired) -> Value {
    json!({
        "zone": desired.zone.as_str(),
        "recordSets": [{
            "name": format!("*.{}.", desired.domain),
            "type": "A",
            "ttl": TTL_SECONDS,
            "addressOf": desired.address_of.to_string(),
        }],
    })
}
