//! `lotse secrets`: what is encrypted in Git, who can open it, and the keys for that.

mod doctor;
mod init;
mod key;
mod rekey;
mod seal;
mod sealed;
mod write;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};

pub(super) use seal::Sealing;

use super::environment::{find_lab, management};
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings};
use crate::config::{Loaded, sealed as sealed_text};
use crate::lab::component::{Component, Components, find_program};
use crate::names::EnvironmentName;
use crate::secret::Secret;
use crate::surface::management::IdentityPlace;
use crate::surface::sops::{Sops, SopsError};

/// Encrypt secrets in Git, and keep track of who can open them
///
/// Files are encrypted with sops and age: to the cluster's own recipient, which Flux opens, and to those of people in the
/// teams of `secrets.teams`. No command writes a value in plain text to a disk, to a terminal or into arguments.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse secrets init scs-prod                          the cluster's key, once
  lotse secrets key                                    your own key, and its recipient for people.yaml
  lotse secrets set scs-prod environments/scs-prod/apps/web/manifests/database.yaml password < file
  lotse secrets doctor scs-prod                        who can open what, and who should")]
pub(super) struct SecretsArguments {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    Init(init::InitArguments),
    Key(key::KeyArguments),
    Set(write::SetArguments),
    Edit(write::EditArguments),
    Rekey(rekey::RekeyArguments),
    Doctor(doctor::DoctorArguments),
}

impl SecretsArguments {
    /// Whether the command has an editor to end when it is interrupted, and so does that itself.
    pub(super) const fn ends_itself(&self) -> bool {
        matches!(self.command, SecretsCommand::Edit(_))
    }
}

/// Carries the command out.
pub(super) async fn run(arguments: &SecretsArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    match &arguments.command {
        SecretsCommand::Init(arguments) => init::run(arguments, &workspace, settings).await,
        SecretsCommand::Key(arguments) => key::run(arguments, settings),
        SecretsCommand::Set(arguments) => write::set(arguments, &workspace, settings).await,
        SecretsCommand::Edit(arguments) => write::edit(arguments, &workspace, settings).await,
        SecretsCommand::Rekey(arguments) => rekey::run(arguments, &workspace, settings).await,
        SecretsCommand::Doctor(arguments) => doctor::run(arguments, &workspace),
    }
}

/// Which keys open files.
#[derive(Clone, Copy, Debug, Args)]
struct Keys {
    /// Open files with the cluster's key as well, which the management cluster keeps
    #[arg(long)]
    cluster_key: bool,
}

impl Keys {
    /// The program sops, the user's own or else that of the lab where it was built already, with these keys.
    async fn sops(self, loaded: &Loaded, settings: &Settings) -> Result<Sops, CommandError> {
        let program = program(settings)?;
        let key = if self.cluster_key {
            Some(cluster_key(loaded, settings).await?)
        } else {
            None
        };
        Ok(Sops { program, key })
    }
}

async fn cluster_key(loaded: &Loaded, settings: &Settings) -> Result<Secret, CommandError> {
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let cluster = management(loaded, settings, lab.as_ref()).await?;
    let environment = &loaded.declarations.environment;
    let place = IdentityPlace::of(&environment.name, &environment.management.namespace);
    let kept = place.read(&cluster).await;
    let kept = kept.map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
    kept.map(|identity| identity.secret().clone()).ok_or_else(|| {
        let message = format!(
            "the management cluster does not keep the key: there is no {}",
            place.reference()
        );
        CommandError::new(Kind::Failed, message)
    })
}

fn program(settings: &Settings) -> Result<Utf8PathBuf, CommandError> {
    let path = settings
        .variables
        .get("PATH")
        .map(String::as_str)
        .unwrap_or_default();
    let own = find_program(path, "sops");
    let built = || Components::new(settings.sources.clone()).program(Component::Sops);
    own.or_else(built).ok_or_else(|| {
        CommandError::new(Kind::Usage, "the program `sops` is not there").hint(
            "install sops v3.11 or newer (github.com/getsops/sops), or `go install github.com/getsops/sops/v3/cmd/sops@latest`",
        )
    })
}

fn no_secrets(environment: &EnvironmentName) -> CommandError {
    let message = format!("{environment} has no `secrets`, so nobody could open it");
    CommandError::new(Kind::Usage, message).hint(format!(
        "`lotse secrets init {environment}` makes the cluster's key"
    ))
}

/// Whether `text`, which is to be written into `file`, is encrypted as a whole: whatever the program in place of sops did, no
/// value is to get into Git in plain text.
fn check_sealed(file: &Utf8Path, text: &str) -> Result<(), CommandError> {
    let refused = |message: String| Err(CommandError::new(Kind::Failed, message).hint("nothing was written"));
    match sealed_text(text) {
        None => refused(format!("what sops made of {file} is not encrypted")),
        Some(sealed) if sealed.open.is_empty() => Ok(()),
        Some(sealed) => refused(format!(
            "{} of {file} would stand there in plain text: only values below `data` and `stringData` of a Secret are encrypted, and \
             what the file's own `encrypted_regex` says",
            sealed.open.join(", ")
        )),
    }
}

/// Nobody can open `file`, and nothing that is written can mend it.
fn damaged(file: &Utf8Path, damage: &[String]) -> CommandError {
    CommandError::new(Kind::Failed, format!("{file} is damaged: {}", damage.join(", ")))
        .hint(format!("take it from Git as it was before: `git log -- {file}`"))
}

/// What sops said, with what to do about it.
fn of_sops(error: &SopsError) -> CommandError {
    let told = CommandError::from_error(Kind::Failed, error);
    match error {
        SopsError::NotOpened { .. } => told.hint(
            "`lotse secrets doctor` says who can open it; SOPS_AGE_KEY_FILE names the file of your key, \
             ~/.config/sops/age/keys.txt where it is not set; `--cluster-key` takes the cluster's own, for those who may",
        ),
        SopsError::Interrupted { .. } => CommandError {
            kind: Kind::Interrupted,
            ..told
        },
        _ => told,
    }
}

/// The path of `file`, as somebody wrote it where they stand, in the repository.
fn in_repository(file: &Utf8Path, settings: &Settings) -> Result<Utf8PathBuf, CommandError> {
    let outside = || {
        CommandError::new(
            Kind::Usage,
            format!("{file} is not in the repository {}", settings.root),
        )
        .hint("files of an application are in environments/ENVIRONMENT/apps/APP and apps/APP")
    };
    let absolute = camino::absolute_utf8(file).map_err(|_| outside())?;
    let root = settings.root.canonicalize_utf8().map_err(|_| outside())?;
    let folder = absolute.parent().ok_or_else(outside)?;
    let folder = folder.canonicalize_utf8().map_err(|_| {
        CommandError::new(Kind::Usage, format!("there is no folder {folder}")).hint("`mkdir -p` makes it")
    })?;
    let name = absolute.file_name().ok_or_else(outside)?;
    let path = folder.join(name);
    path.strip_prefix(&root)
        .map(Utf8Path::to_owned)
        .map_err(|_| outside())
}
