//! Flux reads the repository with credentials that may do no more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{Lab, Ran, block_on, condition, eventually, run};
use crate::systems::{Checkout, forge, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const REPOSITORY: &str = "repos/lotse/platform";
const PASSWORD: &str = "looks-at-the-platform-1";

pub(crate) fn flux_reads_with_credentials_of_its_own(lab: &Lab) {
    block_on(async {
        let watcher = json!({
            "username": "watcher", "email": "watcher@lab.test", "password": PASSWORD, "must_change_password": false,
        });
        forge(lab, Method::POST, "admin/users", &watcher).await;
        let path = "repos/lotse/platform/collaborators/watcher";
        forge(lab, Method::PUT, path, &json!({"permission": "read"})).await;
        // Where everybody may read, no credentials are asked for.
        forge(lab, Method::PATCH, REPOSITORY, &json!({"private": true})).await;
    });
    let checkout = Checkout::copy(lab);
    checkout.replace(
        ENVIRONMENT,
        "  password: {env: LOTSE_LAB_GIT_TOKEN}\n",
        "  password: {env: LOTSE_LAB_GIT_TOKEN}\n  reader: {username: watcher, password: {env: WATCHER_PASSWORD}}\n",
    );
    let lotse = |arguments: &[&str], password: &str| -> Ran {
        let mut command = lab.world.command(arguments);
        run(checkout.enter(&mut command).env("WATCHER_PASSWORD", password))
    };
    let preflight = ["preflight", "lab", "--only", "repository-reader"];
    let refused = lotse(&preflight, "wrong");
    assert_eq!(refused.code, Some(7), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains("check git.reader"), "{}", refused.stdout);
    assert!(lotse(&preflight, PASSWORD).success().starts_with("ok "));

    let secret = ["secret", "flux-system", "-n", "flux-system"];
    lab.prod.run(&[&["delete"], &secret[..]].concat()).success();
    lotse(&["bootstrap", "lab"], PASSWORD).success();
    let found = lab.prod.get(&secret);
    assert_eq!(found["data"]["username"], STANDARD.encode("watcher"));
    source_is_read_again(lab, "by-the-reader");

    lab.prod.run(&[&["delete"], &secret[..]].concat()).success();
    block_on(forge(lab, Method::PATCH, REPOSITORY, &json!({"private": false})));
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    settled(lab);
}

/// A key of somebody.
const FOREIGN_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

const DEPLOY_KEY: &str = "  reader: {deployKey: {url: {env: LOTSE_LAB_GIT_SSH_URL}, knownHosts: [{env: \
                          LOTSE_LAB_GIT_KNOWN_HOST}]}}\n";

pub(crate) fn flux_reads_with_a_deploy_key(lab: &Lab) {
    block_on(forge(lab, Method::PATCH, REPOSITORY, &json!({"private": true})));
    let checkout = Checkout::copy(lab);
    checkout.replace(
        ENVIRONMENT,
        "  password: {env: LOTSE_LAB_GIT_TOKEN}\n",
        &format!("  password: {{env: LOTSE_LAB_GIT_TOKEN}}\n{DEPLOY_KEY}"),
    );
    hosts_are_looked_at(lab, &checkout);
    let preflight = ["preflight", "lab", "--only", "repository-reader"];
    assert!(checkout.lotse(lab, &preflight).success().starts_with("ok "));
    let plan = checkout.lotse(lab, &["plan", "lab"]).success();
    assert!(plan.contains("deploy key `lotse: Flux of lab`"), "{plan}");
    assert!(plan.contains("Secret/flux-system/flux-system"), "{plan}");

    checkout.bootstrap(lab, &[]).success();
    let first = the_key(lab);
    assert_eq!(first["read_only"], true, "{first}");
    let secret = ["secret", "flux-system", "-n", "flux-system"];
    let kept = lab.prod.get(&secret);
    let content: Vec<&str> = kept["data"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(content, ["identity", "identity.pub", "known_hosts"]);
    let source = [
        "gitrepositories.source.toolkit.fluxcd.io",
        "flux-system",
        "-n",
        "flux-system",
    ];
    assert_eq!(lab.prod.get(&source)["spec"]["url"], lab.endpoint("git_ssh"));
    source_is_read_again(lab, "by-the-key");
    checkout
        .lotse(lab, &["plan", "lab", "--detailed-exitcode"])
        .success();

    // It may read and no more: one that somebody registered for writing is replaced, and what people called alike is theirs.
    let path = format!("{REPOSITORY}/keys");
    let number = format!("{path}/{}", first["id"]);
    let writable = json!({"title": first["title"], "key": first["key"], "read_only": false});
    let similar =
        json!({"title": "lotse: Flux of lab, key ...for Ada", "key": FOREIGN_KEY, "read_only": true});
    block_on(async {
        forge(lab, Method::DELETE, &number, &json!({})).await;
        forge(lab, Method::POST, &path, &writable).await;
        forge(lab, Method::POST, &path, &similar).await;
    });
    let plan = checkout.lotse(lab, &["plan", "lab"]).success();
    assert!(plan.contains("read_only  false → true"), "{plan}");
    checkout.bootstrap(lab, &[]).success();
    let registered = keys(lab);
    assert_eq!(registered.len(), 2, "{registered:?}");
    let reads_only = |key: &Value| key["read_only"] == true;
    assert!(registered.iter().all(reads_only), "{registered:?}");
    let similar = registered
        .iter()
        .find(|key| key["title"] == similar["title"])
        .unwrap();
    let number = format!("{path}/{}", similar["id"]);
    block_on(forge(lab, Method::DELETE, &number, &json!({})));
    let first = the_key(lab);

    // Neither is lost for good: a key that is gone at the forge is registered again, one that is gone from the cluster
    // is replaced, and nothing is left of it.
    let path = format!("{REPOSITORY}/keys/{}", first["id"]);
    block_on(forge(lab, Method::DELETE, &path, &json!({})));
    checkout.bootstrap(lab, &[]).success();
    assert_eq!(the_key(lab)["key"], first["key"]);
    lab.prod.run(&[&["delete"], &secret[..]].concat()).success();
    checkout.bootstrap(lab, &[]).success();
    assert_ne!(the_key(lab)["key"], first["key"]);
    source_is_read_again(lab, "by-the-next-key");

    block_on(forge(lab, Method::PATCH, REPOSITORY, &json!({"private": false})));
    // The secret of another way to read is replaced, and the key taken away.
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    let kept = lab.prod.get(&secret);
    assert!(kept["data"]["password"].is_string() && kept["data"]["identity"].is_null());
    assert_eq!(keys(lab), Vec::<Value>::new());
    settled(lab);
}

/// What is said of hosts before there is a key to read with.
fn hosts_are_looked_at(lab: &Lab, checkout: &Checkout) {
    let preflight = |host: &str| {
        let arguments = ["preflight", "lab", "--only", "repository-reader"];
        let mut command = lab.world.command(&arguments);
        let ran = run(checkout.enter(&mut command).env("FORGE_HOST", host));
        assert_eq!(ran.code, Some(7), "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    let declared = "knownHosts: [{env: LOTSE_LAB_GIT_KNOWN_HOST}]";
    checkout.replace(ENVIRONMENT, declared, "knownHosts: [{env: FORGE_HOST}]");
    let other = preflight(
        "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    );
    assert!(
        other.contains("no line of knownHosts is for [127.0.0.1]:"),
        "{other}"
    );
    let none = preflight("no line at all");
    assert!(
        none.contains("line 1 of knownHosts is none that `ssh-keyscan` writes"),
        "{none}"
    );
    checkout.replace(ENVIRONMENT, "knownHosts: [{env: FORGE_HOST}]", declared);
}

/// All deploy keys at the forge.
fn keys(lab: &Lab) -> Vec<Value> {
    let path = format!("{REPOSITORY}/keys");
    let keys = block_on(forge(lab, Method::GET, &path, &json!({})));
    keys.as_array().unwrap().clone()
}

/// The only one.
fn the_key(lab: &Lab) -> Value {
    let registered = keys(lab);
    assert_eq!(registered.len(), 1, "{registered:?}");
    registered.into_iter().next().unwrap()
}

/// Flux fetches the branch now, not at its interval.
fn source_is_read_again(lab: &Lab, mark: &str) {
    let source = [
        "gitrepositories.source.toolkit.fluxcd.io",
        "flux-system",
        "-n",
        "flux-system",
    ];
    let request = format!("reconcile.fluxcd.io/requestedAt={mark}");
    lab.prod
        .run(&[&["annotate", "--overwrite"], &source[..], &[request.as_str()]].concat())
        .success();
    eventually("the source is read", Duration::from_secs(60), || {
        let found = lab.prod.get(&source);
        let (status, message) = condition(&found, "Ready");
        if found["status"]["lastHandledReconcileAt"] == mark && status == "True" {
            Ok(())
        } else {
            Err(message.to_owned())
        }
    });
}
