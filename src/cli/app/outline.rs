//! An application in one environment, as programs get it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::civil::Date;
use serde::Serialize;

use crate::config::{
    App, Chart, Declarations, Destination, Environment, GitReference, Grant, Host, LoginClient, NetworkPeer,
    NetworkRule, OciReference, RoleHolders, Source, Subject, Upstream,
};

/// An application in one environment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppOutline {
    pub(super) environment: String,
    pub(super) name: String,
    pub(super) description: String,
    /// Teams.
    pub(super) owners: Vec<String>,
    pub(super) hosts: Vec<HostOutline>,
    pub(super) source: SourceOutline,
    /// Grants that hold today.
    pub(super) access: Vec<GrantOutline>,
    pub(super) login: Vec<ClientOutline>,
    pub(super) quota: BTreeMap<&'static str, String>,
    pub(super) network: NetworkOutline,
    pub(super) pod_security: &'static str,
    pub(super) depends_on: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HostOutline {
    pub(super) name: String,
    /// The Service behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    /// The port of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    /// Addresses of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) addresses: Vec<IpAddr>,
    /// Whether it leads to the environment's gateway, and that routes it.
    pub(super) is_routed: bool,
}

#[derive(Serialize)]
pub(super) struct SourceOutline {
    /// A folder of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifests: Option<String>,
    /// What comes from elsewhere, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<String>,
}

#[derive(Serialize)]
pub(super) struct GrantOutline {
    /// `team NAME` or `person LOGIN`
    pub(super) subject: String,
    pub(super) role: String,
    /// Logins of everybody who has access by it, in lower case.
    pub(super) people: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientOutline {
    pub(super) client: String,
    pub(super) secret: String,
    pub(super) redirect_uris: Vec<String>,
    /// Roles at the client, and who has them: teams, or `*` for all.
    pub(super) roles: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkOutline {
    pub(super) allow_from: Vec<String>,
    pub(super) allow_to: Vec<String>,
}

impl AppOutline {
    pub(super) fn of(app: &App, declarations: &Declarations, today: Date) -> Self {
        let names = |names: &mut dyn Iterator<Item = &dyn ToString>| names.map(ToString::to_string).collect();
        let environment = &declarations.environment;
        let hosts = app.hosts.iter().map(|host| HostOutline::of(host, environment));
        let holding = app.access.iter().filter(|grant| grant.holds_on(today));
        Self {
            environment: environment.name.to_string(),
            name: app.name.to_string(),
            description: app.description.clone(),
            owners: names(&mut app.owners.iter().map(|name| name as &dyn ToString)),
            hosts: hosts.collect(),
            source: SourceOutline::of(&app.source),
            access: holding
                .map(|grant| GrantOutline::of(grant, declarations))
                .collect(),
            login: app.login.iter().map(ClientOutline::of).collect(),
            quota: quota(app),
            network: NetworkOutline {
                allow_from: app.network.allow_from.iter().map(rule).collect(),
                allow_to: app.network.allow_to.iter().map(rule).collect(),
            },
            pod_security: app.pod_security.as_str(),
            depends_on: names(&mut app.depends_on.iter().map(|name| name as &dyn ToString)),
        }
    }
}

impl HostOutline {
    fn of(host: &Host, environment: &Environment) -> Self {
        let (service, port, addresses) = match &host.destination {
            Destination::Gateway { service, port } => (Some(service.clone()), Some(*port), Vec::new()),
            Destination::LoadBalancer { service } => (Some(service.clone()), None, Vec::new()),
            Destination::Addresses(addresses) => (None, None, addresses.clone()),
        };
        Self {
            name: format!("{}.{}", host.name, environment.domain),
            service,
            port,
            addresses,
            is_routed: host.backend().is_some() && environment.gateway.is_some(),
        }
    }
}

fn quota(app: &App) -> BTreeMap<&'static str, String> {
    let Some(quota) = &app.quota else {
        return BTreeMap::new();
    };
    let parts = [
        ("cpu", &quota.cpu),
        ("memory", &quota.memory),
        ("storage", &quota.storage),
    ];
    let set = |(key, value): (&'static str, &Option<String>)| Some((key, value.clone()?));
    parts.into_iter().filter_map(set).collect()
}

impl SourceOutline {
    fn of(source: &Source) -> Self {
        Self {
            manifests: source.manifests.as_ref().map(ToString::to_string),
            upstream: source.upstream.as_ref().map(upstream),
        }
    }
}

fn upstream(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Helm(helm) => match &helm.chart {
            Chart::Repository { url, name, version } => format!("chart {name} {version} from {url}"),
            Chart::Folder(path) => format!("chart {path}"),
        },
        Upstream::Git(git) => {
            let reference = match &git.reference {
                GitReference::Tag(tag) => tag,
                GitReference::Commit(commit) => commit,
            };
            format!("{} of {} at {reference}", git.path, git.url)
        }
        Upstream::Oci(oci) => {
            let reference = match &oci.reference {
                OciReference::Tag(tag) => tag,
                OciReference::Digest(digest) => digest,
            };
            format!("{} of {} at {reference}", oci.path, oci.url)
        }
    }
}

impl GrantOutline {
    fn of(grant: &Grant, declarations: &Declarations) -> Self {
        let (subject, people) = match &grant.subject {
            Subject::Team(name) => {
                let team = declarations.people.team(name);
                let people = team.map(crate::config::Team::everybody).unwrap_or_default();
                (format!("team {name}"), people.into_iter().collect())
            }
            Subject::Person(login) => (format!("person {login}"), vec![login.folded()]),
        };
        Self {
            subject,
            role: grant.role.clone(),
            people,
            until: grant.until,
            reason: grant.reason.clone(),
        }
    }
}

impl ClientOutline {
    fn of(client: &LoginClient) -> Self {
        let holders = |holders: &RoleHolders| match holders {
            RoleHolders::EveryTeam => vec!["*".to_owned()],
            RoleHolders::Teams(teams) => teams.iter().map(ToString::to_string).collect(),
        };
        let roles = client.roles.iter();
        Self {
            client: client.client.clone(),
            secret: client.secret.clone(),
            redirect_uris: client.redirect_uris.clone(),
            roles: roles
                .map(|(role, teams)| (role.clone(), holders(teams)))
                .collect(),
        }
    }
}

/// `internet (443, 587)`
fn rule(rule: &NetworkRule) -> String {
    let peer = match &rule.peer {
        NetworkPeer::App(app) => app.to_string(),
        NetworkPeer::Cidr(range) => range.to_string(),
        word => NetworkPeer::WORDS
            .into_iter()
            .find(|(_, peer)| peer == word)
            .map_or_else(String::new, |(word, _)| word.to_owned()),
    };
    if rule.ports.is_empty() {
        return peer;
    }
    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    format!("{peer} ({})", ports.join(", "))
}
