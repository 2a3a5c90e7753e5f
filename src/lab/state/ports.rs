//! Ports on 127.0.0.1: chosen by the system, remembered by name.
//!
//! A port stays with its name for the life of the lab, because it is written into kubeconfigs, issuers and redirect
//! addresses that outlive a restart. So one that somebody else took meanwhile is an error, not a reason for another.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::{RecordFile, StateError};
use crate::lab::process;

/// How often the system is asked before it counts as out of ports.
const ATTEMPTS: usize = 64;

/// What a port is used with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    TcpAndUdp,
}

/// The ports of one lab. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    record: RecordFile,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Ports {
    pub(in crate::lab) fn new(record: RecordFile) -> Self {
        Self {
            record,
            seen: Arc::default(),
        }
    }

    /// The TCP port called `name`: the recorded one, or a free one that is recorded now. The first call after the
    /// lab's start makes sure that a recorded port is still free; later ones don't, for its owner has it by then.
    pub fn get(&self, name: &str) -> Result<u16, StateError> {
        self.port(name, Transport::Tcp)
    }

    /// Like [`Ports::get`], free for TCP and UDP.
    pub fn get_tcp_and_udp(&self, name: &str) -> Result<u16, StateError> {
        self.port(name, Transport::TcpAndUdp)
    }

    /// Forgets the port called `name`, so that it can be given to somebody else.
    pub fn release(&self, name: &str) -> Result<(), StateError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(name);
        self.record.change(|record| record.ports.remove(name)).map(drop)
    }

    fn port(&self, name: &str, transport: Transport) -> Result<u16, StateError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = self.record.current().ports;
        let port = match ports.get(name) {
            Some(&port) if seen.contains(name) || is_free(port, transport) => port,
            Some(&port) => return Err(taken(port, name)),
            None => {
                let taken: BTreeSet<u16> = ports.into_values().collect();
                let port = choose(transport, &taken).map_err(|source| StateError::NoPort {
                    name: name.to_owned(),
                    source,
                })?;
                self.record
                    .change(|record| record.ports.insert(name.to_owned(), port))?;
                port
            }
        };
        seen.insert(name.to_owned());
        Ok(port)
    }
}

fn taken(port: u16, name: &str) -> StateError {
    StateError::PortTaken {
        port,
        name: name.to_owned(),
        holder: process::listener_on(port).map_or_else(
            || "a process of another user".to_owned(),
            |holder| holder.to_string(),
        ),
    }
}

fn is_free(port: u16, transport: Transport) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && (transport == Transport::Tcp || UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

/// Asks the system for a free port that is not among `taken`: a recorded port is free as long as its owner is not
/// running, and must not be given away.
fn choose(transport: Transport, taken: &BTreeSet<u16>) -> io::Result<u16> {
    for _ in 0..ATTEMPTS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let is_usable = transport == Transport::Tcp || UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_usable && !taken.contains(&port) {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "every port that was offered is taken",
    ))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::lab::state::StateDirectory;
    use crate::names::LabName;

    fn ports(root: &tempfile::TempDir) -> Ports {
        let name = LabName::new("default").unwrap();
        let directory = StateDirectory::locate(Utf8Path::from_path(root.path()).unwrap(), &name).unwrap();
        directory.create().unwrap();
        Ports::new(RecordFile::open(&directory, &name).unwrap())
    }

    #[test]
    fn test_a_port_stays_with_its_name() {
        let root = tempfile::tempdir().unwrap();
        let first = ports(&root);
        let etcd = first.get("etcd").unwrap();
        let dns = first.get_tcp_and_udp("dns").unwrap();
        assert_ne!(etcd, dns);
        let _owner = TcpListener::bind((Ipv4Addr::LOCALHOST, etcd)).unwrap();
        assert_eq!(first.get("etcd").unwrap(), etcd, "its owner uses it by now");
        assert_eq!(ports(&root).get("dns").unwrap(), dns);
    }

    #[test]
    fn test_a_port_taken_meanwhile_names_its_holder() {
        let root = tempfile::tempdir().unwrap();
        let port = ports(&root).get("etcd").unwrap();
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let error = ports(&root).get("etcd").unwrap_err().to_string();
        let holder = format!(
            "port {port} of the lab's `etcd` is in use by process {} (",
            std::process::id()
        );
        assert!(error.starts_with(&holder), "{error}");
    }

    #[test]
    fn test_a_released_port_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let ports = ports(&root);
        ports.get("etcd").unwrap();
        ports.release("etcd").unwrap();
        assert!(ports.record.current().ports.is_empty());
    }
}
