//! What a realm should be, worked out without the program under test.

use std::collections::BTreeSet;

use lotse::desired::identity::{Member, Realm};
use lotse::surface::keycloak::{OWNER, Prune};
use serde_json::Value;

use super::dice::Pair;
use super::seen::Seen;
use super::site::PROVIDER;

pub(super) fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|&segment| segment.to_owned()).collect()
}

pub(super) fn named(seen: &Seen, prefix: &str) -> Vec<String> {
    let keys = seen.0.keys().filter(|key| key.starts_with(prefix));
    keys.cloned().collect()
}

/// What carries the program's mark.
pub(super) fn marked(seen: &Seen, prefix: &str) -> Vec<String> {
    let mut keys = named(seen, prefix);
    keys.retain(|key| is_marked(seen.get(key)));
    keys
}

pub(super) fn is_marked(object: &Value) -> bool {
    !object["attributes"][OWNER].is_null() || !object["config"][OWNER].is_null()
}

/// Where an object is.
pub(super) fn path(seen: &Seen, key: &str) -> Vec<String> {
    let (kind, name) = key.split_once(' ').unwrap();
    match kind {
        "client" => owned(&["clients", seen.id(key)]),
        "scope" => owned(&["client-scopes", seen.id(key)]),
        "group" => owned(&["groups", seen.id(key)]),
        "user" => owned(&["users", seen.id(key)]),
        "provider" => owned(&["identity-provider", "instances", name]),
        "role" => {
            let (role, client) = name.split_once(" of ").unwrap();
            below(seen, &format!("client {client}"), &["roles", role])
        }
        _ => panic!("{key} has no place"),
    }
}

pub(super) fn below(seen: &Seen, key: &str, more: &[&str]) -> Vec<String> {
    [path(seen, key), owned(more)].concat()
}

pub(super) fn memberships(seen: &Seen) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for group in named(seen, "group ") {
        let (_, name) = group.split_once(' ').unwrap();
        let members = seen.get(&format!("members of {name}")).as_array().unwrap();
        for user in members.iter().filter_map(Value::as_str) {
            let user = seen.id(&format!("user {user}"));
            pairs.insert((user.to_owned(), seen.id(&group).to_owned()));
        }
    }
    pairs
}

/// The id at the forge that a user (`user ada`) is linked to.
pub(super) fn link_of<'seen>(seen: &'seen Seen, user: &str) -> Option<&'seen str> {
    let (_, name) = user.split_once(' ')?;
    let links = seen.get(&format!("links of {name}")).as_array()?;
    let link = links.iter().find(|link| link["identityProvider"] == PROVIDER)?;
    link["userId"].as_str()
}

/// The user who is linked to an id at the forge.
pub(super) fn linked(seen: &Seen, id: u64) -> Option<String> {
    let id = id.to_string();
    let mut users = named(seen, "user ").into_iter();
    users.find(|user| link_of(seen, user) == Some(id.as_str()))
}

/// The account that a member has or gets; an error where it is for a person to decide.
pub(super) fn account(seen: &Seen, member: &Member) -> Result<Option<String>, ()> {
    let named = format!("user {}", member.login.to_lowercase());
    let is_there = seen.0.contains_key(&named);
    match linked(seen, member.id) {
        Some(linked) if is_there && linked != named => Err(()),
        Some(linked) => Ok(Some(linked)),
        None if is_there && !was_made_for(seen, &named, member.id) => Err(()),
        None => Ok(is_there.then_some(named)),
    }
}

/// Whether an account without a link is the one that lotse made for that very person.
fn was_made_for(seen: &Seen, user: &str, id: u64) -> bool {
    link_of(seen, user).is_none() && seen.get(user)["attributes"]["lotse.id"][0] == id.to_string().as_str()
}

/// Memberships as they are declared.
pub(super) fn declared_memberships(seen: &Seen, realm: &Realm) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for member in &realm.members {
        let user = seen.id(&format!("user {}", member.login.to_lowercase()));
        let groups = member.groups.iter();
        pairs.extend(groups.map(|group| {
            let group = seen.id(&format!("group {group}"));
            (user.to_owned(), group.to_owned())
        }));
    }
    pairs
}

/// What is nobody's business but that of who put it there.
pub(super) fn foreign(before: &Seen, realm: &Realm, prune: Prune) -> BTreeSet<String> {
    let accounts: BTreeSet<String> = realm
        .members
        .iter()
        .filter_map(|member| account(before, member).unwrap())
        .collect();
    let is_declared = |id: &str| realm.clients.iter().find(|client| client.client_id == id);
    let is_foreign = |key: &&String| {
        let Some((kind, name)) = key.split_once(' ') else {
            return false;
        };
        let is_marked = is_marked(before.get(key));
        match kind {
            "client" => !is_marked && is_declared(name).is_none(),
            "group" => !is_marked && !realm.groups.iter().any(|group| group.name == name),
            "scope" => name != "groups",
            "provider" => name != PROVIDER,
            "user" => !accounts.contains(*key),
            "links" => !accounts.contains(&key.replacen("links of", "user", 1)),
            "role" => {
                let (role, client) = name.split_once(" of ").unwrap();
                let is_kept = prune == Prune::Keep || !is_marked_client(before, client);
                match is_declared(client) {
                    Some(client) => !is_marked && !client.roles.contains_key(role),
                    None => !is_marked && is_kept,
                }
            }
            _ => false,
        }
    };
    before.0.keys().filter(is_foreign).cloned().collect()
}

pub(super) fn is_marked_client(seen: &Seen, client: &str) -> bool {
    is_marked(seen.get(&format!("client {client}")))
}
