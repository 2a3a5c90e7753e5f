//! People whom the declarations don't know, and the administrator's way in when logins don't work.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::access::{kubectl_of, may};
use crate::kit::{APPS, Lab, block_on, eventually, run};
use crate::systems::keycloak;

/// What would be worth something to somebody who has no business here.
const PRIZES: [(&str, &str); 6] = [
    ("get", "pods"),
    ("get", "secrets"),
    ("create", "pods"),
    ("create", "deployments.apps"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("impersonate", "users"),
];
/// How long an API server may take to start again, and Keycloak to answer again.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long kubectl may take for one answer.
const PROMPT: Duration = Duration::from_secs(10);

/// The forge's own administrator has an account there and is in nobody's people.yaml: they can log in, and that is
/// all.
pub(crate) fn an_unknown_person_has_no_rights(lab: &Lab) {
    let pilot = kubectl_of(lab, "pilot");
    let me: Value = serde_json::from_str(&pilot.run(&["auth", "whoami", "-o", "json"]).success()).unwrap();
    assert_eq!(me["status"]["userInfo"]["username"], "oidc:pilot");
    assert_eq!(
        me["status"]["userInfo"]["groups"],
        json!(["system:authenticated"])
    );
    for namespace in APPS
        .into_iter()
        .chain(["default", "flux-system", "gateway", "kube-system"])
    {
        for (verb, resource) in PRIZES {
            assert!(
                !may(&pilot, verb, resource, namespace),
                "may {verb} {resource} in {namespace}"
            );
        }
    }
    let refused = pilot.run(&["get", "namespaces"]);
    assert!(refused.stderr.contains("Forbidden"), "{refused:?}");

    block_on(async {
        let admin = keycloak(lab);
        let query = [("username", "pilot"), ("exact", "true")];
        let found = admin.get(&["scs", "users"], &query).await.unwrap();
        let id = found[0]["id"].as_str().unwrap();
        let groups = admin.get(&["scs", "users", id, "groups"], &[]).await.unwrap();
        assert_eq!(groups, json!([]));
        admin.delete(&["scs", "users", id], None).await.unwrap();
    });
}

/// Keycloak stopped in the middle of its work: connections to it are taken and never answered, which is worse than
/// none. The administrator's certificate works all the same, even at an API server that is started meanwhile.
pub(crate) fn the_administrator_gets_in_without_keycloak(lab: &Lab) {
    let token_holder = kubectl_of(lab, "ada");
    let keycloak = Stopped::new(&pid(lab, "keycloak"));
    let create = ["create", "configmap", "break-glass", "-n", "default"];
    let created = lab.prod.run(&create);
    assert_eq!(created.code, Some(0), "{created:?}");
    assert!(created.took < PROMPT, "{created:?}");

    let server = pid(lab, "prod/prod/kube-apiserver");
    run(Command::new("kill").args(["-KILL", &server])).success();
    eventually("the API server is there again without Keycloak", RECOVERY, || {
        if pid(lab, "prod/prod/kube-apiserver") == server {
            return Err("the supervisor has not noticed yet".to_owned());
        }
        let ran = lab.prod.run(&["get", "--raw", "/readyz"]);
        if ran.stdout == "ok" {
            Ok(())
        } else {
            Err(ran.stderr)
        }
    });
    lab.prod
        .run(&["delete", "configmap", "break-glass", "-n", "default"])
        .success();
    let refused = token_holder.run(&["auth", "whoami"]);
    assert_ne!(
        refused.code,
        Some(0),
        "a token was taken although nobody could say whether it is good"
    );

    drop(keycloak);
    eventually("tokens are accepted again", RECOVERY, || {
        let ran = token_holder.run(&["auth", "whoami"]);
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran.stderr)
        }
    });
}

pub(crate) fn pid(lab: &Lab, name: &str) -> String {
    let status = lab.world.lotse(&["lab", "status", "-o", "json"]).success();
    let status: Value = serde_json::from_str(&status).unwrap();
    let processes = status["processes"].as_array().cloned().unwrap_or_default();
    let found = processes.iter().find(|process| process["name"] == name);
    found
        .map(|process| process["pid"].to_string())
        .unwrap_or_default()
}

/// A process that does nothing until this is dropped.
pub(crate) struct Stopped(String);

impl Stopped {
    pub(crate) fn new(pid: &str) -> Self {
        run(Command::new("kill").args(["-STOP", pid])).success();
        Self(pid.to_owned())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(run(Command::new("kill").args(["-CONT", &self.0])));
    }
}
