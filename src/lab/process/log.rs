//! Log files of components.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};

use crate::lab::files;

/// A log that grew beyond this is put aside when its component is started again.
const PUT_ASIDE_BEYOND: u64 = 16 << 20;
/// How much of the end of a log is looked at for its last lines.
const TAIL_BYTES: u64 = 64 << 10;

/// A log file opened for appending, and where its new part begins.
pub(in crate::lab) struct Log {
    pub(in crate::lab) file: File,
    pub(in crate::lab) begins_at: u64,
}

/// Opens the log at `path` for appending. What was written before stays, in `<path>.1` when it is long.
pub(in crate::lab) fn open(path: &Utf8Path) -> io::Result<Log> {
    if let Some(parent) = path.parent() {
        files::create_private_directory(parent)?;
    }
    if fs_err::metadata(path).is_ok_and(|metadata| metadata.len() > PUT_ASIDE_BEYOND) {
        fs_err::rename(path, format!("{path}.1"))?;
    }
    let mut options = fs_err::OpenOptions::new();
    let file = options.create(true).append(true).open(path)?.into_parts().0;
    let begins_at = file.metadata()?.len();
    Ok(Log { file, begins_at })
}

/// The last `count` lines of the log at `path`, not looking before byte `begins_at`. Empty when it can't be read: it
/// is only ever shown beside a fault that matters more.
pub(in crate::lab) fn last_lines(path: &Utf8Path, begins_at: u64, count: usize) -> Vec<String> {
    let text = tail(path, begins_at).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|&line| line.to_owned())
        .collect()
}

/// The last lines of a log as they stand below a fault; nothing where there are none.
pub(in crate::lab) fn shown(log: Option<&Utf8PathBuf>, lines: &[String]) -> String {
    match log {
        Some(log) if !lines.is_empty() => format!("\nthe last lines of {log}:\n  {}", lines.join("\n  ")),
        _ => String::new(),
    }
}

fn tail(path: &Utf8Path, begins_at: u64) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(begins_at.max(length.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn test_last_lines_are_those_of_this_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path())
            .unwrap()
            .join("moin/etcd.log");
        writeln!(open(&path).unwrap().file, "of an earlier run").unwrap();
        let mut log = open(&path).unwrap();
        assert_eq!(last_lines(&path, log.begins_at, 2), Vec::<String>::new());
        writeln!(log.file, "one\n\ntwo\nthree").unwrap();
        assert_eq!(last_lines(&path, log.begins_at, 2), ["two", "three"]);
        assert_eq!(last_lines(&path, 0, 9).len(), 4);
    }

    #[test]
    fn test_a_long_log_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("etcd.log");
        open(&path).unwrap().file.set_len(PUT_ASIDE_BEYOND + 1).unwrap();
        assert_eq!(open(&path).unwrap().begins_at, 0);
        assert!(fs_err::exists(format!("{path}.1")).unwrap());
    }
}
