//! Settings, resolved once: flag, then environment variable, then default.
//!
//! The only place that reads the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{ArgAction, Args};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{CommandError, Kind};
use crate::lab::Extra;
use crate::lab::Surroundings;
use crate::lab::component::Sources;
use crate::lab::dns::NameServer;

/// Arguments every command takes.
#[derive(Debug, Args)]
pub(super) struct GlobalArguments {
    /// Directory of the platform's repository [default: the nearest one above with `environments/`]
    #[arg(
        long,
        short = 'C',
        value_name = "DIR",
        global = true,
        env = "LOTSE_DIRECTORY",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    directory: Option<Utf8PathBuf>,
    /// Log what is done to stderr; twice for requests as well
    #[arg(long, short, action = ArgAction::Count, global = true, help_heading = "Global options")]
    verbose: u8,
    /// Print only data and errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Directory with ready-built lab components, tried before the cache and before building
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "LOTSE_LAB_ASSETS",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    assets: Option<Utf8PathBuf>,
}

/// What the surroundings and the command line come to.
#[derive(Debug)]
pub struct Settings {
    /// The platform's repository.
    pub root: Utf8PathBuf,
    /// Where state is kept that must survive a restart of the machine (`$XDG_STATE_HOME/lotse`).
    pub state: Utf8PathBuf,
    /// Where things are kept that can be made again (`$XDG_CACHE_HOME/lotse`).
    pub cache: Utf8PathBuf,
    /// Where lab components come from.
    pub sources: Sources,
    /// Only data and errors.
    pub quiet: bool,
    /// 0, 1 or 2.
    pub verbosity: u8,
    /// This program, to start itself again.
    pub program: Utf8PathBuf,
    /// Who runs it, and where: a user and a place where only one bring-up of an environment runs at a time.
    pub who: String,
    /// Cancelled when the user interrupts.
    pub interrupted: CancellationToken,
    /// Environment variables that declarations may name with `{env: NAME}`.
    pub variables: BTreeMap<String, String>,
    /// Names of those that can't be used, since their value is not UTF-8.
    pub unreadable: BTreeSet<String>,
}

impl Settings {
    /// Resolves the settings of this run.
    pub(super) fn resolve(arguments: &GlobalArguments) -> Result<Self, CommandError> {
        let cache = base_directory("XDG_CACHE_HOME", ".cache")?;
        let state = base_directory("XDG_STATE_HOME", ".local/state")?;
        Ok(Self {
            root: root(arguments.directory.as_deref())?,
            who: who(&state),
            state,
            sources: Sources {
                assets: arguments.assets.clone(),
                kubebuilder_assets: path_variable("KUBEBUILDER_ASSETS"),
                cache: cache.join("components"),
            },
            cache,
            quiet: arguments.quiet,
            verbosity: arguments.verbose,
            program: program()?,
            interrupted: CancellationToken::new(),
            variables: variables(),
            unreadable: unreadable(),
        })
    }

    /// What the components of a lab get of the environment.
    #[must_use]
    pub fn surroundings(&self, name_server: Option<NameServer>, extras: BTreeSet<Extra>) -> Surroundings {
        let value = |name| self.variables.get(name).cloned().unwrap_or_default();
        Surroundings {
            path: value("PATH"),
            home: value("HOME"),
            has_compiler: self.variables.get("CC").is_some_and(|name| !name.is_empty()),
            name_server,
            extras,
        }
    }

    /// Sends log events to stderr when the user asked for them (`-v`, `-vv` or `LOTSE_LOG`).
    pub(super) fn start_logging(&self) {
        let filter = match (self.variables.get("LOTSE_LOG"), self.verbosity) {
            (Some(filter), _) => EnvFilter::new(filter),
            (None, 0) => return,
            (None, 1) => EnvFilter::new("lotse=info"),
            (None, _) => EnvFilter::new("lotse=debug,kube_client=debug"),
        };
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        drop(subscriber.try_init());
    }
}

/// Whether the user wants colours (<https://no-color.org>).
pub(super) fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn root(asked: Option<&Utf8Path>) -> Result<Utf8PathBuf, CommandError> {
    let here = match asked.filter(|directory| !directory.as_str().is_empty()) {
        Some(directory) => existing(directory)?,
        None => utf8(env::current_dir().map(Into::into), "the current directory")?,
    };
    if here.join("environments").is_dir() {
        return Ok(here);
    }
    let absolute = here.canonicalize_utf8().unwrap_or_else(|_| here.clone());
    let found = absolute
        .ancestors()
        .find(|directory| directory.join("environments").is_dir());
    Ok(found.unwrap_or(&here).to_owned())
}

/// `ada@laptop (/home/ada/.local/state/lotse)`
fn who(state: &Utf8Path) -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(env::var_os);
    let user = user.map_or_else(|| "somebody".into(), |user| user.to_string_lossy().into_owned());
    let host = rustix::system::uname();
    format!("{user}@{} ({state})", host.nodename().to_string_lossy())
}

fn existing(directory: &Utf8Path) -> Result<Utf8PathBuf, CommandError> {
    if directory.is_dir() {
        return Ok(directory.to_owned());
    }
    Err(
        CommandError::new(Kind::Usage, format!("{directory} is not a directory"))
            .hint("--directory names the root of the platform's repository, where `environments/` is"),
    )
}

fn base_directory(variable: &str, below_home: &str) -> Result<Utf8PathBuf, CommandError> {
    let base = match path_variable(variable).filter(|path| path.is_absolute()) {
        Some(base) => base,
        None => path_variable("HOME")
            .ok_or_else(|| {
                CommandError::new(Kind::Usage, "there is no home directory")
                    .hint(format!("set HOME or {variable}"))
            })?
            .join(below_home),
    };
    Ok(base.join("lotse"))
}

fn path_variable(name: &str) -> Option<Utf8PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    value.into_string().ok().map(Utf8PathBuf::from)
}

fn program() -> Result<Utf8PathBuf, CommandError> {
    utf8(env::current_exe().map(Into::into), "the path of this program")
}

fn utf8(path: std::io::Result<OsString>, what: &str) -> Result<Utf8PathBuf, CommandError> {
    let path =
        path.map_err(|error| CommandError::new(Kind::Usage, format!("{what} can't be read: {error}")))?;
    path.into_string()
        .map(Utf8PathBuf::from)
        .map_err(|path| CommandError::new(Kind::Usage, format!("{what} is not UTF-8: {}", path.display())))
}

/// The environment as text; values that are not UTF-8 are left out.
fn variables() -> BTreeMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn unreadable() -> BTreeSet<String> {
    env::vars_os()
        .filter(|(_, value)| value.to_str().is_none())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}
