//! The roster of an organisation: members and teams in the format of SCS's github-manager (`orgs/<org>/data.yaml` of
//! github.com/SovereignCloudStack/github-manager), and how it becomes `people.yaml`.
//!
//! A roster has no numeric ids. Those of people who are known already are kept, new people get `id: unknown`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::mend;
use super::people::{People, Person, Team};
use crate::names::{Login, NameError, TeamName};

/// Where the part of `people.yaml` begins that is written anew.
const MEMBERS: &str = "members:";

/// Members and teams of an organisation.
#[derive(Clone, Debug, Deserialize)]
pub struct Roster {
    /// Everybody in the organisation.
    pub members: Vec<RosterMember>,
    /// Its teams.
    pub teams: Vec<RosterTeam>,
}

/// A member of an organisation.
#[derive(Clone, Debug, Deserialize)]
pub struct RosterMember {
    /// First and last name.
    pub name: String,
    /// Login at GitHub.
    pub login: String,
}

/// A team of an organisation.
#[derive(Clone, Debug, Deserialize)]
pub struct RosterTeam {
    /// Its name in addresses.
    pub slug: String,
    /// One sentence.
    #[serde(default)]
    pub description: Option<String>,
    /// Logins of those who may change the team.
    #[serde(default, alias = "maintainers")]
    pub maintainer: Option<Vec<String>>,
    /// Logins of the others.
    #[serde(default, alias = "members")]
    pub member: Option<Vec<String>>,
}

/// Why a roster can't become people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// A name that GitHub would not give.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Somebody is in a team and not among the members.
    #[error("`{login}` is in the team {team} and not among the members")]
    NotAMember {
        /// Who.
        login: String,
        /// Where.
        team: TeamName,
    },
    /// A team of which nobody is told, which would empty it.
    #[error("the team {0} of the roster has neither `maintainer` nor `member`")]
    NobodyTold(TeamName),
    /// A team that was asked for is not there.
    #[error("there is no team `{0}` in the roster")]
    NoSuchTeam(TeamName),
}

/// What an import comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// People and teams afterwards: members sorted by name, teams in their order, new ones last.
    pub people: People,
    /// What is different, one sentence each.
    pub changes: Vec<String>,
    /// What is not as somebody may expect, one sentence each.
    pub notes: Vec<String>,
}

impl Roster {
    /// `people` as the roster has them: the teams that are there already, and those of `added`. A team that the roster
    /// does not know stays as it is.
    pub fn import(&self, people: &People, added: &[TeamName]) -> Result<Imported, RosterError> {
        let known = self.persons()?;
        let mut notes = Vec::new();
        let mut teams = Vec::new();
        for team in &people.teams {
            let found = self.team(&team.name, &known, Some(&team.description))?;
            if found.is_none() {
                notes.push(format!(
                    "team {} is not in the roster and stays as it is",
                    team.name
                ));
            }
            teams.push(found.unwrap_or_else(|| team.clone()));
        }
        for name in added.iter().filter(|name| people.team(name).is_none()) {
            let team = self.team(name, &known, None)?;
            teams.push(team.ok_or_else(|| RosterError::NoSuchTeam(name.clone()))?);
        }
        if teams.len() == notes.len() {
            let there: Vec<&str> = self.teams.iter().map(|team| team.slug.as_str()).collect();
            notes.push(format!(
                "no team is taken from the roster; `--team NAME` takes one in: {}",
                there.join(", ")
            ));
        }
        let imported = People {
            members: members(people, &teams, &known),
            teams,
        };
        notes.extend(left_behind(&imported, &known));
        let changes = changes(people, &imported);
        Ok(Imported {
            people: imported,
            changes,
            notes,
        })
    }

    /// Everybody, by login in lower case.
    fn persons(&self) -> Result<BTreeMap<String, Person>, RosterError> {
        let mut persons = BTreeMap::new();
        for member in &self.members {
            let login = Login::new(&member.login)?;
            let person = Person {
                name: member.name.trim().to_owned(),
                login: login.clone(),
                id: None,
                age: None,
            };
            persons.insert(login.folded(), person);
        }
        Ok(persons)
    }

    /// The team `name`; where the roster does not describe it, by its `earlier` description.
    fn team(
        &self,
        name: &TeamName,
        known: &BTreeMap<String, Person>,
        earlier: Option<&str>,
    ) -> Result<Option<Team>, RosterError> {
        let Some(team) = self.teams.iter().find(|team| team.slug == name.as_str()) else {
            return Ok(None);
        };
        if team.maintainer.is_none() && team.member.is_none() {
            return Err(RosterError::NobodyTold(name.clone()));
        }
        let logins = |logins: &Option<Vec<String>>| {
            let logins = logins.iter().flatten();
            logins
                .map(|login| known_login(login, name, known))
                .collect::<Result<Vec<_>, _>>()
        };
        let maintainers = logins(&team.maintainer)?;
        let mut members = logins(&team.member)?;
        members.retain(|login| !maintainers.iter().any(|one| one.is_same(login)));
        let description = team
            .description
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        Ok(Some(Team {
            name: name.clone(),
            description: description.or(earlier).unwrap_or(name.as_str()).to_owned(),
            maintainers,
            members,
        }))
    }
}

fn known_login(login: &str, team: &TeamName, known: &BTreeMap<String, Person>) -> Result<Login, RosterError> {
    let login = Login::new(login)?;
    let person = known.get(&login.folded());
    person
        .map(|person| person.login.clone())
        .ok_or_else(|| RosterError::NotAMember {
            login: login.to_string(),
            team: team.clone(),
        })
}

/// Everybody in one of `teams`, and those who were there before and are still in the organisation.
fn members(before: &People, teams: &[Team], known: &BTreeMap<String, Person>) -> Vec<Person> {
    let in_teams: BTreeSet<String> = teams.iter().flat_map(Team::everybody).collect();
    let earlier: BTreeMap<String, &Person> = before
        .members
        .iter()
        .map(|person| (person.login.folded(), person))
        .collect();
    let staying = earlier.keys().filter(|login| known.contains_key(*login)).cloned();
    let all: BTreeSet<String> = in_teams.into_iter().chain(staying).collect();
    let mut members: Vec<Person> = all
        .iter()
        .filter_map(|login| {
            let earlier = earlier.get(login).copied();
            let person = known.get(login).or(earlier)?;
            Some(Person {
                id: earlier.and_then(|earlier| earlier.id),
                age: earlier.and_then(|earlier| earlier.age.clone()),
                ..person.clone()
            })
        })
        .collect();
    members.sort_by(|one, other| one.name.cmp(&other.name));
    members
}

/// People that are in no roster any more and stay by a team that the roster does not know.
fn left_behind(people: &People, known: &BTreeMap<String, Person>) -> Vec<String> {
    let gone = people
        .members
        .iter()
        .filter(|person| !known.contains_key(&person.login.folded()));
    gone.map(|person| {
        let is_in = |team: &&Team| team.everybody().contains(&person.login.folded());
        let teams: Vec<&str> = people
            .teams
            .iter()
            .filter(is_in)
            .map(|team| team.name.as_str())
            .collect();
        format!(
            "{} is not in the organisation any more, and keeps the access of team {}: take them out there",
            person.login,
            teams.join(", ")
        )
    })
    .collect()
}

fn changes(before: &People, after: &People) -> Vec<String> {
    let logins = |people: &People| -> BTreeSet<String> {
        people
            .members
            .iter()
            .map(|person| person.login.folded())
            .collect()
    };
    let (old, new) = (logins(before), logins(after));
    let mut changes = Vec::new();
    changes.extend(
        new.difference(&old)
            .map(|login| format!("{login} is new, with an unknown id")),
    );
    changes.extend(
        old.difference(&new)
            .map(|login| format!("{login} is not in the organisation any more")),
    );
    changes.extend(after.members.iter().filter_map(|person| renamed(before, person)));
    for team in &after.teams {
        let Some(earlier) = before.team(&team.name) else {
            changes.push(format!("team {} is new", team.name));
            continue;
        };
        if earlier.description != team.description {
            changes.push(format!("team {} is described as in the roster", team.name));
        }
        let (old, new) = (earlier.everybody(), team.everybody());
        changes.extend(
            new.difference(&old)
                .map(|login| format!("{login} joins team {}", team.name)),
        );
        changes.extend(
            old.difference(&new)
                .map(|login| format!("{login} leaves team {}", team.name)),
        );
    }
    changes
}

/// What is different in how a person is written.
fn renamed(before: &People, person: &Person) -> Option<String> {
    let earlier = before
        .members
        .iter()
        .find(|each| each.login.is_same(&person.login))?;
    let is_same = earlier.name == person.name && earlier.login.as_str() == person.login.as_str();
    (!is_same).then(|| {
        format!(
            "{} ({}) was written {} ({})",
            person.name, person.login, earlier.name, earlier.login
        )
    })
}

/// The text of `people.yaml` with `people` in it; what stands in `before` above the members stays. `None` where `before`
/// has no line that begins with `members:`.
#[must_use]
pub fn written(before: &str, people: &People) -> Option<String> {
    let head = before
        .split_inclusive('\n')
        .take_while(|line| !line.starts_with(MEMBERS));
    let head: String = head.collect();
    if head.len() == before.len() {
        return None;
    }
    let list = |lines: String| {
        if lines.is_empty() {
            " []\n".to_owned()
        } else {
            format!("\n{lines}")
        }
    };
    let members = list(people.members.iter().map(member_line).collect());
    let teams = list(people.teams.iter().map(team_lines).collect());
    Some(format!("{head}{MEMBERS}{members}teams:{teams}"))
}

fn member_line(person: &Person) -> String {
    let id = person
        .id
        .map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let (name, login) = (prose(&person.name), mend::scalar(person.login.as_str()));
    let age = person.age.as_ref();
    let age = age.map(|age| format!(", age: {age}")).unwrap_or_default();
    format!("  - {{name: {name}, login: {login}, id: {id}{age}}}\n")
}

fn team_lines(team: &Team) -> String {
    let (name, description) = (mend::scalar(team.name.as_str()), prose(&team.description));
    let mut lines = format!("  - name: {name}\n    description: {description}\n");
    for (key, logins) in [("maintainers", &team.maintainers), ("members", &team.members)] {
        if !logins.is_empty() {
            let logins: Vec<String> = logins.iter().map(|login| mend::scalar(login.as_str())).collect();
            lines.extend(["    ", key, ": [", &logins.join(", "), "]\n"]);
        }
    }
    lines
}

/// Words as people write them: without quotes where they mean nothing else, within braces too.
fn prose(text: &str) -> String {
    let is_plain = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_alphabetic)
            && letters.all(|letter| letter.is_alphanumeric() || "-.&–'".contains(letter))
    };
    let is_several = text.contains(' ');
    if is_several && text.split(' ').all(is_plain) {
        text.to_owned()
    } else {
        mend::scalar(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::age::Identity;
    use crate::config::read::{self, Findings};
    use crate::config::{tree, yaml};

    fn roster(text: &str) -> Roster {
        yaml::parse(text).unwrap()
    }

    fn read(text: &str) -> People {
        let node = tree::parse(text).unwrap();
        let mut findings = Findings::new("people.yaml".into(), text);
        let people = read::people(&node, &mut findings);
        let errors = findings
            .diagnostics
            .iter()
            .filter(|one| one.code != crate::diag::Code::UnknownId);
        assert_eq!(errors.count(), 0, "{:?}\n{text}", findings.diagnostics);
        people.unwrap()
    }

    const BEFORE: &str = "# Ours.\napiVersion: lotse/v1\nkind: People\nmembers:\n  - {name: Ada Berg, login: ada, id: 2}\n  \
        - {name: Old Hand, login: old, id: 9}\nteams:\n  - {name: platform, description: Runs it, members: [ada, old]}\n  \
        - {name: ours, description: Not at GitHub, members: [ada]}\n";

    const ROSTER: &str = "members:\n  - {name: Ada Berg-Lind, login: Ada}\n  - {name: Grace Lindqvist, login: grace}\n  - {name: \
        Mira, login: mira}\nteams:\n  - {slug: platform, description: Runs the cluster, privacy: closed, maintainer: [grace], \
        member: [ADA, grace]}\n  - {slug: website, description: '', maintainer: [mira]}\nexclusive: true\n";

    #[test]
    fn test_ids_are_kept_and_changes_are_told() {
        let website = TeamName::new("website").unwrap();
        let imported = roster(ROSTER).import(&read(BEFORE), &[website]).unwrap();
        let text = written(BEFORE, &imported.people).unwrap();
        insta::assert_snapshot!(text, @r"
        # Ours.
        apiVersion: lotse/v1
        kind: People
        members:
          - {name: Ada Berg-Lind, login: Ada, id: 2}
          - {name: Grace Lindqvist, login: grace, id: unknown}
          - {name: Mira, login: mira, id: unknown}
        teams:
          - name: platform
            description: Runs the cluster
            maintainers: [grace]
            members: [Ada]
          - name: ours
            description: Not at GitHub
            members: [ada]
          - name: website
            description: website
            maintainers: [mira]
        ");
        assert_eq!(
            imported.changes,
            [
                "grace is new, with an unknown id",
                "mira is new, with an unknown id",
                "old is not in the organisation any more",
                "Ada Berg-Lind (Ada) was written Ada Berg (ada)",
                "team platform is described as in the roster",
                "grace joins team platform",
                "old leaves team platform",
                "team website is new",
            ]
        );
        assert_eq!(
            imported.notes,
            ["team ours is not in the roster and stays as it is"]
        );
        let again = roster(ROSTER).import(&read(&text), &[]).unwrap();
        assert_eq!(again.changes, Vec::<String>::new());
        assert_eq!(written(&text, &again.people).as_deref(), Some(text.as_str()));
    }

    #[test]
    fn test_what_a_roster_lacks_is_named() {
        let people = read(BEFORE);
        let missing = TeamName::new("ghosts").unwrap();
        let told = roster(ROSTER).import(&people, &[missing]).unwrap_err();
        assert_eq!(told.to_string(), "there is no team `ghosts` in the roster");
        let told = roster("{members: [], teams: [{slug: platform, member: [eve]}]}").import(&people, &[]);
        assert_eq!(
            told.unwrap_err().to_string(),
            "`eve` is in the team platform and not among the members"
        );
    }

    proptest! {
        #[test]
        fn test_what_is_written_is_read_as_it_was(name in "\\PC{1,20}", description in "\\PC{1,30}", id in 0..u64::MAX, with_key: bool) {
            prop_assume!(!name.trim().is_empty() && !description.trim().is_empty());
            let login = Login::new("ada").unwrap();
            let people = People {
                members: vec![Person { name, login: login.clone(), id: Some(id), age: with_key.then(|| Identity::generate().recipient()) }],
                teams: vec![Team {
                    name: TeamName::new("no").unwrap(),
                    description,
                    maintainers: vec![login],
                    members: Vec::new(),
                }],
            };
            prop_assert_eq!(read(&written(BEFORE, &people).unwrap()), people);
        }
    }
}
