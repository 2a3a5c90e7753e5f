//! The repository that a command works on.

use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Zoned;
use jiff::civil::Date;

use super::exit::Exit;
use super::ui::Style;
use super::{CommandError, Kind, Settings};
use crate::config::file::Files;
use crate::config::{self, Declarations, Loaded, Problems};
use crate::desired::Desired;
use crate::diag::{self, Diagnostic, Fix, Look, Severity, Sources};
use crate::names::EnvironmentName;
use crate::render;
use crate::surface::git::{DesiredFile, DesiredFiles, read_checkout};

/// What of a checkout goes to a platform's repository that has no other source: the lab's.
const CHECKOUT: [&str; 3] = ["apps", "environments", "runbooks"];

/// The repository, the day, and how diagnostics are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Workspace<'root> {
    /// Folder with `apps` and `environments`.
    pub root: &'root Utf8Path,
    /// Decides which grants have ended.
    pub today: Date,
    /// How diagnostics are drawn.
    pub look: Look,
    /// Where it is noted that a tree is as declared; without, each run looks at everything.
    pub stamps: Option<Stamps<'root>>,
}

/// Where stamps of rendered trees are kept, and what else they depend on.
#[derive(Clone, Copy, Debug)]
pub struct Stamps<'root> {
    /// Folder of things that can be made again.
    pub cache: &'root Utf8Path,
    /// This program: another one may render another tree.
    pub program: &'root Utf8Path,
}

impl<'root> Workspace<'root> {
    /// The repository that `settings` found, today, drawn as stderr wants it.
    pub(super) fn new(settings: &'root Settings) -> Self {
        let look = if Style::of_stderr().is_coloured() {
            Look::Coloured
        } else {
            Look::Plain
        };
        Self {
            root: &settings.root,
            today: Zoned::now().date(),
            look,
            stamps: Some(Stamps {
                cache: &settings.cache,
                program: &settings.program,
            }),
        }
    }

    /// Loads the declarations of `environment`; shows what is wrong with them.
    pub(super) fn open(&self, environment: &EnvironmentName) -> Result<Loaded, CommandError> {
        let loaded = self.open_quietly(environment)?;
        drop(self.show(&loaded.warnings, &loaded.sources, &mut io::stderr()));
        Ok(loaded)
    }

    /// Shows what is wrong with declarations.
    pub(super) fn refused(&self, problems: &Problems) -> CommandError {
        drop(self.show(&problems.diagnostics, &problems.sources, &mut io::stderr()));
        CommandError::shown(Kind::Declarations)
    }

    /// Loads the declarations of `environment`; shows what is wrong with them where they have errors.
    pub(super) fn open_quietly(&self, environment: &EnvironmentName) -> Result<Loaded, CommandError> {
        self.load(environment).map_err(|problems| self.refused(&problems))
    }

    /// Loads the declarations of `environment` alone, whatever is wrong with manifests; shows what is wrong with them.
    pub(super) fn open_declared(&self, environment: &EnvironmentName) -> Result<Loaded, CommandError> {
        config::load_declared(self.root, environment, self.today).map_err(|problems| self.refused(&problems))
    }

    /// The files that a bring-up publishes, and the paths that are ours in the repository. A lab's repository starts
    /// empty and gets the checkout's declarations too; elsewhere they come from the repository itself.
    pub(super) fn publication(
        &self,
        declarations: &Declarations,
        desired: &Desired<'_>,
    ) -> Result<(DesiredFiles, Vec<String>), CommandError> {
        let failed =
            |error: &(dyn std::error::Error + 'static)| CommandError::from_error(Kind::Failed, error);
        let tree = render::tree(desired).map_err(|error| failed(&error))?;
        let mut files = DesiredFiles::new();
        let mut owned = vec![tree.folder.to_string()];
        if declarations.environment.lab.is_some() {
            files.extend(read_checkout(self.root, &CHECKOUT).map_err(|error| failed(&error))?);
            owned.extend(CHECKOUT.map(str::to_owned));
        }
        let rendered = tree
            .files
            .into_iter()
            .map(|(path, text)| (path, DesiredFile::text(text)));
        let seeds = tree
            .seeds
            .into_iter()
            .map(|(path, text)| (path, DesiredFile::text(text).only_if_absent()));
        files.extend(rendered.chain(seeds));
        Ok((files, owned))
    }

    /// The environment that is asked for, or else all there are.
    pub(super) fn environments(
        &self,
        wanted: Option<&EnvironmentName>,
    ) -> Result<Vec<EnvironmentName>, EnvironmentsError> {
        if let Some(name) = wanted {
            return Ok(vec![name.clone()]);
        }
        let root = self.root.to_owned();
        match config::environments(self.root) {
            Ok(names) if names.is_empty() => Err(EnvironmentsError::Empty { root }),
            Ok(names) => Ok(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EnvironmentsError::Missing { root }),
            Err(source) => Err(EnvironmentsError::Unreadable { root, source }),
        }
    }

    pub(super) fn load(&self, environment: &EnvironmentName) -> Result<Loaded, Problems> {
        config::load(self.root, environment, self.today)
    }

    /// The same with other texts for the files `changed`.
    pub(super) fn load_changed(
        &self,
        environment: &EnvironmentName,
        changed: &Sources,
    ) -> Result<Loaded, Problems> {
        let files = Files::below(self.root).with_changed(changed);
        config::load_files(files, environment, self.today)
    }

    /// Draws diagnostics and a closing line.
    pub(super) fn show(
        &self,
        diagnostics: &[Diagnostic],
        sources: &Sources,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        write!(to, "{}", diag::to_text(diagnostics, sources, self.look))?;
        let is_error = |each: &&Diagnostic| each.severity() == Severity::Error;
        match diagnostics.iter().find(is_error).or_else(|| diagnostics.first()) {
            Some(first) => writeln!(
                to,
                "\n{}{}.{} `lotse explain {}` tells more.",
                count(diagnostics),
                files(diagnostics, sources),
                fixes(diagnostics),
                first.code
            ),
            None => Ok(()),
        }
    }
}

/// There is no environment to work on.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentsError {
    /// This is no repository of a platform.
    #[error("there is no folder `environments` in {root}")]
    Missing {
        /// Where it was looked for.
        root: Utf8PathBuf,
    },
    /// There is none yet.
    #[error("there is no environment in {root}/environments")]
    Empty {
        /// The repository.
        root: Utf8PathBuf,
    },
    /// The folder can't be listed.
    #[error("listing {root}/environments")]
    Unreadable {
        /// The repository.
        root: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How it ends when these were found.
pub(super) fn exit(diagnostics: &[Diagnostic]) -> Exit {
    let has_errors = diagnostics.iter().any(|each| each.severity() == Severity::Error);
    if has_errors {
        Exit::Declarations
    } else {
        Exit::Done
    }
}

/// `2 errors, 1 warning`
fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| {
        diagnostics
            .iter()
            .filter(|each| each.severity() == severity)
            .count()
    };
    let counts = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")];
    let parts = counts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| plural(number, noun));
    parts.collect::<Vec<_>>().join(", ")
}

/// ` in 1 of 6 files`, or nothing where no file could be read.
fn files(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let faulty = sources.keys().filter(|path| {
        diagnostics
            .iter()
            .any(|each| each.labels.first().is_some_and(|label| label.path == **path))
    });
    match faulty.count() {
        0 => String::new(),
        faulty => format!(" in {faulty} of {}", plural(sources.len(), "file")),
    }
}

/// How many of them a program can mend.
fn fixes(diagnostics: &[Diagnostic]) -> String {
    let fixes: Vec<&Fix> = diagnostics.iter().filter_map(|each| each.fix.as_ref()).collect();
    let safe = fixes.iter().filter(|fix| fix.is_safe()).count();
    match (safe, fixes.len() - safe) {
        (0, 0) => String::new(),
        (safe, 0) => format!(" `lotse check --fix` mends {safe} of them."),
        (0, guesses) => format!(" `lotse check --fix --guesses` mends {guesses} of them by a guess."),
        (safe, guesses) => {
            format!(" `lotse check --fix` mends {safe} of them, with `--guesses` {guesses} more.")
        }
    }
}

/// `1 file`, `2 files`
pub(super) fn plural(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
