//! Files that sops encrypted, and who can open them.

use std::collections::BTreeSet;

use super::environment::{Encryption, Environment};
use super::people::{People, Person, Team};
use crate::age::{Recipient, recipients_in};
use crate::names::Login;

/// What sops leaves in a file that it encrypted, in each of its formats.
const MARKS: [&str; 4] = ["\"mac\": \"ENC[", "mac: ENC[", "sops_mac=ENC[", "[sops]"];

/// Whether sops encrypted the file of this text.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}

/// Whom the file of this text is encrypted to, sorted; `None` where it is not encrypted.
#[must_use]
pub fn sealed_to(text: &str) -> Option<Vec<Recipient>> {
    is_sealed(text).then(|| recipients_in(text))
}

/// Somebody who can open what is encrypted for an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Whom files are encrypted to.
    pub recipient: Recipient,
    /// Whose it is; the cluster's own where it is nobody's.
    pub person: Option<Login>,
}

/// Who should be able to open what is encrypted: the cluster first, then people by login. Nobody where the environment
/// has no `secrets`.
#[must_use]
pub fn readers<Text, Key>(environment: &Environment<Text, Key>, people: &People) -> Vec<Reader> {
    let Some(encryption) = &environment.encryption else {
        return Vec::new();
    };
    let cluster = Reader {
        recipient: encryption.recipient.clone(),
        person: None,
    };
    let with_key = allowed(encryption, people).filter_map(|person| {
        Some(Reader {
            recipient: person.age.clone()?,
            person: Some(person.login.clone()),
        })
    });
    let mut with_key: Vec<Reader> = with_key.collect();
    with_key.sort_by_key(|reader| reader.person.as_ref().map(Login::folded));
    std::iter::once(cluster).chain(with_key).collect()
}

/// People who should be able to open it and have no recipient in people.yaml, sorted.
#[must_use]
pub fn without_key<Text, Key>(environment: &Environment<Text, Key>, people: &People) -> Vec<Login> {
    let Some(encryption) = &environment.encryption else {
        return Vec::new();
    };
    let without = allowed(encryption, people).filter(|person| person.age.is_none());
    let mut logins: Vec<Login> = without.map(|person| person.login.clone()).collect();
    logins.sort();
    logins
}

/// Members of the teams that may decrypt.
fn allowed<'people, Key>(
    encryption: &Encryption<Key>,
    people: &'people People,
) -> impl Iterator<Item = &'people Person> {
    let teams = encryption.teams.iter().filter_map(|team| people.team(team));
    let logins: BTreeSet<String> = teams.flat_map(Team::everybody).collect();
    let members = people.members.iter();
    members.filter(move |person| logins.contains(&person.login.folded()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::Identity;

    #[test]
    fn test_files_of_sops_are_known_by_their_mark() {
        let recipient = Identity::generate().recipient();
        let text = format!(
            "a: ENC[x]\nsops:\n  age:\n    - recipient: {recipient}\n  mac: ENC[AES256_GCM,data:x]\n"
        );
        assert_eq!(sealed_to(&text), Some(vec![recipient.clone()]));
        assert_eq!(sealed_to(&format!("recipient: {recipient}\n")), None);
    }
}
