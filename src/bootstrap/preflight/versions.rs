//! Whether the versions that are declared go together.

use jiff::civil::{Date, date};

use super::check::{Check, CheckId};
use crate::config::ResolvedEnvironment;

/// A minor release of Flux, and the oldest patch of each minor version of Kubernetes that it is made for
/// (fluxcd.io, "Prerequisites" of the release). Newer minor versions than the last are taken as they come.
const FLUX: [(&str, &[(u32, u32)]); 1] = [("2.9", &[(33, 0), (34, 1), (35, 0)])];

/// Until when the Kubernetes project mends a minor version (kubernetes.io/releases, "End Of Life Date").
const ENDS: [(u32, Date); 5] = [
    (32, date(2026, 2, 28)),
    (33, date(2026, 6, 28)),
    (34, date(2026, 10, 27)),
    (35, date(2027, 2, 28)),
    (36, date(2027, 6, 28)),
];

/// Whether the declared version is one of those that scs-0210 ("SCS K8S Version Policy") lets a cluster be of: the ones
/// that still get fixes. A lab is nobody's production.
pub(super) fn policy(environment: &ResolvedEnvironment, today: Date) -> Check {
    if environment.lab.is_some() {
        return Check::not_asked(CheckId::VersionPolicy, "a lab may have any version");
    }
    judge_end(&environment.cluster.version, today)
}

fn judge_end(kubernetes: &str, today: Date) -> Check {
    let id = CheckId::VersionPolicy;
    let Some((minor, _)) = numbers(kubernetes) else {
        return Check::not_asked(id, format!("{kubernetes} is not a version of Kubernetes 1"));
    };
    let oldest = ENDS.first().map_or(0, |(oldest, _)| *oldest);
    let end = ENDS
        .iter()
        .find(|(known, _)| *known == minor)
        .map(|(_, end)| *end);
    let problem = match end {
        Some(end) if end >= today => return Check::passed(id),
        Some(end) => format!("{kubernetes} gets no fixes any more: 1.{minor} ended on {end}"),
        None if minor < oldest => format!("{kubernetes} gets no fixes any more"),
        None => {
            return Check::not_asked(
                id,
                format!("it is not known here until when 1.{minor} gets fixes"),
            );
        }
    };
    let open = ENDS.iter().filter(|(_, end)| *end >= today);
    let open: Vec<String> = open
        .map(|(minor, end)| format!("1.{minor} (until {end})"))
        .collect();
    Check::failed(
        id,
        problem,
        format!(
            "declare a newer release of the stack and cluster.version, one minor version at a time: {}",
            open.join(", ")
        ),
    )
}

/// Minor version and patch of `v1.36.3`.
fn numbers(kubernetes: &str) -> Option<(u32, u32)> {
    let mut numbers = kubernetes
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor)), Some(Ok(patch))) => Some((minor, patch)),
        _ => None,
    }
}

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
    let Some((minor, patch)) = numbers(kubernetes) else {
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
    fn test_versions_that_get_no_fixes_are_told() {
        let today = date(2026, 11, 27);
        let told = |version: &str| match judge_end(version, today).outcome {
            CheckOutcome::Failed { problem, remedy } => format!("{problem}; {remedy}"),
            other => format!("{other:?}"),
        };
        assert_eq!(judge_end("v1.35.9", today).outcome, CheckOutcome::Passed);
        assert_eq!(
            judge_end("v1.34.8", date(2026, 10, 27)).outcome,
            CheckOutcome::Passed
        );
        let ended = told("v1.34.8");
        assert!(
            ended.contains("1.34 ended on 2026-10-27") && ended.contains("1.35 (until 2027-02-28)"),
            "{ended}"
        );
        assert!(told("v1.29.1").contains("no fixes any more"));
        assert!(told("v1.99.0").contains("NotAsked"));
    }

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
