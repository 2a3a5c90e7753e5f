//! Which component of the lab stands for a container image. Pure.

use crate::lab::component::Component;

/// The components that stand for images, under the names their images have.
const CONTROLLERS: [Component; 4] = [
    Component::SourceController,
    Component::KustomizeController,
    Component::HelmController,
    Component::NotificationController,
];

/// Repositories in which Flux publishes its images; the last is how the second is written for short.
const REPOSITORIES: [&str; 3] = ["ghcr.io/fluxcd", "docker.io/fluxcd", "fluxcd"];

/// What an image is to the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The lab has this program in this version.
    Component(Component),
    /// The lab has this program, but in another version.
    OtherVersion(Component),
}

/// Finds the component for `image`; `None` when the lab has no such program at all.
pub(super) fn recognise(image: &str) -> Option<Known> {
    let without_digest = image.split('@').next().unwrap_or_default();
    let (path, tag) = split_tag(without_digest);
    let (repository, name) = path.rsplit_once('/')?;
    let component = CONTROLLERS
        .into_iter()
        .find(|component| component.name() == name)?;
    if !REPOSITORIES.contains(&repository) {
        return None;
    }
    let same = tag.is_some_and(|tag| bare(tag) == bare(component.version()));
    Some(if same {
        Known::Component(component)
    } else {
        Known::OtherVersion(component)
    })
}

/// Splits off the tag; a colon before the last slash belongs to the registry's port.
fn split_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (image, None),
    }
}

fn bare(version: &str) -> &str {
    version.trim_start_matches('v')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(repository: &str, tag: &str) -> String {
        format!("{repository}/source-controller{tag}")
    }

    #[test]
    fn test_published_images_are_known_with_and_without_digest() {
        let version = format!(":v{}", bare(Component::SourceController.version()));
        let digest = format!("{version}@sha256:{}", "0".repeat(64));
        for repository in REPOSITORIES {
            for tag in [&version, &digest] {
                let known = recognise(&tagged(repository, tag));
                assert_eq!(
                    known,
                    Some(Known::Component(Component::SourceController)),
                    "{repository}{tag}"
                );
            }
        }
    }

    #[test]
    fn test_other_versions_are_told_apart() {
        for tag in [":v0.0.1", "", ":latest"] {
            let known = recognise(&tagged("ghcr.io/fluxcd", tag));
            assert_eq!(
                known,
                Some(Known::OtherVersion(Component::SourceController)),
                "{tag}"
            );
        }
    }

    #[test]
    fn test_other_images_are_not_known() {
        for image in [
            "nginx:1.29",
            "ghcr.io/fluxcd/flux-cli:v2.9.4",
            "localhost:5000/source-controller",
            "ghcr.io/somebody/source-controller:v1.9.4",
            "source-controller",
            "",
        ] {
            assert_eq!(recognise(image), None, "{image}");
        }
    }
}
