//! `lotse check --fix`: fixes are made in memory, round by round, until nothing changes any more; then files are
//! written.

use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};

use super::check::{CheckError, Found};
use super::workspace::{Workspace, plural};
use crate::config::file::{Files, Replacement};
use crate::config::yaml;
use crate::diag::{self, Code, Diagnostic, Fix, Position, Sources};
use crate::names::EnvironmentName;
use crate::render::{Difference, Kind};

/// A fix may uncover the next problem, but not for ever.
const ROUNDS: usize = 10;

/// What the fixes of all problems come to.
pub(super) struct Mending {
    /// Texts of the changed files as they are.
    before: Sources,
    /// The same files as they should be.
    after: Sources,
    /// What is shown of them, before and after: without secrets.
    shown: Vec<Difference<'static>>,
    made: Vec<Made>,
    /// What no fix mends.
    pub(super) left: Found,
}

/// A fix that was made.
struct Made {
    path: Utf8PathBuf,
    line: usize,
    code: Code,
    message: String,
    fix: Fix,
}

impl Mending {
    /// Mends what was `found`, in memory; guesses only when they are `allowed`.
    pub(super) fn of(
        workspace: &Workspace<'_>,
        environments: &[EnvironmentName],
        found: &Found,
        guesses: bool,
    ) -> Self {
        let mut mending = Self {
            before: Sources::new(),
            after: Sources::new(),
            shown: Vec::new(),
            made: Vec::new(),
            left: found.clone(),
        };
        for _ in 0..ROUNDS {
            if !mending.round(workspace.root, guesses) {
                break;
            }
            mending.left = Found::look(workspace, environments, &mending.after);
        }
        mending.shown = mending.differences(found);
        mending
    }

    /// Makes all fixes that go together; whether there was one.
    fn round(&mut self, root: &Utf8Path, guesses: bool) -> bool {
        let left = std::mem::take(&mut self.left);
        let chosen = diag::compatible(&left.diagnostics, |fix| guesses || fix.is_safe());
        let texts = self.texts(root, &left.sources, &chosen);
        let mut mended = diag::mended(&texts, chosen.iter().filter_map(|each| each.fix.as_ref()));
        mended.retain(|path, text| texts.get(path) != Some(text) && yaml::is_document(text));
        for diagnostic in chosen {
            self.made.extend(made(diagnostic, &mended, &texts));
        }
        let is_changed = !mended.is_empty();
        for (path, text) in mended {
            if let Some(before) = texts.get(&path) {
                self.before.entry(path.clone()).or_insert_with(|| before.clone());
            }
            self.after.insert(path, text);
        }
        self.left = left;
        is_changed
    }

    /// The texts that the fixes of `chosen` are for, where they still are what was checked.
    fn texts(&self, root: &Utf8Path, shown: &Sources, chosen: &[&Diagnostic]) -> Sources {
        let files = Files::below(root).with_changed(&self.after);
        let paths = chosen
            .iter()
            .filter_map(|each| each.fix.as_ref())
            .flat_map(|fix| fix.edits.iter().map(|edit| &edit.path));
        paths
            .filter_map(|path| {
                let text = files.read(path).ok()?;
                is_shown_as(&text, shown.get(path)?).then(|| (path.clone(), text))
            })
            .collect()
    }

    fn differences(&self, found: &Found) -> Vec<Difference<'static>> {
        let text = |sources: &Sources, path| sources.get(path).cloned().unwrap_or_default();
        let changed = self
            .after
            .keys()
            .filter(|path| self.before.get(*path) != self.after.get(*path));
        changed
            .map(|path| Difference {
                path: path.clone(),
                kind: Kind::Changed,
                before: text(&found.sources, path).into(),
                after: text(&self.left.sources, path).into(),
            })
            .collect()
    }

    /// Writes the changed files: all are written beside the old ones before the first is put in its place.
    pub(super) fn write(&self, root: &Utf8Path) -> Result<(), CheckError> {
        let failed = |path: &Utf8PathBuf| {
            let path = path.clone();
            |source| CheckError::Write { path, source }
        };
        let mut prepared = Vec::new();
        for (path, after) in &self.after {
            if let Some(before) = self.before.get(path).filter(|before| *before != after) {
                let replacement = Replacement::prepare(root, path, before, after).map_err(failed(path))?;
                prepared.push((path, replacement));
            }
        }
        for (path, replacement) in prepared {
            replacement.finish().map_err(failed(path))?;
        }
        Ok(())
    }
}

/// Whether `shown` is `text`, but for asterisks over secrets.
fn is_shown_as(text: &str, shown: &str) -> bool {
    text.len() == shown.len()
        && text
            .bytes()
            .zip(shown.bytes())
            .all(|(byte, shown)| byte == shown || shown == b'*')
}

fn made(diagnostic: &Diagnostic, mended: &Sources, texts: &Sources) -> Option<Made> {
    let fix = diagnostic.fix.clone()?;
    let edit = fix.edits.first()?;
    mended.get(&edit.path)?;
    Some(Made {
        path: edit.path.clone(),
        line: Position::of(texts.get(&edit.path)?, edit.span.start).line,
        code: diagnostic.code,
        message: diagnostic.message.clone(),
        fix,
    })
}

/// Says what was changed.
pub(super) fn tell(mending: &Mending, err: &mut dyn Write) -> io::Result<()> {
    list("mended", mending, err)
}

/// Shows what would be changed; the changes themselves as a diff.
pub(super) fn show(
    mending: &Mending,
    as_diff: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    if as_diff {
        for difference in &mending.shown {
            write!(out, "{}", difference.unified())?;
        }
    }
    list("would mend", mending, err)
}

fn list(verb: &str, mending: &Mending, err: &mut dyn Write) -> io::Result<()> {
    for made in &mending.made {
        let doubt = if made.fix.is_safe() { "" } else { " (a guess)" };
        writeln!(
            err,
            "{verb} {}:{}: {}: {}: {}{doubt}",
            made.path, made.line, made.code, made.message, made.fix.title
        )?;
    }
    if mending.made.is_empty() {
        return writeln!(err, "nothing to mend");
    }
    let (problems, files) = (mending.made.len(), mending.shown.len());
    writeln!(
        err,
        "{verb} {} in {}",
        plural(problems, "problem"),
        plural(files, "file")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_text_is_known_under_its_asterisks() {
        assert!(is_shown_as("a: bc", "a: **"));
        assert!(!is_shown_as("a: bc", "a: bd"));
        assert!(!is_shown_as("a: bc", "a: ***"));
    }
}
