//! New files and changed ones, as a command writes them: checked with all others first, then all or none.

use std::collections::BTreeMap;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::check::Found;
use super::workspace::{Workspace, plural};
use super::{CommandError, Kind, ui};
use crate::config::file::{Creation, Files, Replacement};
use crate::diag::{self, Diagnostic, Severity, Sources};
use crate::names::EnvironmentName;
use crate::render::{self, Difference};

/// Files that a command wants to be there.
pub(super) struct NewFiles {
    created: Sources,
    changed: BTreeMap<Utf8PathBuf, Change>,
}

struct Change {
    before: String,
    after: String,
}

impl NewFiles {
    /// Files that are not there, by path relative to the repository.
    pub(super) const fn new(created: Sources) -> Self {
        Self {
            created,
            changed: BTreeMap::new(),
        }
    }

    /// Gives the file `path`, which is `before`, the text `after`.
    pub(super) fn change(&mut self, path: Utf8PathBuf, before: String, after: String) {
        self.changed.insert(path, Change { before, after });
    }

    /// All texts as they should be.
    fn texts(&self) -> Sources {
        let changed = self
            .changed
            .iter()
            .map(|(path, change)| (path.clone(), change.after.clone()));
        self.created.clone().into_iter().chain(changed).collect()
    }

    fn differences(&self) -> Vec<Difference<'_>> {
        let created = self.created.iter().map(|(path, after)| Difference {
            path: path.clone(),
            kind: render::Kind::Missing,
            before: "".into(),
            after: after.into(),
        });
        let changed = self.changed.iter().map(|(path, change)| Difference {
            path: path.clone(),
            kind: render::Kind::Changed,
            before: (&change.before).into(),
            after: (&change.after).into(),
        });
        created.chain(changed).collect()
    }
}

/// The text of a declaration that a command wants to change.
pub(super) fn text(workspace: &Workspace<'_>, path: &Utf8Path) -> Result<String, CommandError> {
    Files::below(workspace.root)
        .read(path)
        .map_err(|unread| CommandError::new(Kind::Failed, unread.diagnostic.message))
}

/// Checks the files as if they were there, in `environments`; then writes them, or shows them as a diff.
///
/// # Guarantees
/// Writes nothing when one of them is there with another text, or brings a mistake. What an earlier run wrote is left as
/// it is, so a run that was killed is gone on with by the same command.
pub(super) fn write(
    wanted: &NewFiles,
    environments: &[EnvironmentName],
    workspace: &Workspace<'_>,
    is_dry: bool,
) -> Result<(), CommandError> {
    check_places(wanted, workspace.root)?;
    check_content(wanted, environments, workspace)?;
    if is_dry {
        let shown: String = wanted.differences().iter().map(Difference::unified).collect();
        ui::print(&shown);
        return Ok(());
    }
    let written = write_all(wanted, workspace.root).map_err(|(path, source)| {
        CommandError::from_error(Kind::Failed, &source).hint(format!(
            "{path} and what comes after it was not written; the same command goes on from there"
        ))
    })?;
    if written == 0 {
        ui::eprint("all files are there already: nothing to do\n");
    }
    Ok(())
}

/// Whether each file can be created where it should be.
fn check_places(wanted: &NewFiles, root: &Utf8Path) -> Result<(), CommandError> {
    let refused: Vec<String> = wanted
        .created
        .iter()
        .filter_map(|(path, text)| Creation::foresee(root, path, text).err())
        .map(|error| error.to_string())
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let message = format!("{} can't be created", plural(refused.len(), "file"));
    let mut error = CommandError::new(Kind::Failed, message).hint("nothing was written");
    error.causes = refused;
    Err(error)
}

/// Whether the files bring mistakes that are not there without them.
fn check_content(
    wanted: &NewFiles,
    environments: &[EnvironmentName],
    workspace: &Workspace<'_>,
) -> Result<(), CommandError> {
    let before = Found::look(workspace, environments, &Sources::new());
    let after = Found::look(workspace, environments, &wanted.texts());
    let is_known = |diagnostic: &&Diagnostic| {
        before
            .diagnostics
            .iter()
            .any(|other| other.code == diagnostic.code && other.message == diagnostic.message)
    };
    let brought: Vec<Diagnostic> = after
        .diagnostics
        .iter()
        .filter(|diagnostic| !is_known(diagnostic))
        .cloned()
        .collect();
    ui::eprint(&diag::to_text(&brought, &after.sources, workspace.look));
    if brought
        .iter()
        .any(|diagnostic| diagnostic.severity() == Severity::Error)
    {
        ui::eprint(
            "\nNothing was written: these are mistakes of what was asked for, together with what is there.\n",
        );
        return Err(CommandError::shown(Kind::Declarations));
    }
    Ok(())
}

/// Writes what is not there, and tells each; gives how many.
fn write_all(wanted: &NewFiles, root: &Utf8Path) -> Result<usize, (Utf8PathBuf, io::Error)> {
    let mut written = 0;
    for (path, text) in &wanted.created {
        let failed = |source| (path.clone(), source);
        if Creation::make(root, path, text).map_err(failed)? == Creation::Created {
            ui::eprint(&format!("wrote {path}\n"));
            written += 1;
        }
    }
    // An environment lists an application only once all of it is there.
    for (path, change) in &wanted.changed {
        Replacement::prepare(root, path, &change.before, &change.after)
            .and_then(Replacement::finish)
            .map_err(|source| (path.clone(), source))?;
        ui::eprint(&format!("changed {path}\n"));
        written += 1;
    }
    Ok(written)
}
