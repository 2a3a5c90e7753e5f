//! What is no longer declared is deleted from the realm when that is asked for, within a limit, and can be brought back.

use serde_json::{Value, json};

use crate::kit::{Lab, block_on};
use crate::systems::{Checkout, keycloak, settled};

const CLIENT: &str = "statuspage-admin";
const SECRET: &str = "statuspage-admin-oidc";
const FOREIGN: &str = "somebody-elses";

async fn client(lab: &Lab, name: &str) -> Option<Value> {
    let found = keycloak(lab)
        .get(&["scs", "clients"], &[("clientId", name)])
        .await
        .unwrap();
    found.as_array().unwrap().first().cloned()
}

/// Takes the key `login` out of a declaration.
fn without_login(checkout: &Checkout, path: &str) {
    let text = std::fs::read_to_string(checkout.path().join(path)).unwrap();
    let begin = text.find("\nlogin:").unwrap() + 1;
    let end = text[begin + 1..]
        .match_indices('\n')
        .map(|(place, _)| begin + 1 + place + 1)
        .find(|place| !text[*place..].starts_with([' ', '-', '#']))
        .unwrap_or(text.len());
    checkout.write(path, &(text[..begin].to_owned() + &text[end..]));
}

pub(crate) fn what_is_no_longer_declared_is_deleted_and_brought_back(lab: &Lab) {
    let foreign = json!({"clientId": FOREIGN, "enabled": true, "publicClient": true});
    block_on(async { keycloak(lab).post(&["scs", "clients"], &foreign).await.unwrap() });
    let checkout = Checkout::copy(lab);
    for path in [
        "apps/statuspage/app.yaml",
        "environments/lab/apps/statuspage/app.yaml",
    ] {
        without_login(&checkout, path);
    }

    let target = ["--target", "keycloak"];
    let plan = checkout
        .lotse(lab, &[&["plan", "lab"], &target[..]].concat())
        .success();
    assert!(
        !plan.contains(&format!("- client {CLIENT}")),
        "deleted unasked: {plan}"
    );
    assert!(
        plan.contains(&format!(
            "· client {CLIENT} is no longer declared, and stays without `--prune`"
        )),
        "{plan}"
    );
    let whole = checkout.lotse(lab, &["plan", "lab"]).success();
    assert!(
        whole.contains(&format!(
            "· Secret/statuspage/{SECRET} is no longer declared, and stays"
        )),
        "{whole}"
    );
    let plan = checkout
        .lotse(lab, &[&["plan", "lab", "--prune"], &target[..]].concat())
        .success();
    assert!(plan.contains(&format!("- client {CLIENT}")), "{plan}");
    assert!(!plan.contains(FOREIGN), "{plan}");
    let apply = ["apply", "lab", "--yes", "--prune"];
    let refused = checkout.lotse(lab, &[&apply[..], &["--prune-limit", "0"], &target[..]].concat());
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("at most 0 may be"), "{}", refused.stderr);
    assert!(block_on(client(lab, CLIENT)).is_some());

    let done = checkout.lotse(lab, &[&apply[..], &target[..]].concat());
    let (_, rest) = done
        .stderr
        .split_once("kept in ")
        .unwrap_or_else(|| panic!("{}", done.stderr));
    let backup = rest.lines().next().unwrap().to_owned();
    done.success();
    assert!(block_on(client(lab, CLIENT)).is_none());
    assert!(block_on(client(lab, FOREIGN)).is_some());
    let kept = std::fs::read_to_string(&backup).unwrap();
    assert!(kept.contains(CLIENT) && !kept.contains("\"secret\""), "{kept}");

    let backup = backup.rsplit('/').next().unwrap();
    let listed = lab.world.lotse(&["identity", "restore", "lab"]).success();
    assert!(listed.contains(backup) && listed.contains(CLIENT), "{listed}");
    let restore = ["identity", "restore", "lab", "--yes", backup];
    let told = lab.world.lotse(&restore).success();
    assert!(told.contains("brought back"), "{told}");
    let restored = block_on(client(lab, CLIENT)).expect("it is there again");
    assert_eq!(restored["attributes"]["lotse.owner"], "lab");
    let again = lab.world.lotse(&restore).success();
    assert!(again.contains("nothing to do"), "{again}");

    // What came back is as declared, apart from its secret, which is carried to the application.
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    block_on(async {
        let id = client(lab, FOREIGN).await.unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        keycloak(lab)
            .delete(&["scs", "clients", &id], None)
            .await
            .unwrap();
    });
    settled(lab);
}
