//! The credentials by which the management cluster makes machines in a cloud.
//!
//! Cluster API's provider for OpenStack reads them from a Secret that the Cluster names (`identityRef`), key `clouds.yaml`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::check::{Check, CheckId};
use crate::bootstrap::Bootstrap;
use crate::kubernetes::{Cluster, ObjectReference};
use crate::surface::openstack::{self, Cloud};

/// How classes call the variable that names the Secret.
const VARIABLES: [&str; 2] = ["identityRef", "identity_ref"];
/// How they call the cloud in it.
const CLOUDS: [&str; 2] = ["cloudName", "cloud_name"];
/// What the provider takes where no cloud is named.
const USUAL_CLOUD: &str = "openstack";

/// Whether the Secret that the Cluster names is there and has the cloud; the cloud, if so.
pub(super) async fn look(bootstrap: &Bootstrap<'_>, management: &Cluster) -> (Check, Option<Cloud>) {
    let id = CheckId::CloudCredentials;
    let declared = &bootstrap.environment.cluster.variables;
    let not_asked = |reason: String| (Check::not_asked(id, reason), None);
    let Some(reference) = VARIABLES.iter().find_map(|name| declared.get(*name)) else {
        return not_asked("the Cluster names no Secret with a cloud".to_owned());
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let cloud = CLOUDS.iter().find_map(|key| text(reference.get(key)));
    let cloud = cloud.unwrap_or_else(|| USUAL_CLOUD.to_owned());
    let Some(name) = text(reference.get("name")) else {
        return not_asked("the Cluster leaves the name of the Secret to its class".to_owned());
    };
    let namespace = bootstrap.environment.management.namespace.as_str();
    let secret = ObjectReference::new("v1", "Secret", &name).in_namespace(namespace);
    let failed = |problem: String, remedy: &str| (Check::failed(id, problem, remedy), None);
    let in_cloud = |content: &str| match openstack::cloud(content, &cloud) {
        Ok(cloud) => (Check::passed(id), Some(cloud)),
        Err(fault) => failed(
            format!("{secret}: {fault}"),
            "correct the file, or identityRef in environment.yaml",
        ),
    };
    if let Some(data) = bootstrap.environment.cluster.secrets.get(&name) {
        return match data.get(openstack::KEY) {
            Some(content) => in_cloud(content.expose()),
            None => failed(
                format!(
                    "the Secret {name} that cluster.secrets declares has no key {}",
                    openstack::KEY
                ),
                "declare it under that key",
            ),
        };
    }
    let found = match management.read(&secret).await {
        Ok(found) => found,
        Err(error) => return not_asked(error.to_string()),
    };
    let Some(found) = found else {
        let remedy = format!(
            "declare it in cluster.secrets, or make it: `kubectl create secret generic {name} -n {namespace} \
             --from-file=clouds.yaml`"
        );
        return failed(format!("there is no {secret}"), &remedy);
    };
    let content = found
        .data
        .pointer("/data")
        .and_then(|data| data.get(openstack::KEY)?.as_str());
    let content = content.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
    let Some(content) = content else {
        return failed(
            format!("{secret} has no key {}", openstack::KEY),
            "put the file of the cloud's credentials under that key",
        );
    };
    in_cloud(&content)
}
