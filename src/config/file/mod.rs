//! Reading a file that anybody may have written: inside the repository, bounded, UTF-8. Each fault is a diagnostic.
//! Writing one so that nobody sees half of it.

mod write;

use std::collections::BTreeSet;
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::diag::{Code, Diagnostic, Position, Sources, Span};
pub use write::{Creation, Replacement};

/// Bytes that a declaration may have: many times what the largest platform needs.
pub const DECLARATION_LIMIT: u64 = 1024 * 1024;

/// The files of a repository, some of them as they would be after a change.
#[derive(Clone, Copy, Debug)]
pub struct Files<'files> {
    root: &'files Utf8Path,
    changed: Option<&'files Sources>,
}

/// Why a file can't be read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// What is wrong with it.
    pub diagnostic: Diagnostic,
    /// Its text as far as it is one, for showing the place.
    pub text: Option<String>,
}

impl<'files> Files<'files> {
    /// The files below `root` as they are.
    #[must_use]
    pub const fn below(root: &'files Utf8Path) -> Self {
        Self { root, changed: None }
    }

    /// The same with other texts for the files `changed`.
    #[must_use]
    pub const fn with_changed(mut self, changed: &'files Sources) -> Self {
        self.changed = Some(changed);
        self
    }

    /// The folder they are in.
    #[must_use]
    pub const fn root(&self) -> &'files Utf8Path {
        self.root
    }

    /// Another text for the file `path`, when it has one.
    #[must_use]
    pub(super) fn changed(&self, path: &Utf8Path) -> Option<&'files String> {
        self.changed?.get(path)
    }

    /// The names that changed files add to `folder`, with whether each is a folder.
    pub(super) fn added(&self, folder: &Utf8Path) -> impl Iterator<Item = (&'files str, bool)> {
        let changed = self.changed.into_iter().flat_map(Sources::keys);
        changed.filter_map(move |path| {
            let mut rest = path.strip_prefix(folder).ok()?.components();
            let name = rest.next()?.as_str();
            Some((name, rest.next().is_some()))
        })
    }

    /// Whether there is a folder `path`.
    pub(super) fn is_folder(&self, path: &Utf8Path) -> bool {
        self.added(path).next().is_some() || self.root.join(path).is_dir()
    }

    /// Whether there is a file `path`.
    pub(super) fn is_file(&self, path: &Utf8Path) -> bool {
        self.changed(path).is_some() || self.root.join(path).is_file()
    }

    /// Names of the folders in `folder`, sorted, hidden ones left out.
    pub(super) fn folders(&self, folder: &Utf8Path) -> io::Result<Vec<String>> {
        let added: Vec<&str> = self
            .added(folder)
            .filter_map(|(name, is_folder)| is_folder.then_some(name))
            .collect();
        let entries = match fs_err::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !added.is_empty() => None,
            other => Some(other?),
        };
        let mut names: BTreeSet<String> = added.into_iter().map(str::to_owned).collect();
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let kind = entry.file_type()?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            if let (true, Ok(name)) = (is_folder, entry.file_name().into_string()) {
                names.insert(name);
            }
        }
        names.retain(|name| !name.starts_with('.'));
        Ok(names.into_iter().collect())
    }

    /// Whether `folder` can be listed; one that is not there can.
    pub(super) fn can_list(&self, folder: &Utf8Path) -> io::Result<()> {
        match fs_err::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether `folder` has a file with one of the `extensions`.
    pub(super) fn has_file(&self, folder: &Utf8Path, extensions: &[&str]) -> bool {
        let is_one = |name: &str| {
            let extension = Utf8Path::new(name).extension();
            extension.is_some_and(|extension| extensions.contains(&extension))
        };
        let on_disk = fs_err::read_dir(self.root.join(folder));
        let on_disk = on_disk.into_iter().flatten().flatten();
        self.added(folder)
            .any(|(name, is_folder)| !is_folder && is_one(name))
            || on_disk
                .filter_map(|entry| entry.file_name().into_string().ok())
                .any(|name| is_one(&name))
    }

    /// The text of the declaration `path`, which is relative to the repository.
    pub fn read(&self, path: &Utf8Path) -> Result<String, Box<Unread>> {
        match self.changed(path) {
            Some(text) => Ok(text.clone()),
            None => read(self.root, path, DECLARATION_LIMIT),
        }
    }
}

/// The text of the file `path` below `root`, when it has at most `limit` bytes.
///
/// # Guarantees
/// Reads no file outside of `root`, waits for no pipe or device, and takes at most `limit` bytes of memory.
pub fn read(root: &Utf8Path, path: &Utf8Path, limit: u64) -> Result<String, Box<Unread>> {
    let bytes = bytes(root, path, limit).map_err(|diagnostic| {
        Box::new(Unread {
            diagnostic: *diagnostic,
            text: None,
        })
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Box::new(not_utf8(path, error.as_bytes(), valid))
    })
}

fn bytes(root: &Utf8Path, path: &Utf8Path, limit: u64) -> Result<Vec<u8>, Box<Diagnostic>> {
    let failed = |error: &io::Error| Box::new(unreadable(path, error));
    let file = match open_without_links(root, path) {
        Some(file) => file,
        None => open_real(&inside(root, path)?).map_err(|error| failed(&error))?,
    };
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() {
            "a folder"
        } else {
            "a device or pipe"
        };
        return Err(Box::new(fault(
            Code::Unreadable,
            path,
            format!("{path} is {kind}, not a file"),
        )));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > limit {
        let size = metadata.len().max(limit + 1);
        let message = format!("{path} has {size} bytes; at most {limit} are read");
        return Err(Box::new(fault(Code::TooLarge, path, message)));
    }
    Ok(bytes)
}

/// Opening a pipe would wait for somebody to write; what is a link now was none a moment ago.
const CAREFULLY: OFlags = OFlags::NONBLOCK.union(OFlags::NOFOLLOW);

/// The file `path` when no link is on the way to it: one call that can't be led elsewhere. Nothing where it can't be opened so,
/// for whatever reason.
fn open_without_links(root: &Utf8Path, path: &Utf8Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root.as_std_path(), flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let stays = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(root, path.as_std_path(), flags | CAREFULLY, Mode::empty(), stays).ok()?;
    Some(File::from_parts(file.into(), path))
}

fn open_real(path: &Utf8Path) -> io::Result<File> {
    fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(CAREFULLY.bits()).unwrap_or_default())
        .open(path)
}

/// Where `path` really is, when that is below `root`.
fn inside(root: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf, Box<Diagnostic>> {
    let failed = |error: &io::Error| Box::new(unreadable(path, error));
    let root = root.canonicalize_utf8().map_err(|error| failed(&error))?;
    let whole = root.join(path);
    for part in whole.ancestors().take_while(|part| *part != root) {
        match part.canonicalize_utf8() {
            Ok(real) if !real.starts_with(&root) => {
                let message = format!("{path} leads out of the repository, to {real}");
                return Err(Box::new(
                    fault(Code::OutsideRepository, path, message)
                        .with_help("put the file itself in the place of the symbolic link"),
                ));
            }
            Ok(real) if part == whole => return Ok(real),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Ok(target) = part.read_link_utf8() {
                    let message = format!("{path} is a symbolic link to {target}, which is not there");
                    return Err(Box::new(fault(Code::Unreadable, path, message)));
                }
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(Box::new(
        fault(Code::Unreadable, path, format!("{path} is missing"))
            .with_help("write the file, or remove its folder"),
    ))
}

/// A problem with the file as a whole.
fn fault(code: Code, path: &Utf8Path, message: String) -> Diagnostic {
    Diagnostic::new(code, message).at(path, Span { start: 0, end: 0 }, "")
}

pub(super) fn unreadable(path: &Utf8Path, error: &io::Error) -> Diagnostic {
    let message = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::LOOP) => format!("{path} is a symbolic link that leads to itself"),
        _ => format!("{path} can't be read: {}", error.kind()),
    };
    fault(Code::Unreadable, path, message)
}

/// Shows the first byte that is no character as `U+FFFD`.
fn not_utf8(path: &Utf8Path, bytes: &[u8], valid: usize) -> Unread {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let place = Position::of(&text, valid);
    let message = format!(
        "byte 0x{byte:02x} at line {}, column {} is not UTF-8",
        place.line, place.column
    );
    let span = Span {
        start: valid,
        end: valid + char::REPLACEMENT_CHARACTER.len_utf8(),
    };
    let help =
        "save the file as UTF-8; `iconv -f latin1 -t utf8` turns the old encoding of western Europe into it";
    Unread {
        diagnostic: Diagnostic::new(Code::NotUtf8, message)
            .at(path, span, "")
            .with_help(help),
        text: Some(text),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder {
        directory: tempfile::TempDir,
    }

    impl Folder {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(directory.path().join("root/apps/web")).unwrap();
            Self { directory }
        }

        fn root(&self) -> Utf8PathBuf {
            Utf8PathBuf::from_path_buf(self.directory.path().join("root")).unwrap()
        }

        fn file(&self) -> Utf8PathBuf {
            self.root().join("apps/web/app.yaml")
        }

        fn read(&self) -> Result<String, (Code, String)> {
            read(&self.root(), Utf8Path::new("apps/web/app.yaml"), 10)
                .map_err(|unread| (unread.diagnostic.code, unread.diagnostic.message))
        }
    }

    fn failed<T>(code: Code, message: &str) -> Result<T, (Code, String)> {
        Err((code, format!("apps/web/app.yaml {message}")))
    }

    #[test]
    fn test_links_within_the_repository_are_followed() {
        let folder = Folder::new();
        fs_err::write(folder.root().join("shared.yaml"), "a: 1").unwrap();
        symlink("../../shared.yaml", folder.file()).unwrap();
        assert_eq!(folder.read(), Ok("a: 1".to_owned()));
    }

    #[test]
    fn test_a_link_that_leads_out_is_not_followed() {
        let folder = Folder::new();
        symlink("/dev/null", folder.file()).unwrap();
        let outside = failed(
            Code::OutsideRepository,
            "leads out of the repository, to /dev/null",
        );
        assert_eq!(folder.read(), outside);
    }

    #[test]
    fn test_a_folder_that_leads_out_is_not_followed_even_where_nothing_is() {
        let folder = Folder::new();
        fs_err::remove_dir(folder.root().join("apps/web")).unwrap();
        symlink("/dev", folder.root().join("apps/web")).unwrap();
        let outside = failed(Code::OutsideRepository, "leads out of the repository, to /dev");
        assert_eq!(folder.read(), outside);
    }

    #[test]
    fn test_a_neighbour_with_a_longer_name_is_outside() {
        let folder = Folder::new();
        fs_err::write(folder.directory.path().join("root2"), "a: 1").unwrap();
        symlink("../../../root2", folder.file()).unwrap();
        assert_eq!(folder.read().unwrap_err().0, Code::OutsideRepository);
    }

    #[test]
    fn test_links_to_nothing_and_to_themselves_are_told_apart() {
        let folder = Folder::new();
        assert_eq!(folder.read(), failed(Code::Unreadable, "is missing"));
        symlink("nowhere", folder.file()).unwrap();
        let dangling = failed(
            Code::Unreadable,
            "is a symbolic link to nowhere, which is not there",
        );
        assert_eq!(folder.read(), dangling);
        fs_err::remove_file(folder.file()).unwrap();
        symlink("app.yaml", folder.file()).unwrap();
        assert_eq!(
            folder.read(),
            failed(Code::Unreadable, "is a symbolic link that leads to itself")
        );
    }

    #[test]
    fn test_a_folder_or_a_pipe_is_no_file() {
        let folder = Folder::new();
        fs_err::create_dir(folder.file()).unwrap();
        assert_eq!(folder.read(), failed(Code::Unreadable, "is a folder, not a file"));
        fs_err::remove_dir(folder.file()).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.file().as_std_path(),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        assert_eq!(
            folder.read(),
            failed(Code::Unreadable, "is a device or pipe, not a file")
        );
    }

    #[test]
    fn test_the_limit_is_the_last_size_that_is_read() {
        let folder = Folder::new();
        fs_err::write(folder.file(), "0123456789").unwrap();
        assert_eq!(folder.read(), Ok("0123456789".to_owned()));
        fs_err::write(folder.file(), "0123456789a").unwrap();
        assert_eq!(
            folder.read(),
            failed(Code::TooLarge, "has 11 bytes; at most 10 are read")
        );
    }

    #[test]
    fn test_the_first_bad_byte_is_shown() {
        let folder = Folder::new();
        fs_err::write(folder.file(), b"a: \xc3\xa4\nb: \xe4").unwrap();
        let unread = read(&folder.root(), Utf8Path::new("apps/web/app.yaml"), 10).unwrap_err();
        assert_eq!(
            unread.diagnostic.message,
            "byte 0xe4 at line 2, column 4 is not UTF-8"
        );
        let span = unread.diagnostic.labels[0].span;
        assert_eq!(&unread.text.unwrap()[span.start..span.end], "\u{fffd}");
    }

    #[test]
    fn test_changed_files_are_not_read_from_the_disk() {
        let folder = Folder::new();
        let changed = Sources::from([("apps/web/app.yaml".into(), "b: 2".to_owned())]);
        let root = folder.root();
        let files = Files::below(&root).with_changed(&changed);
        assert_eq!(files.read(Utf8Path::new("apps/web/app.yaml")).unwrap(), "b: 2");
        assert!(files.read(Utf8Path::new("apps/db/app.yaml")).is_err());
    }

    #[test]
    fn test_changed_files_are_there_with_their_folders() {
        let folder = Folder::new();
        let changed = Sources::from([
            ("apps/db/app.yaml".into(), String::new()),
            ("apps/db/manifests/db.yml".into(), String::new()),
        ]);
        let root = folder.root();
        let files = Files::below(&root).with_changed(&changed);
        assert_eq!(files.folders("apps".into()).unwrap(), ["db", "web"]);
        assert_eq!(files.folders("apps/db".into()).unwrap(), ["manifests"]);
        assert!(files.folders("apps/dba".into()).is_err());
        assert!(files.is_folder("apps/db/manifests".into()) && !files.is_folder("apps/d".into()));
        assert!(files.is_file("apps/db/app.yaml".into()) && !files.is_file("apps/db".into()));
        assert!(files.has_file("apps/db/manifests".into(), &["yaml", "yml"]));
        assert!(!files.has_file("apps/db".into(), &["yml"]));
    }
}
