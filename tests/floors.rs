//! Lower floors of the source know nothing of higher ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms by floor, as `src/lib.rs` describes them.
const FLOORS: [&[&str]; 7] = [
    &[
        "names",
        "secret",
        "age",
        "ssh",
        "diag",
        "report",
        "causes",
        "parallel",
        "temporary",
        "proxy",
    ],
    &["config"],
    &["desired", "render", "skeleton"],
    &["plan"],
    &["kubernetes", "surface"],
    &["bootstrap"],
    &["lab", "cli"],
];

fn floor_of() -> BTreeMap<&'static str, usize> {
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect()
}

fn source_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).expect("the source can be listed") {
        let path = entry.expect("the source can be listed").path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The rooms a text names as `crate::room`, alone or in braces.
fn rooms_named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (start, found) in text.match_indices("crate::") {
        let rest = &text[start + found.len()..];
        let list = rest.strip_prefix('{').map_or(rest, |inner| inner);
        let braced = rest.starts_with('{');
        let end = if braced {
            list.find('}').unwrap_or(list.len())
        } else {
            list.len()
        };
        for part in list[..end].split(',').take(if braced { usize::MAX } else { 1 }) {
            let room: String = part
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            rooms.push(room);
        }
    }
    rooms
}

#[test]
fn test_rooms_use_only_lower_floors() {
    let floors = floor_of();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&source, &mut files);
    let mut faults = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let room = first.trim_end_matches(".rs");
        if room == "lib" || room == "main" {
            continue;
        }
        let floor = *floors
            .get(room)
            .unwrap_or_else(|| panic!("{room} stands on no floor: add it to FLOORS"));
        let text = fs_err::read_to_string(&file).expect("the source can be read");
        for named in rooms_named(&text) {
            if let Some(above) = floors.get(named.as_str()).filter(|above| **above > floor) {
                faults.push(format!(
                    "{}: floor {floor} uses {named} of floor {above}",
                    relative.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn test_rooms_named_reads_lists() {
    assert_eq!(
        rooms_named("use crate::plan::Plan;\nuse crate::{names::AppName, lab};"),
        ["plan", "names", "lab"]
    );
}
