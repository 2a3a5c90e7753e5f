//! Looks for components in the directories the user named. Whatever is found there is taken as it is.

use camino::{Utf8Path, Utf8PathBuf};

use super::cache::entry_name;
use super::keycloak::ZIP_NAME;
use super::{Acquired, Component, Sources};

/// The component in one of the named directories.
pub(super) fn find(sources: &Sources, component: Component) -> Option<Acquired> {
    let assets = sources.assets.as_deref();
    assets
        .and_then(|assets| find_directory(assets, component))
        .or_else(|| assets.and_then(|assets| find_bare(assets, component)))
        .or_else(|| find_kubebuilder(sources, component))
}

/// Keycloak's zip in the assets directory.
pub(super) fn keycloak_zip(sources: &Sources) -> Option<Utf8PathBuf> {
    let zip = sources.assets.as_ref()?.join(ZIP_NAME);
    zip.is_file().then_some(zip)
}

/// `<assets>/<component>/`, or a cache entry copied as it is.
fn find_directory(assets: &Utf8Path, component: Component) -> Option<Acquired> {
    [component.name().to_owned(), entry_name(component)]
        .iter()
        .map(|directory| Acquired::new(assets.join(directory), component))
        .find(|found| found.program().exists() && !found.program().starts_with(assets.join("bin")))
        .filter(|found| component.is_bare_program() || found.home().join("share").is_dir())
}

/// `<assets>/<program>`, for components that are nothing but their program.
fn find_bare(assets: &Utf8Path, component: Component) -> Option<Acquired> {
    let program = assets.join(component.name());
    (component.is_bare_program() && program.is_file()).then(|| Acquired {
        home: assets.to_owned(),
        program,
    })
}

/// The programs that Kubernetes' own test tools put into `KUBEBUILDER_ASSETS`.
fn find_kubebuilder(sources: &Sources, component: Component) -> Option<Acquired> {
    let kubernetes = matches!(
        component,
        Component::Etcd
            | Component::KubeApiserver
            | Component::KubeControllerManager
            | Component::KubeScheduler
            | Component::Kubectl
    );
    find_bare(
        sources.kubebuilder_assets.as_deref().filter(|_| kubernetes)?,
        component,
    )
}
