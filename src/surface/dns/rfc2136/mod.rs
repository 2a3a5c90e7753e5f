//! A zone in an authoritative server that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945).

mod exchange;
#[cfg(test)]
mod tests;
mod update;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{self, Name, RData, Record, TSigner};

use self::exchange::{Server, Transport};
use super::error::DnsError;
use super::key::TsigKey;
use super::mark::{foreign_mark_keys, mark_key, owner_from};
use super::plan::{DnsOperation, Observed};
use super::record::{RecordKey, set_from, wire_name, wire_type};
use super::{Adoption, DnsZone, Seen};
use crate::desired::dns::RecordSet;
use crate::names::DomainName;
use crate::plan::{Action, Plan};
use crate::report;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Offered size of UDP answers, octets: no fragments on any common network (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// A zone, the server that takes its updates, and the key that signs them.
#[derive(Clone)]
pub struct Rfc2136 {
    server: Server,
    name_servers: Vec<String>,
    zone: DomainName,
    origin: Name,
    key: TsigKey,
    signer: TSigner,
    /// Seconds since 1970, for signatures.
    clock: fn() -> u64,
}

impl Rfc2136 {
    /// The zone at `server` (`host:port`, or `host` for port 53). Sends nothing yet.
    pub fn new(server: impl Into<String>, zone: DomainName, key: TsigKey) -> Result<Self, DnsError> {
        let signer = key.signer().map_err(|source| DnsError::Key {
            zone: zone.to_string(),
            source,
        })?;
        let origin = wire_name(&format!("{zone}.")).map_err(|source| DnsError::Record {
            record: zone.to_string(),
            source,
        })?;
        let server = Server {
            name: server.into(),
            patience: PATIENCE,
        };
        Ok(Self {
            server,
            name_servers: Vec::new(),
            zone,
            origin,
            key,
            signer,
            clock: now,
        })
    }

    /// Verifies at these servers (`host:port`) instead of those of the zone's NS records, for servers that listen on
    /// other ports or are hidden behind them.
    #[must_use]
    pub fn with_name_servers(mut self, name_servers: Vec<String>) -> Self {
        self.name_servers = name_servers;
        self
    }

    /// Waits so long for each answer.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.server.patience = patience;
        self
    }

    /// Signs by this clock, which gives seconds since 1970.
    #[cfg(test)]
    pub(crate) const fn with_clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// Serial of the zone's SOA record, and so whether the server is authoritative for the zone.
    pub async fn serial(&self) -> Result<u32, DnsError> {
        let answers = self.query(&self.server, &self.origin, rr::RecordType::SOA, Transport::Udp);
        answers
            .await?
            .iter()
            .find_map(|record| match &record.data {
                RData::SOA(soa) if record.name == self.origin => Some(soa.serial),
                _ => None,
            })
            .ok_or_else(|| self.not_authoritative(&self.server))
    }

    /// Checks that the key may write the zone, with an update that changes nothing.
    pub async fn check_writable(&self) -> Result<(), DnsError> {
        let question = update::probe(&self.origin, &self.origin, rr::RecordType::SOA);
        let action = format!("checking whether the zone {} may be written", self.zone);
        match self.update(&action, question).await? {
            ResponseCode::NoError => Ok(()),
            code => Err(self.failure(&self.server, &action, code)),
        }
    }

    async fn observe_one(&self, key: &RecordKey) -> Result<Observed, DnsError> {
        let (set, alias) = self.look(key).await?;
        let (mark, _) = self.look(&mark_key(key)).await?;
        let mut foreign = Vec::new();
        for key in foreign_mark_keys(key) {
            let found = self.look(&key).await?.0;
            foreign.extend(found.into_iter().flat_map(|set| set.records));
        }
        Ok(Observed {
            key: key.clone(),
            owner: owner_from(mark.as_ref(), foreign.iter().map(String::as_str)),
            set,
            mark,
            alias,
        })
    }

    /// What the zone itself holds under a key, and where its name points when it is an alias.
    async fn look(&self, key: &RecordKey) -> Result<(Option<RecordSet>, Option<String>), DnsError> {
        let name = wire_name(&key.name).map_err(|source| DnsError::record(key, source))?;
        let answers = self.held(&name, wire_type(key.record_type)).await?;
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.to_string()),
            _ => None,
        });
        Ok((set_from(key, &name, &answers), alias))
    }

    /// The records that an answer gives for `name` itself and that no wildcard made up.
    async fn held(&self, name: &Name, record_type: rr::RecordType) -> Result<Vec<Record>, DnsError> {
        let answers = self.answers_for(name, record_type).await?;
        let Some(first) = answers.first() else {
            return Ok(answers);
        };
        for wildcard in self.wildcards_over(name) {
            let made = self.answers_for(&wildcard, record_type).await?;
            let is_made = |answer: &Record| made.iter().any(|record| record.data == answer.data);
            if answers.iter().all(is_made) && !self.holds(name, first.record_type()).await? {
                return Ok(Vec::new());
            }
        }
        Ok(answers)
    }

    async fn answers_for(&self, name: &Name, record_type: rr::RecordType) -> Result<Vec<Record>, DnsError> {
        let mut answers = self
            .query(&self.server, name, record_type, Transport::Udp)
            .await?;
        answers.retain(|record| record.name == *name);
        Ok(answers)
    }

    /// The wildcards of the zone that could answer for `name`, the nearest first.
    fn wildcards_over(&self, name: &Name) -> Vec<Name> {
        let mut wildcards = Vec::new();
        let mut encloser = name.base_name();
        while self.origin.zone_of(&encloser) {
            wildcards.extend(
                encloser
                    .prepend_label("*")
                    .ok()
                    .filter(|wildcard| wildcard != name),
            );
            encloser = encloser.base_name();
        }
        wildcards
    }

    /// Asks with a prerequisite, the one way to tell a record from what a wildcard answers.
    async fn holds(&self, name: &Name, record_type: rr::RecordType) -> Result<bool, DnsError> {
        let action = format!("looking for {name} {record_type}");
        match self
            .update(&action, update::probe(&self.origin, name, record_type))
            .await?
        {
            ResponseCode::NoError => Ok(true),
            code if update::is_missed(code) => Ok(false),
            code => Err(self.failure(&self.server, &action, code)),
        }
    }

    async fn apply_one(&self, operation: &DnsOperation) -> Result<(), DnsError> {
        let action = format!("writing {}", operation.record.key);
        let message = update::message_for(&self.origin, operation)?;
        report::sends(format_args!("UPDATE, {action}"));
        match self.update(&action, message).await? {
            ResponseCode::NoError => Ok(()),
            code if update::is_missed(code) => Err(DnsError::Changed {
                record: operation.record.key.to_string(),
            }),
            code => Err(self.failure(&self.server, &action, code)),
        }
    }

    /// Signs and sends an update by TCP, which loses neither it nor its answer without saying so. A success counts only
    /// when it is signed.
    async fn update(&self, action: &str, mut message: Message) -> Result<ResponseCode, DnsError> {
        let verifier = message
            .finalize(&self.signer, (self.clock)())
            .map_err(|source| self.server.malformed(action, source))?;
        let octets = message
            .to_vec()
            .map_err(|source| self.server.malformed(action, source))?;
        let octets = self.server.by_tcp(action, &octets).await?;
        let answer = self.server.parse(action, &octets)?;
        self.server.check_id(action, message.id, &answer)?;
        if let Some(fault) = update::signature_fault(self, &answer) {
            return Err(fault);
        }
        let is_signed = verifier.is_some_and(|mut verifier| verifier.verify(&octets).is_ok());
        if answer.response_code == ResponseCode::NoError && !is_signed {
            return Err(DnsError::Unauthenticated {
                action: action.to_owned(),
                server: self.server.name.clone(),
                key: self.key.name.clone(),
            });
        }
        Ok(answer.response_code)
    }

    /// Asks an authoritative server, without recursion.
    async fn query(
        &self,
        server: &Server,
        name: &Name,
        record_type: rr::RecordType,
        transport: Transport,
    ) -> Result<Vec<Record>, DnsError> {
        let action = format!("reading {name} {record_type}");
        let answer = server
            .ask(&action, &question(name, record_type), transport)
            .await?;
        match answer.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if answer.authoritative => Ok(answer.answers),
            ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::Refused => {
                Err(self.not_authoritative(server))
            }
            code => Err(self.failure(server, &action, code)),
        }
    }

    fn failure(&self, server: &Server, action: &str, code: ResponseCode) -> DnsError {
        let action = action.to_owned();
        let name = server.name.clone();
        match code {
            ResponseCode::NotAuth | ResponseCode::NotZone => self.not_authoritative(server),
            ResponseCode::ServFail => DnsError::ServerFailure { action, server: name },
            ResponseCode::Refused => DnsError::Refused {
                action,
                server: name,
                zone: self.zone.to_string(),
                key: self.key.name.clone(),
            },
            code => DnsError::Unexpected {
                action,
                server: name,
                code: code.to_string(),
            },
        }
    }

    fn not_authoritative(&self, server: &Server) -> DnsError {
        DnsError::NotAuthoritative {
            server: server.name.clone(),
            zone: self.zone.to_string(),
        }
    }
}

impl DnsZone for Rfc2136 {
    async fn observe(&self, keys: &[RecordKey]) -> Result<Vec<Observed>, DnsError> {
        let mut observed = Vec::with_capacity(keys.len());
        for key in keys {
            observed.push(self.observe_one(key).await?);
        }
        Ok(observed)
    }

    async fn apply(&self, plan: &Plan<DnsOperation>, adoption: Adoption) -> Result<(), DnsError> {
        let adopted = plan.changes().filter(|change| change.action == Action::Adopt);
        let records: Vec<String> = adopted.map(|change| change.object.clone()).collect();
        if adoption == Adoption::Refused && !records.is_empty() {
            return Err(DnsError::AdoptionNeeded { records });
        }
        for step in &plan.steps {
            self.apply_one(&step.operation).await?;
        }
        Ok(())
    }

    async fn verify(&self, desired: &[RecordSet]) -> Result<Vec<Seen>, DnsError> {
        self.verify_everywhere(desired).await
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
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
