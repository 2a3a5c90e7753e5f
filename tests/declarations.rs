//! Declarations from files: what is accepted, and what is said about each kind of mistake.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::{Date, date};
use lotse::config::{self, Declarations};
use lotse::desired::Desired;
use lotse::diag::{Code, Diagnostic, Look, Sources, to_github, to_json, to_sarif, to_text};
use lotse::names::EnvironmentName;
use proptest::prelude::*;

const TODAY: Date = date(2026, 11, 23);

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name.trim()).unwrap()
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in from.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let times = entry.file_name().rsplit_once(".times-");
        if entry.path().is_dir() {
            copy(entry.path(), &target);
        } else if let Some(name) = entry.file_name().strip_suffix(".link") {
            // A symbolic link, kept as its target: not every way to copy a repository keeps links.
            let link = to.join(name);
            drop(fs_err::remove_file(&link));
            symlink(fs_err::read_to_string(entry.path()).unwrap().trim(), link).unwrap();
        } else if let Some((name, times)) = times {
            // A file that is too large to be kept.
            let text = fs_err::read_to_string(entry.path()).unwrap();
            fs_err::write(to.join(name), text.repeat(times.parse().unwrap())).unwrap();
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

/// A valid platform with the files of one sample laid over it.
struct Sample {
    directory: tempfile::TempDir,
}

impl Sample {
    fn new(overlay: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let samples = repository().join("tests/diag");
        let sample = Self { directory };
        copy(&samples.join("base"), &sample.root());
        if let Some(overlay) = overlay {
            copy(&samples.join(overlay), &sample.root());
        }
        sample
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().to_owned()).unwrap()
    }

    /// All diagnostics, whether they stop anything or not.
    fn diagnostics(&self) -> (Vec<Diagnostic>, Sources) {
        let name = fs_err::read_to_string(self.root().join("ENVIRONMENT")).unwrap_or_else(|_| "lab".into());
        match config::load(&self.root(), &environment(&name), TODAY) {
            Ok(loaded) => {
                let mut diagnostics = loaded.warnings;
                diagnostics.extend(config::rivals(&self.environments()));
                (diagnostics, loaded.sources)
            }
            Err(problems) => (problems.diagnostics, problems.sources),
        }
    }

    /// All environments that can be read.
    fn environments(&self) -> Vec<config::Environment> {
        let names = config::environments(&self.root()).unwrap_or_default();
        let loaded = names
            .iter()
            .filter_map(|name| config::load(&self.root(), name, TODAY).ok());
        loaded.map(|loaded| loaded.declarations.environment).collect()
    }
}

#[test]
fn test_base_of_the_samples_has_no_problems() {
    assert_eq!(Sample::new(None).diagnostics().0, Vec::new());
}

/// Every code has a sample that shows it, and the sample shows nothing else.
#[test]
fn test_every_code_is_reported_for_its_sample() {
    for code in Code::ALL {
        let (diagnostics, sources) = Sample::new(Some(code.id())).diagnostics();
        assert!(!diagnostics.is_empty(), "{code} is not reported");
        for diagnostic in &diagnostics {
            assert_eq!(diagnostic.code, *code, "beside {code}: {diagnostic:?}");
        }
        let text = to_text(&diagnostics, &sources, Look::Plain);
        insta::assert_snapshot!(code.id(), text);
        let json = to_json(&diagnostics, &sources);
        assert_eq!(
            json["diagnostics"].as_array().map(Vec::len),
            Some(diagnostics.len())
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn test_problems_of_all_files_come_in_one_run() {
    let sample = Sample::new(Some("E0104"));
    for other in ["E0206", "E0111"] {
        let overlay = repository().join("tests/diag").join(other).join("environments");
        if overlay.exists() {
            copy(&overlay, &sample.root().join("environments"));
        }
    }
    let (diagnostics, _) = sample.diagnostics();
    let codes: std::collections::BTreeSet<Code> = diagnostics.iter().map(|each| each.code).collect();
    assert!(
        codes.is_superset(&[Code::UnknownKey, Code::SecretInFile, Code::Repeated].into()),
        "{codes:?}"
    );
}

/// What stands where a secret may be is shown nowhere, however the file is broken.
#[test]
fn test_secrets_are_not_shown_whatever_is_wrong() {
    for (from, to) in [
        ("password: {env: ADMIN_PASSWORD}", "pasword: hunter2"),
        ("password: {env: ADMIN_PASSWORD}", "password: [hunter2]"),
        ("password: {env: ADMIN_PASSWORD}", "password: {env: hunter2}"),
        ("password: {env: ADMIN_PASSWORD}", "password: {value: hunter2}"),
        (
            "password: {env: ADMIN_PASSWORD}",
            "password: {env: X, env: hunter2}",
        ),
        (
            "password: {env: ADMIN_PASSWORD}",
            "password: {env: X}, password: hunter2",
        ),
        ("password: {env: ADMIN_PASSWORD}", "password: hunter2\u{fc} ["),
        ("username: admin", "username: {token: hunter2}"),
        ("realm: scs", "client-secret: hunter2"),
        ("realm: scs", "accessTokens: {a: [hunter2]}"),
        (
            "url: https://forge.lab.test/",
            "url: https://me:hunter2@forge.lab.test/",
        ),
        ("apps: [web, db]", "apps: [web, db]\ntoken: |\n  hunter2\n bad"),
    ] {
        let sample = Sample::new(None);
        let path = sample.root().join("environments/lab/environment.yaml");
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs_err::write(&path, text.replacen(from, to, 1)).unwrap();
        let (diagnostics, sources) = sample.diagnostics();
        assert!(!diagnostics.is_empty(), "{to}");
        for shown in [
            to_text(&diagnostics, &sources, Look::Plain),
            to_json(&diagnostics, &sources).to_string(),
            to_sarif(&diagnostics, &sources).to_string(),
            to_github(&diagnostics, &sources),
            format!("{sources:?}"),
        ] {
            assert!(!shown.contains("hunter2"), "{to}: {shown}");
        }
    }
}

/// Spans lie within what is shown, and every rendering survives it.
fn assert_shown(diagnostics: &[Diagnostic], sources: &Sources) {
    for diagnostic in diagnostics {
        let labels = diagnostic.labels.iter().map(|label| (&label.path, label.span));
        let edits = diagnostic.fix.iter().flat_map(|fix| &fix.edits);
        for (path, span) in labels.chain(edits.map(|edit| (&edit.path, edit.span))) {
            let text = sources.get(path).map_or("", String::as_str);
            assert!(
                text.get(span.start..span.end).is_some(),
                "{diagnostic:?} in {text:?}"
            );
        }
    }
    drop(to_text(diagnostics, sources, Look::Coloured));
    drop(to_json(diagnostics, sources));
    drop(to_sarif(diagnostics, sources));
    drop(to_github(diagnostics, sources));
}

/// Files of the base that people write.
const FILES: [&str; 3] = [
    "apps/web/app.yaml",
    "environments/lab/environment.yaml",
    "environments/lab/people.yaml",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn test_arbitrary_bytes_are_survived(bytes: Vec<u8>, file in 0..FILES.len()) {
        let sample = Sample::new(None);
        fs_err::write(sample.root().join(FILES[file]), bytes).unwrap();
        let (diagnostics, sources) = sample.diagnostics();
        prop_assert!(!diagnostics.is_empty());
        assert_shown(&diagnostics, &sources);
    }

    /// Closer to what people write: a good file with one piece replaced.
    #[test]
    fn test_damaged_files_are_survived(
        file in 0..FILES.len(),
        at: prop::sample::Index,
        length in 0..20_usize,
        piece in "(\\PC|[\\[\\]{}:,#&*!|>'\"%@`~?\\- \n\r\t\u{0}\u{feff}\u{85}]|no|0755|<<|\\*a|&a|é){0,8}",
    ) {
        let sample = Sample::new(None);
        let path = sample.root().join(FILES[file]);
        let mut bytes = fs_err::read(&path).unwrap();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, piece.into_bytes());
        fs_err::write(&path, bytes).unwrap();
        let (diagnostics, sources) = sample.diagnostics();
        assert_shown(&diagnostics, &sources);
    }
}

fn lab() -> Declarations {
    match config::load(repository(), &environment("lab"), TODAY) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings, Vec::new());
            loaded.declarations
        }
        Err(problems) => panic!(
            "{}",
            to_text(&problems.diagnostics, &problems.sources, Look::Plain)
        ),
    }
}

#[test]
fn test_settings_of_the_lab_become_values_or_are_named() {
    let missing = lab().environment.resolve(&[].into()).unwrap_err();
    assert_eq!(missing.names.len(), 15, "{missing}");
    let values = missing
        .names
        .iter()
        .map(|name| (name.to_string(), format!("value of {name}")))
        .collect();
    let resolved = lab().environment.resolve(&values).unwrap();
    assert_eq!(resolved.git.url, "value of LOTSE_LAB_GIT_URL");
    assert_eq!(
        resolved.git.password.unwrap().expose(),
        "value of LOTSE_LAB_GIT_TOKEN"
    );
    assert_eq!(lab().environment.outline().git.url, "${LOTSE_LAB_GIT_URL}");
}

#[test]
fn test_lab_is_rendered_as_recorded() {
    let declarations = lab();
    let environment = declarations.environment.outline();
    let desired = Desired::build(&declarations, &environment, TODAY);
    let tree = lotse::render::tree(&desired).unwrap();
    let mut text = String::new();
    for (path, content) in tree.files.iter().chain(&tree.seeds) {
        text.extend(["==> ", path.as_str(), "\n", content.as_str(), "\n"]);
    }
    insta::assert_snapshot!("lab_tree", text);
}
