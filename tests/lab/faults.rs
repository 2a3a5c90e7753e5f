//! Declarations that lead nowhere: each wrong setting is told with what to do about it, all at once, and nothing is
//! changed.

use crate::kit::{Lab, Ran};
use crate::systems::{Checkout, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";

/// It ended with `code` and told `parts` in this order.
fn assert_told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    let mut rest = ran.stderr.as_str();
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("`{part}` is missing in\n{}", ran.stderr);
        };
        rest = after;
    }
}

pub(crate) fn every_wrong_setting_is_told_at_once(lab: &Lab) {
    let nowhere = Checkout::copy(lab);
    for (setting, value) in [
        ("{env: LOTSE_LAB_MOIN_KUBECONFIG}", "/nowhere/kubeconfig"),
        ("{env: LOTSE_LAB_GIT_URL}", "http://127.0.0.1:1/platform.git"),
        ("{env: LOTSE_LAB_DNS_SERVER}", "127.0.0.1:1"),
        ("{env: LOTSE_LAB_CA_FILE}", "/nowhere/ca.crt"),
    ] {
        nowhere.replace(ENVIRONMENT, setting, value);
    }
    let ran = nowhere.bootstrap(lab, &[]);
    assert_told(
        &ran,
        7,
        &[
            "4 of 5 checks failed",
            "kubeconfig /nowhere/kubeconfig: there is no file /nowhere/kubeconfig\n",
            "not so: the repository can be read (repository-readable): ",
            "not so: the zone takes signed updates (zone-writable): ",
            "/nowhere/ca.crt",
            "help: management.kubeconfig and management.context in environment.yaml say where it is",
            "; or check git.url",
            "; or check dns",
            "identity.certificateAuthority",
            "done: nothing",
        ],
    );

    let away = Checkout::copy(lab);
    let kubeconfig = lab.world.path().join("away.kubeconfig");
    let text = std::fs::read_to_string(&lab.moin.kubeconfig).unwrap();
    let server = text.lines().find(|line| line.contains("server: ")).unwrap();
    let server = server.split_once("server: ").unwrap().1;
    std::fs::write(&kubeconfig, text.replace(server, "https://127.0.0.1:1")).unwrap();
    away.replace(
        ENVIRONMENT,
        "{env: LOTSE_LAB_MOIN_KUBECONFIG}",
        kubeconfig.to_str().unwrap(),
    );
    away.replace(
        ENVIRONMENT,
        "{env: LOTSE_LAB_KEYCLOAK_URL}",
        "https://127.0.0.1:1",
    );
    let ran = away.bootstrap(lab, &[]);
    assert_told(
        &ran,
        7,
        &[
            "not so: the management cluster answers (management-answers): ",
            "the API server can't be reached: nothing listens at that address (Connection refused",
            "not so: Keycloak's administration answers (keycloak-answers): ",
            "nothing listens at that address",
            "help: start the management cluster or the way to it",
            "; or check identity.url",
        ],
    );
    settled(lab);
}
