//! Keystone, Designate and their name server, in a lab that was asked for them.

use camino::{Utf8Path, Utf8PathBuf};

use super::{LaunchError, acquire, name_server, write_private};
use crate::lab::LabContext;
use crate::lab::component::{Component, find_program};
use crate::lab::designate::{DesignateSpec, Passwords, Ports, Programs, SCHEMA, clouds, processes};
use crate::lab::extra::Extra;

/// Where Debian installs servers, which is often not on a user's `PATH`.
const SERVER_DIRECTORIES: &str = "/usr/sbin:/usr/local/sbin";

/// Where a cloud is.
pub(super) struct Running {
    /// `clouds.yaml`, mode 0600.
    pub(super) clouds_file: Utf8PathBuf,
    /// The name server that Designate fills (`127.0.0.1:PORT`).
    pub(super) name_server: String,
}

/// Starts them, one after the other: Designate asks Keystone who asks it.
pub(super) async fn start(context: &LabContext) -> Result<Option<Running>, LaunchError> {
    if !is_wanted(context) {
        return Ok(None);
    }
    context
        .record
        .change(|record| record.extras.insert(Extra::Designate))?;
    let packages = acquire(context, Component::Designate).await?;
    let directory = context.state.data("designate")?;
    let spec = DesignateSpec {
        zone: name_server::zone(),
        ports: ports(context)?,
        passwords: Passwords::of(|name| context.secrets.get_or_create(&format!("designate-{name}")))?,
        packages: packages.program().to_owned(),
        programs: programs(context)?,
        directory: directory.clone(),
    };
    for process in processes(&spec).map_err(LaunchError::Designate)? {
        context.supervisor.start(process).await?;
    }
    let clouds_file = directory.join("clouds.yaml");
    write_private(&clouds_file, clouds(&spec).expose())?;
    Ok(Some(Running {
        clouds_file,
        name_server: format!("127.0.0.1:{}", spec.ports.name_server),
    }))
}

/// Checks that what it needs is there, where it is asked for.
pub(super) fn check(context: &LabContext) -> Result<(), LaunchError> {
    if !is_wanted(context) {
        return Ok(());
    }
    programs(context).map(drop)
}

/// What the lab was made with, or the user asks for now.
fn is_wanted(context: &LabContext) -> bool {
    let recorded = context.record.current().extras;
    recorded.contains(&Extra::Designate) || context.surroundings.extras.contains(&Extra::Designate)
}

fn ports(context: &LabContext) -> Result<Ports, LaunchError> {
    let ports = &context.ports;
    Ok(Ports {
        keystone: ports.get("keystone")?,
        designate: ports.get("designate")?,
        transfers: ports.get_tcp_and_udp("designate-transfers")?,
        name_server: ports.get_tcp_and_udp("designate-name-server")?,
        name_server_api: ports.get("designate-name-server-api")?,
    })
}

fn programs(context: &LabContext) -> Result<Programs, LaunchError> {
    let places = format!("{}:{SERVER_DIRECTORIES}", context.surroundings.path);
    let wanted = [
        ("python3", "python3"),
        ("pdns_server", "pdns-server"),
        ("sqlite3", "sqlite3"),
    ];
    let found = wanted.map(|(program, _)| find_program(&places, program));
    let without = wanted.iter().zip(&found).filter(|(_, found)| found.is_none());
    let mut missing: Vec<&str> = without.map(|((_, package), _)| *package).collect();
    if !Utf8Path::new(SCHEMA).exists() {
        missing.push("pdns-backend-sqlite3");
    }
    match found {
        [Some(python), Some(name_server), Some(sqlite)] if missing.is_empty() => Ok(Programs {
            python,
            name_server,
            sqlite,
        }),
        _ => Err(LaunchError::DesignateMissing {
            packages: missing.join(" "),
        }),
    }
}
