//! Secrets in Git: encrypted by a person, opened by Flux, and by nobody who is not declared.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotse::lab::component::Component;
use serde_json::Value;

use crate::kit::{Lab, Ran, program, run};
use crate::systems::{Checkout, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const PEOPLE: &str = "environments/lab/people.yaml";
const FILE: &str = "environments/lab/apps/website/manifests/token.yaml";
const KUSTOMIZATION: &str = "environments/lab/apps/website/manifests/kustomization.yaml";
const VALUES: [&str; 2] = ["hunter2 is not \"safe\"", "another: value\nof two lines"];

/// A person at a computer with one key.
struct Desk<'lab> {
    lab: &'lab Lab,
    checkout: &'lab Checkout,
    key: PathBuf,
}

impl Desk<'_> {
    fn lotse(&self, arguments: &[&str]) -> Ran {
        let mut command = self.lab.world.command(arguments);
        run(self
            .checkout
            .enter(&mut command)
            .env("SOPS_AGE_KEY_FILE", &self.key))
    }

    fn set(&self, key: &str, value: &str) -> Ran {
        let arguments = ["secrets", "set", "lab", FILE, key];
        let mut command = self.lab.world.command(&arguments);
        self.checkout
            .enter(&mut command)
            .env("SOPS_AGE_KEY_FILE", &self.key);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            command: format!("lotse {}", arguments.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: std::time::Duration::ZERO,
        }
    }

    fn doctor(&self) -> (Option<i32>, Value) {
        let ran = self.lotse(&["secrets", "doctor", "lab", "-o", "json"]);
        (ran.code, serde_json::from_str(&ran.stdout).unwrap())
    }
}

fn assert_in_no_file(folder: &Path, text: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_in_no_file(&path, text);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in {}", path.display());
        }
    }
}

pub(crate) fn what_is_encrypted_in_git_is_opened_by_flux(lab: &Lab) {
    let checkout = &Checkout::copy(lab);
    let desk = |name: &str| Desk {
        lab,
        checkout,
        key: lab.world.path().join(name),
    };
    let nobody = desk("no.key");
    the_cluster_gets_a_key(&nobody);
    assert_eq!(nobody.set("password", VALUES[0]).success(), "");
    checkout.replace(KUSTOMIZATION, "- service.yaml", "- service.yaml\n  - token.yaml");
    nobody.lotse(&["check", "lab"]).success();
    nobody.lotse(&["bootstrap", "lab"]).success();
    settled(lab);
    assert_eq!(delivered(lab, "password"), VALUES[0]);
    let again = nobody.lotse(&["bootstrap", "lab"]).success();
    assert!(again.contains("nothing to do"), "{again}");

    people_come_and_go(&desk("mira.key"), &nobody);
    nobody.lotse(&["bootstrap", "lab"]).success();
    settled(lab);
    assert_eq!([delivered(lab, "password"), delivered(lab, "token")], VALUES);
    for value in VALUES {
        assert_in_no_file(&lab.world.path().join("lotse/labs/default/logs"), value);
    }
    another_key_is_told_before(&nobody);

    a_lost_key_is_replaced(lab);
    values_stay_secret(lab);

    Checkout::copy(lab).bootstrap(lab, &[]).success();
    settled(lab);
    lab.moin
        .run(&["delete", "secret", "lab-age", "-n", "prod"])
        .success();
}

/// A desk with a checkout of its own that has one encrypted file, and the key of a person who can open it.
fn with_a_file<'lab>(lab: &'lab Lab, checkout: &'lab Checkout, key: &str) -> Desk<'lab> {
    let desk = Desk {
        lab,
        checkout,
        key: lab.world.path().join(key),
    };
    let recipient = desk.lotse(&["secrets", "key"]).success();
    let with_key = format!("login: mira, id: 4, age: {}", recipient.trim());
    checkout.replace(PEOPLE, "login: mira, id: 4", &with_key);
    desk.lotse(&["secrets", "init", "lab"]).success();
    checkout.replace(ENVIRONMENT, "secrets: {", "secrets: {teams: [platform], ");
    desk.set("password", VALUES[0]).success();
    desk
}

/// The management cluster has lost the key: another one is made, and somebody who can open the files encrypts them to it.
fn a_lost_key_is_replaced(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let desk = with_a_file(lab, &checkout, "second.key");
    lab.moin
        .run(&["delete", "secret", "lab-age", "-n", "prod"])
        .success();
    let preflight = desk.lotse(&["preflight", "lab", "--only", "decryption"]);
    assert!(
        preflight.stdout.contains("--new` makes another"),
        "{}",
        preflight.stdout
    );
    let refused = desk.lotse(&["secrets", "init", "lab"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let made = desk.lotse(&["secrets", "init", "lab", "--new"]);
    assert!(made.stderr.contains("the cluster can't open"), "{}", made.stderr);
    let recipient = made.success();
    let text = std::fs::read_to_string(checkout.path().join(ENVIRONMENT)).unwrap();
    assert!(text.contains(recipient.trim()), "{text}");
    let checked = desk.lotse(&["check", "lab"]);
    assert!(checked.stderr.contains("error[E0419]"), "{}", checked.stderr);
    assert_eq!(desk.doctor().0, Some(5));
    desk.lotse(&["secrets", "rekey", "lab"]).success();
    assert_eq!(desk.doctor().0, Some(0));
    desk.lotse(&["preflight", "lab", "--only", "decryption"])
        .success();
}

/// Whatever is asked for, no value gets into a file or an error in plain text.
fn values_stay_secret(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let desk = with_a_file(lab, &checkout, "third.key");
    let path = checkout.path().join(FILE);
    let same = desk.set("password", VALUES[0]);
    assert!(same.stderr.contains("has that value already"), "{}", same.stderr);
    // A file that somebody had sops encrypt in part only.
    let text = std::fs::read_to_string(&path).unwrap();
    let narrow = text.replace("^(data|stringData)$", "^data$");
    std::fs::write(&path, &narrow).unwrap();
    let refused = desk.set("another", "PLAIN-VALUE");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("PLAIN-VALUE"));
    std::fs::write(&path, text.replace("mac: ENC", "max: ENC")).unwrap();
    let refused = desk.set("another", "PLAIN-VALUE");
    assert!(refused.stderr.contains("is damaged"), "{}", refused.stderr);
    std::fs::remove_file(&path).unwrap();
    let odd = "a\u{85}b\u{7f} 'c' \"d\" \u{1f600}\n- e: f";
    desk.set("odd", odd).success();
    let opened = run(std::process::Command::new(program(Component::Sops))
        .args(["decrypt", "--extract", "[\"stringData\"][\"odd\"]"])
        .arg(&path)
        .env("SOPS_AGE_KEY_FILE", &desk.key));
    assert_eq!(opened.success(), odd);
    for place in [
        "environments/lab/apps/website/token.yaml",
        "apps/website/manifests/token.yaml",
    ] {
        let refused = desk.lotse(&["secrets", "set", "lab", place, "key"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("is no manifest that lab delivers"),
            "{}",
            refused.stderr
        );
    }
    let edited = desk.lotse(&["secrets", "edit", "lab", FILE]);
    assert!(edited.stderr.contains("needs a terminal"), "{}", edited.stderr);
}

fn the_cluster_gets_a_key(desk: &Desk<'_>) {
    let refused = desk.set("password", VALUES[0]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`lotse secrets init lab`"),
        "{}",
        refused.stderr
    );
    let first = desk.lotse(&["secrets", "init", "lab"]);
    assert!(
        first.stderr.contains("keeps the key as Secret/prod/lab-age"),
        "{}",
        first.stderr
    );
    let recipient = first.success();
    assert!(recipient.starts_with("age1"), "{recipient}");
    let again = desk.lotse(&["secrets", "init", "lab"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(again.success(), recipient);
}

fn delivered(lab: &Lab, key: &str) -> String {
    let secret = lab.prod.get(&["secret", "token", "-n", "website"]);
    let value = secret["data"][key].as_str().unwrap();
    String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
}

/// Mira gets a key, is let in by somebody who may use the cluster's, adds a value, and is let out again.
fn people_come_and_go(mira: &Desk<'_>, admin: &Desk<'_>) {
    let recipient = mira.lotse(&["secrets", "key"]).success();
    let recipient = recipient.trim();
    mira.checkout.replace(
        PEOPLE,
        "login: mira, id: 4",
        &format!("login: mira, id: 4, age: {recipient}"),
    );
    mira.checkout
        .replace(ENVIRONMENT, "secrets: {", "secrets: {teams: [platform], ");
    let (code, found) = mira.doctor();
    assert_eq!(code, Some(5), "{found}");
    assert_eq!(found["files"][0]["opens"], serde_json::json!(["cluster"]));
    assert_eq!(found["files"][0]["missing"], serde_json::json!(["mira"]));
    assert_eq!(found["withoutKey"], serde_json::json!(["grace"]));
    let refused = mira.set("token", VALUES[1]);
    assert!(
        refused.stderr.contains("none of your keys opens"),
        "{}",
        refused.stderr
    );
    admin
        .lotse(&["secrets", "rekey", "lab", "--cluster-key"])
        .success();
    assert_eq!(mira.set("token", VALUES[1]).success(), "");
    let (code, found) = mira.doctor();
    assert_eq!(code, Some(0), "{found}");

    mira.checkout
        .replace(ENVIRONMENT, "secrets: {teams: [platform], ", "secrets: {");
    let checked = mira.lotse(&["check", "lab"]);
    assert!(checked.stderr.contains("warning[E0420]"), "{}", checked.stderr);
    assert_eq!(mira.doctor().1["files"][0]["others"], serde_json::json!(["mira"]));
    let refused = mira.set("token", "for whom?");
    assert!(refused.stderr.contains("who should not"), "{}", refused.stderr);
    let rekeyed = mira.lotse(&["secrets", "rekey", "lab"]);
    assert!(rekeyed.stderr.contains("change them"), "{}", rekeyed.stderr);
    rekeyed.success();
    assert_eq!(mira.doctor().0, Some(0));
    let refused = mira.set("token", "x");
    assert!(
        refused.stderr.contains("none of your keys opens"),
        "{}",
        refused.stderr
    );
    let text = std::fs::read_to_string(mira.checkout.path().join(FILE)).unwrap();
    assert!(VALUES.iter().all(|value| !text.contains(value)));
}

/// A recipient that is not the key's is told by check, and by preflight.
fn another_key_is_told_before(desk: &Desk<'_>) {
    let text = std::fs::read_to_string(desk.checkout.path().join(ENVIRONMENT)).unwrap();
    let declared = &text[text.find("age1").unwrap()..][..62];
    let other = Desk {
        lab: desk.lab,
        checkout: desk.checkout,
        key: desk.lab.world.path().join("other.key"),
    };
    let recipient = other.lotse(&["secrets", "key"]).success();
    desk.checkout.replace(ENVIRONMENT, declared, recipient.trim());
    let checked = desk.lotse(&["check", "lab"]);
    assert_eq!(checked.code, Some(3), "{}", checked.stderr);
    assert!(checked.stderr.contains("error[E0419]"), "{}", checked.stderr);
    desk.checkout.replace(KUSTOMIZATION, "  - token.yaml\n", "");
    std::fs::remove_file(desk.checkout.path().join(FILE)).unwrap();
    let ran = desk.lotse(&["preflight", "lab", "--only", "decryption"]);
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    let told = format!("the key opens what is encrypted to {declared}");
    assert!(ran.stdout.contains(&told), "{}{}", ran.stdout, ran.stderr);
}
