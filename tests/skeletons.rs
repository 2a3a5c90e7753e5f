//! `lotse init` and `lotse app new`: what they write passes every check, replaces nothing, and is all or nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use lotse::config::file::Files;
use lotse::config::{self, yaml};
use lotse::diag::Sources;
use lotse::names::{AppName, EnvironmentName, HostLabel, LabName, TeamName};
use lotse::skeleton::{AppDraft, DraftSource, RepositoryDraft};
use proptest::prelude::*;

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");

const NOTES: [&str; 13] = [
    "app",
    "new",
    "notes",
    "-e",
    "lab",
    "--owner",
    "website",
    "--description",
    "Notes: together",
    "--host",
    "pad",
    "--login",
    "--image",
];
const IMAGE: &str = "docker.io/hedgedoc/hedgedoc:1.10.3";

/// A repository as `lotse init` writes it.
struct Platform {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl Platform {
    fn init(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().join("ship")).unwrap();
        let platform = Self {
            _directory: directory,
            root,
        };
        let output = lotse(Utf8Path::new("/"))
            .args(["init", platform.root.as_str()])
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        platform
    }

    fn run(&self, arguments: &[&str]) -> Output {
        lotse(&self.root).args(arguments).output().unwrap()
    }

    fn new_notes(&self, more: &[&str]) -> Output {
        self.run(&[&NOTES[..], more].concat())
    }

    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.root.join(path)).unwrap()
    }

    /// All files, by path.
    fn files(&self) -> BTreeMap<Utf8PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir_utf8().unwrap() {
                let path = entry.unwrap().into_path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs_err::read_to_string(&path).unwrap();
                    files.insert(path.strip_prefix(&self.root).unwrap().to_owned(), text);
                }
            }
        }
        files
    }
}

fn lotse(directory: &Utf8Path) -> Command {
    let mut command = Command::new(LOTSE);
    command
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn ended_with(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
}

#[test]
fn test_a_new_repository_has_no_mistakes() {
    let platform = Platform::init(&[]);
    let output = platform.run(&["check"]);
    ended_with(&output, 0);
    assert_eq!(told(&output), "2 applications in 1 environment: no mistakes\n");
    ended_with(&platform.run(&["render"]), 0);
    ended_with(&platform.run(&["render", "--check"]), 0);
}

#[test]
fn test_a_cluster_besides_the_lab_has_no_mistakes_either() {
    let prod = [
        "-e",
        "prod-1",
        "--domain",
        "prod.example.org",
        "--organisation",
        "ExampleOrg",
    ];
    let platform = Platform::init(&prod);
    let output = platform.run(&["check"]);
    assert_eq!(told(&output), "2 applications in 2 environments: no mistakes\n");
    let environment = platform.read("environments/prod-1/environment.yaml");
    assert!(environment.contains("{env: PROD_1_GIT_TOKEN}"), "{environment}");
    assert!(platform.read("README.md").contains("lotse bootstrap prod-1"));
    let output = lotse(&platform.root)
        .args(["init", "other", "-e", "lab"])
        .args(&prod[2..])
        .output()
        .unwrap();
    ended_with(&output, 2);
    assert!(!platform.root.join("other").exists());
}

#[test]
fn test_another_realm_than_the_labs_is_refused_before_anything_starts() {
    let platform = Platform::init(&[]);
    let path = platform.root.join("environments/lab/environment.yaml");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("realm: scs", "realm: ours")).unwrap();
    let output = lotse(&platform.root)
        .args(["bootstrap", "lab"])
        .env("XDG_STATE_HOME", platform.root.join("state"))
        .output()
        .unwrap();
    ended_with(&output, 2);
    assert!(told(&output).contains("a lab has the realm `scs` only, not `ours`\nhelp: write `realm: scs`"));
}

#[test]
fn test_init_leaves_what_is_there() {
    let platform = Platform::init(&[]);
    let again = platform.run(&["init", "."]);
    ended_with(&again, 0);
    assert!(told(&again).starts_with("all files are there already: nothing to do\n"));
    fs_err::write(platform.root.join("README.md"), "mine\n").unwrap();
    fs_err::remove_file(platform.root.join("apps/welcome/app.yaml")).unwrap();
    let before = platform.files();
    let refused = platform.run(&["init", "."]);
    ended_with(&refused, 1);
    assert_eq!(
        told(&refused),
        "error: 1 file can't be created\n  caused by: README.md is there already, with another text\n\
         help: nothing was written\n"
    );
    assert_eq!(platform.files(), before);
}

#[test]
fn test_names_that_yaml_takes_for_something_else_make_a_cluster() {
    for (name, domain) in [
        ("null", "1.example.org"),
        ("007", "0.example.org"),
        ("no", "a.example.org"),
        ("1e3", "1e3.example.org"),
    ] {
        let platform = Platform::init(&["-e", name, "--domain", domain, "--organisation", "example"]);
        ended_with(&platform.run(&["check"]), 0);
    }
}

#[test]
fn test_two_at_once_lose_nothing() {
    for _ in 0..5 {
        let platform = Platform::init(&[]);
        let begin = |name: &str| {
            let arguments = [
                "app",
                "new",
                name,
                "-e",
                "lab",
                "--owner",
                "website",
                "--description",
                "x",
                "--image",
                IMAGE,
            ];
            lotse(&platform.root)
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let both = [("one", begin("one")), ("two", begin("two"))];
        let done: Vec<&str> = both
            .into_iter()
            .filter_map(|(name, mut child)| child.wait().unwrap().success().then_some(name))
            .collect();
        let environment = platform.read("environments/lab/environment.yaml");
        for name in &done {
            assert!(
                environment.contains(name),
                "{name} succeeded and is lost: {environment}"
            );
        }
        assert!(!done.is_empty());
    }
}

#[test]
fn test_init_adds_a_cluster_to_a_repository_that_is_begun() {
    let platform = Platform::init(&[]);
    fs_err::remove_dir_all(platform.root.join("runbooks/welcome")).unwrap();
    fs_err::write(platform.root.join("README.md"), "mine\n").unwrap();
    let before = platform.files();
    let second = [
        "-e",
        "prod",
        "--domain",
        "prod.example.org",
        "--organisation",
        "example",
    ];
    let output = platform.run(&[&["init", "."], &second[..]].concat());
    assert!(
        told(&output).starts_with("this repository is begun already: only the new environment is written\n")
    );
    let mut after = platform.files();
    let root = Utf8Path::new("environments/prod");
    for file in ["environment.yaml", "people.yaml"] {
        assert!(after.remove(&root.join(file)).is_some(), "{file} is not there");
    }
    assert_eq!(after, before);
}

#[test]
fn test_init_wants_a_directory_and_names_the_lab_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let here = Utf8Path::from_path(directory.path()).unwrap();
    fs_err::write(here.join("file"), "").unwrap();
    for path in ["file", ""] {
        let output = lotse(here).args(["init", path]).output().unwrap();
        ended_with(&output, 2);
        assert!(
            told(&output).starts_with(&format!("error: `{path}` is not a directory\n")),
            "{output:?}"
        );
    }
    ended_with(&lotse(here).args(["init", "Our Ship!"]).output().unwrap(), 0);
    let environment =
        fs_err::read_to_string(here.join("Our Ship!/environments/lab/environment.yaml")).unwrap();
    assert!(environment.contains("\nlab: our-ship\n"), "{environment}");
}

#[test]
fn test_init_can_be_looked_at_first() {
    let directory = tempfile::tempdir().unwrap();
    let here = Utf8Path::from_path(directory.path()).unwrap();
    let output = lotse(here).args(["init", "ship", "--dry-run"]).output().unwrap();
    ended_with(&output, 0);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("--- /dev/null\n+++ b/environments/lab/environment.yaml\n"),
        "{shown}"
    );
    assert_eq!(here.read_dir_utf8().unwrap().count(), 0);
}

/// The steps of the workflow are commands of this program, run as GitHub's runner runs them.
#[test]
fn test_the_workflow_checks_and_shows_what_changes() {
    let platform = Platform::init(&[]);
    let workflow: serde_json::Value = yaml::parse(&platform.read(".github/workflows/lotse.yml")).unwrap();
    let steps = workflow["jobs"]["declarations"]["steps"].as_array().unwrap();
    let summary = platform.root.join("summary.md");
    let programs = Utf8Path::new(LOTSE).parent().unwrap();
    let scripts: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(scripts.len(), 3, "{scripts:?}");
    for script in scripts {
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c"])
            .arg(format!("PATH={programs}:$PATH\n{script}"))
            .current_dir(&platform.root)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .output()
            .unwrap();
        ended_with(&output, 0);
    }
    let shown = fs_err::read_to_string(summary).unwrap();
    assert!(
        shown.starts_with("```diff\n--- /dev/null\n+++ b/clusters/lab/"),
        "{shown}"
    );
}

#[test]
fn test_a_new_application_has_no_mistakes_and_runs_where_it_was_asked_for() {
    let platform = Platform::init(&[]);
    let before = platform.files();
    let output = platform.new_notes(&[IMAGE]);
    ended_with(&output, 0);
    insta::assert_snapshot!(told(&output), @r"
    wrote apps/notes/app.yaml
    wrote apps/notes/manifests/deployment.yaml
    wrote apps/notes/manifests/kustomization.yaml
    wrote apps/notes/manifests/service.yaml
    wrote runbooks/notes/deploy.md
    wrote runbooks/notes/outage.md
    changed environments/lab/environment.yaml
    next  look through apps/notes/manifests and runbooks/notes: they are a beginning
          `lotse render lab --check` shows what the cluster gets
          open a pull request
    ");
    let listed = platform.read("environments/lab/environment.yaml");
    assert!(listed.ends_with("apps: [issuer, welcome, notes]\n"), "{listed}");
    assert_eq!(
        told(&platform.run(&["check"])),
        "3 applications in 1 environment: no mistakes\n"
    );
    let after = platform.files();
    assert!(
        before
            .iter()
            .all(|(path, text)| path.ends_with("environment.yaml") || after[path] == *text)
    );

    let again = platform.new_notes(&[IMAGE]);
    ended_with(&again, 0);
    assert!(
        told(&again).starts_with("all files are there already: nothing to do\n"),
        "{again:?}"
    );
    let other = platform.new_notes(&["docker.io/hedgedoc/hedgedoc:1.10.4"]);
    ended_with(&other, 1);
    assert!(
        told(&other).contains("apps/notes/manifests/deployment.yaml is there already, with another text")
    );
    assert_eq!(platform.files(), after);
}

/// The guide shows the command and the declaration it writes.
#[test]
fn test_the_guide_shows_what_is_written() {
    let guide = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/applications.md")).unwrap();
    let command = guide
        .lines()
        .find_map(|line| line.strip_prefix("$ lotse app new notes "))
        .unwrap();
    let platform = Platform::init(&[]);
    let output = Command::new("sh")
        .args(["-c", &format!("{LOTSE} app new notes {command}")])
        .current_dir(&platform.root)
        .output()
        .unwrap();
    ended_with(&output, 0);
    let declaration = platform.read("apps/notes/app.yaml");
    assert!(
        guide.contains(&format!("```yaml\n{declaration}```\n")),
        "{declaration}"
    );
}

#[test]
fn test_a_chart_gets_values_instead_of_manifests() {
    let platform = Platform::init(&[]);
    let output = platform.run(&[
        "app",
        "new",
        "harbor",
        "-e",
        "lab",
        "--owner",
        "platform",
        "--description",
        "Images",
        "--chart",
        "harbor",
        "--repository",
        "https://helm.goharbor.io",
        "--chart-version",
        "1.18.0",
    ]);
    ended_with(&output, 0);
    assert!(platform.root.join("apps/harbor/values.yaml").exists());
    assert!(!platform.root.join("apps/harbor/manifests").exists());
    assert_eq!(
        told(&platform.run(&["check"])),
        "3 applications in 1 environment: no mistakes\n"
    );
}

#[test]
fn test_mistakes_are_told_and_nothing_is_written() {
    let platform = Platform::init(&[]);
    let before = platform.files();
    let output = platform.run(&[
        "app",
        "new",
        "notes",
        "-e",
        "lab",
        "--owner",
        "websitte",
        "--description",
        "Notes",
        "--host",
        "welcome",
        "--image",
        "hedgedoc",
    ]);
    ended_with(&output, 3);
    let told = told(&output);
    for code in ["E0204", "E0302", "E0406"] {
        assert!(told.contains(&format!("error[{code}]")), "{told}");
    }
    assert!(told.contains("help: did you mean `website`?"), "{told}");
    assert!(told.ends_with("together with what is there.\n"), "{told}");
    let elsewhere = platform.new_notes(&[IMAGE, "-e", "lap"]);
    ended_with(&elsewhere, 2);
    assert!(self::told(&elsewhere).contains("there is no environment `lap`\nhelp: did you mean `lab`?"));
    let reserved = platform.run(&[
        "app",
        "new",
        "kube-notes",
        "--owner",
        "website",
        "--description",
        "Notes",
        "--image",
        IMAGE,
    ]);
    ended_with(&reserved, 3);
    assert_eq!(platform.files(), before);
}

#[test]
fn test_what_is_missing_is_named_where_nobody_can_be_asked() {
    let platform = Platform::init(&[]);
    let output = platform.run(&["app", "new", "notes", "--description", "Notes"]);
    ended_with(&output, 2);
    assert_eq!(
        told(&output),
        "error: there is no terminal to ask at, and --owner and --image or --chart were not given\n\
         help: `lotse app new --help` shows an example\n"
    );
    let output = platform.run(&[
        "app",
        "new",
        "notes",
        "--description",
        "Notes",
        "--owner",
        "website",
        "--login",
    ]);
    ended_with(&output, 2);
}

#[test]
fn test_a_list_that_is_written_elsewhere_is_left_to_its_author() {
    let platform = Platform::init(&[]);
    let path = platform.root.join("environments/lab/environment.yaml");
    let text = fs_err::read_to_string(&path).unwrap();
    let text = text.replace(
        "apps: [issuer, welcome]",
        "apps: &all\n  - issuer\n  - # why\n    welcome",
    );
    fs_err::write(&path, &text).unwrap();
    let output = platform.new_notes(&[IMAGE]);
    ended_with(&output, 1);
    assert!(
        told(&output).contains("`notes` can't be added to `apps`"),
        "{output:?}"
    );
    assert!(!platform.root.join("apps/notes").exists());
}

/// A terminal with the program at its other end.
struct Terminal {
    ours: fs_err::File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn start(directory: &Utf8Path, arguments: &[&str]) -> Self {
        use rustix::pty;
        let ours = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&ours).unwrap();
        pty::unlockpt(&ours).unwrap();
        let name = pty::ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || {
            Stdio::from(
                fs_err::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(&name)
                    .unwrap()
                    .into_parts()
                    .0,
            )
        };
        let child = lotse(directory)
            .args(arguments)
            .stdin(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        Self {
            ours: fs_err::File::from_parts(ours.into(), name),
            child,
            seen: String::new(),
        }
    }

    /// Waits for `question`, then types `answer`.
    fn answer(&mut self, question: &str, answer: &str) {
        let mut byte = [0];
        while !self.seen.ends_with(question) {
            assert_eq!(self.ours.read(&mut byte).unwrap(), 1, "{}", self.seen);
            self.seen.push(char::from(byte[0]));
        }
        self.ours.write_all(answer.as_bytes()).unwrap();
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn test_what_was_not_given_is_asked_for() {
    let platform = Platform::init(&[]);
    let mut terminal = Terminal::start(&platform.root, &["app", "new", "notes", "--host", "pad"]);
    terminal.answer("(lab; empty: none yet): ", "lab\n");
    terminal.answer("in one sentence: ", "\n");
    terminal.answer("in one sentence: ", "Notes\n");
    terminal.answer("(platform, website): ", "Platform\n");
    terminal.answer("(platform, website): ", "platform, website\n");
    terminal.answer("with its tag: ", &format!("{IMAGE}\n"));
    assert_eq!(terminal.code(), Some(0));
    let declaration = platform.read("apps/notes/app.yaml");
    assert!(
        declaration.contains("description: Notes\nowners: [platform, website]\nhosts: [pad]\n"),
        "{declaration}"
    );
    assert_eq!(
        told(&platform.run(&["check"])),
        "3 applications in 1 environment: no mistakes\n"
    );
}

#[test]
fn test_a_question_can_be_left_by_signal_and_by_end_of_input() {
    let platform = Platform::init(&[]);
    let before = platform.files();
    let mut terminal = Terminal::start(&platform.root, &["app", "new", "notes"]);
    terminal.answer("(lab; empty: none yet): ", "");
    let process = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(terminal.code(), Some(130));
    let mut terminal = Terminal::start(&platform.root, &["app", "new", "notes"]);
    terminal.answer("(lab; empty: none yet): ", "\u{4}");
    assert_eq!(terminal.code(), Some(130));
    assert_eq!(platform.files(), before);
}

fn draft() -> impl Strategy<Value = AppDraft> {
    let label = "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?";
    let host = proptest::option::of(label);
    // Texts that YAML reads as something else are likelier here than in life.
    let description = prop_oneof![
        "[ -~äß]{0,20}[a-z]",
        Just("no".to_owned()),
        Just("1.10".to_owned())
    ];
    let name = prop_oneof![
        label,
        Just("no".to_owned()),
        Just("007".to_owned()),
        Just("1e3".to_owned())
    ];
    (name, description, host, any::<bool>(), any::<bool>()).prop_filter_map(
        "reserved",
        |(name, description, host, login, is_chart)| {
            let taken = ["issuer", "welcome", "default", "gateway", "internet"];
            if taken.contains(&name.as_str())
                || name.starts_with("kube-")
                || description.trim() != description
            {
                return None;
            }
            let host = host.filter(|host| host != "welcome");
            Some(AppDraft {
                name: AppName::new(name).ok()?,
                description,
                owners: vec![TeamName::new("platform").ok()?, TeamName::new("website").ok()?],
                login: login && host.is_some(),
                hosts: host
                    .into_iter()
                    .map(|host| HostLabel::new(host).unwrap())
                    .collect(),
                source: if is_chart {
                    DraftSource::Chart {
                        repository: "oci://charts.example.org/all".to_owned(),
                        chart: "notes".to_owned(),
                        version: "1.10.0".to_owned(),
                    }
                } else {
                    DraftSource::Image {
                        image: IMAGE.to_owned(),
                        port: 3000,
                    }
                },
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is asked for: declaration, manifests, values and runbooks pass every check as they are.
    #[test]
    fn test_every_draft_passes_every_check(draft in draft()) {
        let platform = RepositoryDraft {
            name: "ship".to_owned(),
            lab: LabName::standard(),
            flux: "2.9.4".to_owned(),
            version: "0.1.0".to_owned(),
            environment: None,
        };
        let mut files: Sources = platform.files().unwrap();
        files.extend(draft.files().unwrap());
        let environment = Utf8Path::new("environments/lab/environment.yaml");
        let listed = config::with_app(&files[environment], &draft.name).unwrap();
        files.insert(environment.to_owned(), listed);
        let root = tempfile::tempdir().unwrap();
        let there = Files::below(Utf8Path::from_path(root.path()).unwrap()).with_changed(&files);
        let loaded = config::load_files(there, &EnvironmentName::new("lab").unwrap(), "2026-11-01".parse().unwrap());
        let loaded = loaded.map_err(|problems| TestCaseError::fail(format!("{:?}", problems.diagnostics)))?;
        prop_assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let app = loaded.declarations.apps.iter().find(|app| app.name == draft.name);
        prop_assert_eq!(app.map(|app| &app.description), Some(&draft.description));
    }
}
