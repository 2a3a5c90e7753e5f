//! Whether the versions that are declared go together.

use super::check::{Check, CheckId};
use crate::config::ResolvedEnvironment;

/// A minor release of Flux, and the oldest patch of each minor version of Kubernetes that it is made for
/// (fluxcd.io, "Prerequisites" of the release). Newer minor versions than the last are taken as they come.
const FLUX: [(&str, &[(u32, u32)]); 1] = [("2.9", &[(33, 0), (34, 1), (35, 0)])];

/// Whether Flux runs on the declared version of Kubernetes.
pub(super) fn flux_range(environment: &ResolvedEnvironment) -> Check {
    judge(&environment.flux.version, &environment.cluster.version)
}

fn judge(flux: &str, kubernetes: &str) -> Check {
    let id = CheckId::FluxRange;
    let minor_of_flux = flux.rsplit_once('.').map_or(flux, |(minor, _)| minor);
    let Some((_, range)) = FLUX.iter().find(|(known, _)| *known == minor_of_flux) else {
        return Check::not_asked(id, format!("it is not known here what Flux {flux} is made for"));
    };
    let mut numbers = kubernetes
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    let (Some(Ok(1)), Some(Ok(minor)), Some(Ok(patch))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return Check::not_asked(id, format!("{kubernetes} is not a version of Kubernetes 1"));
    };
    let oldest = range.first().map_or(0, |(minor, _)| *minor);
    let needed = range.iter().find(|(each, _)| *each == minor);
    let (problem, remedy) = match needed {
        None if minor < oldest => (
            format!("Flux {flux} needs Kubernetes 1.{oldest} or newer, and {kubernetes} is declared"),
            "declare a newer cluster.version, or an older flux.version".to_owned(),
        ),
        Some((_, least)) if patch < *least => (
            format!(
                "Flux {flux} needs v1.{minor}.{least} or newer of 1.{minor}, and {kubernetes} is declared"
            ),
            format!("declare cluster.version v1.{minor}.{least} or newer"),
        ),
        _ => return Check::passed(id),
    };
    Check::failed(id, problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::CheckOutcome;

    #[test]
    fn test_versions_of_kubernetes_are_held_to_what_flux_is_made_for() {
        for (flux, kubernetes, wanted) in [
            ("2.9.4", "v1.36.3", ""),
            ("2.9.4", "v1.34.8", ""),
            ("2.9.4", "v1.34.0", "v1.34.1 or newer of 1.34"),
            ("2.9.4", "v1.32.9", "1.33 or newer"),
        ] {
            let said = match judge(flux, kubernetes).outcome {
                CheckOutcome::Passed => String::new(),
                CheckOutcome::Failed { problem, .. } => problem,
                CheckOutcome::NotAsked { reason } => panic!("{reason}"),
            };
            assert_eq!(said.is_empty(), wanted.is_empty(), "{flux} {kubernetes}: {said}");
            assert!(said.contains(wanted), "{said}");
        }
        assert!(matches!(
            judge("9.9.9", "v1.36.3").outcome,
            CheckOutcome::NotAsked { .. }
        ));
    }
}
