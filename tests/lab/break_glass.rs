//! When Keycloak is down: a short way in for one person, with a record that stays.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::access::may;
use crate::kit::{Kubectl, Lab, Ran, run};
use crate::kubeconfigs::mode;
use crate::strangers::{Stopped, pid};

const REASON: &str = "Keycloak is down, issue 42";
const RECORDS: [&str; 5] = [
    "configmaps",
    "-n",
    "kube-system",
    "-l",
    "lotse.dev/break-glass=record",
];
const BINDINGS: [&str; 3] = ["clusterrolebindings", "-l", "lotse.dev/break-glass=binding"];

fn break_glass(lab: &Lab, arguments: &[&str]) -> Ran {
    let mut all = vec!["kubeconfig", "lab", "--break-glass"];
    all.extend_from_slice(arguments);
    lab.world.lotse(&all)
}

pub(crate) fn a_short_kubeconfig_gets_in_without_keycloak(lab: &Lab) {
    let directory = tempfile::tempdir_in(lab.world.path()).unwrap();
    let keycloak = Stopped::new(&pid(lab, "keycloak"));
    what_is_not_said_is_refused(lab, directory.path());

    let file = directory.path().join("glass.kubeconfig");
    let out = file.to_str().unwrap();
    let asked = [
        "--as",
        "ada@lab.test",
        "--reason",
        REASON,
        "--for",
        "10m",
        "--out",
        out,
    ];
    let ran = break_glass(lab, &asked);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    assert_eq!(mode(&file), 0o600);
    assert!(!ran.stderr.contains("PRIVATE KEY"));
    let ada = Kubectl::with(&file);
    let name = user(&ada);
    assert!(name.starts_with("lotse:break-glass:ada@lab.test:"), "{name}");
    assert!(may(&ada, "*", "*", "kube-system"));
    ada.run(&["create", "configmap", "glass", "-n", "default"])
        .success();
    ada.run(&["delete", "configmap", "glass", "-n", "default"])
        .success();
    let others = ["--clusterrole=cluster-admin", "--user=oidc:mira"];
    let refused = ada.run(&[&["create", "clusterrolebinding", "for-mira"][..], &others].concat());
    assert!(
        refused.stderr.contains("which only the platform may"),
        "{refused:?}"
    );
    drop(keycloak);

    assert_ends_in_ten_minutes(&ada);
    let binding = is_recorded(lab, &ran);
    what_has_ended_is_removed(lab, &ada, &binding, directory.path());
    for kind in [&BINDINGS[..], &RECORDS] {
        lab.prod.run(&[&["delete"][..], kind].concat()).success();
    }
}

fn user(kubectl: &Kubectl) -> String {
    let told = kubectl.run(&["auth", "whoami", "-o", "json"]).success();
    let told: Value = serde_json::from_str(&told).unwrap();
    told["status"]["userInfo"]["username"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Nothing is made, and the reason is a plain sentence.
fn what_is_not_said_is_refused(lab: &Lab, directory: &Path) {
    let file = directory.join("refused.kubeconfig");
    let out = file.to_str().unwrap();
    let refusals: [(&[&str], &str); 7] = [
        (&[], "--reason <TEXT>"),
        (&["--reason", "test"], "say in one line of 10 to 300 characters"),
        (
            &["--reason", REASON, "--for", "5m"],
            "write a time from 10m to 24h",
        ),
        (
            &["--reason", REASON, "--for", "25h"],
            "write a time from 10m to 24h",
        ),
        (
            &["--reason", REASON, "--as", "ada,O=system:masters"],
            "a name has letters",
        ),
        (&["--reason", REASON, "--merge"], "cannot be used with"),
        (
            &["--reason", REASON, "--as", "ada", "--role", "no-such-role"],
            "the cluster has no ClusterRole `no-such-role`",
        ),
    ];
    for (arguments, said) in refusals {
        let mut all = arguments.to_vec();
        if !arguments.contains(&"--merge") {
            all.extend_from_slice(&["--out", out]);
        }
        let ran = break_glass(lab, &all);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(lab.prod.list(&RECORDS), Vec::<Value>::new());
    assert_eq!(lab.prod.list(&BINDINGS), Vec::<Value>::new());
    assert!(!file.exists());
}

/// By another reader of certificates.
fn assert_ends_in_ten_minutes(kubectl: &Kubectl) {
    let shown = ["config", "view", "--raw", "-o", "json"];
    let shown: Value = serde_json::from_str(&kubectl.run(&shown).success()).unwrap();
    let certificate = shown["users"][0]["user"]["client-certificate-data"]
        .as_str()
        .unwrap();
    let file = kubectl.kubeconfig.with_extension("crt");
    std::fs::write(&file, STANDARD.decode(certificate).unwrap()).unwrap();
    let is_good_in = |seconds: &str| {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-noout", "-checkend", seconds, "-in"])
            .arg(&file);
        run(&mut openssl).code == Some(0)
    };
    assert!(is_good_in("400"));
    assert!(!is_good_in("610"));
}

/// Who, when, until when and why stand in the cluster. Gives the binding's name.
fn is_recorded(lab: &Lab, ran: &Ran) -> String {
    let records = lab.prod.list(&RECORDS);
    assert_eq!(records.len(), 1, "{records:?}");
    let (record, facts) = (&records[0], &records[0]["data"]);
    assert_eq!(record["immutable"], true);
    assert_eq!(facts["who"], "ada@lab.test");
    assert_eq!(facts["reason"], REASON);
    assert_eq!(facts["role"], "cluster-admin");
    assert_eq!(facts["for"], "10m");
    let time = |key: &str| -> jiff::Timestamp { facts[key].as_str().unwrap().parse().unwrap() };
    let lasting = time("until").duration_since(time("from")).as_secs();
    assert!((540..=660).contains(&lasting), "{facts}");
    let name = record["metadata"]["name"].as_str().unwrap().to_owned();
    for part in [
        &format!("recorded as ConfigMap/kube-system/{name}: {REASON}\n"),
        &format!("`kubectl delete clusterrolebinding {name}`"),
        &format!(
            "{} is cluster-admin of lab until ",
            facts["user"].as_str().unwrap()
        ),
    ] {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    let binding = lab.prod.get(&["clusterrolebinding", &name]);
    let wanted = json!([{
        "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": facts["user"],
    }]);
    assert_eq!(binding["subjects"], wanted);
    assert_eq!(
        binding["metadata"]["annotations"]["lotse.dev/until"],
        facts["until"]
    );
    name
}

/// The next use of the same person has its own role and no more. It removes what has ended, and only that; its record stays.
fn what_has_ended_is_removed(lab: &Lab, ada: &Kubectl, binding: &str, directory: &Path) {
    let file = directory.join("look.kubeconfig");
    let out = file.to_str().unwrap();
    let look = [
        "--as",
        "ada@lab.test",
        "--reason",
        "a look at what happens",
        "--role",
        "view",
    ];
    let look = [&look[..], &["--out", out]].concat();
    assert_eq!(break_glass(lab, &look).code, Some(0));
    let looking = Kubectl::with(&file);
    assert!(may(&looking, "get", "pods", "monitoring"));
    assert!(!may(&looking, "get", "secrets", "monitoring"));
    assert!(!may(&looking, "delete", "pods", "monitoring"));
    assert_eq!(lab.prod.list(&BINDINGS).len(), 2);

    let ended = "lotse.dev/until=2026-01-01T00:00:00Z";
    lab.prod
        .run(&["annotate", "--overwrite", "clusterrolebinding", binding, ended])
        .success();
    let ran = break_glass(lab, &look);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let removed = format!("removed ClusterRoleBinding/{binding}, which had ended\n");
    assert!(ran.stderr.contains(&removed), "{}", ran.stderr);
    assert!(!may(ada, "get", "secrets", "kube-system"));
    assert_eq!(lab.prod.list(&BINDINGS).len(), 2);
    assert_eq!(lab.prod.list(&RECORDS).len(), 3);
}
