//! The zone in the lab's state folder: its records in wire format (RFC 1035, section 3.2), each after its length in two
//! octets. Replaced as a whole and only after it is on the disk, so that a kill at any moment leaves a whole zone.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use hickory_proto::rr::{LowerName, Record};
use hickory_proto::serialize::binary::{BinDecodable as _, BinEncodable as _};

use super::error::DnsServerError;
use super::zone::Zone;

/// Where one zone is kept.
#[derive(Clone, Debug)]
pub(super) struct ZoneFile {
    path: Utf8PathBuf,
}

impl ZoneFile {
    /// The file of `zone` in `directory`, which is made where it is missing.
    pub(super) fn in_directory(directory: &Utf8Path, zone: &str) -> Result<Self, DnsServerError> {
        let path = directory.join(format!("{zone}.zone"));
        fs_err::create_dir_all(directory).map_err(|source| DnsServerError::Directory {
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Self { path })
    }

    /// The zone as it was stored last, or `None` before the first time.
    pub(super) fn load(&self, origin: LowerName) -> Result<Option<Zone>, DnsServerError> {
        match fs_err::read(&self.path) {
            Ok(octets) => self.decode(origin, &octets).map(Some),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    /// Stores the zone in place of what was there.
    pub(super) fn store(&self, zone: &Zone) -> Result<(), DnsServerError> {
        let directory = self.path.parent().unwrap_or_else(|| Utf8Path::new("."));
        let octets = encode(zone).map_err(|source| DnsServerError::Encode { source })?;
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&octets)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|source| DnsServerError::Store {
            path: self.path.clone(),
            source,
        })
    }

    fn decode(&self, origin: LowerName, octets: &[u8]) -> Result<Zone, DnsServerError> {
        let mut zone = Zone::empty(origin);
        let mut rest = octets;
        while !rest.is_empty() {
            let (record, after) = next_record(rest).ok_or_else(|| self.damaged())?;
            zone.add(LowerName::new(&record.name), record.ttl, record.data);
            rest = after;
        }
        if zone.serial() == 0 {
            return Err(self.damaged());
        }
        Ok(zone)
    }

    fn damaged(&self) -> DnsServerError {
        DnsServerError::Damaged {
            path: self.path.clone(),
        }
    }

    fn unreadable(&self, source: std::io::Error) -> DnsServerError {
        DnsServerError::Load {
            path: self.path.clone(),
            source,
        }
    }
}

fn encode(zone: &Zone) -> Result<Vec<u8>, hickory_proto::ProtoError> {
    let mut octets = Vec::new();
    for record in zone.records() {
        let record = record.to_bytes()?;
        let length = u16::try_from(record.len()).map_err(|_| "a record can't be longer than 65535 octets")?;
        octets.extend(length.to_be_bytes());
        octets.extend(record);
    }
    Ok(octets)
}

fn next_record(octets: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    let (record, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((Record::from_bytes(record).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RData, RecordType};

    use super::*;

    #[test]
    fn test_zone_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(folder.path()).unwrap();
        let origin = LowerName::new(&Name::from_ascii("lab.test.").unwrap());
        let mut zone = Zone::empty(origin.clone());
        for (record_type, value) in [
            (RecordType::SOA, "ns.lab.test. root.lab.test. 7 60 60 3600 60"),
            (RecordType::NS, "ns.lab.test."),
            (RecordType::TXT, "\"quo\\\"ted; text\" second"),
        ] {
            zone.add(
                origin.clone(),
                60,
                RData::try_from_str(record_type, value).unwrap(),
            );
        }
        let file = ZoneFile::in_directory(directory, "lab.test").unwrap();
        assert!(file.load(origin.clone()).unwrap().is_none());
        file.store(&zone).unwrap();
        assert_eq!(file.load(origin).unwrap().unwrap(), zone);
        assert_eq!(fs_err::read_dir(directory).unwrap().count(), 1);
    }

    #[test]
    fn test_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(folder.path()).unwrap();
        let file = ZoneFile::in_directory(directory, "lab.test").unwrap();
        let origin = LowerName::new(&Name::from_ascii("lab.test.").unwrap());
        for octets in [&b""[..], b"\x00\xffshort", b"\x00\x01x"] {
            fs_err::write(directory.join("lab.test.zone"), octets).unwrap();
            assert!(matches!(
                file.load(origin.clone()),
                Err(DnsServerError::Damaged { .. })
            ));
        }
    }
}
