//! A bring-up that has nothing to do changes nothing, anywhere.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kit::{Kubectl, Lab, block_on};

/// Kinds whose objects change only when somebody changes them.
const STEADY: &str = "namespaces,serviceaccounts,secrets,configmaps,services,roles.rbac.authorization.k8s.io,\
    rolebindings.rbac.authorization.k8s.io,clusterroles.rbac.authorization.k8s.io,\
    clusterrolebindings.rbac.authorization.k8s.io,customresourcedefinitions.apiextensions.k8s.io,\
    deployments.apps,networkpolicies.networking.k8s.io,resourcequotas";

/// Kinds whose status moves on by itself; what they should be is what counts.
const REPORTING: [(&str, &str); 2] = [
    (
        "moin",
        "clusters.cluster.x-k8s.io,clusterstacks,clusterstackreleases,labclusters,labcontrolplanes",
    ),
    (
        "prod",
        "gitrepositories.source.toolkit.fluxcd.io,kustomizations.kustomize.toolkit.fluxcd.io",
    ),
];

fn versions(kubectl: &Kubectl, kinds: &str, field: &str) -> BTreeMap<String, String> {
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    kubectl
        .list(&[kinds, "-A"])
        .iter()
        .map(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            let key = format!("{kind}/{}/{}", text(object, "namespace"), text(object, "name"));
            (key, object["metadata"][field].to_string())
        })
        .collect()
}

/// Everything that a bring-up could change, by where it is.
pub(crate) fn everything(lab: &Lab) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, kubectl) in [("moin", &lab.moin), ("prod", &lab.prod)] {
        let steady = versions(kubectl, STEADY, "resourceVersion");
        all.extend(
            steady
                .into_iter()
                .map(|(key, value)| (format!("{name} {key}"), value)),
        );
    }
    for (name, kinds) in REPORTING {
        let kubectl = if name == "moin" { &lab.moin } else { &lab.prod };
        for field in ["generation", "annotations", "labels"] {
            let seen = versions(kubectl, kinds, field);
            all.extend(
                seen.into_iter()
                    .map(|(key, value)| (format!("{name} {key} {field}"), value)),
            );
        }
    }
    all.insert("git head".to_owned(), lab.head());
    all.insert("dns serial".to_owned(), lab.dig(&["lab.test", "SOA"]));
    all.insert("keycloak admin events".to_owned(), admin_events(lab).to_string());
    all
}

/// How many changes Keycloak's own audit log of the realm holds.
fn admin_events(lab: &Lab) -> usize {
    let password = lab.world.passwords()["keycloak admin"].clone();
    let authority = std::fs::read(lab.endpoint("ca_file")).unwrap();
    let keycloak = lab.endpoint("keycloak").to_owned();
    block_on(async move {
        let client = reqwest::Client::builder()
            .tls_certs_merge([reqwest::Certificate::from_pem(&authority).unwrap()])
            .build()
            .unwrap();
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", password.as_str()),
        ];
        let url = format!("{keycloak}/realms/master/protocol/openid-connect/token");
        let token: Value = client
            .post(url)
            .form(&form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let url = format!("{keycloak}/admin/realms/scs/admin-events?max=10000");
        let token = token["access_token"].as_str().unwrap();
        let events: Value = client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        events.as_array().unwrap().len()
    })
}

pub(crate) fn second_run_changes_nothing(lab: &Lab) {
    let before = everything(lab);
    assert_ne!(
        before["keycloak admin events"], "0",
        "the audit log is empty, so it proves nothing"
    );
    let again = lab.world.lotse(&["bootstrap", "lab"]);
    eprintln!("a bring-up with nothing to do took {:.1?}", again.took);
    let told = again.stderr.clone();
    let said = again.success();
    assert!(said.contains("nothing to do"), "{said}\n{told}");
    let after = everything(lab);
    for (what, value) in &before {
        assert_eq!(after.get(what), Some(value), "{what} changed");
    }
    let added: Vec<&String> = after.keys().filter(|key| !before.contains_key(*key)).collect();
    assert!(added.is_empty(), "{added:?}");
}
