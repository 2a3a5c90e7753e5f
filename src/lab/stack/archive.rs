//! A gzipped tar that is the same bytes for the same contents.

use std::io;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Packs `(path, contents)` in the given order, without owner, time or machine in it.
pub(super) fn pack(entries: &[(String, &[u8])]) -> io::Result<Vec<u8>> {
    let compressed = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    let mut archive = Builder::new(compressed);
    for (path, contents) in entries {
        archive.append_data(&mut header(contents.len()), path, *contents)?;
    }
    archive.into_inner()?.finish()
}

fn header(size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn test_packing_is_reproducible_and_readable() {
        let entries = [("chart/Chart.yaml".to_owned(), b"name: chart\n".as_slice())];
        let packed = pack(&entries).unwrap();
        assert_eq!(packed, pack(&entries).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "name: chart\n");
        assert_eq!(entry.header().mtime().unwrap(), 0);
    }
}
