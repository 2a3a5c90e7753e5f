//! How Keycloak is run from a shared, read-only installation: as one Java process with a home of its own.
//!
//! Keycloak's home (`-Dkc.home.dir`) is a directory of the lab with `conf`, `providers`, `data` and a link `lib`
//! to the installation's, so nothing is ever written into the installation. To start it, as `java` of
//! [`super::super::Components::java`] with the home as working directory:
//!
//! ```text
//! java <java_arguments(keycloak, home)>
//!      --hostname=https://127.0.0.1:PORT --https-port=PORT
//!      --https-certificate-file=CERT --https-certificate-key-file=KEY
//!      --http-management-host=127.0.0.1 --http-management-port=MANAGEMENT --http-management-scheme=http
//! ```
//!
//! It is ready when `http://127.0.0.1:MANAGEMENT/health/ready` answers 200; every answer before that is a
//! line in its log. The administrator is [`ADMINISTRATOR`] with the password that [`prepare_home`] gives;
//! the `KC_BOOTSTRAP_ADMIN_*` variables have no effect, since the master realm is there already.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use camino::Utf8Path;
use fs_err::os::unix::fs::symlink;

use crate::lab::component::Acquired;
use crate::secret::Secret;

/// The administrator of the master realm.
pub(super) const ADMINISTRATOR: &str = "admin";

/// The database, below Keycloak's home and below an entry's `share/`.
const DATABASE: &str = "h2/keycloakdb.mv.db";
/// The administrator's password, beside the database.
const PASSWORD: &str = "h2/admin-password";

/// Packages that Keycloak's libraries reach into.
const OPENED: [&str; 4] = ["java.util", "java.util.concurrent", "java.security", "java.lang"];

/// The arguments that make Java start `keycloak` with its home at `home`, up to and with `start`; options
/// of the lab follow them.
#[must_use]
pub fn java_arguments(keycloak: &Acquired, home: &Utf8Path) -> Vec<String> {
    let mut arguments = machine_arguments(&keycloak.share("keycloak"), home);
    let options = ["start", "--optimized", "--cache=local", "--http-host=127.0.0.1"];
    arguments.extend(options.map(str::to_owned));
    arguments
}

/// Makes `home` ready for a first start, with a copy of the prepared database, and gives the password of its
/// administrator `admin`. Changes nothing in a home that has a database.
///
/// The password and the keys of the master realm are those of the prepared database: all labs that share one
/// cache share them.
pub fn prepare_home(keycloak: &Acquired, home: &Utf8Path) -> io::Result<Secret> {
    lay_out_home(&keycloak.share("keycloak"), home)?;
    let data = home.join("data");
    if !data.join(DATABASE).exists() {
        fs_err::create_dir_all(data.join("h2"))?;
        let password = fs_err::read_to_string(keycloak.share(PASSWORD))?;
        write_secret(&data.join(PASSWORD), &Secret::new(password))?;
        let partial = data.join("h2/partial");
        fs_err::copy(keycloak.share(DATABASE), &partial)?;
        fs_err::rename(&partial, data.join(DATABASE))?;
    }
    fs_err::read_to_string(data.join(PASSWORD)).map(Secret::new)
}

/// The directories that Keycloak expects in its home.
pub(super) fn lay_out_home(installation: &Utf8Path, home: &Utf8Path) -> io::Result<()> {
    fs_err::create_dir_all(home.join("conf"))?;
    fs_err::create_dir_all(home.join("providers"))?;
    let link = home.join("lib");
    if link.is_symlink() {
        fs_err::remove_file(&link)?;
    }
    symlink(installation.join("lib"), link)
}

/// Keeps the database made in `home` below `share/` of `entry`.
pub(super) fn keep_database(home: &Utf8Path, entry: &Utf8Path, password: &Secret) -> io::Result<()> {
    let share = entry.join("share");
    fs_err::create_dir_all(share.join("h2"))?;
    fs_err::rename(home.join("data").join(DATABASE), share.join(DATABASE))?;
    write_secret(&share.join(PASSWORD), password)
}

fn write_secret(path: &Utf8Path, secret: &Secret) -> io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.options_mut().mode(0o600);
    options.open(path)?.write_all(secret.expose().as_bytes())
}

/// What `kc.sh` gives Java, but for a small machine: the fast compiler alone and the collector with the
/// smallest footprint, which together halve the processor time of a start.
pub(super) fn machine_arguments(installation: &Utf8Path, home: &Utf8Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-Xms64m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-Dfile.encoding=UTF-8",
        "-Duser.language=en",
        "-Duser.country=US",
        "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
        "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
        "-Dpicocli.disable.closures=true",
        "-Dquarkus-log-max-startup-records=10000",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(OPENED.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")));
    arguments.push(format!("-Dkc.home.dir={home}"));
    arguments.extend([
        "-cp".to_owned(),
        installation.join("lib/quarkus-run.jar").into_string(),
    ]);
    arguments.push("io.quarkus.bootstrap.runner.QuarkusEntryPoint".to_owned());
    arguments
}
