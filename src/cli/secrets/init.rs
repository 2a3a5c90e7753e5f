//! `lotse secrets init`: the cluster's key.

use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::super::environment::{find_lab, management};
use super::super::files;
use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Kind, Settings, ui};
use super::sealed;
use crate::age::{Identity, Recipient};
use crate::config::Loaded;
use crate::config::file::Replacement;
use crate::kubernetes::{Cluster, ObjectReference};
use crate::names::EnvironmentName;
use crate::secret::Secret;
use crate::surface::management::IdentityPlace;

/// More than any file of keys has.
const KEY_LIMIT: u64 = 64 << 10;

/// Make the cluster's key, keep it on the management cluster, and write its recipient into environment.yaml
///
/// The secret key is a Secret beside the Cluster: a bring-up gives it to Flux before the first sync, from any computer.
/// It is made once, shown to nobody and never overwritten. Have a member of a team in `secrets.teams` as well, so that
/// what is encrypted can be opened without the management cluster.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse secrets init scs-prod
  lotse secrets init scs-prod --import < keys.txt     a key that there is already, from a file of age")]
pub(super) struct InitArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Take the key from standard input in place of making one
    #[arg(long)]
    import: bool,
    /// Make another key where the declared one is lost, and write its recipient in place of that
    #[arg(long, conflicts_with = "import")]
    new: bool,
}

pub(super) async fn run(
    arguments: &InitArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let loaded = workspace.open_declared(&arguments.environment)?;
    let imported = if arguments.import {
        Some(import().await?)
    } else {
        None
    };
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let cluster = management(&loaded, settings, lab.as_ref()).await?;
    let declared = &loaded.declarations.environment;
    let place = IdentityPlace::of(&declared.name, &declared.management.namespace);
    let path = Utf8PathBuf::from(format!("environments/{}/environment.yaml", declared.name));
    let text = files::text(workspace, &path)?;
    // One that is taken over from another environment is not this one's.
    let recipient = declared
        .encryption
        .as_ref()
        .map(|encryption| &encryption.recipient);
    let recipient = recipient.filter(|recipient| text.contains(recipient.as_str()));
    let kept = place.read(&cluster).await.map_err(|error| failed(&error))?;
    let (identity, is_new) = match (kept, imported) {
        (Some(kept), Some(imported)) if kept.recipient() != imported.recipient() => {
            let message = "the management cluster keeps another key, which is not overwritten";
            return Err(other_key(&place, message));
        }
        (Some(kept), _) => (kept, false),
        (None, Some(imported)) => (imported, true),
        (None, None) if recipient.is_some() && !arguments.new => {
            let message = "secrets.recipient is declared, and the management cluster does not keep its key";
            return Err(other_key(&place, message).hint(
                "`--import` gives it a copy of the key; where there is none, `--new` makes another and writes its recipient",
            ));
        }
        (None, None) => (Identity::generate(), true),
    };
    let found = identity.recipient();
    let is_other = recipient.is_some_and(|recipient| *recipient != found);
    if is_other && !arguments.new {
        return Err(other_key(
            &place,
            "the key belongs to another recipient than secrets.recipient; `--new` writes that of the key",
        ));
    }
    if is_new {
        make_namespace(&cluster, declared.management.namespace.as_str()).await?;
        place
            .keep(&cluster, &identity)
            .await
            .map_err(|error| failed(&error))?;
        ui::eprint(&format!(
            "the management cluster keeps the key as {}\n",
            place.reference()
        ));
    }
    match recipient {
        Some(recipient) if is_other => {
            let after = text.replace(recipient.as_str(), found.as_str());
            replace(workspace, &path, (&text, &after))?;
        }
        Some(_) if !is_new => ui::eprint("the key is there and declared: nothing to do\n"),
        Some(_) => {}
        None => replace(workspace, &path, (&text, &with_secrets(&text, &found)))?,
    }
    if declared.lab.is_some() && is_new {
        ui::eprint(
            "the key ends with the lab: what is encrypted to it alone can't be opened in another one\n",
        );
    }
    tell_files(&loaded, &identity, workspace)?;
    ui::print(&format!("{found}\n"));
    Ok(Exit::Done)
}

/// Says which files the cluster can't open with this key.
fn tell_files(loaded: &Loaded, identity: &Identity, workspace: &Workspace<'_>) -> Result<(), CommandError> {
    let mut declarations = loaded.declarations.clone();
    if let Some(encryption) = &mut declarations.environment.encryption {
        encryption.recipient = identity.recipient();
    }
    let files = sealed::files(workspace.root, &declarations).map_err(|error| failed(&error))?;
    let closed = files
        .iter()
        .filter(|file| file.opens.iter().all(|reader| reader.person.is_some()));
    let closed: Vec<&str> = closed.map(|file| file.path.as_str()).collect();
    if !closed.is_empty() && declarations.environment.encryption.is_some() {
        ui::eprint(&format!(
            "the cluster can't open {} yet: `lotse secrets rekey {}`, by somebody who can\n",
            closed.join(", "),
            declarations.environment.name
        ));
    }
    Ok(())
}

/// `secrets` at the end of an environment.yaml.
fn with_secrets(text: &str, recipient: &Recipient) -> String {
    let start = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{start}secrets: {{recipient: {recipient}}}\n")
}

/// Writes environment.yaml, whatever is wrong with other files: encrypted ones may be for an earlier key.
fn replace(
    workspace: &Workspace<'_>,
    path: &Utf8Path,
    (before, after): (&str, &str),
) -> Result<(), CommandError> {
    if crate::config::yaml::documents(after).is_err() {
        let message = format!("{path} declares `secrets` in a way that can't be added to");
        return Err(CommandError::new(Kind::Failed, message)
            .hint("take `secrets` out of it and run the command again; the key is kept"));
    }
    Replacement::prepare(workspace.root, path, before, after)
        .and_then(Replacement::finish)
        .map_err(|error| failed(&error))?;
    ui::eprint(&format!("changed {path}\n"));
    Ok(())
}

fn failed(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::from_error(Kind::Failed, error)
}

fn other_key(place: &IdentityPlace, message: &str) -> CommandError {
    CommandError::new(Kind::Failed, message)
        .hint(format!("it is {} there; nothing was changed", place.reference()))
}

async fn import() -> Result<Identity, CommandError> {
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        let read = std::io::stdin().take(KEY_LIMIT).read_to_string(&mut text);
        read.map(|_| Secret::new(text))
    });
    let read = read
        .await
        .map_err(|error| CommandError::internal("the key could not be read", error))?;
    let text = read.map_err(|error| failed(&error))?;
    Identity::read(&text).map_err(|error| {
        CommandError::from_error(Kind::Usage, &error)
            .hint("give one key of age on standard input: `--import < keys.txt`")
    })
}

/// The namespace is what a bring-up makes first, too.
async fn make_namespace(cluster: &Cluster, name: &str) -> Result<(), CommandError> {
    let reference = ObjectReference::new("v1", "Namespace", name);
    let found = cluster.read(&reference).await.map_err(|error| failed(&error))?;
    if found.is_some() {
        return Ok(());
    }
    let namespace = crate::desired::Manifest::build("v1", "Namespace", name, serde_json::Map::new());
    cluster
        .apply(&namespace)
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}
