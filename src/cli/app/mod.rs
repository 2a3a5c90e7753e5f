//! `lotse app`: the applications as they are declared, and the first files of a new one.

mod new;
mod outline;
mod text;

use std::collections::BTreeSet;
use std::io;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error;
use super::format::Format;
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, written};
use crate::config;
use crate::diag::did_you_mean;
use crate::names::{AppName, EnvironmentName};
use outline::AppOutline;

/// Begin an application, or look at those that are declared
///
/// Reads and writes files of the repository and talks to no system. What is shown is what a bring-up makes, templates filled
/// in and an environment's own keys in place of the application's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse app list                      every application of every environment
  lotse app show monitoring           all that is declared about one
  lotse app list -e lab -o json       for programs
  lotse app new notes                 first files of an application, asked for one by one")]
pub(super) struct AppArguments {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    New(Box<new::NewArguments>),
    /// List the applications of one environment, or of all
    List(ListArguments),
    /// Show all that is declared about one application
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Name of the application: a directory under `apps/`
    #[arg(value_name = "APP")]
    app: AppName,
    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Debug, Args)]
struct Chosen {
    /// Name of the environment: a directory under `environments/` [default: all]
    #[arg(long, short, value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Applications, each once for every environment that it runs in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppList {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<AppOutline>,
    /// Folders under `apps/` that no environment lists.
    switched_off: Vec<String>,
}

/// Carries the command out.
pub(super) async fn run(arguments: &AppArguments, workspace: &Workspace<'_>) -> Result<Exit, CommandError> {
    let (chosen, list, as_text) = match &arguments.command {
        AppCommand::New(new) => return new::run(new, workspace).await,
        AppCommand::List(list) => (
            &list.chosen,
            read(workspace, list.chosen.environment.as_ref())?,
            text::list as fn(&AppList) -> String,
        ),
        AppCommand::Show(show) => {
            let list = read(workspace, show.chosen.environment.as_ref())?;
            (
                &show.chosen,
                only(list, &show.app, workspace)?,
                text::details as fn(&AppList) -> String,
            )
        }
    };
    let outcome = chosen.output.write(&list, as_text, &mut io::stdout());
    written(outcome.map(|()| Exit::Done))
}

/// Reads what the environments declare. `switched_off` is known only when all of them are read.
fn read(workspace: &Workspace<'_>, wanted: Option<&EnvironmentName>) -> Result<AppList, CommandError> {
    let environments = workspace
        .environments(wanted)
        .map_err(|failed| error::of_environments(&failed))?;
    let mut items = Vec::new();
    for environment in &environments {
        let declarations = workspace.open_quietly(environment)?.declarations;
        let apps = declarations.apps.iter();
        items.extend(apps.map(|app| AppOutline::of(app, &declarations, workspace.today)));
    }
    let running: BTreeSet<&str> = items.iter().map(|app| app.name.as_str()).collect();
    let switched_off = match wanted {
        Some(_) => Vec::new(),
        None => config::app_folders(workspace.root)
            .map_err(|source| CommandError::from_error(Kind::Failed, &source))?
            .into_iter()
            .filter(|name| !running.contains(name.as_str()))
            .collect(),
    };
    Ok(AppList {
        api_version: "lotse/v1",
        kind: "AppList",
        items,
        switched_off,
    })
}

/// The list with one application only.
fn only(mut list: AppList, wanted: &AppName, workspace: &Workspace<'_>) -> Result<AppList, CommandError> {
    if list.switched_off.iter().any(|name| name == wanted.as_str()) {
        return Err(
            CommandError::new(Kind::Usage, format!("no environment runs `{wanted}`")).hint(format!(
                "add it to `apps` in an environment.yaml, or read apps/{wanted}/app.yaml"
            )),
        );
    }
    let folders = config::app_folders(workspace.root).unwrap_or_default();
    let runs = list.items.iter().any(|app| app.name == wanted.as_str());
    if !runs && folders.iter().any(|name| name == wanted.as_str()) {
        let message = format!("`{wanted}` does not run in this environment");
        return Err(CommandError::new(Kind::Usage, message)
            .hint(format!("`lotse app show {wanted}` shows it where it runs")));
    }
    let known: BTreeSet<String> = list.items.iter().map(|app| app.name.clone()).collect();
    list.items.retain(|app| app.name == wanted.as_str());
    list.switched_off.clear();
    if list.items.is_empty() {
        let error = CommandError::new(Kind::Usage, format!("there is no application `{wanted}`"));
        let near = did_you_mean(wanted.as_str(), known.iter().map(String::as_str));
        return Err(error.hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`lotse app list` shows those there are".to_owned(),
        }));
    }
    Ok(list)
}
