//! What the lab's forge holds from the beginning: persons with stable numeric ids, the organisation, the
//! platform's repository, the `OAuth2` application Keycloak logs in with.
//!
//! Everything is made when missing and left alone when there.

use serde_json::{Value, json};

use super::api::ForgeApi;
use crate::lab::launch::error::ForgeError;
use crate::secret::Secret;

/// The forge's administrator, who also owns the access token the lab's Git pushes use.
pub(super) const ADMINISTRATOR: &str = "pilot";
/// The organisation that owns the platform's repository.
const ORGANISATION: &str = "lotse";
/// The platform's repository.
const REPOSITORY: &str = "platform";
/// Name of the `OAuth2` application.
const APPLICATION: &str = "keycloak";

/// A person of the lab.
pub(super) struct Person {
    /// Login at the forge.
    pub(super) login: &'static str,
    /// First and last name.
    pub(super) name: &'static str,
    /// Numeric id: the forge counts upwards from the administrator's 1, in the order of [`PERSONS`].
    pub(super) id: u64,
}

/// The persons of the lab. Their ids stand in declarations, so the order is fixed.
pub(super) const PERSONS: [Person; 3] = [
    Person {
        login: "ada",
        name: "Ada Berg",
        id: 2,
    },
    Person {
        login: "grace",
        name: "Grace Lindqvist",
        id: 3,
    },
    Person {
        login: "mira",
        name: "Mira Okafor",
        id: 4,
    },
];

/// Makes the account of `person` when it is missing, and checks that its id is the expected one.
pub(super) async fn ensure_person(
    api: &ForgeApi,
    person: &Person,
    password: &Secret,
) -> Result<(), ForgeError> {
    let account = match api.get(&format!("users/{}", person.login)).await? {
        Some(account) => account,
        None => api.post("admin/users", &account_of(person, password)).await?,
    };
    check_id(&account, person.login, person.id)
}

/// Checks that the administrator is the first account.
pub(super) async fn check_administrator(api: &ForgeApi) -> Result<(), ForgeError> {
    let account = api.get("user").await?.unwrap_or_default();
    check_id(&account, ADMINISTRATOR, 1)
}

/// Gives the administrator a password we know.
pub(super) async fn set_administrator_password(api: &ForgeApi, password: &Secret) -> Result<(), ForgeError> {
    let change = json!({"source_id": 0, "login_name": ADMINISTRATOR, "password": password.expose()});
    let path = format!("admin/users/{ADMINISTRATOR}");
    api.patch(&path, &change).await.map(drop)
}

fn account_of(person: &Person, password: &Secret) -> Value {
    json!({
        "username": person.login,
        "full_name": person.name,
        "email": format!("{}@lab.test", person.login),
        "password": password.expose(),
        "must_change_password": false,
        "source_id": 0,
    })
}

fn check_id(account: &Value, login: &str, wanted: u64) -> Result<(), ForgeError> {
    let seen = account.get("id").and_then(Value::as_u64);
    if seen == Some(wanted) {
        return Ok(());
    }
    Err(ForgeError::PersonId {
        login: login.to_owned(),
        wanted,
        seen,
    })
}

/// Makes the organisation and its empty repository when they are missing; the repository's path (`lotse/platform`).
pub(super) async fn ensure_repository(api: &ForgeApi) -> Result<String, ForgeError> {
    if api.get(&format!("orgs/{ORGANISATION}")).await?.is_none() {
        let organisation = json!({"username": ORGANISATION, "full_name": "Lab", "visibility": "public"});
        api.post("orgs", &organisation).await?;
    }
    let path = format!("{ORGANISATION}/{REPOSITORY}");
    if api.get(&format!("repos/{path}")).await?.is_none() {
        let repository = json!({
            "name": REPOSITORY,
            "description": "The platform",
            "private": false,
            "auto_init": false,
            "default_branch": "main",
        });
        api.post(&format!("orgs/{ORGANISATION}/repos"), &repository)
            .await?;
    }
    Ok(path)
}

/// An `OAuth2` application as the forge shows it; its secret only when it was made just now.
pub(super) struct Application {
    pub(super) client_id: String,
    pub(super) client_secret: Option<Secret>,
}

/// Makes the `OAuth2` application for logins that come back to `redirect`. An application that is there is kept
/// when its redirect is right and its secret is known; otherwise it gets a new secret.
pub(super) async fn ensure_application(
    api: &ForgeApi,
    redirect: &str,
    secret_known: bool,
) -> Result<Application, ForgeError> {
    let path = "user/applications/oauth2";
    let wanted = json!({"name": APPLICATION, "confidential_client": true, "redirect_uris": [redirect]});
    let listed = api.get(path).await?.unwrap_or_default();
    let answer = match find_application(&listed) {
        None => api.post(path, &wanted).await?,
        Some(there) if secret_known && there["redirect_uris"] == wanted["redirect_uris"] => {
            return application(there, false);
        }
        Some(there) => api.patch(&format!("{path}/{}", there["id"]), &wanted).await?,
    };
    application(&answer, true)
}

fn find_application(listed: &Value) -> Option<&Value> {
    listed
        .as_array()?
        .iter()
        .find(|application| application["name"] == APPLICATION)
}

fn application(answer: &Value, fresh: bool) -> Result<Application, ForgeError> {
    let field = |name: &str| {
        answer
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                ForgeError::request(
                    "reading the OAuth2 application",
                    format!("the answer has no `{name}`"),
                )
            })
    };
    Ok(Application {
        client_id: field("client_id")?.to_owned(),
        client_secret: fresh
            .then(|| field("client_secret").map(Secret::new))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_ids_follow_the_administrator() {
        let ids: Vec<u64> = PERSONS.iter().map(|person| person.id).collect();
        assert_eq!(ids, [2, 3, 4]);
    }

    #[test]
    fn test_a_shifted_id_is_an_error_that_names_both() {
        let error = check_id(&json!({"id": 7}), "ada", 2).unwrap_err();
        assert!(error.to_string().contains("ada"), "{error}");
        assert!(error.to_string().contains('7'), "{error}");
    }

    #[test]
    fn test_application_without_secret_is_an_error_when_it_was_just_made() {
        assert!(application(&json!({"client_id": "a", "client_secret": ""}), true).is_err());
        let known = application(&json!({"client_id": "a", "client_secret": ""}), false).unwrap();
        assert!(known.client_secret.is_none());
    }
}
