//! Which API versions Flux serves, by its release.

use super::object::Object;
use super::versions::Minor;

/// A kind of Flux and the versions of it.
struct FluxKind {
    group: &'static str,
    kinds: &'static [&'static str],
    /// Served since 2.8.
    served: &'static [&'static str],
    /// Served up to 2.7 besides.
    earlier: &'static [&'static str],
}

/// From the CRDs of Flux 2.9, and what 2.8 removed (source v1beta2, kustomize v1beta2, helm v2beta2).
const FLUX_KINDS: [FluxKind; 8] = [
    FluxKind {
        group: "source.toolkit.fluxcd.io",
        kinds: &[
            "Bucket",
            "GitRepository",
            "HelmChart",
            "HelmRepository",
            "OCIRepository",
        ],
        served: &["v1"],
        earlier: &["v1beta2"],
    },
    FluxKind {
        group: "source.toolkit.fluxcd.io",
        kinds: &["ExternalArtifact"],
        served: &["v1"],
        earlier: &[],
    },
    FluxKind {
        group: "kustomize.toolkit.fluxcd.io",
        kinds: &["Kustomization"],
        served: &["v1"],
        earlier: &["v1beta2"],
    },
    FluxKind {
        group: "helm.toolkit.fluxcd.io",
        kinds: &["HelmRelease"],
        served: &["v2"],
        earlier: &["v2beta2"],
    },
    FluxKind {
        group: "notification.toolkit.fluxcd.io",
        kinds: &["Alert", "Provider"],
        served: &["v1beta3"],
        earlier: &["v1beta2"],
    },
    FluxKind {
        group: "notification.toolkit.fluxcd.io",
        kinds: &["Receiver"],
        served: &["v1"],
        earlier: &["v1beta2"],
    },
    FluxKind {
        group: "image.toolkit.fluxcd.io",
        kinds: &["ImagePolicy", "ImageRepository"],
        served: &["v1"],
        earlier: &["v1beta2"],
    },
    FluxKind {
        group: "image.toolkit.fluxcd.io",
        kinds: &["ImageUpdateAutomation"],
        served: &["v1"],
        earlier: &["v1beta2"],
    },
];

/// Last minor release of Flux that served the beta versions.
const LAST_WITH_EARLIER: Minor = 7;

/// The version of a kind of Flux that belongs there, when Flux of that minor release does not serve the one that is
/// written.
pub(super) fn flux_version_instead(object: &Object, flux: Minor) -> Option<&'static str> {
    let (group, kind, version) = (object.group(), object.kind(), object.version());
    let known = FLUX_KINDS
        .iter()
        .find(|known| known.group == group && known.kinds.contains(&kind))?;
    let is_served = known.served.contains(&version)
        || (flux <= LAST_WITH_EARLIER && known.earlier.contains(&version))
        // What still older releases served is not written down here.
        || flux < LAST_WITH_EARLIER;
    if is_served {
        return None;
    }
    known.served.last().copied()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::config::tree::parse;

    fn object(api_version: &str, kind: &str) -> Object {
        let text = format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}}}");
        Object::new(Rc::new(parse(&text).unwrap())).unwrap()
    }

    #[test]
    fn test_flux_serves_beta_versions_up_to_2_7() {
        let release = object("helm.toolkit.fluxcd.io/v2beta2", "HelmRelease");
        assert_eq!(flux_version_instead(&release, 7), None);
        assert_eq!(flux_version_instead(&release, 9), Some("v2"));
        let alert = object("notification.toolkit.fluxcd.io/v1beta3", "Alert");
        assert_eq!(flux_version_instead(&alert, 9), None);
    }
}
