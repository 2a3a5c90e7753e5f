//! `lotse people import`: people and teams as in the roster of an organisation.

use camino::Utf8PathBuf;
use clap::Args;

use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, ui};
use super::PeopleFile;
use crate::config::file::DECLARATION_LIMIT;
use crate::config::roster::{self, Imported, Roster};
use crate::config::yaml;
use crate::names::{EnvironmentName, TeamName};

/// Bring people.yaml up to date with the roster of an organisation
///
/// FILE has the format of SCS's github-manager (`orgs/ORGANISATION/data.yaml`): members with name and login, teams with
/// slug, description, maintainer and member. Teams of people.yaml get the members they have there; who left the
/// organisation is taken out. Ids that are known are kept, new people get `id: unknown`. Comments above `members:`
/// stay, the rest of the file is written anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse people import data.yaml -e scs-prod --dry-run      what would change, as a diff
  lotse people import data.yaml -e scs-prod --team docs    take the team docs in, too")]
pub(super) struct ImportArguments {
    /// The roster
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    /// Name of the environment: a directory under `environments/`
    #[arg(long, short, value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Take this team of the roster in, too; can be given several times
    #[arg(long, value_name = "TEAM")]
    team: Vec<TeamName>,
    /// Write nothing, print what would be changed as a diff
    #[arg(long, visible_alias = "diff")]
    dry_run: bool,
}

/// Carries the command out.
pub(super) fn run(arguments: &ImportArguments, workspace: &Workspace<'_>) -> Result<Exit, CommandError> {
    let file = PeopleFile::read(workspace, &arguments.environment)?;
    let imported = read_roster(arguments)?
        .import(&file.people, &arguments.team)
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
    let after = roster::written(&file.text, &imported.people).ok_or_else(|| {
        CommandError::new(
            Kind::Failed,
            format!("{} has no line that begins with `members:`", file.path),
        )
        .hint("write `members:` and `teams:` at the start of a line, below `apiVersion` and `kind`")
    })?;
    let is_changed = imported.people != file.people;
    if arguments.dry_run {
        if is_changed {
            file.show(after);
        }
    } else if file.text != after && is_changed {
        file.replace(workspace, &after)?;
    }
    tell(&imported, arguments);
    Ok(Exit::Done)
}

fn read_roster(arguments: &ImportArguments) -> Result<Roster, CommandError> {
    let file = &arguments.file;
    let failed = |error: &(dyn std::error::Error + 'static)| CommandError::from_error(Kind::Failed, error);
    let metadata = std::path::Path::new(file).metadata();
    let metadata = metadata.map_err(|error| {
        CommandError::new(Kind::Failed, format!("{file} can't be read: {}", error.kind()))
    })?;
    if !metadata.is_file() {
        return Err(CommandError::new(Kind::Failed, format!("{file} is not a file")));
    }
    let size = metadata.len();
    if size > DECLARATION_LIMIT {
        let message = format!("{file} has {size} bytes; at most {DECLARATION_LIMIT} are read");
        return Err(CommandError::new(Kind::Failed, message));
    }
    let text = fs_err::read_to_string(file).map_err(|error| failed(&error))?;
    yaml::parse(&text).map_err(|error| {
        let place = error.position.map(|at| format!(":{}:{}", at.line, at.column));
        CommandError::new(
            Kind::Failed,
            format!("{file}{}: {}", place.unwrap_or_default(), error.message),
        )
        .hint("a roster has `members` with name and login, and `teams` with slug, maintainer and member")
    })
}

fn tell(imported: &Imported, arguments: &ImportArguments) {
    let lines = imported.notes.iter().map(|note| format!("note: {note}\n"));
    let changes = imported.changes.iter().map(|change| format!("{change}\n"));
    let verb = if arguments.dry_run {
        "would be changed"
    } else {
        "changed"
    };
    let last = match imported.changes.len() {
        0 => format!("people of {} are as in the roster\n", arguments.environment),
        number => format!(
            "{} {verb}; `lotse check {}` says what else has to\n",
            plural(number, "thing"),
            arguments.environment
        ),
    };
    ui::eprint(&lines.chain(changes).chain([last]).collect::<String>());
}
