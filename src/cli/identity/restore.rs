//! `lotse identity restore`: what `--prune` deleted of the realm.

use camino::Utf8PathBuf;
use clap::Args;

use super::super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::super::turn::Turn;
use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, Settings, error, ui};
use crate::bootstrap;
use crate::names::EnvironmentName;
use crate::surface::keycloak::backup::{API_VERSION, KIND, RealmBackup};

/// Bring back what `--prune` deleted
///
/// Makes groups, clients, roles and mappers of the backup that the realm has no more, and puts people back into the groups.
/// What is there stays as it is. A client that comes back has another secret: `lotse apply` carries it to its application once it
/// is declared again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse identity restore lab keycloak-20261127T120000Z.json")]
pub(super) struct RestoreArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// What `--prune` wrote before it deleted
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    /// Go ahead without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Carries the command out.
pub(super) async fn run(arguments: &RestoreArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let kept = read(arguments)?;
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    for name in kept.names() {
        ui::print(&format!("  {name}\n"));
    }
    let question = format!("Bring back what is missing of these in realm {}?", kept.realm);
    if !arguments.yes && !ui::confirm(&question).await? {
        return Err(CommandError::new(Kind::Usage, "nothing was changed"));
    }
    let reporter = ui::reporter(settings.quiet);
    let _turn = Turn::take(&arguments.environment, settings, reporter.as_ref()).await?;
    let restored = with_bootstrap(
        (&workspace, settings),
        &loaded.declarations,
        (lab.as_ref(), None),
        (Choices::default(), reporter.as_ref()),
        async |bootstrap| {
            let restored = Box::pin(bootstrap::restore(bootstrap, &kept, reporter.as_ref())).await;
            restored.map_err(|failed| error::of_plan(&failed))
        },
    );
    let restored = tokio::select! {
        restored = restored => restored?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
    };
    drop(reporter);
    ui::print(&match restored.len() {
        0 => "Everything of the backup is there: nothing to do.\n".to_owned(),
        count => format!("{} brought back.\n", plural(count, "thing")),
    });
    Ok(Exit::Done)
}

fn read(arguments: &RestoreArguments) -> Result<RealmBackup, CommandError> {
    let path = &arguments.file;
    let text =
        fs_err::read_to_string(path).map_err(|source| CommandError::from_error(Kind::Usage, &source))?;
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
