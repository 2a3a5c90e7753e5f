//! PowerDNS Authoritative with a database of `SQLite`, of the Debian packages `pdns-server`, `pdns-backend-sqlite3` and
//! `sqlite3`.

use super::backend::{installed, process};
use crate::lab::designate::{SCHEMA, fill};
use crate::lab::dns::DnsSpec;
use crate::lab::process::ProcessSpec;

/// Writes its files into the spec's folder.
pub(super) fn server(spec: &DnsSpec) -> ProcessSpec {
    let directory = &spec.directory;
    let database = directory.join("pdns.sqlite3");
    if !database.exists() {
        let schema = fs_err::read_to_string(SCHEMA);
        let schema = schema.expect("the contract suite needs PowerDNS: install `pdns-backend-sqlite3`");
        let place = directory.join("preparing");
        let statements = format!("{schema}{}", records(spec));
        fill(&installed("sqlite3", "sqlite3"), &place, &statements).unwrap();
        fs_err::rename(&place, &database).unwrap();
    }
    fs_err::write(directory.join("pdns.conf"), configuration_file(spec)).unwrap();
    let arguments = [format!("--config-dir={directory}")];
    process(spec, installed("pdns_server", "pdns-server"), &arguments)
}

/// The zone, who may update it, and how its serial is counted.
fn records(spec: &DnsSpec) -> String {
    let DnsSpec {
        zone, key, address, ..
    } = spec;
    let (name, algorithm, secret) = (&key.name, key.algorithm, key.secret.expose());
    let record = |owner: &str, kind: &str, content: &str| {
        format!(
            "INSERT INTO records (domain_id, name, type, content, ttl, disabled, ordername, auth) \
             VALUES (1, '{owner}', '{kind}', '{content}', 300, 0, '', 1);\n"
        )
    };
    let meta = |kind: &str, content: &str| {
        format!("INSERT INTO domainmetadata (domain_id, kind, content) VALUES (1, '{kind}', '{content}');\n")
    };
    [
        format!("INSERT INTO domains (id, name, type) VALUES (1, '{zone}', 'NATIVE');\n"),
        record(
            zone.as_str(),
            "SOA",
            &format!("ns.{zone} hostmaster.{zone} 1 3600 600 86400 60"),
        ),
        record(zone.as_str(), "NS", &format!("ns.{zone}")),
        record(&format!("ns.{zone}"), "A", &address.ip().to_string()),
        format!(
            "INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('{name}', '{algorithm}', '{secret}');\n"
        ),
        meta("TSIG-ALLOW-DNSUPDATE", name),
        meta("TSIG-ALLOW-AXFR", name),
        meta("SOA-EDIT-DNSUPDATE", "INCREASE"),
    ]
    .concat()
}

fn configuration_file(spec: &DnsSpec) -> String {
    let directory = &spec.directory;
    let (ip, port) = (spec.address.ip(), spec.address.port());
    format!(
        "launch=gsqlite3\ngsqlite3-database={directory}/pdns.sqlite3\ngsqlite3-dnssec=no\nlocal-address={ip}\nlocal-port={port}\n\
         socket-dir={directory}\ndaemon=no\nguardian=no\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n\
         cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nloglevel=5\n"
    )
}
