//! What the world sees: every authoritative server of the zone is asked for what was written.

use std::net::IpAddr;

use hickory_proto::rr::{self, Name, RData};

use super::super::Seen;
use super::super::error::DnsError;
use super::super::record::{RecordKey, canonical, set_from, wire_name, wire_type};
use super::Rfc2136;
use super::exchange::{Server, Transport};
use crate::desired::dns::RecordSet;

impl Rfc2136 {
    pub(super) async fn verify_everywhere(&self, desired: &[RecordSet]) -> Result<Vec<Seen>, DnsError> {
        let mut seen = Vec::new();
        for name in self.servers().await? {
            let server = Server {
                name,
                patience: self.server.patience,
            };
            for set in desired {
                self.verify_set(&server, set).await?;
            }
            seen.push(Seen {
                server: server.name,
                record_sets: desired.len(),
            });
        }
        Ok(seen)
    }

    /// The declared name servers, or those of the zone's NS records.
    async fn servers(&self) -> Result<Vec<String>, DnsError> {
        if !self.name_servers.is_empty() {
            return Ok(self.name_servers.clone());
        }
        let answers = self.query(&self.server, &self.origin, rr::RecordType::NS, Transport::Udp);
        let mut servers = Vec::new();
        for record in answers.await? {
            if let RData::NS(server) = &record.data {
                servers.push(self.reachable_name(&server.0).await?);
            }
        }
        servers.sort_unstable();
        servers.dedup();
        if servers.is_empty() {
            return Err(self.not_authoritative(&self.server));
        }
        Ok(servers)
    }

    /// Where to ask a name server of the zone. One inside the zone has its addresses there, so that a zone is verified
    /// before the world can resolve it; one that is the server for updates listens where that does.
    async fn reachable_name(&self, server: &Name) -> Result<String, DnsError> {
        let plain = server.to_string().trim_end_matches('.').to_owned();
        if !self.origin.zone_of(server) {
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
