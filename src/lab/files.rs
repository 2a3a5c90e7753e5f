//! Modes, private directories and locks of the lab's state.

use std::io;
use std::os::unix::fs::DirBuilderExt;

use camino::Utf8Path;

/// For files that only their owner may read.
pub const PRIVATE: u32 = 0o600;
/// For files without anything to hide.
pub const PUBLIC: u32 = 0o644;

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
