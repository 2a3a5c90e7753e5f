//! Preflight on real systems: what holds, and what each says when it does not.

use serde_json::{Value, json};

use crate::kit::{Lab, Ran, block_on, run};
use crate::systems::{Checkout, forge, keycloak};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";

/// Outcomes by the names of the checks.
fn outcomes(ran: &Ran) -> Value {
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&told["apiVersion"], &told["kind"]),
        (&json!("lotse/v1"), &json!("Preflight"))
    );
    let checks = told["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| (check["id"].as_str().unwrap().to_owned(), check.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn failed(outcomes: &Value) -> Vec<&String> {
    let checks = outcomes.as_object().unwrap();
    checks
        .iter()
        .filter(|(_, check)| check["outcome"] == "failed")
        .map(|(id, _)| id)
        .collect()
}

/// Everything holds in a lab; its controllers are no Deployments, it has no cloud, and any version will do, which is said.
pub(crate) fn every_check_holds_in_a_lab(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let ran = checkout.lotse(lab, &["preflight", "lab", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let outcomes = outcomes(&ran);
    for (id, check) in outcomes.as_object().unwrap() {
        let wanted = match id.as_str() {
            "management-controllers" | "cloud-credentials" | "version-policy" => "not-asked",
            _ => "passed",
        };
        assert_eq!(check["outcome"], wanted, "{id}: {check}");
    }
    assert_eq!(outcomes.as_object().unwrap().len(), 16);
    // What is on this computer is never asked through a proxy; here nothing listens at that of the surroundings.
    let mut command = lab.world.command(&["preflight", "lab"]);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ] {
        command.env(name, "http://127.0.0.1:1");
    }
    run(checkout.enter(&mut command)).success();
    let only = [
        "preflight",
        "lab",
        "--only",
        "zone-writable",
        "--only",
        "flux-range",
        "--skip",
        "flux-range",
    ];
    assert_eq!(
        checkout.lotse(lab, &only).success(),
        "ok      zone-writable           the zone takes signed updates\n"
    );
}

/// A variable that the class does not have, a repository that may only be read, an account of Keycloak without rights:
/// each is told with the system's own words, and nothing is changed.
pub(crate) fn what_would_fail_later_is_told_before(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.replace(
        ENVIRONMENT,
        "variables: {nodes: 2}",
        "variables: {nodes: two, nodez: 3}",
    );
    checkout.replace(ENVIRONMENT, "{env: LOTSE_LAB_GIT_USERNAME}", "reader");
    checkout.replace(
        ENVIRONMENT,
        "{env: LOTSE_LAB_GIT_TOKEN}",
        "{env: READER_PASSWORD}",
    );
    checkout.replace(ENVIRONMENT, "{env: LOTSE_LAB_KEYCLOAK_ADMIN_USERNAME}", "helper");
    checkout.replace(
        ENVIRONMENT,
        "{env: LOTSE_LAB_KEYCLOAK_ADMIN_PASSWORD}",
        "{env: READER_PASSWORD}",
    );
    let password = "reader-of-the-lab-1";
    let user = block_on(async {
        let reader = json!({
            "username": "reader", "email": "reader@lab.test", "password": password, "must_change_password": false,
        });
        forge(lab, reqwest::Method::POST, "admin/users", &reader).await;
        let path = "repos/lotse/platform/collaborators/reader";
        forge(lab, reqwest::Method::PUT, path, &json!({"permission": "read"})).await;
        let helper = json!({
            "username": "helper", "enabled": true, "email": "helper@lab.test", "firstName": "H", "lastName": "H",
            "emailVerified": true, "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        keycloak(lab)
            .post(&["master", "users"], &helper)
            .await
            .unwrap()
            .unwrap()
    });
    let head = lab.head();
    let mut command = lab.world.command(&["preflight", "lab", "-o", "json"]);
    let ran = run(checkout.enter(&mut command).env("READER_PASSWORD", password));
    assert_eq!(ran.code, Some(7), "{}\n{}", ran.stdout, ran.stderr);
    let outcomes = outcomes(&ran);
    assert_eq!(
        failed(&outcomes),
        ["cluster-accepted", "repository-writable", "keycloak-answers"],
        "{outcomes:#}"
    );
    for (id, words) in [
        ("cluster-accepted", "nodez"),
        ("repository-writable", "may only read it"),
        ("keycloak-answers", "although `helper` is logged in"),
    ] {
        let problem = outcomes[id]["problem"].as_str().unwrap();
        assert!(problem.contains(words), "{id}: {problem}");
        assert!(!outcomes[id]["remedy"].as_str().unwrap().is_empty(), "{id}");
    }
    assert!(!ran.stdout.contains(password) && !ran.stderr.contains(password));
    let mut command = lab.world.command(&["bootstrap", "lab"]);
    let ran = run(checkout.enter(&mut command).env("READER_PASSWORD", password));
    assert_eq!(ran.code, Some(7), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("3 of "), "{}", ran.stderr);
    assert_eq!(lab.head(), head);
    block_on(async {
        forge(
            lab,
            reqwest::Method::DELETE,
            "admin/users/reader?purge=true",
            &json!({}),
        )
        .await;
        keycloak(lab)
            .delete(&["master", "users", &user], None)
            .await
            .unwrap();
    });
}

/// The Secret with the cloud's credentials, which the Cluster names.
pub(crate) fn credentials_of_a_cloud_are_looked_at(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.replace(
        ENVIRONMENT,
        "variables: {nodes: 2}",
        "variables: {nodes: 2, identityRef: {name: cloud, cloudName: plusserver}}",
    );
    let check = || {
        let ran = checkout.lotse(
            lab,
            &["preflight", "lab", "--only", "cloud-credentials", "-o", "json"],
        );
        outcomes(&ran)["cloud-credentials"].clone()
    };
    let missing = check();
    assert_eq!(missing["problem"], "there is no Secret/prod/cloud", "{missing}");
    let auth = "auth_url: https://a, application_credential_id: i, application_credential_secret: hunter2";
    for (cloud, problem) in [
        (
            "other",
            Some("there is no cloud `plusserver` in clouds.yaml: it has other"),
        ),
        ("plusserver", None),
    ] {
        let text = format!("clouds.yaml=clouds: {{{cloud}: {{auth: {{{auth}}}}}}}");
        let create = [
            "create",
            "secret",
            "generic",
            "cloud",
            "-n",
            "prod",
            "--from-literal",
            &text,
        ];
        lab.moin.run(&create).success();
        let found = check();
        match problem {
            Some(problem) => assert_eq!(found["problem"], format!("Secret/prod/cloud: {problem}")),
            None => assert_eq!(found["outcome"], "passed", "{found}"),
        }
        assert!(!found.to_string().contains("hunter2"));
        lab.moin
            .run(&["delete", "secret", "cloud", "-n", "prod"])
            .success();
    }
}
