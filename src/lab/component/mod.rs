//! Where the lab's components come from: each as a directory with its program and the files that belong to it.
//!
//! Sources, in this order: a directory the user named, the cache, a build from the pinned module. A build
//! runs once, is safe when two processes want the same one, and leaves nothing behind when it is killed.
//! This room reads no environment variables and starts no component; it knows of no cluster.

mod assets;
mod cache;
mod catalogue;
mod claim;
mod error;
mod go;
mod keycloak;
mod programs;
mod python;
mod share;
mod tool;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::report::{Reporter, Task};

use cache::Cache;
use catalogue::Making;
use tool::Toolbox;

pub use catalogue::{Component, FLUX_VERSION, KEYCLOAK_VERSION, KUBERNETES_VERSION};
pub use error::ComponentError;
pub use keycloak::{java_arguments as keycloak_java_arguments, prepare_home as prepare_keycloak_home};
pub use programs::{NeededProgram, find_program};

/// Where to look for components, and where to keep those that were built.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A directory given by the user: `<component>/` laid out as in the cache, a copied cache entry, the bare
    /// program where the component needs no other files, or Keycloak's zip.
    pub assets: Option<Utf8PathBuf>,
    /// A flat directory with `etcd`, `kube-apiserver` and `kubectl`, as Kubernetes' own test tools fill it.
    pub kubebuilder_assets: Option<Utf8PathBuf>,
    /// Directory of the cache; made when it is not there.
    pub cache: Utf8PathBuf,
}

/// Gives components. Clones share their place in the queue: one Go build at a time, first come, first served.
#[derive(Clone)]
pub struct Components {
    shared: Arc<Shared>,
}

struct Shared {
    sources: Sources,
    tools: Toolbox,
    go_turn: tokio::sync::Mutex<()>,
    keycloak_turn: tokio::sync::Mutex<()>,
    python_turn: tokio::sync::Mutex<()>,
}

impl Components {
    /// Looks in `sources`; builds with the programs on the `PATH` of this process.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self::with_search_path(sources, None)
    }

    /// Looks in `sources`; builds with the programs on `search_path`, or on the `PATH` of this process.
    #[must_use]
    pub fn with_search_path(sources: Sources, search_path: Option<OsString>) -> Self {
        Self {
            shared: Arc::new(Shared {
                sources,
                tools: Toolbox::new(search_path),
                go_turn: tokio::sync::Mutex::default(),
                keycloak_turn: tokio::sync::Mutex::default(),
                python_turn: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Gives `component`, building it when no source has it.
    ///
    /// Takes milliseconds when it is there. Does not run two Go builds of this process at once; a build of the
    /// same component by another process is waited for and its result taken. Dropping the future ends what it
    /// started and removes what it had half made.
    pub async fn acquire(
        &self,
        component: Component,
        reporter: &dyn Reporter,
    ) -> Result<Acquired, ComponentError> {
        if let Some(found) = self.find(component) {
            return Ok(found);
        }
        let kubectl = if component.renders_kustomizations() {
            Some(Box::pin(self.acquire(Component::Kubectl, reporter)).await?)
        } else {
            None
        };
        let task = Task::start(reporter, component.name(), component.announcement());
        let _turn = self.turn(component, &task).await;
        self.make(component, kubectl.as_ref(), task).await
    }

    /// How long it takes to build those of `wanted` that are not there yet, one after the other on two cores,
    /// downloads included and nothing built before.
    #[must_use]
    pub fn estimate(&self, wanted: &[Component]) -> Duration {
        wanted
            .iter()
            .filter(|component| self.find(**component).is_none())
            .map(|component| component.cold_build())
            .sum()
    }

    /// Compares every file of the cached `component` with the hashes noted when it was made. An entry that
    /// differs is removed, so that the next [`Components::acquire`] makes it anew; the answer is whether it was whole.
    /// A component that is not in the cache is not whole.
    pub async fn verify(&self, component: Component) -> Result<bool, ComponentError> {
        let cache = self.cache();
        tokio::task::spawn_blocking(move || cache.verify(component))
            .await
            .map_err(|source| ComponentError::Interrupted { component, source })?
    }

    /// The Java program that runs Keycloak, checked for its version.
    pub async fn java(&self) -> Result<Utf8PathBuf, ComponentError> {
        keycloak::find_java(&self.shared.tools).await
    }

    /// The program of a component that was built, or is among the assets, already.
    #[must_use]
    pub fn program(&self, component: Component) -> Option<Utf8PathBuf> {
        self.find(component).map(|acquired| acquired.program().to_owned())
    }

    fn find(&self, component: Component) -> Option<Acquired> {
        assets::find(&self.shared.sources, component).or_else(|| self.cache().find(component))
    }

    fn cache(&self) -> Cache {
        Cache::new(self.shared.sources.cache.clone())
    }

    async fn turn(&self, component: Component, task: &Task<'_>) -> tokio::sync::MutexGuard<'_, ()> {
        let turn = match component.making() {
            Making::Go(_) => &self.shared.go_turn,
            Making::Keycloak => &self.shared.keycloak_turn,
            Making::Python(_) => &self.shared.python_turn,
        };
        if let Ok(guard) = turn.try_lock() {
            return guard;
        }
        task.waiting("its turn: another component is being built");
        turn.lock().await
    }

    /// Makes `component` under the lock of its cache entry, unless somebody made it while we waited for the lock.
    async fn make(
        &self,
        component: Component,
        kubectl: Option<&Acquired>,
        task: Task<'_>,
    ) -> Result<Acquired, ComponentError> {
        let cache = self.cache();
        let claim = cache.claim(component, &task).await?;
        if let Some(found) = cache.find(component) {
            task.finish("made by somebody else in the meantime");
            return Ok(found);
        }
        let scaffold = claim.scaffold()?;
        match component.making() {
            Making::Go(recipe) => {
                let build = go::Build {
                    component,
                    recipe,
                    tools: &self.shared.tools,
                    scaffold: &scaffold,
                    task: &task,
                };
                build.run(kubectl.map(Acquired::program)).await?;
            }
            Making::Keycloak => {
                let zip = assets::keycloak_zip(&self.shared.sources);
                keycloak::make(&self.shared.tools, &scaffold, zip, &task).await?;
            }
            Making::Python(recipe) => {
                python::make(&self.shared.tools, (component, recipe), &scaffold, &task).await?;
            }
        }
        let acquired = scaffold.publish().await?;
        task.finish(component.version());
        Ok(acquired)
    }
}

/// A component that is there. Its directory may be shared and read-only: write nothing into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquired {
    home: Utf8PathBuf,
    program: Utf8PathBuf,
}

impl Acquired {
    fn new(home: Utf8PathBuf, component: Component) -> Self {
        Self {
            program: home.join(component.program()),
            home,
        }
    }

    /// The program. Of Keycloak it is the jar that Java runs; [`Component::FluxManifests`] and definitions of kinds
    /// have none, and this is the path of their files.
    #[must_use]
    pub fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// The definitions of kinds that the component is: the path and text of each, in order of their names.
    pub fn definitions(&self) -> std::io::Result<Vec<(Utf8PathBuf, String)>> {
        let mut paths = Vec::new();
        for entry in self.program.read_dir_utf8()? {
            paths.push(entry?.path().to_owned());
        }
        paths.retain(|path| path.extension() == Some("yaml"));
        paths.sort();
        let read = |path: Utf8PathBuf| fs_err::read_to_string(&path).map(|text| (path, text));
        paths.into_iter().map(read).collect()
    }

    /// A file or directory that belongs to the component (`crds.yaml`).
    #[must_use]
    pub fn share(&self, file: &str) -> Utf8PathBuf {
        self.home.join("share").join(file)
    }

    /// The component's directory.
    #[must_use]
    pub fn home(&self) -> &Utf8Path {
        &self.home
    }
}
