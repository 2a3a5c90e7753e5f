//! Ids of people, from the forge.

use reqwest::Method;
use serde_json::json;

use crate::kit::{Lab, block_on};
use crate::systems::{Checkout, forge};

const PEOPLE: &str = "environments/lab/people.yaml";

pub(crate) fn ids_and_logins_come_from_the_forge(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let before = checkout.read(PEOPLE);
    let resolve = |options: &[&str]| {
        let arguments = [&["people", "resolve", "-e", "lab"], options].concat();
        checkout.lotse(lab, &arguments)
    };
    resolve(&[]).success();
    assert_eq!(checkout.read(PEOPLE), before, "everything is known");

    checkout.replace(PEOPLE, "login: ada, id: 2}", "login: ada, id: unknown}");
    checkout.replace(PEOPLE, "login: mira, id: 4}", "login: mira, id: unknown}");
    let unknown = checkout.read(PEOPLE);
    let diff = resolve(&["--dry-run"]).success();
    assert!(
        diff.contains("+  - {name: Ada Berg, login: ada, id: 2}"),
        "{diff}"
    );
    assert_eq!(checkout.read(PEOPLE), unknown);
    let ran = resolve(&[]);
    assert!(ran.stderr.contains("ada has the id 2, "), "{}", ran.stderr);
    ran.success();
    assert_eq!(checkout.read(PEOPLE), before, "ids and nothing else");

    // A login changes, and somebody else takes it.
    let newcomer = json!({
        "username": "mira", "email": "other@lab.test", "password": "another-mira-1", "must_change_password": false,
    });
    block_on(async {
        forge(
            lab,
            Method::POST,
            "admin/users/mira/rename",
            &json!({"new_username": "okafor"}),
        )
        .await;
        forge(lab, Method::POST, "admin/users", &newcomer).await;
    });
    let told = resolve(&[]);
    assert_eq!(told.code, Some(7), "{}", told.stderr);
    assert!(
        told.stderr
            .contains("mira is called okafor now; somebody else has the old login by now"),
        "{}",
        told.stderr
    );
    assert_eq!(checkout.read(PEOPLE), before);
    resolve(&["--renames"]).success();
    let renamed = before
        .replace("login: mira,", "login: okafor,")
        .replace("[mira]", "[okafor]");
    assert_eq!(checkout.read(PEOPLE), renamed);

    block_on(async {
        forge(lab, Method::DELETE, "admin/users/mira", &json!({})).await;
        forge(
            lab,
            Method::POST,
            "admin/users/okafor/rename",
            &json!({"new_username": "mira"}),
        )
        .await;
    });
    let told = resolve(&["--renames"]).success();
    assert!(told.is_empty(), "{told}");
    assert_eq!(checkout.read(PEOPLE), before);
}
