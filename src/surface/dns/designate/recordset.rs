//! Record sets in Designate's words. Pure.

use serde_json::{Value, json};

use crate::desired::dns::{RecordSet, RecordType};

use super::super::listing::Held;
use super::super::mark::{is_mark, mark_key, owner_of};
use super::super::record::RecordKey;

/// A record set as Designate has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    /// Type, also one that lotse does not write.
    pub(super) kind: String,
    /// How often it was written.
    pub(super) version: u64,
    records: Vec<String>,
    ttl: Option<u32>,
    description: Option<String>,
}

/// What record sets without a lifetime of their own have: that of their zone, which is not read.
const ZONE_TTL: u32 = 0;

impl Found {
    pub(super) fn read(row: &Value) -> Option<Self> {
        let records = row["records"].as_array()?;
        let records = records.iter().filter_map(Value::as_str);
        Some(Self {
            id: row["id"].as_str()?.to_owned(),
            kind: row["type"].as_str()?.to_owned(),
            version: row["version"].as_u64().unwrap_or_default(),
            records: records.map(str::to_owned).collect(),
            ttl: row["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()),
            description: row["description"].as_str().map(str::to_owned),
        })
    }

    /// Where it is, below its zone.
    pub(super) fn path(&self) -> String {
        format!("/recordsets/{}", self.id)
    }

    pub(super) fn set(&self, key: &RecordKey) -> RecordSet {
        let records = self.records.iter();
        let mut records: Vec<String> = match key.record_type {
            RecordType::Txt => records.map(|text| unquoted(text)).collect(),
            RecordType::Caa => records.map(|value| with_quotes(value)).collect(),
            RecordType::A | RecordType::Aaaa => records.cloned().collect(),
        };
        records.sort_unstable();
        RecordSet {
            name: key.name.clone(),
            record_type: key.record_type,
            ttl: self.ttl.unwrap_or(ZONE_TTL),
            records,
        }
    }

    /// Its mark, in the form that other providers keep beside a record set.
    pub(super) fn mark(&self, key: &RecordKey) -> Option<RecordSet> {
        let text = self.description.as_ref().filter(|text| is_mark(text))?;
        let mark = mark_key(key);
        Some(RecordSet {
            name: mark.name,
            record_type: mark.record_type,
            ttl: self.ttl.unwrap_or(ZONE_TTL),
            records: vec![text.clone()],
        })
    }

    /// Where it points, where it is an alias.
    pub(super) fn alias(&self) -> Option<String> {
        (self.kind == "CNAME").then(|| self.records.first().cloned())?
    }
}

/// A record set of any type, as the zone has it.
pub(super) fn held(row: &Value) -> Option<Held> {
    let found = Found::read(row)?;
    let owner = found.description.as_deref().and_then(owner_of);
    let values = found.records.iter().map(|value| match found.kind.as_str() {
        "TXT" => unquoted(value),
        _ => value.clone(),
    });
    Some(Held {
        name: row["name"].as_str()?.to_lowercase(),
        kind: found.kind.clone(),
        owner: owner.map(str::to_owned),
        values: values.collect(),
    })
}

/// What is sent of a record set with that mark.
pub(super) fn body(set: &RecordSet, mark: Option<&RecordSet>) -> Value {
    let records = set.records.iter();
    let records: Vec<String> = match set.record_type {
        RecordType::Txt => records.map(|text| quoted(text)).collect(),
        // Its schema of CAA takes no quotes (designate/objects/rrdata_caa.py).
        RecordType::Caa => records.map(|value| value.replace('"', "")).collect(),
        RecordType::A | RecordType::Aaaa => records.cloned().collect(),
    };
    json!({
        "records": records,
        "ttl": set.ttl,
        "description": mark.and_then(|mark| mark.records.first()),
    })
}

/// The value of a CAA record with the quotes of zone files.
fn with_quotes(value: &str) -> String {
    match value.splitn(3, ' ').collect::<Vec<_>>()[..] {
        [flags, tag, name] => format!("{flags} {tag} \"{}\"", name.trim_matches('"')),
        _ => value.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text of the form of zone files: one quoted string, or some one after the other.
fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut is_inside = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => is_inside = !is_inside,
            '\\' => plain.extend(characters.next()),
            ' ' if !is_inside => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_texts_return_as_they_went() {
        for text in [
            "",
            "one; \"two\"",
            r"a\b",
            "heritage=external-dns,external-dns/owner=prod",
        ] {
            assert_eq!(unquoted(&quoted(text)), text);
        }
        assert_eq!(unquoted("\"a b\" \"c\""), "a bc");
    }

    #[test]
    fn test_a_description_is_a_mark_only_where_lotse_wrote_it() {
        let key = RecordKey::new("*.lab.test.", RecordType::A);
        let row = |description: &str| {
            let row = json!({
                "id": "1", "type": "A", "version": 3, "records": ["127.0.0.1"], "ttl": 300, "description": description,
            });
            Found::read(&row).unwrap()
        };
        let found = row("heritage=lotse,lotse/owner=lab");
        assert_eq!(found.mark(&key).unwrap().name, "_lotse-a._wildcard.lab.test.");
        assert_eq!(found.set(&key).records, ["127.0.0.1"]);
        assert_eq!(row("the old gateway").mark(&key), None);
    }
}
