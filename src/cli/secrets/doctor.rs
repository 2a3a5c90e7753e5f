//! `lotse secrets doctor`: who can open what, and who should.

use std::io;

use clap::Args;
use serde::Serialize;

use super::super::format::Format;
use super::super::workspace::{Workspace, plural};
use super::super::{CommandError, Exit, Kind, written};
use super::sealed::{self, SealedFile};
use crate::config::{Declarations, Reader, without_key};
use crate::names::EnvironmentName;

/// Say who can open each encrypted file, who should, and who should no more
///
/// Needs no key: whom a file is encrypted to stands in it. Exit code 5 says that files are to be brought in line by
/// `lotse secrets rekey`, 7 that files are damaged, so that nobody can open them.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// For people or for programs
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// What is found, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    environment: EnvironmentName,
    files: Vec<FileOutline>,
    /// Members of the teams that may decrypt who have no recipient in people.yaml.
    without_key: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FileOutline {
    path: String,
    /// `cluster`, and logins.
    opens: Vec<String>,
    missing: Vec<String>,
    /// Logins, and recipients of nobody who is known.
    others: Vec<String>,
    /// What stands in it in plain text.
    open: Vec<String>,
    /// Why nobody can open it; the lists above are empty then.
    damage: Vec<String>,
}

pub(super) fn run(arguments: &DoctorArguments, workspace: &Workspace<'_>) -> Result<Exit, CommandError> {
    let loaded = workspace.open_declared(&arguments.environment)?;
    let declarations = &loaded.declarations;
    let files = sealed::files(workspace.root, declarations)
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
    let findings = Findings {
        environment: arguments.environment.clone(),
        files: files.iter().map(|file| outline(file, declarations)).collect(),
        without_key: without_key(&declarations.environment, &declarations.people)
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    let exit = if files.iter().any(|file| !file.damage.is_empty()) {
        Exit::Checks
    } else if files.iter().all(|file| file.is_right() && file.open.is_empty()) {
        Exit::Done
    } else {
        Exit::Pending
    };
    written(
        arguments
            .output
            .write(&findings, text, &mut io::stdout())
            .map(|()| exit),
    )
}

fn outline(file: &SealedFile, declarations: &Declarations) -> FileOutline {
    let names = |readers: &[Reader]| readers.iter().map(name).collect();
    let others = file.others.iter().map(|recipient| {
        let members = &declarations.people.members;
        let known = members
            .iter()
            .find(|person| person.age.as_ref().is_some_and(|age| age.as_str() == recipient));
        known.map_or_else(|| recipient.clone(), |person| person.login.to_string())
    });
    FileOutline {
        path: file.path.to_string(),
        opens: names(&file.opens),
        missing: names(&file.missing),
        others: others.collect(),
        open: file.open.clone(),
        damage: file.damage.clone(),
    }
}

/// `cluster`, or the person's login.
pub(super) fn name(reader: &Reader) -> String {
    let person = reader.person.as_ref();
    person.map_or_else(|| "cluster".to_owned(), ToString::to_string)
}

fn text(findings: &Findings) -> String {
    let mut lines = Vec::new();
    for file in &findings.files {
        lines.push(file.path.clone());
        for (key, names) in [
            ("opens", &file.opens),
            ("missing", &file.missing),
            ("others", &file.others),
            ("plain", &file.open),
            ("damaged", &file.damage),
        ] {
            if !names.is_empty() {
                lines.push(format!("  {key:9}{}", names.join(", ")));
            }
        }
    }
    if !findings.without_key.is_empty() {
        lines.push(format!(
            "without a recipient in people.yaml: {} (`lotse secrets key` makes one)",
            findings.without_key.join(", ")
        ));
    }
    let is_whole = |file: &&FileOutline| file.damage.is_empty();
    let is_alone = |file: &FileOutline| file.opens.len() + file.missing.len() < 2;
    let mut whole = findings.files.iter().filter(is_whole).peekable();
    if whole.peek().is_some() && whole.all(is_alone) {
        lines.push(
            "nobody but the cluster opens them: name a team under `secrets.teams` whose members have `age` in people.yaml"
                .to_owned(),
        );
    }
    let damaged: Vec<&str> = findings
        .files
        .iter()
        .filter(|file| !is_whole(file))
        .map(|file| file.path.as_str())
        .collect();
    if !damaged.is_empty() {
        lines.push(format!(
            "{} damaged, so that nobody can open {}: take {} from Git as before, `git log -- {}`",
            plural(damaged.len(), "file"),
            if damaged.len() == 1 { "it" } else { "them" },
            if damaged.len() == 1 { "it" } else { "them" },
            damaged.join(" ")
        ));
    }
    let wrong = findings
        .files
        .iter()
        .filter(|file| !file.missing.is_empty() || !file.others.is_empty());
    lines.push(match (findings.files.len(), wrong.count()) {
        (0, _) => format!("{} has no encrypted files", findings.environment),
        (_, 0) if !damaged.is_empty() => return lines.join("\n") + "\n",
        (all, 0) => format!(
            "{}: those can open them who should, and nobody else",
            plural(all, "file")
        ),
        (all, wrong) => format!(
            "{wrong} of {} to bring in line: `lotse secrets rekey {}`",
            plural(all, "file"),
            findings.environment
        ),
    });
    lines.join("\n") + "\n"
}
