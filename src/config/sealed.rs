//! Files that sops encrypted, and who can open them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::environment::{Encryption, Environment};
use super::people::{People, Person, Team};
use super::yaml;
use crate::age::{Recipient, recipients_in};
use crate::names::Login;

/// What sops leaves in a file that it encrypted, in each of its formats.
const MARKS: [&str; 4] = ["\"mac\": \"ENC[", "mac: ENC[", "sops_mac=ENC[", "[sops]"];

/// Whether sops encrypted the file of this text.
#[must_use]
pub(super) fn is_sealed(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}

/// What sops has written into a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Whom the file is encrypted to, as it stands there: recipients of age, and keys of other kinds (`pgp 1F2E...`).
    pub recipients: Vec<String>,
    /// Places of a Secret that stand in plain text, `stringData.password`.
    pub open: Vec<String>,
    /// The kind of the object, where the file is one object.
    pub kind: Option<String>,
}

/// What sops has written into the file of this text; `None` where it has not encrypted it.
#[must_use]
pub fn sealed(text: &str) -> Option<Sealed> {
    if !is_sealed(text) {
        return None;
    }
    let Ok(documents) = yaml::documents(text) else {
        // Of other formats, recipients are what matters.
        return Some(Sealed {
            recipients: recipients_in(text).iter().map(ToString::to_string).collect(),
            ..Sealed::default()
        });
    };
    let mut sealed = Sealed::default();
    for document in &documents {
        keys_of(&document["sops"], &mut sealed.recipients);
        for group in document["sops"]["key_groups"].as_array().into_iter().flatten() {
            keys_of(group, &mut sealed.recipients);
        }
        if document["kind"] == "Secret" {
            open_places(document, &mut sealed.open);
        }
    }
    sealed.recipients.sort();
    sealed.recipients.dedup();
    if let [document] = documents.as_slice() {
        sealed.kind = document["kind"].as_str().map(str::to_owned);
    }
    Some(sealed)
}

/// The keys of a group of sops (github.com/getsops/sops, `stores.Metadata`).
fn keys_of(group: &Value, keys: &mut Vec<String>) {
    const OTHERS: [(&str, &str); 5] = [
        ("pgp", "fp"),
        ("kms", "arn"),
        ("gcp_kms", "resource_id"),
        ("azure_kv", "vault_url"),
        ("hc_vault", "vault_address"),
    ];
    let list = |name: &str| group[name].as_array().into_iter().flatten();
    keys.extend(list("age").filter_map(|key| Some(key["recipient"].as_str()?.to_owned())));
    for (name, field) in OTHERS {
        keys.extend(list(name).map(|key| format!("{name} {}", key[field].as_str().unwrap_or_default())));
    }
}

/// Keys of a Secret that are not encrypted, and keys that no Secret has.
fn open_places(secret: &Value, open: &mut Vec<String>) {
    const PLAIN: [&str; 6] = ["apiVersion", "kind", "metadata", "type", "immutable", "sops"];
    for (key, value) in secret.as_object().into_iter().flatten() {
        let is_data = matches!(key.as_str(), "data" | "stringData");
        if PLAIN.contains(&key.as_str()) || is_data && value.is_null() {
            continue;
        }
        let Some(fields) = value.as_object().filter(|_| is_data) else {
            open.push(key.clone());
            continue;
        };
        let is_open = |value: &Value| {
            value
                .as_str()
                .is_none_or(|text| !text.is_empty() && !text.starts_with("ENC["))
        };
        let found = fields.iter().filter(|(_, value)| is_open(value));
        open.extend(found.map(|(name, _)| format!("{key}.{name}")));
    }
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
        let sops = format!(
            "sops:\n  age:\n    - recipient: {recipient}\n    - recipient: ssh-ed25519 AAAA\n  pgp: [{{fp: 1F}}]\n  mac: ENC[x]\n"
        );
        let found = sealed(&format!(
            "kind: Secret\nstringData: {{a: 'ENC[x]', b: ''}}\n{sops}"
        ))
        .unwrap();
        assert_eq!(
            found.recipients,
            [recipient.as_str(), "pgp 1F", "ssh-ed25519 AAAA"]
        );
        assert!(found.open.is_empty());
        assert_eq!(found.kind.as_deref(), Some("Secret"));
        let found = sealed(&format!(
            "kind: Secret\ndata: {{a: 'ENC[x]', b: c}}\nstringdata: {{a: b}}\n{sops}"
        ))
        .unwrap();
        assert_eq!(found.open, ["data.b", "stringdata"]);
        assert_eq!(sealed(&format!("recipient: {recipient}\n")), None);
    }
}
