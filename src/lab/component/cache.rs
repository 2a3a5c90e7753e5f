//! The cache: one directory per component and pin, complete or not there at all.
//!
//! An entry is made in a sibling directory (`.making-<entry>-<pid>`) under a lock (`.locks/<entry>`) and renamed
//! in one step. `component.json` lists its files, so that an entry that lost something is noticed.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::report::Task;

use super::catalogue::Making;
use super::claim::Claim;
use super::{Acquired, Component, ComponentError, keycloak};

/// Goes up when the way components are made or laid out changes.
const RECIPE_VERSION: u32 = 1;

/// The list of an entry's files.
const LISTING: &str = "component.json";

/// The cache directory.
#[derive(Clone)]
pub(super) struct Cache {
    root: Utf8PathBuf,
}

/// What `component.json` says.
#[derive(Debug, Deserialize, Serialize)]
struct Listing {
    version: String,
    source: String,
    made: Timestamp,
    seconds: u64,
    files: BTreeMap<Utf8PathBuf, File>,
}

/// One file of an entry.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct File {
    size: u64,
    sha256: String,
}

/// The name of `component`'s entry: different for all that would make it a different one.
pub(super) fn entry_name(component: Component) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{RECIPE_VERSION}\0{}\0{}\0",
        std::env::consts::OS,
        std::env::consts::ARCH
    ));
    match component.making() {
        Making::Go(recipe) => {
            for part in [recipe.go_mod, recipe.go_sum, &recipe.flags().join("\0")] {
                hash.update(part);
                hash.update("\0");
            }
            for edit in recipe.edits {
                hash.update([edit.file, edit.from, edit.to].join("\0"));
            }
        }
        Making::Keycloak => hash.update(keycloak::fingerprint()),
        Making::Python(recipe) => hash.update(recipe.requirements),
    }
    let key = hex(&hash.finalize());
    format!("{}-{}-{}", component.name(), component.version(), &key[..12])
}

impl Cache {
    pub(super) fn new(root: Utf8PathBuf) -> Self {
        Self { root }
    }

    /// The entry of `component`, when it is there with every file in its size.
    pub(super) fn find(&self, component: Component) -> Option<Acquired> {
        let home = self.entry(component);
        let listing = read_listing(&home)?;
        let whole = listing.files.iter().all(|(path, file)| {
            home.join(path)
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.len() == file.size)
        });
        whole.then(|| Acquired::new(home, component))
    }

    /// Compares the entry's files with their hashes; one that differs makes the entry go.
    pub(super) fn verify(&self, component: Component) -> Result<bool, ComponentError> {
        let home = self.entry(component);
        let failed = |error| ComponentError::from_io(component, &home, error);
        let whole = read_listing(&home)
            .is_some_and(|listing| list_files(&home).is_ok_and(|files| files == listing.files));
        if !whole && home.exists() {
            fs_err::remove_dir_all(&home).map_err(failed)?;
        }
        Ok(whole)
    }

    /// Waits until nobody else makes `component`, and removes what dead builders left.
    pub(super) async fn claim(&self, component: Component, task: &Task<'_>) -> Result<Claim, ComponentError> {
        Claim::take(self, component, task).await
    }

    pub(super) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(super) fn entry(&self, component: Component) -> Utf8PathBuf {
        self.root.join(entry_name(component))
    }
}

/// Lists what was made in `home` and writes it down there.
pub(super) fn seal(home: &Utf8Path, component: Component, begun: Instant) -> io::Result<()> {
    let source = match component.making() {
        Making::Go(recipe) => recipe.package.unwrap_or(recipe.module).to_owned(),
        Making::Keycloak => keycloak::COORDINATES.to_owned(),
        Making::Python(_) => component.name().to_owned(),
    };
    let listing = Listing {
        version: component.version().to_owned(),
        source,
        made: Timestamp::now(),
        seconds: begun.elapsed().as_secs(),
        files: list_files(home)?,
    };
    fs_err::write(home.join(LISTING), serde_json::to_vec_pretty(&listing)?)
}

fn read_listing(home: &Utf8Path) -> Option<Listing> {
    let text = fs_err::read(home.join(LISTING)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Size and hash of every file below `home` besides the list itself.
fn list_files(home: &Utf8Path) -> io::Result<BTreeMap<Utf8PathBuf, File>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![home.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir_utf8()? {
            let path = entry?.into_path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(home).unwrap_or(&path).to_owned();
            if name != LISTING {
                files.insert(name, describe(&path)?);
            }
        }
    }
    Ok(files)
}

fn describe(path: &Utf8Path) -> io::Result<File> {
    let mut reader = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let size = io::copy(&mut reader, &mut HashWriter(&mut hash))?;
    Ok(File {
        size,
        sha256: hex(&hash.finalize()),
    })
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(path: &Utf8Path) -> io::Result<String> {
    describe(path).map(|file| file.sha256)
}

struct HashWriter<'hash>(&'hash mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String can't fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed_entry(cache: &Cache) -> Utf8PathBuf {
        let home = cache.entry(Component::AgeKeygen);
        fs_err::create_dir_all(home.join("bin")).unwrap();
        fs_err::write(home.join("bin/age-keygen"), "program").unwrap();
        seal(&home, Component::AgeKeygen, Instant::now()).unwrap();
        home
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(directory.path().to_owned()).unwrap();
        (directory, Cache::new(root))
    }

    #[test]
    fn test_entry_is_found_only_when_whole() {
        let (_directory, cache) = cache();
        assert_eq!(cache.find(Component::AgeKeygen), None);
        let home = sealed_entry(&cache);
        let found = cache.find(Component::AgeKeygen).unwrap();
        assert_eq!(found.program(), home.join("bin/age-keygen"));
        fs_err::write(home.join("bin/age-keygen"), "prog").unwrap();
        assert_eq!(cache.find(Component::AgeKeygen), None);
        fs_err::remove_file(home.join("bin/age-keygen")).unwrap();
        assert_eq!(cache.find(Component::AgeKeygen), None);
    }

    #[test]
    fn test_half_written_listing_is_no_entry() {
        let (_directory, cache) = cache();
        let home = sealed_entry(&cache);
        let text = fs_err::read(home.join(LISTING)).unwrap();
        fs_err::write(home.join(LISTING), &text[..text.len() / 2]).unwrap();
        assert_eq!(cache.find(Component::AgeKeygen), None);
    }

    #[test]
    fn test_verify_removes_an_entry_changed_in_its_size() {
        let (_directory, cache) = cache();
        let home = sealed_entry(&cache);
        assert!(cache.verify(Component::AgeKeygen).unwrap());
        fs_err::write(home.join("bin/age-keygen"), "proGram").unwrap();
        assert!(
            cache.find(Component::AgeKeygen).is_some(),
            "sizes alone don't tell"
        );
        assert!(!cache.verify(Component::AgeKeygen).unwrap());
        assert!(!home.exists());
    }

    #[test]
    fn test_entry_names_differ_and_name_the_pin() {
        let names: std::collections::BTreeSet<_> = Component::ALL.into_iter().map(entry_name).collect();
        assert_eq!(names.len(), Component::ALL.len());
        assert!(entry_name(Component::Kwok).starts_with("kwok-v0.8.0-"));
        assert_eq!(entry_name(Component::Kwok).len(), "kwok-v0.8.0-".len() + 12);
    }

    #[test]
    fn test_hash_is_sha256() {
        let (directory, _cache) = cache();
        let path = Utf8PathBuf::try_from(directory.path().join("abc")).unwrap();
        fs_err::write(&path, "abc").unwrap();
        assert_eq!(
            sha256(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
