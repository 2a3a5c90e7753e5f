//! Whom an application's pods exchange traffic with.

use ipnet::IpNet;

use crate::names::AppName;

/// What is allowed beyond the defaults: everything else is denied, both ways. Pods of one application reach each
/// other and the cluster's DNS; the gateway reaches applications that have hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Who may open connections to the application's pods.
    pub allow_from: Vec<NetworkRule>,
    /// Where the application's pods may open connections to.
    pub allow_to: Vec<NetworkRule>,
}

/// One direction of traffic with one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkRule {
    /// The other side.
    pub peer: NetworkPeer,
    /// TCP ports of the side that is connected to, sorted; all ports when empty.
    pub ports: Vec<u16>,
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkPeer {
    /// The gateway that all hosts lead to.
    Gateway,
    /// Addresses outside of the cluster and of private networks.
    Internet,
    /// The cluster's API server.
    ApiServer,
    /// All pods of another application.
    App(AppName),
    /// A range of addresses.
    Cidr(IpNet),
}

impl NetworkPeer {
    /// Words that stand for a peer in a declaration; any other text is an application.
    pub const WORDS: [(&str, Self); 3] = [
        ("gateway", Self::Gateway),
        ("internet", Self::Internet),
        ("api-server", Self::ApiServer),
    ];
}
