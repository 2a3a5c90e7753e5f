//! Carries out a plan, step by step, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Admin;
use super::error::KeycloakError;
use super::fields::{self, Difference};
use super::mark::FINGERPRINT;
use super::object::{KeycloakOperation, Object, Relation};
use super::observe::{ObservedRealm, keyed_profile, listed_profile};
use crate::plan::Plan;
use crate::secret::Secret;

/// Applies `plan`, which was made from `observed`, in its order. `provider_secret` goes into the identity provider
/// when the plan says so. Stops at the first failure; planning again goes on from there.
pub async fn apply(
    admin: &Admin,
    observed: &ObservedRealm,
    plan: &Plan<KeycloakOperation>,
    provider_secret: &Secret,
) -> Result<(), KeycloakError> {
    let mut applying = Applying {
        admin,
        realm: &observed.name,
        provider_secret,
        ids: ids(observed),
    };
    for step in &plan.steps {
        applying.step(&step.operation).await?;
    }
    Ok(())
}

/// The ids the server gave to the objects that were seen.
fn ids(observed: &ObservedRealm) -> BTreeMap<Object, String> {
    observed
        .objects
        .iter()
        .filter_map(|(object, fields)| Some((object.clone(), fields["id"].as_str()?.to_owned())))
        .collect()
}

struct Applying<'parts> {
    admin: &'parts Admin,
    realm: &'parts str,
    provider_secret: &'parts Secret,
    ids: BTreeMap<Object, String>,
}

impl Applying<'_> {
    async fn step(&mut self, operation: &KeycloakOperation) -> Result<(), KeycloakError> {
        match operation {
            KeycloakOperation::Create {
                object: Object::UserProfile,
                representation,
            } => self.write_user_profile(representation).await,
            KeycloakOperation::Create {
                object,
                representation,
            } => self.create(object, representation).await,
            KeycloakOperation::Update { object, differences } => self.update(object, differences).await,
            KeycloakOperation::Delete { object } => {
                let path = self.path(object)?;
                self.admin.delete(&borrowed(&path), None).await
            }
            KeycloakOperation::Attach(relation) => self.attach(relation).await,
            KeycloakOperation::Detach(relation) => self.detach(relation).await,
        }
    }

    /// A new realm has the server's profile, which was not there to be seen: whatever differs is written.
    async fn write_user_profile(&self, wanted: &Value) -> Result<(), KeycloakError> {
        let path = [self.realm, "users", "profile"];
        let mut profile = keyed_profile(self.admin.get(&path, &[]).await?);
        let differences = fields::differences(&profile, wanted);
        fields::merge(&mut profile, &differences);
        self.admin.put(&path, Some(&listed_profile(profile))).await
    }

    async fn create(&mut self, object: &Object, representation: &Value) -> Result<(), KeycloakError> {
        let mut body = representation.clone();
        if matches!(object, Object::Provider(_)) {
            body["config"]["clientSecret"] = json!(self.provider_secret.expose());
        }
        let path = self.collection(object)?;
        match self.admin.post(&borrowed(&path), &body).await {
            Ok(id) => {
                self.ids.extend(id.map(|id| (object.clone(), id)));
                Ok(())
            }
            Err(KeycloakError::Refused {
                status: 409, message, ..
            }) => Err(KeycloakError::Stale {
                object: object.clone(),
                what: message,
            }),
            Err(error) => Err(error),
        }
    }

    /// Reads the object again right before writing it: nothing the plan does not know of is overwritten, and
    /// nothing is written that is already so.
    async fn update(&self, object: &Object, differences: &[Difference]) -> Result<(), KeycloakError> {
        let path = self.path(object)?;
        let mut current = self.admin.get(&borrowed(&path), &[]).await?;
        if *object == Object::UserProfile {
            current = keyed_profile(current);
        }
        if differences.iter().all(|difference| difference.is_done(&current)) {
            return Ok(());
        }
        if let Some(stale) = differences
            .iter()
            .find(|difference| !difference.is_current(&current) && !difference.is_done(&current))
        {
            return Err(KeycloakError::Stale {
                object: object.clone(),
                what: stale.name(),
            });
        }
        fields::merge(&mut current, differences);
        let body = self.body(object, current, differences);
        self.admin.put(&borrowed(&path), Some(&body)).await
    }

    /// What is sent back of an object that was read and changed.
    fn body(&self, object: &Object, mut object_now: Value, differences: &[Difference]) -> Value {
        match object {
            Object::UserProfile => listed_profile(object_now),
            Object::Realm => touched(&object_now, differences),
            Object::Client(_) => {
                // Absent means "keep"; what was read may be a mask.
                if let Value::Object(fields) = &mut object_now {
                    fields.shift_remove("secret");
                }
                object_now
            }
            Object::Provider(_) => {
                // Otherwise the mask that was read goes back, which means "keep".
                if differences
                    .iter()
                    .any(|difference| difference.path.last().is_some_and(|key| key == FINGERPRINT))
                {
                    object_now["config"]["clientSecret"] = json!(self.provider_secret.expose());
                }
                object_now
            }
            _ => object_now,
        }
    }

    async fn attach(&self, relation: &Relation) -> Result<(), KeycloakError> {
        match relation {
            Relation::Link { user, provider, id } => {
                let path = self.below(&Object::User(user.clone()), &["federated-identity", provider])?;
                let body = json!({ "userId": id, "userName": user });
                self.admin.post(&borrowed(&path), &body).await.map(|_| ())
            }
            Relation::RoleMapping { client, role, group } => {
                let (path, body) = self.role_mapping(client, role, group).await?;
                self.admin.post(&borrowed(&path), &body).await.map(|_| ())
            }
            _ => {
                self.admin
                    .put(&borrowed(&self.relation_path(relation)?), None)
                    .await
            }
        }
    }

    async fn detach(&self, relation: &Relation) -> Result<(), KeycloakError> {
        if let Relation::RoleMapping { client, role, group } = relation {
            let (path, body) = self.role_mapping(client, role, group).await?;
            return self.admin.delete(&borrowed(&path), Some(&body)).await;
        }
        self.admin
            .delete(&borrowed(&self.relation_path(relation)?), None)
            .await
    }

    fn relation_path(&self, relation: &Relation) -> Result<Vec<String>, KeycloakError> {
        match relation {
            Relation::Link { user, provider, .. } => {
                self.below(&Object::User(user.clone()), &["federated-identity", provider])
            }
            Relation::Membership { user, group } => {
                let group = self.id(&Object::Group(group.clone()))?;
                self.below(&Object::User(user.clone()), &["groups", group])
            }
            Relation::DefaultScope { client, scope } => {
                let scope = self.id(&Object::Scope(scope.clone()))?;
                self.below(&Object::Client(client.clone()), &["default-client-scopes", scope])
            }
            Relation::OptionalScope { client, scope } => {
                let scope = self.id(&Object::Scope(scope.clone()))?;
                self.below(
                    &Object::Client(client.clone()),
                    &["optional-client-scopes", scope],
                )
            }
            Relation::RoleMapping { client, group, .. } => {
                let client = self.id(&Object::Client(client.clone()))?;
                self.below(
                    &Object::Group(group.clone()),
                    &["role-mappings", "clients", client],
                )
            }
        }
    }

    /// Address and body of a role mapping; the server wants the role's id in the body.
    async fn role_mapping(
        &self,
        client: &str,
        role: &str,
        group: &str,
    ) -> Result<(Vec<String>, Value), KeycloakError> {
        let relation = Relation::RoleMapping {
            client: client.to_owned(),
            role: role.to_owned(),
            group: group.to_owned(),
        };
        let role = Object::Role {
            client: client.to_owned(),
            role: role.to_owned(),
        };
        let found = self.admin.get(&borrowed(&self.path(&role)?), &[]).await?;
        let body = json!([{ "id": found["id"], "name": found["name"] }]);
        Ok((self.relation_path(&relation)?, body))
    }

    fn id(&self, object: &Object) -> Result<&str, KeycloakError> {
        self.ids
            .get(object)
            .map(String::as_str)
            .ok_or_else(|| KeycloakError::Absent {
                object: object.clone(),
            })
    }

    fn below(&self, object: &Object, more: &[&str]) -> Result<Vec<String>, KeycloakError> {
        let mut path = self.path(object)?;
        path.extend(more.iter().map(|&segment| segment.to_owned()));
        Ok(path)
    }

    /// Where an object is.
    fn path(&self, object: &Object) -> Result<Vec<String>, KeycloakError> {
        let mut path = self.collection(object)?;
        match object {
            Object::Realm => path.push(self.realm.to_owned()),
            Object::UserProfile => path.push("profile".into()),
            Object::Provider(alias) => path.push(alias.clone()),
            Object::Role { role, .. } => path.push(role.clone()),
            _ => path.push(self.id(object)?.to_owned()),
        }
        Ok(path)
    }

    /// Where objects of its kind are created.
    fn collection(&self, object: &Object) -> Result<Vec<String>, KeycloakError> {
        let mappers = ["protocol-mappers", "models"];
        match object {
            Object::Realm => Ok(Vec::new()),
            Object::UserProfile | Object::User(_) => Ok(self.owned_path(&["users"])),
            Object::Scope(_) => Ok(self.owned_path(&["client-scopes"])),
            Object::Provider(_) => Ok(self.owned_path(&["identity-provider", "instances"])),
            Object::Client(_) => Ok(self.owned_path(&["clients"])),
            Object::Group(_) => Ok(self.owned_path(&["groups"])),
            Object::ScopeMapper { scope, .. } => {
                let scope = self.id(&Object::Scope(scope.clone()))?;
                Ok(self.owned_path(&["client-scopes", scope, mappers[0], mappers[1]]))
            }
            Object::ClientMapper { client, .. } => {
                let client = self.id(&Object::Client(client.clone()))?;
                Ok(self.owned_path(&["clients", client, mappers[0], mappers[1]]))
            }
            Object::Role { client, .. } => {
                let client = self.id(&Object::Client(client.clone()))?;
                Ok(self.owned_path(&["clients", client, "roles"]))
            }
        }
    }

    fn owned_path(&self, segments: &[&str]) -> Vec<String> {
        let whole = [self.realm].into_iter().chain(segments.iter().copied());
        whole.map(str::to_owned).collect()
    }
}

/// Only the fields at the top that a difference touches. The rest of a realm stays out of the request, above all
/// its masked passwords; its attributes are replaced as a whole and so are sent as a whole.
fn touched(object: &Value, differences: &[Difference]) -> Value {
    let mut body = json!({});
    for difference in differences {
        if let Some(key) = difference.path.first() {
            body[key] = object[key].clone();
        }
    }
    body
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
