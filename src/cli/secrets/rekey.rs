//! `lotse secrets rekey`: encrypted files brought in line with who may open them.

use clap::Args;

use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, Settings, files, ui};
use super::doctor::name;
use super::{Keys, check_sealed, damaged, no_secrets, of_sops, sealed};
use crate::age::Recipient;
use crate::config::file::Replacement;
use crate::names::EnvironmentName;

/// Encrypt files anew, to those who should be able to open them and nobody else
///
/// Each file whose recipients differ gets a new data key and is written as a whole. Whoever could open a file has seen
/// its values, which only another value changes. Needs a key that opens the files.
#[derive(Debug, Args)]
pub(super) struct RekeyArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    #[command(flatten)]
    keys: Keys,
    /// Write nothing, say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(
    arguments: &RekeyArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let loaded = workspace.open_declared(&arguments.environment)?;
    if loaded.declarations.environment.encryption.is_none() {
        return Err(no_secrets(&arguments.environment));
    }
    let sealed = sealed::files(workspace.root, &loaded.declarations)
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
    let wrong: Vec<_> = sealed.iter().filter(|file| !file.is_right()).collect();
    if wrong.is_empty() {
        ui::eprint("all files are encrypted as declared: nothing to do\n");
        return Ok(Exit::Done);
    }
    if let Some(file) = wrong.iter().find(|file| !file.damage.is_empty()) {
        return Err(damaged(&file.path, &file.damage));
    }
    let sops = arguments.keys.sops(&loaded, settings).await?;
    for file in &wrong {
        if !arguments.dry_run {
            let added: Vec<Recipient> = file
                .missing
                .iter()
                .map(|reader| reader.recipient.clone())
                .collect();
            let foreign: Vec<&str> = file
                .others
                .iter()
                .filter(|key| !is_of_age(key))
                .map(String::as_str)
                .collect();
            if !foreign.is_empty() {
                let message = format!("{} is encrypted to {}, too", file.path, foreign.join(", "));
                return Err(CommandError::new(Kind::Failed, message)
                    .hint("only sops itself takes such a key out: `sops rotate --help`"));
            }
            let before = files::text(workspace, &file.path)?;
            let after = sops
                .rotate(&workspace.root.join(&file.path), &added, &file.others)
                .await
                .map_err(|error| of_sops(&error))?;
            check_sealed(&file.path, &after)?;
            Replacement::prepare(workspace.root, &file.path, &before, &after)
                .and_then(Replacement::finish)
                .map_err(|source| CommandError::from_error(Kind::Failed, &source))?;
        }
        let verb = if arguments.dry_run {
            "would change"
        } else {
            "changed"
        };
        let added = file.missing.iter().map(|reader| format!("+{}", name(reader)));
        let removed = file.others.iter().map(|recipient| format!("-{recipient}"));
        let what: Vec<String> = added.chain(removed).collect();
        ui::eprint(&format!("{verb} {} ({})\n", file.path, what.join(", ")));
    }
    let seen: Vec<&str> = wrong
        .iter()
        .filter(|file| !file.others.is_empty())
        .map(|file| file.path.as_str())
        .collect();
    if !seen.is_empty() {
        ui::eprint(&format!(
            "who was taken out has seen the values of {}, and Git keeps the old ones: change them\n",
            plural(seen.len(), "file")
        ));
    }
    Ok(Exit::Done)
}

/// age takes keys of SSH as well.
fn is_of_age(key: &str) -> bool {
    key.starts_with("age1") || key.starts_with("ssh-")
}
