//! The programs of this computer that the lab needs: all that are missing are told at once, before anything starts.

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, access};

use super::catalogue::Making;
use super::{Component, ComponentError, Components, assets};

/// Go's own default for the C compiler, where neither the user nor Go's settings name another.
const C_COMPILER: &str = "gcc";

/// A program, what it is needed for, and how to get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededProgram {
    name: &'static str,
    reason: &'static str,
    remedy: &'static str,
}

const GIT: NeededProgram = NeededProgram {
    name: "git",
    reason: "the forge and the push of the platform's repository run it",
    remedy: "`apt-get install git`",
};
const JAVA: NeededProgram = NeededProgram {
    name: "java",
    reason: "Keycloak runs on it",
    remedy: "`apt-get install openjdk-17-jre-headless` (or openjdk-21-jre-headless)",
};
const GO: NeededProgram = NeededProgram {
    name: "go",
    reason: "components that are not in the cache are built with it",
    remedy: "install Go from https://go.dev/dl, or `apt-get install golang-go`, or give the components by --assets",
};
const GCC: NeededProgram = NeededProgram {
    name: C_COMPILER,
    reason: "the forge is not in the cache and is built with a C compiler",
    remedy: "`apt-get install gcc libc6-dev`, or give gitea by --assets",
};
const PYTHON: NeededProgram = NeededProgram {
    name: "python3",
    reason: "OpenStack's services are not in the cache and are installed with its pip",
    remedy: "`apt-get install python3 python3-pip`",
};
const MAVEN: NeededProgram = NeededProgram {
    name: "mvn",
    reason: "Keycloak is not in the cache and is downloaded with it",
    remedy: "`apt-get install maven`, or give keycloak by --assets",
};

impl NeededProgram {
    /// One line: the program, why, and how to get it.
    #[must_use]
    pub fn in_words(self) -> String {
        format!("`{}`: {}; {}", self.name, self.reason, self.remedy)
    }
}

impl Components {
    /// Checks that `search_path` has every program that running a lab of `wanted` takes, or building what no source
    /// has of it. `has_own_compiler` says that the user named a C compiler.
    pub fn check_programs(
        &self,
        wanted: &[Component],
        search_path: &str,
        has_own_compiler: bool,
    ) -> Result<(), ComponentError> {
        let missing: Vec<NeededProgram> = self
            .needed(wanted, has_own_compiler)
            .into_iter()
            .filter(|program| !is_on(search_path, program.name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ComponentError::ProgramsMissing { missing })
    }

    fn needed(&self, wanted: &[Component], has_own_compiler: bool) -> Vec<NeededProgram> {
        let mut needed = vec![JAVA, GIT];
        for component in wanted.iter().filter(|component| self.find(**component).is_none()) {
            match component.making() {
                Making::Go(recipe) => {
                    needed.push(GO);
                    needed.extend((recipe.cgo_tags.is_some() && !has_own_compiler).then_some(GCC));
                }
                Making::Python(_) => needed.push(PYTHON),
                Making::Keycloak => {
                    needed.extend(
                        assets::keycloak_zip(&self.shared.sources)
                            .is_none()
                            .then_some(MAVEN),
                    );
                }
            }
        }
        needed.sort_by_key(|program| program.name);
        needed.dedup();
        needed
    }
}

fn is_on(search_path: &str, program: &str) -> bool {
    find_program(search_path, program).is_some()
}

/// The first file of that name on `search_path` (directories, separated by colons) that can be executed.
#[must_use]
pub fn find_program(search_path: &str, program: &str) -> Option<Utf8PathBuf> {
    search_path
        .split(':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| Utf8Path::new(directory).join(program))
        .find(is_executable)
}

fn is_executable(path: &Utf8PathBuf) -> bool {
    path.is_file() && access(path.as_std_path(), Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::component::Sources;

    fn names(assets: Option<Utf8PathBuf>, has_own_compiler: bool) -> Vec<&'static str> {
        let sources = Sources {
            assets,
            kubebuilder_assets: None,
            cache: "/nowhere".into(),
        };
        let wanted = [Component::Keycloak, Component::Gitea, Component::Etcd];
        let needed = Components::new(sources).needed(&wanted, has_own_compiler);
        needed.into_iter().map(|program| program.name).collect()
    }

    #[test]
    fn test_each_program_is_needed_once_and_only_for_what_is_to_be_made() {
        assert_eq!(names(None, false), ["gcc", "git", "go", "java", "mvn"]);
        assert_eq!(names(None, true), ["git", "go", "java", "mvn"]);
        let directory = tempfile::tempdir().unwrap();
        let assets = Utf8PathBuf::try_from(directory.path().to_owned()).unwrap();
        fs_err::write(assets.join(super::super::keycloak::ZIP_NAME), "").unwrap();
        assert_eq!(names(Some(assets), true), ["git", "go", "java"]);
    }

    #[test]
    fn test_a_file_that_is_no_program_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        fs_err::write(directory.path().join("git"), "").unwrap();
        assert!(!is_on(path, "git"));
        assert!(is_on(&format!("::{path}:/bin"), "sh"));
    }
}
