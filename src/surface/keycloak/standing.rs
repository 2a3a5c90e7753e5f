//! How one person stands in a realm: their user, their link to the forge, their groups, and what a token of theirs says.

use serde_json::Value;

use super::{Admin, KeycloakError};

/// A user of the realm as far as access goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Keycloak's id of the user.
    id: String,
    /// User name.
    pub username: String,
    /// Whether they may log in.
    pub is_enabled: bool,
    /// Names of their groups.
    pub groups: Vec<String>,
    /// Whether they can log in past the forge, by a password or a key of their own.
    pub has_own_way_in: bool,
}

/// Credentials that log somebody in by themselves (Keycloak, `PasswordCredentialModel`, `WebAuthnCredentialModel`).
const OWN_WAYS_IN: [&str; 2] = ["password", "webauthn-passwordless"];

/// The user who is linked to the account `id` at `provider`; `None` where there is none.
///
/// # Errors
/// When Keycloak does not answer.
pub async fn standing(
    admin: &Admin,
    realm: &str,
    (provider, id): (&str, u64),
) -> Result<Option<Standing>, KeycloakError> {
    let id = id.to_string();
    let query = [
        ("idpAlias", provider),
        ("idpUserId", id.as_str()),
        ("briefRepresentation", "false"),
    ];
    let found = admin.get(&[realm, "users"], &query).await?;
    let Some(id) = found[0]["id"].as_str() else {
        return Ok(None);
    };
    let credentials = admin.get(&[realm, "users", id, "credentials"], &[]).await?;
    let mut credentials = credentials.as_array().into_iter().flatten();
    let has_own_way_in = credentials.any(|credential| {
        credential["type"]
            .as_str()
            .is_some_and(|kind| OWN_WAYS_IN.contains(&kind))
    });
    let groups = admin.pages(&[realm, "users", id, "groups"], &[]).await?;
    let names = groups.iter().filter_map(|group| group["name"].as_str());
    Ok(Some(Standing {
        id: id.to_owned(),
        username: found[0]["username"].as_str().unwrap_or_default().to_owned(),
        is_enabled: found[0]["enabled"].as_bool().unwrap_or(false),
        groups: names.map(str::to_owned).collect(),
        has_own_way_in,
    }))
}

/// Claims of the identity token that `client_id` would get for the user, computed by Keycloak; nobody logs in.
///
/// # Errors
/// [`KeycloakError::Absent`] when there is no such client.
pub async fn example_token(
    admin: &Admin,
    realm: &str,
    client_id: &str,
    standing: &Standing,
) -> Result<Value, KeycloakError> {
    let found = admin.get(&[realm, "clients"], &[("clientId", client_id)]).await?;
    let Some(client) = found[0]["id"].as_str() else {
        return Err(KeycloakError::Absent {
            object: super::Object::Client(client_id.to_owned()),
        });
    };
    let path = [
        realm,
        "clients",
        client,
        "evaluate-scopes",
        "generate-example-id-token",
    ];
    let query = [("scope", "openid"), ("userId", standing.id.as_str())];
    admin.get(&path, &query).await
}
