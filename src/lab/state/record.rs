//! `lab.json`: who a lab is, which ports it has and which processes run for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8PathBuf;
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use super::{StateDirectory, StateError};
use crate::lab::dns::NameServer;
use crate::lab::extra::Extra;
use crate::lab::files;
use crate::lab::process::ProcessIdentity;
use crate::names::LabName;
use crate::temporary;

/// Raised when the file changes so that an older program would misread it.
const FORMAT: u32 = 1;
const IDENTIFIER_LENGTH: usize = 12;

/// The content of `lab.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabRecord {
    format: u32,
    /// The lab's name.
    pub name: LabName,
    /// Random, so that a lab of the same name elsewhere or made anew is another one.
    pub identifier: String,
    /// The version of the program that wrote this.
    pub lotse: String,
    /// The process that looks after the others.
    pub supervisor: Option<ProcessIdentity>,
    /// The name server it was made with, which keeps the zone in files of its own; `None` before its first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_server: Option<NameServer>,
    /// What it runs beside what every lab has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub extras: BTreeSet<Extra>,
    /// Ports by what they are for.
    pub ports: BTreeMap<String, u16>,
    /// Running processes by name.
    pub processes: BTreeMap<String, ProcessIdentity>,
}

impl LabRecord {
    fn new(name: LabName) -> Self {
        Self {
            format: FORMAT,
            name,
            identifier: Alphanumeric.sample_string(&mut rand::rng(), IDENTIFIER_LENGTH),
            lotse: env!("CARGO_PKG_VERSION").to_owned(),
            supervisor: None,
            name_server: None,
            extras: BTreeSet::new(),
            ports: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }

    /// What every process of this lab carries in its environment as [`MARK_VARIABLE`](crate::lab::process::MARK_VARIABLE).
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{}/{}", self.name, self.identifier)
    }

    /// Reads the record of the lab in `directory`; `None` when it has none.
    pub(in crate::lab) fn read(directory: &StateDirectory) -> Result<Option<Self>, StateError> {
        let path = directory.record();
        let text = match fs_err::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        parse(&text)
            .map(Some)
            .map_err(|reason| StateError::Unreadable { path, reason })
    }
}

fn parse(text: &str) -> Result<LabRecord, String> {
    let FormatOnly { format } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if format != FORMAT {
        return Err(format!(
            "it has format {format}, and this version of lotse knows format {FORMAT}"
        ));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// The record in memory; every change is on disk before it counts.
#[derive(Clone)]
pub(in crate::lab) struct RecordFile {
    path: Utf8PathBuf,
    record: Arc<Mutex<LabRecord>>,
}

impl RecordFile {
    /// Reads the record of the lab in `directory`, or makes one.
    pub(in crate::lab) fn open(directory: &StateDirectory, name: &LabName) -> Result<Self, StateError> {
        let (record, is_new) = match LabRecord::read(directory)? {
            Some(record) => (record, false),
            None => (LabRecord::new(name.clone()), true),
        };
        let file = Self {
            path: directory.record(),
            record: Arc::new(Mutex::new(record)),
        };
        if is_new {
            file.change(|_| ())?;
        }
        Ok(file)
    }

    /// The record as it is now.
    pub(in crate::lab) fn current(&self) -> LabRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether a change would find room.
    pub(in crate::lab) fn check_room(&self) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(&self.current()).map_err(io::Error::other)?;
        let folder = self.path.parent().unwrap_or(&self.path);
        let probe = temporary::file_in(folder, "", files::PRIVATE).and_then(|mut file| file.write_all(&text));
        Ok(probe.map_err(|error| temporary::unwritten(&self.path, &error))?)
    }

    /// Changes the record and writes it. When it can't be written, it stays as it was.
    pub(in crate::lab) fn change<T>(
        &self,
        change: impl FnOnce(&mut LabRecord) -> T,
    ) -> Result<T, StateError> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = record.clone();
        let answer = change(&mut changed);
        env!("CARGO_PKG_VERSION").clone_into(&mut changed.lotse);
        let text = serde_json::to_vec_pretty(&changed).map_err(io::Error::other)?;
        temporary::replace(&self.path, &text, files::PRIVATE)?;
        *record = changed;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn directory(root: &tempfile::TempDir) -> (StateDirectory, LabName) {
        let name = LabName::new("default").unwrap();
        let directory = StateDirectory::locate(Utf8Path::from_path(root.path()).unwrap(), &name).unwrap();
        directory.create().unwrap();
        (directory, name)
    }

    #[test]
    fn test_a_record_is_read_back() {
        let root = tempfile::tempdir().unwrap();
        let (directory, name) = directory(&root);
        assert_eq!(LabRecord::read(&directory).unwrap(), None);
        let file = RecordFile::open(&directory, &name).unwrap();
        file.change(|record| record.ports.insert("etcd".to_owned(), 4711))
            .unwrap();
        assert_eq!(LabRecord::read(&directory).unwrap(), Some(file.current()));
        assert_eq!(
            RecordFile::open(&directory, &name).unwrap().current(),
            file.current()
        );
    }

    #[test]
    fn test_a_record_of_another_format_says_so() {
        let root = tempfile::tempdir().unwrap();
        let (directory, _) = directory(&root);
        fs_err::write(directory.record(), r#"{"format": 7, "new": true}"#).unwrap();
        let error = LabRecord::read(&directory).unwrap_err().to_string();
        assert!(error.contains("it has format 7"), "{error}");
        fs_err::write(directory.record(), "{").unwrap();
        assert!(matches!(
            LabRecord::read(&directory),
            Err(StateError::Unreadable { .. })
        ));
    }
}
