//! What the processes of one control plane are doing, in one sentence. Pure.

use std::collections::BTreeSet;

use crate::lab::process::{ProcessPhase, ProcessStatus};

/// What the control plane of `cluster` still waits for, if anything.
pub(super) fn starting(statuses: &[ProcessStatus], cluster: &str) -> Option<String> {
    of(statuses, cluster).find_map(|(component, status)| match &status.phase {
        ProcessPhase::Starting {
            waiting: Some(reason),
        } => Some(format!("{component}: {reason}")),
        ProcessPhase::Starting { waiting: None } => Some(format!("{component} starts")),
        _ => None,
    })
}

/// Which process of the control plane of `cluster` crashed and waits for its next start.
pub(super) fn crashed(statuses: &[ProcessStatus], cluster: &str) -> Option<String> {
    of(statuses, cluster).find_map(|(component, status)| match &status.phase {
        ProcessPhase::Crashed { status, lines } => Some(match lines.last() {
            Some(line) => format!("{component} stopped with {status}: {line}"),
            None => format!("{component} stopped with {status}"),
        }),
        _ => None,
    })
}

/// The processes of control planes that crashed and wait for their next start.
pub(super) fn all_crashed(statuses: &[ProcessStatus]) -> BTreeSet<String> {
    statuses
        .iter()
        .filter(|status| cluster_of(&status.name).is_some())
        .filter(|status| matches!(status.phase, ProcessPhase::Crashed { .. }))
        .map(|status| status.name.clone())
        .collect()
}

/// The cluster a process of a control plane belongs to: `<namespace>/<cluster>` of `<namespace>/<cluster>/<component>`.
pub(super) fn cluster_of(process: &str) -> Option<&str> {
    let (cluster, component) = process.rsplit_once('/')?;
    (cluster.split('/').count() == 2 && !component.is_empty()).then_some(cluster)
}

/// The processes of the control plane itself; what runs inside the cluster has longer names.
fn of<'status>(
    statuses: &'status [ProcessStatus],
    cluster: &str,
) -> impl Iterator<Item = (&'status str, &'status ProcessStatus)> {
    statuses
        .iter()
        .filter(move |status| cluster_of(&status.name) == Some(cluster))
        .filter_map(|status| Some((status.name.rsplit_once('/')?.1, status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, phase: ProcessPhase) -> ProcessStatus {
        ProcessStatus {
            name: name.to_owned(),
            phase,
            since: jiff::Timestamp::UNIX_EPOCH,
            process: None,
            restarts: 0,
            log: name.into(),
        }
    }

    fn statuses() -> Vec<ProcessStatus> {
        let crashed = ProcessPhase::Crashed {
            status: "exit code 1".to_owned(),
            lines: vec!["starting".to_owned(), "no disk".to_owned()],
        };
        let waiting = ProcessPhase::Starting {
            waiting: Some("answers 500".to_owned()),
        };
        vec![
            status("etcd", crashed.clone()),
            status("a/prod/kube-apiserver", waiting),
            status("a/prod/flux-system/source-controller", crashed.clone()),
            status("b/prod/kube-scheduler", crashed),
        ]
    }

    #[test]
    fn test_only_the_control_plane_itself_counts() {
        assert_eq!(
            starting(&statuses(), "a/prod").as_deref(),
            Some("kube-apiserver: answers 500")
        );
        assert_eq!(crashed(&statuses(), "a/prod"), None);
        assert_eq!(starting(&statuses(), "b/prod"), None);
        assert_eq!(
            crashed(&statuses(), "b/prod").as_deref(),
            Some("kube-scheduler stopped with exit code 1: no disk")
        );
    }

    #[test]
    fn test_crashes_of_other_processes_are_left_out() {
        let crashed: Vec<String> = all_crashed(&statuses()).into_iter().collect();
        assert_eq!(crashed, ["b/prod/kube-scheduler"]);
    }

    #[test]
    fn test_clusters_are_named_by_their_processes() {
        assert_eq!(cluster_of("a/prod/kube-apiserver"), Some("a/prod"));
        assert_eq!(cluster_of("moin/kube-apiserver"), None);
        assert_eq!(cluster_of("etcd"), None);
        assert_eq!(cluster_of("a/prod/flux-system/source-controller"), None);
    }
}
