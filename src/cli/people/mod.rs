//! `lotse people`: who there is, and in which teams.

mod import;
mod resolve;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings, ui};
use crate::config::file::{Files, Replacement};
use crate::config::{People, load_people};
use crate::names::EnvironmentName;
use crate::render::{self, Difference};

/// Keep people and teams up to date
#[derive(Debug, Args)]
pub(super) struct PeopleArguments {
    #[command(subcommand)]
    command: PeopleCommand,
}

#[derive(Debug, Subcommand)]
enum PeopleCommand {
    Import(import::ImportArguments),
    Resolve(resolve::ResolveArguments),
}

/// Carries the command out.
pub(super) async fn run(
    arguments: &PeopleArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    match &arguments.command {
        PeopleCommand::Import(arguments) => import::run(arguments, workspace),
        PeopleCommand::Resolve(arguments) => resolve::run(arguments, workspace, settings).await,
    }
}

/// A `people.yaml` as it was read.
struct PeopleFile {
    path: Utf8PathBuf,
    text: String,
    people: People,
}

impl PeopleFile {
    fn read(workspace: &Workspace<'_>, environment: &EnvironmentName) -> Result<Self, CommandError> {
        let people =
            load_people(workspace.root, environment).map_err(|problems| workspace.refused(&problems))?;
        let path = Utf8PathBuf::from(format!("environments/{environment}/people.yaml"));
        let text = Files::below(workspace.root)
            .read(&path)
            .map_err(|unread| CommandError::new(Kind::Failed, unread.diagnostic.message))?;
        Ok(Self { path, text, people })
    }

    /// Writes it anew, unless somebody else has changed it meanwhile.
    fn replace(&self, workspace: &Workspace<'_>, after: &str) -> Result<(), CommandError> {
        Replacement::prepare(workspace.root, &self.path, &self.text, after)
            .and_then(Replacement::finish)
            .map_err(|source| CommandError::from_error(Kind::Failed, &source).hint("nothing was changed"))
    }

    /// Prints what would be changed, as a diff.
    fn show(self, after: String) {
        if self.text != after {
            let difference = Difference {
                path: self.path,
                kind: render::Kind::Changed,
                before: self.text.into(),
                after: after.into(),
            };
            ui::print(&difference.unified());
        }
    }
}
