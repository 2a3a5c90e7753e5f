//! `lotse check`: all problems of all declarations.

use std::collections::BTreeSet;
use std::io::{self, Write};

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::fix::{self, Mending};
use super::workspace::{EnvironmentsError, Workspace, exit, plural};
use crate::config;
use crate::diag::{self, Diagnostic, Label, Sources};
use crate::names::{AppName, EnvironmentName};

/// Check the declarations of one environment, or of all
///
/// Reports every problem of every file at once, each with a code, the line and what to do about it. Talks to no system.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  lotse check                        every problem of every environment
  lotse check --fix                  mend what has one answer, show what is left
  lotse check --fix --dry-run        show that as a diff
  lotse check -o sarif > lotse.sarif for code scanning")]
pub struct CheckArgs {
    /// Name of the environment: a directory under `environments/` [default: all]
    #[arg(value_name = "ENVIRONMENT")]
    pub environment: Option<EnvironmentName>,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Mend the files where there is only one answer, then report what is left
    #[arg(long)]
    pub fix: bool,
    /// Mend by guesses too, such as the nearest name; read the changes before you commit them
    #[arg(long, requires = "fix")]
    pub guesses: bool,
    /// Write nothing, print what would be changed as a diff
    #[arg(long, visible_alias = "diff", requires = "fix")]
    pub dry_run: bool,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, on stderr
    Text,
    /// For programs, on stdout: an object of kind Diagnostics
    Json,
    /// For code scanning, on stdout: SARIF 2.1.0
    Sarif,
    /// For annotations in GitHub Actions, on stdout: workflow commands
    Github,
}

/// The check could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no environment to check.
    #[error(transparent)]
    Environments(EnvironmentsError),
    /// A mended file can't be written.
    #[error("{path} can't be written, and no file after it was")]
    Write {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The output can't be written.
    #[error("writing the output")]
    Output(#[source] io::Error),
}

/// Checks, mends when asked to, and shows what was found.
pub fn run(
    args: &CheckArgs,
    workspace: &Workspace<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, CheckError> {
    let environments = workspace
        .environments(args.environment.as_ref())
        .map_err(CheckError::Environments)?;
    let mut found = Found::look(workspace, &environments, &Sources::new());
    if args.fix {
        let mending = Mending::of(workspace, &environments, &found, args.guesses);
        if args.dry_run {
            fix::show(&mending, args.output == Output::Text, out, err).map_err(CheckError::Output)?;
            return Ok(exit(&found.diagnostics));
        }
        mending.write(workspace.root)?;
        fix::tell(&mending, err).map_err(CheckError::Output)?;
        found = mending.left;
    }
    show(args.output, &found, workspace, out, err).map_err(CheckError::Output)?;
    Ok(exit(&found.diagnostics))
}

fn show(
    output: Output,
    found: &Found,
    workspace: &Workspace<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    let (diagnostics, sources) = (&found.diagnostics, &found.sources);
    match output {
        Output::Text if diagnostics.is_empty() => writeln!(err, "{}", found.summary()),
        Output::Text => workspace.show(diagnostics, sources, err),
        Output::Json => writeln!(out, "{:#}", diag::to_json(diagnostics, sources)),
        Output::Sarif => writeln!(out, "{:#}", diag::to_sarif(diagnostics, sources)),
        Output::Github => write!(out, "{}", diag::to_github(diagnostics, sources)),
    }
}

/// What all environments together have; a problem of a shared file counts once.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    environments: usize,
    apps: BTreeSet<AppName>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The environments that each of them was found in.
    seen_in: Vec<BTreeSet<EnvironmentName>>,
    pub(super) sources: Sources,
}

impl Found {
    /// Reads all `environments`, with other texts for the files `changed`.
    pub(super) fn look(
        workspace: &Workspace<'_>,
        environments: &[EnvironmentName],
        changed: &Sources,
    ) -> Self {
        let mut found = Self {
            environments: environments.len(),
            ..Self::default()
        };
        let mut loaded_environments = Vec::new();
        for environment in environments {
            match workspace.load_changed(environment, changed) {
                Ok(loaded) => {
                    loaded_environments.push(loaded.declarations.environment.clone());
                    let names = loaded.declarations.apps.into_iter().map(|app| app.name);
                    found.apps.extend(names);
                    found.add(environment, loaded.warnings, loaded.sources);
                }
                Err(problems) => found.add(environment, problems.diagnostics, problems.sources),
            }
        }
        found.name_environments();
        found.diagnostics.extend(config::rivals(&loaded_environments));
        if environments.len() > 1 {
            found
                .diagnostics
                .extend(config::misnamed_environments(workspace.root));
        }
        found
    }

    /// Says of problems in shared files which environments have them, where not all have.
    fn name_environments(&mut self) {
        for (diagnostic, seen_in) in self.diagnostics.iter_mut().zip(&self.seen_in) {
            let is_shared = |label: &Label| !label.path.starts_with("environments");
            if seen_in.len() == self.environments || !diagnostic.labels.first().is_some_and(is_shared) {
                continue;
            }
            let names: Vec<&str> = seen_in.iter().map(EnvironmentName::as_str).collect();
            diagnostic.message = format!("{} (in {})", diagnostic.message, names.join(", "));
        }
    }

    fn add(&mut self, environment: &EnvironmentName, diagnostics: Vec<Diagnostic>, sources: Sources) {
        let is_same = |one: &Diagnostic, other: &Diagnostic| {
            one.code == other.code
                && one.message == other.message
                && one.labels.first() == other.labels.first()
        };
        for diagnostic in diagnostics {
            let earlier = self
                .diagnostics
                .iter()
                .position(|earlier| is_same(earlier, &diagnostic));
            if let Some(earlier) = earlier {
                self.seen_in[earlier].insert(environment.clone());
            } else {
                self.diagnostics.push(diagnostic);
                self.seen_in.push(BTreeSet::from([environment.clone()]));
            }
        }
        for (path, shown) in sources {
            let earlier = self.sources.remove(&path);
            let shown = match earlier {
                Some(earlier) => masked_by_either(&earlier, &shown),
                None => shown,
            };
            self.sources.insert(path, shown);
        }
    }

    /// `4 applications in 1 environment: no mistakes`
    fn summary(&self) -> String {
        format!(
            "{} in {}: no mistakes",
            plural(self.apps.len(), "application"),
            plural(self.environments, "environment")
        )
    }
}

/// One text that was read twice, with the asterisks of both.
fn masked_by_either(one: &str, other: &str) -> String {
    if one.len() != other.len() {
        return other.to_owned();
    }
    let mut bytes = one.as_bytes().to_vec();
    for (byte, also) in bytes.iter_mut().zip(other.bytes()) {
        if also == b'*' {
            *byte = also;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| other.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_either_hides_stays_hidden() {
        assert_eq!(masked_by_either("a: ** b: ä", "a: xy b: **"), "a: ** b: **");
    }
}
