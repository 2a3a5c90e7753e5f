//! New secrets for clients. The old one holds for a while beside the new one, by Keycloak's own client policies
//! (feature `client-secret-rotation`: on by default from 26.8, to be switched on before; without it, or without a policy
//! that matches, the old secret ends at once).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::Object;
use super::{Admin, KeycloakError, OWNER, ObservedRealm, Wanted};
use crate::desired::identity::{ClientKind, Realm};
use crate::names::EnvironmentName;

/// Name of the client profile and of the client policy.
const POLICY: &str = "lotse-secret-rotation";
/// The executor that keeps old secrets (Keycloak, `ClientSecretRotationExecutorFactory`).
const EXECUTOR: &str = "secret-rotation";
/// The executor lets a secret expire, which nobody asked for. Keycloak counts seconds since 1970 in 32 bits, so it can't be
/// much more than this: five years, begun anew by each rotation.
const LIFETIME: u32 = 5 * 365 * 24 * 60 * 60;
/// A secret that expires within this time, in seconds, is told: thirty days.
const SOON: i64 = 30 * 24 * 60 * 60;

/// Attributes of a client in which Keycloak keeps the secret before, the end of that one, and the end of the present one
/// (Keycloak, `ClientSecretConstants`).
pub(super) const ROTATED_SECRET: &str = "client.secret.rotated";
const ROTATED_END: &str = "client.secret.rotated.expiration.time";
const SECRET_END: &str = "client.secret.expiration.time";

/// The fields of client profiles and policies that lotse decides: its own policy where old secrets are to hold, and none
/// where they are not. It is for clients with the mark of `owner` alone.
pub(super) fn policies(realm: &Realm, owner: &EnvironmentName) -> Value {
    let Some(grace) = realm.client_secret_grace else {
        return json!({ "profiles": { POLICY: null }, "policies": { POLICY: null } });
    };
    let marked = json!([{ "key": OWNER, "value": owner.as_str() }]);
    json!({
        "profiles": { POLICY: {
            "name": POLICY,
            "description": "The secret before a rotation holds for a while",
            "executors": [{
                "executor": EXECUTOR,
                "configuration": {
                    "expiration-period": LIFETIME,
                    "rotated-expiration-period": grace,
                    "remaining-rotation-period": 0,
                },
            }],
        }},
        "policies": { POLICY: {
            "name": POLICY,
            "description": "Clients of the applications of the environment",
            "enabled": true,
            "conditions": [{
                "condition": "client-attributes",
                "configuration": { "attributes": marked.to_string() },
            }],
            "profiles": [POLICY],
        }},
    })
}

/// Whether the server can keep old secrets.
///
/// # Errors
/// When Keycloak does not answer.
pub async fn is_supported(admin: &Admin) -> Result<bool, KeycloakError> {
    let info = admin.server_info().await?;
    Ok(info["providers"]["client-policy-executor"]["providers"]
        .get(EXECUTOR)
        .is_some())
}

/// Until when the secret before the present one holds; `None` where none does at `now`.
#[must_use]
pub fn grace(observed: &ObservedRealm, client_id: &str, now: Timestamp) -> Option<Timestamp> {
    time(observed, client_id, ROTATED_END).filter(|end| *end > now)
}

/// Clients in `wanted` whose secret ends soon after `now` or has ended, and when.
#[must_use]
pub fn expiring(wanted: &Wanted<'_>, observed: &ObservedRealm, now: Timestamp) -> Vec<(String, Timestamp)> {
    let confidential = wanted.realm.clients.iter();
    let confidential = confidential.filter(|client| !matches!(client.kind, ClientKind::Public));
    confidential
        .filter_map(|client| {
            let end = time(observed, &client.client_id, SECRET_END)?;
            (end.as_second() - now.as_second() < SOON).then(|| (client.client_id.clone(), end))
        })
        .collect()
}

fn time(observed: &ObservedRealm, client_id: &str, attribute: &str) -> Option<Timestamp> {
    let client = observed.objects.get(&Object::Client(client_id.to_owned()))?;
    let seconds = client["attributes"][attribute].as_str()?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

/// Gives a client another secret, and says until when the one before holds; `None` where it has ended, as it does
/// `at_once` where that is asked for.
///
/// # Errors
/// When the client is not there, or Keycloak refuses.
pub async fn rotate(
    admin: &Admin,
    (realm, client_id): (&str, &str),
    at_once: bool,
) -> Result<Option<Timestamp>, KeycloakError> {
    let id = id(admin, realm, client_id).await?;
    admin
        .post(&[realm, "clients", &id, "client-secret"], &json!({}))
        .await?;
    let client = admin.get(&[realm, "clients", &id], &[]).await?;
    let end = client["attributes"][ROTATED_END].as_str();
    let end = end.and_then(|end| end.parse().ok());
    let end = end.and_then(|end| Timestamp::from_second(end).ok());
    if !at_once || end.is_none() {
        return Ok(end);
    }
    let path = [realm, "clients", &id, "client-secret", "rotated"];
    admin.delete(&path, None).await?;
    Ok(None)
}

async fn id(admin: &Admin, realm: &str, client_id: &str) -> Result<String, KeycloakError> {
    let found = admin.get(&[realm, "clients"], &[("clientId", client_id)]).await?;
    let id = found[0]["id"].as_str();
    id.map(str::to_owned).ok_or_else(|| KeycloakError::Absent {
        object: Object::Client(client_id.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(end: &str) -> ObservedRealm {
        let mut observed = ObservedRealm::absent("scs");
        let client = json!({ "attributes": { ROTATED_END: end, SECRET_END: end } });
        observed.objects.insert(Object::Client("grafana".into()), client);
        observed
    }

    #[test]
    fn test_a_grace_that_is_over_is_none() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(grace(&seen("2000"), "grafana", at(1999)), Some(at(2000)));
        assert_eq!(grace(&seen("2000"), "grafana", at(2000)), None);
        assert_eq!(grace(&seen(""), "grafana", at(0)), None);
        assert_eq!(grace(&seen("2000"), "other", at(0)), None);
    }

    #[test]
    fn test_without_a_grace_no_policy_is_wanted() {
        let mut realm = crate::surface::keycloak::plan_tests::realm();
        let owner = EnvironmentName::new("lab").unwrap();
        assert_eq!(policies(&realm, &owner)["policies"][POLICY], Value::Null);
        realm.client_secret_grace = Some(60);
        let wanted = policies(&realm, &owner);
        let configuration = &wanted["profiles"][POLICY]["executors"][0]["configuration"];
        assert_eq!(configuration["rotated-expiration-period"], 60);
        assert!(Timestamp::now().as_second() + i64::from(LIFETIME) < i64::from(i32::MAX));
    }
}
