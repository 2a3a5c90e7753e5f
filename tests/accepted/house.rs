//! One etcd, and a control plane on it for the environment that is being looked at.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use lotse::lab::component::{Acquired, Component, Components, KUBERNETES_VERSION, Sources};
use lotse::lab::control_plane::{self, ControlPlaneSpec};
use lotse::lab::state::StateDirectory;
use lotse::lab::{LabContext, Surroundings, launch};
use lotse::names::{EnvironmentName, LabName};
use lotse::report::{Event, Reporter};
use tokio::runtime::Runtime;

use super::rendered;
use super::server::Server;

/// Where the servers live, as long as the program.
pub(crate) struct House {
    runtime: Runtime,
    context: LabContext,
    directory: tempfile::TempDir,
    current: Mutex<Option<(EnvironmentName, Arc<Server>)>>,
}

/// Tells what takes long: the first run on a machine builds components.
struct Aloud;

impl Reporter for Aloud {
    fn report(&self, event: Event) {
        if let Event::Started { task, what } = event {
            eprintln!("{task}: {what}");
        }
    }
}

impl House {
    /// An empty one. Its path is short, since Unix sockets may live in it.
    pub(crate) fn open() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = tempfile::Builder::new()
            .prefix("lotse-")
            .tempdir_in("/tmp")
            .unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
        let cache =
            std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", variable("HOME")));
        let sources = Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: format!("{cache}/lotse/components").into(),
        };
        let surroundings = Surroundings {
            name_server: None,
            extras: std::collections::BTreeSet::new(),
            path: variable("PATH"),
            home: variable("HOME"),
            has_compiler: false,
        };
        let name = LabName::new("accepted").unwrap();
        let state = StateDirectory::locate(root, &name).unwrap();
        let context = LabContext::open(
            &name,
            state,
            Components::new(sources),
            surroundings,
            Arc::new(Aloud),
        )
        .unwrap();
        Self {
            runtime: Runtime::new().unwrap(),
            context,
            directory,
            current: Mutex::default(),
        }
    }

    /// The server of `environment`. That of another one is stopped.
    pub(crate) fn server(&self, environment: &EnvironmentName) -> Arc<Server> {
        let mut current = self
            .current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of, server)) = &*current
            && of == environment
        {
            return Arc::clone(server);
        }
        // Declarations with faults are told before anything is started.
        let objects = rendered::objects(environment);
        let server = self.block_on(async {
            if let Some((before, _)) = current.take() {
                control_plane::stop(&self.context, before.as_str()).await.unwrap();
            }
            let spec = ControlPlaneSpec {
                name: environment.to_string(),
                version: KUBERNETES_VERSION.to_owned(),
                cert_sans: Vec::new(),
                oidc: None,
                authentication: None,
                nodes: 0,
            };
            let running = launch::control_plane_alone(&self.context, &spec).await.unwrap();
            Arc::new(Server::prepare(self, objects, &running).await)
        });
        *current = Some((environment.clone(), Arc::clone(&server)));
        server
    }

    /// A component of the lab, built where it is not there yet.
    pub(crate) async fn component(&self, component: Component) -> Acquired {
        self.context.components.acquire(component, &Aloud).await.unwrap()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> Utf8PathBuf {
        let path = Utf8Path::from_path(self.directory.path()).unwrap().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// An empty directory of this name.
    pub(crate) fn directory(&self, name: &str) -> Utf8PathBuf {
        let path = Utf8Path::from_path(self.directory.path()).unwrap().join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// What a component's program prints, or what it complains about.
    pub(crate) async fn output(&self, component: Component, arguments: &[&str]) -> Result<String, String> {
        let program = self.component(component).await;
        let mut command = Command::new(program.program());
        command.args(arguments).env_clear();
        let environment = BTreeMap::from([("HOME", self.directory.path())]);
        let output = command.envs(environment).output().unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Stops everything.
    pub(crate) fn close(&self) {
        self.block_on(self.context.stop());
    }
}
