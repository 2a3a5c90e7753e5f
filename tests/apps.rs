//! `lotse app`: what people and programs are shown of the applications.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use std::process::{Command, Output};

use serde_json::{Value, json};

fn lotse(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lotse"))
        .args([
            "-C",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diag/base"),
            "app",
        ])
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn shown(arguments: &[&str]) -> String {
    let output = lotse(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn test_list_has_a_row_for_each_environment() {
    insta::assert_snapshot!(shown(&["list"]), @r"
    environment  application  owners    hosts              source
    lab          db           platform                     manifests
    lab          web          platform  www.prod.lab.test  manifests
    ");
}

#[test]
fn test_show_tells_who_has_which_access() {
    insta::assert_snapshot!(shown(&["show", "web"]), @r"
    web in lab
      description   The website
      owners        platform
      hosts         https://www.prod.lab.test leads to Service web:80
      source        apps/web/manifests
      access        team website: edit (ada)
      pod security  baseline
      depends on    db
    ");
}

#[test]
fn test_programs_get_a_versioned_list() {
    let list: Value = serde_json::from_str(&shown(&["show", "db", "-e", "lab", "-o", "json"])).unwrap();
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&json!("lotse/v1"), &json!("AppList"))
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["name"], "db");
    assert_eq!(list["items"][0]["access"], json!([]));
    let yaml = shown(&["show", "db", "-e", "lab", "-o", "yaml"]);
    assert_eq!(lotse::config::yaml::parse::<Value>(&yaml).unwrap(), list);
}

#[test]
fn test_a_name_that_is_not_there_gets_the_nearest() {
    let output = lotse(&["show", "wed"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told,
        "error: there is no application `wed`\nhelp: did you mean `web`?\n"
    );
}

#[test]
fn test_an_application_that_runs_elsewhere_is_told_from_one_that_is_not_there() {
    let repository = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(repository.path()).unwrap();
    folder::copy(
        &camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base"),
        root,
    );
    let file = root.join("environments/lab/environment.yaml");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, text.replace("apps: [web, db]", "apps: [db]")).unwrap();
    let folder = root.join("apps/db");
    let output = Command::new(env!("CARGO_BIN_EXE_lotse"))
        .args(["-C", folder.as_str(), "app", "show", "web", "-e", "lab"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told,
        "error: `web` does not run in this environment\nhelp: `lotse app show web` shows it where it runs\n"
    );
}
