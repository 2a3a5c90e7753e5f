//! `lotse init`: the repository of a platform.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::files::{self, NewFiles};
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings, ui};
use crate::config::file::Files;
use crate::diag::Sources;
use crate::lab::component::FLUX_VERSION;
use crate::names::{DomainName, EnvironmentName, LabName};
use crate::skeleton::{EnvironmentDraft, LAB, RepositoryDraft};

/// Begin the repository of a platform
///
/// Writes the environment `lab`, which can be brought up at once, an application to look at, runbooks, and a workflow for
/// GitHub that checks each pull request. With `--environment` also the beginning of a cluster on OpenStack; in a repository
/// that is begun already, only that. No file that is there is replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse init platform
  lotse init . --environment prod --domain prod.example.org --organisation ExampleOrg")]
pub(super) struct InitArguments {
    /// Directory of the repository; made when it is not there
    #[arg(value_name = "DIR")]
    path: Utf8PathBuf,
    /// Name of a cluster besides the lab
    #[arg(
        long,
        short,
        value_name = "ENVIRONMENT",
        requires = "domain",
        requires = "organisation"
    )]
    environment: Option<EnvironmentName>,
    /// Domain of that cluster: hosts of applications are labels under it
    #[arg(long, value_name = "DOMAIN", requires = "environment")]
    domain: Option<DomainName>,
    /// Organisation at GitHub whose members log in
    #[arg(long, value_name = "ORGANISATION", requires = "environment")]
    organisation: Option<String>,
    /// Write nothing, print what would be written as a diff
    #[arg(long)]
    dry_run: bool,
}

/// Carries the command out.
pub(super) fn run(arguments: &InitArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let draft = draft(arguments)?;
    let failed = |source| CommandError::internal("the files could not be made", source);
    let mut created = draft.files().map_err(failed)?;
    let is_begun = draft.environment.is_some() && is_begun(&arguments.path, &created);
    if is_begun {
        created = draft.environment_files().map_err(failed)?;
        ui::eprint("this repository is begun already: only the new environment is written\n");
    }
    let workspace = Workspace {
        root: &arguments.path,
        ..Workspace::new(settings)
    };
    let environments = draft.environments();
    files::write(
        &NewFiles::new(created),
        &environments,
        &workspace,
        arguments.dry_run,
    )?;
    if !arguments.dry_run {
        ui::eprint(&next_steps(&arguments.path, &environments, is_begun));
    }
    Ok(Exit::Done)
}

/// Whether somebody has worked on the files of a platform there, so that they are no longer the first ones.
fn is_begun(root: &Utf8Path, first: &Sources) -> bool {
    let files = Files::below(root);
    first
        .iter()
        .any(|(path, text)| files.read(path).is_ok_and(|there| there != *text))
}

fn draft(arguments: &InitArguments) -> Result<RepositoryDraft, CommandError> {
    let path = &arguments.path;
    if path.as_str().is_empty() || (path.exists() && !path.is_dir()) {
        let message = format!("`{path}` is not a directory");
        return Err(CommandError::new(Kind::Usage, message).hint("name one, or `.` for the current one"));
    }
    let name = directory_name(path)?;
    let environment = arguments.environment.clone().zip(arguments.domain.clone());
    let environment = environment.zip(arguments.organisation.clone());
    if arguments
        .environment
        .as_ref()
        .is_some_and(|name| name.as_str() == LAB)
    {
        let message = "`lab` is the embedded environment, which is always written";
        return Err(CommandError::new(Kind::Usage, message).hint("give the other cluster another name"));
    }
    Ok(RepositoryDraft {
        lab: lab_name(&name),
        name,
        flux: FLUX_VERSION.trim_start_matches('v').to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: environment.map(|((name, domain), organisation)| EnvironmentDraft {
            name,
            domain,
            organisation,
        }),
    })
}

/// Last part of the path; of `.` that of the current directory.
fn directory_name(path: &Utf8Path) -> Result<String, CommandError> {
    let absolute =
        camino::absolute_utf8(path).map_err(|source| CommandError::from_error(Kind::Failed, &source))?;
    let absolute = absolute.canonicalize_utf8().unwrap_or(absolute);
    Ok(absolute.file_name().unwrap_or("platform").to_owned())
}

/// Named like the directory, so that two platforms on one machine have two labs.
fn lab_name(directory: &str) -> LabName {
    let is_allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let letters = directory.chars().flat_map(char::to_lowercase);
    let label: String = letters
        .map(|letter| if is_allowed(letter) { letter } else { '-' })
        .collect();
    LabName::new(label.trim_matches('-')).unwrap_or_else(|_| LabName::standard())
}

fn next_steps(path: &Utf8Path, environments: &[EnvironmentName], is_begun: bool) -> String {
    if is_begun {
        let others = environments.iter().filter(|name| name.as_str() != LAB);
        let lines = others.map(|name| {
            format!(
                "next  lotse preflight {name}  says what it still needs; environments/{name} is a beginning\n"
            )
        });
        return lines.collect();
    }
    let enter = if path == "." {
        String::new()
    } else {
        format!("cd '{path}' && ")
    };
    let mut lines = vec![
        format!("next  {enter}git init -b main && git add . && git commit -m 'platform: first files'"),
        "      lotse bootstrap lab        a whole cluster on this machine".to_owned(),
        "      lotse app new NAME -e lab  an application of your own".to_owned(),
    ];
    let others = environments.iter().filter(|name| name.as_str() != LAB);
    lines.extend(others.map(|name| format!("      README.md says what {name} needs")));
    lines.push(String::new());
    lines.join("\n")
}
