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
    let keys: Vec<&str> = kept["data"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["identity", "identity.pub", "known_hosts"]);
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

    let last = the_key(lab);
    block_on(forge(lab, Method::PATCH, REPOSITORY, &json!({"private": false})));
    // The secret of another way to read is replaced.
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    let kept = lab.prod.get(&secret);
    assert!(kept["data"]["password"].is_string() && kept["data"]["identity"].is_null());
    let path = format!("{REPOSITORY}/keys/{}", last["id"]);
    block_on(forge(lab, Method::DELETE, &path, &json!({})));
    settled(lab);
}

/// The only deploy key at the forge.
fn the_key(lab: &Lab) -> Value {
    let path = format!("{REPOSITORY}/keys");
    let keys = block_on(forge(lab, Method::GET, &path, &json!({})));
    let keys = keys.as_array().unwrap().clone();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.into_iter().next().unwrap()
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
