//! Ownership: a TXT record beside each record set says whose it is. Pure.
//!
//! The mark of `A *.prod.lab.test.` is the TXT record `_lotse-a._wildcard.prod.lab.test.`, written in the same update as
//! the record. Type and prefix share one label, since a label of its own (`_lotse.a.<name>`) would make the name
//! `a.<name>` exist and take it away from the wildcard. The value has external-dns' form, so that external-dns sees
//! another owner and leaves the record alone.

use crate::desired::dns::{RecordSet, RecordType};
use crate::names::EnvironmentName;

use super::record::RecordKey;

/// How every mark of lotse begins, up to the owner's name.
const PREFIX: &str = "heritage=lotse,lotse/owner=";
/// How the name of every mark begins.
const NAME_PREFIX: &str = "_lotse-";
/// Stands for `*` in names of marks, as octoDNS and external-dns do it: a `*` in the middle is no wildcard and confuses.
const WILDCARD: &str = "_wildcard";
/// How other programs begin theirs.
const HERITAGE: &str = "heritage=";

/// Whose a record set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It carries no mark.
    Nobody,
    /// It carries the mark of this environment of lotse.
    Lotse(String),
    /// It carries the mark of another program, in its words.
    Other(String),
}

/// The name and type of the record set that is the mark of `key`.
#[must_use]
pub fn mark_key(key: &RecordKey) -> RecordKey {
    let prefix = format!("{NAME_PREFIX}{}", key.record_type.to_string().to_lowercase());
    RecordKey::new(
        format!("{prefix}.{}", without_wildcard(&key.name)),
        RecordType::Txt,
    )
}

/// The mark that `owner` puts beside `set`.
#[must_use]
pub fn mark_of(set: &RecordSet, owner: &EnvironmentName) -> RecordSet {
    let key = mark_key(&RecordKey::of(set));
    RecordSet {
        name: key.name,
        record_type: key.record_type,
        ttl: set.ttl,
        records: vec![format!("{PREFIX}{owner}")],
    }
}

/// What the record set `name` is the mark of, if its name is that of one.
pub(super) fn marked_key(name: &str) -> Option<RecordKey> {
    let (kind, rest) = name.strip_prefix(NAME_PREFIX)?.split_once('.')?;
    let record_type = RecordType::ALL
        .into_iter()
        .find(|known| known.to_string().eq_ignore_ascii_case(kind))?;
    let name = match rest.strip_prefix(WILDCARD) {
        Some(domain) if domain.starts_with('.') => format!("*{domain}"),
        _ => rest.to_owned(),
    };
    Some(RecordKey::new(name, record_type))
}

/// The environment that a mark names.
pub(super) fn owner_of(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)
}

/// Whether a text is a mark of lotse.
pub(super) fn is_mark(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Where other programs keep their marks for `key`: external-dns beside the record (`a-<name>`) and, before its
/// version 0.12, at the name itself; octoDNS at `_owner.<type>.<name>`.
pub(super) fn foreign_mark_keys(key: &RecordKey) -> Vec<RecordKey> {
    let record_type = key.record_type.to_string().to_lowercase();
    let plain = without_wildcard(&key.name);
    let external_dns = format!("{record_type}-{}", key.name);
    let octodns = format!("_owner.{record_type}.{plain}");
    let mut names = vec![external_dns, octodns];
    if key.record_type != RecordType::Txt {
        names.push(key.name.clone());
    }
    names
        .into_iter()
        .map(|name| RecordKey::new(name, RecordType::Txt))
        .collect()
}

/// Reads whose a record set is from its mark and from what was found where others keep theirs.
pub(super) fn owner_from<'texts>(
    mark: Option<&RecordSet>,
    foreign: impl IntoIterator<Item = &'texts str>,
) -> Owner {
    let ours = mark
        .iter()
        .flat_map(|mark| &mark.records)
        .find_map(|text| owner_of(text));
    if let Some(environment) = ours {
        return Owner::Lotse(environment.to_owned());
    }
    foreign
        .into_iter()
        .find(|text| text.starts_with(HERITAGE) && !text.starts_with(PREFIX))
        .map_or(Owner::Nobody, |text| Owner::Other(text.to_owned()))
}

fn without_wildcard(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(rest) => format!("{WILDCARD}.{rest}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_mark_of_a_wildcard_is_beside_it() {
        let key = RecordKey::new("*.prod.lab.test.", RecordType::Aaaa);
        assert_eq!(
            mark_key(&key),
            RecordKey::new("_lotse-aaaa._wildcard.prod.lab.test.", RecordType::Txt)
        );
        for record_type in RecordType::ALL {
            for name in ["*.prod.lab.test.", "web.lab.test.", "lab.test."] {
                let key = RecordKey::new(name, record_type);
                assert_eq!(marked_key(&mark_key(&key).name), Some(key));
            }
        }
    }

    #[test]
    fn test_mark_names_its_owner() {
        let set = RecordSet {
            name: "web.lab.test.".to_owned(),
            record_type: RecordType::A,
            ttl: 300,
            records: vec!["127.0.0.1".to_owned()],
        };
        let mark = mark_of(&set, &EnvironmentName::new("lab").unwrap());
        assert_eq!(mark.records, ["heritage=lotse,lotse/owner=lab"]);
        assert_eq!(owner_from(Some(&mark), []), Owner::Lotse("lab".to_owned()));
    }

    #[test]
    fn test_foreign_marks_are_told_from_text() {
        let theirs = "heritage=external-dns,external-dns/owner=prod";
        assert_eq!(
            owner_from(None, ["v=spf1 -all", theirs]),
            Owner::Other(theirs.to_owned())
        );
        assert_eq!(owner_from(None, ["v=spf1 -all"]), Owner::Nobody);
    }
}
