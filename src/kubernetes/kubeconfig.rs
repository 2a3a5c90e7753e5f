//! Kubeconfigs that are written: the way to an API server, and as whom. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use serde_json::{Map, Value, json};

use super::KubernetesError;

/// The lists of a kubeconfig, each entry with a `name`.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// Where an API server is, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// Its address, https.
    pub address: String,
    /// PEM of the authority of its certificate, in base64; `None` for a public one.
    pub authority: Option<String>,
    /// The name in its certificate, where that is not the host of the address.
    pub name: Option<String>,
}

impl ApiServer {
    /// The server at `address`, known by `authority`, a PEM.
    #[must_use]
    pub fn new(address: &str, authority: &str) -> Self {
        Self {
            address: address.to_owned(),
            authority: Some(STANDARD.encode(authority)),
            name: None,
        }
    }

    /// The server that the current context of a kubeconfig leads to; its credentials are not looked at. `origin` says
    /// where the text came from (`of Cluster/prod/prod`).
    ///
    /// # Errors
    /// When the text is no kubeconfig, or its current context leads to no server.
    pub fn read(text: &str, origin: &str) -> Result<Self, KubernetesError> {
        let fault = |reason: &str| KubernetesError::Kubeconfig {
            origin: origin.to_owned(),
            reason: reason.to_owned(),
        };
        // What the parser says could show a part of the text.
        let read = Kubeconfig::from_yaml(text).map_err(|_| fault("it is not one"))?;
        let current = read.current_context.as_deref();
        let context = read
            .contexts
            .into_iter()
            .find(|context| Some(context.name.as_str()) == current);
        let wanted = context
            .and_then(|context| context.context)
            .map(|context| context.cluster);
        let found = read
            .clusters
            .into_iter()
            .find(|cluster| Some(&cluster.name) == wanted.as_ref());
        let cluster = found
            .and_then(|found| found.cluster)
            .ok_or_else(|| fault("its current context leads to no cluster"))?;
        Ok(Self {
            address: cluster
                .server
                .ok_or_else(|| fault("its cluster has no address"))?,
            authority: cluster.certificate_authority_data,
            name: cluster.tls_server_name,
        })
    }

    fn fields(&self) -> Value {
        let mut fields = Map::from_iter([("server".to_owned(), json!(self.address))]);
        let more = [
            ("certificate-authority-data", &self.authority),
            ("tls-server-name", &self.name),
        ];
        for (key, value) in more {
            fields.extend(value.iter().map(|value| (key.to_owned(), json!(value))));
        }
        Value::Object(fields)
    }
}

/// A kubeconfig whose one context, `name`, reaches `server` as `user`, the fields of a `user` entry.
#[must_use]
pub fn kubeconfig(name: &str, server: &ApiServer, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server.fields()}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

/// Why one kubeconfig can't be put into another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMerged {
    /// What is there has another shape.
    #[error("it is no kubeconfig: `{0}` is not a list of entries with a name")]
    Shape(&'static str),
    /// An entry of the same name is for something else.
    #[error("its {list} `{name}` leads elsewhere")]
    Elsewhere {
        /// `cluster`, `user` or `context`.
        list: &'static str,
        /// Name of the entry.
        name: String,
    },
}

/// `there` with the entries of `ours`, a [`kubeconfig`], whose context becomes the current one. Entries that an earlier
/// run made are brought up to date; all others, and everything else in the file, stay as they are.
///
/// # Errors
/// [`NotMerged`]: nothing of somebody else is overwritten.
pub fn merged(there: Value, ours: &Value) -> Result<Value, NotMerged> {
    let mut all = match there {
        Value::Object(fields) => fields,
        Value::Null => Map::from_iter([
            ("apiVersion".to_owned(), json!("v1")),
            ("kind".to_owned(), json!("Config")),
        ]),
        _ => return Err(NotMerged::Shape("clusters")),
    };
    for list in LISTS {
        let entries = all.entry(list).or_insert(Value::Null);
        if entries.is_null() {
            *entries = json!([]);
        }
        let entries = entries.as_array_mut().ok_or(NotMerged::Shape(list))?;
        if !entries.iter().all(|entry| entry["name"].is_string()) {
            return Err(NotMerged::Shape(list));
        }
        let wanted = &ours[list][0];
        match entries.iter_mut().find(|entry| entry["name"] == wanted["name"]) {
            None => entries.push(wanted.clone()),
            Some(entry) => replace(list, entry, wanted)?,
        }
    }
    all.insert("current-context".to_owned(), ours["current-context"].clone());
    Ok(Value::Object(all))
}

/// Brings an entry of the same name up to date, where it is for the same.
fn replace(list: &'static str, entry: &mut Value, wanted: &Value) -> Result<(), NotMerged> {
    let (kind, field) = match list {
        "clusters" => ("cluster", "/cluster/server"),
        "users" => ("user", "/user/exec/command"),
        _ => ("context", "/context/cluster"),
    };
    if entry.pointer(field) != wanted.pointer(field) {
        return Err(NotMerged::Elsewhere {
            list: kind,
            name: wanted["name"].as_str().unwrap_or_default().to_owned(),
        });
    }
    // A namespace that somebody chose stays.
    if let (Some(old), Some(new)) = (entry[kind].as_object_mut(), wanted[kind].as_object()) {
        let stays = old.get("namespace").cloned();
        *old = new.clone();
        old.extend(stays.map(|namespace| ("namespace".to_owned(), namespace)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::login_plugin;

    fn ours() -> Value {
        let server = ApiServer::new("https://10.0.0.1:6443", "PEM");
        kubeconfig("prod", &server, &login_plugin("https://auth/realms/scs", None))
    }

    #[test]
    fn test_a_server_is_read_without_credentials() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: b\ncontexts:\n\
            - {name: a, context: {cluster: x, user: u}}\n- {name: b, context: {cluster: y, user: u}}\nclusters:\n\
            - {name: x, cluster: {server: 'https://x'}}\n\
            - {name: y, cluster: {server: 'https://y', certificate-authority-data: UEVN, tls-server-name: z}}\n\
            users: [{name: u, user: {token: hidden}}]\n";
        let server = ApiServer::read(text, "here").unwrap();
        let wanted = ApiServer {
            name: Some("z".into()),
            ..ApiServer::new("https://y", "PEM")
        };
        assert_eq!(server, wanted);
        let told = ApiServer::read("token: hidden\ncurrent-context: [", "here").unwrap_err();
        assert_eq!(told.to_string(), "kubeconfig here: it is not one");
        let told = ApiServer::read(&text.replace("context: b", "context: c"), "here").unwrap_err();
        assert_eq!(
            told.to_string(),
            "kubeconfig here: its current context leads to no cluster"
        );
    }

    #[test]
    fn test_what_others_wrote_stays() {
        let there = json!({
            "kind": "Config", "preferences": {"colors": true}, "current-context": "other",
            "clusters": [{"name": "other", "cluster": {"server": "https://other"}}],
            "users": null,
            "contexts": [{"name": "other", "context": {"cluster": "other", "user": "me"}}],
        });
        let once = merged(there.clone(), &ours()).unwrap();
        assert_eq!(once["preferences"], there["preferences"]);
        assert_eq!(once["clusters"][0], there["clusters"][0]);
        assert_eq!(once["contexts"][1]["name"], "prod");
        assert_eq!(once["users"][0]["user"]["exec"]["command"], "kubectl");
        assert_eq!(once["current-context"], "prod");
        assert_eq!(merged(once.clone(), &ours()).unwrap(), once);
        assert_eq!(merged(Value::Null, &ours()).unwrap(), ours());
    }

    #[test]
    fn test_a_chosen_namespace_stays_and_the_rest_is_brought_up_to_date() {
        let mut there = ours();
        there["contexts"][0]["context"]["namespace"] = json!("monitoring");
        there["clusters"][0]["cluster"]["certificate-authority-data"] = json!("b2xk");
        let after = merged(there, &ours()).unwrap();
        assert_eq!(after["contexts"][0]["context"]["namespace"], "monitoring");
        assert_eq!(after["clusters"], ours()["clusters"]);
    }

    #[test]
    fn test_entries_of_somebody_else_are_not_overwritten() {
        let refused = |pointer: &str, value: Value| {
            let mut there = ours();
            *there.pointer_mut(pointer).unwrap() = value;
            merged(there, &ours()).unwrap_err().to_string()
        };
        assert_eq!(
            refused("/clusters/0/cluster/server", json!("https://other")),
            "its cluster `prod` leads elsewhere"
        );
        assert_eq!(
            refused("/users/0/user", json!({"token": "x"})),
            "its user `prod` leads elsewhere"
        );
        assert_eq!(
            refused("/contexts/0/context/cluster", json!("other")),
            "its context `prod` leads elsewhere"
        );
        assert_eq!(
            refused("/users", json!({"prod": {}})),
            "it is no kubeconfig: `users` is not a list of entries with a name"
        );
    }
}
