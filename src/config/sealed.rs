//! Files that sops encrypted, and who can open them.

use std::collections::BTreeSet;

use camino::Utf8Path;
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

/// An annotation of the one object in a file that sops encrypted; annotations stand in plain text.
#[must_use]
pub fn sealed_annotation(text: &str, annotation: &str) -> Option<String> {
    if !is_sealed(text) {
        return None;
    }
    let documents = yaml::documents(text).ok()?;
    let [document] = documents.as_slice() else {
        return None;
    };
    let value = &document["metadata"]["annotations"][annotation];
    value.as_str().map(str::to_owned)
}

/// How sops writes a value, and how age begins a data key.
const ENCRYPTED: [&str; 2] = ["ENC[AES256_GCM", "-----BEGIN AGE ENCRYPTED FILE"];
/// What sops writes beside its keys, and can't do without (`stores.Metadata`).
const NEEDED: [&str; 3] = ["mac", "lastmodified", "version"];

/// Why nobody can open the file `path`, of which at least a part is encrypted, each reason in some words; nothing where the
/// file is whole, or has nothing to do with sops.
#[must_use]
pub fn damage(path: &Utf8Path, text: &str) -> Vec<String> {
    if !ENCRYPTED.iter().any(|sign| text.contains(sign)) {
        return Vec::new();
    }
    match path.extension() {
        Some("yaml" | "yml" | "json") => {}
        Some("env" | "ini") if !is_sealed(text) => {
            return vec!["what sops writes at its end is missing".into()];
        }
        // Who writes about sops does not encrypt with it.
        _ => return Vec::new(),
    }
    match yaml::documents(text) {
        Err(error) => {
            let line = error
                .position
                .map(|position| format!(" (line {})", position.line));
            vec![format!(
                "it can't be read: {}{}",
                error.message,
                line.unwrap_or_default()
            )]
        }
        Ok(documents) => {
            let mut found: Vec<String> = documents.iter().flat_map(damage_of).collect();
            found.dedup();
            found
        }
    }
}

fn damage_of(document: &Value) -> Vec<String> {
    let Some(sops) = document.get("sops") else {
        let is_encrypted = ENCRYPTED.iter().any(|sign| document.to_string().contains(sign));
        return is_encrypted
            .then(|| "`sops` is missing".to_owned())
            .into_iter()
            .collect();
    };
    if !sops.is_object() {
        return vec!["`sops` is no mapping".to_owned()];
    }
    let mut found = Vec::new();
    let mut keys = Vec::new();
    keys_of(sops, &mut keys);
    let groups = sops["key_groups"].as_array();
    groups
        .into_iter()
        .flatten()
        .for_each(|group| keys_of(group, &mut keys));
    if keys.is_empty() {
        found.push("`sops.age` is missing or names nobody".to_owned());
    }
    for (number, key) in sops["age"].as_array().into_iter().flatten().enumerate() {
        for field in ["recipient", "enc"] {
            if key[field].as_str().is_none_or(str::is_empty) {
                found.push(format!("`sops.age[{number}].{field}` is missing"));
            }
        }
    }
    for field in NEEDED {
        if sops[field].as_str().is_none_or(str::is_empty) {
            found.push(format!("`sops.{field}` is missing"));
        }
    }
    if sops["mac"]
        .as_str()
        .is_some_and(|mac| !mac.starts_with(ENCRYPTED[0]))
    {
        found.push("`sops.mac` is not what sops writes".to_owned());
    }
    found
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

    /// A file as sops 3.13 writes it.
    const WHOLE: &str = "kind: Secret
stringData:
    password: ENC[AES256_GCM,data:ng==,iv:QK4=,tag:gCtS==,type:str]
sops:
    age:
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdl
            -----END AGE ENCRYPTED FILE-----
          recipient: age1a
    encrypted_regex: ^(data|stringData)$
    lastmodified: \"2026-11-27T12:05:02Z\"
    mac: ENC[AES256_GCM,data:07bw,iv:OvTL,tag:RvTQ==,type:str]
    version: 3.13.3
";

    #[test]
    fn test_each_damage_to_what_sops_needs_is_named() {
        let damage = |path: &str, text: &str| damage(Utf8Path::new(path), text);
        assert_eq!(damage("a.yaml", WHOLE), [""; 0]);
        for (from, to, told) in [
            ("    mac: ENC", "    max: ENC", "`sops.mac` is missing"),
            (
                "mac: ENC[AES256_GCM",
                "mac: xNC[AES256_GCM",
                "`sops.mac` is not what sops writes",
            ),
            (
                "    age:\n",
                "    agé:\n",
                "`sops.age` is missing or names nobody",
            ),
            (
                "          recipient: age1a\n",
                "",
                "`sops.age[0].recipient` is missing",
            ),
            (
                "        - enc: |",
                "        - ecn: |",
                "`sops.age[0].enc` is missing",
            ),
            (
                "    lastmodified: \"2026-11-27T12:05:02Z\"\n",
                "",
                "`sops.lastmodified` is missing",
            ),
            ("sops:\n", "sobs:\n", "`sops` is missing"),
        ] {
            let text = WHOLE.replace(from, to);
            assert_ne!(text, WHOLE, "{from}");
            let found = damage("a.yaml", &text);
            assert!(found.contains(&told.to_owned()), "{from}: {found:?}");
        }
        let cut = &WHOLE[..WHOLE.find("sops:").unwrap()];
        assert_eq!(damage("a.yaml", cut), ["`sops` is missing"]);
        assert_eq!(
            damage("a.yaml", &format!("{cut}sops: x\n")),
            ["`sops` is no mapping"]
        );
        let broken = WHOLE.replace("    encrypted_regex", "  encrypted_regex");
        let found = damage("a.yaml", &broken);
        assert!(found[0].starts_with("it can't be read: "), "{found:?}");
        assert!(found[0].contains("(line "), "{found:?}");
        assert!(!found[0].contains("YWdl") && found.len() == 1, "{found:?}");
        assert_eq!(
            damage("a.env", "a=ENC[AES256_GCM,x]\n"),
            ["what sops writes at its end is missing"]
        );
        assert_eq!(damage("a.env", "a=ENC[AES256_GCM,x]\nsops_mac=ENC[y]\n"), [""; 0]);
        assert_eq!(damage("README.md", cut), [""; 0]);
        assert_eq!(damage("a.yaml", "a: {unclosed\n"), [""; 0]);
    }
}
