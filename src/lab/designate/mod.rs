//! OpenStack's DNS service as a lab runs it: Keystone and Designate, and PowerDNS as the name server that Designate fills.
//!
//! Keystone and Designate are two processes of Python, with `SQLite` and without a message broker; PowerDNS comes from the Debian
//! packages `pdns-server` and `pdns-backend-sqlite3`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::process::ProcessSpec;
use super::process::http_ready;
use crate::names::DomainName;
use crate::secret::Secret;
use crate::temporary;

const KEYSTONE: &str = include_str!("serve_keystone.py");
const DESIGNATE: &str = include_str!("serve_designate.py");

/// How long each of them may take to answer for the first time, its database included.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// The tables of PowerDNS' database, of the package of its backend.
pub(in crate::lab) const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
/// The cloud that [`clouds`] describes.
pub const CLOUD: &str = "lab";

/// Where everything is.
#[derive(Clone, Debug)]
pub struct DesignateSpec {
    /// The zone that the project has.
    pub zone: DomainName,
    /// A folder of their own.
    pub directory: Utf8PathBuf,
    /// Their ports, all on `127.0.0.1`.
    pub ports: Ports,
    /// What they know each other by.
    pub passwords: Passwords,
    /// Folder of the Python packages.
    pub packages: Utf8PathBuf,
    /// Programs.
    pub programs: Programs,
}

/// Ports on `127.0.0.1`.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Keystone's API.
    pub keystone: u16,
    /// Designate's API.
    pub designate: u16,
    /// Where Designate gives its zones away.
    pub transfers: u16,
    /// The name server, by UDP and TCP.
    pub name_server: u16,
    /// The name server's own API.
    pub name_server_api: u16,
}

/// Passwords and keys, made anew for each lab.
#[derive(Clone, Debug)]
pub struct Passwords {
    administrator: Secret,
    service: Secret,
    user: Secret,
    credential: Secret,
    name_server: Secret,
}

/// Programs that are not the lab's own.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `python3`.
    pub python: Utf8PathBuf,
    /// `pdns_server`.
    pub name_server: Utf8PathBuf,
    /// `sqlite3`.
    pub sqlite: Utf8PathBuf,
}

impl Passwords {
    /// Each of them as `give` gives it for its name.
    ///
    /// # Errors
    /// That of `give`.
    pub fn of<E>(give: impl Fn(&str) -> Result<Secret, E>) -> Result<Self, E> {
        Ok(Self {
            administrator: give("administrator")?,
            service: give("service")?,
            user: give("user")?,
            credential: give("credential")?,
            name_server: give("name-server")?,
        })
    }
}

/// `clouds.yaml` of the project: an application credential.
#[must_use]
pub fn clouds(spec: &DesignateSpec) -> Secret {
    let secret = spec.passwords.credential.expose();
    Secret::new(format!(
        "clouds:\n  {CLOUD}:\n    auth:\n      auth_url: {}\n      application_credential_name: lotse\n      username: lotse\n      \
         user_domain_id: default\n      application_credential_secret: {secret}\n    region_name: lab\n    interface: public\n",
        keystone_url(spec)
    ))
}

fn keystone_url(spec: &DesignateSpec) -> String {
    format!("http://127.0.0.1:{}/v3", spec.ports.keystone)
}

/// Writes their files, and says how to run them: Keystone, the name server, Designate.
///
/// # Errors
/// When a file can't be written, or the tables of the name server's database can't be made.
pub fn processes(spec: &DesignateSpec) -> std::io::Result<[ProcessSpec; 3]> {
    fs_err::create_dir_all(&spec.directory)?;
    for (name, text) in [
        ("keystone.conf", keystone_conf(spec)),
        ("designate.conf", designate_conf(spec)),
        ("pools.yaml", pools(spec)),
        ("pdns.conf", name_server_conf(spec)),
        ("serve_keystone.py", KEYSTONE.to_owned()),
        ("serve_designate.py", DESIGNATE.to_owned()),
    ] {
        temporary::replace(&spec.directory.join(name), text, temporary::PRIVATE)?;
    }
    fs_err::copy(
        spec.packages.join("etc/designate/api-paste.ini"),
        spec.directory.join("api-paste.ini"),
    )?;
    make_database(spec)?;
    Ok([keystone(spec), name_server(spec), designate(spec)])
}

fn keystone(spec: &DesignateSpec) -> ProcessSpec {
    let more = [
        ("LOTSE_PORT", spec.ports.keystone.to_string()),
        (
            "OS_BOOTSTRAP_PASSWORD",
            spec.passwords.administrator.expose().to_owned(),
        ),
    ];
    let ready = http_ready(keystone_url(spec), None);
    python(spec, "keystone", more.into(), ready)
}

fn designate(spec: &DesignateSpec) -> ProcessSpec {
    let Passwords {
        administrator,
        service,
        user,
        credential,
        ..
    } = &spec.passwords;
    let more = [
        ("LOTSE_PORT", spec.ports.designate.to_string()),
        ("LOTSE_KEYSTONE", keystone_url(spec)),
        ("LOTSE_ZONE", format!("{}.", spec.zone)),
        ("OS_BOOTSTRAP_PASSWORD", administrator.expose().to_owned()),
        ("LOTSE_SERVICE_PASSWORD", service.expose().to_owned()),
        ("LOTSE_USER_PASSWORD", user.expose().to_owned()),
        ("LOTSE_CREDENTIAL", credential.expose().to_owned()),
    ];
    let ready = http_ready(format!("http://127.0.0.1:{}/", spec.ports.designate), None);
    python(spec, "designate", more.into(), ready)
}

fn python(
    spec: &DesignateSpec,
    name: &str,
    more: Vec<(&str, String)>,
    ready: super::process::ReadinessCheck,
) -> ProcessSpec {
    let mut environment = BTreeMap::from([
        ("PYTHONPATH".to_owned(), spec.packages.to_string()),
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ("PYTHONWARNINGS".to_owned(), "ignore".to_owned()),
        ("LOTSE_DIRECTORY".to_owned(), spec.directory.to_string()),
    ]);
    environment.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    ProcessSpec {
        name: name.to_owned(),
        program: spec.programs.python.clone(),
        arguments: vec![spec.directory.join(format!("serve_{name}.py")).into_string()],
        environment,
        directory: spec.directory.clone(),
        ready,
        ready_within: READY_WITHIN,
    }
}

fn name_server(spec: &DesignateSpec) -> ProcessSpec {
    let url = format!("http://127.0.0.1:{}/", spec.ports.name_server_api);
    ProcessSpec {
        name: "designate-name-server".to_owned(),
        program: spec.programs.name_server.clone(),
        arguments: vec![format!("--config-dir={}", spec.directory)],
        environment: BTreeMap::new(),
        directory: spec.directory.clone(),
        ready: http_ready(url, None),
        ready_within: READY_WITHIN,
    }
}

/// Makes the name server's tables where they are not there yet, whole or not at all.
fn make_database(spec: &DesignateSpec) -> std::io::Result<()> {
    let database = spec.directory.join("pdns.sqlite3");
    if database.exists() {
        return Ok(());
    }
    let schema = fs_err::read_to_string(SCHEMA)?;
    let making = spec.directory.join("pdns.sqlite3.making");
    fill(&spec.programs.sqlite, &making, &schema)?;
    fs_err::rename(making, database)
}

/// Carries `statements` out in a database of `SQLite`, which is made where it is not there.
pub(in crate::lab) fn fill(sqlite: &Utf8Path, database: &Utf8Path, statements: &str) -> std::io::Result<()> {
    let mut child = Command::new(sqlite)
        .args(["-bail", database.as_str()])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(statements.as_bytes())?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("sqlite3 ended with {status}")))
}

fn keystone_conf(spec: &DesignateSpec) -> String {
    let directory = &spec.directory;
    format!(
        "[database]\nconnection = sqlite:///{directory}/keystone.db\n[token]\nprovider = fernet\n[fernet_tokens]\n\
         key_repository = {directory}/fernet\n[credential]\nkey_repository = {directory}/credential\n"
    )
}

/// A change is given to the name server at once, and looked for there each second.
fn designate_conf(spec: &DesignateSpec) -> String {
    let DesignateSpec {
        directory,
        ports,
        passwords,
        ..
    } = spec;
    let (transfers, password, keystone) = (ports.transfers, passwords.service.expose(), keystone_url(spec));
    format!(
        "[DEFAULT]\nstate_path = {directory}\ntransport_url = fake:/\nquota_recordset_records = 100\n[oslo_concurrency]\nlock_path = {directory}/locks\n\
         [oslo_messaging_notifications]\ndriver = noop\n[heartbeat_emitter]\nemitter_type = noop\n\
         [storage:sqlalchemy]\nconnection = sqlite:///{directory}/designate.db?timeout=60\n\
         [service:api]\nauth_strategy = keystone\n[service:mdns]\nlisten = 127.0.0.1:{transfers}\n\
         [service:worker]\nenabled = True\npoll_retry_interval = 1\npoll_delay = 1\npoll_timeout = 5\n\
         poll_max_retries = 30\n[producer_task:increment_serial]\ninterval = 1\n[producer_task:delayed_notify]\ninterval = 1\n[producer_task:periodic_secondary_refresh]\ninterval = 3600\n\
         [keystone_authtoken]\nauth_type = password\nauth_url = {keystone}\nwww_authenticate_uri = {keystone}\n\
         username = designate\npassword = {password}\nproject_name = service\nuser_domain_id = default\n\
         project_domain_id = default\ninterface = public\nservice_token_roles_required = False\n"
    )
}

fn pools(spec: &DesignateSpec) -> String {
    let Ports {
        transfers,
        name_server,
        name_server_api,
        ..
    } = spec.ports;
    let (zone, key) = (&spec.zone, spec.passwords.name_server.expose());
    format!(
        "- name: default\n  description: The lab's\n  attributes: {{}}\n  ns_records:\n    - {{hostname: ns.{zone}., priority: 1}}\n  \
         nameservers:\n    - {{host: 127.0.0.1, port: {name_server}}}\n  targets:\n    - type: pdns4\n      description: PowerDNS\n      \
         masters:\n        - {{host: 127.0.0.1, port: {transfers}}}\n      options:\n        host: 127.0.0.1\n        port: {name_server}\n        \
         api_endpoint: http://127.0.0.1:{name_server_api}\n        api_token: {key}\n"
    )
}

fn name_server_conf(spec: &DesignateSpec) -> String {
    let DesignateSpec { directory, ports, .. } = spec;
    let (port, api, key) = (
        ports.name_server,
        ports.name_server_api,
        spec.passwords.name_server.expose(),
    );
    format!(
        "launch=gsqlite3\ngsqlite3-database={directory}/pdns.sqlite3\ngsqlite3-dnssec=no\nlocal-address=127.0.0.1\nlocal-port={port}\n\
         socket-dir={directory}\ndaemon=no\nguardian=no\nsecondary=yes\nallow-notify-from=127.0.0.0/8\nxfr-cycle-interval=1\n\
         api=yes\napi-key={key}\nwebserver=yes\nwebserver-address=127.0.0.1\nwebserver-port={api}\n\
         cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nloglevel=5\n"
    )
}
