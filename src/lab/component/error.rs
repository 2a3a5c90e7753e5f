//! Why a component can't be had, each with what to do about it.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Component, NeededProgram};

/// Why a component can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The cache directory can't be written.
    #[error(
        "{path} can't be written; make it writable, name another cache directory by XDG_CACHE_HOME, or give the \
         components by --assets"
    )]
    CacheReadOnly {
        /// What was to be written.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file system of the cache, or of Go's caches, is full.
    #[error(
        "no space left while making {name} in {path}; all components need about 2 GB there and 15 GB in Go's own \
         caches (`go clean -cache` empties the larger one)", name = component.name()
    )]
    DiskFull {
        /// What was being made.
        component: Component,
        /// Where.
        path: Utf8PathBuf,
    },
    /// Another failure of the file system.
    #[error("failed to write {name} into the cache at {path}", name = component.name())]
    Cache {
        /// What was being made.
        component: Component,
        /// Where.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Programs that the lab runs or is built with aren't there.
    #[error("the lab needs {}", in_words(missing))]
    ProgramsMissing {
        /// All of them.
        missing: Vec<NeededProgram>,
    },
    /// A program that makes components isn't there.
    #[error("{name} is made with `{tool}`, which is not on PATH; {remedy}, or give {name} by --assets", name = component.name())]
    ToolMissing {
        /// What was being made.
        component: Component,
        /// The program.
        tool: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// A program that makes components could not be run.
    #[error("`{tool}` can't be run")]
    ToolBroken {
        /// The program.
        tool: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The installed Go is too old for the module.
    #[error(
        "{name} needs Go {needed} or newer and `go` on PATH is {found}; install it from https://go.dev/dl (or \
         `apt-get install golang-go` where that is new enough), or give {name} by --assets", name = component.name()
    )]
    GoTooOld {
        /// What was being made.
        component: Component,
        /// What go.mod asks for.
        needed: String,
        /// What is installed.
        found: String,
    },
    /// There is no C compiler.
    #[error("{name} is built with a C compiler, and none is on PATH; `apt-get install gcc libc6-dev`, or give {name} by --assets", name = component.name())]
    CompilerMissing {
        /// What was being made.
        component: Component,
    },
    /// Java is there in a version that Keycloak does not run on.
    #[error(
        "Keycloak needs Java 17, 21 or newer, and `java` on PATH is {found}; `apt-get install openjdk-17-jre-headless` \
         (or openjdk-21-jre-headless)"
    )]
    JavaUnsuited {
        /// What it says of itself.
        found: String,
    },
    /// Java is there and does not say which version it is.
    #[error(
        "Keycloak needs Java 17, 21 or newer, and `java` on PATH does not tell its version: it ended with {status} and \
         said: {said}; `apt-get install openjdk-17-jre-headless` (or openjdk-21-jre-headless)"
    )]
    JavaSilent {
        /// How it ended.
        status: String,
        /// Its first line.
        said: String,
    },
    /// The module proxy does not give a module.
    #[error(
        "the module proxy refused what {name} needs: {message}; check GOPROXY and GOPRIVATE, or give {name} by --assets",
        name = component.name()
    )]
    ModuleRefused {
        /// What was being made.
        component: Component,
        /// What Go says.
        message: String,
    },
    /// A module or artifact could not be downloaded.
    #[error(
        "the network did not give what {name} needs: {message}; check the connection, HTTPS_PROXY and GOPROXY, or give {name} \
         by --assets", name = component.name()
    )]
    Network {
        /// What was being made.
        component: Component,
        /// What the program says.
        message: String,
    },
    /// A download is not what the pins say.
    #[error(
        "a download for {name} is not what is pinned: {message}; remove the damaged copy (`go clean -modcache` for Go \
         modules, the file below ~/.m2 for Keycloak) and try again. If it comes back, somebody is changing the download",
        name = component.name()
    )]
    ChecksumMismatch {
        /// What was being made.
        component: Component,
        /// Which one, with what was expected and found.
        message: String,
    },
    /// A program that makes components failed for another reason.
    #[error("making {name} failed: `{tool}` ended with {status} and said last:\n{last}", name = component.name())]
    BuildFailed {
        /// What was being made.
        component: Component,
        /// The program.
        tool: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        last: String,
    },
    /// Keycloak's zip can't be unpacked.
    #[error("{path} can't be unpacked; remove it and try again")]
    Unpack {
        /// The zip.
        path: Utf8PathBuf,
        /// What the zip reader says.
        #[source]
        source: zip::result::ZipError,
    },
    /// The program itself is ending.
    #[error("making {name} was interrupted", name = component.name())]
    Interrupted {
        /// What was being made.
        component: Component,
        /// What the runtime says.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl ComponentError {
    /// What a failure of the file system at `path` means for the user.
    pub(super) fn from_io(component: Component, path: &Utf8Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory => Self::CacheReadOnly { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { component, path },
            _ => Self::Cache {
                component,
                path,
                source,
            },
        }
    }
}

fn in_words(missing: &[NeededProgram]) -> String {
    let lines: Vec<String> = missing.iter().map(|program| program.in_words()).collect();
    match lines.as_slice() {
        [line] => format!("a program that is not on PATH, {line}"),
        _ => format!("programs that are not on PATH:\n- {}", lines.join("\n- ")),
    }
}
