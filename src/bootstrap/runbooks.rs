//! Which runbook of the platform's repository treats what is in the way.

use camino::Utf8Path;
use serde::Deserialize;

use super::Bootstrap;
use crate::config::yaml;
use crate::kubernetes::{ObjectReference, Runbooks};
use crate::surface::git::{Content, DesiredFiles};

/// Runbooks of the platform itself.
const OF_PLATFORM: &str = "runbooks/platform/";
/// Where Flux's objects of applications are.
const FLUX_NAMESPACE: &str = "flux-system";

/// What a runbook says of itself before its text.
#[derive(Deserialize)]
struct FrontMatter {
    /// API groups of the objects whose troubles it treats; a group stands for those below it as well.
    #[serde(default)]
    treats: Vec<String>,
}

/// The outage of the application whose object it is; else the runbook of the platform that treats such objects.
impl Runbooks for Bootstrap<'_> {
    fn treating(&self, trail: &[ObjectReference]) -> Option<String> {
        find(&self.files, trail)
    }
}

fn find(files: &DesiredFiles, trail: &[ObjectReference]) -> Option<String> {
    let from_the_deepest = || trail.iter().rev();
    from_the_deepest()
        .filter_map(application)
        .map(|name| format!("runbooks/{name}/outage.md"))
        .find(|path| files.contains_key(Utf8Path::new(path)))
        .or_else(|| from_the_deepest().find_map(|object| of_platform(files, object)))
}

/// The application that an object is of: they are named as their namespaces and their objects of Flux.
fn application(object: &ObjectReference) -> Option<&str> {
    match object.namespace.as_deref() {
        Some(FLUX_NAMESPACE) if object.api_version.contains("toolkit.fluxcd.io") => Some(&object.name),
        namespace => namespace,
    }
}

fn of_platform(files: &DesiredFiles, object: &ObjectReference) -> Option<String> {
    let group = object
        .api_version
        .split_once('/')
        .map_or("core", |(group, _)| group);
    let is_within = |treated: &String| group == treated || group.ends_with(&format!(".{treated}"));
    files
        .iter()
        .filter(|(path, _)| path.as_str().starts_with(OF_PLATFORM))
        .find(|(_, file)| front_matter(&file.content).is_some_and(|front| front.treats.iter().any(is_within)))
        .map(|(path, _)| path.to_string())
}

/// What stands between the lines `---` at the beginning, where it can be read.
fn front_matter(content: &Content) -> Option<FrontMatter> {
    let Content::File { bytes, .. } = content else {
        return None;
    };
    let text = std::str::from_utf8(bytes).ok()?;
    let (front, _) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
    yaml::parse(front).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::git::DesiredFile;

    #[test]
    fn test_a_runbook_is_found_by_application_or_by_group() {
        let treats =
            |groups: &str| DesiredFile::text(format!("---\ntitle: a\ntreats: [{groups}]\n---\n\n# A\n"));
        let files = DesiredFiles::from([
            ("runbooks/web/outage.md".into(), DesiredFile::text("# Web")),
            (
                "runbooks/platform/bring-up.md".into(),
                DesiredFile::text("# no front matter"),
            ),
            ("runbooks/platform/cluster.md".into(), treats("cluster.x-k8s.io")),
            (
                "runbooks/platform/flux.md".into(),
                treats("toolkit.fluxcd.io, apps"),
            ),
        ]);
        let object = |api: &str, kind: &str, namespace: &str, name: &str| {
            ObjectReference::new(api, kind, name).in_namespace(namespace)
        };
        let found = |trail: &[ObjectReference]| find(&files, trail);
        let web = object(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "flux-system",
            "web",
        );
        let pod = object("v1", "Pod", "web", "web-1");
        assert_eq!(
            found(std::slice::from_ref(&web)).unwrap(),
            "runbooks/web/outage.md"
        );
        assert_eq!(found(&[web, pod]).unwrap(), "runbooks/web/outage.md");
        let machine = object(
            "infrastructure.cluster.x-k8s.io/v1beta1",
            "OpenStackMachine",
            "prod",
            "a",
        );
        assert_eq!(found(&[machine]).unwrap(), "runbooks/platform/cluster.md");
        let db = object(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "flux-system",
            "db",
        );
        assert_eq!(found(&[db]).unwrap(), "runbooks/platform/flux.md");
        assert_eq!(found(&[object("v1", "Service", "gateway", "gateway")]), None);
    }
}
