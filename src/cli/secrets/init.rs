//! `lotse secrets init`: the cluster's key.

use std::io::Read;

use camino::Utf8PathBuf;
use clap::Args;

use super::super::environment::{check_settings, find_lab, management};
use super::super::files::{self, NewFiles};
use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Kind, Settings, ui};
use crate::age::Identity;
use crate::config::Loaded;
use crate::diag::Sources;
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
}

pub(super) async fn run(
    arguments: &InitArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let loaded = workspace.open_declared(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    let imported = if arguments.import { Some(import()?) } else { None };
    let lab = find_lab(&loaded, settings).await?;
    let cluster = management(&loaded, settings, lab.as_ref()).await?;
    let declared = &loaded.declarations.environment;
    let place = IdentityPlace::of(&declared.name, &declared.management.namespace);
    let kept = place.read(&cluster).await.map_err(|error| failed(&error))?;
    let recipient = declared
        .encryption
        .as_ref()
        .map(|encryption| &encryption.recipient);
    let (identity, is_new) = match (kept, imported) {
        (Some(kept), Some(imported)) if kept.recipient() != imported.recipient() => {
            return Err(other_key(
                &place,
                "the management cluster keeps another key, which is not overwritten",
            ));
        }
        (Some(kept), _) => (kept, false),
        (None, Some(imported)) => (imported, true),
        (None, None) if recipient.is_some() => {
            return Err(other_key(
                &place,
                "secrets.recipient is declared, and the management cluster does not keep its key",
            )
            .hint(
                "`--import` gives it a copy; to begin anew, take `secrets` out of environment.yaml first",
            ));
        }
        (None, None) => (Identity::generate(), true),
    };
    if recipient.is_some_and(|recipient| *recipient != identity.recipient()) {
        return Err(other_key(
            &place,
            "the key belongs to another recipient than secrets.recipient",
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
    if recipient.is_none() {
        declare(&loaded, &identity, workspace)?;
    } else if !is_new {
        ui::eprint("the key is there and declared: nothing to do\n");
    }
    ui::print(&format!("{}\n", identity.recipient()));
    Ok(Exit::Done)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::from_error(Kind::Failed, error)
}

fn other_key(place: &IdentityPlace, message: &str) -> CommandError {
    CommandError::new(Kind::Failed, message)
        .hint(format!("it is {} there; nothing was changed", place.reference()))
}

fn import() -> Result<Identity, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin().take(KEY_LIMIT).read_to_string(&mut text);
    read.map_err(|error| failed(&error))?;
    Identity::read(&Secret::new(text)).map_err(|error| {
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

/// Adds `secrets` to environment.yaml.
fn declare(loaded: &Loaded, identity: &Identity, workspace: &Workspace<'_>) -> Result<(), CommandError> {
    let name = &loaded.declarations.environment.name;
    let path = Utf8PathBuf::from(format!("environments/{name}/environment.yaml"));
    let before = files::text(workspace, &path)?;
    let start = if before.ends_with('\n') { "" } else { "\n" };
    let after = format!(
        "{before}{start}secrets: {{recipient: {}}}\n",
        identity.recipient()
    );
    let mut changes = NewFiles::new(Sources::new());
    changes.change(path, before, after);
    files::write(&changes, std::slice::from_ref(name), workspace, false)
}
