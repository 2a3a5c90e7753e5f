//! The credentials by which the management cluster makes machines in a cloud.
//!
//! Cluster API's provider for OpenStack reads them from a Secret that the Cluster names (`identityRef`), key `clouds.yaml`,
//! in the format of the OpenStack clients (docs.openstack.org, "openstacksdk: Configuring OpenStack SDK Applications").

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::check::{Check, CheckId};
use crate::bootstrap::Bootstrap;
use crate::config::yaml;
use crate::kubernetes::{Cluster, ObjectReference};

/// Key of the Secret.
const KEY: &str = "clouds.yaml";
/// How classes call the variable that names the Secret.
const VARIABLES: [&str; 2] = ["identityRef", "identity_ref"];
/// How they call the cloud in it.
const CLOUDS: [&str; 2] = ["cloudName", "cloud_name"];
/// What logs a project in: one of each row.
const LOGINS: [&[&str]; 3] = [
    &["application_credential_id", "application_credential_secret"],
    &["application_credential_name", "application_credential_secret"],
    &["username", "password"],
];

/// A file of clouds, as far as it matters here.
#[derive(Deserialize)]
struct Clouds {
    clouds: BTreeMap<String, Cloud>,
}

#[derive(Deserialize)]
struct Cloud {
    #[serde(default)]
    auth: BTreeMap<String, Value>,
}

/// Whether the Secret that the Cluster names is there and has the cloud.
pub(super) async fn check(bootstrap: &Bootstrap<'_>, management: &Cluster) -> Check {
    let id = CheckId::CloudCredentials;
    let declared = &bootstrap.environment.cluster.variables;
    let Some(reference) = VARIABLES.iter().find_map(|name| declared.get(*name)) else {
        return Check::not_asked(id, "the Cluster names no Secret with a cloud");
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let cloud = CLOUDS.iter().find_map(|key| text(reference.get(key)));
    let Some(name) = text(reference.get("name")) else {
        return Check::not_asked(id, "the Cluster leaves the name of the Secret to its class");
    };
    let namespace = bootstrap.environment.management.namespace.as_str();
    let secret = ObjectReference::new("v1", "Secret", &name).in_namespace(namespace);
    let found = match management.read(&secret).await {
        Ok(found) => found,
        Err(error) => return Check::not_asked(id, error.to_string()),
    };
    let Some(found) = found else {
        return Check::failed(
            id,
            format!("there is no {secret}"),
            format!("`kubectl create secret generic {name} -n {namespace} --from-file=clouds.yaml` makes it"),
        );
    };
    let content = found
        .data
        .pointer("/data")
        .and_then(|data| data.get(KEY)?.as_str());
    let content = content.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
    match content.as_deref().map(|content| fault(content, cloud.as_deref())) {
        None => Check::failed(
            id,
            format!("{secret} has no key {KEY}"),
            "put the file of the cloud's credentials under that key",
        ),
        Some(Some(problem)) => Check::failed(
            id,
            format!("{secret}: {problem}"),
            "correct the file, or identityRef in environment.yaml",
        ),
        Some(None) => Check::passed(id),
    }
}

/// What is wrong with a file of clouds; no value of it is told.
fn fault(text: &str, cloud: Option<&str>) -> Option<String> {
    let Ok(found) = yaml::parse::<Clouds>(text) else {
        return Some(format!("{KEY} is not a mapping with `clouds`"));
    };
    // `openstack` is what the provider takes where no cloud is named.
    let name = cloud.unwrap_or("openstack");
    let Some(cloud) = found.clouds.get(name) else {
        let there: Vec<&str> = found.clouds.keys().map(String::as_str).collect();
        return Some(format!(
            "there is no cloud `{name}` in {KEY}: it has {}",
            there.join(", ")
        ));
    };
    let has = |key: &&str| cloud.auth.get(*key).is_some_and(|value| !value.is_null());
    if !has(&"auth_url") {
        return Some(format!("cloud `{name}` has no `auth.auth_url`"));
    }
    let is_login = LOGINS.iter().any(|keys| keys.iter().all(has));
    (!is_login)
        .then(|| format!("cloud `{name}` has neither an application credential nor username and password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_faults_of_a_file_of_clouds_are_told_without_its_values() {
        let login =
            "auth_url: https://a, application_credential_id: i, application_credential_secret: hunter2";
        let told = |text: &str| fault(text, Some("plus"));
        assert_eq!(told(&format!("clouds: {{plus: {{auth: {{{login}}}}}}}")), None);
        for (text, wanted) in [
            ("clouds: hunter2", "is not a mapping with `clouds`"),
            (
                "clouds: {other: {auth: {}}}",
                "no cloud `plus` in clouds.yaml: it has other",
            ),
            (
                "clouds: {plus: {auth: {username: a, password: hunter2}}}",
                "no `auth.auth_url`",
            ),
            (
                "clouds: {plus: {auth: {auth_url: https://a, username: hunter2}}}",
                "neither an application credential",
            ),
        ] {
            let told = told(text).unwrap();
            assert!(told.contains(wanted) && !told.contains("hunter2"), "{told}");
        }
    }
}
