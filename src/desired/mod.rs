//! What should be: pure, infallible, no I/O, no clock. Validated declarations go in, [`Desired`] comes out.

pub mod dns;
pub mod identity;
pub mod manifest;

mod app;
mod cluster;
mod flux;
mod gateway;
mod network;
mod platform;
mod realm;
mod release;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::Date;
use serde_json::{Map, Value};

pub use flux::{FLUX_NAMESPACE, SYNC_FILE};
pub use gateway::{AddressOf, GATEWAY_NAMESPACE, GATEWAY_SERVICE};
pub use manifest::Manifest;

use crate::config::{App, Declarations, Environment};
use crate::names::{AppName, DomainName, EnvironmentName};
use identity::Realm;

/// Label of everything that lotse declares; its value is the environment.
pub const ENVIRONMENT_LABEL: &str = "lotse.dev/environment";
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
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The environment.
    pub environment: EnvironmentName,
    /// `*.<domain>` leads to the gateway.
    pub domain: DomainName,
    /// The zone that holds the domain.
    pub zone: DomainName,
    /// Objects of the management cluster in the order in which they are applied.
    pub management: Vec<Manifest>,
    /// Objects of the workload cluster that Flux delivers, by file below `clusters/<environment>/`.
    pub files: BTreeMap<Utf8PathBuf, DesiredFile>,
    /// Flux's source and root Kustomization: applied last at bootstrap, and part of [`Self::files`].
    pub sync: Vec<Manifest>,
    /// Where the address is found that the wildcard record has.
    pub address_of: AddressOf,
    /// The Keycloak realm.
    pub realm: Realm,
}

/// The objects of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredFile {
    /// The declaration they come from.
    pub origin: Utf8PathBuf,
    /// The objects, in order.
    pub manifests: Vec<Manifest>,
}

impl Desired {
    /// Works out what should be. `environment` is that of `declarations`, resolved or as an outline; secrets are not
    /// read. Grants that ended before `today` are left out.
    #[must_use]
    pub fn build<Key>(
        declarations: &Declarations,
        environment: &Environment<String, Key>,
        today: Date,
    ) -> Self {
        let site = Site::new(declarations, environment, today);
        let sync = flux::sync(environment);
        let mut files = platform_files(&site, &sync);
        for app in site.apps() {
            add_app(&mut files, app, &site);
        }
        Self {
            environment: environment.name.clone(),
            domain: environment.domain.clone(),
            zone: environment.dns.zone.clone(),
            management: cluster::objects(environment),
            files,
            sync,
            address_of: gateway::address_of(environment),
            realm: realm::realm(declarations, environment),
        }
    }

    /// All objects that Flux delivers.
    pub fn delivered(&self) -> impl Iterator<Item = &Manifest> {
        self.files.values().flat_map(|file| &file.manifests)
    }

    /// Files of the root Kustomization, without Flux's own.
    pub fn root_files(&self) -> impl Iterator<Item = &Utf8Path> {
        let apart = ["flux-system", gateway::GATEWAY_FOLDER, release::RELEASES];
        let paths = self.files.keys().map(Utf8PathBuf::as_path);
        paths.filter(move |path| !apart.iter().any(|folder| path.starts_with(folder)))
    }

    /// Files of the Kustomization of the gateway's folder, relative to the folder; none where no class is declared.
    pub fn gateway_files(&self) -> impl Iterator<Item = &Utf8Path> {
        let paths = self.files.keys();
        paths.filter_map(|path| path.strip_prefix(gateway::GATEWAY_FOLDER).ok())
    }
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
    fn apps(&self) -> impl Iterator<Item = &'a App> {
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
fn platform_files<Key>(site: &Site<'_, Key>, sync: &[Manifest]) -> BTreeMap<Utf8PathBuf, DesiredFile> {
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
        parts.push(("gateway/gateway.yaml", gateway::objects(environment, declared)));
    }
    let files = parts.into_iter().map(|(path, manifests)| {
        let origin = origin.clone();
        (path.into(), DesiredFile { origin, manifests })
    });
    files.collect()
}

/// What surrounds one application, its Helm release, and its routes.
fn add_app<Key>(files: &mut BTreeMap<Utf8PathBuf, DesiredFile>, app: &App, site: &Site<'_, Key>) {
    let mut parts = vec![
        (format!("apps/{}.yaml", app.name), app::objects(app, site)),
        (
            format!("{}/{}/release.yaml", release::RELEASES, app.name),
            release::objects(app, site),
        ),
    ];
    if site.environment.gateway.is_some() {
        let path = format!("{}/{}.yaml", gateway::GATEWAY_FOLDER, app.name);
        parts.push((path, gateway::routes(app, site.environment)));
    }
    for (path, manifests) in parts.into_iter().filter(|(_, manifests)| !manifests.is_empty()) {
        let origin = format!("apps/{}/app.yaml", app.name).into();
        files.insert(path.into(), DesiredFile { origin, manifests });
    }
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

/// An object with our mark. `content` holds what comes beside `metadata`.
fn marked<Text, Key>(
    environment: &Environment<Text, Key>,
    (api_version, kind): (&str, &str),
    name: &str,
    content: Value,
) -> Manifest {
    let content = match content {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Manifest::build(api_version, kind, name, content)
        .with_label("app.kubernetes.io/managed-by", "lotse")
        .with_label(ENVIRONMENT_LABEL, environment.name.as_str())
}
