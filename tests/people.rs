//! `lotse people import`: a roster of the organisation becomes people and teams.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

const ROSTER: &str = "members: [{name: Ada Berg, login: ada}, {name: Mira Okafor, login: mira}]\nteams:\n  - {slug: platform, \
    description: Runs it, privacy: closed, maintainer: [ada], member: [mira]}\n";

struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let base = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base");
        folder::copy(&base, &repository.root());
        fs_err::write(repository.root().join("data.yaml"), ROSTER).unwrap();
        repository
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().to_owned()).unwrap()
    }

    fn people(&self) -> String {
        fs_err::read_to_string(self.root().join("environments/lab/people.yaml")).unwrap()
    }

    fn import(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lotse"))
            .args(["people", "import", "data.yaml", "-e", "lab"])
            .args(arguments)
            .current_dir(self.root())
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }
}

fn told(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn test_an_import_is_shown_made_and_then_done() {
    let repository = Repository::new();
    let before = repository.people();
    let dry = repository.import(&["--dry-run"]);
    insta::assert_snapshot!(told(&dry, 0), @r"
    note: team website is not in the roster and stays as it is
    mira is new, with an unknown id
    grace is not in the organisation any more
    mira joins team platform
    grace leaves team platform
    4 things would be changed; `lotse check lab` says what else has to
    ");
    assert!(
        String::from_utf8(dry.stdout)
            .unwrap()
            .contains("+  - {name: Mira Okafor, login: mira, id: unknown}")
    );
    assert_eq!(repository.people(), before);

    told(&repository.import(&[]), 0);
    let after = repository.people();
    assert!(
        after.contains("  - {name: Ada Berg, login: ada, id: 2}\n"),
        "{after}"
    );
    assert!(!after.contains("Grace"), "{after}");

    let again = told(&repository.import(&[]), 0);
    assert!(again.ends_with("people of lab are as in the roster\n"), "{again}");
    assert_eq!(repository.people(), after);
}

#[test]
fn test_a_file_that_is_no_roster_changes_nothing() {
    let repository = Repository::new();
    let before = repository.people();
    for (text, said) in [
        ("members: [{name: Ada}]\nteams: []\n", "data.yaml:1:"),
        (
            "members: []\nteams: [{slug: platform, member: [eve]}]\n",
            "`eve` is in the team platform",
        ),
        (
            "members: [{name: X, login: 'a b'}]\nteams: []\n",
            "`a b` has ' ' at position 2",
        ),
    ] {
        fs_err::write(repository.root().join("data.yaml"), text).unwrap();
        let told = told(&repository.import(&[]), 1);
        assert!(told.contains(said), "{told}");
    }
    fs_err::write(repository.root().join("data.yaml"), ROSTER).unwrap();
    let told = told(&repository.import(&["--team", "ghosts"]), 1);
    assert_eq!(told, "error: there is no team `ghosts` in the roster\n");
    assert_eq!(repository.people(), before);
}

#[test]
fn test_an_import_into_a_first_file_says_what_it_lacks() {
    let repository = Repository::new();
    let path = repository.root().join("environments/lab/people.yaml");
    let first = "apiVersion: lotse/v1\nkind: People\nmembers: []\nteams: []\n";
    fs_err::write(&path, first).unwrap();
    let said = told(&repository.import(&[]), 0);
    assert!(
        said.starts_with("note: no team is taken from the roster; `--team NAME` takes one in: platform\n"),
        "{said}"
    );
    assert_eq!(repository.people(), first);
    told(&repository.import(&["--team", "platform"]), 0);
    assert!(
        repository.people().contains("- name: platform\n"),
        "{}",
        repository.people()
    );
}

#[test]
fn test_a_team_of_which_nobody_is_told_is_not_emptied() {
    let repository = Repository::new();
    let before = repository.people();
    let roster = repository.root().join("data.yaml");
    fs_err::write(
        &roster,
        ROSTER
            .replace("maintainer:", "maintianer:")
            .replace("member:", "mebmer:"),
    )
    .unwrap();
    let said = told(&repository.import(&[]), 1);
    let wanted = "error: the team platform of the roster has neither `maintainer` nor `member`\n";
    assert_eq!(said, wanted);
    assert_eq!(repository.people(), before);
    let words = ROSTER
        .replace("maintainer:", "maintainers:")
        .replace("member:", "members:");
    fs_err::write(&roster, words).unwrap();
    told(&repository.import(&[]), 0);
    assert!(
        repository.people().contains("maintainers: [ada]"),
        "{}",
        repository.people()
    );
    fs_err::write(
        &roster,
        ROSTER
            .replace("description: Runs it, ", "")
            .replace("Ada Berg", "Ada B. Berg"),
    )
    .unwrap();
    let said = told(&repository.import(&[]), 0);
    assert!(
        said.contains("Ada B. Berg (ada) was written Ada Berg (ada)\n"),
        "{said}"
    );
    assert!(
        repository.people().contains("description: Runs it"),
        "{}",
        repository.people()
    );
}
