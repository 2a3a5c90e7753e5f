//! The proof of access, hop by hop: from the account at the forge to what the API server allows and forbids.
//!
//! A chain is what one person holds by one grant. It breaks at one hop; what comes after that is not asked.

mod offline;
mod online;
mod strangers;

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::Date;
use serde::Serialize;

pub use online::prove_access;

use crate::config::{App, Declarations, Grant, Person, Subject};
use crate::desired::{KUBECTL_CLIENT, OIDC_PREFIX, group_of};
use crate::names::{AppName, Login, TeamName};

pub use offline::prove_offline;

/// One step on the way from a person to a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The grant holds, and the person is one of those it names.
    Grant,
    /// The account at the forge, by its numeric id, is linked to a user of the realm.
    Link,
    /// That user has the right name and may log in.
    User,
    /// The user is in the group of the team.
    Group,
    /// The group is in the tokens of kubectl.
    Claim,
    /// The API server puts its prefix before user name and groups.
    Prefix,
    /// A role binding gives the role in the application's namespace.
    Binding,
    /// The API server allows there what the role allows.
    Allowed,
    /// It forbids the same where nothing is granted.
    Forbidden,
}

impl Hop {
    /// All, in their order.
    pub const ALL: [Self; 9] = [
        Self::Grant,
        Self::Link,
        Self::User,
        Self::Group,
        Self::Claim,
        Self::Prefix,
        Self::Binding,
        Self::Allowed,
        Self::Forbidden,
    ];
}

impl fmt::Display for Hop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Grant => "grant",
            Self::Link => "link",
            Self::User => "user",
            Self::Group => "group",
            Self::Claim => "claim",
            Self::Prefix => "prefix",
            Self::Binding => "binding",
            Self::Allowed => "allowed",
            Self::Forbidden => "forbidden",
        })
    }
}

/// A hop that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which.
    pub hop: Hop,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// How a hop came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum StepOutcome {
    /// It holds.
    Holds {
        /// What was seen.
        seen: String,
    },
    /// It does not.
    Broken {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It was not looked at, since it can't be from here.
    NotAsked {
        /// Why.
        reason: String,
    },
}

/// What one person holds by one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Login at the forge.
    pub person: String,
    /// Application.
    pub app: String,
    /// Role in its namespace.
    pub role: String,
    /// Team by which it is held; none for a person's own grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Hops, in order, up to the one that is broken.
    pub steps: Vec<Step>,
}

impl Chain {
    /// The hop that is broken, with what is wrong and what to do about it.
    #[must_use]
    pub fn broken(&self) -> Option<(Hop, &str, &str)> {
        self.steps.iter().find_map(|step| match &step.outcome {
            StepOutcome::Broken { problem, remedy } => Some((step.hop, problem.as_str(), remedy.as_str())),
            _ => None,
        })
    }
}

/// Whose access is proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Only of these applications; of all where it is empty.
    pub apps: BTreeSet<AppName>,
    /// Of these people; of the first member of each team and of everybody with a grant of their own where it is empty.
    pub people: BTreeSet<Login>,
    /// Of every member of each team.
    pub everybody: bool,
}

impl Asked {
    fn has(&self, app: &AppName) -> bool {
        self.apps.is_empty() || self.apps.contains(app)
    }
}

/// One person and one grant.
#[derive(Clone, Copy, Debug)]
struct Claimant<'declared> {
    login: &'declared Login,
    /// What people.yaml says of them.
    person: Option<&'declared Person>,
    app: &'declared App,
    grant: &'declared Grant,
}

impl<'declared> Claimant<'declared> {
    fn team(&self) -> Option<&'declared TeamName> {
        match &self.grant.subject {
            Subject::Team(team) => Some(team),
            Subject::Person(_) => None,
        }
    }

    /// The group of the realm by which the grant is held.
    fn group(&self, organisation: &Login) -> String {
        group_of(organisation, &self.grant.subject)
    }

    /// The subject of a role binding for the grant: a group, as the API server knows it.
    fn subject(&self, organisation: &Login) -> String {
        format!("{OIDC_PREFIX}{}", self.group(organisation))
    }

    /// Whether people.yaml knows the account at the forge.
    fn known(&self) -> StepOutcome {
        match self.person.map(|person| person.id) {
            Some(Some(id)) => holds(format!("account {id}")),
            Some(None) => broken(
                format!("people.yaml does not know the id of {}", self.login),
                "look it up and write it there: a login alone could be somebody else's tomorrow",
            ),
            None => broken(
                format!("{} is not in people.yaml", self.login),
                "add them to `members` of people.yaml",
            ),
        }
    }

    fn chain(&self) -> Chain {
        Chain {
            person: self.login.to_string(),
            app: self.app.name.to_string(),
            role: self.grant.role.clone(),
            team: self.team().map(ToString::to_string),
            steps: Vec::new(),
        }
    }

    /// The hop that Git alone answers.
    fn granted(&self, today: Date) -> StepOutcome {
        if let Some(until) = self.grant.until.filter(|_| !self.grant.holds_on(today)) {
            return broken(
                format!("the grant ended on {until}"),
                format!("give it a later `until` in apps/{}/app.yaml", self.app.name),
            );
        }
        holds(match (self.team(), self.grant.until) {
            (Some(team), _) => format!("a member of {team}"),
            (None, Some(until)) => format!("their own, until {until}"),
            (None, None) => "their own".to_owned(),
        })
    }
}

/// Everybody whose access is asked about.
fn claimants<'declared>(declarations: &'declared Declarations, asked: &Asked) -> Vec<Claimant<'declared>> {
    let people = &declarations.people;
    let mut claimants = Vec::new();
    for app in declarations.apps.iter().filter(|app| asked.has(&app.name)) {
        for grant in &app.access {
            let everybody: Vec<&Login> = match &grant.subject {
                Subject::Person(login) => vec![login],
                Subject::Team(team) => {
                    let team = people.team(team);
                    team.map_or_else(Vec::new, |team| {
                        team.maintainers.iter().chain(&team.members).collect()
                    })
                }
            };
            let is_asked = |login: &&&Login| {
                asked.people.is_empty() || asked.people.iter().any(|asked| asked.folded() == login.folded())
            };
            let only_one = !asked.everybody && asked.people.is_empty();
            let many = if only_one { 1 } else { usize::MAX };
            for login in everybody.iter().filter(is_asked).take(many) {
                let person = people
                    .members
                    .iter()
                    .find(|each| each.login.folded() == login.folded());
                claimants.push(Claimant {
                    login,
                    person,
                    app,
                    grant,
                });
            }
        }
    }
    claimants
}

/// What was seen of a hop that holds.
fn holds(seen: impl Into<String>) -> StepOutcome {
    StepOutcome::Holds { seen: seen.into() }
}

fn broken(problem: impl Into<String>, remedy: impl Into<String>) -> StepOutcome {
    StepOutcome::Broken {
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

fn not_asked(reason: impl Into<String>) -> StepOutcome {
    StepOutcome::NotAsked {
        reason: reason.into(),
    }
}

/// Whether a role binding gives `role` to the group.
fn binds(binding: &serde_json::Value, role: &str, group: &str) -> bool {
    let subjects = binding["subjects"].as_array();
    binding["roleRef"]["kind"] == "ClusterRole"
        && binding["roleRef"]["name"] == role
        && subjects
            .into_iter()
            .flatten()
            .any(|subject| subject["kind"] == "Group" && subject["name"] == group)
}

/// Whose tokens are looked at.
const CLIENT: &str = KUBECTL_CLIENT;
