//! Checks: each with a name of its own, an outcome, and a remedy.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::bootstrap::StageError;
use crate::causes;

macro_rules! checks {
    ($($variant:ident = $id:literal, $name:literal;)+) => {
        /// What is checked before anything is changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum CheckId {
            $(#[doc = $name] $variant,)+
        }

        impl CheckId {
            /// All checks, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it is named on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)+
                }
            }

            /// What has to hold, in one sentence.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

checks! {
    ManagementAnswers = "management-answers", "the management cluster answers";
    ManagementApis = "management-apis", "the management cluster serves Cluster API and cluster stacks";
    ManagementRights = "management-rights", "the management cluster lets us make clusters";
    ManagementControllers = "management-controllers", "the controllers of the management cluster run";
    CloudCredentials = "cloud-credentials", "the management cluster has the cloud's credentials";
    CloudAnswers = "cloud-answers", "the cloud logs the project in";
    CloudFlavors = "cloud-flavors", "the cloud has the declared flavors";
    CloudQuota = "cloud-quota", "the project's quota has room for the machines";
    CloudImage = "cloud-image", "the project has the machines' image";
    CloudNetwork = "cloud-network", "a network of the cloud leads out";
    CloudLoadBalancer = "cloud-load-balancer", "the cloud has the declared kind of load balancer";
    ClusterAccepted = "cluster-accepted", "the management cluster takes the Cluster with its variables";
    ClusterFields = "cluster-fields", "no other program looks after what is declared of the Cluster";
    FluxRange = "flux-range", "Flux is made for this version of Kubernetes";
    VersionPolicy = "version-policy", "this version of Kubernetes still gets fixes (scs-0210)";
    RepositoryReadable = "repository-readable", "the repository can be read";
    RepositoryWritable = "repository-writable", "the branch takes our pushes";
    RepositoryReader = "repository-reader", "Flux's own credentials may read the repository";
    Publication = "publication", "changes get onto the branch as git.mode says";
    Decryption = "decryption", "Flux can decrypt what is encrypted";
    ZoneWritable = "zone-writable", "the zone takes signed updates";
    KeycloakAnswers = "keycloak-answers", "Keycloak's administration answers";
    KeycloakRights = "keycloak-rights", "the administrator may make the realm what is declared";
    KeycloakFeatures = "keycloak-features", "Keycloak can do what is declared of the realm";
    OtherIssuers = "other-issuers", "the API server can take the issuers beside the realm";
}

impl fmt::Display for CheckId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for CheckId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A text names no check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{0}`")]
pub struct UnknownCheck(String);

impl FromStr for CheckId {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        let found = Self::ALL.iter().copied().find(|id| id.as_str() == text);
        found.ok_or_else(|| UnknownCheck(text.to_owned()))
    }
}

/// Which checks count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Only these; all where it is empty.
    pub only: BTreeSet<CheckId>,
    /// Not these.
    pub skip: BTreeSet<CheckId>,
}

impl Chosen {
    /// Whether `id` counts.
    #[must_use]
    pub fn has(&self, id: CheckId) -> bool {
        (self.only.is_empty() || self.only.contains(&id)) && !self.skip.contains(&id)
    }
}

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// What has to hold, in one sentence.
    pub name: &'static str,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: CheckOutcome,
}

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It could not be asked, or does not apply, which is in nobody's way.
    NotAsked {
        /// Why.
        reason: String,
    },
}

impl Check {
    pub(super) fn passed(id: CheckId) -> Self {
        Self::with(id, CheckOutcome::Passed)
    }

    pub(super) fn failed(id: CheckId, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (problem, remedy) = (problem.into(), remedy.into());
        Self::with(id, CheckOutcome::Failed { problem, remedy })
    }

    pub(super) fn not_asked(id: CheckId, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::with(id, CheckOutcome::NotAsked { reason })
    }

    pub(super) fn by_error(id: CheckId, error: &(dyn Error + 'static), remedy: &str) -> Self {
        Self::failed(id, causes::in_one_line(error), remedy)
    }

    pub(super) fn of<T, E: Error + 'static>(id: CheckId, outcome: Result<T, E>, remedy: &str) -> Self {
        match outcome {
            Ok(_) => Self::passed(id),
            Err(error) => Self::by_error(id, &error, remedy),
        }
    }

    /// With the advice for the error before this remedy: an address that does not answer may well be the right one.
    pub(super) fn by_stage(id: CheckId, error: impl Into<StageError>, remedy: &str) -> Self {
        let error = error.into();
        match error.advice().first() {
            Some(advice) => Self::by_error(id, &error, &format!("{advice}; or {remedy}")),
            None => Self::by_error(id, &error, remedy),
        }
    }

    fn with(id: CheckId, outcome: CheckOutcome) -> Self {
        Self {
            id,
            name: id.name(),
            outcome,
        }
    }

    /// Whether it stands in the way.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_checks_are_named_and_chosen() {
        for id in CheckId::ALL {
            assert_eq!(id.as_str().parse(), Ok(*id));
        }
        let all = Chosen::default();
        assert!(CheckId::ALL.iter().all(|id| all.has(*id)));
        let some = Chosen {
            only: BTreeSet::from([CheckId::FluxRange, CheckId::Decryption]),
            skip: BTreeSet::from([CheckId::Decryption]),
        };
        let left: Vec<&CheckId> = CheckId::ALL.iter().filter(|id| some.has(**id)).collect();
        assert_eq!(left, [&CheckId::FluxRange]);
    }
}
