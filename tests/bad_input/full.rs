//! File systems that are full: the real program says so, leaves what was there, and the same command goes on when there
//! is room again.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::computer::{Computer, Ended};

/// What the system says.
const FULL: &str = "No space left on device";

/// A small file system in memory at `place`, filled up to its last byte; for the processes of one mount namespace.
fn full_at(place: &Utf8Path, size: &str) -> String {
    format!(
        "mount -t tmpfs -o size={size} tmpfs {place} && cp -r {place}.content/. {place}/ && \
         ! cat /dev/zero > {place}/filling 2>/dev/null"
    )
}

/// A copy of the declarations in `platform`, and what it takes to run a command where their file system is full.
fn platform(computer: &Computer) -> (Utf8PathBuf, String) {
    let platform = computer.declarations("LOTSE_LAB_GIT_URL", "LOTSE_LAB_GIT_URL");
    let content = Utf8PathBuf::from(format!("{platform}.content"));
    fs_err::rename(&platform, &content).unwrap();
    fs_err::create_dir(&platform).unwrap();
    let mounting = full_at(&platform, "16m");
    (platform, mounting)
}

/// Files below `folder` with their texts, by path relative to it.
fn texts(folder: &Utf8Path) -> BTreeMap<Utf8PathBuf, String> {
    let mut texts = BTreeMap::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let name = Utf8Path::new(entry.file_name());
        if entry.path().is_dir() {
            let below = self::texts(entry.path()).into_iter();
            texts.extend(below.map(|(path, text)| (name.join(path), text)));
        } else {
            texts.insert(name.to_owned(), fs_err::read_to_string(entry.path()).unwrap());
        }
    }
    texts
}

/// Runs `arguments` where the file system of `platform` is full, and copies what it left to `left`; then makes room,
/// runs it again, and copies what came of it to `after`.
fn run_twice(computer: &Computer, platform: &Utf8Path, mounting: &str, arguments: &[&str]) -> Twice {
    let [left, after] = ["left", "after"].map(|name| computer.path(name));
    let script = format!(
        "\"$0\" \"$@\" -C {platform}; code=$?; PATH=/usr/bin:/bin; cp -r {platform} {left}; \
         rm {platform}/filling {left}/filling; \"$0\" \"$@\" -C {platform} 2>{platform}.second; \
         cp -r {platform} {after}; exit $code"
    );
    let first = computer.run_script_where(mounting, &script, arguments);
    let second = fs_err::read_to_string(format!("{platform}.second")).unwrap();
    Twice {
        first,
        second,
        left: texts(&left),
        after,
    }
}

struct Twice {
    first: Ended,
    second: String,
    left: BTreeMap<Utf8PathBuf, String>,
    after: Utf8PathBuf,
}

#[test]
fn test_a_tree_on_a_full_disk_keeps_what_it_has() {
    let computer = Computer::new();
    let (platform, mounting) = platform(&computer);
    let content = Utf8PathBuf::from(format!("{platform}.content"));
    let rendered = computer.run(&["render", "lab", "-C", content.as_str()]);
    assert_eq!(rendered.code, Some(0), "{rendered:#?}");
    for path in texts(&content.join("clusters/lab")).into_keys() {
        let path = content.join("clusters/lab").join(path);
        let edited = fs_err::read_to_string(&path).unwrap() + "# edited by hand\n";
        fs_err::write(&path, edited).unwrap();
    }
    let twice = run_twice(&computer, &platform, &mounting, &["render", "lab"]);
    twice.first.assert_says(
        1,
        &[
            "rendering environment lab",
            "writing a rendered file",
            "clusters/lab/",
            FULL,
            "help: make room there",
        ],
    );
    assert!(twice.left.len() > 50);
    // The last free bytes may have been enough for a small file; each is its old self or its new one.
    let after = texts(&twice.after);
    for (path, text) in texts(&content) {
        let is_whole = twice.left[&path] == text || twice.left[&path] == after[&path];
        assert!(is_whole, "{path} is half written");
    }
    assert_eq!(
        twice.left.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert!(twice.second.contains("wrote clusters/lab/"), "{}", twice.second);
    let checked = computer.run(&["render", "lab", "--check", "-C", twice.after.as_str()]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
}

#[test]
fn test_an_application_is_not_begun_on_a_full_disk() {
    let computer = Computer::new();
    let (platform, mounting) = platform(&computer);
    let arguments = [
        "app",
        "new",
        "wiki",
        "--description",
        "A wiki.",
        "--owner",
        "platform",
        "--image",
        "ghcr.io/a/wiki:1.0.0",
        "--environment",
        "lab",
    ];
    let twice = run_twice(&computer, &platform, &mounting, &arguments);
    twice.first.assert_says(
        1,
        &[
            "apps/wiki/app.yaml can't be written: ",
            FULL,
            "help: make room there",
            "the same command goes on from there",
        ],
    );
    let content = texts(&Utf8PathBuf::from(format!("{platform}.content")));
    assert_eq!(twice.left, content);
    assert!(
        twice.second.contains("wrote apps/wiki/app.yaml"),
        "{}",
        twice.second
    );
    let checked = computer.run(&["check", "-C", twice.after.as_str()]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
}

#[test]
fn test_the_state_of_a_lab_outlives_a_full_disk() {
    let computer = Computer::new().with_stopped_lab(crate::STOPPED);
    let (state, content) = (computer.path("state"), computer.path("state.content"));
    fs_err::rename(&state, &content).unwrap();
    fs_err::create_dir(&state).unwrap();
    let mounting = full_at(&state, "1m");
    let record = computer.path("record");
    let script = format!(
        "\"$0\" lab up; code=$?; PATH=/usr/bin:/bin; cp {state}/lotse/labs/default/lab.json {record}; \
         rm {state}/filling; \"$0\" lab status >{record}.status 2>&1; echo $? >> {record}.status; exit $code"
    );
    let ended = computer.run_script_where(&mounting, &script, &[]);
    ended.assert_says(1, &["the state of lab `default` can't be", FULL, "help: "]);
    assert_eq!(fs_err::read_to_string(&record).unwrap(), crate::STOPPED);
    let status = fs_err::read_to_string(format!("{record}.status")).unwrap();
    assert!(status.ends_with("\n0\n"), "{status}");
    computer.assert_silent();
}

/// A limit of the user's in place of a full disk.
#[test]
fn test_a_file_that_would_be_too_large_is_a_failure() {
    let computer = Computer::new();
    let platform = computer.declarations("LOTSE_LAB_GIT_URL", "LOTSE_LAB_GIT_URL");
    let mut command = Command::new("/bin/sh");
    let plain = computer.command(&["render", "lab", "-C", platform.as_str()]);
    let output = command
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    Ended::of(&output).assert_says(
        1,
        &[
            "writing a rendered file",
            "File too large",
            "help: make room there",
        ],
    );
    assert!(
        texts(&platform)
            .into_keys()
            .all(|path| !path.as_str().contains(".lotse-"))
    );
}
