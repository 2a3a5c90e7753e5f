//! A protected branch: changes get onto it by a pull request that somebody merges.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{Lab, block_on, eventually};
use crate::systems::{Checkout, bootstrap, forge};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const WEBSITE: &str = "environments/lab/apps/website/app.yaml";
const REPOSITORY: &str = "repos/lotse/platform";
const WITHIN: Duration = Duration::from_secs(60);

fn ask(lab: &Lab, method: Method, path: &str, body: &Value) -> Value {
    block_on(async { forge(lab, method, &format!("{REPOSITORY}/{path}"), body).await })
}

fn open_requests(lab: &Lab) -> Vec<Value> {
    let found = ask(lab, Method::GET, "pulls?state=open", &json!({}));
    found.as_array().unwrap().clone()
}

/// A bring-up that waits for somebody.
fn begin(checkout: &Checkout, lab: &Lab) -> Child {
    let mut command = lab.world.command(&["bootstrap", "lab"]);
    let command: &mut Command = checkout.enter(&mut command);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The one request that is open, once its content is `wanted`.
fn request(lab: &Lab, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually("the pull request is there", WITHIN, || {
        let open = open_requests(lab);
        match open.as_slice() {
            [one] if wanted(one) => Ok(one.clone()),
            others => Err(format!("{others:?}")),
        }
    })
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

/// Killed while it waits, started again with other declarations, merged at last: one request, one merge, and nothing on
/// the branch before.
pub(crate) fn a_protected_branch_gets_changes_by_a_pull_request(lab: &Lab) {
    let rule = json!({"rule_name": "main", "enable_push": false});
    ask(lab, Method::POST, "branch_protections", &rule);
    let checkout = Checkout::copy(lab);
    checkout.replace(WEBSITE, "access:", "quota: {cpu: \"3\"}\naccess:");
    let ran = checkout.bootstrap(lab, &[]);
    assert_eq!(ran.code, Some(7), "{}\n{}", ran.stdout, ran.stderr);
    for told in [
        "the branch main is protected against pushes",
        "help: set git.mode to pull-request",
    ] {
        assert!(ran.stderr.contains(told), "no {told} in\n{}", ran.stderr);
    }

    let before = lab.head();
    checkout.replace(ENVIRONMENT, "mode: push", "mode: pull-request");
    let mut waiting = begin(&checkout, lab);
    let first = request(lab, |_| true);
    assert_eq!(first["title"], "lab: the platform as declared");
    assert!(
        first["body"]
            .as_str()
            .unwrap()
            .contains("- changes `clusters/lab/apps/website.yaml`"),
        "{first}"
    );
    assert_eq!(lab.head(), before, "something is on the branch before the merge");
    waiting.kill().unwrap();
    waiting.wait().unwrap();

    let again = begin(&checkout, lab);
    std::thread::sleep(Duration::from_secs(5));
    let same = request(lab, |_| true);
    assert_eq!(same["number"], first["number"]);
    assert_eq!(
        same["head"]["sha"], first["head"]["sha"],
        "the same change was pushed anew"
    );
    let mut again = again;
    again.kill().unwrap();
    again.wait().unwrap();

    checkout.replace(WEBSITE, "quota: {cpu: \"3\"}", "quota: {cpu: \"4\"}");
    let waiting = begin(&checkout, lab);
    let renewed = request(lab, |one| one["head"]["sha"] != first["head"]["sha"]);
    assert_eq!(renewed["number"], first["number"]);
    assert_eq!(lab.head(), before);
    let merge = format!("pulls/{}/merge", first["number"]);
    ask(lab, Method::POST, &merge, &json!({"Do": "merge"}));
    let (code, told) = ended(waiting);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(" merged into main ("), "{told}");
    let quota = lab.prod.get(&["resourcequota", "quota", "-n", "website"]);
    assert_eq!(quota["spec"]["hard"]["requests.cpu"], "4");
    let said = checkout.bootstrap(lab, &[]).success();
    assert!(said.contains("nothing to do"), "{said}");

    checkout.replace(WEBSITE, "quota: {cpu: \"4\"}", "quota: {cpu: \"5\"}");
    let waiting = begin(&checkout, lab);
    let second = request(lab, |_| true);
    ask(
        lab,
        Method::PATCH,
        &format!("pulls/{}", second["number"]),
        &json!({"state": "closed"}),
    );
    let (code, told) = ended(waiting);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("was closed without being merged"), "{told}");

    block_on(async {
        let path = format!("{REPOSITORY}/branch_protections/main");
        forge(lab, Method::DELETE, &path, &json!({})).await;
    });
    bootstrap(lab).success();
}
