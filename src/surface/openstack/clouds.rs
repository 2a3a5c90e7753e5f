//! The file of clouds (docs.openstack.org, "openstacksdk: Configuring OpenStack SDK Applications"), as far as it logs a
//! project in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::yaml;
use crate::secret::Secret;

/// Its name, which is also the key of the Secret that Cluster API's provider reads.
pub const KEY: &str = "clouds.yaml";

/// The cloud that the variables `OS_*` describe, as openstacksdk names it.
const OF_VARIABLES: &str = "envvars";

/// Variables that describe a cloud, and the keys of their values in the file.
const VARIABLES: [(&str, &str); 15] = [
    ("OS_AUTH_URL", "/auth/auth_url"),
    ("OS_APPLICATION_CREDENTIAL_ID", "/auth/application_credential_id"),
    (
        "OS_APPLICATION_CREDENTIAL_NAME",
        "/auth/application_credential_name",
    ),
    (
        "OS_APPLICATION_CREDENTIAL_SECRET",
        "/auth/application_credential_secret",
    ),
    ("OS_USERNAME", "/auth/username"),
    ("OS_USER_ID", "/auth/user_id"),
    ("OS_PASSWORD", "/auth/password"),
    ("OS_USER_DOMAIN_NAME", "/auth/user_domain_name"),
    ("OS_USER_DOMAIN_ID", "/auth/user_domain_id"),
    ("OS_PROJECT_NAME", "/auth/project_name"),
    ("OS_PROJECT_ID", "/auth/project_id"),
    ("OS_PROJECT_DOMAIN_NAME", "/auth/project_domain_name"),
    ("OS_REGION_NAME", "/region_name"),
    ("OS_INTERFACE", "/interface"),
    ("OS_CACERT", "/cacert"),
];

/// All clouds that there are: those of `clouds.yaml` with what `secure.yaml` has of their secrets, and that of the variables
/// `OS_*` as `envvars`. `None` where there is none at all. A file that can't be read is given as it is, so that
/// [`cloud`] tells of it.
#[must_use]
pub fn merged(
    clouds: Option<&str>,
    secure: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Option<Secret> {
    let parsed = clouds.map(yaml::parse::<Value>).transpose();
    let Ok(parsed) = parsed else {
        return clouds.map(Secret::new);
    };
    let mut all = parsed.unwrap_or_else(|| json!({ "clouds": {} }));
    if let Some(Ok(secure)) = secure.map(yaml::parse::<Value>) {
        merge(&mut all, secure);
    }
    if let Some(own) = of_variables(variables) {
        merge(&mut all, json!({ "clouds": { OF_VARIABLES: own } }));
    }
    let is_empty = all["clouds"].as_object().is_some_and(Map::is_empty);
    (clouds.is_some() || !is_empty).then(|| Secret::new(all.to_string()))
}

/// What the variables describe, if they say where a cloud is.
fn of_variables(variables: &BTreeMap<String, String>) -> Option<Value> {
    let mut own = json!({ "auth": {} });
    for (name, place) in VARIABLES {
        let Some(value) = variables.get(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let (parent, key) = place.rsplit_once('/')?;
        own.pointer_mut(parent)?[key] = json!(value);
    }
    own.pointer("/auth/auth_url").is_some().then_some(own)
}

/// Puts what is in `more` into `all`, field by field.
fn merge(all: &mut Value, more: Value) {
    match (all, more) {
        (Value::Object(all), Value::Object(more)) => {
            for (key, value) in more {
                merge(all.entry(key).or_insert(Value::Null), value);
            }
        }
        (all, more) => *all = more,
    }
}

#[derive(Deserialize)]
struct Clouds {
    clouds: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    auth: Auth,
    region_name: Option<String>,
    interface: Option<String>,
    cacert: Option<String>,
}

#[derive(Default, Deserialize)]
struct Auth {
    #[serde(rename = "auth_url")]
    address: Option<String>,
    application_credential_id: Option<String>,
    application_credential_name: Option<String>,
    application_credential_secret: Option<Secret>,
    username: Option<String>,
    user_id: Option<String>,
    password: Option<Secret>,
    user_domain_name: Option<String>,
    user_domain_id: Option<String>,
    project_name: Option<String>,
    project_id: Option<String>,
    project_domain_name: Option<String>,
    project_domain_id: Option<String>,
}

/// A cloud and how to log in there.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub(super) auth_url: String,
    pub(super) login: Login,
    pub(super) region: Option<String>,
    pub(super) interface: String,
    pub(super) authority: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Login {
    ApplicationCredential {
        id: Option<String>,
        name: Option<String>,
        user: User,
        secret: Secret,
    },
    Password {
        user: User,
        password: Secret,
        project: Named,
    },
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) domain: Domain,
}

#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) domain: Domain,
}

#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

/// What is wrong with a file of clouds. No value of it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudFault {
    /// It is something else.
    #[error("{KEY} is not a mapping with `clouds`")]
    NotClouds,
    /// The cloud is not in it.
    #[error("there is no cloud `{name}` in {KEY}: it has {}", there.join(", "))]
    NoSuchCloud {
        /// Which was looked for.
        name: String,
        /// Which there are.
        there: Vec<String>,
    },
    /// It does not say where the cloud is.
    #[error("cloud `{0}` has no `auth.auth_url`")]
    NoAddress(String),
    /// It does not say how to log in.
    #[error("cloud `{0}` has neither an application credential nor username and password")]
    NoLogin(String),
}

/// The cloud `name` of the file `text`.
///
/// # Errors
/// What is wrong with the file.
pub fn cloud(text: &str, name: &str) -> Result<Cloud, CloudFault> {
    let mut found = yaml::parse::<Clouds>(text).map_err(|_| CloudFault::NotClouds)?;
    let Some(written) = found.clouds.remove(name) else {
        return Err(CloudFault::NoSuchCloud {
            name: name.to_owned(),
            there: found.clouds.into_keys().collect(),
        });
    };
    let mut auth = written.auth;
    let auth_url = auth
        .address
        .take()
        .ok_or_else(|| CloudFault::NoAddress(name.to_owned()))?;
    Ok(Cloud {
        auth_url,
        login: login(auth).ok_or_else(|| CloudFault::NoLogin(name.to_owned()))?,
        region: written.region_name,
        interface: written.interface.unwrap_or_else(|| "public".to_owned()),
        authority: written.cacert,
    })
}

fn login(auth: Auth) -> Option<Login> {
    let user = User {
        id: auth.user_id,
        name: auth.username,
        domain: Domain {
            id: auth.user_domain_id,
            name: auth.user_domain_name,
        },
    };
    let is_credential =
        auth.application_credential_id.is_some() || auth.application_credential_name.is_some();
    if let (Some(secret), true) = (auth.application_credential_secret, is_credential) {
        return Some(Login::ApplicationCredential {
            id: auth.application_credential_id,
            name: auth.application_credential_name,
            user,
            secret,
        });
    }
    let has_user = user.id.is_some() || user.name.is_some();
    let password = auth.password.filter(|_| has_user)?;
    Some(Login::Password {
        user,
        password,
        project: Named {
            id: auth.project_id,
            name: auth.project_name,
            domain: Domain {
                id: auth.project_domain_id,
                name: auth.project_domain_name,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_secrets_and_variables_join_the_file() {
        let file =
            "clouds: {plus: {region_name: one, auth: {auth_url: https://a, application_credential_id: i}}}";
        let secure = "clouds: {plus: {auth: {application_credential_secret: hunter2}}}";
        let none = BTreeMap::new();
        let all = merged(Some(file), Some(secure), &none).unwrap();
        let found = cloud(all.expose(), "plus").unwrap();
        assert_eq!(found.region.as_deref(), Some("one"));
        let Login::ApplicationCredential { secret, .. } = found.login else {
            panic!("another login");
        };
        assert_eq!(secret.expose(), "hunter2");

        let variables = [
            ("OS_AUTH_URL", "https://b"),
            ("OS_USERNAME", "ada"),
            ("OS_PASSWORD", "x"),
            ("OS_REGION_NAME", ""),
        ];
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let all = merged(None, None, &variables).unwrap();
        let found = cloud(all.expose(), OF_VARIABLES).unwrap();
        assert_eq!((found.auth_url.as_str(), found.region), ("https://b", None));
        assert!(merged(None, None, &none).is_none());
        let broken = merged(Some("clouds: ["), None, &none).unwrap();
        assert_eq!(cloud(broken.expose(), "plus").unwrap_err(), CloudFault::NotClouds);
    }

    #[test]
    fn test_faults_of_a_file_of_clouds_are_told_without_its_values() {
        let login =
            "auth_url: https://a, application_credential_id: i, application_credential_secret: hunter2";
        let of = |text: &str| cloud(text, "plus");
        let found = of(&format!(
            "clouds: {{plus: {{auth: {{{login}}}, region_name: one}}}}"
        ))
        .unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
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
            let told = of(text).unwrap_err().to_string();
            assert!(told.contains(wanted) && !told.contains("hunter2"), "{told}");
        }
    }
}
