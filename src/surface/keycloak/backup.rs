//! What a plan deletes, kept so that it can be brought back. No secret is in it: a confidential client that comes back
//! has another one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ObservedRealm;
use super::object::{KeycloakOperation, Object, Relation};
use crate::plan::{Action, Plan};

/// `apiVersion` of a backup.
pub const API_VERSION: &str = "lotse/v1";
/// `kind` of a backup.
pub const KIND: &str = "RealmBackup";

/// What the server alone writes into an object.
const SERVERS: [&str; 7] = [
    "id",
    "access",
    "path",
    "subGroups",
    "subGroupCount",
    "containerId",
    "secret",
];

/// Objects of a realm with all that hangs on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RealmBackup {
    /// `lotse/v1`
    pub api_version: String,
    /// `RealmBackup`
    pub kind: String,
    /// Name of the realm.
    pub realm: String,
    objects: Vec<KeptObject>,
    relations: Vec<Relation>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptObject {
    object: Object,
    representation: Value,
}

impl RealmBackup {
    /// What `plan` deletes, and what goes with it: mappers and roles of a client, mappers of a scope, and relations; and
    /// the members that it takes out of a group who were put there by hand, `strangers`.
    #[must_use]
    pub fn of(
        observed: &ObservedRealm,
        plan: &Plan<KeycloakOperation>,
        strangers: &Plan<KeycloakOperation>,
    ) -> Self {
        let deleted: BTreeSet<&Object> = deletions(plan).collect();
        let ended: BTreeSet<&Relation> = evicted(plan, strangers).collect();
        let goes = |object: &Object| {
            deleted.contains(object) || owner(object).is_some_and(|owner| deleted.contains(&owner))
        };
        let objects = observed.objects.iter().filter(|(object, _)| goes(object));
        let relations = observed
            .relations
            .iter()
            .filter(|relation| ended.contains(relation) || ends(relation).iter().any(goes));
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            realm: observed.name.clone(),
            objects: objects
                .map(|(object, representation)| KeptObject {
                    object: object.clone(),
                    representation: kept(representation),
                })
                .collect(),
            relations: relations.cloned().collect(),
        }
    }

    /// Names of the objects, and of the members who were in groups by hand.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let members = self.relations.iter().filter(|relation| {
            let is_kept = |end: &Object| self.objects.iter().any(|kept| kept.object == *end);
            matches!(relation, Relation::Membership { .. }) && !ends(relation).iter().any(is_kept)
        });
        let objects = self.objects.iter().map(|kept| kept.object.to_string());
        objects.chain(members.map(ToString::to_string))
    }

    /// The steps that bring back what is not there. What is there stays as it is; a relation whose other end is gone
    /// does not come back.
    #[must_use]
    pub fn restoration(&self, observed: &ObservedRealm) -> Plan<KeycloakOperation> {
        let mut plan = Plan::empty();
        let missing: BTreeMap<&Object, &Value> = self
            .objects
            .iter()
            .filter(|kept| !observed.objects.contains_key(&kept.object))
            .map(|kept| (&kept.object, &kept.representation))
            .collect();
        for (object, representation) in &missing {
            let operation = KeycloakOperation::Create {
                object: (*object).clone(),
                representation: (*representation).clone(),
            };
            plan.push(Action::Create, object.to_string(), Vec::new(), operation);
        }
        let is_there =
            |object: &Object| observed.objects.contains_key(object) || missing.contains_key(object);
        for relation in &self.relations {
            if !observed.relations.contains(relation) && ends(relation).iter().all(is_there) {
                let operation = KeycloakOperation::Attach(relation.clone());
                plan.push(Action::Create, relation.to_string(), Vec::new(), operation);
            }
        }
        plan
    }
}

/// What `plan` deletes as a whole.
pub fn deletions(plan: &Plan<KeycloakOperation>) -> impl Iterator<Item = &Object> {
    plan.steps.iter().filter_map(|step| match &step.operation {
        KeycloakOperation::Delete { object } => Some(object),
        _ => None,
    })
}

/// The members that `plan` takes out of groups and who were put there by hand.
pub fn evicted<'plan>(
    plan: &'plan Plan<KeycloakOperation>,
    strangers: &'plan Plan<KeycloakOperation>,
) -> impl Iterator<Item = &'plan Relation> {
    let is_one = |operation: &KeycloakOperation| {
        let mut all = strangers.steps.iter();
        all.any(|step| step.operation == *operation)
    };
    plan.steps.iter().filter_map(move |step| match &step.operation {
        KeycloakOperation::Detach(relation) if is_one(&step.operation) => Some(relation),
        _ => None,
    })
}

/// What an object is a part of.
fn owner(object: &Object) -> Option<Object> {
    match object {
        Object::ClientMapper { client, .. } | Object::Role { client, .. } => {
            Some(Object::Client(client.clone()))
        }
        Object::ScopeMapper { scope, .. } => Some(Object::Scope(scope.clone())),
        _ => None,
    }
}

/// The two objects that a relation is between; a link has one.
fn ends(relation: &Relation) -> Vec<Object> {
    match relation {
        Relation::Link { user, .. } => vec![Object::User(user.clone())],
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

fn kept(representation: &Value) -> Value {
    let mut kept = representation.clone();
    if let Value::Object(fields) = &mut kept {
        fields.retain(|key, _| !SERVERS.contains(&key.as_str()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn realm() -> ObservedRealm {
        let mut realm = ObservedRealm::absent("scs");
        let role = Object::Role {
            client: "old".into(),
            role: "viewer".into(),
        };
        for object in [
            Object::Client("old".into()),
            Object::Client("kept".into()),
            role,
            Object::Group("a:b".into()),
            Object::User("ada".into()),
        ] {
            realm
                .objects
                .insert(object, json!({"id": "1", "secret": "s3cret", "name": "x"}));
        }
        realm.relations.insert(Relation::RoleMapping {
            client: "old".into(),
            role: "viewer".into(),
            group: "a:b".into(),
        });
        realm.relations.insert(Relation::Membership {
            user: "ada".into(),
            group: "a:b".into(),
        });
        realm
    }

    #[test]
    fn test_what_is_deleted_comes_back_with_what_hangs_on_it() {
        let before = realm();
        let mut plan = Plan::empty();
        let object = Object::Client("old".into());
        let operation = KeycloakOperation::Delete {
            object: object.clone(),
        };
        plan.push(Action::Delete, object.to_string(), Vec::new(), operation);
        let backup = RealmBackup::of(&before, &plan, &Plan::empty());
        let kept: Vec<String> = backup
            .objects
            .iter()
            .map(|kept| kept.object.to_string())
            .collect();
        assert_eq!(kept, ["client old", "role viewer of client old"]);
        let text = serde_json::to_string(&backup).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let backup: RealmBackup = serde_json::from_str(&text).unwrap();

        let told = |realm: &ObservedRealm| -> Vec<String> {
            let plan = backup.restoration(realm);
            plan.changes().map(|change| change.object.clone()).collect()
        };
        assert_eq!(told(&before), [] as [&str; 0], "nothing is missing");
        let mut after = before;
        after
            .objects
            .retain(|object, _| !object.to_string().contains("old"));
        after
            .relations
            .retain(|relation| !relation.to_string().contains("old"));
        assert_eq!(
            told(&after),
            [
                "client old",
                "role viewer of client old",
                "role viewer of client old for group a:b"
            ]
        );
        after.objects.remove(&Object::Group("a:b".into()));
        assert_eq!(told(&after), ["client old", "role viewer of client old"]);
    }
    #[test]
    fn test_who_was_put_into_a_group_by_hand_comes_back_and_who_left_does_not() {
        let mut before = realm();
        let member = |user: &str| Relation::Membership {
            user: user.into(),
            group: "a:b".into(),
        };
        let mut plan = Plan::empty();
        let mut strangers = Plan::empty();
        for user in ["ada", "eve"] {
            before
                .objects
                .insert(Object::User(user.into()), json!({"username": user}));
            before.relations.insert(member(user));
            let step = |plan: &mut Plan<KeycloakOperation>| {
                let operation = KeycloakOperation::Detach(member(user));
                plan.push(Action::Delete, member(user).to_string(), Vec::new(), operation);
            };
            step(&mut plan);
            if user == "eve" {
                step(&mut strangers);
            }
        }
        let backup = RealmBackup::of(&before, &plan, &strangers);
        before.relations.clear();
        let restored = backup.restoration(&before);
        let told: Vec<&str> = restored.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(told, ["member eve of group a:b"]);
    }
}
