//! How Flux delivers an application: its Kustomizations and their sources, all in Flux's namespace.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::around;
use crate::config::{App, GitFolder, GitReference, OciFolder, OciReference, Upstream};
use crate::desired::flux::{self, FLUX_NAMESPACE, Folder, PLATFORM_ACCOUNT, SOURCE};
use crate::desired::release::RELEASES;
use crate::desired::{Manifest, Site};

/// How often sources are asked that are pinned to a tag, which somebody may move.
const PINNED_INTERVAL: &str = "60m";
/// How long the Kustomization of a release waits for it: longer than any attempt of Helm's, which has the application's own
/// time.
const RELEASE_TIMEOUT: &str = "30m";

/// The names of the Kustomizations that deliver `app`: an application that depends on it waits for all of them.
pub(in crate::desired) fn kustomizations(app: &App) -> Vec<String> {
    let manifests = app.source.manifests.is_some().then(|| app.name.to_string());
    let upstream = app.source.upstream.is_some().then(|| upstream_name(app));
    manifests.into_iter().chain(upstream).collect()
}

/// What comes from elsewhere is named like the application where it is all there is.
fn upstream_name(app: &App) -> String {
    if app.source.manifests.is_some() {
        format!("{}-upstream", app.name)
    } else {
        app.name.to_string()
    }
}

/// Sources and Kustomizations of `app`.
pub(super) fn objects<Key>(app: &App, site: &Site<'_, Key>) -> Vec<Manifest> {
    let upstream = app.source.upstream.as_ref();
    let mut objects = upstream.map_or_else(Vec::new, |upstream| upstream_objects(app, site, upstream));
    if let Some(folder) = &app.source.manifests {
        let folder = Folder {
            path: format!("./{folder}"),
            depends_on: manifests_wait_for(app, site),
            ..own(app, site)
        };
        objects.push(kustomization(app, site, app.name.as_str(), &folder));
    }
    objects
}

/// Manifests wait for all of what the application depends on, and refer to what a folder from elsewhere brings. With a
/// chart of the same application either may need the other first (a database of the manifests, definitions of the chart),
/// so both go ahead and try again.
fn manifests_wait_for<Key>(app: &App, site: &Site<'_, Key>) -> Vec<String> {
    let own = match app.source.upstream {
        Some(Upstream::Git(_) | Upstream::Oci(_)) => Some(upstream_name(app)),
        Some(Upstream::Helm(_)) | None => None,
    };
    dependencies(app, site, kustomizations).chain(own).collect()
}

/// What comes from elsewhere waits for that part of an application which comes from elsewhere too: the manifests beside
/// it often use what the waiting one brings (the definitions of its monitors), and neither would ever be ready.
fn upstream_waits_for<Key>(app: &App, site: &Site<'_, Key>) -> Vec<String> {
    let first = |dependency: &App| match dependency.source.upstream {
        Some(_) => vec![upstream_name(dependency)],
        None => kustomizations(dependency),
    };
    dependencies(app, site, first).collect()
}

/// Names of Kustomizations of the applications that `app` depends on and that the environment has, sorted.
fn dependencies<Key>(
    app: &App,
    site: &Site<'_, Key>,
    names: impl Fn(&App) -> Vec<String>,
) -> impl Iterator<Item = String> {
    let dependencies = app.depends_on.iter().filter_map(|name| site.app(name));
    let names: BTreeSet<String> = dependencies.flat_map(names).collect();
    names.into_iter()
}

fn upstream_objects<Key>(app: &App, site: &Site<'_, Key>, upstream: &Upstream) -> Vec<Manifest> {
    let name = upstream_name(app);
    let waits_for = upstream_waits_for(app, site);
    let from_elsewhere = |kind: &'static str, path: &Utf8Path, spec: Value| {
        let kinds = ("source.toolkit.fluxcd.io/v1", kind);
        let source =
            around(app, site.environment, kinds, &name, json!({ "spec": spec })).in_namespace(FLUX_NAMESPACE);
        let folder = Folder {
            source: (kind, name.clone()),
            path: format!("./{}", path.strip_prefix(".").unwrap_or(path)),
            depends_on: waits_for.clone(),
            ..own(app, site)
        };
        vec![source, kustomization(app, site, &name, &folder)]
    };
    match upstream {
        // The release is applied by the platform, so that dependencies between charts and manifests hold: Flux knows
        // none between a HelmRelease and a Kustomization.
        Upstream::Helm(_) => {
            let folder = Folder {
                path: format!("./{}/{RELEASES}/{}", site.environment.git.path, app.name),
                account: PLATFORM_ACCOUNT.to_owned(),
                namespace: None,
                is_encrypted: false,
                depends_on: waits_for.clone(),
                timeout: RELEASE_TIMEOUT.to_owned(),
                ..own(app, site)
            };
            vec![kustomization(app, site, &name, &folder)]
        }
        Upstream::Git(git) => from_elsewhere("GitRepository", &git.path, git_spec(git)),
        Upstream::Oci(oci) => from_elsewhere("OCIRepository", &oci.path, oci_spec(oci)),
    }
}

/// A folder of the platform's repository, delivered with the application's own rights into its own namespace.
fn own<Key>(app: &App, site: &Site<'_, Key>) -> Folder {
    Folder {
        source: ("GitRepository", SOURCE.to_owned()),
        path: String::new(),
        account: app.name.to_string(),
        namespace: Some(app.name.to_string()),
        depends_on: Vec::new(),
        timeout: app.timeout.clone(),
        is_encrypted: site.environment.encryption.is_some(),
        health: None,
    }
}

fn kustomization<Key>(app: &App, site: &Site<'_, Key>, name: &str, folder: &Folder) -> Manifest {
    let content = json!({ "spec": flux::kustomization_spec(folder) });
    around(app, site.environment, flux::KUSTOMIZATION, name, content).in_namespace(FLUX_NAMESPACE)
}

fn git_spec(git: &GitFolder) -> Value {
    let reference = match &git.reference {
        GitReference::Tag(tag) => json!({ "tag": tag }),
        GitReference::Commit(commit) => json!({ "commit": commit }),
    };
    json!({ "interval": PINNED_INTERVAL, "url": git.url, "ref": reference })
}

fn oci_spec(oci: &OciFolder) -> Value {
    let reference = match &oci.reference {
        OciReference::Tag(tag) => json!({ "tag": tag }),
        OciReference::Digest(digest) => json!({ "digest": digest }),
    };
    json!({ "interval": PINNED_INTERVAL, "url": oci.url, "ref": reference })
}
