//! The manifests of a Flux release, and what we change about them. Changes are made on parsed objects.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{FLUX_NAMESPACE, WorkloadError};
use crate::causes;
use crate::config::yaml;
use crate::desired::Manifest;
use crate::kubernetes::read_manifests;

/// The controllers we install.
const CONTROLLERS: [&str; 4] = [
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
];
/// What some releases carry beside them.
const NOT_INSTALLED: [&str; 3] = [
    "image-automation-controller",
    "image-reflector-controller",
    "source-watcher",
];
/// Who may set which flag: nobody reaches into another's namespace, nothing comes from outside of the sources, and an
/// object that names no service account has no rights (Flux's documentation, "Multi-tenancy lockdown").
const LOCKDOWN: [(&str, &str); 6] = [
    ("kustomize-controller", "--no-cross-namespace-refs=true"),
    ("kustomize-controller", "--no-remote-bases=true"),
    ("kustomize-controller", "--default-service-account=default"),
    ("helm-controller", "--no-cross-namespace-refs=true"),
    ("helm-controller", "--default-service-account=default"),
    ("notification-controller", "--no-cross-namespace-refs=true"),
];
/// How soon Flux goes on. What waits for another object looks again after 5 s: with Flux's default of 30 s each link of
/// a chain of dependencies would add half a minute to a bring-up. And a commit that mends an application does not wait
/// until Flux gives up waiting for what it mends.
const PACE: [(&str, &str); 3] = [
    ("kustomize-controller", "--requeue-dependency=5s"),
    (
        "kustomize-controller",
        "--feature-gates=CancelHealthCheckOnNewRevision=true",
    ),
    ("helm-controller", "--requeue-dependency=5s"),
];
const CLUSTER_SCOPED: [&str; 4] = [
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
];
/// In this order objects find what they refer to.
const ORDER: [&str; 9] = [
    "Namespace",
    "CustomResourceDefinition",
    "ResourceQuota",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "NetworkPolicy",
    "Service",
    "Deployment",
];
/// Where the images of a release are that names none.
const IMAGE_REGISTRY: &str = "ghcr.io";

/// Flux's components, locked down, ready to be applied and to be written into Git.
#[derive(Clone, Debug, PartialEq)]
pub struct FluxRelease {
    version: String,
    objects: Vec<Manifest>,
}

impl FluxRelease {
    /// Reads manifests given as (name of the file, text). `version` is that of Flux, without `v`.
    ///
    /// Both layouts of a release are taken: the one install file, and the parts per controller, which name neither
    /// namespace nor registry.
    ///
    /// # Errors
    /// Text that is not Kubernetes objects, or a part that is missing.
    pub fn from_texts(version: &str, files: &[(String, String)]) -> Result<Self, WorkloadError> {
        let mut objects = Vec::new();
        for (origin, text) in files {
            objects.extend(read_manifests(origin, text)?);
        }
        objects.retain(is_installed);
        if !objects.iter().any(|object| object.kind() == "Namespace") {
            objects.push(namespace());
        }
        for object in &mut objects {
            complete(object, version);
            set_flags(object);
        }
        objects.sort_by_key(|object| (rank(object), object.name().to_owned()));
        let release = Self {
            version: version.to_owned(),
            objects,
        };
        release.check()?;
        Ok(release)
    }

    /// Reads the file at `path`, or all `.yaml` files of the directory.
    pub fn from_path(version: &str, path: &Utf8Path) -> Result<Self, WorkloadError> {
        let fault = |source| WorkloadError::ReadRelease {
            path: path.to_string(),
            source,
        };
        let files = release_files(path).map_err(fault)?;
        let texts: Result<Vec<_>, _> = files
            .into_iter()
            .map(|file| Ok((file.to_string(), fs_err::read_to_string(&file)?)))
            .collect();
        Self::from_texts(version, &texts.map_err(fault)?)
    }

    /// Fetches the install file of a release, whose SHA-256 (hexadecimal) must be `digest`.
    pub async fn from_url(
        version: &str,
        url: &str,
        digest: &str,
        client: &reqwest::Client,
    ) -> Result<Self, WorkloadError> {
        let fault = |error: reqwest::Error| WorkloadError::FetchRelease {
            url: url.to_owned(),
            reason: match error.status() {
                Some(status) => format!("the server answers {status}"),
                None => causes::of_connection(&error),
            },
        };
        let answer = client
            .get(url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(fault)?;
        let text = answer.text().await.map_err(fault)?;
        check_digest(url, &text, digest)?;
        Self::from_texts(version, &[(url.to_owned(), text)])
    }

    /// Version of Flux, without `v`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All objects, in an order in which they find what they refer to.
    #[must_use]
    pub fn objects(&self) -> &[Manifest] {
        &self.objects
    }

    /// What must be there before the rest: the namespace and the custom resource definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &Manifest> {
        self.objects.iter().filter(|object| is_definition(object))
    }

    /// The text of `gotk-components.yaml`.
    pub fn components(&self) -> Result<String, WorkloadError> {
        let mut text = format!(
            "# Flux {}, locked down. Written by lotse: put patches into kustomization.yaml beside this file.\n",
            self.version
        );
        for object in &self.objects {
            text.push_str("---\n");
            text.push_str(&yaml::to_text(object).map_err(|source| WorkloadError::Write { source })?);
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        Ok(text)
    }

    fn check(&self) -> Result<(), WorkloadError> {
        let controllers = CONTROLLERS.map(|name| ("Deployment", name.to_owned()));
        let reconciler = (
            "ClusterRoleBinding",
            format!("cluster-reconciler-{FLUX_NAMESPACE}"),
        );
        for (kind, name) in controllers.into_iter().chain([reconciler]) {
            if !self
                .objects
                .iter()
                .any(|object| object.kind() == kind && object.name() == name)
            {
                return Err(WorkloadError::Incomplete {
                    missing: format!("{kind}/{name}"),
                });
            }
        }
        Ok(())
    }
}

/// Whether `object` has to be established before objects of other kinds can be applied.
pub(super) fn is_definition(object: &Manifest) -> bool {
    matches!(object.kind(), "Namespace" | "CustomResourceDefinition")
}

fn release_files(path: &Utf8Path) -> std::io::Result<Vec<Utf8PathBuf>> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir_utf8()? {
        let file = entry?.into_path();
        if file.extension() == Some("yaml") && file.file_name() != Some("kustomization.yaml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn check_digest(url: &str, text: &str, pinned: &str) -> Result<(), WorkloadError> {
    use std::fmt::Write as _;

    let mut found = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        write!(found, "{byte:02x}").expect("a String takes everything");
    }
    if found.eq_ignore_ascii_case(pinned) {
        return Ok(());
    }
    Err(WorkloadError::Digest {
        url: url.to_owned(),
        pinned: pinned.to_owned(),
        found,
    })
}

fn is_installed(object: &Manifest) -> bool {
    let component = object
        .value()
        .pointer("/metadata/labels/app.kubernetes.io~1component")
        .and_then(Value::as_str);
    !component.is_some_and(|component| NOT_INSTALLED.contains(&component))
        && !NOT_INSTALLED.contains(&object.name())
}

fn namespace() -> Manifest {
    Manifest::build("v1", "Namespace", FLUX_NAMESPACE, serde_json::Map::new())
        .with_label("pod-security.kubernetes.io/warn", "restricted")
        .with_label("pod-security.kubernetes.io/warn-version", "latest")
}

fn rank(object: &Manifest) -> usize {
    ORDER
        .iter()
        .position(|kind| *kind == object.kind())
        .unwrap_or(ORDER.len())
}

/// Adds what the parts of a release leave open; an install file has all of it.
fn complete(object: &mut Manifest, version: &str) {
    let is_cluster_scoped = CLUSTER_SCOPED.contains(&object.kind());
    let is_rbac = object.api_version().starts_with("rbac.authorization.k8s.io/");
    let value = object.value_mut();
    if !is_cluster_scoped && value["metadata"].get("namespace").is_none() {
        value["metadata"]["namespace"] = FLUX_NAMESPACE.into();
    }
    for (key, text) in [
        ("app.kubernetes.io/instance", FLUX_NAMESPACE.to_owned()),
        ("app.kubernetes.io/part-of", "flux".to_owned()),
        ("app.kubernetes.io/version", format!("v{version}")),
    ] {
        value["metadata"]["labels"][key] = text.into();
    }
    if is_cluster_scoped && is_rbac {
        suffix(&mut value["metadata"]["name"]);
        if value
            .pointer("/roleRef/name")
            .is_some_and(|name| name != "cluster-admin")
        {
            suffix(&mut value["roleRef"]["name"]);
        }
    }
    for container in containers(value) {
        if let Some(image) = container.get_mut("image") {
            name_registry(image);
        }
    }
}

/// Cluster-wide names carry the namespace of the Flux that they belong to.
fn suffix(name: &mut Value) {
    if let Some(text) = name.as_str().filter(|text| !text.ends_with(FLUX_NAMESPACE)) {
        *name = format!("{text}-{FLUX_NAMESPACE}").into();
    }
}

fn name_registry(image: &mut Value) {
    let names_one = |image: &str| {
        image
            .split_once('/')
            .is_some_and(|(host, _)| host.contains(['.', ':']))
    };
    if let Some(text) = image.as_str().filter(|text| !names_one(text)) {
        *image = format!("{IMAGE_REGISTRY}/{text}").into();
    }
}

fn set_flags(object: &mut Manifest) {
    if object.kind() != "Deployment" {
        return;
    }
    let name = object.name().to_owned();
    for container in containers(object.value_mut()) {
        let flags = LOCKDOWN.iter().chain(&PACE);
        for (_, flag) in flags.filter(|(controller, _)| *controller == name) {
            set_flag(container, flag);
        }
    }
}

/// Adds `--name=value` to the arguments, in place of another value of the same name.
fn set_flag(container: &mut Value, flag: &str) {
    if !container["args"].is_array() {
        container["args"] = json!([]);
    }
    let Some(arguments) = container["args"].as_array_mut() else {
        return;
    };
    let name = flag.split_once('=').map_or(flag, |(name, _)| name);
    let is_same = |argument: &Value| {
        argument
            .as_str()
            .is_some_and(|text| text.split_once('=').map_or(text, |(name, _)| name) == name)
    };
    match arguments.iter_mut().find(|argument| is_same(argument)) {
        Some(argument) => *argument = flag.into(),
        None => arguments.push(flag.into()),
    }
}

fn containers(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object
        .pointer_mut("/spec/template/spec/containers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release in parts, as small as can be.
    fn parts() -> Vec<(String, String)> {
        let controllers = CONTROLLERS.map(|name| {
            format!(
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{template: {{spec: {{containers: \
                 [{{name: manager, image: 'fluxcd/{name}:v1', args: [--no-remote-bases=false, --log-level=info]}}]}}}}}}\n"
            )
        });
        let binding = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n\
                       metadata: {name: cluster-reconciler}\nroleRef: {kind: ClusterRole, name: cluster-admin}\n";
        let crd = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
        let extra = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: source-watcher}\n";
        vec![("parts.yaml".into(), controllers.concat() + binding + crd + extra)]
    }

    fn arguments(release: &FluxRelease, name: &str) -> String {
        let deployment = release
            .objects()
            .iter()
            .find(|object| object.kind() == "Deployment" && object.name() == name)
            .unwrap();
        deployment.value()["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    }

    #[test]
    fn test_release_is_locked_down() {
        let release = FluxRelease::from_texts("2.9.4", &parts()).unwrap();
        assert_eq!(
            arguments(&release, "kustomize-controller"),
            r#"["--no-remote-bases=true","--log-level=info","--no-cross-namespace-refs=true","--default-service-account=default","--requeue-dependency=5s","--feature-gates=CancelHealthCheckOnNewRevision=true"]"#
        );
        assert!(arguments(&release, "helm-controller").contains("--default-service-account=default"));
        assert!(arguments(&release, "notification-controller").contains("--no-cross-namespace-refs=true"));
        assert!(!arguments(&release, "source-controller").contains("--no-cross-namespace-refs"));
    }

    #[test]
    fn test_parts_are_completed_and_ordered() {
        let release = FluxRelease::from_texts("2.9.4", &parts()).unwrap();
        let shown: Vec<_> = release.objects().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "Namespace/flux-system",
                "CustomResourceDefinition/a.b",
                "ClusterRoleBinding/cluster-reconciler-flux-system",
                "Deployment/flux-system/helm-controller",
                "Deployment/flux-system/kustomize-controller",
                "Deployment/flux-system/notification-controller",
                "Deployment/flux-system/source-controller",
            ]
        );
        let image = &release.objects()[3].value()["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "ghcr.io/fluxcd/helm-controller:v1");
        assert_eq!(release.definitions().count(), 2);
    }

    #[test]
    fn test_components_read_back_as_they_are() {
        let release = FluxRelease::from_texts("2.9.4", &parts()).unwrap();
        let text = release.components().unwrap();
        let again = FluxRelease::from_texts("2.9.4", &[("gotk-components.yaml".into(), text)]).unwrap();
        assert_eq!(again, release);
    }

    #[test]
    fn test_a_missing_part_is_named() {
        let text = parts()[0].1.replace("name: helm-controller", "name: other");
        let error = FluxRelease::from_texts("2.9.4", &[("x".into(), text)]).unwrap_err();
        assert!(
            error.to_string().contains("Deployment/helm-controller"),
            "{error}"
        );
    }

    #[test]
    fn test_another_digest_is_refused() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check_digest("u", "", empty).unwrap();
        assert!(check_digest("u", "x", empty).is_err());
    }
}
