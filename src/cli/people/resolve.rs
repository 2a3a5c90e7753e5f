//! `lotse people resolve`: ids and logins as the forge has them.

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::super::environment::{find_lab, forge_api};
use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, Settings, ui};
use super::PeopleFile;
use crate::config::identities::{self, Resolution, Sighting};
use crate::config::{Person, load_environment};
use crate::names::EnvironmentName;
use crate::secret::Secret;
use crate::surface::accounts::{Accounts, AccountsError, GITHUB};

/// So many people are asked for at once.
const AT_ONCE: usize = 8;
/// Where a token for GitHub is looked for, as `gh` does.
const TOKENS: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

/// Fill in ids in people.yaml from the forge, and look whether each login is still the same person's
///
/// A login can be renamed and given to somebody else, the numeric id can't. `id: unknown` becomes the id of the account,
/// with the name that it shows beside the one in the file, for a second person to look at. An id that is known is never
/// changed: a login that is somebody else's by now is told, and nothing of that person is written. Comments and layout
/// of the file stay.
///
/// The forge is the one that people log in at (`identity.github`). GitHub answers strangers 60 times an hour; a token in
/// `GH_TOKEN` or `GITHUB_TOKEN`, without any rights, raises that.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse people resolve -e scs-prod --dry-run     what would change, as a diff
  lotse people resolve -e scs-prod --renames     follow accounts that have a new login")]
pub(super) struct ResolveArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(long, short, value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Write new logins of known ids, too: at the member and in teams
    #[arg(long)]
    renames: bool,
    /// Write nothing, print what would be changed as a diff
    #[arg(long, visible_alias = "diff")]
    dry_run: bool,
}

/// Carries the command out.
pub(super) async fn run(
    arguments: &ResolveArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let file = PeopleFile::read(workspace, &arguments.environment)?;
    let accounts = accounts(arguments, workspace, settings).await?;
    let asking = stream::iter(&file.people.members)
        .map(|person| look(&accounts, person))
        .buffered(AT_ONCE)
        .try_collect::<Vec<Sighting>>();
    let seen = tokio::select! {
        seen = asking => seen.map_err(|error| unanswered(&error))?,
        () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
    };
    let people = &file.people;
    let resolutions: Vec<Resolution> = people
        .members
        .iter()
        .zip(&seen)
        .map(|(person, seen)| Resolution::of(person, seen, people))
        .collect();
    let after = identities::written(&file.text, &resolutions, arguments.renames)
        .ok_or_else(|| CommandError::new(Kind::Failed, format!("{} can't be written", file.path)))?;
    let is_changed = after != file.text;
    if arguments.dry_run {
        file.show(after);
    } else if is_changed {
        file.replace(workspace, &after)?;
    }
    conclude(&resolutions, arguments, is_changed)
}

async fn accounts(
    arguments: &ResolveArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Accounts, CommandError> {
    // Not all declarations: an id that is unknown can be what is wrong with them.
    let environment = load_environment(workspace.root, &arguments.environment)
        .map_err(|problems| workspace.refused(&problems))?;
    let lab = find_lab(&environment, settings).await?;
    let declared = forge_api(&environment, settings, lab.as_ref())?;
    let api = declared.as_deref().unwrap_or(GITHUB);
    let tokens = TOKENS.iter().filter_map(|name| settings.variables.get(*name));
    // Nobody but GitHub is shown a token for it.
    let token = tokens
        .filter(|token| !token.is_empty() && api == GITHUB)
        .map(Secret::new)
        .next();
    Accounts::new(api, token).map_err(|error| {
        CommandError::from_error(Kind::Usage, &error)
            .hint("identity.github.apiUrl in environment.yaml names it")
    })
}

async fn look(accounts: &Accounts, person: &Person) -> Result<Sighting, AccountsError> {
    let by_login = accounts.of_login(person.login.as_str()).await?;
    let is_known = |id: u64| by_login.as_ref().is_some_and(|account| account.id == id);
    let by_id = match person.id {
        Some(id) if !is_known(id) => accounts.of_id(id).await?,
        _ => None,
    };
    Ok(Sighting { by_login, by_id })
}

fn unanswered(error: &AccountsError) -> CommandError {
    let (kind, hint) = match error {
        AccountsError::Unreachable { .. } => (
            Kind::Failed,
            "start the forge or the way to it (VPN, firewall, proxy)",
        ),
        AccountsError::Busy { .. } => (
            Kind::Failed,
            "try again then, or set GITHUB_TOKEN to a token, which needs no rights",
        ),
        AccountsError::Authentication { has_token: true, .. } => (
            Kind::Authentication,
            "set GITHUB_TOKEN to a token that has not run out, or to nothing",
        ),
        AccountsError::Authentication { .. } => (Kind::Authentication, "let strangers see accounts there"),
        AccountsError::Address(_) | AccountsError::Answer { .. } => (
            Kind::Failed,
            "see that identity.github.apiUrl in environment.yaml is the address of the forge's API",
        ),
    };
    CommandError::from_error(kind, error)
        .hint(hint)
        .hint("nothing was changed")
}

/// Tells what was found, and ends with a fault where somebody has to look at it.
fn conclude(
    resolutions: &[Resolution],
    arguments: &ResolveArguments,
    is_changed: bool,
) -> Result<Exit, CommandError> {
    let is_followed =
        |resolution: &&Resolution| arguments.renames && matches!(resolution, Resolution::Renamed { .. });
    let told = resolutions
        .iter()
        .filter(|resolution| **resolution != Resolution::Same);
    let (troubles, fine): (Vec<&Resolution>, Vec<&Resolution>) =
        told.partition(|resolution| resolution.is_trouble() && !is_followed(resolution));
    for resolution in &fine {
        ui::eprint(&format!("{resolution}\n"));
    }
    let environment = &arguments.environment;
    if troubles.is_empty() {
        let last = match (is_changed, arguments.dry_run) {
            (false, _) => format!("people of {environment} are as at the forge\n"),
            (true, false) => format!(
                "{} changed; let a second person look at it\n",
                plural(fine.len(), "person")
            ),
            (true, true) => format!("{} would be changed\n", plural(fine.len(), "person")),
        };
        ui::eprint(&last);
        return Ok(Exit::Done);
    }
    let mut error = CommandError::new(
        Kind::Checks,
        format!(
            "{} of {environment} can't be told from the forge",
            plural(troubles.len(), "person")
        ),
    );
    error.causes = troubles.iter().map(ToString::to_string).collect();
    let has_renamed = troubles
        .iter()
        .any(|trouble| matches!(trouble, Resolution::Renamed { .. }));
    if has_renamed {
        error = error.hint("ask them whether they changed their login; --renames writes it");
    }
    Err(error
        .hint("ask whoever is left over; who is gone is taken out of people.yaml")
        .hint("nothing of them was changed"))
}
