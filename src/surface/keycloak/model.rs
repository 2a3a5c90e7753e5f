//! A realm in memory with the server's habits, for tests that need no server: it adds fields and objects of its own,
//! lower-cases user names, leaves out what is empty, and refuses steps the real one would refuse.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fields;
use super::object::{KeycloakOperation, Object, Relation};
use super::observe::ObservedRealm;
use crate::plan::Plan;

/// Applies all of `plan`.
pub(super) fn apply(realm: &mut ObservedRealm, plan: &Plan<KeycloakOperation>) {
    apply_first(realm, plan, plan.steps.len());
}

/// Applies the first `count` steps, as a run that is killed then.
pub(super) fn apply_first(realm: &mut ObservedRealm, plan: &Plan<KeycloakOperation>, count: usize) {
    for step in plan.steps.iter().take(count) {
        match &step.operation {
            KeycloakOperation::Create {
                object,
                representation,
            } => create(realm, object, representation),
            KeycloakOperation::Update { object, differences } => {
                let mut fields = realm.objects.remove(object).expect("updated objects exist");
                assert!(
                    differences
                        .iter()
                        .all(|difference| difference.is_current(&fields)),
                    "stale: {object} {differences:?} {fields}"
                );
                fields::merge(&mut fields, differences);
                store(realm, object, fields);
            }
            KeycloakOperation::Delete { object } => delete(realm, object),
            KeycloakOperation::Attach(relation) => attach(realm, relation),
            KeycloakOperation::Detach(relation) => {
                assert!(realm.relations.remove(relation), "absent: {relation}");
            }
        }
    }
}

fn create(realm: &mut ObservedRealm, object: &Object, representation: &Value) {
    let mut fields = representation.clone();
    match object {
        Object::UserProfile | Object::ClientPolicies | Object::RequiredAction(_) => {
            let own = &realm.objects[object];
            fields = own.clone();
            fields::merge(&mut fields, &fields::differences(own, representation));
            realm.objects.remove(object);
        }
        Object::Realm => {
            realm.objects.insert(Object::UserProfile, server_profile());
            realm
                .objects
                .insert(Object::ClientPolicies, json!({"profiles": {}, "policies": {}}));
            let account = Object::Client("account".into());
            realm
                .objects
                .insert(account, json!({"clientId": "account", "id": "account"}));
            realm.relations.insert(Relation::OfEverybody {
                client: "account".into(),
                role: "manage-account".into(),
            });
            for alias in ["CONFIGURE_TOTP", "TERMS_AND_CONDITIONS", "UPDATE_PASSWORD"] {
                let action = json!({"alias": alias, "enabled": false, "defaultAction": false});
                realm.objects.insert(Object::RequiredAction(alias.into()), action);
            }
            for scope in ["basic", "profile", "email", "roles", "acr", "web-origins"] {
                realm
                    .objects
                    .insert(Object::Scope(scope.into()), json!({"name": scope, "id": scope}));
            }
        }
        Object::User(name) => {
            for link in fields["federatedIdentities"].as_array().into_iter().flatten() {
                realm.relations.insert(Relation::Link {
                    user: name.clone(),
                    provider: link["identityProvider"].as_str().unwrap().into(),
                    id: link["userId"].as_str().unwrap().into(),
                });
            }
        }
        Object::Client(client) => {
            for scope in fields["defaultClientScopes"].as_array().into_iter().flatten() {
                let scope = scope.as_str().unwrap().to_owned();
                assert!(
                    realm.objects.contains_key(&Object::Scope(scope.clone())),
                    "no scope {scope}"
                );
                realm.relations.insert(Relation::DefaultScope {
                    client: client.clone(),
                    scope,
                });
            }
            fields["attributes"]["realm_client"] = json!("false");
        }
        Object::ProviderMapper { provider, .. } => require(realm, &Object::Provider(provider.clone())),
        Object::ScopeMapper { scope, .. } => require(realm, &Object::Scope(scope.clone())),
        Object::ClientMapper { client, .. } | Object::Role { client, .. } => {
            require(realm, &Object::Client(client.clone()));
        }
        Object::Scope(_) | Object::Provider(_) | Object::Group(_) => {}
    }
    assert!(!realm.objects.contains_key(object), "exists: {object}");
    store(realm, object, fields);
}

/// Keeps `fields` as the server shows them later.
fn store(realm: &mut ObservedRealm, object: &Object, mut fields: Value) {
    fields = fields::without_nulls(&fields);
    if fields["description"] == "" {
        fields.as_object_mut().unwrap().shift_remove("description");
    }
    fields["id"] = json!(format!("id of {object}"));
    if let Some(config) = fields.get_mut("config") {
        config["introspection.token.claim"] = json!("true");
    }
    let Object::User(old) = object else {
        realm.objects.insert(object.clone(), fields);
        return;
    };
    let name = fields["username"].as_str().unwrap().to_lowercase();
    fields["username"] = json!(name);
    rename(realm, old, &name);
    realm.objects.insert(Object::User(name), fields);
}

fn rename(realm: &mut ObservedRealm, old: &str, new: &str) {
    let renamed = realm.relations.iter().cloned().map(|relation| match relation {
        Relation::Link { user, provider, id } if user == old => Relation::Link {
            user: new.to_owned(),
            provider,
            id,
        },
        Relation::Membership { user, group } if user == old => Relation::Membership {
            user: new.to_owned(),
            group,
        },
        other => other,
    });
    realm.relations = renamed.collect::<BTreeSet<_>>();
}

fn delete(realm: &mut ObservedRealm, object: &Object) {
    require(realm, object);
    realm.objects.remove(object);
    if let Object::Client(id) = object {
        realm.objects.retain(|other, _| !matches!(other, Object::Role { client, .. } | Object::ClientMapper { client, .. } if client == id));
    }
    let ObservedRealm {
        objects, relations, ..
    } = realm;
    relations.retain(|relation| ends(relation).iter().all(|end| objects.contains_key(end)));
}

fn attach(realm: &mut ObservedRealm, relation: &Relation) {
    for end in ends(relation) {
        require(realm, &end);
    }
    if let Relation::DefaultScope { client, scope } = relation {
        let optional = Relation::OptionalScope {
            client: client.clone(),
            scope: scope.clone(),
        };
        assert!(
            !realm.relations.contains(&optional),
            "the server ignores {relation}"
        );
    }
    assert!(realm.relations.insert(relation.clone()), "exists: {relation}");
}

/// The objects that a relation needs.
fn ends(relation: &Relation) -> Vec<Object> {
    match relation {
        Relation::Link { user, provider, .. } => {
            vec![Object::User(user.clone()), Object::Provider(provider.clone())]
        }
        Relation::OfEverybody { client, .. } => vec![Object::Client(client.clone())],
        Relation::DefaultScope { client, scope } | Relation::OptionalScope { client, scope } => {
            vec![Object::Client(client.clone()), Object::Scope(scope.clone())]
        }
        Relation::RoleMapping { client, role, group } => vec![
            Object::Role {
                client: client.clone(),
                role: role.clone(),
            },
            Object::Group(group.clone()),
        ],
        Relation::Membership { user, group } => {
            vec![Object::User(user.clone()), Object::Group(group.clone())]
        }
    }
}

fn require(realm: &ObservedRealm, object: &Object) {
    assert!(realm.objects.contains_key(object), "absent: {object}");
}

fn server_profile() -> Value {
    let attribute = |name: &str| {
        json!({
            "name": name,
            "required": {"roles": ["user"]},
            "permissions": {"view": ["admin", "user"], "edit": ["admin", "user"]},
            "validations": {"length": {"min": 3, "max": 255}},
        })
    };
    let names = ["username", "email", "firstName", "lastName"];
    let attributes: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), attribute(name)))
        .collect();
    json!({ "attributes": attributes })
}
