//! Desired record sets.

use std::net::IpAddr;

use serde::Serialize;

/// Type of a record set. Only what lotse declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Who may issue certificates (RFC 8659), as `0 issue "letsencrypt.org"`.
    #[serde(rename = "CAA")]
    Caa,
    /// Text; also the ownership marks.
    #[serde(rename = "TXT")]
    Txt,
}

impl RecordType {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::A, Self::Aaaa, Self::Caa, Self::Txt];
}

/// One record set (RRset): all records of one name and type (RFC 2181, section 5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RecordSet {
    /// Owner name, fully qualified with trailing dot, lower case (`*.prod.lab.test.`).
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Values in presentation form without quotes, sorted.
    pub records: Vec<String>,
}

impl RecordSet {
    /// The record sets by which `name` leads to `addresses`: one of each kind of address.
    #[must_use]
    pub fn leading(name: &str, addresses: &[IpAddr], ttl: u32) -> Vec<Self> {
        let of_kind = |record_type, is_of: fn(&IpAddr) -> bool| {
            let mut addresses: Vec<&IpAddr> = addresses.iter().filter(|address| is_of(address)).collect();
            addresses.sort_unstable();
            addresses.dedup();
            (!addresses.is_empty()).then(|| Self {
                name: name.to_owned(),
                record_type,
                ttl,
                records: addresses.iter().map(ToString::to_string).collect(),
            })
        };
        let sets = [
            of_kind(RecordType::A, IpAddr::is_ipv4),
            of_kind(RecordType::Aaaa, IpAddr::is_ipv6),
        ];
        sets.into_iter().flatten().collect()
    }
}
