//! Declarations and edits by hand that are left to chance.

use lotse::desired::identity::{Member, Realm};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::expected::{below, link_of, linked, marked, memberships, named, owned, path};
use super::seen::{Seen, text};
use super::site::{ADMINS, EDITORS, PROVIDER, VIEWERS, client, member, realm};

pub(super) const SEED: &str = "LOTSE_TEST_SEED";
pub(super) const ROUNDS: &str = "LOTSE_TEST_ROUNDS";
/// People by their ids at the forge, and the logins they have there in turn. Somebody may want a name that another had.
pub(super) const PEOPLE: [(u64, [&str; 2]); 5] = [
    (101, ["Ada", "Ada-Renamed"]),
    (102, ["bo", "bo-x"]),
    (103, ["cy", "Cy-2"]),
    (104, ["dan", "ada-renamed"]),
    (105, ["Fay", "bo"]),
];
pub(super) const GROUPS: [&str; 4] = [ADMINS, VIEWERS, EDITORS, "SovereignCloudStack:statuspage-admin"];
pub(super) const CLIENTS: [&str; 4] = ["grafana", "kubectl", "website", "statuspage"];

/// A user and a group, by their ids.
pub(super) type Pair = (String, String);

/// What somebody does in the console.
#[derive(Debug)]
pub(super) enum Edit {
    Post(Vec<String>, Value),
    Put(Vec<String>, Option<Value>),
    Delete(Vec<String>, Option<Value>),
}

/// Chance, and what it needs.
pub(super) struct Dice {
    pub(super) rng: StdRng,
    pub(super) thrown: usize,
}

impl Dice {
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    pub(super) fn is_so(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn one<'items, T>(&mut self, items: &'items [T]) -> Option<&'items T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }

    /// Some of them, in any order.
    pub(super) fn some<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        items.shuffle(&mut self.rng);
        items.truncate(self.below(items.len() + 1));
        items
    }

    /// A name that nothing has yet.
    pub(super) fn name(&mut self) -> String {
        self.thrown += 1;
        format!("by-hand-{}", self.thrown)
    }

    pub(super) fn realm(&mut self, name: &str) -> Realm {
        let groups = self.some(&GROUPS);
        let mut members: Vec<Member> = Vec::new();
        for (id, logins) in self.some(&PEOPLE) {
            let login = logins[self.below(2)];
            let is_taken = |other: &Member| other.login.eq_ignore_ascii_case(login);
            if !members.iter().any(is_taken) {
                members.push(member(login, id, &self.some(&groups)));
            }
        }
        let clients = self
            .some(&CLIENTS)
            .into_iter()
            .map(|id| {
                let roles: Vec<(&str, Vec<&str>)> = self
                    .some(&["admin", "viewer", "editor"])
                    .into_iter()
                    .map(|role| (role, self.some(&groups)))
                    .collect();
                let roles: Vec<(&str, &[&str])> = roles
                    .iter()
                    .map(|(role, groups)| (*role, groups.as_slice()))
                    .collect();
                let redirect = ["https://one.lab.test/", "https://two.lab.test/"][self.below(2)];
                client(id, redirect, &roles)
            })
            .collect();
        realm(name, &groups, members, clients)
    }

    /// The same in another order.
    pub(super) fn shuffled(&mut self, realm: &Realm) -> Realm {
        let mut realm = realm.clone();
        realm.groups.shuffle(&mut self.rng);
        realm.members.shuffle(&mut self.rng);
        realm.clients.shuffle(&mut self.rng);
        for member in &mut realm.members {
            member.groups.shuffle(&mut self.rng);
        }
        for client in &mut realm.clients {
            client.redirect_uris.shuffle(&mut self.rng);
            for groups in client.roles.values_mut() {
                groups.shuffle(&mut self.rng);
            }
        }
        realm
    }

    /// Something that somebody does, if what it is done to is there.
    pub(super) fn edit(&mut self, seen: &Seen) -> Option<Edit> {
        match self.below(18) {
            0..=3 => {
                let kinds = ["client ", "group ", "role ", "user ", "scope ", "provider "];
                let kind = kinds[self.below(kinds.len())];
                let key = self.one(&marked(seen, kind))?.clone();
                Some(Edit::Delete(path(seen, &key), None))
            }
            4 => self.without_mapper(seen),
            5..=8 => self.changed_object(seen),
            9..=12 => self.another_relation(seen),
            13 => {
                let setting = [
                    json!({"displayName": self.name()}),
                    json!({"registrationAllowed": true}),
                    json!({"accessTokenLifespan": 77}),
                ];
                Some(Edit::Put(Vec::new(), self.one(&setting).cloned()))
            }
            _ => Some(self.foreign_object()),
        }
    }

    pub(super) fn without_mapper(&mut self, seen: &Seen) -> Option<Edit> {
        let mut owners = marked(seen, "client ");
        owners.extend(marked(seen, "scope "));
        let key = self.one(&owners)?;
        let mappers = seen.get(key)["protocolMappers"].as_array()?;
        let mapper = self.one(mappers)?;
        let more = ["protocol-mappers", "models", text(mapper, "id")];
        Some(Edit::Delete(below(seen, key, &more), None))
    }

    pub(super) fn changed_object(&mut self, seen: &Seen) -> Option<Edit> {
        let (kind, field, value) = match self.below(8) {
            0 => ("client ", "/redirectUris", json!(["https://evil.example/"])),
            1 => ("client ", "/enabled", json!(false)),
            2 => ("client ", "/description", json!("changed by hand")),
            3 => ("provider ", "/config/syncMode", json!("FORCE")),
            4 => ("provider ", "/config/clientId", json!("another")),
            5 => ("group ", "/description", json!("changed by hand")),
            6 => ("group ", "/attributes/colour", json!([self.name()])),
            _ => ("user ", "/username", json!(self.name())),
        };
        let key = self.one(&marked(seen, kind))?.clone();
        let mut object = seen.get(&key).clone();
        let (above, field) = field.rsplit_once('/')?;
        object.pointer_mut(above)?[field] = value;
        Some(Edit::Put(path(seen, &key), Some(object)))
    }

    pub(super) fn another_relation(&mut self, seen: &Seen) -> Option<Edit> {
        let users = named(seen, "user ");
        match self.below(8) {
            0 | 1 => {
                let pairs: Vec<Pair> = memberships(seen).into_iter().collect();
                let (user, group) = self.one(&pairs)?;
                Some(Edit::Delete(owned(&["users", user, "groups", group]), None))
            }
            2 | 3 => {
                let (user, group) = (self.one(&users)?, self.one(&named(seen, "group "))?.clone());
                let more = ["groups", seen.id(&group)];
                Some(Edit::Put(below(seen, user, &more), None))
            }
            4 => {
                let client = self.one(&marked(seen, "client "))?.clone();
                let more = ["default-client-scopes", seen.id("scope profile")];
                Some(Edit::Delete(below(seen, &client, &more), None))
            }
            5 => {
                let role = self.one(&marked(seen, "role "))?.clone();
                let group = self.one(&marked(seen, "group "))?.clone();
                let (_, client) = role.rsplit_once(' ')?;
                let client = seen.id(&format!("client {client}"));
                let path = below(seen, &group, &["role-mappings", "clients", client]);
                let body = json!([{"id": seen.id(&role), "name": seen.get(&role)["name"]}]);
                if self.is_so() {
                    return Some(Edit::Post(path, body));
                }
                Some(Edit::Delete(path, Some(body)))
            }
            6 => {
                let more = ["federated-identity", PROVIDER];
                Some(Edit::Delete(below(seen, self.one(&users)?, &more), None))
            }
            _ => {
                let (id, _) = PEOPLE[self.below(PEOPLE.len())];
                let user = self.one(&users)?;
                if linked(seen, id).is_some() || link_of(seen, user).is_some() {
                    return None;
                }
                let more = ["federated-identity", PROVIDER];
                let body = json!({"userId": id.to_string(), "userName": "linked-by-hand"});
                Some(Edit::Post(below(seen, user, &more), body))
            }
        }
    }

    pub(super) fn foreign_object(&mut self) -> Edit {
        let name = self.name();
        let (path, object): (&[&str], Value) = match self.below(6) {
            0 => (
                &["clients"],
                json!({"clientId": name, "redirectUris": ["https://a.lab.test/"]}),
            ),
            1 => (
                &["groups"],
                json!({"name": name, "attributes": {"colour": ["blue"]}}),
            ),
            2 => (
                &["client-scopes"],
                json!({"name": name, "protocol": "openid-connect"}),
            ),
            3 => {
                let config = json!({"clientId": name, "clientSecret": "nobody's"});
                let provider = json!({"alias": name, "providerId": "github", "config": config});
                (&["identity-provider", "instances"], provider)
            }
            4 => (&["users"], json!({"username": name, "enabled": true})),
            _ => {
                let (_, logins) = PEOPLE[self.below(PEOPLE.len())];
                (
                    &["users"],
                    json!({"username": logins[self.below(2)], "enabled": true}),
                )
            }
        };
        Edit::Post(owned(path), object)
    }
}
