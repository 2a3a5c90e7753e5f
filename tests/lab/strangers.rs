//! People whom the declarations don't know, and the administrator's way in when logins don't work.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::access::{kubectl_of, may};
use crate::kit::{APPS, Lab, block_on, eventually, run};
use crate::systems::{Checkout, bootstrap, keycloak, settled};

const WEBSITE: &str = "environments/lab/apps/website/app.yaml";
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

/// A stranger logs in by the login that people.yaml gives to somebody else, by the id. Neither the name nor having ended their
/// own link makes them a member, and everybody else is as declared.
pub(crate) fn a_name_alone_gives_nothing(lab: &Lab) {
    let stranger = || kubectl_of(lab, "pilot");
    stranger().run(&["auth", "whoami"]).success();
    let checkout = Checkout::copy(lab);
    checkout.replace(
        "environments/lab/people.yaml",
        "login: mira, id: 4}\n",
        "login: mira, id: 4}\n  - {name: Paul (Pilot) Other, login: pilot, id: 997}\n",
    );
    checkout.replace(
        "environments/lab/people.yaml",
        "maintainers: [grace]\n    members: [mira]",
        "maintainers: [grace]\n    members: [mira, pilot]",
    );
    checkout.replace(
        "environments/lab/apps/website/app.yaml",
        "access:\n",
        "access:\n  - {person: pilot, role: admin}\n",
    );
    let told = "the user name pilot of the person with id 997 is taken by";
    let ran = checkout.lotse(lab, &["apply", "lab", "--target", "website", "--yes"]);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    ran.success();
    let has_nothing = || {
        let me = stranger().run(&["auth", "whoami", "-o", "json"]).success();
        let me: Value = serde_json::from_str(&me).unwrap();
        assert_eq!(
            me["status"]["userInfo"]["groups"],
            json!(["system:authenticated"])
        );
        assert!(!may(&stranger(), "delete", "deployments.apps", "website"));
        let named = lab.prod.run(&[
            "auth",
            "can-i",
            "get",
            "pods",
            "-n",
            "website",
            "--as",
            "oidc:pilot",
        ]);
        assert_eq!(named.stdout.trim(), "no", "the name alone has rights");
    };
    has_nothing();
    let own = || {
        block_on(async {
            let admin = keycloak(lab);
            let query = [("username", "pilot"), ("exact", "true")];
            admin.get(&["scs", "users"], &query).await.unwrap()[0]["id"].clone()
        })
    };
    let id = own();
    let id = id.as_str().unwrap();
    let link = ["scs", "users", id, "federated-identity", "github"];
    block_on(async { keycloak(lab).delete(&link, None).await.unwrap() });
    let ran = checkout.bootstrap(lab, &[]);
    assert!(
        ran.stderr.contains(&format!("{told} an account without a link")),
        "{}",
        ran.stderr
    );
    ran.success();
    let plan = checkout.lotse(lab, &["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(5), "{}", plan.stdout);
    assert!(plan.stdout.contains(told), "{}", plan.stdout);
    let proof = checkout.lotse(lab, &["access", "prove", "lab", "--person", "pilot"]);
    assert_eq!(proof.code, Some(7), "{}", proof.stdout);
    block_on(async {
        let admin = keycloak(lab);
        let groups = admin.get(&["scs", "users", id, "groups"], &[]).await.unwrap();
        assert_eq!(groups, json!([]));
        admin.delete(&["scs", "users", id], None).await.unwrap();
    });
    lab.world.lotse(&["apply", "lab", "--prune", "--yes"]).success();
    settled(lab);
}

/// A person's own grant comes and goes with the application alone: their group in the realm, and the role binding for it.
pub(crate) fn a_grant_of_a_person_comes_with_its_application(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let declared = checkout.read(WEBSITE);
    checkout.replace(WEBSITE, "access:\n", "access:\n  - {person: ada, role: view}\n");
    assert!(!may(&kubectl_of(lab, "ada"), "get", "pods", "website"));
    let target = ["--target", "website"];
    let plan = checkout
        .lotse(lab, &[&["plan", "lab"], &target[..]].concat())
        .success();
    for told in [
        "+ group SovereignCloudStack:person:ada",
        "+ member ada of group SovereignCloudStack:person:ada",
    ] {
        assert!(plan.contains(told), "no {told} in {plan}");
    }
    checkout
        .lotse(lab, &[&["apply", "lab", "--yes"], &target[..]].concat())
        .success();
    settled(lab);
    assert!(may(&kubectl_of(lab, "ada"), "get", "pods", "website"));
    let proof = checkout
        .lotse(
            lab,
            &["access", "prove", "lab", "--person", "ada", "--app", "website"],
        )
        .success();
    assert!(
        proof.contains("SovereignCloudStack:person:ada in their token"),
        "{proof}"
    );

    checkout.write(WEBSITE, &declared);
    checkout
        .lotse(lab, &["apply", "lab", "--prune", "--yes"])
        .success();
    settled(lab);
    assert!(!may(&kubectl_of(lab, "ada"), "get", "pods", "website"));
}

/// People have no way in past the forge: nobody sets a password or ends a link by themselves.
pub(crate) fn nobody_makes_a_way_in_of_their_own(lab: &Lab) {
    block_on(async {
        let admin = keycloak(lab);
        let realm = admin.get(&["scs"], &[]).await.unwrap();
        assert_eq!(realm["resetPasswordAllowed"], false);
        let default = realm["defaultRole"]["id"].as_str().unwrap();
        let roles = admin
            .get(&["scs", "roles-by-id", default, "composites"], &[])
            .await
            .unwrap();
        let names: Vec<&str> = roles
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|role| role["name"].as_str())
            .collect();
        assert!(
            names.contains(&"view-profile") && !names.contains(&"manage-account"),
            "{names:?}"
        );
        let action = ["scs", "authentication", "required-actions", "UPDATE_PASSWORD"];
        let action = admin.get(&action, &[]).await.unwrap();
        assert_eq!(action["enabled"], false);

        // Somebody with a password all the same is named.
        let query = [("username", "ada"), ("exact", "true")];
        let id = admin.get(&["scs", "users"], &query).await.unwrap()[0]["id"].clone();
        let id = id.as_str().unwrap();
        let password = json!({"type": "password", "value": "by-hand-1", "temporary": false});
        let path = ["scs", "users", id, "reset-password"];
        admin.put(&path, Some(&password)).await.unwrap();
    });
    let proof = lab.world.lotse(&["access", "prove", "lab", "--person", "ada"]);
    assert_eq!(proof.code, Some(7), "{}", proof.stdout);
    assert!(
        proof.stdout.contains("a password or a key of their own"),
        "{}",
        proof.stdout
    );
    block_on(async {
        let admin = keycloak(lab);
        let query = [("username", "ada"), ("exact", "true")];
        let id = admin.get(&["scs", "users"], &query).await.unwrap()[0]["id"].clone();
        let path = ["scs", "users", id.as_str().unwrap(), "credentials"];
        let found = admin.get(&path, &[]).await.unwrap();
        let credential = found[0]["id"].as_str().unwrap();
        admin
            .delete(&[path[0], path[1], path[2], path[3], credential], None)
            .await
            .unwrap();
    });
    lab.world
        .lotse(&["access", "prove", "lab", "--person", "ada"])
        .success();
}

/// What gives rights by Keycloak's own means, past every declaration, is told.
pub(crate) fn ways_past_the_declarations_are_told(lab: &Lab) {
    let below = json!({"name": "SovereignCloudStack:platform"});
    let mapper = json!({
        "name": "who-i-am", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper",
        "config": {"user.attribute": "nickname", "claim.name": "preferred_username", "id.token.claim": "true"},
    });
    let (friends, client, by_hand) = block_on(async {
        let admin = keycloak(lab);
        let friends = admin
            .post(&["scs", "groups"], &json!({"name": "friends"}))
            .await
            .unwrap()
            .unwrap();
        admin
            .post(&["scs", "groups", &friends, "children"], &below)
            .await
            .unwrap();
        let found = admin
            .get(&["scs", "clients"], &[("clientId", "kubectl")])
            .await
            .unwrap();
        let client = found[0]["id"].as_str().unwrap().to_owned();
        let path = ["scs", "clients", &client, "protocol-mappers", "models"];
        let by_hand = admin.post(&path, &mapper).await.unwrap().unwrap();
        (friends, client, by_hand)
    });
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(5), "{}", plan.stdout);
    let ran = bootstrap(lab);
    for told in [
        "the group /friends/SovereignCloudStack:platform has the name of one of ours",
        "mapper who-i-am of client kubectl is not declared",
    ] {
        assert!(plan.stdout.contains(told), "no {told} in {}", plan.stdout);
        assert!(ran.stderr.contains(told), "no {told} in {}", ran.stderr);
    }
    block_on(async {
        let admin = keycloak(lab);
        admin.delete(&["scs", "groups", &friends], None).await.unwrap();
        let path = ["scs", "clients", &client, "protocol-mappers", "models", &by_hand];
        admin.delete(&path, None).await.unwrap();
    });
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
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
