//! What can go wrong with the lab's name server.

use std::net::SocketAddr;

use camino::Utf8PathBuf;

/// The name server can't be started, or can't keep its zone.
#[derive(Debug, thiserror::Error)]
pub enum DnsServerError {
    /// The zone's name is none.
    #[error("`{zone}` can't be a zone of the lab's name server")]
    Zone {
        /// The name.
        zone: String,
        /// What is wrong with it.
        #[source]
        source: hickory_proto::ProtoError,
    },
    /// The key can't be used.
    #[error("the lab's name server can't use its TSIG key")]
    Key {
        /// What is wrong with it.
        #[source]
        source: crate::surface::dns::KeyError,
    },
    /// The address is taken or not ours.
    #[error("the lab's name server can't listen on {address} ({transport}): choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder of the zone can't be made.
    #[error("{directory} can't be made for the lab's name server")]
    Directory {
        /// The folder.
        directory: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The stored zone can't be read.
    #[error("the lab's zone can't be read from {path}")]
    Load {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The stored zone is not one.
    #[error("{path} holds no whole zone: remove it, and the next start makes a new one")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A record has no wire format.
    #[error("a record of the lab's zone can't be encoded")]
    Encode {
        /// Why.
        #[source]
        source: hickory_proto::ProtoError,
    },
    /// The zone can't be stored.
    #[error("the lab's zone can't be written to {path}")]
    Store {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A configuration file of knot can't be written.
    #[error("knot's configuration can't be written to {path}")]
    Configuration {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The zone can't be asked whether it is ready.
    #[error("the lab's name server can't be asked whether it is ready")]
    Client {
        /// Why.
        #[source]
        source: crate::surface::dns::DnsError,
    },
    /// A task of the server ended badly.
    #[error("the lab's name server did not end in order: {reason}")]
    Shutdown {
        /// What was said.
        reason: String,
    },
}
