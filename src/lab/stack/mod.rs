//! The lab's own cluster stack, released into the directory from which the cluster-stack-operator reads releases.
//!
//! A release is what the operator would download for any other stack: `metadata.yaml`, a chart with the cluster
//! class, a chart with the cluster addon, and the addon's values. Nothing here talks to a cluster: the operator
//! turns the release into objects.

mod archive;
mod kinds;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::Serialize;

use crate::config::yaml::{self, YamlError};

pub(in crate::lab) use kinds::components;
pub use kinds::{Kind, kinds};

/// Provider of the stack in the sense of the cluster-stack-operator.
pub const PROVIDER: &str = "lab";
/// Name of the stack.
pub const NAME: &str = "lab";
/// Its only release, which is also the version of its addon.
pub const RELEASE: &str = "v1";

/// Folder of all releases below the operator's release directory.
const RELEASES: &str = "cluster-stacks";

const CLUSTER_CLASS_FILES: &[ChartFile<'static>] = &[
    ChartFile {
        path: "templates/cluster-class.yaml",
        text: include_str!("cluster-class/templates/cluster-class.yaml"),
    },
    ChartFile {
        path: "templates/lab-cluster-template.yaml",
        text: include_str!("cluster-class/templates/lab-cluster-template.yaml"),
    },
    ChartFile {
        path: "templates/lab-control-plane-template.yaml",
        text: include_str!("cluster-class/templates/lab-control-plane-template.yaml"),
    },
];

const CLUSTER_ADDON_FILES: &[ChartFile<'static>] = &[
    ChartFile {
        path: "values.yaml",
        text: include_str!("cluster-addon/values.yaml"),
    },
    ChartFile {
        path: "templates/config-map.yaml",
        text: include_str!("cluster-addon/templates/config-map.yaml"),
    },
    ChartFile {
        path: "templates/priority-class.yaml",
        text: include_str!("cluster-addon/templates/priority-class.yaml"),
    },
];

const CLUSTER_ADDON_VALUES: &str = include_str!("cluster-addon-values.yaml");

/// Why the stack could not be released.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The Kubernetes version has no major and minor part to name the stack by.
    #[error("`{version}` is not a Kubernetes version such as v1.36.3")]
    Version {
        /// The text.
        version: String,
    },
    /// The definitions of a component can't be read; the cause names the path.
    #[error("the definitions of {component} can't be read")]
    Kinds {
        /// Name of the component.
        component: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A component lacks a definition that is part of the addon.
    #[error("{component} has no definition {file}")]
    NoKind {
        /// Name of the component.
        component: &'static str,
        /// The file.
        file: String,
    },
    /// A file of the release can't be written as YAML.
    #[error("the release's {file} can't be made")]
    Contents {
        /// Which file.
        file: &'static str,
        /// Why.
        #[source]
        source: YamlError,
    },
    /// A chart can't be packed.
    #[error("the chart {chart} can't be packed")]
    Pack {
        /// Name of the chart.
        chart: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The release directory can't be written; the cause names the path.
    #[error("the cluster stack {release} can't be released into {directory}")]
    Write {
        /// Name of the release.
        release: String,
        /// The operator's release directory.
        directory: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// One file of a chart.
#[derive(Clone, Copy)]
struct ChartFile<'text> {
    path: &'text str,
    text: &'text str,
}

/// One file of a release.
struct ReleaseFile {
    name: String,
    contents: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChartMetadata<'text> {
    api_version: &'text str,
    name: &'text str,
    description: &'text str,
    #[serde(rename = "type")]
    kind: &'text str,
    version: &'text str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseMetadata<'text> {
    api_version: &'text str,
    versions: Versions<'text>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions<'text> {
    cluster_stack: &'text str,
    kubernetes: &'text str,
    components: ComponentVersions<'text>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentVersions<'text> {
    cluster_addon: &'text str,
    node_image: &'text str,
}

/// Name of the release for a Kubernetes version, also the name of its `ClusterClass`: `lab-lab-1-36-v1`.
pub fn release_name(kubernetes_version: &str) -> Result<String, StackError> {
    stack_name(kubernetes_version).map(|stack| format!("{stack}-{RELEASE}"))
}

/// Releases the stack for `kubernetes_version` below `directory`, the operator's `--release-dir`. Its addon makes
/// `kinds` known to every cluster.
///
/// # Guarantees
/// Idempotent: an identical release is left as it is. Atomic: a reader finds the whole old or the whole new
/// release, also when this process is killed.
pub fn release(directory: &Utf8Path, kubernetes_version: &str, kinds: &[Kind]) -> Result<(), StackError> {
    let name = release_name(kubernetes_version)?;
    let files = files(kubernetes_version, kinds)?;
    place(&directory.join(RELEASES), &name, &files).map_err(|source| StackError::Write {
        release: name,
        directory: directory.to_owned(),
        source,
    })
}

fn stack_name(kubernetes_version: &str) -> Result<String, StackError> {
    let mut parts = kubernetes_version.trim_start_matches('v').split('.');
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match (parts.next().filter(is_number), parts.next().filter(is_number)) {
        (Some(major), Some(minor)) => Ok(format!("{PROVIDER}-{NAME}-{major}-{minor}")),
        _ => Err(StackError::Version {
            version: kubernetes_version.to_owned(),
        }),
    }
}

/// All files of the release.
fn files(kubernetes_version: &str, kinds: &[Kind]) -> Result<Vec<ReleaseFile>, StackError> {
    let stack = stack_name(kubernetes_version)?;
    let mut addon = CLUSTER_ADDON_FILES.to_vec();
    addon.extend(kinds.iter().map(Kind::chart_file));
    Ok(vec![
        ReleaseFile {
            name: "metadata.yaml".to_owned(),
            contents: release_metadata(kubernetes_version)?,
        },
        ReleaseFile {
            name: "cluster-addon-values.yaml".to_owned(),
            contents: CLUSTER_ADDON_VALUES.as_bytes().to_vec(),
        },
        chart(
            &format!("{stack}-cluster-class"),
            "The lab's cluster class",
            CLUSTER_CLASS_FILES,
        )?,
        chart(
            &format!("{stack}-cluster-addon"),
            "What every cluster of the lab needs before its applications",
            &addon,
        )?,
    ])
}

fn release_metadata(kubernetes_version: &str) -> Result<Vec<u8>, StackError> {
    let metadata = ReleaseMetadata {
        api_version: "metadata.clusterstack.x-k8s.io/v1alpha1",
        versions: Versions {
            cluster_stack: RELEASE,
            kubernetes: kubernetes_version,
            components: ComponentVersions {
                cluster_addon: RELEASE,
                node_image: RELEASE,
            },
        },
    };
    to_yaml("metadata.yaml", &metadata)
}

/// Packs one chart as `<name>-<release>.tgz`, under which the operator looks for it.
fn chart(name: &str, description: &str, files: &[ChartFile<'_>]) -> Result<ReleaseFile, StackError> {
    let metadata = to_yaml(
        "Chart.yaml",
        &ChartMetadata {
            api_version: "v2",
            name,
            description,
            kind: "application",
            version: RELEASE,
        },
    )?;
    let mut entries = vec![(format!("{name}/Chart.yaml"), metadata.as_slice())];
    entries.extend(
        files
            .iter()
            .map(|file| (format!("{name}/{}", file.path), file.text.as_bytes())),
    );
    let contents = archive::pack(&entries).map_err(|source| StackError::Pack {
        chart: name.to_owned(),
        source,
    })?;
    Ok(ReleaseFile {
        name: format!("{name}-{RELEASE}.tgz"),
        contents,
    })
}

fn to_yaml(file: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StackError> {
    yaml::to_text(value)
        .map(String::into_bytes)
        .map_err(|source| StackError::Contents { file, source })
}

/// Puts the files at `releases/name` in one step, unless they are there already.
fn place(releases: &Utf8Path, name: &str, files: &[ReleaseFile]) -> std::io::Result<()> {
    let target = releases.join(name);
    if is_same(&target, files) {
        return Ok(());
    }
    fs::create_dir_all(releases)?;
    let staging = tempfile::Builder::new()
        .prefix(".release-")
        .tempdir_in(releases)?;
    for file in files {
        fs::write(staging.path().join(&file.name), &file.contents)?;
    }
    if target.exists() {
        exchange(staging.path(), target.as_std_path())
    } else {
        fs::rename(staging.keep(), &target)
    }
}

/// Swaps two directories, so that there is no moment without a release; the old one goes with its guard.
fn exchange(staging: &std::path::Path, target: &std::path::Path) -> std::io::Result<()> {
    let here = rustix::fs::CWD;
    rustix::fs::renameat_with(here, staging, here, target, rustix::fs::RenameFlags::EXCHANGE)?;
    Ok(())
}

/// Whether `target` holds exactly `files`.
fn is_same(target: &Utf8Path, files: &[ReleaseFile]) -> bool {
    let held = fs::read_dir(target).map(Iterator::count).unwrap_or_default();
    held == files.len()
        && files
            .iter()
            .all(|file| fs::read(target.join(&file.name)).is_ok_and(|contents| contents == file.contents))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const VERSION: &str = "v1.36.3";

    fn directory() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    #[test]
    fn test_release_name_follows_the_minor_version() {
        assert_eq!(release_name(VERSION).unwrap(), "lab-lab-1-36-v1");
        for wrong in ["", "v1", "v1.x", "latest"] {
            assert!(
                matches!(release_name(wrong), Err(StackError::Version { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn test_release_holds_what_the_operator_looks_for() {
        let (_guard, directory) = directory();
        release(&directory, VERSION, &[]).unwrap();
        let mut names: Vec<String> = fs::read_dir(directory.join("cluster-stacks/lab-lab-1-36-v1"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "cluster-addon-values.yaml",
                "lab-lab-1-36-cluster-addon-v1.tgz",
                "lab-lab-1-36-cluster-class-v1.tgz",
                "metadata.yaml"
            ]
        );
    }

    #[test]
    fn test_second_release_touches_nothing() {
        let (_guard, directory) = directory();
        release(&directory, VERSION, &[]).unwrap();
        let target = directory.join("cluster-stacks/lab-lab-1-36-v1");
        let before = fs::metadata(&target).unwrap().ino();
        release(&directory, VERSION, &[]).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().ino(), before);
    }

    #[test]
    fn test_changed_release_is_replaced_whole_and_leaves_no_rest() {
        let (_guard, directory) = directory();
        release(&directory, VERSION, &[]).unwrap();
        let target = directory.join("cluster-stacks/lab-lab-1-36-v1");
        fs::write(target.join("metadata.yaml"), "half").unwrap();
        fs::write(target.join("stray"), "x").unwrap();
        release(&directory, VERSION, &[]).unwrap();
        assert!(!target.join("stray").exists());
        assert!(
            fs::read_to_string(target.join("metadata.yaml"))
                .unwrap()
                .contains("kubernetes: v1.36.3")
        );
        assert_eq!(fs::read_dir(directory.join("cluster-stacks")).unwrap().count(), 1);
    }
}
