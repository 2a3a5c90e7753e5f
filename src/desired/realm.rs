//! The realm that logs people in.

use super::KUBECTL_CLIENT;
use super::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use crate::config::{App, Declarations, Environment, LoginClient, People, Person, RoleHolders};
use crate::names::{Login, TeamName};

/// Where kubelogin listens for the end of a login.
const KUBELOGIN_ADDRESSES: [&str; 2] = ["http://localhost:18000", "http://localhost:8000"];

/// Name of a team's group: `<organisation>:<team>`, as Dex names GitHub teams.
#[must_use]
pub fn group_name(organisation: &Login, team: &TeamName) -> String {
    format!("{organisation}:{team}")
}

/// The realm of the environment.
pub(super) fn realm<Key>(declarations: &Declarations, environment: &Environment<String, Key>) -> Realm {
    let github = &environment.identity.github;
    let people = &declarations.people;
    let mut clients = vec![kubectl()];
    for app in &declarations.apps {
        clients.extend(
            app.login
                .iter()
                .map(|login| client(app, login, people, &github.organisation)),
        );
    }
    clients.sort();
    let mut members: Vec<Member> = people
        .members
        .iter()
        .filter_map(|person| member(person, people, &github.organisation))
        .collect();
    members.sort();
    Realm {
        name: environment.identity.realm.clone(),
        github: IdentityProvider {
            alias: "github".into(),
            client_id: github.client_id.clone(),
            base_url: github.url.clone(),
            api_url: github.api_url.clone(),
        },
        sessions: environment.identity.sessions,
        client_secret_grace: environment.identity.client_secret_grace,
        required_actions: environment.identity.required_actions.clone().map(|mut actions| {
            actions.sort();
            actions.dedup();
            actions
        }),
        groups: groups(people, &github.organisation),
        members,
        clients,
    }
}

fn groups(people: &People, organisation: &Login) -> Vec<Group> {
    let mut groups: Vec<Group> = people
        .teams
        .iter()
        .map(|team| Group {
            name: group_name(organisation, &team.name),
            description: team.description.clone(),
        })
        .collect();
    groups.sort();
    groups
}

/// Nothing for a person whose id is not known: by the login alone an account could be somebody else's.
fn member(person: &Person, people: &People, organisation: &Login) -> Option<Member> {
    let id = person.id?;
    let teams = people.teams_of(&person.login);
    Some(Member {
        login: person.login.to_string(),
        id,
        name: person.name.clone(),
        groups: teams
            .iter()
            .map(|team| group_name(organisation, &team.name))
            .collect(),
    })
}

fn kubectl() -> Client {
    Client {
        client_id: KUBECTL_CLIENT.into(),
        description: "kubectl and other programs on people's machines".into(),
        kind: ClientKind::Public,
        redirect_uris: KUBELOGIN_ADDRESSES.map(str::to_owned).into(),
        roles: std::collections::BTreeMap::new(),
    }
}

fn client(app: &App, login: &LoginClient, people: &People, organisation: &Login) -> Client {
    let mut redirect_uris = login.redirect_uris.clone();
    redirect_uris.sort();
    let roles = login.roles.iter();
    Client {
        client_id: login.client.clone(),
        description: app.description.clone(),
        kind: ClientKind::Confidential {
            namespace: app.name.to_string(),
            secret: login.secret.clone(),
            delivery: login.delivery,
        },
        redirect_uris,
        roles: roles
            .map(|(role, holders)| (role.clone(), holding(holders, people, organisation)))
            .collect(),
    }
}

/// Groups that have a client role, sorted.
fn holding(holders: &RoleHolders, people: &People, organisation: &Login) -> Vec<String> {
    let teams: Vec<&TeamName> = match holders {
        RoleHolders::EveryTeam => people.teams.iter().map(|team| &team.name).collect(),
        RoleHolders::Teams(teams) => teams.iter().collect(),
    };
    let mut groups: Vec<String> = teams
        .into_iter()
        .map(|team| group_name(organisation, team))
        .collect();
    groups.sort();
    groups
}
