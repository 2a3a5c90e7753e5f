//! Ids of people: what the forge knows of their accounts, and what that makes of `people.yaml`. Pure.
//!
//! A login can change hands, an id can't. So an id that is known is never changed, and a login only follows its id.

use std::collections::BTreeSet;
use std::fmt;

use super::people::{People, Person};
use super::tree::{self, Node, Value};
use crate::diag::Span;

/// An account at the forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number, for good.
    pub id: u64,
    /// How it is called now.
    pub login: String,
    /// The name that the person shows, where there is one.
    pub name: Option<String>,
}

/// The accounts that could be one person's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Whoever has the login now.
    pub by_login: Option<Account>,
    /// Whoever has the id; `None` also where that was not asked.
    pub by_id: Option<Account>,
}

/// What there is to say of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Login and id belong together.
    Same,
    /// The id was unknown.
    Found {
        /// Who.
        login: String,
        /// As in `people.yaml`.
        name: String,
        /// What the account says.
        account: Account,
    },
    /// The account is called differently now.
    Renamed {
        /// As in `people.yaml`.
        from: String,
        /// Now.
        account: Account,
        /// Whether somebody else has the login by now.
        is_reused: bool,
    },
    /// Somebody else has the login, and the account with the id can't be found.
    Reused {
        /// Who.
        login: String,
        /// As in `people.yaml`.
        id: u64,
        /// Who has the login.
        holder: Account,
    },
    /// The account belongs to another member already.
    Taken {
        /// Who.
        login: String,
        /// Whose account was found.
        account: Account,
    },
    /// There is no account of that login.
    Missing {
        /// Who.
        login: String,
    },
}

impl Resolution {
    /// Of one of `people`, by what was seen of them.
    #[must_use]
    pub fn of(person: &Person, seen: &Sighting, people: &People) -> Self {
        let login = person.login.to_string();
        let others = || people.members.iter().filter(|other| other.login != person.login);
        let has_id = |id: u64| others().any(|other| other.id == Some(id));
        let has_login = |login: &str| others().any(|other| other.login.folded() == login.to_lowercase());
        let holder = seen.by_login.clone();
        match (person.id, holder) {
            (None, None) => Self::Missing { login },
            (None, Some(account)) if has_id(account.id) => Self::Taken { login, account },
            (None, Some(account)) => Self::Found {
                login,
                name: person.name.clone(),
                account,
            },
            (Some(id), Some(account)) if account.id == id => Self::Same,
            (Some(id), holder) => match (&seen.by_id, holder) {
                (Some(account), _) if has_login(&account.login) => Self::Taken {
                    login,
                    account: account.clone(),
                },
                (Some(account), holder) => Self::Renamed {
                    from: login,
                    account: account.clone(),
                    is_reused: holder.is_some(),
                },
                (None, Some(holder)) => Self::Reused { login, id, holder },
                (None, None) => Self::Missing { login },
            },
        }
    }

    /// Whether somebody has to look at it before people can be relied on.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Same | Self::Found { .. } => false,
            Self::Renamed { .. } | Self::Reused { .. } | Self::Taken { .. } | Self::Missing { .. } => true,
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => formatter.write_str("as at the forge"),
            Self::Found { login, name, account } => {
                let called = match &account.name {
                    Some(called) if called == name => format!("`{called}` there, too"),
                    Some(called) => format!("`{called}` there and `{name}` here: is that the same person?"),
                    None => format!("without a name there, `{name}` here: is that the same person?"),
                };
                write!(formatter, "{login} has the id {}, {called}", account.id)
            }
            Self::Renamed {
                from,
                account,
                is_reused,
            } => {
                let reused = if *is_reused {
                    "; somebody else has the old login by now"
                } else {
                    ""
                };
                write!(formatter, "{from} is called {} now{reused}", account.login)
            }
            Self::Reused { login, id, holder } => write!(
                formatter,
                "{login} was the account {id} and is the account {} now: somebody else's, or made anew",
                holder.id
            ),
            Self::Taken { login, account } => write!(
                formatter,
                "{login} is the account {} ({}), which another member has already",
                account.id, account.login
            ),
            Self::Missing { login } => write!(formatter, "there is no account {login}"),
        }
    }
}

/// `text`, a `people.yaml`, with ids that were found, and with new logins where those are wanted; all else as it was.
/// `None` where it can't be read.
#[must_use]
pub fn written(text: &str, resolutions: &[Resolution], renames: bool) -> Option<String> {
    let root = tree::parse(text).ok()?;
    let mut edits: BTreeSet<(Span, String)> = BTreeSet::new();
    for resolution in resolutions {
        match resolution {
            Resolution::Found { login, account, .. } => {
                let member = member(&root, login)?;
                edits.insert((get(member, "id")?.span, account.id.to_string()));
            }
            Resolution::Renamed { from, account, .. } if renames => {
                let login = scalar(&account.login);
                edits.extend(mentions(&root, from).map(|span| (span, login.clone())));
            }
            _ => {}
        }
    }
    let mut after = text.to_owned();
    for (span, replacement) in edits.into_iter().rev() {
        after.replace_range(span.start..span.end, &replacement);
    }
    Some(after)
}

fn member<'tree>(root: &'tree Node, login: &str) -> Option<&'tree Node> {
    let mut members = items(root, "members");
    members.find(|member| get(member, "login").is_some_and(|node| is_login(node, login)))
}

/// Wherever a login stands: at its member, and in teams.
fn mentions<'tree>(root: &'tree Node, login: &'tree str) -> impl Iterator<Item = Span> + 'tree {
    let members = items(root, "members").filter_map(|member| get(member, "login"));
    let in_teams = items(root, "teams").flat_map(|team| {
        let lists = ["maintainers", "members"].into_iter();
        lists.flat_map(move |key| items(team, key))
    });
    let all = members.chain(in_teams);
    all.filter(move |node| is_login(node, login))
        .map(|node| node.span)
}

fn is_login(node: &Node, login: &str) -> bool {
    matches!(&node.value, Value::Text(text) if text.eq_ignore_ascii_case(login))
}

fn get<'tree>(node: &'tree Node, key: &str) -> Option<&'tree Node> {
    match &node.value {
        Value::Map(fields) => fields
            .iter()
            .find_map(|(name, value)| (name.name == key).then_some(value)),
        _ => None,
    }
}

fn items<'tree>(node: &'tree Node, key: &str) -> impl Iterator<Item = &'tree Node> + use<'tree> {
    let list = match get(node, key).map(|list| &list.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    list.iter()
}

/// A login as YAML: `123` and `null` are logins, too.
fn scalar(login: &str) -> String {
    match tree::parse(login).map(|node| node.value) {
        Ok(Value::Text(text)) if text == login => text,
        _ => format!("\"{login}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Login;

    const TEXT: &str = "# People.\nmembers:\n  - {name: Ada Berg, login: ada, id: unknown} # new\n  - name: Mira\n    login: \
                        Mira\n    id: 4\nteams:\n  - name: a\n    maintainers: [mira]\n    members:\n      - ada\n";

    fn person(login: &str, id: Option<u64>) -> Person {
        Person {
            name: "Ada Berg".into(),
            login: Login::new(login).unwrap(),
            id,
            age: None,
        }
    }

    fn account(id: u64, login: &str) -> Account {
        Account {
            id,
            login: login.into(),
            name: Some("Ada Berg".into()),
        }
    }

    fn resolved(person: &Person, by_login: Option<Account>, by_id: Option<Account>) -> Resolution {
        let people = People {
            members: vec![person.clone(), self::person("grace", Some(3))],
            teams: Vec::new(),
        };
        Resolution::of(person, &Sighting { by_login, by_id }, &people)
    }

    #[test]
    fn test_a_person_is_known_by_the_id() {
        let known = person("ada", Some(2));
        let unknown = person("ada", None);
        let says = |person: &Person, by_login, by_id| resolved(person, by_login, by_id).to_string();
        assert_eq!(resolved(&known, Some(account(2, "ada")), None), Resolution::Same);
        assert_eq!(
            says(&unknown, Some(account(2, "ada")), None),
            "ada has the id 2, `Ada Berg` there, too"
        );
        assert_eq!(
            says(&known, None, Some(account(2, "countess"))),
            "ada is called countess now"
        );
        assert_eq!(
            says(&known, Some(account(9, "ada")), Some(account(2, "countess"))),
            "ada is called countess now; somebody else has the old login by now"
        );
        assert_eq!(
            says(&known, Some(account(9, "ada")), None),
            "ada was the account 2 and is the account 9 now: somebody else's, or made anew"
        );
        assert_eq!(says(&known, None, None), "there is no account ada");
        for taken in [
            resolved(&unknown, Some(account(3, "ada")), None),
            resolved(&known, None, Some(account(2, "Grace"))),
        ] {
            assert!(matches!(taken, Resolution::Taken { .. }), "{taken}");
            assert!(taken.is_trouble());
        }
    }

    #[test]
    fn test_nothing_but_ids_and_logins_is_written() {
        let found = resolved(&person("ada", None), Some(account(2, "ada")), None);
        let renamed = resolved(&person("mira", Some(4)), None, Some(account(4, "123")));
        let filled = TEXT.replace("id: unknown", "id: 2");
        let both = [found, renamed];
        assert_eq!(written(TEXT, &both, false).unwrap(), filled);
        let renamed = filled
            .replace("login: Mira", "login: \"123\"")
            .replace("[mira]", "[\"123\"]");
        assert_eq!(written(TEXT, &both, true).unwrap(), renamed);
        assert_eq!(written(TEXT, &[], true).unwrap(), TEXT);
    }
}
