//! Files that are either the old or the new one, never half of either, also when the writer is killed.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use camino::Utf8Path;

/// For files that only their owner may read.
pub const PRIVATE: u32 = 0o600;
/// For files without anything to hide.
pub const PUBLIC: u32 = 0o644;

/// Replaces the file at `path` by `content` in one step: a temporary file beside it, then a rename.
pub fn replace(path: &Utf8Path, content: &[u8], mode: u32) -> io::Result<()> {
    write_and_rename(path, content, mode).map_err(|error| naming("write", path, &error))
}

fn write_and_rename(path: &Utf8Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(path.parent().unwrap_or_else(|| Utf8Path::new(".")))?;
    temporary.write_all(content)?;
    temporary.persist(path)?;
    Ok(())
}

/// Makes `directory` and what is missing above it, readable by their owner only.
pub fn create_private_directory(directory: &Utf8Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| naming("create directory", directory, &error))
}

fn naming(what: &str, path: &Utf8Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to {what} `{path}`: {error}"))
}

/// Opens the file at `path` for locking and makes it, and the directories above it, where they are missing. What it
/// says is kept.
pub fn open_lock(path: &Utf8Path) -> io::Result<fs_err::File> {
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    fs_err::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_replace_sets_the_mode_and_leaves_nothing_beside() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path())
            .unwrap()
            .join("secrets.json");
        replace(&path, b"old", PUBLIC).unwrap();
        replace(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
            PRIVATE
        );
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
