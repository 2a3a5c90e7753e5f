//! Which build of the program this is: a supervisor outlives the program that started it, which may be built anew
//! meanwhile under the same version.

use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// The build of this process: size and time of the file it was started from, also when another one is in its place
/// by now.
pub(in crate::lab) fn ours() -> Option<String> {
    static OURS: OnceLock<Option<String>> = OnceLock::new();
    OURS.get_or_init(read).clone()
}

fn read() -> Option<String> {
    // The link leads to the file itself, and not to what is at its path now.
    let metadata = fs_err::metadata("/proc/self/exe").ok()?;
    Some(format!(
        "{}-{}.{:09}",
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec()
    ))
}
