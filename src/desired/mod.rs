//! What should be: pure, infallible, no I/O, no clock. Validated declarations go in, [`Desired`] comes out.

pub mod dns;
pub mod identity;
pub mod manifest;

mod app;
pub mod cluster;
mod flux;
mod gateway;
mod kubectl;
mod names;
mod network;
mod platform;
mod realm;
mod release;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::Date;
use serde_json::{Map, Value};

pub use flux::{DECRYPTION_SECRET, FLUX_NAMESPACE, SYNC_FILE};
pub use gateway::{AddressOf, GATEWAY_NAMESPACE, GATEWAY_SERVICE};
pub use kubectl::login_plugin;
pub use manifest::Manifest;
pub use names::{Names, PointedName, PointsAt};
pub use realm::group_of;

use crate::config::{App, Declarations, Environment};
use crate::names::{AppName, DomainName, EnvironmentName};
use identity::Realm;

/// Label of everything that lotse declares; its value is the environment.
pub const ENVIRONMENT_LABEL: &str = "lotse.dev/environment";
/// Kubernetes' recommended label for who looks after an object, and what we write there.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const MANAGER: &str = "lotse";
/// Label of everything around one application; its value is the application.
pub const APP_LABEL: &str = "lotse.dev/app";
/// Label of the namespaces of applications that may create cluster-scoped objects.
pub const CLUSTER_WIDE_LABEL: &str = "lotse.dev/cluster-wide";
/// Beginning of the labels of an application's namespace that name the teams which answer for it, one label each.
pub const OWNER_LABEL_PREFIX: &str = "owner.lotse.dev/";
/// Annotation of an application's namespace: the teams that answer for it, joined by commas.
pub const OWNERS_ANNOTATION: &str = "lotse.dev/owners";
/// What is in front of users and groups of the realm in the workload cluster.
pub const OIDC_PREFIX: &str = "oidc:";
/// The public client that people log in to the cluster with.
pub const KUBECTL_CLIENT: &str = "kubectl";

/// The whole desired state of one environment.
///
/// What surrounds an application is worked out when it is asked for and not kept: a large platform has tens of thousands
/// of objects.
pub struct Desired<'declared> {
    /// The environment.
    pub environment: EnvironmentName,
    /// `*.<domain>` leads to the gateway.
    pub domain: DomainName,
    /// The zone that holds the domain.
    pub zone: DomainName,
    /// Objects of the management cluster in the order in which they are applied.
    pub management: Vec<Manifest>,
    /// Files that do not belong to one application.
    pub platform: Vec<DesiredFile>,
    /// The applications, sorted by name.
    pub apps: Vec<&'declared App>,
    /// Flux's source and root Kustomization: applied last at bootstrap, and part of [`Self::platform`].
    pub sync: Vec<Manifest>,
    /// Where the address of the gateway is found.
    pub address_of: AddressOf,
    /// The names of the zone.
    pub names: Names,
    /// The Secret in the gateway's namespace by which cert-manager writes records into the zone: its name, and the key in it.
    pub zone_key: Option<(&'static str, &'static str)>,
    /// The Keycloak realm.
    pub realm: Realm,
    around: Box<Around<'declared>>,
}

/// What makes the files of one application.
type Around<'declared> = dyn Fn(&App) -> Vec<DesiredFile> + Send + Sync + 'declared;

/// The objects of one file that Flux delivers to the workload cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredFile {
    /// Below `clusters/<environment>/`.
    pub path: Utf8PathBuf,
    /// The declaration they come from.
    pub origin: Utf8PathBuf,
    /// The objects, in order.
    pub manifests: Vec<Manifest>,
}

impl<'declared> Desired<'declared> {
    /// Works out what should be. `environment` is that of `declarations`, resolved or as an outline; secrets are not
    /// read. Grants that ended before `today` are left out.
    #[must_use]
    pub fn build<Key: Sync>(
        declarations: &'declared Declarations,
        environment: &'declared Environment<String, Key>,
        today: Date,
    ) -> Self {
        let site = Site::new(declarations, environment, today);
        let sync = flux::sync(environment);
        Self {
            environment: environment.name.clone(),
            domain: environment.domain.clone(),
            zone: environment.dns.zone.clone(),
            management: cluster::objects(environment),
            platform: platform_files(&site, &sync),
            apps: site.apps().collect(),
            sync,
            address_of: gateway::address_of(environment),
            names: names::names(environment, site.apps()),
            zone_key: gateway::needs_zone_key(environment).then_some(gateway::ZONE_KEY),
            realm: realm::realm(declarations, environment, today),
            around: Box::new(move |app| files_around(app, &site)),
        }
    }

    /// The files of one application: what surrounds it, its Helm release, its routes.
    #[must_use]
    pub fn around(&self, app: &App) -> Vec<DesiredFile> {
        (self.around)(app)
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = DesiredFile> {
        let apps = self.apps.iter().flat_map(|app| self.around(app));
        self.platform.iter().cloned().chain(apps)
    }

    /// All objects that Flux delivers.
    pub fn delivered(&self) -> impl Iterator<Item = Manifest> {
        self.files().flat_map(|file| file.manifests)
    }
}

/// Whether the root Kustomization applies the file `path`; Flux's own and those of other Kustomizations are not among them.
#[must_use]
pub fn is_of_root(path: &Utf8Path) -> bool {
    let apart = ["flux-system", gateway::GATEWAY_FOLDER, release::RELEASES];
    !apart.iter().any(|folder| path.starts_with(folder))
}

/// The path of a file below the gateway's folder, which has a Kustomization of its own.
#[must_use]
pub fn in_gateway_folder(path: &Utf8Path) -> Option<&Utf8Path> {
    path.strip_prefix(gateway::GATEWAY_FOLDER).ok()
}

/// What everything is worked out from.
struct Site<'a, Key> {
    environment: &'a Environment<String, Key>,
    apps: BTreeMap<&'a AppName, &'a App>,
    cluster_wide: BTreeSet<&'a AppName>,
    today: Date,
}

impl<'a, Key> Site<'a, Key> {
    fn new(declarations: &'a Declarations, environment: &'a Environment<String, Key>, today: Date) -> Self {
        Self {
            environment,
            apps: declarations.apps.iter().map(|app| (&app.name, app)).collect(),
            cluster_wide: environment.cluster_wide.iter().collect(),
            today,
        }
    }

    /// All applications, sorted by name.
    fn apps(&self) -> impl Iterator<Item = &'a App> + Clone {
        self.apps.values().copied()
    }

    fn app(&self, name: &AppName) -> Option<&'a App> {
        self.apps.get(name).copied()
    }

    /// Whether an application may create cluster-scoped objects.
    fn is_cluster_wide(&self, name: &AppName) -> bool {
        self.cluster_wide.contains(name)
    }
}

/// What does not belong to one application.
fn platform_files<Key>(site: &Site<'_, Key>, sync: &[Manifest]) -> Vec<DesiredFile> {
    let environment = site.environment;
    let origin = Utf8PathBuf::from(format!("environments/{}/environment.yaml", environment.name));
    let mut parts = vec![
        (SYNC_FILE, sync.to_vec()),
        ("platform/gateway.yaml", gateway::platform(site)),
        ("platform/policies.yaml", platform::policies(environment)),
        ("platform/priorities.yaml", platform::priorities(environment)),
        ("platform/roles.yaml", platform::roles(site)),
    ];
    if let Some(declared) = &environment.gateway {
        parts.push(("gateway/gateway.yaml", gateway::objects(site, declared)));
    }
    let files = parts.into_iter().map(|(path, manifests)| DesiredFile {
        path: path.into(),
        origin: origin.clone(),
        manifests,
    });
    files.collect()
}

fn files_around<Key>(app: &App, site: &Site<'_, Key>) -> Vec<DesiredFile> {
    let name = &app.name;
    let mut parts = vec![
        (format!("apps/{name}.yaml"), app::objects(app, site)),
        (
            format!("{}/{name}/release.yaml", release::RELEASES),
            release::objects(app, site),
        ),
    ];
    if site.environment.gateway.is_some() {
        let path = format!("{}/{name}.yaml", gateway::GATEWAY_FOLDER);
        parts.push((path, gateway::routes(app, site.environment)));
    }
    parts.retain(|(_, manifests)| !manifests.is_empty());
    let files = parts.into_iter().map(|(path, manifests)| DesiredFile {
        path: path.into(),
        origin: format!("apps/{name}/app.yaml").into(),
        manifests,
    });
    files.collect()
}

/// A namespace that holds pods to a Pod Security Standard, as the cluster's own version of it is. Everything else than
/// `restricted` is warned of and audited.
fn pod_security<Text, Key>(
    namespace: Manifest,
    environment: &Environment<Text, Key>,
    level: &str,
) -> Manifest {
    let version = format!("v{}", environment.cluster.stack.kubernetes);
    let modes = [
        ("enforce", level),
        ("audit", "restricted"),
        ("warn", "restricted"),
    ];
    modes.into_iter().fold(namespace, |namespace, (mode, level)| {
        let label = format!("pod-security.kubernetes.io/{mode}");
        namespace
            .with_label(&label, level)
            .with_label(&format!("{label}-version"), &version)
    })
}

/// A label selector for what carries the mark of an environment.
#[must_use]
pub fn selector_of(environment: &EnvironmentName) -> String {
    format!("{MANAGED_BY}={MANAGER},{ENVIRONMENT_LABEL}={environment}")
}

/// An object with our mark. `content` holds what comes beside `metadata`.
pub(crate) fn marked<Text, Key>(
    environment: &Environment<Text, Key>,
    (api_version, kind): (&str, &str),
    name: &str,
    content: Value,
) -> Manifest {
    let content = match content {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    with_marks(
        Manifest::build(api_version, kind, name, content),
        &environment.name,
    )
}

/// `manifest` with our mark.
pub(crate) fn with_marks(manifest: Manifest, environment: &EnvironmentName) -> Manifest {
    manifest
        .with_label(MANAGED_BY, MANAGER)
        .with_label(ENVIRONMENT_LABEL, environment.as_str())
}
