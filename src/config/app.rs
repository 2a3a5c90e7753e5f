//! The declaration of one application: `apps/<name>/app.yaml`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::civil::Date;
use serde::Serialize;

use super::network::Network;
use super::people::People;
use super::source::Source;
use crate::names::{AppName, HostLabel, Login, TeamName};

/// One application as it is declared for one environment: `apps/<name>/app.yaml` with what the environment replaces,
/// templates filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Folder, namespace and service account.
    pub name: AppName,
    /// One sentence.
    pub description: String,
    /// Teams that answer for it; together at least two people.
    pub owners: Vec<TeamName>,
    /// Where it is reached under the environment's domain.
    pub hosts: Vec<Host>,
    /// What runs.
    pub source: Source,
    /// Who may do what in its namespace.
    pub access: Vec<Grant>,
    /// Its OIDC clients.
    pub login: Vec<LoginClient>,
    /// How much it may use.
    pub quota: Option<Quota>,
    /// What its containers request, and may use, where they don't say.
    pub container_defaults: ContainerDefaults,
    /// Whom its pods exchange traffic with.
    pub network: Network,
    /// Pod Security Standard that its namespace enforces.
    pub pod_security: PodSecurity,
    /// Applications that must be ready before it.
    pub depends_on: Vec<AppName>,
    /// How long Flux waits until what it delivered is ready (`5m`, in the notation of Go's durations).
    pub timeout: String,
}

/// One name of an application, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Label under the environment's domain.
    pub name: HostLabel,
    /// What is there.
    pub destination: Destination,
}

/// Where a host leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Through the environment's gateway, by the wildcard record, to a Service in the application's namespace.
    Gateway {
        /// The Service.
        service: String,
        /// Its port.
        port: u16,
    },
    /// By a record of its own to the load balancer of a Service in the application's namespace.
    LoadBalancer {
        /// The Service, of type `LoadBalancer`.
        service: String,
    },
    /// By a record of its own to these addresses.
    Addresses(Vec<IpAddr>),
}

impl Host {
    /// Service and port behind the gateway, where it is the gateway that the host leads to.
    #[must_use]
    pub fn backend(&self) -> Option<(&str, u16)> {
        match &self.destination {
            Destination::Gateway { service, port } => Some((service, *port)),
            Destination::LoadBalancer { .. } | Destination::Addresses(_) => None,
        }
    }
}

/// Access of a team or a person to the application's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub subject: Subject,
    /// `view`, `edit`, `admin`, or a cluster role that the environment names.
    pub role: String,
    /// Last day on which it holds.
    pub until: Option<Date>,
    /// Why, for those who read it later.
    pub reason: Option<String>,
}

impl Grant {
    /// Whether it still holds on `today`.
    #[must_use]
    pub fn holds_on(&self, today: Date) -> bool {
        self.until.is_none_or(|last| today <= last)
    }
}

/// Who has access.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All members of a team.
    Team(TeamName),
    /// One person.
    Person(Login),
}

impl Subject {
    /// Whether `login` is one of those that are meant.
    #[must_use]
    pub fn includes(&self, login: &Login, people: &People) -> bool {
        match self {
            Self::Team(team) => people
                .team(team)
                .is_some_and(|team| team.everybody().contains(&login.folded())),
            Self::Person(person) => person.folded() == login.folded(),
        }
    }
}

/// One confidential OIDC client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginClient {
    /// Client id in the realm.
    pub client: String,
    /// Where a login may return to.
    pub redirect_uris: Vec<String>,
    /// Secret in the namespace that receives client id, client secret and issuer.
    pub secret: String,
    /// What brings that Secret into the namespace.
    pub delivery: Delivery,
    /// Client roles and the teams that have them.
    pub roles: BTreeMap<String, RoleHolders>,
}

/// How the secret of a client gets into the namespace of its application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// A bring-up writes it into the cluster.
    #[default]
    Cluster,
    /// It is in Git, encrypted, and Flux delivers it.
    Git,
}

impl Delivery {
    /// Whether it is what is so without being declared.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Cluster)
    }
}

/// Teams that have a client role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleHolders {
    /// `"*"`: every team of the environment.
    EveryTeam,
    /// These.
    Teams(Vec<TeamName>),
}

/// How much an application may request in all. Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Cores (`8`, `500m`).
    pub cpu: Option<String>,
    /// Memory (`16Gi`).
    pub memory: Option<String>,
    /// Persistent volumes together (`200Gi`).
    pub storage: Option<String>,
}

/// CPU and memory as Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Cores (`50m`).
    pub cpu: Option<String>,
    /// Memory (`64Mi`).
    pub memory: Option<String>,
}

/// What a container gets that declares no resources of its own: a quota refuses pods without requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerDefaults {
    /// Requested for it.
    pub request: Resources,
    /// Not to be exceeded.
    pub limit: Resources,
}

impl Default for ContainerDefaults {
    /// A small service; no limit of the CPU, which would only slow it down.
    fn default() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            request: Resources {
                cpu: text("50m"),
                memory: text("64Mi"),
            },
            limit: Resources {
                cpu: None,
                memory: text("512Mi"),
            },
        }
    }
}

/// A Pod Security Standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSecurity {
    /// Anything goes.
    Privileged,
    /// Known privilege escalations are refused.
    Baseline,
    /// Current hardening practice is required.
    Restricted,
}

impl PodSecurity {
    /// The value of the namespace label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}
