//! A Cluster with its variables named as its class names them.
//!
//! Cluster stacks of one generation write `controlPlaneFlavor` and `oidcConfig.clientID` (scs2), those of another
//! `controller_flavor` and `oidc_config.client_id` (scs). What is declared is written in the first way; the class itself says
//! which it has, so none is known here by its name.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::{Served, stack};
use crate::desired::Manifest;
use crate::kubernetes::{Cluster, KubernetesError};

/// Follows from `identity` and is not declared as a variable: a class that has none of it goes without.
const LOGINS: &str = "oidcConfig";
/// The same with room for more than one issuer; of a class that has both it is the one.
pub const AUTHENTICATION: &str = "authenticationConfiguration";
/// Parts of names that generations call differently.
const SYNONYMS: [(&str, &str); 1] = [("controller", "controlplane")];
/// Lists of variables in a Cluster: for all of it, for the control plane, and for each group of workers.
const FOR_ALL: &str = "/spec/topology/variables";
const FOR_CONTROL_PLANE: &str = "/spec/topology/controlPlane/variables/overrides";
const WORKERS: [&str; 2] = [
    "/spec/topology/workers/machineDeployments",
    "/spec/topology/workers/machinePools",
];

/// A Cluster as its class takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The Cluster.
    pub cluster: Manifest,
    /// Which issuers the class can tell the API server of.
    pub logins: Logins,
}

/// Which issuers of tokens a class has variables for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logins {
    /// None.
    None,
    /// One.
    One,
    /// As many as are declared.
    Any,
}

/// `cluster` as the class that it names takes it; as it is where there is no such class yet. `authentication` is what a
/// class with structured authentication is told in place of the one issuer.
///
/// # Errors
/// When the class can't be read.
pub async fn fit(
    management: &Cluster,
    served: &Served,
    cluster: &Manifest,
    authentication: &Value,
) -> Result<Fitted, KubernetesError> {
    let class = match stack::class(served, cluster) {
        Ok(reference) => management.read(&reference).await?,
        Err(_) => None,
    };
    Ok(match class {
        Some(class) => fitted(cluster, &class, authentication),
        None => Fitted {
            cluster: cluster.clone(),
            logins: Logins::One,
        },
    })
}

fn fitted(cluster: &Manifest, class: &DynamicObject, authentication: &Value) -> Fitted {
    let offered = offered(class);
    let mut cluster = cluster.clone();
    let value = cluster.value_mut();
    let logins = if named(&offered, AUTHENTICATION).is_some() {
        Logins::Any
    } else if offered.is_empty() || named(&offered, LOGINS).is_some() {
        Logins::One
    } else {
        Logins::None
    };
    for pointer in [FOR_ALL, FOR_CONTROL_PLANE] {
        if let Some(Value::Array(variables)) = value.pointer_mut(pointer) {
            if logins == Logins::None {
                variables.retain(|variable| variable["name"] != LOGINS);
            }
            if let Some(structured) = named(&offered, AUTHENTICATION) {
                let value = structured.value(authentication);
                for variable in variables.iter_mut().filter(|variable| variable["name"] == LOGINS) {
                    *variable = json!({ "name": structured.name, "value": value });
                }
            }
            spell(variables, &offered);
        }
    }
    // The API refuses an empty list.
    if value
        .pointer(FOR_ALL)
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
        && let Some(Value::Object(topology)) = value.pointer_mut("/spec/topology")
    {
        topology.remove("variables");
    }
    for pointer in WORKERS {
        let groups = value.pointer_mut(pointer).and_then(Value::as_array_mut);
        for group in groups.into_iter().flatten() {
            if let Some(Value::Array(variables)) = group.pointer_mut("/variables/overrides") {
                spell(variables, &offered);
            }
        }
    }
    Fitted { cluster, logins }
}

/// A variable of a class: its name, and the keys it has where it is an object.
struct Offered<'class> {
    name: &'class str,
    keys: Vec<&'class str>,
    is_text: bool,
}

impl Offered<'_> {
    /// An object as the variable takes it: some are the text of a file.
    fn value(&self, object: &Value) -> Value {
        if self.is_text {
            // JSON is YAML.
            object.to_string().into()
        } else {
            object.clone()
        }
    }
}

/// What the class itself defines, and what its extensions add (`status.variables`).
fn offered(class: &DynamicObject) -> Vec<Offered<'_>> {
    let list = |pointer: &str| {
        let list = class.data.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    list("/spec/variables")
        .chain(list("/status/variables"))
        .filter_map(|variable| {
            let schemas = ["/schema/openAPIV3Schema", "/definitions/0/schema/openAPIV3Schema"];
            let schema = schemas.iter().find_map(|pointer| variable.pointer(pointer));
            let properties = schema.and_then(|schema| schema.get("properties")?.as_object());
            Some(Offered {
                name: variable["name"].as_str()?,
                is_text: schema.is_some_and(|schema| schema["type"] == "string"),
                keys: properties
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(String::as_str)
                    .collect(),
            })
        })
        .collect()
}

fn spell(variables: &mut [Value], offered: &[Offered<'_>]) {
    for variable in variables {
        let Some(found) = variable["name"].as_str().and_then(|name| named(offered, name)) else {
            // The class refuses it, and says so.
            continue;
        };
        variable["name"] = found.name.into();
        if let Some(Value::Object(keys)) = variable.get_mut("value") {
            let written = std::mem::take(keys);
            for (key, value) in written {
                let known = found.keys.iter().find(|known| same_words(known, &key));
                keys.insert(known.map_or(key, |known| (*known).to_owned()), value);
            }
        }
    }
}

/// The variable of that name; else the one whose name has the same words.
fn named<'offered, 'class>(
    offered: &'offered [Offered<'class>],
    name: &str,
) -> Option<&'offered Offered<'class>> {
    let exact = offered.iter().find(|variable| variable.name == name);
    exact.or_else(|| offered.iter().find(|variable| same_words(variable.name, name)))
}

fn same_words(one: &str, other: &str) -> bool {
    words(one) == words(other)
}

/// A name without what only writes it: case, underscores, and synonyms.
fn words(name: &str) -> String {
    let name = name.to_lowercase().replace(['_', '-'], "");
    SYNONYMS
        .iter()
        .fold(name, |name, (written, meant)| name.replace(written, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Manifest {
        Manifest::new(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "prod"},
            "spec": {"topology": {
                "classRef": {"name": "a"}, "version": "v1.34.8",
                "variables": [
                    {"name": "controlPlaneFlavor", "value": "SCS-4V-16-100s"},
                    {"name": "oidcConfig", "value": {"clientID": "kubectl", "issuerURL": "https://a"}},
                    {"name": "odd", "value": {"clientID": 1}},
                ],
                "workers": {"machineDeployments": [
                    {"class": "w", "name": "w", "variables": {"overrides": [{"name": "workerFlavor", "value": "x"}]}},
                ]},
            }},
        }))
        .unwrap()
    }

    fn class(variables: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "ClusterClass", "metadata": {"name": "a"},
            "spec": {"variables": variables},
        }))
        .unwrap()
    }

    fn variable(name: &str, keys: &[&str]) -> Value {
        let properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
        json!({"name": name, "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}})
    }

    #[test]
    fn test_variables_are_written_as_the_class_writes_them() {
        let class = class(&json!([
            variable("controller_flavor", &[]),
            variable("worker_flavor", &[]),
            variable("oidc_config", &["client_id", "issuer_url"]),
        ]));
        let fitted = fitted(&cluster(), &class, &Value::Null);
        assert_eq!(fitted.logins, Logins::One);
        let topology = &fitted.cluster.value()["spec"]["topology"];
        assert_eq!(
            topology["variables"],
            json!([
                {"name": "controller_flavor", "value": "SCS-4V-16-100s"},
                {"name": "oidc_config", "value": {"client_id": "kubectl", "issuer_url": "https://a"}},
                {"name": "odd", "value": {"clientID": 1}},
            ])
        );
        assert_eq!(
            topology["workers"]["machineDeployments"][0]["variables"]["overrides"],
            json!([{"name": "worker_flavor", "value": "x"}])
        );
    }

    #[test]
    fn test_a_class_of_the_same_spelling_changes_nothing() {
        let class = class(&json!([
            variable("controlPlaneFlavor", &[]),
            variable("controller_flavor", &[]),
            variable("workerFlavor", &[]),
            variable("oidcConfig", &["clientID", "issuerURL"]),
        ]));
        assert_eq!(fitted(&cluster(), &class, &Value::Null).cluster, cluster());
    }

    #[test]
    fn test_a_class_without_logins_goes_without() {
        let fitted = fitted(&cluster(), &class(&json!([variable("image", &[])])), &Value::Null);
        assert_eq!(fitted.logins, Logins::None);
        let variables = fitted.cluster.value()["spec"]["topology"]["variables"].clone();
        let names: Vec<&Value> = variables
            .as_array()
            .unwrap()
            .iter()
            .map(|each| &each["name"])
            .collect();
        assert_eq!(names, ["controlPlaneFlavor", "odd"]);
        let mut only_logins = cluster();
        only_logins.value_mut()["spec"]["topology"]["variables"] =
            json!([{"name": "oidcConfig", "value": {}}]);
        let fitted = super::fitted(
            &only_logins,
            &class(&json!([variable("image", &[])])),
            &Value::Null,
        );
        assert_eq!(fitted.cluster.value()["spec"]["topology"].get("variables"), None);
    }

    #[test]
    fn test_a_class_with_structured_authentication_gets_that() {
        let authentication = json!({"kind": "AuthenticationConfiguration", "jwt": []});
        let text = json!({"name": "authentication_configuration", "schema": {"openAPIV3Schema": {"type": "string"}}});
        for (offered, name, value) in [
            (
                variable("authenticationConfiguration", &[]),
                "authenticationConfiguration",
                authentication.clone(),
            ),
            (
                text,
                "authentication_configuration",
                authentication.to_string().into(),
            ),
        ] {
            let class = class(&json!([variable("oidcConfig", &["clientID"]), offered]));
            let fitted = fitted(&cluster(), &class, &authentication);
            assert_eq!(fitted.logins, Logins::Any);
            let variables = &fitted.cluster.value()["spec"]["topology"]["variables"];
            assert_eq!(variables[1], json!({"name": name, "value": value}));
            assert_eq!(variables.as_array().unwrap().len(), 3);
        }
    }
}
