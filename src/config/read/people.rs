//! `people.yaml`.

use std::collections::BTreeMap;

use super::check_kind;
use super::fields::{Fields, Findings, list, mapping, unique};
use super::scalar::{age_recipient, malformed, name, number, sentence};
use crate::config::mend::suggest;
use crate::config::people::{People, Person, Team};
use crate::config::tree::{Node, Value};
use crate::diag::{Certainty, Code, Span};
use crate::names::{Login, TeamName};

/// Reads the file.
pub(in crate::config) fn people(node: &Node, findings: &mut Findings<'_>) -> Option<People> {
    mapping(node, findings, |fields| {
        check_kind(fields, "People");
        let members = fields.required("members", members);
        let logins: Vec<String> = members
            .iter()
            .flatten()
            .map(|person: &Person| person.login.folded())
            .collect();
        let teams = fields.required("teams", |node, findings| teams(node, findings, &logins));
        Some(People {
            members: members?,
            teams: teams?,
        })
    })
}

fn members(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<Person>> {
    let found = list(node, findings, |item, findings| {
        Some((item.span, person(item, findings)?))
    })?;
    let mut seen = BTreeMap::new();
    for (span, person) in &found {
        let login = format!("login `{}`", person.login.folded());
        for claim in std::iter::once(login).chain(person.id.map(|id| format!("id {id}"))) {
            if seen.insert(claim.clone(), span).is_some() {
                findings.report(
                    Code::Repeated,
                    *span,
                    format!("{claim} belongs to another member already"),
                );
            }
        }
    }
    report_unknown_ids(&found, findings);
    Some(found.into_iter().map(|(_, person)| person).collect())
}

/// One warning for all, at the first: a file that was imported may have dozens.
fn report_unknown_ids(members: &[(Span, Person)], findings: &mut Findings<'_>) {
    let unknown: Vec<_> = members.iter().filter(|(_, person)| person.id.is_none()).collect();
    let Some((first, _)) = unknown.first() else { return };
    let logins: Vec<&str> = unknown.iter().map(|(_, person)| person.login.as_str()).collect();
    let message = format!("no id is known of {}", logins.join(", "));
    findings.report(Code::UnknownId, *first, message).help = Some(
        "`lotse people resolve -e ENVIRONMENT` fills ids in; until one stands here the person can't log in"
            .into(),
    );
}

/// A number; nothing for the word `unknown`, and for what is neither, which is reported.
fn id(node: &Node, findings: &mut Findings<'_>) -> Option<u64> {
    if node.value == Value::Text("unknown".into()) {
        return None;
    }
    match number(node, findings)? {
        0 => malformed(node, findings, "ids at a forge begin with 1"),
        id => Some(id),
    }
}

fn person(node: &Node, findings: &mut Findings<'_>) -> Option<Person> {
    mapping(node, findings, |fields| {
        let full_name = fields.required("name", sentence);
        let login = fields.required("login", name::<Login>);
        let id = fields.required("id", id);
        let age = fields.optional("age", age_recipient);
        Some(Person {
            name: full_name?,
            login: login?,
            id,
            age,
        })
    })
}

fn teams(node: &Node, findings: &mut Findings<'_>, logins: &[String]) -> Option<Vec<Team>> {
    let found = list(node, findings, |item, findings| {
        Some((item.span, team(item, findings, logins)?))
    })?;
    let mut teams: Vec<Team> = Vec::new();
    for (span, team) in found {
        if teams.iter().any(|earlier| earlier.name == team.name) {
            findings.report(
                Code::Repeated,
                span,
                format!("team `{}` is there already", team.name),
            );
        }
        teams.push(team);
    }
    Some(teams)
}

fn team(node: &Node, findings: &mut Findings<'_>, logins: &[String]) -> Option<Team> {
    mapping(node, findings, |fields| {
        let team_name = fields.required("name", name::<TeamName>);
        let description = fields.required("description", sentence);
        let maintainers = persons(fields, "maintainers", logins);
        let members = persons(fields, "members", logins);
        Some(Team {
            name: team_name?,
            description: description?,
            maintainers: maintainers.unwrap_or_default(),
            members: members.unwrap_or_default(),
        })
    })
}

fn persons(fields: &mut Fields<'_, '_, '_>, key: &'static str, logins: &[String]) -> Option<Vec<Login>> {
    fields.optional(key, |node, findings| {
        unique(node, findings, |item, findings| {
            let login = name::<Login>(item, findings)?;
            known_person(&login, item, findings, logins.iter().map(String::as_str)).then_some(login)
        })
    })
}

/// Says when `login` is none of `logins` (in lower case).
pub(super) fn known_person<'login>(
    login: &Login,
    node: &Node,
    findings: &mut Findings<'_>,
    logins: impl Iterator<Item = &'login str> + Clone,
) -> bool {
    let folded = login.folded();
    if logins.clone().any(|known| known == folded) {
        return true;
    }
    let message = format!("`{login}` is not a member in people.yaml");
    let diagnostic = findings.report(Code::UnknownPerson, node.span, message);
    suggest(diagnostic, &folded, logins, Certainty::Guess);
    false
}
