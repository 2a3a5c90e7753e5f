//! One question and its answer over UDP or TCP. Knows nothing of zones, keys and marks.
//!
//! The sockets are our own rather than hickory-net's: its client checks the signature before it shows the answer, so a
//! rejected key reads as a broken message, and it repeats updates by UDP, which turns a lost answer to a
//! compare-and-swap into a false miss.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::error::DnsError;

/// Well-known port of name servers.
const DNS_PORT: u16 = 53;
/// How often a question is sent by UDP, which may lose it.
const UDP_ATTEMPTS: u32 = 3;
/// Largest UDP answer that is taken, octets.
const UDP_LIMIT: usize = 4096;

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// By UDP, and by TCP when the answer does not fit.
    Udp,
    /// By TCP.
    Tcp,
}

impl Transport {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// A name server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `host:port` or `host`, as it was declared.
    pub(super) name: String,
    /// How long to wait for an answer.
    pub(super) patience: Duration,
}

impl Server {
    /// Sends `octets` by TCP and gives the answer's octets. `action` says what is being done (`reading web.lab.test.`).
    pub(super) async fn by_tcp(&self, action: &str, octets: &[u8]) -> Result<Vec<u8>, DnsError> {
        let address = self.address().await?;
        let answer = timeout(self.patience, exchange_tcp(address, octets)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(self.connection(action, source)),
            Err(_) => Err(self.silent(action)),
        }
    }

    /// Sends `octets` by TCP and gives one answer after the other to `take`, until it says that it was the last. Each is
    /// waited for as long as any.
    pub(super) async fn many_by_tcp(
        &self,
        action: &str,
        octets: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<bool, DnsError> + Send,
    ) -> Result<(), DnsError> {
        let address = self.address().await?;
        let begun = timeout(self.patience, send_tcp(address, octets)).await;
        let mut stream = begun
            .map_err(|_| self.silent(action))?
            .map_err(|source| self.connection(action, source))?;
        loop {
            let answer = timeout(self.patience, receive_tcp(&mut stream)).await;
            let answer = answer
                .map_err(|_| self.silent(action))?
                .map_err(|source| self.connection(action, source))?;
            if take(&answer)? {
                return Ok(());
            }
        }
    }

    /// Asks by UDP, and again by TCP when the answer was cut short.
    pub(super) async fn ask(
        &self,
        action: &str,
        question: &Message,
        transport: Transport,
    ) -> Result<Message, DnsError> {
        let octets = question
            .to_vec()
            .map_err(|source| self.malformed(action, source))?;
        if transport == Transport::Udp {
            let answer = self.by_udp(action, question.id, &octets).await?;
            if !answer.truncation {
                return Ok(answer);
            }
        }
        let answer = self.by_tcp(action, &octets).await?;
        let answer = self.parse(action, &answer)?;
        self.check_id(action, question.id, &answer)?;
        if answer.truncation {
            let source = hickory_proto::ProtoError::from("it was cut short, by TCP too");
            return Err(self.malformed(action, source));
        }
        Ok(answer)
    }

    /// Reads an answer.
    pub(super) fn parse(&self, action: &str, octets: &[u8]) -> Result<Message, DnsError> {
        Message::from_vec(octets).map_err(|source| self.malformed(action, source.into()))
    }

    /// Checks that an answer belongs to the question.
    pub(super) fn check_id(&self, action: &str, id: u16, answer: &Message) -> Result<(), DnsError> {
        if answer.id == id {
            return Ok(());
        }
        let source = hickory_proto::ProtoError::from("it belongs to another question");
        Err(self.malformed(action, source))
    }

    pub(super) fn malformed(&self, action: &str, source: hickory_proto::ProtoError) -> DnsError {
        DnsError::Malformed {
            action: action.to_owned(),
            server: self.name.clone(),
            source,
        }
    }

    async fn by_udp(&self, action: &str, id: u16, octets: &[u8]) -> Result<Message, DnsError> {
        let address = self.address().await?;
        for _ in 0..UDP_ATTEMPTS {
            let attempt = exchange_udp(address, id, octets);
            match timeout(self.patience / UDP_ATTEMPTS, attempt).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(source)) => return Err(self.connection(action, source)),
                Err(_) => {}
            }
        }
        Err(self.silent(action))
    }

    pub(super) async fn address(&self) -> Result<SocketAddr, DnsError> {
        let found = match self.name.parse::<IpAddr>() {
            Ok(address) => return Ok(SocketAddr::new(address, DNS_PORT)),
            Err(_) if self.name.contains(':') => lookup_host(self.name.as_str()).await.map(first),
            Err(_) => lookup_host((self.name.as_str(), DNS_PORT)).await.map(first),
        };
        found
            .and_then(|address| address.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)))
            .map_err(|source| DnsError::Address {
                server: self.name.clone(),
                source,
            })
    }

    fn connection(&self, action: &str, source: io::Error) -> DnsError {
        DnsError::Connection {
            action: action.to_owned(),
            server: self.name.clone(),
            source,
        }
    }

    fn silent(&self, action: &str) -> DnsError {
        DnsError::Timeout {
            action: action.to_owned(),
            server: self.name.clone(),
            after: self.patience,
        }
    }
}

fn first(mut addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    addresses.next()
}

async fn exchange_tcp(address: SocketAddr, octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = send_tcp(address, octets).await?;
    receive_tcp(&mut stream).await
}

async fn send_tcp(address: SocketAddr, octets: &[u8]) -> io::Result<TcpStream> {
    let length = u16::try_from(octets.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(octets);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&framed).await?;
    Ok(stream)
}

async fn receive_tcp(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Waits for the answer with the question's id; what else arrives is not meant for us.
async fn exchange_udp(address: SocketAddr, id: u16, octets: &[u8]) -> io::Result<Message> {
    let any: IpAddr = if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    socket.send(octets).await?;
    let mut buffer = vec![0; UDP_LIMIT];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        match Message::from_vec(received) {
            Ok(answer) if answer.id == id => return Ok(answer),
            _ => {}
        }
    }
}
