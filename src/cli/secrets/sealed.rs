//! The encrypted files of an environment.

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::{Declarations, Reader, damage, environment_folders, readers, sealed};

/// Larger files hold no secrets that somebody edits.
const SIZE_LIMIT: u64 = 4 << 20;

/// One encrypted file, and how its recipients differ from those who should be able to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealedFile {
    /// Relative to the repository.
    pub(super) path: Utf8PathBuf,
    /// Who should be able to open it, and can.
    pub(super) opens: Vec<Reader>,
    /// Who should be able to open it, and can't.
    pub(super) missing: Vec<Reader>,
    /// Who can open it, and should not.
    pub(super) others: Vec<String>,
    /// What stands in it in plain text.
    pub(super) open: Vec<String>,
    /// Why nobody can open it.
    pub(super) damage: Vec<String>,
}

impl SealedFile {
    /// Whether those can open it who should, and nobody else.
    pub(super) const fn is_right(&self) -> bool {
        self.missing.is_empty() && self.others.is_empty() && self.damage.is_empty()
    }
}

/// All encrypted files of the environment's applications, sorted. Files that are not in its own folder may be of other
/// environments as well, so that nobody who can open them is one too many.
pub(super) fn files(root: &Utf8Path, declarations: &Declarations) -> std::io::Result<Vec<SealedFile>> {
    let environment = &declarations.environment;
    let readers = readers(environment, &declarations.people);
    let folders = environment_folders(root, &environment.name);
    let mut texts = Vec::new();
    for app in &environment.apps {
        let homes = folders.iter().map(|folder| folder.join("apps"));
        for home in homes.chain([Utf8PathBuf::from("apps")]) {
            collect(root, &home.join(app.as_str()), &mut texts)?;
        }
    }
    texts.sort();
    let judged = texts.into_iter().filter_map(|(path, text)| {
        let damage = damage(&path, &text);
        if !damage.is_empty() {
            // Nobody can open it, whoever is named in it.
            return Some(SealedFile {
                path,
                opens: Vec::new(),
                missing: Vec::new(),
                others: Vec::new(),
                open: Vec::new(),
                damage,
            });
        }
        let found = sealed(&text)?;
        let is_own = path.starts_with(&folders[0]);
        let (opens, missing) = readers.iter().cloned().partition(|reader| {
            found
                .recipients
                .iter()
                .any(|each| each == reader.recipient.as_str())
        });
        let others = found.recipients.into_iter().filter(|recipient| {
            is_own
                && readers
                    .iter()
                    .all(|reader| reader.recipient.as_str() != recipient)
        });
        Some(SealedFile {
            path,
            opens,
            missing,
            others: others.collect(),
            open: found.open,
            damage: Vec::new(),
        })
    });
    Ok(judged.collect())
}

/// Texts of all files below `folder`; links are not followed.
fn collect(
    root: &Utf8Path,
    folder: &Utf8Path,
    texts: &mut Vec<(Utf8PathBuf, String)>,
) -> std::io::Result<()> {
    let entries = match fs_err::read_dir(root.join(folder)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = folder.join(name);
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(root, &path, texts)?;
        } else if metadata.is_file() && metadata.len() <= SIZE_LIMIT {
            let bytes = fs_err::read(root.join(&path))?;
            texts.extend(String::from_utf8(bytes).ok().map(|text| (path, text)));
        }
    }
    Ok(())
}
