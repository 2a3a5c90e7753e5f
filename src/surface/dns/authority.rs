//! The authoritative servers of a zone, asked as anybody may ask them: what each of them says, and so what the world sees.

use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{self, Name, RData, Record};

use super::Seen;
use super::error::DnsError;
use super::exchange::{Server, Transport};
use super::record::{RecordError, RecordKey, canonical, set_from, wire_name, wire_type};
use crate::desired::dns::RecordSet;
use crate::names::DomainName;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Offered size of UDP answers, octets: no fragments on any common network (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// The servers that must have the records.
pub(super) enum Servers {
    /// Those that are declared, `host:port` or `host`.
    Declared(Vec<String>),
    /// Those that the zone itself names.
    OfZone(Vec<String>),
}

/// What a server says of a name.
pub(super) struct Answers {
    pub(super) records: Vec<Record>,
    /// Whether the name is there, with whatever type.
    pub(super) exists: bool,
}

/// A zone, and how long its servers are waited for.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) zone: DomainName,
    pub(super) origin: Name,
    pub(super) patience: Duration,
}

impl Authority {
    pub(super) fn new(zone: DomainName) -> Result<Self, DnsError> {
        let origin = wire_name(&format!("{zone}.")).map_err(|source: RecordError| DnsError::Record {
            record: zone.to_string(),
            source,
        })?;
        Ok(Self {
            zone,
            origin,
            patience: PATIENCE,
        })
    }

    pub(super) fn server(&self, name: impl Into<String>) -> Server {
        Server {
            name: name.into(),
            patience: self.patience,
        }
    }

    /// Asks an authoritative server, without recursion, for records.
    pub(super) async fn query(
        &self,
        server: &Server,
        name: &Name,
        record_type: rr::RecordType,
        transport: Transport,
    ) -> Result<Vec<Record>, DnsError> {
        let answers = self.ask(server, name, record_type, transport).await?;
        Ok(answers.records)
    }

    /// Asks an authoritative server, without recursion.
    pub(super) async fn ask(
        &self,
        server: &Server,
        name: &Name,
        record_type: rr::RecordType,
        transport: Transport,
    ) -> Result<Answers, DnsError> {
        let action = format!("reading {name} {record_type}");
        let answer = server
            .ask(&action, &question(name, record_type), transport)
            .await?;
        match answer.response_code {
            code @ (ResponseCode::NoError | ResponseCode::NXDomain) if answer.authoritative => Ok(Answers {
                records: answer.answers,
                exists: code == ResponseCode::NoError,
            }),
            ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::Refused => {
                Err(self.not_authoritative(server))
            }
            ResponseCode::ServFail => Err(DnsError::ServerFailure {
                action,
                server: server.name.clone(),
            }),
            code => Err(DnsError::Unexpected {
                action,
                server: server.name.clone(),
                code: code.to_string(),
            }),
        }
    }

    pub(super) fn not_authoritative(&self, server: &Server) -> DnsError {
        DnsError::NotAuthoritative {
            server: server.name.clone(),
            zone: self.zone.to_string(),
        }
    }

    /// Asks every one of `servers` for `desired`.
    pub(super) async fn verify(
        &self,
        servers: Servers,
        desired: &[RecordSet],
    ) -> Result<Vec<Seen>, DnsError> {
        let (names, is_named_by_zone) = match servers {
            Servers::Declared(names) => (names, false),
            Servers::OfZone(names) => (names, true),
        };
        let mut seen = Vec::new();
        for name in names {
            let server = self.server(name);
            let looked = self.verify_at(&server, desired).await;
            seen.push(looked.map_err(|error| match error {
                DnsError::NotAuthoritative { server, zone } if is_named_by_zone => {
                    DnsError::Lame { server, zone }
                }
                other => other,
            })?);
        }
        Ok(seen)
    }

    async fn verify_at(&self, server: &Server, desired: &[RecordSet]) -> Result<Seen, DnsError> {
        let negative_ttl = self.negative_ttl(server).await?;
        for set in desired {
            self.verify_set(server, set).await?;
        }
        Ok(Seen {
            server: server.name.clone(),
            record_sets: desired.len(),
            negative_ttl,
        })
    }

    /// The smaller of the SOA record's own time to live and its field MINIMUM (RFC 2308, section 5).
    async fn negative_ttl(&self, server: &Server) -> Result<u32, DnsError> {
        let answers = self.query(server, &self.origin, rr::RecordType::SOA, Transport::Udp);
        let answers = answers.await?;
        let mut found = answers.iter().filter_map(|record| match &record.data {
            RData::SOA(soa) if record.name == self.origin => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        found.next().ok_or_else(|| self.not_authoritative(server))
    }

    async fn verify_set(&self, server: &Server, set: &RecordSet) -> Result<(), DnsError> {
        for transport in [Transport::Udp, Transport::Tcp] {
            self.verify_name(server, set, &set.name, transport).await?;
            if let Some(rest) = set.name.strip_prefix("*.") {
                let random = format!("lotse-{:08x}.{rest}", rand::random::<u32>());
                self.verify_name(server, set, &random, transport).await?;
            }
        }
        Ok(())
    }

    async fn verify_name(
        &self,
        server: &Server,
        set: &RecordSet,
        name: &str,
        transport: Transport,
    ) -> Result<(), DnsError> {
        let key = RecordKey::new(name, set.record_type);
        let wire = wire_name(name).map_err(|source| DnsError::record(&key, source))?;
        let answers = self
            .query(server, &wire, wire_type(set.record_type), transport)
            .await?;
        let expected = canonical(set).records;
        let seen = set_from(&key, &wire, &answers).map_or_else(Vec::new, |seen| seen.records);
        if seen == expected {
            return Ok(());
        }
        Err(DnsError::NotSeen {
            record: key.to_string(),
            server: server.name.clone(),
            transport: transport.name(),
            expected,
            seen,
        })
    }
}

fn question(name: &Name, record_type: rr::RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name.clone(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.set_edns(edns);
    message
}
