//! Whom an application's pods exchange traffic with.

use ipnet::IpNet;

use super::fields::{Fields, Findings, Mentioned, mapping, unique};
use super::scalar::{choice, malformed, name, number, text};
use crate::config::mend;
use crate::config::network::{Network, NetworkPeer, NetworkRule};
use crate::config::tree::{Node, Value};
use crate::diag::{Certainty, Code};
use crate::names::AppName;

/// Reads both directions.
pub(super) fn network(node: &Node, findings: &mut Findings<'_>) -> Option<Network> {
    mapping(node, findings, |fields| {
        let allow_from = fields.optional("allowFrom", |node, findings| {
            unique(node, findings, |item, findings| {
                rule(item, findings, Mentioned::PeerFrom)
            })
        });
        let allow_to = fields.optional("allowTo", |node, findings| {
            unique(node, findings, |item, findings| {
                rule(item, findings, Mentioned::PeerTo)
            })
        });
        Some(Network {
            allow_from: allow_from.unwrap_or_default(),
            allow_to: allow_to.unwrap_or_default(),
        })
    })
}

/// A word, an application, or a mapping with ports.
fn rule(node: &Node, findings: &mut Findings<'_>, what: Mentioned) -> Option<NetworkRule> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(NetworkRule {
            peer: word(node, findings, what)?,
            ports: Vec::new(),
        });
    }
    mapping(node, findings, |fields| {
        let peer = peer(fields, what);
        let ports = fields.optional("ports", |node, findings| unique(node, findings, port));
        let mut ports = ports.unwrap_or_default();
        ports.sort_unstable();
        Some(NetworkRule { peer: peer?, ports })
    })
}

fn peer(fields: &mut Fields<'_, '_, '_>, what: Mentioned) -> Option<NetworkPeer> {
    if fields.has("cidr") {
        return fields.required("cidr", cidr).map(NetworkPeer::Cidr);
    }
    if fields.has("peer") {
        return fields.required("peer", |node, findings| {
            choice(node, findings, &NetworkPeer::WORDS)
        });
    }
    fields.required("app", |node, findings| app(node, findings, what))
}

fn word(node: &Node, findings: &mut Findings<'_>, what: Mentioned) -> Option<NetworkPeer> {
    let written = text(node, findings)?;
    let known = NetworkPeer::WORDS.into_iter().find(|(word, _)| *word == written);
    match known {
        Some((_, peer)) => Some(peer),
        None => app(node, findings, what),
    }
}

fn app(node: &Node, findings: &mut Findings<'_>, what: Mentioned) -> Option<NetworkPeer> {
    let app = name::<AppName>(node, findings)?;
    findings.mention(what, app.as_str(), node.span);
    Some(NetworkPeer::App(app))
}

fn cidr(node: &Node, findings: &mut Findings<'_>) -> Option<IpNet> {
    let written = text(node, findings)?;
    let Ok(range) = written.parse::<IpNet>() else {
        return malformed(
            node,
            findings,
            &format!("`{written}` is not a range of addresses such as 192.0.2.0/24"),
        );
    };
    let network = range.trunc();
    if network != range {
        let message = format!("`{written}` is an address within the range {network}");
        let diagnostic = findings.report(Code::Malformed, node.span, message);
        diagnostic.help = Some(format!(
            "write {network} for the range, or {}/{} for the address",
            range.addr(),
            range.max_prefix_len()
        ));
        diagnostic.mend(mend::quoted(&network.to_string()), Certainty::Guess);
        return None;
    }
    Some(range)
}

pub(super) fn port(node: &Node, findings: &mut Findings<'_>) -> Option<u16> {
    match number::<u16>(node, findings)? {
        0 => malformed(node, findings, "0 is not a port"),
        port => Some(port),
    }
}
