//! Flux reads the repository with credentials that may do no more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::kit::{Lab, Ran, block_on, condition, eventually, run};
use crate::systems::{Checkout, forge, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const PASSWORD: &str = "looks-at-the-platform-1";

pub(crate) fn flux_reads_with_credentials_of_its_own(lab: &Lab) {
    block_on(async {
        let watcher = json!({
            "username": "watcher", "email": "watcher@lab.test", "password": PASSWORD, "must_change_password": false,
        });
        forge(lab, reqwest::Method::POST, "admin/users", &watcher).await;
        let path = "repos/lotse/platform/collaborators/watcher";
        forge(lab, reqwest::Method::PUT, path, &json!({"permission": "read"})).await;
        // Where everybody may read, no credentials are asked for.
        let repository = "repos/lotse/platform";
        forge(lab, reqwest::Method::PATCH, repository, &json!({"private": true})).await;
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
    source_is_read_again(lab);

    lab.prod.run(&[&["delete"], &secret[..]].concat()).success();
    block_on(forge(
        lab,
        reqwest::Method::PATCH,
        "repos/lotse/platform",
        &json!({"private": false}),
    ));
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    settled(lab);
}

/// Flux fetches the branch now, not at its interval.
fn source_is_read_again(lab: &Lab) {
    let source = [
        "gitrepositories.source.toolkit.fluxcd.io",
        "flux-system",
        "-n",
        "flux-system",
    ];
    let request = "reconcile.fluxcd.io/requestedAt=for-the-reader";
    lab.prod
        .run(&[&["annotate", "--overwrite"], &source[..], &[request]].concat())
        .success();
    eventually("the source is read", Duration::from_secs(60), || {
        let found = lab.prod.get(&source);
        let (status, message) = condition(&found, "Ready");
        if found["status"]["lastHandledReconcileAt"] == "for-the-reader" && status == "True" {
            Ok(())
        } else {
            Err(message.to_owned())
        }
    });
}
