//! People and teams of one environment: `environments/<name>/people.yaml`.

use std::collections::BTreeSet;

use crate::age::Recipient;
use crate::names::{Login, TeamName};

/// Everybody who can have access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Persons, in the order of the file.
    pub members: Vec<Person>,
    /// Teams, in the order of the file.
    pub teams: Vec<Team>,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// First and last name.
    pub name: String,
    /// Login at the forge.
    pub login: Login,
    /// Numeric id at the forge: the login can change hands, the id can't.
    ///
    /// `None` until somebody has looked it up: no account is prepared for the person before.
    pub id: Option<u64>,
    /// Whom files are encrypted to that the person can open.
    pub age: Option<Recipient>,
}

/// One team: a team of the organisation at the forge, a group of the realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Slug at the forge.
    pub name: TeamName,
    /// One sentence.
    pub description: String,
    /// Members who may change the team.
    pub maintainers: Vec<Login>,
    /// The others.
    pub members: Vec<Login>,
}

impl Team {
    /// Everybody in it, in lower case.
    #[must_use]
    pub fn everybody(&self) -> BTreeSet<String> {
        self.maintainers
            .iter()
            .chain(&self.members)
            .map(Login::folded)
            .collect()
    }
}

impl People {
    /// The team of that name.
    #[must_use]
    pub fn team(&self, name: &TeamName) -> Option<&Team> {
        self.teams.iter().find(|team| team.name == *name)
    }

    /// Teams that `login` belongs to, sorted by name.
    #[must_use]
    pub fn teams_of(&self, login: &Login) -> Vec<&Team> {
        let mut teams: Vec<&Team> = self
            .teams
            .iter()
            .filter(|team| team.everybody().contains(&login.folded()))
            .collect();
        teams.sort_by(|one, other| one.name.cmp(&other.name));
        teams
    }
}
