//! Where a kubeconfig goes: standard output, a file of its own, or the one that kubectl reads.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::cli::{CommandError, Kind, Settings, ui};
use crate::config::yaml;
use crate::kubernetes::merged;
use crate::temporary::refuse_device;

/// Only its owner may read it.
const PRIVATE: u32 = 0o600;

/// Where a kubeconfig goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard output.
    Output,
    /// A file of its own, mode 0600.
    File(Utf8PathBuf),
    /// Beside what a file has already.
    Merged(Utf8PathBuf),
}

impl Place {
    /// The file that kubectl writes to: the first of `KUBECONFIG`, otherwise `~/.kube/config`.
    pub(super) fn of_kubectl(settings: &Settings) -> Result<Self, CommandError> {
        let variable = |name| settings.variables.get(name).filter(|value| !value.is_empty());
        let named = variable("KUBECONFIG").and_then(|paths| paths.split(':').find(|path| !path.is_empty()));
        let path = match (named, variable("HOME")) {
            (Some(path), _) => Utf8PathBuf::from(path),
            (None, Some(home)) => Utf8Path::new(home).join(".kube/config"),
            (None, None) => {
                return Err(CommandError::new(
                    Kind::Usage,
                    "neither KUBECONFIG nor HOME says where kubectl's file is",
                )
                .hint("`--out FILE` writes one of its own"));
            }
        };
        Ok(Self::Merged(path))
    }

    /// Whether the kubeconfig could be written there; asked before anything is done for it.
    pub(super) fn check(&self, context: &str) -> Result<(), CommandError> {
        let Self::File(path) = self else { return Ok(()) };
        if fs_err::metadata(path).is_ok_and(|there| !there.is_file()) {
            let message = format!("{path} is there already and no plain file");
            return Err(CommandError::new(Kind::Usage, message)
                .hint("name another file; without `--out` it goes to standard output"));
        }
        let there = match fs_err::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
                return match folder {
                    Some(folder) if !folder.is_dir() => Err(CommandError::new(
                        Kind::Usage,
                        format!("there is no folder {folder}"),
                    )),
                    _ => Ok(()),
                };
            }
            other => other.map_err(|error| CommandError::from_error(Kind::Failed, &error))?,
        };
        let contexts = yaml::parse::<Value>(&there).map(|there| there["contexts"].clone());
        let is_ours = contexts.is_ok_and(|contexts| {
            contexts
                .as_array()
                .is_some_and(|all| all.len() == 1 && all[0]["name"] == context)
        });
        if is_ours {
            return Ok(());
        }
        Err(CommandError::new(
            Kind::Usage,
            format!("{path} is there already and holds something else"),
        )
        .hint("name another file; `--merge` adds to the one that kubectl reads"))
    }

    /// Writes `content` and says where it is.
    pub(super) fn write(&self, content: &Value, name: &str) -> Result<(), CommandError> {
        match self {
            Self::Output => ui::print(&text(content)?),
            Self::File(path) => {
                replace(path, &text(content)?, PRIVATE).map_err(|error| failed(path, &error))?;
                ui::eprint(&format!("wrote {path}: `kubectl --kubeconfig {path}`\n"));
            }
            Self::Merged(path) => {
                merge(path, content)?;
                ui::eprint(&format!(
                    "the context `{name}` is in {path}, and is the current one\n"
                ));
            }
        }
        Ok(())
    }
}

fn text(content: &Value) -> Result<String, CommandError> {
    yaml::to_text(content).map_err(|error| CommandError::internal("the kubeconfig can't be written", error))
}

fn failed(path: &Utf8Path, error: &io::Error) -> CommandError {
    CommandError::new(Kind::Failed, format!("{path} can't be written: {error}"))
        .hint("nothing was changed there")
}

/// Adds `content` to the file at `path`, under the lock that kubectl takes as well.
fn merge(path: &Utf8Path, content: &Value) -> Result<(), CommandError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(|error| failed(path, &error))?;
    }
    let path = &path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let lock = Lock::take(path)?;
    let (there, mode) = match fs_err::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), PRIVATE),
        Err(error) => return Err(failed(path, &error)),
        Ok(text) => {
            let metadata = fs_err::metadata(path).map_err(|error| failed(path, &error))?;
            (text, metadata.permissions().mode() & 0o777)
        }
    };
    let there = if there.trim().is_empty() {
        Value::Null
    } else {
        // What the parser says could show a part of the text.
        yaml::parse(&there)
            .map_err(|_| CommandError::new(Kind::Failed, format!("{path} is no kubeconfig")).hint(BESIDE))?
    };
    let after = merged(there, content)
        .map_err(|error| CommandError::new(Kind::Failed, format!("{path}: {error}")).hint(BESIDE))?;
    replace(path, &text(&after)?, mode).map_err(|error| failed(path, &error))?;
    drop(lock);
    Ok(())
}

const BESIDE: &str = "nothing was changed; `--out FILE` writes a file of its own";

/// The file is either the old or the new one.
fn replace(path: &Utf8Path, text: &str, mode: u32) -> io::Result<()> {
    refuse_device(path)?;
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
    let mut temporary = tempfile::Builder::new()
        .prefix(".lotse-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder.unwrap_or_else(|| Utf8Path::new(".")))?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map(drop).map_err(|error| error.error)
}

/// kubectl's lock of a kubeconfig: a file beside it that exists as long as somebody writes.
struct Lock(Utf8PathBuf);

impl Lock {
    fn take(path: &Utf8Path) -> Result<Self, CommandError> {
        let lock = Utf8PathBuf::from(format!("{path}.lock"));
        let made = fs_err::File::options().write(true).create_new(true).open(&lock);
        match made {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CommandError::new(
                Kind::Failed,
                format!("another program writes to {path} just now"),
            )
            .hint(format!(
                "run the command again; where no such program runs, remove {lock}"
            ))),
            Err(error) => Err(failed(path, &error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(fs_err::remove_file(&self.0));
    }
}
