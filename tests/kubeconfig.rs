//! `lotse kubeconfig` as far as it needs no cluster: where the file goes, and what is refused before anything is asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use std::process::{Command, Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

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
        git2::Repository::init(repository.root())
            .unwrap()
            .config()
            .unwrap()
            .set_str("user.email", "somebody with spaces")
            .unwrap();
        repository
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().to_owned()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
        command
            .args(["kubeconfig", "lab"])
            .args(arguments)
            .current_dir(self.root())
            .env("NO_COLOR", "1")
            .env("HOME", self.directory.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

const GLASS: [&str; 3] = ["--break-glass", "--reason", "Keycloak is down"];

#[test]
fn test_a_key_is_not_written_to_a_terminal() {
    use rustix::pty;
    let repository = Repository::new();
    let ours = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&ours).unwrap();
    pty::unlockpt(&ours).unwrap();
    let name = pty::ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = fs_err::OpenOptions::new().write(true).open(&name).unwrap();
    let output = repository
        .command(&[&GLASS[..], &["--as", "ada"]].concat())
        .stdout(theirs.into_parts().0)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(
        told(&output),
        "error: a private key is not written to a terminal\n\
         help: `--out FILE` writes it to a file of mode 0600, `--out -` here all the same\n"
    );
}

#[test]
fn test_who_gets_in_has_to_be_a_name() {
    let told = told(&Repository::new().run(&GLASS));
    assert_eq!(
        told,
        "error: a name has letters, digits and `@._+-`, at most 39 of them\n\
         help: Git's user.email is `somebody with spaces`; say who gets in: `--as NAME`\n"
    );
}

#[test]
fn test_a_file_with_something_else_is_not_overwritten() {
    let repository = Repository::new();
    let path = repository.root().join("config");
    for (text, context) in [
        ("contexts: [{name: other}]\n", "lab"),
        ("contexts: [{name: lab}, {name: other}]\n", "lab"),
        ("contexts: [{name: lab}]\n", "lab-break-glass"),
        ("notes\n", "lab"),
    ] {
        fs_err::write(&path, text).unwrap();
        let mut arguments = vec!["--out", "config"];
        if context == "lab-break-glass" {
            arguments.extend(GLASS.iter().chain(&["--as", "ada"]));
        }
        let told = told(&repository.run(&arguments));
        assert!(
            told.starts_with("error: config is there already and holds something else\n"),
            "{told}"
        );
        assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
    }
    let told = told(&repository.run(&["--out", "nowhere/config"]));
    assert_eq!(told, "error: there is no folder nowhere\n");
}

#[test]
fn test_what_does_not_go_together_is_refused() {
    let repository = Repository::new();
    for arguments in [
        &["--reason", "Keycloak is down"][..],
        &["--certificate-authority", "ca.crt"],
        &["--merge", "--out", "file"],
        &["--server", "http://api.example.org"],
        &["--server", "api.example.org"],
        &["--break-glass"],
    ] {
        told(&repository.run(arguments));
    }
}
