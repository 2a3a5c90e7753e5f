//! What is in a realm now: objects with all their fields, and relations. Only reads; no secret is kept.
//!
//! The number of requests grows with the pages of each listing, plus one per declared member and one or two per
//! group or client that is declared or ours, never with the realm's users.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::client::Admin;
use super::error::KeycloakError;
use super::keyed::{keyed_policies, keyed_profile};
use super::mark::{self, FINGERPRINT, ID, Ownership, TOUCHED};
use super::object::{Object, Relation};
use super::rotation::ROTATED_SECRET;
use crate::desired::identity;

/// Keycloak's client by which people look after their own account.
const ACCOUNT: &str = "account";
/// Roles of that client by which somebody ends their link to the forge, makes another one, or gives themselves a password.
const OWN_ACCOUNT: [&str; 3] = ["manage-account", "manage-account-links", "delete-account"];

/// Requests in flight at a time.
const CONCURRENCY: usize = 8;

/// What was seen of a realm.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRealm {
    /// Name of the realm.
    pub name: String,
    pub(super) objects: BTreeMap<Object, Value>,
    pub(super) relations: BTreeSet<Relation>,
    /// Paths of groups below others that have the name of a declared group: tokens don't tell them apart.
    pub(super) namesakes: BTreeSet<String>,
}

impl ObservedRealm {
    /// A realm of which nothing was seen yet.
    pub(super) fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            objects: BTreeMap::new(),
            relations: BTreeSet::new(),
            namesakes: BTreeSet::new(),
        }
    }

    /// Whether the realm exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.objects.contains_key(&Object::Realm)
    }

    /// Whether `object` was seen.
    #[must_use]
    pub fn has(&self, object: &Object) -> bool {
        self.objects.contains_key(object)
    }

    /// Whether `object` was seen with the mark of `owner`.
    pub(super) fn is_owned(&self, object: &Object, owner: &str) -> bool {
        self.objects
            .get(object)
            .is_some_and(|observed| mark::ownership(object, observed) == Ownership::Owned(owner.to_owned()))
    }

    /// The name by which ledgers know an account.
    pub(super) fn ledger_name<'seen>(&'seen self, user: &'seen str) -> &'seen str {
        mark::ledger_name(self.objects.get(&Object::User(user.to_owned())), user)
    }

    /// Names of the members lotse added to `group`.
    pub(super) fn ledger(&self, group: &str) -> BTreeSet<String> {
        self.objects
            .get(&Object::Group(group.to_owned()))
            .map(mark::ledger)
            .unwrap_or_default()
    }

    /// Whether lotse made the account `user` for the person with this id at the forge.
    pub(super) fn was_made_for(&self, user: &str, id: u64) -> bool {
        let account = self.objects.get(&Object::User(user.to_owned()));
        account.is_some_and(|account| account["attributes"][ID][0] == id.to_string().as_str())
    }

    /// Id of the role that every account of the realm has.
    pub(super) fn default_role(&self) -> Option<&str> {
        self.objects.get(&Object::Realm)?["defaultRole"]["id"].as_str()
    }

    /// The user who is linked to `id` at `provider`.
    pub(super) fn linked_user(&self, provider: &str, id: u64) -> Option<&str> {
        let id = id.to_string();
        self.links()
            .find(|link| link.provider == provider && link.id == id)
            .map(|link| link.user)
    }

    /// The id at `provider` to which `user` is linked.
    pub(super) fn link_of(&self, user: &str, provider: &str) -> Option<&str> {
        self.links()
            .find(|link| link.user == user && link.provider == provider)
            .map(|link| link.id)
    }

    fn links(&self) -> impl Iterator<Item = Link<'_>> {
        self.relations.iter().filter_map(|relation| match relation {
            Relation::Link { user, provider, id } => Some(Link { user, provider, id }),
            _ => None,
        })
    }
}

struct Link<'seen> {
    user: &'seen str,
    provider: &'seen str,
    id: &'seen str,
}

/// Looks at everything that planning `realm` needs.
pub async fn observe(admin: &Admin, realm: &identity::Realm) -> Result<ObservedRealm, KeycloakError> {
    let mut seen = ObservedRealm::absent(&realm.name);
    let Some(found) = admin.find(&[&realm.name], &[]).await? else {
        return Ok(seen);
    };
    seen.objects.insert(Object::Realm, found);
    let looking = Looking { admin, realm };
    let parts = tokio::try_join!(
        looking.user_profile(),
        looking.client_policies(),
        looking.required_actions(),
        looking.scopes(),
        looking.providers(),
        looking.clients(),
        looking.groups(),
        looking.users(),
    )?;
    let (profile, policies, actions, scopes, providers, clients, groups, users) = parts;
    // Members of groups are known by less than people who are declared, so these come last.
    for part in [
        profile, policies, actions, scopes, providers, clients, groups, users,
    ] {
        seen.objects.extend(part.objects);
        seen.relations.extend(part.relations);
        seen.namesakes.extend(part.namesakes);
    }
    let everybody = looking.roles_of_everybody(&seen).await?;
    seen.relations.extend(everybody);
    Ok(seen)
}

struct Looking<'parts> {
    admin: &'parts Admin,
    realm: &'parts identity::Realm,
}

impl Looking<'_> {
    async fn user_profile(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let profile = self
            .admin
            .get(&[&self.realm.name, "users", "profile"], &[])
            .await?;
        seen.objects.insert(Object::UserProfile, keyed_profile(profile));
        Ok(seen)
    }

    async fn client_policies(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let realm = self.realm.name.as_str();
        let profiles = self
            .admin
            .get(&[realm, "client-policies", "profiles"], &[])
            .await?;
        let policies = self
            .admin
            .get(&[realm, "client-policies", "policies"], &[])
            .await?;
        let policies = keyed_policies(profiles, policies);
        seen.objects.insert(Object::ClientPolicies, policies);
        Ok(seen)
    }

    async fn required_actions(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let path = [&self.realm.name, "authentication", "required-actions"];
        for action in rows(self.admin.get(&path, &[]).await?) {
            seen.objects
                .insert(Object::RequiredAction(text(&action, "alias")), action);
        }
        Ok(seen)
    }

    async fn scopes(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let path = [&self.realm.name, "client-scopes"];
        for mut scope in rows(self.admin.get(&path, &[]).await?) {
            let name = text(&scope, "name");
            for mapper in take(&mut scope, "protocolMappers") {
                let key = Object::ScopeMapper {
                    scope: name.clone(),
                    mapper: text(&mapper, "name"),
                };
                seen.objects.insert(key, mapper);
            }
            seen.objects.insert(Object::Scope(name), scope);
        }
        Ok(seen)
    }

    async fn providers(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let path = [&self.realm.name, "identity-provider", "instances"];
        let full = [("briefRepresentation", "false")];
        for mut provider in self.admin.pages(&path, &full).await? {
            remove(&mut provider["config"], "clientSecret");
            let alias = text(&provider, "alias");
            let has_secret = provider["config"][FINGERPRINT].is_string();
            if has_secret && alias == self.realm.github.alias && self.is_touched(&alias).await? {
                provider["config"][FINGERPRINT] = TOUCHED.into();
            }
            seen.objects.insert(Object::Provider(alias), provider);
        }
        let own = self.realm.github.alias.as_str();
        if seen.has(&Object::Provider(own.to_owned())) {
            self.provider_mappers(own, &mut seen).await?;
        }
        Ok(seen)
    }

    async fn provider_mappers(&self, alias: &str, seen: &mut ObservedRealm) -> Result<(), KeycloakError> {
        let path = [
            &self.realm.name,
            "identity-provider",
            "instances",
            alias,
            "mappers",
        ];
        for mapper in rows(self.admin.get(&path, &[]).await?) {
            let key = Object::ProviderMapper {
                provider: alias.to_owned(),
                mapper: text(&mapper, "name"),
            };
            seen.objects.insert(key, mapper);
        }
        Ok(())
    }

    /// Whether somebody else changed the provider last, and so may have given it another secret: that can't be read,
    /// and its fingerprint stays. A record that may not be read, or has it no more, says nothing.
    async fn is_touched(&self, alias: &str) -> Result<bool, KeycloakError> {
        let path = format!("identity-provider/instances/{alias}");
        let newest = [
            ("resourcePath", path.as_str()),
            ("operationTypes", "UPDATE"),
            ("max", "1"),
        ];
        let events = match self.admin.get(&[&self.realm.name, "admin-events"], &newest).await {
            Err(KeycloakError::Forbidden { .. }) => return Ok(false),
            other => other?,
        };
        let Some(who) = events[0]["authDetails"]["userId"].as_str() else {
            return Ok(false);
        };
        let own = self.admin.own_id().await?;
        Ok(own.is_some_and(|own| own != who))
    }

    async fn clients(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let mut with_roles = Vec::new();
        for mut client in self.admin.pages(&[&self.realm.name, "clients"], &[]).await? {
            let id = text(&client, "clientId");
            for secret in ["secret", "registrationAccessToken"] {
                remove(&mut client, secret);
            }
            remove(&mut client["attributes"], ROTATED_SECRET);
            for mapper in take(&mut client, "protocolMappers") {
                let key = Object::ClientMapper {
                    client: id.clone(),
                    mapper: text(&mapper, "name"),
                };
                seen.objects.insert(key, mapper);
            }
            seen.relations.extend(scope_relations(&id, &client));
            let key = Object::Client(id.clone());
            let is_declared = self.realm.clients.iter().any(|declared| declared.client_id == id);
            if is_declared || mark::ownership(&key, &client) != Ownership::Unmarked {
                with_roles.push((id, text(&client, "id")));
            }
            seen.objects.insert(key, client);
        }
        self.roles(with_roles, &mut seen).await?;
        Ok(seen)
    }

    async fn roles(
        &self,
        clients: Vec<(String, String)>,
        seen: &mut ObservedRealm,
    ) -> Result<(), KeycloakError> {
        let lists: Vec<(String, Vec<Value>)> = stream::iter(clients)
            .map(|(client, id)| async move {
                let path = [&self.realm.name, "clients", id.as_str(), "roles"];
                let roles = self
                    .admin
                    .pages(&path, &[("briefRepresentation", "false")])
                    .await?;
                Ok((client, roles))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        for (client, roles) in lists {
            for role in roles {
                let key = Object::Role {
                    client: client.clone(),
                    role: text(&role, "name"),
                };
                seen.objects.insert(key, role);
            }
        }
        Ok(())
    }

    async fn groups(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let path = [&self.realm.name, "groups"];
        let mut with_members = Vec::new();
        for group in self
            .admin
            .pages(&path, &[("briefRepresentation", "false")])
            .await?
        {
            let name = text(&group, "name");
            seen.relations.extend(role_mappings(&name, &group));
            let key = Object::Group(name.clone());
            let is_declared = self.realm.groups.iter().any(|declared| declared.name == name);
            if is_declared || mark::ownership(&key, &group) != Ownership::Unmarked {
                with_members.push((name, text(&group, "id")));
            }
            seen.objects.insert(key, group);
        }
        let lists: Vec<(String, Vec<Value>)> = stream::iter(with_members)
            .map(|(group, id)| async move {
                let path = [&self.realm.name, "groups", id.as_str(), "members"];
                let members = self
                    .admin
                    .pages(&path, &[("briefRepresentation", "false")])
                    .await?;
                Ok((group, members))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        seen.namesakes = self.namesakes().await?;
        for (group, members) in lists {
            for user in members {
                seen.relations.insert(Relation::Membership {
                    user: text(&user, "username"),
                    group: group.clone(),
                });
                seen.objects
                    .entry(Object::User(text(&user, "username")))
                    .or_insert(user);
            }
        }
        Ok(seen)
    }

    /// Groups below others with the name of a declared one. The search finds a part of a name, so what all names begin with
    /// finds them all at once.
    async fn namesakes(&self) -> Result<BTreeSet<String>, KeycloakError> {
        let names: BTreeSet<&str> = self
            .realm
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        let beginning = common_beginning(&names);
        if beginning.is_empty() {
            return Ok(BTreeSet::new());
        }
        let query = [("search", beginning), ("populateHierarchy", "true")];
        let found = self.admin.pages(&[&self.realm.name, "groups"], &query).await?;
        let mut below: Vec<&Value> = found.iter().flat_map(children).collect();
        let mut namesakes = BTreeSet::new();
        while let Some(group) = below.pop() {
            if names.contains(group["name"].as_str().unwrap_or_default()) {
                namesakes.insert(text(group, "path"));
            }
            below.extend(children(group));
        }
        Ok(namesakes)
    }

    /// Roles by which people change their own account, as far as everybody has them.
    async fn roles_of_everybody(&self, seen: &ObservedRealm) -> Result<Vec<Relation>, KeycloakError> {
        let account = seen.objects.get(&Object::Client(ACCOUNT.to_owned()));
        let (Some(default), Some(account)) = (seen.default_role(), account) else {
            return Ok(Vec::new());
        };
        let path = [&self.realm.name, "roles-by-id", default, "composites"];
        let roles = rows(self.admin.get(&path, &[]).await?);
        let is_of_account = |role: &&Value| {
            role["containerId"] == account["id"]
                && role["name"]
                    .as_str()
                    .is_some_and(|name| OWN_ACCOUNT.contains(&name))
        };
        let found = roles.iter().filter(is_of_account);
        Ok(found
            .map(|role| Relation::OfEverybody {
                client: ACCOUNT.to_owned(),
                role: text(role, "name"),
            })
            .collect())
    }

    async fn users(&self) -> Result<ObservedRealm, KeycloakError> {
        let mut seen = ObservedRealm::absent(&self.realm.name);
        let accounts: Vec<Vec<Account>> = stream::iter(&self.realm.members)
            .map(|member| self.accounts(member))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        for account in accounts.into_iter().flatten() {
            let user = text(&account.user, "username");
            if let Some(id) = account.linked_id {
                let provider = self.realm.github.alias.clone();
                let user = user.clone();
                seen.relations.insert(Relation::Link { user, provider, id });
            }
            seen.objects.insert(Object::User(user), account.user);
        }
        Ok(seen)
    }

    /// The account that is linked to the member, and the one that has the member's name if it is another one.
    async fn accounts(&self, member: &identity::Member) -> Result<Vec<Account>, KeycloakError> {
        let name = super::wanted::user_name(member);
        let id = member.id.to_string();
        let linked = [("idpAlias", self.realm.github.alias.as_str()), ("idpUserId", &id)];
        let mut accounts: Vec<Account> = self
            .find_users(&linked)
            .await?
            .into_iter()
            .map(|user| Account {
                user,
                linked_id: Some(id.clone()),
            })
            .collect();
        if accounts
            .iter()
            .all(|account| account.user["username"] != name.as_str())
        {
            for user in self.find_users(&[("username", &name), ("exact", "true")]).await? {
                let linked_id = self.link(&text(&user, "id")).await?;
                accounts.push(Account { user, linked_id });
            }
        }
        Ok(accounts)
    }

    async fn find_users(&self, filter: &[(&str, &str)]) -> Result<Vec<Value>, KeycloakError> {
        let mut query = vec![("briefRepresentation", "false")];
        query.extend(filter);
        self.admin
            .get(&[&self.realm.name, "users"], &query)
            .await
            .map(rows)
    }

    async fn link(&self, user_id: &str) -> Result<Option<String>, KeycloakError> {
        let path = [&self.realm.name, "users", user_id, "federated-identity"];
        let links = rows(self.admin.get(&path, &[]).await?);
        let link = links
            .into_iter()
            .find(|link| link["identityProvider"] == self.realm.github.alias.as_str());
        Ok(link.map(|link| text(&link, "userId")))
    }
}

struct Account {
    user: Value,
    linked_id: Option<String>,
}

fn scope_relations(client: &str, representation: &Value) -> Vec<Relation> {
    let names = |field: &str| -> Vec<String> {
        let names = representation[field].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let default = names("defaultClientScopes")
        .into_iter()
        .map(|scope| Relation::DefaultScope {
            client: client.to_owned(),
            scope,
        });
    let optional = names("optionalClientScopes")
        .into_iter()
        .map(|scope| Relation::OptionalScope {
            client: client.to_owned(),
            scope,
        });
    default.chain(optional).collect()
}

fn role_mappings(group: &str, representation: &Value) -> Vec<Relation> {
    let mut mappings = Vec::new();
    for (client, roles) in representation["clientRoles"].as_object().into_iter().flatten() {
        for role in roles.as_array().into_iter().flatten().filter_map(Value::as_str) {
            mappings.push(Relation::RoleMapping {
                client: client.clone(),
                role: role.to_owned(),
                group: group.to_owned(),
            });
        }
    }
    mappings
}

fn children(group: &Value) -> impl Iterator<Item = &Value> {
    group["subGroups"].as_array().into_iter().flatten()
}

/// What all of `names` begin with.
fn common_beginning<'names>(names: &BTreeSet<&'names str>) -> &'names str {
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return "";
    };
    let letters = first.char_indices().zip(last.chars());
    let end = letters.clone().find(|((_, one), other)| one != other);
    let same = match end {
        Some(((end, _), _)) => end,
        None => first.len().min(last.len()),
    };
    &first[..same]
}

fn rows(value: Value) -> Vec<Value> {
    match value {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

fn take(value: &mut Value, field: &str) -> Vec<Value> {
    let taken = value.get_mut(field).map(Value::take);
    remove(value, field);
    taken.map(rows).unwrap_or_default()
}

fn remove(value: &mut Value, field: &str) {
    if let Value::Object(fields) = value {
        fields.shift_remove(field);
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_relations_come_from_the_representations() {
        let client = json!({"defaultClientScopes": ["basic"], "optionalClientScopes": ["groups"]});
        assert_eq!(
            scope_relations("kubectl", &client),
            [
                Relation::DefaultScope {
                    client: "kubectl".into(),
                    scope: "basic".into()
                },
                Relation::OptionalScope {
                    client: "kubectl".into(),
                    scope: "groups".into()
                },
            ]
        );
        let group = json!({"clientRoles": {"grafana": ["admin", "viewer"]}});
        assert_eq!(role_mappings("a:b", &group).len(), 2);
        assert_eq!(role_mappings("a:b", &json!({})), []);
    }
}
