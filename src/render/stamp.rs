//! Whether anything could have changed since a tree was last found to be as declared, without reading a file.
//!
//! Like Git's index: a file whose size, times and inode are those that were noted is taken to have the content it had.
//! The stamp is a shortcut and no state: without it everything is read, checked and compared.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::names::EnvironmentName;

/// A file that was changed so recently may be changed again without another time: clocks of file systems tick slowly.
const TICK: Duration = Duration::from_millis(20);

/// Stamps of trees that nobody renders any more are removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What one tree is made from, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'place> {
    /// The repository.
    pub root: &'place Utf8Path,
    /// Below it the tree is.
    pub output: &'place Utf8Path,
    /// The environment.
    pub environment: &'place EnvironmentName,
}

/// Everything that a rendering depends on, as it was at one moment, before anything was read.
#[derive(Debug)]
pub struct Stamp<'place> {
    place: Place<'place>,
    file: Utf8PathBuf,
    /// `None` where it can't be told whether a file changes.
    declared: Option<[u8; 32]>,
}

impl<'place> Stamp<'place> {
    /// Looks at the declarations. Stamps are kept in `folder`; `program` and `today` are what else decides what is rendered.
    #[must_use]
    pub fn take(folder: &Utf8Path, place: Place<'place>, program: &Utf8Path, today: Date) -> Self {
        let key = [place.root, place.output]
            .map(|path| path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned()));
        let name = Sha256::digest(format!("{}\n{}\n{}", key[0], key[1], place.environment));
        Self {
            place,
            file: folder.join(hex(&name)),
            declared: declared(place, program, today).ok().flatten(),
        }
    }

    /// Whether all is as it was when [`Stamp::keep`] was called last.
    #[must_use]
    pub fn holds(&self) -> bool {
        let whole = self.whole();
        whole.is_some_and(|whole| fs_err::read_to_string(&self.file).is_ok_and(|kept| kept == whole))
    }

    /// Notes that the tree is as declared, which was found out after the stamp was taken. Does nothing where that can't be
    /// noted, such as right after the tree was written: the next run looks again.
    pub fn keep(&self) {
        if let (Some(whole), Some(folder)) = (self.whole(), self.file.parent()) {
            drop(keep(folder, &self.file, &whole));
        }
    }

    fn whole(&self) -> Option<String> {
        let tree = Utf8Path::new("clusters").join(self.place.environment.as_str());
        let mut rendered = Fingerprint::default();
        let now = SystemTime::now();
        rendered.add(self.place.output, &tree).ok()?;
        if !rendered.tells_changes(now) {
            return None;
        }
        let mut whole = Sha256::new();
        whole.update(self.declared?);
        whole.update(rendered.hash.finalize());
        Some(hex(&whole.finalize()))
    }
}

fn keep(folder: &Utf8Path, file: &Utf8Path, whole: &str) -> io::Result<()> {
    fs_err::create_dir_all(folder)?;
    let temporary = tempfile::NamedTempFile::new_in(folder)?;
    fs_err::write(temporary.path(), whole)?;
    temporary.persist(file).map_err(|error| error.error)?;
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > KEPT {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder of the environment; that of all of them where it extends another one.
fn declared_by(place: Place<'_>) -> Utf8PathBuf {
    let all = Utf8PathBuf::from("environments");
    let own = all.join(place.environment.as_str());
    let text = fs_err::read_to_string(place.root.join(&own).join("environment.yaml"));
    let extends = text.is_ok_and(|text| text.contains("extends"));
    if extends { all } else { own }
}

/// All that is declared. `None` where a file was changed in this very moment, or where links make it hard to say.
fn declared(place: Place<'_>, program: &Utf8Path, today: Date) -> io::Result<Option<[u8; 32]>> {
    let environment = declared_by(place);
    let now = SystemTime::now();
    let fingerprint = |folder: &Utf8Path| {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(place.root, folder).map(|()| fingerprint)
    };
    let parts = std::thread::scope(|scope| {
        let apps = scope.spawn(|| fingerprint(Utf8Path::new("apps")));
        let others = [&environment, Utf8Path::new("runbooks")].map(fingerprint);
        let apps = apps
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        others.into_iter().chain([apps]).collect::<io::Result<Vec<_>>>()
    })?;
    let mut whole = Sha256::new();
    let built = fs_err::metadata(program)?;
    whole.update(format!(
        "{today}\n{}\n{}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        built.len(),
        built.mtime_nsec()
    ));
    for part in parts {
        if !part.tells_changes(now) {
            return Ok(None);
        }
        whole.update(part.hash.finalize());
    }
    Ok(Some(whole.finalize().into()))
}

/// Names, sizes, times and inodes of all files of some folders.
#[derive(Default)]
struct Fingerprint {
    hash: Sha256,
    newest: Option<SystemTime>,
    has_links: bool,
}

impl Fingerprint {
    /// Whether every change after `now` makes another fingerprint.
    fn tells_changes(&self, now: SystemTime) -> bool {
        !self.has_links && self.newest.is_none_or(|newest| newest + TICK <= now)
    }

    /// Adds `folder` below `root` with all that is in it; a folder that is not there counts as empty.
    fn add(&mut self, root: &Utf8Path, folder: &Utf8Path) -> io::Result<()> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs_err::read_dir(root.join(&folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs_err::DirEntry::file_name);
            self.hash.update(folder.as_str());
            for entry in entries {
                let name = entry.file_name();
                let metadata = entry.metadata()?;
                self.note(name.as_encoded_bytes(), &metadata);
                if metadata.is_dir() {
                    let name = name
                        .into_string()
                        .map_err(|_| io::Error::other("a name is not UTF-8"))?;
                    folders.push(folder.join(name));
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, name: &[u8], metadata: &std::fs::Metadata) {
        self.has_links |= metadata.is_symlink();
        self.hash.update([0]);
        self.hash.update(name);
        let mut numbers = vec![metadata.ino(), metadata.size(), u64::from(metadata.mode())];
        // A folder's own times say nothing that the names in it don't.
        if !metadata.is_dir() {
            let times = [
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ];
            numbers.extend(times.map(i64::cast_unsigned));
            let changed = SystemTime::UNIX_EPOCH
                + Duration::from_secs(metadata.ctime().cast_unsigned())
                + Duration::from_nanos(metadata.ctime_nsec().cast_unsigned());
            self.newest = self.newest.max(Some(changed));
        }
        for number in numbers {
            self.hash.update(number.to_le_bytes());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = date(2026, 11, 23);

    struct Repository {
        directory: tempfile::TempDir,
        environment: EnvironmentName,
    }

    impl Repository {
        fn new() -> Self {
            let repository = Self {
                directory: tempfile::tempdir().unwrap(),
                environment: EnvironmentName::new("lab").unwrap(),
            };
            for path in [
                "apps/web/app.yaml",
                "environments/lab/people.yaml",
                "runbooks/web/a.md",
                "clusters/lab/a.yaml",
            ] {
                repository.write(path, "a: 1");
            }
            std::thread::sleep(2 * TICK);
            repository
        }

        fn root(&self) -> &Utf8Path {
            Utf8Path::from_path(self.directory.path()).unwrap()
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }

        fn stamp(&self, today: Date) -> Stamp<'_> {
            let place = Place {
                root: self.root(),
                output: self.root(),
                environment: &self.environment,
            };
            // What is rendered here depends on a program that nobody replaces.
            Stamp::take(&self.root().join("cache"), place, Utf8Path::new("/bin/sh"), today)
        }

        fn holds(&self) -> bool {
            std::thread::sleep(2 * TICK);
            self.stamp(TODAY).holds()
        }
    }

    #[test]
    fn test_a_stamp_holds_until_something_changes() {
        let repository = Repository::new();
        assert!(!repository.holds());
        repository.stamp(TODAY).keep();
        assert!(repository.holds());
        assert!(!repository.stamp(date(2026, 11, 24)).holds());
        for path in [
            "apps/web/app.yaml",
            "environments/lab/people.yaml",
            "runbooks/db/a.md",
            "clusters/lab/a.yaml",
        ] {
            repository.write(path, "a: 2");
            assert!(!repository.holds(), "{path}");
            repository.stamp(TODAY).keep();
            assert!(repository.holds(), "{path}");
        }
        fs_err::remove_file(repository.root().join("clusters/lab/a.yaml")).unwrap();
        assert!(!repository.holds());
    }

    #[test]
    fn test_what_changes_while_it_is_read_is_noticed() {
        let repository = Repository::new();
        let stamp = repository.stamp(TODAY);
        repository.write("apps/web/app.yaml", "a: 2");
        stamp.keep();
        assert!(!repository.holds());
    }

    #[test]
    fn test_where_changes_can_not_be_told_nothing_is_noted() {
        let repository = Repository::new();
        repository.write("apps/web/app.yaml", "a: 2");
        let too_fresh = repository.stamp(TODAY);
        too_fresh.keep();
        assert!(!repository.holds());
        std::os::unix::fs::symlink("app.yaml", repository.root().join("apps/web/link.yaml")).unwrap();
        std::thread::sleep(2 * TICK);
        repository.stamp(TODAY).keep();
        assert!(!repository.holds());
    }
}
