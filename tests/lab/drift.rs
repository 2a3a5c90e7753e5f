//! Somebody else changed something: in Keycloak's console, in the zone, in the repository, in the cluster. The next
//! bring-up mends what is lotse's, says so, and leaves alone what is not.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use lotse::secret::Secret;
use lotse::surface::keycloak::Admin;
use serde_json::{Value, json};

use crate::kit::{Lab, block_on};
use crate::systems::{Clone, ask_flux, authority, bootstrap, keycloak, settled, update_zone};

const MONITORING: &str = "SovereignCloudStack:monitoring";
const WILDCARD: &str = "*.prod.lab.test";
/// Where lotse and external-dns say whose the wildcard record is.
const MARK: &str = "_lotse-a._wildcard.prod.lab.test";
const FOREIGN_MARK: &str = "a-*.prod.lab.test";
const EXTERNAL_DNS: &str = "heritage=external-dns,external-dns/owner=elsewhere";

async fn console_edit(admin: &Admin, kind: &str, filter: (&str, &str), edit: impl FnOnce(&mut Value)) {
    let mut object = seen(admin, kind, filter).await;
    edit(&mut object);
    let path = ["scs", kind, object["id"].as_str().unwrap()];
    admin.put(&path, Some(&object)).await.unwrap();
}

async fn seen(admin: &Admin, kind: &str, filter: (&str, &str)) -> Value {
    let query = [filter, ("briefRepresentation", "false")];
    let found = admin.get(&["scs", kind], &query).await.unwrap();
    found[0].clone()
}

/// What was said, without `, 2026-11-27 12:40 UTC`.
fn without_times(said: &str) -> String {
    let mut parts = said.split(", 20");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once(" UTC") {
        Some((time, rest)) if time.len() == "26-11-27 12:40".len() => text + rest,
        _ => text + ", 20" + part,
    })
}

/// Somebody else who may do everything in Keycloak's console.
pub(crate) async fn another_administrator(lab: &Lab) -> Admin {
    let password = "edits-by-hand-1";
    let admin = keycloak(lab);
    let user = json!({
        "username": "operator", "enabled": true,
        "credentials": [{"type": "password", "value": password, "temporary": false}],
    });
    let found = admin
        .get(&["master", "users"], &[("username", "operator")])
        .await
        .unwrap();
    if found == json!([]) {
        let id = admin.post(&["master", "users"], &user).await.unwrap().unwrap();
        let role = admin.get(&["master", "roles", "admin"], &[]).await.unwrap();
        let path = ["master", "users", id.as_str(), "role-mappings", "realm"];
        admin.post(&path, &json!([role])).await.unwrap();
    }
    let url = lab.endpoint("keycloak");
    Admin::new(url, "operator", Secret::new(password), Some(&authority(lab))).unwrap()
}

/// A client and a group edited in the console: what lotse decides comes back and is told as put back, everything else
/// stays.
pub(crate) fn edits_in_the_console_are_repaired(lab: &Lab) {
    let (client, group) = (("clientId", "grafana"), ("search", MONITORING));
    let secret = || lab.prod.get(&["secret", "grafana-oidc", "-n", "monitoring"])["data"].clone();
    let before = secret();
    block_on(async {
        let admin = another_administrator(lab).await;
        console_edit(&admin, "clients", client, |client| {
            client["redirectUris"] = json!(["https://elsewhere.test/*"]);
            client["baseUrl"] = json!("https://monitoring.prod.lab.test/");
        })
        .await;
        console_edit(&admin, "groups", group, |group| {
            group["description"] = json!("changed by hand");
            group["attributes"]["colour"] = json!(["blue"]);
        })
        .await;
    });
    let plan = lab.world.lotse(&["plan", "lab"]).success();
    assert!(
        plan.contains("~ client grafana  (last changed by operator, 20"),
        "{plan}"
    );
    let ran = bootstrap(lab);
    assert_put_back(
        &without_times(&ran.stderr),
        &[
            "client grafana (redirectUris; last changed by operator)",
            &format!("group {MONITORING} (description; last changed by operator)"),
        ],
    );
    assert_mended(&ran.success());
    block_on(async {
        let admin = keycloak(lab);
        let found = seen(&admin, "clients", client).await;
        assert_eq!(
            found["redirectUris"],
            json!(["https://monitoring.prod.lab.test/login/generic_oauth"])
        );
        assert_eq!(found["baseUrl"], "https://monitoring.prod.lab.test/");
        let found = seen(&admin, "groups", group).await;
        assert_eq!(found["description"], "Watches the landscape");
        assert_eq!(found["attributes"]["colour"], json!(["blue"]));
        console_edit(&admin, "clients", client, |client| client["baseUrl"] = json!("")).await;
        console_edit(&admin, "groups", group, |group| {
            group["attributes"]
                .as_object_mut()
                .unwrap()
                .shift_remove("colour");
        })
        .await;
    });
    assert_eq!(secret(), before, "the client has another secret");
    assert_nothing_to_do(lab);
}

/// A bring-up said that it puts `objects` back, and nothing else.
fn assert_put_back(told: &str, objects: &[&str]) {
    let lines: Vec<&str> = told
        .lines()
        .filter_map(|line| Some(line.split_once("put back as published: ")?.1))
        .collect();
    assert_eq!(lines, [objects.join(", ")], "{told}");
}

/// Somebody put into a group by hand keeps what they have until that is to end, and every command says who did it.
pub(crate) fn a_member_by_hand_is_warned_of(lab: &Lab) {
    let user = block_on(async {
        let admin = another_administrator(lab).await;
        let user = json!({"username": "mallory", "enabled": true});
        let user = admin.post(&["scs", "users"], &user).await.unwrap().unwrap();
        let group = seen(&admin, "groups", ("search", MONITORING)).await;
        let path = ["scs", "users", &user, "groups", group["id"].as_str().unwrap()];
        admin.put(&path, None).await.unwrap();
        user
    });
    let warning = format!("warning: member mallory of group {MONITORING} was put there by hand (operator)");
    let ran = bootstrap(lab);
    assert!(
        without_times(&ran.stderr).contains(&warning),
        "{warning}\n{}",
        ran.stderr
    );
    assert!(ran.success().contains("nothing to do"));
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(5), "{}", plan.stdout);
    assert!(without_times(&plan.stdout).contains(&warning), "{}", plan.stdout);
    let applied = lab.world.lotse(&["apply", "lab", "--yes"]).success();
    assert!(without_times(&applied).contains(&warning), "{applied}");

    let prove = ["access", "prove", "lab", "--person", "mallory"];
    let proof = lab.world.lotse(&prove);
    assert_eq!(proof.code, Some(7), "{}", proof.stderr);
    for told in [
        "mallory is not in people.yaml of lab\n",
        "broken  mallory: admin of monitoring, at the hop grant\n",
        "by hand (operator, 20",
    ] {
        assert!(proof.stdout.contains(told), "no {told} in {}", proof.stdout);
    }

    let removed = lab.world.lotse(&["apply", "lab", "--prune", "--yes"]);
    assert!(
        removed.stderr.contains(&format!(
            "not declared, and removed: member mallory of group {MONITORING}; kept in "
        )),
        "{}",
        removed.stderr
    );
    removed.success();
    let proof = lab.world.lotse(&prove).success();
    assert!(proof.contains("Nobody has access"), "{proof}");
    let backups = lab.world.lotse(&["identity", "restore", "lab"]).success();
    let last = backups.lines().last().unwrap_or_default();
    assert!(
        last.ends_with(&format!("member mallory of group {MONITORING}")),
        "{backups}"
    );
    block_on(async {
        let admin = keycloak(lab);
        admin.delete(&["scs", "users", &user], None).await.unwrap();
    });
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
}

/// What Flux delivers is removed and edited by hand, a whole namespace among it.
pub(crate) fn what_flux_delivers_is_put_back(lab: &Lab) {
    let gone = "lotse:team:website:edit";
    lab.prod
        .run(&["delete", "namespace", "website", "--timeout=60s"])
        .success();
    lab.prod
        .run(&[
            "delete",
            "rolebinding",
            "lotse:team:monitoring:admin",
            "-n",
            "monitoring",
        ])
        .success();
    let opened = r#"{"spec":{"policyTypes":["Ingress"]}}"#;
    let patch = [
        "patch",
        "networkpolicy",
        "default-deny",
        "-n",
        "monitoring",
        "--type=merge",
        "-p",
        opened,
    ];
    lab.prod.run(&patch).success();
    let ran = bootstrap(lab);
    for told in [
        "Namespace/website (was removed)",
        "RoleBinding/monitoring/lotse:team:monitoring:admin (was removed)",
        "NetworkPolicy/monitoring/default-deny (",
    ] {
        assert!(ran.stderr.contains(told), "no {told} in\n{}", ran.stderr);
    }
    assert_mended(&ran.success());
    lab.prod.get(&["rolebinding", gone, "-n", "website"]);
    let policy = lab
        .prod
        .get(&["networkpolicy", "default-deny", "-n", "monitoring"]);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_nothing_to_do(lab);
}

/// The Cluster edited on the management cluster.
pub(crate) fn an_edited_cluster_is_put_back(lab: &Lab) {
    let patch = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}).to_string();
    let cluster = ["clusters.cluster.x-k8s.io", "prod", "-n", "prod"];
    lab.moin
        .run(&[&["patch"], &cluster[..], &["--type=merge", "-p", &patch]].concat())
        .success();
    let ran = bootstrap(lab);
    assert_put_back(
        &ran.stderr,
        &["Cluster/prod/prod (metadata.labels.app.kubernetes.io/managed-by)"],
    );
    assert_mended(&ran.success());
    assert_nothing_to_do(lab);
}

/// A label of the Cluster that another program looks after: named, left to it, and taken over only when told to.
pub(crate) fn a_field_of_another_program_is_left_to_it(lab: &Lab) {
    let object = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "prod", "namespace": "prod", "labels": {"app.kubernetes.io/managed-by": "other-operator"}}});
    let file = lab.world.path().join("labelled.json");
    std::fs::write(&file, object.to_string()).unwrap();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=other-operator",
        "-f",
    ];
    lab.moin
        .run(&[&apply[..], &[file.to_str().unwrap()]].concat())
        .success();
    let before = lab.moin.get(&["clusters.cluster.x-k8s.io", "prod", "-n", "prod"]);

    let told = "Cluster/prod/prod: another program looks after .metadata.labels.app.kubernetes.io/managed-by (other-operator)";
    let plan = lab.world.lotse(&["plan", "lab"]).success();
    for line in [
        "~ Cluster/prod/prod",
        ".metadata.labels.app.kubernetes.io/managed-by is looked after by other-operator",
        "`lotse apply lab --force-conflicts` takes them over",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    let refused = bootstrap(lab);
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--force-conflicts to take it over"),
        "{}",
        refused.stderr
    );
    let after = lab.moin.get(&["clusters.cluster.x-k8s.io", "prod", "-n", "prod"]);
    assert_eq!(before["metadata"]["labels"], after["metadata"]["labels"]);
    let unchecked = lab.world.lotse(&["bootstrap", "lab", "--skip", "cluster-fields"]);
    assert_eq!(unchecked.code, Some(1), "{}", unchecked.stderr);
    assert!(unchecked.stderr.contains(told), "{}", unchecked.stderr);

    assert_mended(
        &lab.world
            .lotse(&["bootstrap", "lab", "--force-conflicts"])
            .success(),
    );
    assert_nothing_to_do(lab);
}

fn assert_mended(said: &str) {
    assert!(!said.contains("nothing to do"), "{said}");
}

fn assert_nothing_to_do(lab: &Lab) {
    let said = bootstrap(lab).success();
    assert!(said.contains("nothing to do"), "{said}");
}

/// The wildcard record changed with the very key that lotse has: put right, and told.
pub(crate) fn a_changed_record_is_put_right(lab: &Lab) {
    update_zone(
        lab,
        &[
            &format!("update delete {WILDCARD} A"),
            &format!("update add {WILDCARD} 60 A 127.0.0.99"),
        ],
    );
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), "127.0.0.99");
    let ran = bootstrap(lab);
    let told = ran.stderr.clone();
    assert_mended(&ran.success());
    let line = told.lines().find(|line| line.starts_with("dns "));
    assert!(
        line.is_some_and(|line| line.contains("A was 127.0.0.99: edited elsewhere")),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "A {} and 2 more records, seen at",
            lab.gateway_address()
        )),
        "{told}"
    );
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), lab.gateway_address());
}

/// The same record with the mark of another program, of another environment, and with none: refused, and left as it
/// is.
pub(crate) fn a_record_of_somebody_else_is_refused(lab: &Lab) {
    let refused = |changes: &[&str], reason: &str| {
        let record = [
            format!("update delete {WILDCARD} A"),
            format!("update delete {MARK} TXT"),
            format!("update delete {FOREIGN_MARK} TXT"),
            format!("update add {WILDCARD} 60 A 127.0.0.98"),
        ];
        let all: Vec<&str> = record
            .iter()
            .map(String::as_str)
            .chain(changes.iter().copied())
            .collect();
        update_zone(lab, &all);
        let serial = lab.dig(&["lab.test", "SOA"]);
        let ran = bootstrap(lab);
        assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert_eq!(lab.dig(&["lab.test", "SOA"]), serial, "the zone was written");
        assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), "127.0.0.98");
        let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(5), "{}", plan.stdout);
        assert!(plan.stdout.contains(reason), "{}", plan.stdout);
    };
    refused(
        &[&format!("update add {FOREIGN_MARK} 60 TXT \"{EXTERNAL_DNS}\"")],
        "belongs to heritage=external-dns",
    );
    refused(
        &[&format!(
            "update add {MARK} 60 TXT \"heritage=lotse,lotse/owner=elsewhere\""
        )],
        "belongs to the environment elsewhere of lotse",
    );
    refused(&[], WILDCARD);

    update_zone(
        lab,
        &[
            &format!("update delete {WILDCARD} A"),
            &format!("update delete {MARK} TXT"),
            &format!("update delete {FOREIGN_MARK} TXT"),
        ],
    );
    assert_mended(&bootstrap(lab).success());
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), lab.gateway_address());

    // Beside ours stays what it is, and is told.
    update_zone(lab, &[&format!("update add {WILDCARD} 60 AAAA ::1")]);
    let ran = bootstrap(lab);
    let told = format!("{WILDCARD}. AAAA ::1 is somebody else's");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    ran.success();
    let plan = lab.world.lotse(&["plan", "lab", "--target", "dns"]).success();
    assert!(plan.contains(&told), "{plan}");
    update_zone(lab, &[&format!("update delete {WILDCARD} AAAA")]);
    assert_nothing_to_do(lab);
}

/// Commits of others: one to files of theirs and one to a file of ours before the bring-up, and one more in the
/// moment between its look at the branch and its push.
pub(crate) fn commits_of_others_survive(lab: &Lab) {
    const OURS: &str = "environments/lab/apps/website/manifests/index.html";
    let clone = Clone::new(lab);
    let before = clone.read(OURS);
    clone.write("docs/theirs.md", "Notes of somebody else\n");
    clone.commit("docs: notes");
    clone.write(OURS, "changed by hand\n");
    let theirs = clone.commit("website: another page");
    clone.push();
    clone.write("docs/meanwhile.md", "Pushed in between\n");
    let meanwhile = clone.commit("docs: more notes");

    let ran = crate::kit::run(
        lab.world
            .command(&["bootstrap", "lab"])
            .env("PATH", interrupting_git(&clone)),
    );
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, Some(0), "{said}");
    assert!(
        clone.path().join("interrupted").is_dir(),
        "nobody pushed in between"
    );
    clone.pull();
    assert_eq!(clone.read("docs/theirs.md"), "Notes of somebody else\n");
    assert_eq!(clone.read("docs/meanwhile.md"), "Pushed in between\n");
    assert_eq!(clone.read(OURS), before, "{said}");
    for commit in [theirs, meanwhile] {
        clone.git(&["merge-base", "--is-ancestor", &commit, "HEAD"]);
    }
    clone.git(&["rm", "-q", "-r", "docs"]);
    std::fs::remove_dir(clone.path().join("interrupted")).unwrap();
    clone.commit("docs: none");
    clone.push();
    settled(lab);
}

/// A PATH on which git, asked to push for the first time, pushes what is in `clone` before.
fn interrupting_git(clone: &Clone) -> String {
    let directory = clone.path().join(".git/program");
    std::fs::create_dir(&directory).unwrap();
    let mut script = String::from("#!/bin/sh\nPATH=\"${PATH#*:}\"\n");
    writeln!(
        script,
        "case \" $* \" in *\" --dry-run \"*) ;; *\" push \"*) mkdir '{0}/interrupted' 2>&- && git -C '{0}' push -q origin HEAD:main ;; esac",
        clone.path().display()
    )
    .unwrap();
    script.push_str("exec git \"$@\"\n");
    let program = directory.join("git");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

/// Credentials that somebody rotated in the cluster stay, and the bring-up says that they are others.
pub(crate) fn rotated_source_credentials_are_kept(lab: &Lab) {
    let name = || ["secret", "flux-system", "-n", "flux-system"];
    let patch = |username: &Value| {
        let patch = json!({ "data": { "username": username } }).to_string();
        lab.prod
            .run(&[&["patch"], &name()[..], &["--type=merge", "-p", &patch]].concat())
            .success();
    };
    let before = lab.prod.get(&name());
    // "x-access-token": the forge looks at the token alone.
    let rotated = json!("eC1hY2Nlc3MtdG9rZW4=");
    patch(&rotated);
    let ran = bootstrap(lab);
    assert!(ran.stderr.contains("other credentials"), "{}", ran.stderr);
    assert!(ran.success().contains("nothing to do"));
    let after = lab.prod.get(&name());
    assert_eq!(after["data"]["username"], rotated);
    patch(&before["data"]["username"]);
    ask_flux(lab);
}
