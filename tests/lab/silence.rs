//! No secret of the lab is anywhere but where it belongs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{Lab, processes_of, run};

/// Values that must not be seen; short ones would be found by chance.
fn secrets(lab: &Lab) -> Vec<String> {
    let path = lab.world.path().join("lotse/labs/default/secrets.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut found = Vec::new();
    let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    // A client id is no secret: it is in the address of every login.
    kept.as_object_mut().unwrap().remove("forge-oauth-client-id");
    collect(&kept, &mut found);
    assert!(
        found.len() >= 5,
        "only {} secrets in {}",
        found.len(),
        path.display()
    );
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.len() >= 12 => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn assert_silent(place: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(
            !text.contains(secret.as_str()),
            "a secret ({} characters) is in {place}",
            secret.len()
        );
    }
}

pub(crate) fn secrets_are_in_no_output_log_argument_or_commit(lab: &Lab) {
    let secrets = secrets(lab);
    assert_silent(
        "the output of the bring-up",
        &format!("{}{}", lab.first.stdout, lab.first.stderr),
        &secrets,
    );
    let verbose = lab.world.lotse(&["-vv", "bootstrap", "lab"]);
    assert_silent(
        "the output with -vv",
        &format!("{}{}", verbose.stdout, verbose.stderr),
        &secrets,
    );
    for told in [
        "compared with the API server",
        "compared with Keycloak",
        "asking Keycloak",
    ] {
        assert!(verbose.stderr.contains(told), "no {told} in {}", verbose.stderr);
    }
    verbose.success();
    let mut logs = Vec::new();
    files(&lab.world.path().join("lotse/labs/default/logs"), &mut logs);
    assert!(logs.len() > 10, "{logs:?}");
    for log in logs {
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        assert_silent(log.to_str().unwrap(), &text, &secrets);
    }
    for line in processes_of(lab.world.path()) {
        assert_silent("the arguments of a process", &line, &secrets);
    }
    let clone = lab.world.path().join("clone");
    run(Command::new("git")
        .args(["clone", "-q", lab.endpoint("git")])
        .arg(&clone))
    .success();
    let history = run(Command::new("git")
        .arg("-C")
        .arg(&clone)
        .args(["log", "-p", "--all"]))
    .success();
    assert!(history.contains("kind: Kustomization"), "the history is empty");
    assert_silent("Git", &history, &secrets);
}

pub(crate) fn files_with_secrets_are_private(lab: &Lab) {
    use std::os::unix::fs::PermissionsExt;
    let secrets = secrets(lab);
    let mut all = Vec::new();
    files(&lab.world.path().join("lotse/labs/default"), &mut all);
    for path in all
        .iter()
        .filter(|path| path.metadata().is_ok_and(|metadata| metadata.is_file()))
    {
        let Ok(content) = std::fs::read(path) else {
            continue;
        };
        let text = String::from_utf8_lossy(&content);
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            let is_private = |path: &Path| {
                path.metadata()
                    .is_ok_and(|metadata| metadata.permissions().mode().trailing_zeros() >= 6)
            };
            let parents_are_private = path
                .ancestors()
                .skip(1)
                .take_while(|directory| *directory != lab.world.path())
                .any(is_private);
            let mode = path.metadata().unwrap().permissions().mode();
            assert!(
                mode.trailing_zeros() >= 6 || parents_are_private,
                "{} has mode {mode:o}",
                path.display()
            );
        }
    }
}
