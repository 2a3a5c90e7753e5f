//! Knot DNS in place of the lab's own name server, where it is installed or asked for: its files and its process.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{DnsServerError, DnsSpec, ZONE_TTL};
use crate::lab::process::{ProcessSpec, ReadinessCheck};
use crate::surface::dns::Rfc2136;

/// How long it may take to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one readiness question waits for its answer; the supervisor asks again.
const READINESS_PATIENCE: Duration = Duration::from_secs(1);

/// Writes Knot's files into the spec's folder and says how to run `program` (`knotd`) with them.
///
/// The zone is written only when there is none yet, so that its records and its serial survive restarts. The key
/// is in a file of its own that only its owner can read.
pub fn process(spec: &DnsSpec, program: Utf8PathBuf) -> Result<ProcessSpec, DnsServerError> {
    let directory = &spec.directory;
    let journal = directory.join("journal");
    fs_err::create_dir_all(&journal).map_err(|source| DnsServerError::Directory {
        directory: journal.clone(),
        source,
    })?;
    let keys = directory.join("knot-key.conf");
    write_secret(&keys, &key_file(spec))?;
    let configuration = directory.join("knot.conf");
    write(&configuration, &configuration_file(spec, &keys, &journal))?;
    let zone = directory.join(format!("{}.knot.zone", spec.zone));
    if !zone.exists() {
        write(&zone, &zone_file(spec))?;
    }
    Ok(ProcessSpec {
        name: "dns".to_owned(),
        program,
        arguments: vec!["-c".to_owned(), configuration.into_string()],
        environment: std::collections::BTreeMap::new(),
        directory: directory.clone(),
        ready: readiness(spec)?,
        ready_within: READY_WITHIN,
    })
}

/// Ready is a server that answers for the zone with authority.
pub(super) fn readiness(spec: &DnsSpec) -> Result<ReadinessCheck, DnsServerError> {
    let zone = Rfc2136::new(spec.address.to_string(), spec.zone.clone(), spec.key.clone())
        .map_err(|source| DnsServerError::Client { source })?;
    let zone = Arc::new(zone.with_patience(READINESS_PATIENCE));
    Ok(Arc::new(move || {
        let zone = Arc::clone(&zone);
        Box::pin(async move { zone.serial().await.map(|_| ()).map_err(|error| error.to_string()) })
    }))
}

fn key_file(spec: &DnsSpec) -> String {
    format!(
        "key:\n  - id: \"{}\"\n    algorithm: {}\n    secret: \"{}\"\n",
        spec.key.name,
        spec.key.algorithm,
        spec.key.secret.expose()
    )
}

fn configuration_file(spec: &DnsSpec, keys: &Utf8Path, journal: &Utf8Path) -> String {
    let directory = &spec.directory;
    let (address, port) = (spec.address.ip(), spec.address.port());
    let (key, zone) = (&spec.key.name, &spec.zone);
    format!(
        r#"include: "{keys}"
server:
    rundir: "{directory}"
    listen: "{address}@{port}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{journal}"
    journal-db-max-size: 16M
acl:
  - id: update
    key: "{key}"
    action: [update, transfer]
zone:
  - domain: "{zone}"
    storage: "{directory}"
    file: "{zone}.knot.zone"
    acl: update
"#
    )
}

/// The records every zone has: SOA, NS and the name server's address.
fn zone_file(spec: &DnsSpec) -> String {
    let record_type = if spec.address.is_ipv4() { "A" } else { "AAAA" };
    format!(
        "$ORIGIN {}.\n$TTL {ZONE_TTL}\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns {record_type} {}\n",
        spec.zone,
        spec.address.ip()
    )
}

fn write(path: &Utf8Path, text: &str) -> Result<(), DnsServerError> {
    fs_err::write(path, text).map_err(|source| DnsServerError::Configuration {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only its owner can read, from its first moment on.
fn write_secret(path: &Utf8Path, text: &str) -> Result<(), DnsServerError> {
    use std::io::Write as _;

    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or_else(|| Utf8Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| DnsServerError::Configuration {
        path: path.to_owned(),
        source,
    })
}
