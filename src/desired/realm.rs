//! The realm that logs people in.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::KUBECTL_CLIENT;
use super::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use crate::config::{App, Declarations, Environment, LoginClient, People, Person, RoleHolders, Subject};
use crate::names::{Login, TeamName};

/// Where kubelogin listens for the end of a login.
const KUBELOGIN_ADDRESSES: [&str; 2] = ["http://localhost:18000", "http://localhost:8000"];

/// Name of a team's group: `<organisation>:<team>`, as Dex names GitHub teams.
fn group_name(organisation: &Login, team: &TeamName) -> String {
    format!("{organisation}:{team}")
}

/// Name of the group by which a subject of a grant has its rights: a person has one of their own,
/// `<organisation>:person:<login>`. Whoever takes the name of somebody is not in it (docs/decisions/0021).
#[must_use]
pub fn group_of(organisation: &Login, subject: &Subject) -> String {
    match subject {
        Subject::Team(team) => group_name(organisation, team),
        Subject::Person(login) => format!("{organisation}:person:{}", login.folded()),
    }
}

/// The realm of the environment.
pub(super) fn realm<Key>(
    declarations: &Declarations,
    environment: &Environment<String, Key>,
    today: Date,
) -> Realm {
    let github = &environment.identity.github;
    let people = &declarations.people;
    let holders = holders(&declarations.apps, today);
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
        .filter_map(|person| member(person, (people, &holders), &github.organisation))
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
        groups: groups((people, &holders), &github.organisation),
        members,
        clients,
    }
}

/// Everybody who holds a grant of their own on that day.
fn holders(apps: &[App], today: Date) -> BTreeSet<&Subject> {
    let grants = apps.iter().flat_map(|app| &app.access);
    grants
        .filter(|grant| grant.holds_on(today))
        .map(|grant| &grant.subject)
        .filter(|subject| matches!(subject, Subject::Person(_)))
        .collect()
}

fn groups((people, holders): (&People, &BTreeSet<&Subject>), organisation: &Login) -> Vec<Group> {
    let mut groups: Vec<Group> = people
        .teams
        .iter()
        .map(|team| Group {
            name: group_name(organisation, &team.name),
            description: team.description.clone(),
        })
        .collect();
    groups.extend(holders.iter().map(|subject| Group {
        name: group_of(organisation, subject),
        description: "What one person has by grants of their own".to_owned(),
    }));
    groups.sort();
    groups.dedup_by(|one, other| one.name == other.name);
    groups
}

/// Nothing for a person whose id is not known: by the login alone an account could be somebody else's.
fn member(
    person: &Person,
    (people, holders): (&People, &BTreeSet<&Subject>),
    organisation: &Login,
) -> Option<Member> {
    let id = person.id?;
    let teams = people.teams_of(&person.login);
    let own = holders.iter().filter(|subject| match subject {
        Subject::Person(login) => login.folded() == person.login.folded(),
        Subject::Team(_) => false,
    });
    let teams = teams.iter().map(|team| group_name(organisation, &team.name));
    let mut groups: Vec<String> = teams
        .chain(own.map(|subject| group_of(organisation, subject)))
        .collect();
    groups.dedup();
    Some(Member {
        login: person.login.to_string(),
        id,
        name: person.name.clone(),
        groups,
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
