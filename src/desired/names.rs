//! Which names of the zone lead where.

use std::net::IpAddr;

use super::dns::{RecordSet, RecordType};
use super::gateway::{self, AddressOf};
use crate::config::{App, Destination, Environment};
use crate::names::{AppName, ClusterName, DomainName};

/// All names that the environment has in its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `*.<domain>.`, which leads to the gateway.
    pub wildcard: PointedName,
    /// Names with records of their own, sorted: the API server's, and hosts that do not lead to the gateway.
    pub others: Vec<PointedName>,
    /// Record sets that do not depend on an address.
    pub records: Vec<RecordSet>,
    /// Hosts that the wildcard serves, sorted, fully qualified, each with its application.
    pub served: Vec<(String, AppName)>,
    /// Time to live of the records, seconds.
    pub ttl: u32,
}

/// One name and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointedName {
    /// Fully qualified with trailing dot.
    pub name: String,
    /// Where its addresses come from.
    pub at: PointsAt,
}

/// Where the addresses of a name come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PointsAt {
    /// The declaration.
    Addresses(Vec<IpAddr>),
    /// An object of the workload cluster.
    Holder(AddressOf),
    /// `spec.controlPlaneEndpoint` of the Cluster.
    ApiServer(ClusterName),
}

impl Names {
    /// All pointed names, the wildcard first.
    pub fn pointed(&self) -> impl Iterator<Item = &PointedName> {
        std::iter::once(&self.wildcard).chain(&self.others)
    }
}

impl std::fmt::Display for PointsAt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Addresses(addresses) => {
                let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                formatter.write_str(&texts.join(", "))
            }
            Self::Holder(holder) => holder.fmt(formatter),
            Self::ApiServer(cluster) => write!(formatter, "the control plane of Cluster {cluster}"),
        }
    }
}

/// The names of `environment` and its applications.
pub(super) fn names<'app, Key>(
    environment: &Environment<String, Key>,
    apps: impl Iterator<Item = &'app App> + Clone,
) -> Names {
    let dns = &environment.dns;
    let wildcard = PointedName {
        name: format!("*.{}.", environment.domain),
        at: if dns.addresses.is_empty() {
            PointsAt::Holder(gateway::address_of(environment))
        } else {
            PointsAt::Addresses(dns.addresses.clone())
        },
    };
    let full = |label: &dyn std::fmt::Display| format!("{label}.{}.", environment.domain);
    let api_server = dns.api_server.iter().map(|name| PointedName {
        name: format!("{name}."),
        at: PointsAt::ApiServer(environment.cluster.name.clone()),
    });
    let apart = apps.clone().flat_map(|app| {
        let hosts = app.hosts.iter();
        hosts.filter_map(move |host| {
            Some(PointedName {
                name: full(&host.name),
                at: apart(app, &host.destination)?,
            })
        })
    });
    let mut others: Vec<PointedName> = api_server.chain(apart).collect();
    others.sort();
    let mut served: Vec<(String, AppName)> = apps
        .flat_map(|app| {
            let hosts = app.hosts.iter().filter(|host| host.backend().is_some());
            hosts.map(move |host| (full(&host.name), app.name.clone()))
        })
        .collect();
    served.sort();
    Names {
        wildcard,
        others,
        records: certificate_authorities(&environment.domain, &dns.certificate_authorities, dns.ttl)
            .into_iter()
            .collect(),
        served,
        ttl: dns.ttl,
    }
}

/// Where a host leads that does not lead to the gateway.
fn apart(app: &App, destination: &Destination) -> Option<PointsAt> {
    match destination {
        Destination::Gateway { .. } => None,
        Destination::LoadBalancer { service } => Some(PointsAt::Holder(AddressOf::Service {
            namespace: app.name.to_string(),
            name: service.clone(),
        })),
        Destination::Addresses(addresses) => Some(PointsAt::Addresses(addresses.clone())),
    }
}

/// `issue` holds for wildcard certificates too where there is no `issuewild` (RFC 8659, section 4.3).
fn certificate_authorities(domain: &DomainName, authorities: &[DomainName], ttl: u32) -> Option<RecordSet> {
    let mut records: Vec<String> = authorities
        .iter()
        .map(|authority| format!("0 issue \"{authority}\""))
        .collect();
    records.sort_unstable();
    (!records.is_empty()).then(|| RecordSet {
        name: format!("{domain}."),
        record_type: RecordType::Caa,
        ttl,
        records,
    })
}
