//! `lotse secrets set` and `lotse secrets edit`: a value, or a whole file.

use std::io::{IsTerminal, Read};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Kind, Settings, ui};
use super::{Keys, in_repository, of_sops};
use crate::age::Recipient;
use crate::config::file::{Creation, Replacement};
use crate::config::{Loaded, is_sealed, readers, scalar};
use crate::names::EnvironmentName;
use crate::secret::Secret;

/// Longer values belong into something else than a Secret (Kubernetes: at most 1 MiB per object).
const VALUE_LIMIT: u64 = 1 << 20;

/// Give one key of an encrypted Secret a value, which is read from standard input
///
/// Makes the file where there is none: a Secret of the file's name. One newline at the end of the value is left out. A new
/// file needs no key of yours, a file that is there needs one that opens it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl rand -base64 24 | lotse secrets set lab environments/lab/apps/web/manifests/session.yaml key
  lotse secrets set lab environments/lab/apps/web/manifests/database.yaml password     asks for it")]
pub(super) struct SetArguments {
    #[command(flatten)]
    place: Place,
    /// Key in the Secret
    #[arg(value_name = "KEY")]
    key: String,
}

/// Edit an encrypted file in $EDITOR; make it where there is none
///
/// The editor sees plain text, which is kept in memory (/dev/shm) and not written to a disk.
#[derive(Debug, Args)]
pub(super) struct EditArguments {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// The file, which ends in .yaml
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    #[command(flatten)]
    keys: Keys,
}

/// A file of an application, and whom it is to be encrypted to.
struct Target {
    /// Relative to the repository.
    path: Utf8PathBuf,
    recipients: Vec<Recipient>,
}

pub(super) async fn set(
    arguments: &SetArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    check_key(&arguments.key)?;
    let (loaded, target) = target(&arguments.place, workspace, settings)?;
    let sops = arguments.place.keys.sops(&loaded, settings).await?;
    let before = text_of(workspace.root, &target.path)?;
    let value = value(&arguments.key)?;
    let verb = match before {
        None => {
            create(&sops, &target, workspace.root, Some((&arguments.key, &value))).await?;
            "wrote"
        }
        Some(before) => {
            let copy = copy(workspace.root, &target.path, &before)?;
            let copied = Utf8Path::from_path(copy.path()).unwrap_or(&target.path);
            sops.set(copied, &arguments.key, &value)
                .await
                .map_err(|error| of_sops(&error.about(&target.path)))?;
            let after = fs_err::read_to_string(copied).map_err(|error| failed(&error))?;
            Replacement::prepare(workspace.root, &target.path, &before, &after)
                .and_then(Replacement::finish)
                .map_err(|error| failed(&error))?;
            "changed"
        }
    };
    tell(verb, &target, workspace);
    Ok(Exit::Done)
}

pub(super) async fn edit(
    arguments: &EditArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let (loaded, target) = target(&arguments.place, workspace, settings)?;
    let sops = arguments.place.keys.sops(&loaded, settings).await?;
    let is_new = text_of(workspace.root, &target.path)?.is_none();
    if is_new {
        create(&sops, &target, workspace.root, None).await?;
    }
    sops.edit(&workspace.root.join(&target.path))
        .await
        .map_err(|error| of_sops(&error))?;
    tell(if is_new { "wrote" } else { "edited" }, &target, workspace);
    Ok(Exit::Done)
}

fn target(
    place: &Place,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<(Loaded, Target), CommandError> {
    let loaded = workspace.open_declared(&place.environment)?;
    let environment = &loaded.declarations.environment;
    let path = in_repository(&place.file, settings)?;
    let own = Utf8Path::new("environments")
        .join(environment.name.as_str())
        .join("apps");
    let is_of_an_app = environment.apps.iter().any(|app| {
        path.starts_with(own.join(app.as_str())) || path.starts_with(Utf8Path::new("apps").join(app.as_str()))
    });
    if !is_of_an_app || !matches!(path.extension(), Some("yaml" | "yml")) {
        let message = format!("{path} is no manifest of an application of {}", environment.name);
        return Err(CommandError::new(Kind::Usage, message)
            .hint(format!("write to {own}/APP/..., into a file that ends in .yaml")));
    }
    let readers = readers(environment, &loaded.declarations.people);
    if readers.is_empty() {
        let message = format!("{} has no `secrets`, so nobody could open it", environment.name);
        return Err(CommandError::new(Kind::Usage, message).hint(format!(
            "`lotse secrets init {}` makes the cluster's key",
            environment.name
        )));
    }
    let target = Target {
        path,
        recipients: readers.into_iter().map(|reader| reader.recipient).collect(),
    };
    Ok((loaded, target))
}

/// Keys of a Secret (`k8s.io/apimachinery`, `IsConfigMapKey`).
fn check_key(key: &str) -> Result<(), CommandError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_key = !key.is_empty()
        && key.len() <= 253
        && key.bytes().all(allowed)
        && !key.starts_with("..")
        && key != ".";
    if is_key {
        return Ok(());
    }
    let message = format!("`{key}` can't be a key of a Secret");
    Err(CommandError::new(Kind::Usage, message).hint("letters, digits, `-`, `_` and `.` make a key"))
}

/// The text of the file; `None` where there is none. One in plain text is refused.
fn text_of(root: &Utf8Path, path: &Utf8Path) -> Result<Option<String>, CommandError> {
    match fs_err::read_to_string(root.join(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error)),
        Ok(text) if is_sealed(&text) => Ok(Some(text)),
        Ok(_) => Err(
            CommandError::new(Kind::Failed, format!("{path} is there and not encrypted"))
                .hint("move it away and set its values one by one; change those that were committed"),
        ),
    }
}

/// From standard input, or typed unseen.
fn value(key: &str) -> Result<Secret, CommandError> {
    if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{key}: ")).map_err(|error| failed(&error))?;
        return Ok(Secret::new(typed));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(VALUE_LIMIT + 1).read_to_string(&mut text);
    read.map_err(|error| failed(&error))?;
    if text.len() as u64 > VALUE_LIMIT {
        return Err(CommandError::new(Kind::Usage, "a value has at most 1 MiB"));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(CommandError::new(Kind::Usage, "nothing came from standard input")
            .hint("give the value there: `... < file`"));
    }
    Ok(Secret::new(value))
}

async fn create(
    sops: &crate::surface::sops::Sops,
    target: &Target,
    root: &Utf8Path,
    first: Option<(&str, &Secret)>,
) -> Result<(), CommandError> {
    let name = target.path.file_stem().unwrap_or_default();
    let data = match first {
        Some((key, value)) => format!("  {}: {}\n", scalar(key), serde_json::Value::from(value.expose())),
        None => "  key: value\n".to_owned(),
    };
    let plain = Secret::new(format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\nstringData:\n{data}",
        scalar(name)
    ));
    let sealed = sops
        .encrypt(&plain, &target.path, &target.recipients)
        .await
        .map_err(|error| of_sops(&error))?;
    Creation::make(root, &target.path, &sealed).map_err(|error| failed(&error))?;
    Ok(())
}

/// A copy of an encrypted file, beside it and with its ending: sops writes in place, and nobody is to see half a file.
fn copy(root: &Utf8Path, path: &Utf8Path, text: &str) -> Result<tempfile::NamedTempFile, CommandError> {
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    let ending = format!(".{}", path.extension().unwrap_or("yaml"));
    let copy = tempfile::Builder::new()
        .prefix(".lotse-")
        .suffix(&ending)
        .tempfile_in(folder);
    let mut copy = copy.map_err(|error| failed(&error))?;
    std::io::Write::write_all(&mut copy, text.as_bytes()).map_err(|error| failed(&error))?;
    Ok(copy)
}

fn tell(verb: &str, target: &Target, workspace: &Workspace<'_>) {
    ui::eprint(&format!("{verb} {}\n", target.path));
    let folder = target.path.parent().unwrap_or_else(|| Utf8Path::new(""));
    let kustomization = workspace.root.join(folder).join("kustomization.yaml");
    let name = target.path.file_name().unwrap_or_default();
    let is_listed = fs_err::read_to_string(&kustomization).map(|text| text.contains(name));
    if is_listed.is_ok_and(|listed| !listed) {
        ui::eprint(&format!(
            "list it under `resources` of {folder}/kustomization.yaml: Flux delivers only what is there\n"
        ));
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::from_error(Kind::Failed, error)
}
