//! What a lab keeps on disk: one directory per lab, readable by its owner only.
//!
//! ```text
//! <state root>/labs/<name>/
//!   lab.json       who this lab is, its ports and its processes
//!   secrets.json   passwords and tokens made for it
//!   pki/           its certificate authority and what that issued
//!   data/          one directory per component
//!   logs/          one file per component
//!   control.sock   where its supervisor answers
//! ```
//!
//! Knows nothing of the components themselves.

mod lock;
mod ports;
mod record;
mod secrets;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::files;
use crate::names::LabName;

pub(super) use lock::DirectoryLock;
pub use ports::Ports;
pub use record::LabRecord;
pub(super) use record::RecordFile;
pub use secrets::LabSecrets;

/// Longest path of a Unix socket in bytes (`sun_path` of unix(7) without its closing zero).
const SOCKET_PATH_LIMIT: usize = 107;

/// What a lab with one cluster has written after an hour, with a reserve.
const NEW_LAB_MEBIBYTES: u64 = 300;
/// What one that has its data already may still write soon.
const KEPT_LAB_MEBIBYTES: u64 = 80;

/// Why the state of a lab can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory of it.
    #[error("{source}")]
    Io {
        /// What the system says, with the path.
        source: io::Error,
    },
    /// `lab.json` or `secrets.json` is not what this version writes.
    #[error("`{path}` can't be read: {reason}; `lotse lab down` removes the lab, then it can be made anew")]
    Unreadable {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system is too full.
    #[error("a lab needs {needed} MiB in {path}, and {free} MiB are left there")]
    NoSpace {
        /// The lab's directory.
        path: Utf8PathBuf,
        /// What is left, in MiB.
        free: u64,
        /// What is needed, in MiB.
        needed: u64,
    },
    /// The control socket's path is too long for the system.
    #[error(
        "the path of the control socket, `{path}`, has {length} bytes, and the system takes at most {SOCKET_PATH_LIMIT}; \
         choose a shorter lab name or a shorter XDG_STATE_HOME"
    )]
    SocketPath {
        /// The path.
        path: Utf8PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A port that was given to a component is taken by somebody else.
    #[error(
        "port {port} of the lab's `{name}` is in use by {holder}; end that, or make the lab anew on other ports \
         with `lotse lab down`"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// What it is for.
        name: String,
        /// Who has it, as far as the system tells.
        holder: String,
    },
    /// The system gave no port.
    #[error("finding a free port on 127.0.0.1 for `{name}`")]
    NoPort {
        /// What it is for.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl StateError {
    /// What to do about it, where the error itself does not say.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        let make_room = Some("make room there, or choose another place with XDG_STATE_HOME");
        let source = match self {
            Self::NoSpace { .. } => return make_room,
            Self::Io { source } => source,
            _ => return None,
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => make_room,
            io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory => Some("choose another place with XDG_STATE_HOME"),
            _ => None,
        }
    }
}

impl From<io::Error> for StateError {
    fn from(source: io::Error) -> Self {
        Self::Io { source }
    }
}

/// The directory of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory {
    root: Utf8PathBuf,
}

impl StateDirectory {
    /// The directory of the lab `name` below `state_root`. Creates nothing.
    pub fn locate(state_root: &Utf8Path, name: &LabName) -> Result<Self, StateError> {
        let directory = Self {
            root: labs_directory(state_root).join(name.as_str()),
        };
        let path = directory.socket();
        let length = path.as_str().len();
        if length > SOCKET_PATH_LIMIT {
            return Err(StateError::SocketPath { path, length });
        }
        Ok(directory)
    }

    /// Makes the directory where it is missing.
    pub fn create(&self) -> Result<(), StateError> {
        Ok(files::create_private_directory(&self.root)?)
    }

    /// Whether the lab has any state.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Checks that there is room for what the components of a lab write.
    pub fn check_space(&self) -> Result<(), StateError> {
        let needed = if self.root.join("data").exists() {
            KEPT_LAB_MEBIBYTES
        } else {
            NEW_LAB_MEBIBYTES
        };
        let system = rustix::fs::statvfs(self.root.as_std_path()).map_err(io::Error::from)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize) >> 20;
        if free >= needed {
            return Ok(());
        }
        Err(StateError::NoSpace {
            path: self.root.clone(),
            free,
            needed,
        })
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The directory in which `component` (`etcd`, `moin/kube-apiserver`) keeps its data, made where it is missing,
    /// mode 0700.
    pub fn data(&self, component: &str) -> Result<Utf8PathBuf, StateError> {
        let directory = self.root.join("data").join(component);
        files::create_private_directory(&directory)?;
        Ok(directory)
    }

    /// The log file of `component`. It need not be there yet.
    #[must_use]
    pub fn log(&self, component: &str) -> Utf8PathBuf {
        self.logs().join(format!("{component}.log"))
    }

    /// Where the log files are.
    #[must_use]
    pub fn logs(&self) -> Utf8PathBuf {
        self.root.join("logs")
    }

    /// Where certificates and keys are.
    #[must_use]
    pub fn pki(&self) -> Utf8PathBuf {
        self.root.join("pki")
    }

    pub(super) fn socket(&self) -> Utf8PathBuf {
        self.root.join("control.sock")
    }

    fn record(&self) -> Utf8PathBuf {
        self.root.join("lab.json")
    }

    fn secrets(&self) -> Utf8PathBuf {
        self.root.join("secrets.json")
    }
}

fn labs_directory(state_root: &Utf8Path) -> Utf8PathBuf {
    state_root.join("labs")
}

/// The labs that have state below `state_root`, by name.
#[must_use]
pub fn known_labs(state_root: &Utf8Path) -> Vec<LabName> {
    let Ok(entries) = labs_directory(state_root).read_dir_utf8() else {
        return Vec::new();
    };
    let mut names: Vec<LabName> = entries
        .filter_map(|entry| LabName::new(entry.ok()?.file_name()).ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_socket_path_that_is_too_long_is_refused() {
        let root = Utf8PathBuf::from("/").join("x".repeat(90));
        let error = StateDirectory::locate(&root, &LabName::new("default").unwrap()).unwrap_err();
        assert!(
            matches!(error, StateError::SocketPath { length: 117, .. }),
            "{error}"
        );
    }

    #[test]
    fn test_known_labs_are_sorted_and_none_where_nothing_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        assert_eq!(known_labs(root), Vec::new());
        for name in ["two", "one"] {
            let name = LabName::new(name).unwrap();
            StateDirectory::locate(root, &name).unwrap().create().unwrap();
        }
        let names: Vec<String> = known_labs(root).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["one", "two"]);
    }
}
