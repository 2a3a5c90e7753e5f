//! A zone in an authoritative server that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945).

#[cfg(test)]
mod tests;
mod transfer;
mod update;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{self, Name, RData, Record, TSigner};

use super::authority::{Authority, Servers};
use super::error::DnsError;
use super::exchange::{Server, Transport};
use super::key::TsigKey;
use super::listing::{ours, uncovered};
use super::mark::{foreign_mark_keys, mark_key, owner_from};
use super::plan::{DnsOperation, Observed};
use super::record::{RecordError, RecordKey, set_from, text_of, wire_name, wire_type};
use super::{Beneath, DnsZone, Search, Seen, Uncovered};
use crate::desired::dns::RecordSet;
use crate::names::DomainName;
use crate::report;

/// Both kinds of address.
const ADDRESS_TYPES: [rr::RecordType; 2] = [rr::RecordType::A, rr::RecordType::AAAA];
/// So many names are looked up at the same time.
const AT_ONCE: usize = 16;

/// The values that a name has, and whether it is there at all.
type Answered = (Vec<String>, bool);

/// A zone, the server that takes its updates, and the key that signs them.
#[derive(Clone)]
pub struct Rfc2136 {
    server: Server,
    name_servers: Vec<String>,
    authority: Authority,
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
        let authority = Authority::new(zone)?;
        Ok(Self {
            server: authority.server(server),
            name_servers: Vec::new(),
            authority,
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
        self.authority.patience = patience;
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
        let origin = &self.authority.origin;
        self.query(origin, rr::RecordType::SOA)
            .await?
            .iter()
            .find_map(|record| match &record.data {
                RData::SOA(soa) if record.name == *origin => Some(soa.serial),
                _ => None,
            })
            .ok_or_else(|| self.authority.not_authoritative(&self.server))
    }

    /// Checks that the key may write the zone, with an update that changes nothing.
    pub async fn check_writable(&self) -> Result<(), DnsError> {
        let question = update::probe(
            &self.authority.origin,
            &self.authority.origin,
            rr::RecordType::SOA,
        );
        let action = format!("checking whether the zone {} may be written", self.authority.zone);
        match self.update(&action, question).await? {
            ResponseCode::NoError => Ok(()),
            code => Err(self.failure(&action, code)),
        }
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
            if has_only(&answers, &made) && !self.is_there(name, first.record_type(), &made).await? {
                return Ok(Vec::new());
            }
        }
        Ok(answers)
    }

    async fn answers_for(&self, name: &Name, record_type: rr::RecordType) -> Result<Vec<Record>, DnsError> {
        let mut answers = self.query(name, record_type).await?;
        answers.retain(|record| record.name == *name);
        Ok(answers)
    }

    /// The wildcards of the zone that could answer for `name`, the nearest first.
    fn wildcards_over(&self, name: &Name) -> Vec<Name> {
        let mut wildcards = Vec::new();
        let mut encloser = name.base_name();
        while self.authority.origin.zone_of(&encloser) {
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

    /// Whether a name is there that has nothing else than what a wildcard would give it. A wildcard answers for whatever is below
    /// a name that is not there, and for nothing below one that is (RFC 4592, section 3.3.1), unless that has a wildcard of its
    /// own, of which the same is true.
    async fn is_there(
        &self,
        name: &Name,
        record_type: rr::RecordType,
        made: &[Record],
    ) -> Result<bool, DnsError> {
        let unlikely = format!("lotse-{:08x}", rand::random::<u32>());
        let below = |parent: &Name| parent.prepend_label(unlikely.as_bytes());
        let names = below(name).and_then(|one| Ok([one, below(&name.prepend_label("*")?)?]));
        let names = names.map_err(|source| DnsError::Record {
            record: name.to_string(),
            source: RecordError::Name {
                name: name.to_string(),
                source,
            },
        })?;
        for name in names {
            if !has_only(&self.answers_for(&name, record_type).await?, made) {
                return Ok(true);
            }
        }
        Ok(false)
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

    /// Asks the server that takes the updates.
    async fn query(&self, name: &Name, record_type: rr::RecordType) -> Result<Vec<Record>, DnsError> {
        let answers = self
            .authority
            .query(&self.server, name, record_type, Transport::Udp);
        answers.await
    }

    /// What a name has for everybody who asks, of each kind of address.
    async fn addresses_of(&self, name: &str) -> Result<Vec<Answered>, DnsError> {
        let mut answered = Vec::with_capacity(ADDRESS_TYPES.len());
        for record_type in ADDRESS_TYPES {
            answered.push(self.answered(name, record_type).await?);
        }
        Ok(answered)
    }

    /// What is at `host` in place of what is at the wildcard; `None` where both are the same for everybody who asks.
    async fn differing(&self, host: &str, wildcard: &[Answered]) -> Result<Option<Uncovered>, DnsError> {
        let mut holds = Vec::new();
        let mut differs = false;
        let found = self.addresses_of(host).await?;
        for ((record_type, (values, exists)), (wanted, covers)) in
            ADDRESS_TYPES.into_iter().zip(found).zip(wildcard)
        {
            differs |= values != *wanted || exists && !covers;
            if !values.is_empty() {
                holds.push(format!("{record_type} {}", values.join(", ")));
            }
        }
        Ok(differs.then(|| Uncovered {
            name: host.to_owned(),
            holds,
        }))
    }

    /// The values that a name has for everybody who asks, and whether it is there at all.
    async fn answered(&self, name: &str, record_type: rr::RecordType) -> Result<Answered, DnsError> {
        let wire = wire_name(name).map_err(|source| DnsError::Record {
            record: name.to_owned(),
            source,
        })?;
        let answers = self
            .authority
            .ask(&self.server, &wire, record_type, Transport::Udp);
        let answers = answers.await?;
        let mut values: Vec<String> = answers
            .records
            .iter()
            .filter_map(|record| text_of(&record.data))
            .collect();
        values.sort_unstable();
        Ok((values, answers.exists))
    }

    /// The declared name servers, or those of the zone's NS records.
    async fn servers(&self) -> Result<Servers, DnsError> {
        if !self.name_servers.is_empty() {
            return Ok(Servers::Declared(self.name_servers.clone()));
        }
        let mut servers = Vec::new();
        for record in self.query(&self.authority.origin, rr::RecordType::NS).await? {
            if let RData::NS(server) = &record.data {
                servers.push(self.reachable_name(&server.0).await?);
            }
        }
        servers.sort_unstable();
        servers.dedup();
        if servers.is_empty() {
            return Err(self.authority.not_authoritative(&self.server));
        }
        Ok(Servers::OfZone(servers))
    }

    /// Where to ask a name server of the zone. One inside the zone has its addresses there, so that a zone is verified
    /// before the world can resolve it; one that is the server for updates listens where that does.
    async fn reachable_name(&self, server: &Name) -> Result<String, DnsError> {
        let plain = server.to_string().trim_end_matches('.').to_owned();
        if !self.authority.origin.zone_of(server) {
            return Ok(plain);
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for record_type in [rr::RecordType::A, rr::RecordType::AAAA] {
            let answers = self.answers_for(server, record_type).await?;
            addresses.extend(answers.iter().filter_map(|record| record.data.ip_addr()));
        }
        if addresses.contains(&self.server.address().await?.ip()) {
            return Ok(self.server.name.clone());
        }
        Ok(addresses.first().map_or(plain, ToString::to_string))
    }

    fn failure(&self, action: &str, code: ResponseCode) -> DnsError {
        let action = action.to_owned();
        let name = self.server.name.clone();
        match code {
            ResponseCode::NotAuth | ResponseCode::NotZone => self.authority.not_authoritative(&self.server),
            ResponseCode::ServFail => DnsError::ServerFailure { action, server: name },
            ResponseCode::Refused => DnsError::Refused {
                action,
                server: name,
                zone: self.authority.zone.to_string(),
                key: self.key.name.clone(),
            },
            code => DnsError::Unexpected {
                action,
                server: name,
                code: code.to_string(),
            },
        }
    }
}

impl DnsZone for Rfc2136 {
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

    async fn apply_one(&self, operation: &DnsOperation) -> Result<(), DnsError> {
        let action = format!("writing {}", operation.record.key);
        let message = update::message_for(&self.authority.origin, operation)?;
        report::sends(format_args!("UPDATE, {action}"));
        match self.update(&action, message).await? {
            ResponseCode::NoError => Ok(()),
            code if update::is_missed(code) => Err(DnsError::Changed {
                record: operation.record.key.to_string(),
            }),
            code => Err(self.failure(&action, code)),
        }
    }

    /// Of a zone that the server does not give away as a whole only the names that the wildcard should cover are looked at.
    async fn beneath(&self, search: &Search<'_>) -> Result<Beneath, DnsError> {
        let whole = self.transfer().await.unwrap_or_else(|error| {
            tracing::info!(%error, "the zone can't be listed");
            None
        });
        if let Some(held) = whole {
            return Ok(Beneath {
                uncovered: uncovered(search.wildcard, &held, &search.declared),
                ours: ours(&held, search.owner),
                is_whole: true,
            });
        }
        let mut beneath = Beneath::default();
        let wildcard = &self.addresses_of(search.wildcard).await?;
        for hosts in search.served.chunks(AT_ONCE) {
            let mut looked = Vec::with_capacity(hosts.len());
            for host in hosts {
                looked.push(self.differing(host, wildcard));
            }
            beneath
                .uncovered
                .extend(try_join_all(looked).await?.into_iter().flatten());
        }
        Ok(beneath)
    }

    async fn verify(&self, desired: &[RecordSet]) -> Result<Vec<Seen>, DnsError> {
        self.authority.verify(self.servers().await?, desired).await
    }
}

/// Whether there are records, and all of them have values of `made`.
fn has_only(records: &[Record], made: &[Record]) -> bool {
    let is_made = |record: &Record| made.iter().any(|made| made.data == record.data);
    !records.is_empty() && records.iter().all(is_made)
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
