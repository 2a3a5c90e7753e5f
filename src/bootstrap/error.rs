//! A bring-up that could not go on: where, after what, and why.

use std::fmt;

use serde::Serialize;

use super::preflight::Check;
use crate::kubernetes::{KubernetesError, remedy};
use crate::ssh::NoKeyPair;
use crate::surface::dns::{Conflicts, DnsError};
use crate::surface::git::GitError;
use crate::surface::keycloak::KeycloakError;
use crate::surface::management::ManagementError;
use crate::surface::workload::WorkloadError;

/// One stage, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Can every system do its part?
    Preflight,
    /// The cluster stack's `ClusterClass`.
    Stack,
    /// The Cluster.
    Cluster,
    /// The realm.
    Logins,
    /// The rendered tree on the branch.
    Git,
    /// Flux at the commit.
    Flux,
    /// Client secrets in the namespaces.
    Secrets,
    /// The wildcard record.
    Dns,
    /// What tokens may do.
    Proof,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 9] = [
        Self::Preflight,
        Self::Stack,
        Self::Cluster,
        Self::Logins,
        Self::Git,
        Self::Flux,
        Self::Secrets,
        Self::Dns,
        Self::Proof,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Preflight => "preflight",
            Self::Stack => "stack",
            Self::Cluster => "cluster",
            Self::Logins => "logins",
            Self::Git => "git",
            Self::Flux => "flux",
            Self::Dns => "dns",
            Self::Secrets => "secrets",
            Self::Proof => "proof",
        })
    }
}

/// A stage failed.
#[derive(Debug, thiserror::Error)]
#[error("the stage {stage} failed")]
pub struct BootstrapError {
    /// Which one.
    pub stage: Stage,
    /// What was done by then, in order.
    pub done: Vec<Stage>,
    /// How many things these had changed.
    pub changes: usize,
    /// Why.
    #[source]
    pub source: Box<StageError>,
}

impl BootstrapError {
    /// A failure at `stage` of something that has no stages before it.
    pub(super) fn at_once(stage: Stage, source: StageError) -> Self {
        Self {
            stage,
            done: Vec::new(),
            changes: 0,
            source: Box::new(source),
        }
    }

    /// The stages that were not reached, in order.
    #[must_use]
    pub fn not_done(&self) -> Vec<Stage> {
        let is_open = |stage: &Stage| *stage != self.stage && !self.done.contains(stage);
        Stage::ALL.into_iter().filter(is_open).collect()
    }
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Systems are not ready for a bring-up.
    #[error("{} of {} checks failed", failed.len(), failed.len() + passed)]
    Preflight {
        /// What failed, with a remedy each.
        failed: Vec<Check>,
        /// How many passed.
        passed: usize,
    },
    /// The management cluster.
    #[error(transparent)]
    Management(#[from] ManagementError),
    /// Somebody else took over.
    #[error("this is no longer the only one that changes the environment, so it stopped")]
    TurnLost,
    /// A request to a Kubernetes API.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The platform's repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// No key pair could be made.
    #[error(transparent)]
    KeyPair(#[from] NoKeyPair),
    /// More would be deleted than is allowed.
    #[error("{} {place} would be deleted, and at most {limit} may be: {}", .deleted.len(), .deleted.join(", "))]
    TooManyDeletions {
        /// Of what.
        place: &'static str,
        /// What would be deleted.
        deleted: Vec<String>,
        /// How many may be.
        limit: usize,
    },
    /// What is to be deleted can't be kept.
    #[error("what is to be deleted can't be kept in {path}: nothing was deleted")]
    Backup {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A backup is of another realm.
    #[error("the backup is of the realm {kept}, not of {realm}")]
    OtherRealm {
        /// Its realm.
        kept: String,
        /// That of the environment.
        realm: String,
    },
    /// Flux would bring something else than is desired.
    #[error("{branch} has not what is desired yet: {files} files differ")]
    Unpublished {
        /// The branch that Flux follows.
        branch: String,
        /// How many files.
        files: usize,
    },
    /// Flux, or another thing on the workload cluster.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The zone.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// Records of others are in the way.
    #[error(transparent)]
    Records(#[from] Conflicts),
    /// What a name leads to has a name in place of an address.
    #[error("{name} should lead to {at}, which is reached by the name {address}: a record needs an address")]
    NamedAddress {
        /// The name.
        name: String,
        /// Where it leads.
        at: String,
        /// What is there in place of an address.
        address: String,
    },
    /// Keycloak.
    #[error(transparent)]
    Keycloak(#[from] KeycloakError),
    /// Clients can't be given other secrets as was asked.
    #[error("no secret was changed: {}", reasons.join("; "))]
    NotRotated {
        /// One sentence per reason.
        reasons: Vec<String>,
    },
    /// A client may have another secret, which its application does not have.
    #[error(
        "the client {client} may have another secret, which is not where its application looks for it: {source}"
    )]
    Uncarried {
        /// Client id.
        client: String,
        /// What went wrong.
        source: Box<Self>,
    },
    /// A person could not be logged in.
    #[error("{person} could not log in: {reason}")]
    Login {
        /// Login of the person.
        person: String,
        /// What came instead.
        reason: String,
    },
    /// The cluster decides differently from what the declarations say.
    #[error("access is not as declared: {}", wrong.join("; "))]
    Access {
        /// One sentence per wrong answer.
        wrong: Vec<String>,
    },
}

impl StageError {
    /// What to do about it, where the message does not say so itself; one sentence each.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let known = match self {
            Self::Kubernetes(error)
            | Self::Management(ManagementError::Kubernetes(error))
            | Self::Workload(WorkloadError::Kubernetes(error)) => return of_request(error),
            Self::Workload(WorkloadError::NotPutBack { .. }) => {
                "`kubectl get -o yaml --show-managed-fields` says who changes them; the annotations \
                 kustomize.toolkit.fluxcd.io/ssa and /reconcile make Flux leave an object alone"
            }
            Self::Management(ManagementError::Busy { .. }) => {
                "let that end, or `kubectl delete lease` on the management cluster where it did and is not gone"
            }
            Self::TurnLost => "`kubectl get lease` on the management cluster says who has it",
            Self::TooManyDeletions { .. } => {
                "look at each of them; where all are to go, `--prune-limit NUMBER` allows as many"
            }
            Self::Backup { .. } => "make room there, or set XDG_STATE_HOME to another place",
            Self::NotRotated { .. } => {
                "`--at-once` gives another secret all the same, and ends the present one"
            }
            Self::Uncarried { .. } => {
                "`lotse apply` brings it there; what was before holds for its grace period"
            }
            Self::OtherRealm { .. } => "name the environment that the backup was made of",
            Self::Unpublished { .. } => "carry that out as well: `--target git`",
            Self::Keycloak(KeycloakError::Unreachable { .. }) => {
                "start Keycloak or the way to it (VPN, firewall)"
            }
            Self::Keycloak(KeycloakError::Refused { status: 500.., .. }) => {
                "Keycloak's log says why; it may be starting, or its database may be away"
            }
            Self::Git(GitError::Network { .. }) => "start the server or the way to it (VPN, firewall, proxy)",
            Self::Git(GitError::Forge(error)) if error.is_transient() => {
                "try again when the forge is well again; what was proposed is kept"
            }
            Self::Dns(error) if error.is_transient() => {
                "start the name server or the way to it (UDP and TCP)"
            }
            _ => return Vec::new(),
        };
        vec![known.to_owned()]
    }
}

/// What to do about a field that another program looks after.
pub(super) const CONFLICT_REMEDY: &str = "let that program give the field up (`kubectl get -o yaml --show-managed-fields` shows it), or say \
     --force-conflicts to take it over; nothing of the object was changed";

fn of_request(error: &KubernetesError) -> Vec<String> {
    match error {
        KubernetesError::Request { status: None, .. } => {
            vec!["start the cluster's API server or the way to it (VPN, firewall)".to_owned()]
        }
        KubernetesError::Request {
            status: Some(401), ..
        } => {
            vec!["its credentials have run out or are refused: log in there anew, or put others into the kubeconfig".to_owned()]
        }
        KubernetesError::Request {
            status: Some(403), ..
        } => {
            vec![
                "use credentials that may do this; `kubectl auth can-i --list` shows what they may"
                    .to_owned(),
            ]
        }
        KubernetesError::Hopeless { reason, .. } => remedy(reason).map(str::to_owned).into_iter().collect(),
        KubernetesError::Conflict { .. } => vec![CONFLICT_REMEDY.to_owned()],
        KubernetesError::NotInTime { state, .. } => {
            let event = state
                .event
                .as_ref()
                .map(|event| format!("the cluster warns: {event}"));
            let runbook = state
                .runbook
                .as_ref()
                .map(|path| format!("the runbook for this is {path}"));
            let last = "mend what it waited for; where that only takes longer, `--timeout STAGE=TIME` gives it more time";
            event
                .into_iter()
                .chain(state.remedy.clone())
                .chain(runbook)
                .chain(std::iter::once(last.to_owned()))
                .collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_was_not_reached_is_named() {
        let error = BootstrapError {
            stage: Stage::Git,
            changes: 0,
            done: vec![Stage::Preflight, Stage::Stack, Stage::Cluster, Stage::Logins],
            source: Box::new(StageError::Access { wrong: Vec::new() }),
        };
        assert_eq!(
            error.not_done(),
            [Stage::Flux, Stage::Secrets, Stage::Dns, Stage::Proof]
        );
    }
}
