//! `lotse secrets set` and `lotse secrets edit`: a value, or a whole file.

use std::io::{IsTerminal, Read};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Kind, Settings, ui};
use super::{Keys, check_sealed, damaged, in_repository, no_secrets, of_sops, program};
use crate::age::Recipient;
use crate::config::file::{Creation, Replacement};
use crate::config::{Loaded, damage, readers, scalar, sealed};
use crate::names::EnvironmentName;
use crate::secret::Secret;
use crate::surface::sops::Sops;
use crate::temporary;

/// Longer values belong into something else than a Secret (Kubernetes: at most 1 MiB per object, of which a third goes to Base64).
const VALUE_LIMIT: u64 = 512 << 10;

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
    #[command(flatten)]
    keys: Keys,
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
}

/// A file of an application, and whom it is to be encrypted to.
struct Target {
    /// Relative to the repository.
    path: Utf8PathBuf,
    /// Whether it is in the environment's own folder, and so for nobody else.
    is_own: bool,
    environment: EnvironmentName,
    recipients: Vec<Recipient>,
}

pub(super) async fn set(
    arguments: &SetArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    check_key(&arguments.key)?;
    let (loaded, target) = target(&arguments.place, workspace, settings)?;
    let sops = arguments.keys.sops(&loaded, settings).await?;
    let before = text_of(workspace.root, &target)?;
    let key = arguments.key.clone();
    // Reading waits for whoever writes; signals are heard meanwhile.
    let value = tokio::task::spawn_blocking(move || value(&key)).await;
    let value = value.map_err(|error| CommandError::internal("the value could not be read", error))??;
    let Some(before) = before else {
        let sealed = new(&sops, &target, Some((&arguments.key, &value))).await?;
        write(workspace.root, &target, None, &sealed)?;
        tell("wrote", &target.path, workspace);
        return Ok(Exit::Done);
    };
    if sealed(&before).is_some_and(|found| found.kind.as_deref() != Some("Secret")) {
        let message = format!("{} is not one Secret and nothing else", target.path);
        return Err(CommandError::new(Kind::Usage, message).hint("`lotse secrets edit` changes other files"));
    }
    let copy = copy(workspace.root, &target.path, &before)?;
    let copied = Utf8Path::from_path(copy.path()).unwrap_or(&target.path);
    sops.set(copied, &arguments.key, &value)
        .await
        .map_err(|error| of_sops(&error.about(&target.path)))?;
    let after = fs_err::read_to_string(copied).map_err(|error| failed(&error))?;
    if after == before {
        ui::eprint(&format!("{} has that value already\n", target.path));
        return Ok(Exit::Done);
    }
    write(workspace.root, &target, Some(&before), &after)?;
    tell("changed", &target.path, workspace);
    Ok(Exit::Done)
}

pub(super) async fn edit(
    arguments: &EditArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::new(Kind::Usage, "an editor needs a terminal")
            .hint("`lotse secrets set` takes a value from standard input"));
    }
    let (_, target) = target(&arguments.place, workspace, settings)?;
    let sops = Sops {
        program: program(settings)?,
        // The editor would have it in its environment.
        key: None,
    };
    let before = text_of(workspace.root, &target)?;
    let begun = match &before {
        Some(before) => before.clone(),
        None => new(&sops, &target, None).await?,
    };
    let copy = copy(workspace.root, &target.path, &begun)?;
    let copied = Utf8Path::from_path(copy.path()).unwrap_or(&target.path);
    sops.edit(copied, &settings.interrupted)
        .await
        .map_err(|error| of_sops(&error.about(&target.path)))?;
    let after = fs_err::read_to_string(copied).map_err(|error| failed(&error))?;
    if after == begun {
        ui::eprint("nothing was changed\n");
        return Ok(Exit::Done);
    }
    write(workspace.root, &target, before.as_deref(), &after)?;
    tell(
        if before.is_none() { "wrote" } else { "changed" },
        &target.path,
        workspace,
    );
    Ok(Exit::Done)
}

/// Puts `text` in the place of the file, or makes it.
fn write(root: &Utf8Path, target: &Target, before: Option<&str>, text: &str) -> Result<(), CommandError> {
    check_sealed(&target.path, text)?;
    match before {
        Some(before) => Replacement::prepare(root, &target.path, before, text).and_then(Replacement::finish),
        None => Creation::make(root, &target.path, text).map(drop),
    }
    .map_err(|error| failed(&error))
}

fn target(
    place: &Place,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<(Loaded, Target), CommandError> {
    let loaded = workspace.open_declared(&place.environment)?;
    let declarations = &loaded.declarations;
    let environment = &declarations.environment;
    let path = in_repository(&place.file, settings)?;
    let delivered: Vec<&Utf8Path> = declarations
        .apps
        .iter()
        .filter_map(|app| app.source.manifests.as_deref())
        .collect();
    let is_delivered = delivered.iter().any(|folder| path.starts_with(folder));
    if !is_delivered || !matches!(path.extension(), Some("yaml" | "yml")) {
        let message = format!("{path} is no manifest that {} delivers", environment.name);
        let folders: Vec<&str> = delivered.iter().map(|folder| folder.as_str()).collect();
        return Err(CommandError::new(Kind::Usage, message).hint(format!(
            "write a file that ends in .yaml into one of {}",
            folders.join(", ")
        )));
    }
    if !is_object_name(path.file_stem().unwrap_or_default()) {
        let message = format!("{path} can't name a Secret: the name of the file is that of the Secret");
        return Err(CommandError::new(Kind::Usage, message)
            .hint("lower-case letters, digits, `-` and `.` make a name"));
    }
    let readers = readers(environment, &declarations.people);
    if readers.is_empty() {
        return Err(no_secrets(&environment.name));
    }
    let own = Utf8Path::new("environments").join(environment.name.as_str());
    let target = Target {
        is_own: path.starts_with(own),
        path,
        environment: environment.name.clone(),
        recipients: readers.into_iter().map(|reader| reader.recipient).collect(),
    };
    Ok((loaded, target))
}

/// A name of an object (RFC 1123 subdomain).
fn is_object_name(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let bytes = name.as_bytes();
    name.len() <= 253 && name.bytes().all(allowed) && is_end(bytes.first()) && is_end(bytes.last())
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

/// The text of the file; `None` where there is none. Refused are one in plain text, one that is damaged, and one that
/// others can open, who would learn of a new value.
fn text_of(root: &Utf8Path, target: &Target) -> Result<Option<String>, CommandError> {
    let path = &target.path;
    let full = root.join(path);
    match fs_err::symlink_metadata(&full) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(CommandError::new(
                Kind::Usage,
                format!("{path} is not a plain file"),
            ));
        }
        Ok(_) => {}
    }
    let text = fs_err::read_to_string(full).map_err(|error| failed(&error))?;
    let damage = damage(path, &text);
    if !damage.is_empty() {
        return Err(damaged(path, &damage));
    }
    let Some(found) = sealed(&text) else {
        let message = format!("{path} is there and not encrypted");
        return Err(CommandError::new(Kind::Failed, message)
            .hint("move it away and set its values one by one; change those that were committed"));
    };
    let is_reader = |each: &String| target.recipients.iter().any(|reader| reader.as_str() == each);
    let strangers: Vec<String> = found
        .recipients
        .into_iter()
        .filter(|each| !is_reader(each))
        .collect();
    if target.is_own && !strangers.is_empty() {
        let message = format!("{path} can be opened by {}, who should not", strangers.join(", "));
        return Err(CommandError::new(Kind::Failed, message).hint(format!(
            "`lotse secrets rekey {}` takes them out; a new value is for those who may have it",
            target.environment
        )));
    }
    Ok(Some(text))
}

/// From standard input, or typed unseen.
fn value(key: &str) -> Result<Secret, CommandError> {
    if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{key}: ")).map_err(|error| failed(&error))?;
        return Ok(Secret::new(typed));
    }
    let mut text = String::new();
    let no_text = |error: std::io::Error| {
        let told = failed(&error);
        if error.kind() == std::io::ErrorKind::InvalidData {
            return told.hint("a value is text; encode other bytes, `base64 -w0 < file`, and have the application decode them");
        }
        told
    };
    let read = std::io::stdin().take(VALUE_LIMIT + 1).read_to_string(&mut text);
    read.map_err(no_text)?;
    if text.len() as u64 > VALUE_LIMIT {
        return Err(CommandError::new(Kind::Usage, "a value has at most 512 KiB"));
    }
    let value = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(&text);
    if value.is_empty() {
        return Err(CommandError::new(Kind::Usage, "nothing came from standard input")
            .hint("give the value there: `... < file`"));
    }
    Ok(Secret::new(value))
}

/// The text of a new file: a Secret of the file's name, with one key.
async fn new(sops: &Sops, target: &Target, first: Option<(&str, &Secret)>) -> Result<String, CommandError> {
    let name = target.path.file_stem().unwrap_or_default();
    let (key, value) = first.map_or(("key", "value"), |(key, value)| (key, value.expose()));
    let plain = Secret::new(format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\nstringData:\n  {}: {}\n",
        scalar(name),
        scalar(key),
        escaped(value)
    ));
    sops.encrypt(&plain, &target.path, &target.recipients)
        .await
        .map_err(|error| of_sops(&error))
}

/// A text in double quotes that every reader of YAML reads as it is: beyond ASCII by number, since some of it ends lines.
pub(super) fn escaped(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        ' '..='~' => letter.to_string(),
        other => format!("\\U{:08X}", u32::from(other)),
    });
    format!("\"{}\"", letters.collect::<String>())
}

/// A copy of an encrypted file, beside it and with its ending: sops writes in place, and nobody is to see half a file.
fn copy(root: &Utf8Path, path: &Utf8Path, text: &str) -> Result<tempfile::NamedTempFile, CommandError> {
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    let ending = format!(".{}", path.extension().unwrap_or("yaml"));
    temporary::sweep(folder);
    let unwritten = |error: std::io::Error| failed(&temporary::unwritten(&full, &error));
    let mut copy = temporary::file_in(folder, &ending, temporary::PRIVATE).map_err(unwritten)?;
    std::io::Write::write_all(&mut copy, text.as_bytes()).map_err(unwritten)?;
    Ok(copy)
}

pub(super) fn tell(verb: &str, path: &Utf8Path, workspace: &Workspace<'_>) {
    ui::eprint(&format!("{verb} {path}\n"));
    let folder = path.parent().unwrap_or_else(|| Utf8Path::new(""));
    let kustomization = workspace.root.join(folder).join("kustomization.yaml");
    let name = path.file_name().unwrap_or_default();
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
