//! The file of clouds (docs.openstack.org, "openstacksdk: Configuring OpenStack SDK Applications"), as far as it logs a
//! project in.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::yaml;
use crate::secret::Secret;

/// Its name, which is also the key of the Secret that Cluster API's provider reads.
pub const KEY: &str = "clouds.yaml";

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
