//! The lab's authoritative name server: one zone, UDP and TCP on loopback, TSIG-signed dynamic updates (RFC 2136, 8945).
//!
//! hickory-server carries the messages. Its stores are not used: they let wildcards answer prerequisites and match
//! RRsets in part, which breaks compare-and-swap; zone, update and file here follow the RFCs instead, and the same
//! contract suite runs against Knot DNS ([`knot`]). Delegations, transfers and DNSSEC are not served.

#[cfg(test)]
mod contract;
mod error;
mod file;
mod handler;
pub mod knot;
mod update;
mod zone;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use camino::Utf8PathBuf;
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use hickory_server::Server;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UdpSocket};

pub use self::error::DnsServerError;
use self::file::ZoneFile;
use self::handler::Authority;
use self::zone::Zone;
use crate::names::DomainName;
use crate::surface::dns::TsigKey;

/// How long a silent TCP connection is kept.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Responses that may wait on one TCP connection.
const RESPONSE_BUFFER: usize = 32;
/// Time to live of the zone's own records, seconds.
const ZONE_TTL: u32 = 60;

/// Which program answers for the lab's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameServer {
    /// Knot DNS, a process of its own.
    Knot,
    /// The one in this program.
    BuiltIn,
}

impl NameServer {
    /// As it is written on the command line and in the lab's record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Knot => "knot",
            Self::BuiltIn => "built-in",
        }
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The name server of one lab.
#[derive(Clone, Debug)]
pub struct DnsSpec {
    /// The zone it is authoritative for.
    pub zone: DomainName,
    /// Where it listens, UDP and TCP. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Who may update the zone.
    pub key: TsigKey,
    /// The folder that keeps the zone over restarts; made where it is missing.
    pub directory: Utf8PathBuf,
}

/// A running name server. Ends when it is dropped; [`DnsServer::shutdown`] ends it in order.
pub struct DnsServer {
    server: Server<Authority>,
    address: SocketAddr,
}

impl DnsServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and waits for the requests under way.
    pub async fn shutdown(mut self) -> Result<(), DnsServerError> {
        let outcome = self.server.shutdown_gracefully().await;
        outcome.map_err(|error| DnsServerError::Shutdown {
            reason: error.to_string(),
        })
    }
}

/// Starts the name server. It answers as soon as this returns.
pub async fn serve(spec: DnsSpec) -> Result<DnsServer, DnsServerError> {
    let file = ZoneFile::in_directory(&spec.directory, spec.zone.as_str())?;
    let zone = load_or_create(&spec, &file)?;
    let signer = spec
        .key
        .signer()
        .map_err(|source| DnsServerError::Key { source })?;
    let (listener, socket) = bind(spec.address).await?;
    let address = listener.local_addr().map_err(|source| DnsServerError::Listen {
        address: spec.address,
        transport: "TCP",
        source,
    })?;
    let mut server = Server::new(Authority::new(zone, file, signer));
    server.register_socket(socket);
    server.register_listener(listener, CONNECTION_TIMEOUT, RESPONSE_BUFFER);
    Ok(DnsServer { server, address })
}

/// Binds TCP first, so that a port chosen by the system is then asked for by UDP too.
async fn bind(address: SocketAddr) -> Result<(TcpListener, UdpSocket), DnsServerError> {
    let failed = |transport| {
        move |source| DnsServerError::Listen {
            address,
            transport,
            source,
        }
    };
    let listener = TcpListener::bind(address).await.map_err(failed("TCP"))?;
    let bound = listener.local_addr().map_err(failed("TCP"))?;
    let socket = UdpSocket::bind(bound).await.map_err(failed("UDP"))?;
    Ok((listener, socket))
}

fn load_or_create(spec: &DnsSpec, file: &ZoneFile) -> Result<Zone, DnsServerError> {
    let wrong_name = |source| DnsServerError::Zone {
        zone: spec.zone.to_string(),
        source,
    };
    let origin = Name::from_ascii(format!("{}.", spec.zone)).map_err(wrong_name)?;
    if let Some(zone) = file.load(LowerName::new(&origin))? {
        return Ok(zone);
    }
    let zone = new_zone(&origin, spec.address).map_err(wrong_name)?;
    file.store(&zone)?;
    Ok(zone)
}

/// A zone with the records every zone has: SOA, NS and the name server's address.
fn new_zone(origin: &Name, address: SocketAddr) -> Result<Zone, hickory_proto::ProtoError> {
    use hickory_proto::rr::rdata::{NS, SOA};

    let server = origin.prepend_label("ns")?;
    let contact = origin.prepend_label("hostmaster")?;
    let soa = SOA::new(server.clone(), contact, 1, 3600, 600, 86400, 60);
    let apex = LowerName::new(origin);
    let mut zone = Zone::empty(apex.clone());
    zone.add(apex.clone(), ZONE_TTL, RData::SOA(soa));
    zone.add(apex, ZONE_TTL, RData::NS(NS(server.clone())));
    zone.add(LowerName::new(&server), ZONE_TTL, RData::from(address.ip()));
    debug_assert!(zone.rrset(zone.origin(), RecordType::SOA).is_some());
    Ok(zone)
}
