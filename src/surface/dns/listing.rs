//! What a zone holds besides what is asked for: names that a wildcard does not cover, and record sets of ours. Pure.

use super::mark::{is_mark, marked_key, owner_of};
use super::record::RecordKey;
use crate::desired::dns::RecordType;
use crate::names::EnvironmentName;

/// One record set of a zone, of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Owner name, fully qualified with trailing dot, lower case.
    pub(super) name: String,
    /// Its type, as zone files have it.
    pub(super) kind: String,
    /// Values in presentation form, as far as they are of a type that lotse writes.
    pub(super) values: Vec<String>,
    /// The environment of lotse whose mark it carries.
    pub(super) owner: Option<String>,
}

/// A name under a wildcard that does not lead where the wildcard does: a wildcard gives nothing for a name that exists,
/// and a name exists when there is one below it (RFC 4592, section 2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The name.
    pub name: String,
    /// Types and values that are there; nothing where only names below it are.
    pub holds: Vec<String>,
}

/// What is in a zone without being asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beneath {
    /// Names under the wildcard that it does not cover.
    pub uncovered: Vec<Uncovered>,
    /// Record sets that carry our mark.
    pub ours: Vec<RecordKey>,
    /// Whether the whole zone was seen. If not, only the hosts of applications were looked for, and no marks.
    pub is_whole: bool,
}

/// Gives every record set the owner that its mark names, and takes the marks out.
pub(super) fn with_owners(held: Vec<Held>) -> Vec<Held> {
    let (marks, mut others): (Vec<Held>, Vec<Held>) =
        held.into_iter().partition(|held| marked_by(held).is_some());
    for (key, owner) in marks.iter().filter_map(marked_by) {
        let kind = key.record_type.to_string();
        match others
            .iter_mut()
            .find(|held| held.name == key.name && held.kind == kind)
        {
            Some(held) => held.owner = Some(owner),
            // The record is gone, and its mark is still there.
            None => others.push(Held {
                name: key.name,
                kind,
                values: Vec::new(),
                owner: Some(owner),
            }),
        }
    }
    others
}

/// What a record set is the mark of, and whose.
fn marked_by(held: &Held) -> Option<(RecordKey, String)> {
    if held.kind != RecordType::Txt.to_string() {
        return None;
    }
    let text = held.values.iter().find(|text| is_mark(text))?;
    Some((marked_key(&held.name)?, owner_of(text)?.to_owned()))
}

/// The names directly under `wildcard` (`*.prod.lab.test.`) that exist and are not among `declared`. Names that begin with an
/// underscore are not those of hosts (RFC 8552).
pub(super) fn uncovered(wildcard: &str, held: &[Held], declared: &[&str]) -> Vec<Uncovered> {
    let Some(domain) = wildcard.strip_prefix("*") else {
        return Vec::new();
    };
    let mut found: Vec<Uncovered> = Vec::new();
    for held in held {
        let Some(below) = held.name.strip_suffix(domain) else {
            continue;
        };
        let label = below.rsplit('.').next().unwrap_or(below);
        let name = format!("{label}{domain}");
        if label.is_empty() || label.starts_with(['*', '_']) || declared.contains(&name.as_str()) {
            continue;
        }
        let holds = (held.name == name && !held.values.is_empty())
            .then(|| format!("{} {}", held.kind, held.values.join(", ")))
            .or_else(|| (held.name == name).then(|| held.kind.clone()));
        match found.iter_mut().find(|found| found.name == name) {
            Some(found) => found.holds.extend(holds),
            None => found.push(Uncovered {
                name,
                holds: holds.into_iter().collect(),
            }),
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The record sets that carry the mark of `owner`.
pub(super) fn ours(held: &[Held], owner: &EnvironmentName) -> Vec<RecordKey> {
    let mine = held
        .iter()
        .filter(|held| held.owner.as_deref() == Some(owner.as_str()));
    let keys = mine.filter_map(|held| {
        let record_type = RecordType::ALL
            .into_iter()
            .find(|kind| kind.to_string() == held.kind)?;
        Some(RecordKey::new(held.name.clone(), record_type))
    });
    let mut keys: Vec<RecordKey> = keys.collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, kind: &str, values: &[&str]) -> Held {
        Held {
            name: format!("{name}lab.test."),
            kind: kind.to_owned(),
            values: values.iter().map(ToString::to_string).collect(),
            owner: None,
        }
    }

    #[test]
    fn test_names_that_exist_are_not_covered() {
        let zone = [
            held("", "SOA", &[]),
            held("prod.", "CAA", &["0 issue \"lab.test\""]),
            held("*.prod.", "A", &["127.0.0.1"]),
            held("old.prod.", "A", &["192.0.2.1"]),
            held("old.prod.", "MX", &[]),
            held("deep.www.prod.", "TXT", &["x"]),
            held("_acme-challenge.prod.", "TXT", &["x"]),
            held("_lotse-a._wildcard.prod.", "TXT", &["x"]),
            held("api.prod.", "A", &["192.0.2.2"]),
            held("other.", "A", &["192.0.2.3"]),
        ];
        let found = uncovered("*.prod.lab.test.", &zone, &["api.prod.lab.test."]);
        let wanted = |name: &str, holds: &[&str]| Uncovered {
            name: name.to_owned(),
            holds: holds.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            found,
            [
                wanted("old.prod.lab.test.", &["A 192.0.2.1", "MX"]),
                wanted("www.prod.lab.test.", &[]),
            ]
        );
    }

    #[test]
    fn test_marks_give_owners_and_are_no_records() {
        let mark = "heritage=lotse,lotse/owner=lab";
        let zone = with_owners(vec![
            held("*.prod.", "A", &["127.0.0.1"]),
            held("_lotse-a._wildcard.prod.", "TXT", &[mark]),
            held("_lotse-aaaa.gone.prod.", "TXT", &[mark]),
            held(
                "_lotse-a.theirs.prod.",
                "TXT",
                &["heritage=lotse,lotse/owner=other"],
            ),
            held("theirs.prod.", "A", &["127.0.0.2"]),
            held("note.prod.", "TXT", &["x"]),
        ]);
        assert_eq!(
            ours(&zone, &EnvironmentName::new("lab").unwrap()),
            [
                RecordKey::new("*.prod.lab.test.", RecordType::A),
                RecordKey::new("gone.prod.lab.test.", RecordType::Aaaa),
            ]
        );
        assert!(zone.iter().all(|held| !held.name.starts_with('_')));
    }
}
