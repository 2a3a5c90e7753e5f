//! Who changed what last, by Keycloak's own record of what administrators do. Only reads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::object::{KeycloakOperation, Object, Relation};
use super::{Admin, KeycloakError, ObservedRealm};
use crate::plan::Plan;

/// So many of the newest events are looked through.
const EVENTS: &str = "500";

/// Says at each step of `plan` who changed its object last and when, as far as the record goes.
///
/// # Errors
/// When Keycloak does not answer. A record that may not be read says nothing.
pub async fn attribute(
    admin: &Admin,
    observed: &ObservedRealm,
    plan: &mut Plan<KeycloakOperation>,
) -> Result<(), KeycloakError> {
    let is_open = |operation: &KeycloakOperation| path(observed, operation).is_some();
    if !observed.exists() || plan.steps.iter().all(|step| !is_open(&step.operation)) {
        return Ok(());
    }
    let events = match admin
        .get(&[&observed.name, "admin-events"], &[("max", EVENTS)])
        .await
    {
        Ok(Value::Array(events)) => events,
        Ok(_) | Err(KeycloakError::Forbidden { .. }) => return Ok(()),
        Err(other) => return Err(other),
    };
    let mut names = BTreeMap::new();
    for step in &mut plan.steps {
        let Some(event) = path(observed, &step.operation).and_then(|path| newest(&events, &path)) else {
            continue;
        };
        let who = &event["authDetails"];
        let key = (text(who, "realmId"), text(who, "userId"));
        if !names.contains_key(&key) {
            let name = name(admin, &observed.name, &key.1).await?;
            names.insert(key.clone(), name);
        }
        step.change.by = names[&key]
            .as_ref()
            .map(|name| format!("{name}, {}", time(event)));
    }
    Ok(())
}

/// Who gave the client `client_id` its present secret and when, where that was somebody else than the account that is at
/// work here, and as far as the record goes. Any change of the client may have been one of its secret.
///
/// # Errors
/// When Keycloak does not answer. A record that may not be read says nothing.
pub async fn secret_giver(
    admin: &Admin,
    realm: &str,
    client_id: &str,
) -> Result<Option<String>, KeycloakError> {
    let found = admin.get(&[realm, "clients"], &[("clientId", client_id)]).await?;
    let Some(id) = found[0]["id"].as_str() else {
        return Ok(None);
    };
    let (whole, secret) = (format!("clients/{id}"), format!("clients/{id}/client-secret"));
    let below = format!("{whole}*");
    let query = [("max", EVENTS), ("resourcePath", below.as_str())];
    let events = match admin.get(&[realm, "admin-events"], &query).await {
        Err(KeycloakError::Forbidden { .. }) => return Ok(None),
        other => other?,
    };
    let mut events = events.as_array().into_iter().flatten();
    let newest = events.find(|event| {
        let path = event["resourcePath"].as_str().unwrap_or_default();
        (path == whole || path == secret)
            && event["operationType"] != "DELETE"
            && event.get("error").is_none()
    });
    let Some(event) = newest else { return Ok(None) };
    let who = text(&event["authDetails"], "userId");
    if admin.own_id().await?.is_some_and(|own| own == who) {
        return Ok(None);
    }
    let name = name(admin, realm, &who).await?;
    Ok(name.map(|name| format!("{name}, {}", time(event))))
}

/// The newest event about what is at `path`. Keycloak lists them newest first.
fn newest<'events>(events: &'events [Value], path: &str) -> Option<&'events Value> {
    events
        .iter()
        .find(|event| event["resourcePath"] == path && event.get("error").is_none())
}

/// The name of an administrator: most are of the realm `master`, some of the realm itself. Who may not see the accounts of
/// `master` tells the id.
async fn name(admin: &Admin, realm: &str, id: &str) -> Result<Option<String>, KeycloakError> {
    if admin.own_id().await?.is_some_and(|own| own == id) {
        return Ok(Some(admin.user()));
    }
    let mut unseen = None;
    for realm in ["master", realm] {
        match admin.find(&[realm, "users", id], &[]).await {
            Ok(Some(user)) => return Ok(Some(text(&user, "username"))),
            Ok(None) => {}
            Err(KeycloakError::Forbidden { .. }) => unseen = Some(format!("account {id} of realm {realm}")),
            Err(other) => return Err(other),
        }
    }
    Ok(unseen)
}

/// Where the record has what an operation is about; nothing for what is not there yet.
fn path(observed: &ObservedRealm, operation: &KeycloakOperation) -> Option<String> {
    match operation {
        KeycloakOperation::Create { .. } => None,
        KeycloakOperation::Update { object, .. } | KeycloakOperation::Delete { object } => {
            of_object(observed, object)
        }
        KeycloakOperation::Attach(relation) | KeycloakOperation::Detach(relation) => {
            of_relation(observed, relation)
        }
    }
}

fn of_object(observed: &ObservedRealm, object: &Object) -> Option<String> {
    let id = |object: &Object| observed.objects.get(object)?["id"].as_str();
    let client = |name: &str| Some(format!("clients/{}", id(&Object::Client(name.to_owned()))?));
    let scope = |name: &str| Some(format!("client-scopes/{}", id(&Object::Scope(name.to_owned()))?));
    Some(match object {
        // The record has no path for the realm as a whole.
        Object::Realm | Object::UserProfile | Object::ClientPolicies => return None,
        Object::RequiredAction(alias) => format!("authentication/required-actions/{alias}"),
        Object::Provider(alias) => format!("identity-provider/instances/{alias}"),
        Object::ProviderMapper { provider, .. } => {
            format!("identity-provider/instances/{provider}/mappers/{}", id(object)?)
        }
        Object::Scope(name) => scope(name)?,
        Object::Client(name) => client(name)?,
        Object::Group(_) => format!("groups/{}", id(object)?),
        Object::User(_) => format!("users/{}", id(object)?),
        Object::Role { client: name, role } => format!("{}/roles/{role}", client(name)?),
        Object::ScopeMapper { scope: name, .. } => {
            format!("{}/protocol-mappers/models/{}", scope(name)?, id(object)?)
        }
        Object::ClientMapper { client: name, .. } => {
            format!("{}/protocol-mappers/models/{}", client(name)?, id(object)?)
        }
    })
}

fn of_relation(observed: &ObservedRealm, relation: &Relation) -> Option<String> {
    let at = |object: Object| of_object(observed, &object);
    let id = |object: Object| Some(at(object)?.rsplit('/').next()?.to_owned());
    let scoped = |client: &str, kind: &str, scope: &str| {
        let client = at(Object::Client(client.to_owned()))?;
        Some(format!(
            "{client}/{kind}/{}",
            id(Object::Scope(scope.to_owned()))?
        ))
    };
    match relation {
        Relation::Membership { user, group } => {
            let group = id(Object::Group(group.clone()))?;
            Some(format!("{}/groups/{group}", at(Object::User(user.clone()))?))
        }
        Relation::Link { user, provider, .. } => Some(format!(
            "{}/federated-identity/{provider}",
            at(Object::User(user.clone()))?
        )),
        Relation::DefaultScope { client, scope } => scoped(client, "default-client-scopes", scope),
        Relation::OptionalScope { client, scope } => scoped(client, "optional-client-scopes", scope),
        Relation::RoleMapping { .. } | Relation::OfEverybody { .. } => None,
    }
}

/// `2026-11-27 12:40 UTC`
fn time(event: &Value) -> String {
    let time = event["time"]
        .as_i64()
        .and_then(|time| Timestamp::from_millisecond(time).ok());
    time.map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_operations_are_found_in_the_record() {
        let mut observed = ObservedRealm::absent("scs");
        for (object, id) in [
            (Object::Realm, "r"),
            (Object::Client("grafana".into()), "c1"),
            (Object::User("ada".into()), "u1"),
            (Object::Group("a:b".into()), "g1"),
        ] {
            observed.objects.insert(object, json!({ "id": id }));
        }
        let of = |operation| path(&observed, &operation);
        let update = |object| KeycloakOperation::Update {
            object,
            differences: Vec::new(),
        };
        assert_eq!(
            of(update(Object::Client("grafana".into()))).unwrap(),
            "clients/c1"
        );
        let membership = Relation::Membership {
            user: "ada".into(),
            group: "a:b".into(),
        };
        assert_eq!(
            of(KeycloakOperation::Attach(membership)).unwrap(),
            "users/u1/groups/g1"
        );
        assert_eq!(of(update(Object::Client("unknown".into()))), None);
        let events = [
            json!({"resourcePath": "clients/c1", "time": 1_795_781_481_000_i64, "error": "no"}),
            json!({"resourcePath": "clients/c1", "time": 1_795_781_481_000_i64}),
            json!({"resourcePath": "clients/c1", "time": 1}),
        ];
        let event = newest(&events, "clients/c1").unwrap();
        assert_eq!(time(event), "2026-11-27 12:11 UTC");
    }
}
