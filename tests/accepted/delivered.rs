//! What Flux delivers beside the tree: the applications' own manifests and charts, built as Flux builds them.

use camino::{Utf8Path, Utf8PathBuf};
use lotse::config::yaml;
use lotse::desired::Manifest;
use lotse::kubernetes::{KubernetesError, read_manifests};
use lotse::lab::component::{Component, KUBERNETES_VERSION};
use serde_json::{Value, json};

use super::house::House;
use super::root;
use super::server::{Placed, Server, Stay, Whom, apply};

/// The source of the platform's own repository.
const SOURCE: &str = "flux-system";
/// Where the tree itself is.
const TREE: &str = "clusters";
const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What one Flux object delivers.
pub(crate) struct Delivery {
    /// The service account Flux acts as.
    account: String,
    pub(crate) objects: Vec<Placed>,
}

/// Every manifest is valid, and the account that Flux acts as for the application may apply it where Flux puts it.
pub(crate) fn flux_may_apply_every_manifest(house: &House, server: &Server) -> Vec<String> {
    house.block_on(async {
        let (deliveries, mut refused) = deliveries(house, server).await;
        assert!(
            deliveries.iter().any(|delivery| !delivery.objects.is_empty()),
            "no application brings manifests"
        );
        for delivery in deliveries {
            let flux = server.as_whom(Whom::Flux(&delivery.account)).await;
            for placed in &delivery.objects {
                if let Err(said) = apply(&flux, &placed.manifest, Stay::Dry).await {
                    refused.push(placed.fault(&said));
                }
            }
        }
        refused
    })
}

/// Everything that Flux builds from the repository itself, and what can't be built.
pub(crate) async fn deliveries(house: &House, server: &Server) -> (Vec<Delivery>, Vec<String>) {
    let mut faults = Vec::new();
    let mut deliveries = Vec::new();
    for placed in &server.tree {
        let Some(built) = build(house, &placed.manifest).await else {
            continue;
        };
        let account = text(&placed.manifest, "/spec/serviceAccountName").unwrap_or_default();
        let target = text(&placed.manifest, "/spec/targetNamespace").unwrap_or_default();
        // Flux moves what a folder holds into the target namespace; of a chart's, only what names none.
        let moves = placed.manifest.kind() == "Kustomization";
        match built {
            Err(said) => faults.push(placed.fault(&said)),
            Ok((file, objects)) => {
                let mut there = Vec::new();
                for manifest in objects {
                    let manifest = settle(server, manifest, target, moves).await;
                    let file = file.clone();
                    there.push(Placed { file, manifest });
                }
                deliveries.push(Delivery {
                    account: account.to_owned(),
                    objects: there,
                });
            }
        }
    }
    (deliveries, faults)
}

type Built = Result<(Utf8PathBuf, Vec<Manifest>), String>;

/// What `object` delivers from the platform's own repository; nothing where it does not.
async fn build(house: &House, object: &Manifest) -> Option<Built> {
    let group = object.api_version().split('/').next().unwrap_or_default();
    match (group, object.kind()) {
        ("kustomize.toolkit.fluxcd.io", "Kustomization") => {
            if text(object, "/spec/sourceRef/name")? != SOURCE
                || text(object, "/spec/sourceRef/kind")? != "GitRepository"
            {
                return None;
            }
            let folder = below_root(text(object, "/spec/path")?);
            (!folder.starts_with(TREE)).then_some(())?;
            Some(
                folder_objects(house, &folder)
                    .await
                    .map(|objects| (folder, objects)),
            )
        }
        ("helm.toolkit.fluxcd.io", "HelmRelease") => {
            if text(object, "/spec/chart/spec/sourceRef/kind")? != "GitRepository" {
                return None;
            }
            let chart = below_root(text(object, "/spec/chart/spec/chart")?);
            Some(
                chart_objects(house, object, &chart)
                    .await
                    .map(|objects| (chart, objects)),
            )
        }
        _ => None,
    }
}

fn text<'manifest>(manifest: &'manifest Manifest, pointer: &str) -> Option<&'manifest str> {
    manifest.value().pointer(pointer).and_then(Value::as_str)
}

fn below_root(path: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(path.trim_start_matches("./"))
}

async fn folder_objects(house: &House, folder: &Utf8Path) -> Result<Vec<Manifest>, String> {
    let path = root().join(folder);
    if KUSTOMIZATION_FILES.iter().any(|file| path.join(file).is_file()) {
        let text = house
            .output(Component::Kubectl, &["kustomize", path.as_str()])
            .await?;
        return parse(folder, &text);
    }
    let mut files = Vec::new();
    yaml_files(&path, &mut files).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        objects.extend(parse(&file, &text)?);
    }
    Ok(objects)
}

/// Without a kustomization, Flux takes every YAML file of the folder and those below.
fn yaml_files(folder: &Utf8Path, files: &mut Vec<Utf8PathBuf>) -> std::io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let path = entry?.path().to_owned();
        if path.is_dir() {
            yaml_files(&path, files)?;
        } else if matches!(path.extension(), Some("yaml" | "yml")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

async fn chart_objects(house: &House, release: &Manifest, chart: &Utf8Path) -> Result<Vec<Manifest>, String> {
    let values = release
        .value()
        .pointer("/spec/values")
        .cloned()
        .unwrap_or(json!({}));
    let values = house.file("values.yaml", &values.to_string());
    let namespace = text(release, "/spec/targetNamespace").unwrap_or_default();
    let path = house.directory("chart");
    copy_alone(&root().join(chart), &path).map_err(|error| error.to_string())?;
    let arguments = [
        "template",
        release.name(),
        path.as_str(),
        "--include-crds",
        "--namespace",
        namespace,
        "--kube-version",
        KUBERNETES_VERSION,
        "--values",
        values.as_str(),
    ];
    let text = house.output(Component::Helm, &arguments).await?;
    parse(chart, &text)
}

/// Copies a chart without the charts it depends on: Flux fetches those, and a test can't.
fn copy_alone(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir_utf8()? {
        let entry = entry?.path().to_owned();
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_alone(&entry, &target)?;
        } else if entry.file_name() == Some("Chart.yaml") {
            let mut chart = yaml::documents(&std::fs::read_to_string(&entry)?)
                .map_err(|error| std::io::Error::other(format!("{entry}: {error}")))?
                .remove(0);
            chart["dependencies"] = json!([]);
            std::fs::write(target, chart.to_string())?;
        } else {
            std::fs::copy(&entry, target)?;
        }
    }
    Ok(())
}

fn parse(origin: &Utf8Path, text: &str) -> Result<Vec<Manifest>, String> {
    read_manifests(origin.as_str(), text).map_err(|error| error.to_string())
}

/// The object as Flux applies it: in the target namespace, and without what SOPS left in it.
async fn settle(server: &Server, mut manifest: Manifest, target: &str, moves: bool) -> Manifest {
    if let Some(fields) = manifest.value_mut().as_object_mut()
        && fields.remove("sops").is_some()
        && let Some(data) = fields.remove("data")
    {
        // What is encrypted is no Base64.
        fields.insert("stringData".to_owned(), data);
    }
    let is_moved = match server.administrator.api(&manifest).await {
        Err(KubernetesError::NoNamespace { .. }) => true,
        _ => manifest.namespace().is_some() && moves,
    };
    if is_moved && !target.is_empty() {
        manifest.value_mut()["metadata"]["namespace"] = target.into();
    }
    manifest
}
