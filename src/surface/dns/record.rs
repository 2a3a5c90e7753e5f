//! Record sets in lotse's words and on the wire. Pure.

use std::fmt;

use hickory_proto::rr::rdata::{CAA, TXT};
use hickory_proto::rr::{self, Name, RData, Record};

use crate::desired::dns::{RecordSet, RecordType};

/// Longest character-string of a TXT record, octets (RFC 1035, section 3.3); longer texts are split.
const STRING_LIMIT: usize = 255;
/// The flag of CAA records that are not to be passed over (RFC 8659, section 4.1).
const CRITICAL: u8 = 128;

/// Name and type of a record set: what identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// Owner name, fully qualified with trailing dot, lower case.
    pub name: String,
    /// Its type.
    pub record_type: RecordType,
}

impl RecordKey {
    /// The key of this name and type.
    #[must_use]
    pub fn new(name: impl Into<String>, record_type: RecordType) -> Self {
        Self {
            name: name.into(),
            record_type,
        }
    }

    /// The key of a record set.
    #[must_use]
    pub fn of(set: &RecordSet) -> Self {
        Self::new(set.name.clone(), set.record_type)
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.record_type)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Txt => "TXT",
        })
    }
}

/// Why a record set has no wire format.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The name is no domain name.
    #[error("`{name}` is no domain name")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: hickory_proto::ProtoError,
    },
    /// The value is none of its type.
    #[error("`{value}` is no value of an {record_type} record")]
    Value {
        /// The value.
        value: String,
        /// The type.
        record_type: RecordType,
    },
}

/// A domain name on the wire. Label by label, since hickory's parser refuses labels such as the `a-*` that external-dns
/// writes, and takes escapes, which no name of ours has.
pub(super) fn wire_name(name: &str) -> Result<Name, RecordError> {
    let failed = |source| RecordError::Name {
        name: name.to_owned(),
        source,
    };
    if !name
        .bytes()
        .all(|octet| octet.is_ascii_graphic() && octet != b'\\')
    {
        return Err(failed(hickory_proto::ProtoError::from(
            "only visible ASCII characters are allowed, and no escapes",
        )));
    }
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    Name::from_labels(labels.map(str::as_bytes)).map_err(failed)
}

pub(super) const fn wire_type(record_type: RecordType) -> rr::RecordType {
    match record_type {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Caa => rr::RecordType::CAA,
        RecordType::Txt => rr::RecordType::TXT,
    }
}

/// The values of a record set on the wire.
pub(super) fn wire_values(set: &RecordSet) -> Result<Vec<RData>, RecordError> {
    set.records
        .iter()
        .map(|value| wire_value(set.record_type, value))
        .collect()
}

fn wire_value(record_type: RecordType, value: &str) -> Result<RData, RecordError> {
    let data = match record_type {
        RecordType::Txt => Some(RData::TXT(wire_text(value))),
        RecordType::A => value.parse().map(std::net::IpAddr::V4).ok().map(RData::from),
        RecordType::Aaaa => value.parse().map(std::net::IpAddr::V6).ok().map(RData::from),
        RecordType::Caa => wire_authority(value).map(RData::CAA),
    };
    data.ok_or_else(|| RecordError::Value {
        value: value.to_owned(),
        record_type,
    })
}

/// `0 issue "letsencrypt.org"`, also what others have written.
fn wire_authority(value: &str) -> Option<CAA> {
    let (flags, rest) = value.split_once(' ')?;
    let (tag, quoted) = rest.split_once(' ')?;
    let flags: u8 = flags.parse().ok()?;
    let mut data = CAA::new_issue(flags & CRITICAL != 0, None, Vec::new());
    data.reserved_flags = flags & !CRITICAL;
    tag.clone_into(&mut data.tag);
    data.value = quoted.strip_prefix('"')?.strip_suffix('"')?.as_bytes().to_vec();
    Some(data)
}

fn wire_text(value: &str) -> TXT {
    let mut strings: Vec<&[u8]> = value.as_bytes().chunks(STRING_LIMIT).collect();
    if strings.is_empty() {
        strings.push(b"");
    }
    TXT::from_bytes(strings)
}

/// Gathers of `answers` those of `key`: `None` when there is none. A name is compared without regard to case.
pub(super) fn set_from(key: &RecordKey, name: &Name, answers: &[Record]) -> Option<RecordSet> {
    let mine: Vec<&Record> = answers
        .iter()
        .filter(|record| record.name == *name && record.record_type() == wire_type(key.record_type))
        .collect();
    let ttl = mine.first()?.ttl;
    let mut records: Vec<String> = mine.iter().filter_map(|record| text_of(&record.data)).collect();
    records.sort_unstable();
    Some(RecordSet {
        name: key.name.clone(),
        record_type: key.record_type,
        ttl,
        records,
    })
}

/// A value in presentation form; `None` for a type that lotse does not write.
pub(super) fn text_of(data: &RData) -> Option<String> {
    match data {
        RData::A(address) => Some(address.to_string()),
        RData::AAAA(address) => Some(address.to_string()),
        RData::CAA(authority) => Some(authority_text(authority)),
        RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
        _ => None,
    }
}

/// A record set as lines of a zone file (RFC 1035, section 5).
pub fn zone_lines(set: &RecordSet) -> impl Iterator<Item = String> {
    set.records.iter().map(|value| {
        let value = match set.record_type {
            RecordType::Txt => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
            RecordType::A | RecordType::Aaaa | RecordType::Caa => value.clone(),
        };
        format!("{} {} IN {} {value}", set.name, set.ttl, set.record_type)
    })
}

fn authority_text(authority: &CAA) -> String {
    let value = String::from_utf8_lossy(&authority.value);
    format!("{} {} \"{value}\"", authority.flags(), authority.tag)
}

/// A record set with its values in one order and one spelling, so that equal sets compare equal.
pub(super) fn canonical(set: &RecordSet) -> RecordSet {
    let mut set = set.clone();
    set.name.make_ascii_lowercase();
    if matches!(set.record_type, RecordType::A | RecordType::Aaaa) {
        set.records
            .iter_mut()
            .for_each(|value| *value = canonical_address(value));
    }
    set.records.sort_unstable();
    set.records.dedup();
    set
}

fn canonical_address(value: &str) -> String {
    let address: Result<std::net::IpAddr, _> = value.parse();
    address.map_or_else(|_| value.to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(record_type: RecordType, records: &[&str]) -> RecordSet {
        RecordSet {
            name: "web.lab.test.".to_owned(),
            record_type,
            ttl: 300,
            records: records.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn test_values_return_as_they_went() {
        let long = "x".repeat(600);
        for set in [
            set(RecordType::A, &["127.0.0.1", "127.0.0.2"]),
            set(RecordType::Aaaa, &["::1"]),
            set(
                RecordType::Caa,
                &[
                    "0 issue \"lab.test\"",
                    "0 issue \"letsencrypt.org; account=7\"",
                    "128 iodef \"mailto:ops@lab.test\"",
                ],
            ),
            set(RecordType::Txt, &["", "semi;colon \"quoted\"", &long]),
        ] {
            let name = wire_name(&set.name).unwrap();
            let records: Vec<Record> = wire_values(&set)
                .unwrap()
                .into_iter()
                .map(|value| Record::from_rdata(name.clone(), set.ttl, value))
                .collect();
            assert_eq!(set_from(&RecordKey::of(&set), &name, &records), Some(set));
        }
    }

    #[test]
    fn test_names_are_taken_label_by_label() {
        let name = |text| wire_name(text).map(|name| name.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
        assert_eq!(name("a-*.Lab.test.").unwrap(), [&b"a-*"[..], b"Lab", b"test"]);
        assert_eq!(name("lab.test").unwrap(), [&b"lab"[..], b"test"]);
        let long = "x".repeat(64);
        for wrong in ["", "..", "a..b.", "a b.", "a\\.b.", "\u{fc}.test.", &long] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn test_values_of_another_type_are_refused() {
        assert!(wire_values(&set(RecordType::A, &["::1"])).is_err());
        assert!(wire_values(&set(RecordType::Aaaa, &["127.0.0.1"])).is_err());
    }

    #[test]
    fn test_canonical_spells_addresses_one_way() {
        let written = set(RecordType::Aaaa, &["0:0::1", "::1"]);
        assert_eq!(canonical(&written).records, ["::1"]);
        let text = set(RecordType::Txt, &["0:0::1"]);
        assert_eq!(canonical(&text), text);
    }
}
