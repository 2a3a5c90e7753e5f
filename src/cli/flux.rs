//! Where Flux's install manifests come from.

use super::{CommandError, Kind, Settings};
use crate::causes;
use crate::config::{FluxInstall, ResolvedEnvironment};
use crate::lab::component::{Component, Components};
use crate::report::Reporter;
use crate::surface::workload::{FluxRelease, WorkloadError};

/// Reads the release that the environment pins: from where it says, or else, in a lab, from the lab's components.
pub(super) async fn release(
    settings: &Settings,
    environment: &ResolvedEnvironment,
    reporter: &dyn Reporter,
) -> Result<FluxRelease, CommandError> {
    let version = environment.flux.version.as_str();
    let failed = |failure: WorkloadError| CommandError::from_error(Kind::Failed, &failure);
    match &environment.flux.install {
        Some(FluxInstall::Path(path)) => {
            FluxRelease::from_path(version, &settings.root.join(path)).map_err(failed)
        }
        Some(FluxInstall::Url { url, sha256 }) => {
            FluxRelease::from_url(version, url, sha256, &reqwest::Client::new())
                .await
                .map_err(failed)
        }
        None if environment.lab.is_some() => {
            let manifests = Components::new(settings.sources.clone())
                .acquire(Component::FluxManifests, reporter)
                .await
                .map_err(|failure| CommandError::new(Kind::Failed, causes::in_one_line(&failure)))?;
            FluxRelease::from_path(version, &manifests.share("flux")).map_err(failed)
        }
        None => Err(CommandError::new(
            Kind::Usage,
            "environment.yaml does not say where Flux's manifests come from",
        )
        .hint(
            "set flux.install to {url, sha256} of the release's install.yaml, or to {path} of a copy of it",
        )),
    }
}
