//! `lotse access prove`: every hop from the account at the forge to what the API server says, broken in turn.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Lab, block_on, eventually};
use crate::systems::{Checkout, bootstrap, keycloak, settled};

const ASKED: [&str; 7] = ["access", "prove", "lab", "--app", "monitoring", "-o", "json"];

/// The chain of ada in monitoring: the hop that is broken, if one is.
fn broken_hop(lab: &Lab) -> Option<String> {
    let ran = lab.world.lotse(&[&ASKED[..], &["--person", "ada"]].concat());
    let proof: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let chain = &proof["chains"][0];
    assert_eq!(chain["role"], "admin", "{chain}");
    let steps = chain["steps"].as_array().unwrap();
    let broken: Vec<&Value> = steps.iter().filter(|step| step["outcome"] == "broken").collect();
    assert_eq!(ran.code, Some(if broken.is_empty() { 0 } else { 7 }), "{chain}");
    assert!(broken.len() <= 1 && broken.first().is_none_or(|step| *step == steps.last().unwrap()));
    broken.first().map(|step| {
        assert!(!step["problem"].as_str().unwrap().is_empty());
        step["hop"].as_str().unwrap().to_owned()
    })
}

fn assert_broken(lab: &Lab, hop: &str) {
    assert_eq!(broken_hop(lab).as_deref(), Some(hop));
}

pub(crate) fn each_hop_of_access_is_named_when_it_breaks(lab: &Lab) {
    assert_eq!(broken_hop(lab), None);
    let text = lab.world.lotse(&["access", "prove", "lab"]).success();
    assert!(text.contains("ok      ada: admin of monitoring"), "{text}");
    assert!(text.ends_with("none broken.\n"), "{text}");
    in_keycloak(lab);
    in_the_cluster(lab);
    assert_eq!(broken_hop(lab), None);
    settled(lab);
}

/// Link, user, group, claim: edits in Keycloak's console.
fn in_keycloak(lab: &Lab) {
    let (realm, users) = ("scs", "users");
    let admin = || keycloak(lab);
    let find = |path: &'static str, key: &'static str, name: &'static str| {
        block_on(async { admin().get(&[realm, path], &[(key, name)]).await.unwrap() })[0].clone()
    };
    let ada = find(users, "username", "ada");
    let id = ada["id"].as_str().unwrap();

    let link = [realm, users, id, "federated-identity", "github"];
    let linked = json!({"identityProvider": "github", "userId": "2", "userName": "ada"});
    block_on(async { admin().delete(&link, None).await.unwrap() });
    assert_broken(lab, "link");
    block_on(async { admin().post(&link, &linked).await.unwrap() });

    let mut disabled = ada.clone();
    disabled["enabled"] = false.into();
    block_on(async { admin().put(&[realm, users, id], Some(&disabled)).await.unwrap() });
    assert_broken(lab, "user");
    block_on(async { admin().put(&[realm, users, id], Some(&ada)).await.unwrap() });

    let group = find("groups", "search", "SovereignCloudStack:monitoring");
    let membership = [realm, users, id, "groups", group["id"].as_str().unwrap()];
    block_on(async { admin().delete(&membership, None).await.unwrap() });
    assert_broken(lab, "group");
    block_on(async { admin().put(&membership, None).await.unwrap() });

    let client = find("clients", "clientId", "kubectl");
    let scopes = block_on(async { admin().get(&[realm, "client-scopes"], &[]).await.unwrap() });
    let scopes = scopes.as_array().unwrap();
    let scope = scopes.iter().find(|scope| scope["name"] == "groups").unwrap();
    let (client, scope) = (client["id"].as_str().unwrap(), scope["id"].as_str().unwrap());
    let default = [realm, "clients", client, "default-client-scopes", scope];
    block_on(async { admin().delete(&default, None).await.unwrap() });
    assert_broken(lab, "claim");
    block_on(async { admin().put(&default, None).await.unwrap() });

    // Who can't log in at all has a hop of their own, and others are asked for all that.
    let provider = [realm, "identity-provider", "instances", "github"];
    let enable = |is_enabled: bool| {
        block_on(async {
            let mut found = admin().get(&provider, &[]).await.unwrap();
            found["enabled"] = is_enabled.into();
            admin().put(&provider, Some(&found)).await.unwrap();
        });
    };
    enable(false);
    assert_broken(lab, "claim");
    let all = lab.world.lotse(&["access", "prove", "lab"]);
    assert!(
        all.stdout.contains("ada can't log in") && all.stdout.contains("chains of access"),
        "{}",
        all.stdout
    );
    enable(true);
    assert_eq!(broken_hop(lab), None);
}

/// Prefix, binding, allowed, forbidden: edits of both clusters.
fn in_the_cluster(lab: &Lab) {
    let name = "lotse:team:monitoring:admin";
    let suspended = |is: &str| {
        let patch = format!(r#"{{"spec":{{"suspend":{is}}}}}"#);
        let root = [
            "patch",
            "kustomizations.kustomize.toolkit.fluxcd.io",
            "flux-system",
            "-n",
            "flux-system",
        ];
        lab.prod
            .run(&[&root[..], &["--type=merge", "-p", &patch]].concat())
            .success();
    };
    suspended("true");
    lab.prod
        .run(&["delete", "rolebinding", name, "-n", "monitoring"])
        .success();
    assert_broken(lab, "binding");
    suspended("false");
    bootstrap(lab).success();

    // The role is there, and allows nothing any more.
    let role = lab.prod.get(&["clusterrole", "admin"]);
    let file = lab.world.path().join("admin.json");
    let mut kept = role;
    kept["metadata"] = json!({"name": "admin", "labels": kept["metadata"]["labels"]});
    std::fs::write(&file, kept.to_string()).unwrap();
    lab.prod.run(&["delete", "clusterrole", "admin"]).success();
    assert_broken(lab, "allowed");
    lab.prod.run(&["create", "-f", file.to_str().unwrap()]).success();
    eventually("the role is known again", Duration::from_secs(30), || {
        broken_hop(lab).map_or(Ok(()), Err)
    });

    let everywhere = [
        "create",
        "clusterrolebinding",
        "by-hand",
        "--clusterrole=admin",
        "--user=oidc:ada",
    ];
    lab.prod.run(&everywhere).success();
    assert_broken(lab, "forbidden");
    lab.prod
        .run(&["delete", "clusterrolebinding", "by-hand"])
        .success();

    // Another prefix than that of the bindings.
    let cluster = ["clusters.cluster.x-k8s.io", "prod", "-n", "prod"];
    let object = lab.moin.get(&cluster);
    let variables = object["spec"]["topology"]["variables"].as_array().unwrap();
    let place = variables
        .iter()
        .position(|variable| variable["name"] == "authenticationConfiguration")
        .unwrap();
    let path = format!("/spec/topology/variables/{place}/value/jwt/0/claimMappings/groups/prefix");
    let other = json!([{"op": "replace", "path": path, "value": "other:"}]).to_string();
    lab.moin
        .run(&[&["patch"], &cluster[..], &["--type=json", "-p", &other]].concat())
        .success();
    eventually(
        "the API server reads its file",
        Duration::from_secs(90),
        || match broken_hop(lab).as_deref() {
            Some("prefix") => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    bootstrap(lab).success();
    eventually(
        "the API server reads its file again",
        Duration::from_secs(90),
        || broken_hop(lab).map_or(Ok(()), Err),
    );
}

pub(crate) fn what_git_alone_says_about_access(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let offline = ["access", "prove", "lab", "--offline", "--person", "ada"];
    let ran = checkout.lotse(lab, &offline).success();
    assert!(
        ran.contains("account 2 → SovereignCloudStack:monitoring\n        → RoleBinding/monitoring/"),
        "{ran}"
    );
    checkout.replace(
        "environments/lab/people.yaml",
        "login: ada, id: 2",
        "login: ada, id: unknown",
    );
    let ran = checkout.lotse(lab, &offline);
    assert_eq!(ran.code, Some(7), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("at the hop link"), "{}", ran.stdout);
    let unknown = checkout
        .lotse(lab, &["access", "prove", "lab", "--offline", "--person", "adda"])
        .success();
    assert!(unknown.contains("did you mean ada?"), "{unknown}");
}
