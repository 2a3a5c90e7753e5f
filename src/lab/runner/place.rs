//! Where the process of a Deployment keeps its files and listens.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::RunnerError;
use crate::lab::LabContext;
use crate::lab::state::StateError;

/// Folder of all Deployments among the lab's data. Clusters and namespaces are named by users, so what belongs to
/// them is below a folder of its own.
const FOLDER: &str = "deployments";

/// What a process listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Health,
    Metrics,
    Events,
    Service,
}

impl Use {
    const ALL: [Self; 4] = [Self::Health, Self::Metrics, Self::Events, Self::Service];

    const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::Events => "events",
            Self::Service => "service",
        }
    }
}

/// The folder of `process` (`<cluster namespace>/<cluster>/<namespace>/<Deployment>`), made where it is missing.
pub(super) fn directory(lab: &LabContext, process: &str) -> Result<Utf8PathBuf, StateError> {
    lab.state.data(&format!("{FOLDER}/{process}"))
}

/// The port at which `process` listens for `what`.
pub(super) fn port(lab: &LabContext, process: &str, what: Use) -> Result<u16, StateError> {
    lab.ports.get(&port_name(process, what))
}

fn port_name(process: &str, what: Use) -> String {
    format!("{process}/{}", what.name())
}

/// Removes the files of all Deployments of `cluster` (`<namespace>/<name>`) and gives their ports back. Nothing of
/// it may run any more.
pub fn forget(lab: &LabContext, cluster: &str) -> Result<(), RunnerError> {
    let failed = |source| RunnerError::Forget {
        cluster: cluster.to_owned(),
        source,
    };
    let place = |source| RunnerError::Place {
        deployment: cluster.to_owned(),
        source,
    };
    let directory = directory(lab, cluster).map_err(place)?;
    for deployment in deployments(&directory).map_err(failed)? {
        for what in Use::ALL {
            let name = port_name(&format!("{cluster}/{deployment}"), what);
            lab.ports.release(&name).map_err(place)?;
        }
    }
    fs_err::remove_dir_all(&directory).map_err(failed)
}

/// `<namespace>/<Deployment>` of each folder two levels below `directory`.
fn deployments(directory: &Utf8Path) -> io::Result<Vec<String>> {
    let mut deployments = Vec::new();
    for namespace in folders(directory)? {
        for deployment in folders(&directory.join(&namespace))? {
            deployments.push(format!("{namespace}/{deployment}"));
        }
    }
    Ok(deployments)
}

fn folders(directory: &Utf8Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_deployments_are_found_two_levels_down() {
        let root = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(root.path()).unwrap();
        for folder in ["b/web/storage", "a/source-controller/tmp", "a/empty"] {
            fs_err::create_dir_all(root.join(folder)).unwrap();
        }
        fs_err::write(root.join("a/file"), "").unwrap();
        assert_eq!(
            deployments(root).unwrap(),
            ["a/empty", "a/source-controller", "b/web"]
        );
    }

    #[test]
    fn test_ports_are_named_by_process_and_use() {
        let names = Use::ALL.map(|what| port_name("prod/prod/flux-system/source-controller", what));
        assert_eq!(names[0], "prod/prod/flux-system/source-controller/health");
        let mut unique = names.to_vec();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
