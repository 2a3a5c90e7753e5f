//! Carries out a plan, step by step, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Admin;
use super::error::KeycloakError;
use super::fields::{self, Difference};
use super::keyed::{keyed_policies, keyed_profile, listed_policies, listed_profile};
use super::mark::{FINGERPRINT, TOUCHED};
use super::object::{KeycloakOperation, Object, Relation};
use super::observe::ObservedRealm;
use super::rotation::ROTATED_SECRET;
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
        default_role: observed.default_role().map(str::to_owned),
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
    /// Id of the role that every account of the realm has.
    default_role: Option<String>,
}

impl Applying<'_> {
    async fn step(&mut self, operation: &KeycloakOperation) -> Result<(), KeycloakError> {
        match operation {
            KeycloakOperation::Create {
                object,
                representation,
            } if object.comes_with_its_realm() => self.write_into(object, representation).await,
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

    /// A new realm has the server's own, which was not there to be seen: whatever differs is written.
    async fn write_into(&self, object: &Object, wanted: &Value) -> Result<(), KeycloakError> {
        let mut current = self.read(object).await?;
        let differences = fields::differences(&current, wanted);
        if differences.is_empty() {
            return Ok(());
        }
        fields::merge(&mut current, &differences);
        self.write(object, current, &differences).await
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
        let mut current = self.read(object).await?;
        if differences.iter().any(is_of_touched_secret) {
            current["config"][FINGERPRINT] = json!(TOUCHED);
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
        self.write(object, current, differences).await
    }

    async fn read(&self, object: &Object) -> Result<Value, KeycloakError> {
        if *object == Object::ClientPolicies {
            let [profiles, policies] = self.policy_paths();
            let profiles = self.admin.get(&profiles, &[]).await?;
            let policies = self.admin.get(&policies, &[]).await?;
            return Ok(keyed_policies(profiles, policies));
        }
        let read = self.admin.get(&borrowed(&self.path(object)?), &[]).await?;
        Ok(match object {
            Object::UserProfile => keyed_profile(read),
            _ => read,
        })
    }

    async fn write(
        &self,
        object: &Object,
        current: Value,
        differences: &[Difference],
    ) -> Result<(), KeycloakError> {
        if *object == Object::ClientPolicies {
            return self.write_policies(current, differences).await;
        }
        let body = self.body(object, current, differences);
        self.admin.put(&borrowed(&self.path(object)?), Some(&body)).await
    }

    /// A profile is there before the policy that uses it, and goes after it.
    async fn write_policies(&self, current: Value, differences: &[Difference]) -> Result<(), KeycloakError> {
        let [profiles_path, policies_path] = self.policy_paths();
        let (profiles, policies) = listed_policies(current);
        if differences.iter().any(|difference| difference.after.is_none()) {
            self.admin.put(&policies_path, Some(&policies)).await?;
            return self.admin.put(&profiles_path, Some(&profiles)).await;
        }
        self.admin.put(&profiles_path, Some(&profiles)).await?;
        self.admin.put(&policies_path, Some(&policies)).await
    }

    const fn policy_paths(&self) -> [[&str; 3]; 2] {
        [
            [self.realm, "client-policies", "profiles"],
            [self.realm, "client-policies", "policies"],
        ]
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
                if let Some(Value::Object(attributes)) = object_now.get_mut("attributes") {
                    attributes.shift_remove(ROTATED_SECRET);
                }
                object_now
            }
            Object::Provider(_) => {
                // Otherwise the mask that was read goes back, which means "keep".
                if differences.iter().any(Difference::is_of_secret) {
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
            Relation::RoleMapping { client, role, .. } => {
                let path = self.relation_path(relation)?;
                let body = self.role_body(client, role).await?;
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
        let path = self.relation_path(relation)?;
        let body = match relation {
            Relation::RoleMapping { client, role, .. } | Relation::OfEverybody { client, role } => {
                Some(self.role_body(client, role).await?)
            }
            _ => None,
        };
        self.admin.delete(&borrowed(&path), body.as_ref()).await
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
            Relation::OfEverybody { .. } => {
                let role = self.default_role.as_deref().ok_or(KeycloakError::Absent {
                    object: Object::Realm,
                })?;
                Ok(self.owned_path(&["roles-by-id", role, "composites"]))
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

    /// How a request says which role it is about: the server wants its id.
    async fn role_body(&self, client: &str, role: &str) -> Result<Value, KeycloakError> {
        let role = Object::Role {
            client: client.to_owned(),
            role: role.to_owned(),
        };
        let found = self.admin.get(&borrowed(&self.path(&role)?), &[]).await?;
        Ok(json!([{ "id": found["id"], "name": found["name"] }]))
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
            Object::RequiredAction(alias) | Object::Provider(alias) => path.push(alias.clone()),
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
            Object::ClientPolicies => Ok(self.owned_path(&["client-policies"])),
            Object::RequiredAction(_) => Ok(self.owned_path(&["authentication", "required-actions"])),
            Object::Scope(_) => Ok(self.owned_path(&["client-scopes"])),
            Object::Provider(_) => Ok(self.owned_path(&["identity-provider", "instances"])),
            Object::ProviderMapper { provider, .. } => {
                Ok(self.owned_path(&["identity-provider", "instances", provider, "mappers"]))
            }
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

/// Whether the secret is to be written since somebody else may have: its fingerprint says nothing then.
fn is_of_touched_secret(difference: &Difference) -> bool {
    difference.is_of_secret() && difference.before.as_ref().is_some_and(|before| before == TOUCHED)
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
