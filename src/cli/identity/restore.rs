//! `lotse identity restore`: what `--prune` removed from the realm.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::super::environment::{Choices, backups, check_realm, check_settings, find_lab, with_bootstrap};
use super::super::turn::Turn;
use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, Settings, error, ui};
use crate::bootstrap;
use crate::names::EnvironmentName;
use crate::surface::keycloak::backup::{API_VERSION, KIND, RealmBackup};

/// Bring back what `--prune` removed from the realm
///
/// Makes groups, clients, roles and mappers of the backup that the realm has no more, and puts people back into the groups.
/// What is there stays as it is. What came back and is not declared again goes with the next `--prune`. A client that comes back
/// has another secret: `lotse apply` carries it to its application once it is declared again, and says so where the secret is
/// kept in Git.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse identity restore lab                                    which backups there are on this computer
  lotse identity restore lab keycloak-20261127T120000Z.json")]
pub(super) struct RestoreArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// What `--prune` wrote before it deleted: a path, or the name of one of the backups of this computer
    #[arg(value_name = "FILE")]
    file: Option<Utf8PathBuf>,
    /// Go ahead without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Carries the command out.
pub(super) async fn run(arguments: &RestoreArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let folder = backups(settings, &arguments.environment);
    let Some(file) = &arguments.file else {
        ui::print(&listing(&folder)?);
        return Ok(Exit::Done);
    };
    let kept = read(&found(file, &folder))?;
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let reporter = ui::reporter(settings.quiet);
    let _turn = Turn::take(&arguments.environment, settings, reporter.as_ref()).await?;
    let restored = with_bootstrap(
        (&workspace, settings),
        &loaded.declarations,
        (lab.as_ref(), None),
        (Choices::default(), reporter.as_ref()),
        async |bootstrap| {
            let restoration = Box::pin(bootstrap::restoration(bootstrap, &kept, reporter.as_ref())).await;
            let restoration = restoration.map_err(|failed| error::of_plan(&failed))?;
            let names: Vec<String> = restoration.names().map(str::to_owned).collect();
            if names.is_empty() {
                return Ok(names);
            }
            agree(arguments, &names).await?;
            let done = Box::pin(restoration.carry_out(bootstrap, reporter.as_ref())).await;
            done.map(|()| names).map_err(|failed| error::of_plan(&failed))
        },
    );
    let restored = tokio::select! {
        restored = restored => restored?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
    };
    drop(reporter);
    ui::print(&match restored.len() {
        0 => "Everything of the backup is there: nothing to do.\n".to_owned(),
        count => format!(
            "{} brought back. What is to stay has to be declared again: the next `--prune` removes the rest.\n",
            plural(count, "thing")
        ),
    });
    Ok(Exit::Done)
}

async fn agree(arguments: &RestoreArguments, names: &[String]) -> Result<(), CommandError> {
    let lines: Vec<String> = names.iter().map(|name| format!("  + {name}\n")).collect();
    ui::print(&lines.concat());
    if arguments.yes || ui::confirm("Bring this back?").await? {
        return Ok(());
    }
    Err(CommandError::new(Kind::Usage, "nothing was changed"))
}

/// `keycloak-20261127T120000Z.json  3 of realm scs: client old, ...`
fn listing(folder: &Utf8Path) -> Result<String, CommandError> {
    let mut names = Vec::new();
    match folder.read_dir_utf8() {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|source| CommandError::from_error(Kind::Failed, &source))?;
                names.push(entry.file_name().to_owned());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(CommandError::from_error(Kind::Failed, &error)),
    }
    names.retain(|name| Utf8Path::new(name).extension() == Some("json"));
    names.sort();
    if names.is_empty() {
        return Ok(format!(
            "No backups: `--prune` writes them to {folder} before it removes anything.\n"
        ));
    }
    let lines = names.iter().map(|name| match read(&folder.join(name)) {
        Ok(kept) => {
            let objects: Vec<String> = kept.names().collect();
            format!("{name}  realm {}: {}\n", kept.realm, objects.join(", "))
        }
        Err(error) => format!("{name}  {}\n", error.message),
    });
    let lines: Vec<String> = lines.collect();
    Ok(format!("In {folder}:\n{}", lines.concat()))
}

/// A backup by its path, or by its name in `folder`.
fn found(file: &Utf8Path, folder: &Utf8Path) -> Utf8PathBuf {
    if file.exists() {
        return file.to_owned();
    }
    let kept = folder.join(file);
    if kept.exists() { kept } else { file.to_owned() }
}

fn read(path: &Utf8Path) -> Result<RealmBackup, CommandError> {
    let text = fs_err::read_to_string(path).map_err(|source| {
        CommandError::from_error(Kind::Usage, &source)
            .hint("`lotse identity restore ENVIRONMENT` lists the backups of this computer")
    })?;
    let kept: RealmBackup = serde_json::from_str(&text).map_err(|source| {
        CommandError::new(Kind::Usage, format!("{path} is no backup: {source}"))
            .hint("`lotse apply ENVIRONMENT --prune` says where it wrote one")
    })?;
    if (kept.api_version.as_str(), kept.kind.as_str()) != (API_VERSION, KIND) {
        let message = format!("{path} is of {} {}", kept.api_version, kept.kind);
        return Err(CommandError::new(Kind::Usage, message));
    }
    Ok(kept)
}
