//! Desired record sets.

use serde::Serialize;

use crate::names::DomainName;

/// Type of a record set. Only what lotse declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Text; also the ownership marks.
    #[serde(rename = "TXT")]
    Txt,
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

/// Time to live of the records lotse writes, seconds: short enough to move a load balancer within minutes.
pub const TTL_SECONDS: u32 = 300;

impl RecordSet {
    /// The wildcard record of `domain` for one load-balancer address.
    #[must_use]
    pub fn wildcard(domain: &DomainName, address: std::net::IpAddr) -> Self {
        let record_type = if address.is_ipv4() {
            RecordType::A
        } else {
            RecordType::Aaaa
        };
        Self {
            name: format!("*.{domain}."),
            record_type,
            ttl: TTL_SECONDS,
            records: vec![address.to_string()],
        }
    }
}
