//! `lotse secrets key`: a person's own key.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8PathBuf;
use clap::Args;

use super::super::{CommandError, Exit, Kind, Settings, ui};
use crate::age::Identity;
use crate::secret::Secret;

/// Print the recipient of your own key; make the key where there is none
///
/// The key is where sops looks for it: in `SOPS_AGE_KEY_FILE`, else in `sops/age/keys.txt` below `XDG_CONFIG_HOME`
/// (`~/.config`). It is readable by you only and never shown.
#[derive(Debug, Args)]
pub(super) struct KeyArguments {}

pub(super) fn run(_arguments: &KeyArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let path = place(settings)?;
    let identity = match fs_err::read_to_string(&path) {
        Ok(text) => first_identity(&text).ok_or_else(|| {
            CommandError::new(Kind::Failed, format!("{path} has no age key"))
                .hint("a key begins with AGE-SECRET-KEY-1; move the file away to have a new one made")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let identity = Identity::generate();
            create(&path, &identity).map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
            ui::eprint(&format!(
                "made a key in {path}: keep a copy where others can't read it\n"
            ));
            identity
        }
        Err(error) => return Err(CommandError::from_error(Kind::Failed, &error)),
    };
    ui::print(&format!("{}\n", identity.recipient()));
    ui::eprint(
        "write it as `age: ...` beside your login in people.yaml; whoever can open the files then runs\n\
                `lotse secrets rekey ENVIRONMENT`\n",
    );
    Ok(Exit::Done)
}

fn place(settings: &Settings) -> Result<Utf8PathBuf, CommandError> {
    let value = |name| settings.variables.get(name).filter(|value| !value.is_empty());
    if let Some(path) = value("SOPS_AGE_KEY_FILE") {
        return Ok(path.into());
    }
    let configuration = value("XDG_CONFIG_HOME").map(Utf8PathBuf::from);
    let home = value("HOME").map(|home| Utf8PathBuf::from(home).join(".config"));
    let folder = configuration.or(home).ok_or_else(|| {
        CommandError::new(
            Kind::Usage,
            "neither HOME nor XDG_CONFIG_HOME says where keys are kept",
        )
    })?;
    Ok(folder.join("sops/age/keys.txt"))
}

/// A file may have several; any of them opens what is encrypted to its recipient.
fn first_identity(text: &str) -> Option<Identity> {
    text.lines()
        .find_map(|line| Identity::read(&Secret::new(line)).ok())
}

fn create(path: &Utf8PathBuf, identity: &Identity) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let mut file = fs_err::OpenOptions::new();
    file.options_mut().mode(0o600);
    let mut file = file.write(true).create_new(true).open(path)?;
    writeln!(
        file,
        "# public key: {}\n{}",
        identity.recipient(),
        identity.secret().expose()
    )?;
    file.sync_all()
}
