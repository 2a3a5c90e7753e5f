//! Environments that state only what differs from another one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::date;
use lotse::config::{self, Loaded, Problems};
use lotse::diag::{Look, to_text};
use lotse::names::EnvironmentName;

use folder::copy;

const SMALL: &str = "apiVersion: lotse/v1
kind: Environment
name: small
extends: lab
domain: small.lab.test
management: {namespace: small}
cluster: {name: small}
git: {path: clusters/small}
identity: {realm: small}
apps: [db]
";

struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        copy(
            &Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base"),
            &repository.root(),
        );
        repository.write("environments/small/environment.yaml", SMALL);
        repository
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().to_owned()).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn load(&self, name: &str) -> Result<Loaded, Problems> {
        config::load(
            &self.root(),
            &EnvironmentName::new(name).unwrap(),
            date(2026, 11, 26),
        )
    }

    fn told(&self, name: &str) -> String {
        let problems = self.load(name).unwrap_err();
        to_text(&problems.diagnostics, &problems.sources, Look::Plain)
    }

    fn lotse(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lotse"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("XDG_CACHE_HOME", self.directory.path().join("cache"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn test_what_is_not_stated_comes_from_the_other_environment() {
    let repository = Repository::new();
    let small = repository.load("small").unwrap().declarations;
    let lab = repository.load("lab").unwrap().declarations;
    let (own, base) = (&small.environment, &lab.environment);
    assert_eq!(own.domain.as_str(), "small.lab.test");
    assert_eq!(own.management.context, base.management.context);
    assert_eq!(own.management.namespace.as_str(), "small");
    assert_eq!(
        (&own.cluster.stack, &own.cluster.version),
        (&base.cluster.stack, &base.cluster.version)
    );
    assert_eq!((&own.identity.url, &own.dns), (&base.identity.url, &base.dns));
    assert_eq!(own.apps.len(), 1);
    assert_eq!(small.people, lab.people);
}

#[test]
fn test_overrides_are_the_nearest_ones() {
    let repository = Repository::new();
    let quota =
        |cpu: &str| format!("apiVersion: lotse/v1\nkind: AppOverride\nname: db\nquota: {{cpu: \"{cpu}\"}}\n");
    let cpu = || {
        let declarations = repository.load("small").unwrap().declarations;
        declarations.apps[0].quota.clone()
    };
    let plain = cpu();
    repository.write("environments/lab/apps/db/app.yaml", &quota("7"));
    let of_base = cpu();
    assert_ne!(plain, of_base);
    repository.write("environments/small/apps/db/app.yaml", &quota("9"));
    assert_ne!(cpu(), of_base);
}

#[test]
fn test_what_can_not_be_extended_is_told() {
    let repository = Repository::new();
    let extending = |name: &str| SMALL.replace("extends: lab", &format!("extends: {name}"));
    repository.write("environments/small/environment.yaml", &extending("lub"));
    let told = repository.told("small");
    assert!(
        told.contains("environment `lub` has no folder under environments/"),
        "{told}"
    );
    assert!(
        told.contains("environments/small/environment.yaml:4:10"),
        "{told}"
    );
    assert!(told.contains("did you mean `lab`?"), "{told}");
    assert_eq!(told.matches("error[").count(), 1, "{told}");
    repository.write("environments/small/environment.yaml", &extending("other"));
    repository.write(
        "environments/other/environment.yaml",
        &extending("small").replace("name: small", "name: other"),
    );
    let told = repository.told("small");
    assert!(
        told.contains("small extends other extends small: that does not come to an end"),
        "{told}"
    );
    repository.write("environments/other/environment.yaml", "a: [");
    let told = repository.told("small");
    assert!(
        told.contains("environments/other/environment.yaml can't be extended"),
        "{told}"
    );
    // What is wrong with what was taken over is told where it was taken over.
    repository.write("environments/small/environment.yaml", SMALL);
    let text = fs_err::read_to_string(repository.root().join("environments/lab/environment.yaml")).unwrap();
    repository.write(
        "environments/lab/environment.yaml",
        &text.replace("version: 2.9.4", "version: nine"),
    );
    let told = repository.told("small");
    assert!(
        told.contains("environments/small/environment.yaml:4:10"),
        "{told}"
    );
}

#[test]
fn test_a_change_of_the_base_is_rendered() {
    let repository = Repository::new();
    assert_eq!(repository.lotse(&["render", "small"]).0, Some(0));
    assert_eq!(repository.lotse(&["render", "small", "--check"]).0, Some(0));
    let path = "environments/lab/environment.yaml";
    let text = fs_err::read_to_string(repository.root().join(path)).unwrap();
    repository.write(path, &text.replace("organisation: scs", "organisation: another"));
    let (code, said) = repository.lotse(&["render", "small", "--check"]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("another"), "{said}");
    let (code, said) = repository.lotse(&["check"]);
    assert_eq!(code, Some(0), "{said}");
}

/// What was taken over is mended where it stands.
#[test]
fn test_a_fix_never_touches_what_extends() {
    let repository = Repository::new();
    let path = "environments/lab/environment.yaml";
    let text = fs_err::read_to_string(repository.root().join(path)).unwrap();
    repository.write(path, &text.replace("context: moin", "contxt: moin"));
    let (_, said) = repository.lotse(&["check", "small", "--fix"]);
    assert!(
        said.contains("it is taken over from environments/lab/environment.yaml"),
        "{said}"
    );
    let kept = fs_err::read_to_string(repository.root().join("environments/small/environment.yaml")).unwrap();
    assert_eq!(kept, SMALL);
}

#[test]
fn test_people_that_nobody_has_are_missed() {
    let repository = Repository::new();
    fs_err::remove_file(repository.root().join("environments/lab/people.yaml")).unwrap();
    let told = repository.told("small");
    assert!(
        told.contains("environments/small/people.yaml is missing"),
        "{told}"
    );
}
