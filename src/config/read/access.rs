//! Who answers for an application, and who may do what in its namespace.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;

use super::app::Context;
use super::fields::{Findings, list, mapping, not_empty, unique};
use super::people::known_person;
use super::scalar::{date, name, text};
use crate::config::app::{Grant, Subject};
use crate::config::mend::suggest;
use crate::config::people::Team;
use crate::config::tree::Node;
use crate::diag::{Certainty, Code};
use crate::names::{Login, TeamName};

/// How long before its end a grant is told of.
const ENDS_SOON_DAYS: i64 = 30;

/// Kubernetes' roles for people.
const ROLES: [&str; 3] = ["view", "edit", "admin"];

pub(super) fn owners(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
) -> Option<Vec<TeamName>> {
    let owners = unique(node, findings, |item, findings| team(item, findings, context))?;
    not_empty(node, findings, &owners);
    if let Some(platform) = context.platform.filter(|_| !owners.is_empty()) {
        let people: BTreeSet<String> = owners
            .iter()
            .filter_map(|owner| platform.people.team(owner))
            .flat_map(Team::everybody)
            .collect();
        if people.len() < 2 {
            let message = format!(
                "at least two people must answer for it, the owners have {}",
                people.len()
            );
            findings.report(Code::TooFewOwners, node.span, message).help =
                Some("name one more team, or add a member to a team in people.yaml".into());
        }
    }
    Some(owners)
}

pub(super) fn team(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<TeamName> {
    let teams = context.platform.map(|platform| platform.people.teams.as_slice());
    known_team(node, findings, teams)
}

/// A team among `teams`; any where these can't be read.
pub(super) fn known_team(
    node: &Node,
    findings: &mut Findings<'_>,
    teams: Option<&[Team]>,
) -> Option<TeamName> {
    let team = name::<TeamName>(node, findings)?;
    let Some(teams) = teams else {
        return Some(team);
    };
    if teams.iter().any(|known| known.name == team) {
        return Some(team);
    }
    let message = format!("team `{team}` is not in people.yaml");
    let diagnostic = findings.report(Code::UnknownTeam, node.span, message);
    let known = teams.iter().map(|team| team.name.as_str());
    suggest(diagnostic, team.as_str(), known, Certainty::Guess);
    None
}

fn person(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Login> {
    let login = name::<Login>(node, findings)?;
    let Some(platform) = context.platform else {
        return Some(login);
    };
    let members = &platform.people.members;
    if let Some(person) = members.iter().find(|person| person.login.is_same(&login)) {
        if person.id.is_none() {
            let message =
                format!("the id of `{login}` is unknown, so this may become somebody else's access");
            findings.report(Code::UnknownPerson, node.span, message).help =
                Some("write the id in people.yaml, or grant the access to a team".into());
        }
        return Some(login);
    }
    let logins: Vec<String> = members.iter().map(|person| person.login.folded()).collect();
    known_person(&login, node, findings, logins.iter().map(String::as_str)).then_some(login)
}

pub(super) fn access(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Vec<Grant>> {
    let grants = list(node, findings, |item, findings| {
        let grant = grant(item, findings, context)?;
        report_end(node, item, findings, &grant, context.today);
        Some((item.span, grant))
    })?;
    let mut seen = BTreeSet::new();
    for (span, grant) in &grants {
        let subject = match &grant.subject {
            Subject::Team(team) => format!("team {team}"),
            Subject::Person(login) => login.folded(),
        };
        if !seen.insert((subject, &grant.role)) {
            // A grant of the same role until another day is not the same: somebody has to choose.
            let is_equal = grants.iter().filter(|(_, other)| other == grant).count() > 1;
            let fix = findings.removal(node, *span).filter(|_| is_equal);
            findings
                .report(Code::Repeated, *span, "this role is granted already")
                .fix = fix;
        }
    }
    Some(grants.into_iter().map(|(_, grant)| grant).collect())
}

fn grant(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Grant> {
    mapping(node, findings, |fields| {
        fields.either("team", "person");
        let subject = if fields.has("person") {
            fields
                .required("person", |node, findings| person(node, findings, context))
                .map(Subject::Person)
        } else {
            fields
                .required("team", |node, findings| team(node, findings, context))
                .map(Subject::Team)
        };
        let role = fields.required("role", |node, findings| role(node, findings, context));
        let until = fields.optional("until", date);
        let reason = fields.optional("reason", text);
        Some(Grant {
            subject: subject?,
            role: role?,
            until,
            reason,
        })
    })
}

/// Says when a grant among the `grants` has ended, or will soon.
fn report_end(grants: &Node, node: &Node, findings: &mut Findings<'_>, grant: &Grant, today: Date) {
    let Some(until) = grant.until else { return };
    let who = match &grant.subject {
        Subject::Team(team) => team.as_str(),
        Subject::Person(login) => login.as_str(),
    };
    if !grant.holds_on(today) {
        let fix = findings.removal(grants, node.span);
        let message = format!("the grant of `{who}` ended on {until}");
        let diagnostic = findings.report(Code::GrantEnded, node.span, message);
        diagnostic.help = Some("remove the line, or set a new day and say why in `reason`".into());
        diagnostic.fix = fix;
    } else if today.saturating_add(ENDS_SOON_DAYS.days()) >= until {
        let message = format!("the grant of `{who}` ends on {until}");
        findings.report(Code::GrantEndsSoon, node.span, message).help =
            Some("set a new day and say why in `reason`, or let it end".into());
    }
}

fn role(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<String> {
    let role = text(node, findings)?;
    let declared = context
        .platform
        .map(|platform| platform.environment.roles.as_slice())
        .unwrap_or_default();
    let known = ROLES.into_iter().chain(declared.iter().map(String::as_str));
    if context.platform.is_none() || known.clone().any(|name| name == role) {
        return Some(role);
    }
    let message = format!("role `{role}` is not known");
    let diagnostic = findings.report(Code::UnknownRole, node.span, message);
    suggest(diagnostic, &role, known.collect::<Vec<_>>(), Certainty::Guess);
    None
}
