//! How lotse remembers, inside Keycloak itself, what is its own. Pure.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use ring::hmac;
use serde_json::{Value, json};

use super::object::Object;
use crate::names::EnvironmentName;
use crate::secret::Secret;

/// Attribute (for identity providers: configuration key) that names the environment an object belongs to.
pub const OWNER: &str = "lotse.owner";
/// Group attribute: user names of the members lotse added, so that only those are ever taken out again.
pub const MEMBERS: &str = "lotse.members";
/// User attribute: the name lotse gave to the account last. Ledgers know it by this one, whatever somebody else calls it.
pub const NAME: &str = "lotse.name";
/// User attribute: id at the forge of the person for whom lotse made the account. Users can't write it.
pub const ID: &str = "lotse.id";
/// Client attribute: the client that is marked. A copy of it that somebody made is not lotse's.
pub const CLIENT: &str = "lotse.client";
/// Configuration key of an identity provider: fingerprint of the client secret that lotse wrote last.
pub const FINGERPRINT: &str = "lotse.secretHash";

/// What is seen in place of a fingerprint where somebody else changed the provider since: the secret may be another one.
pub(super) const TOUCHED: &str = "touched";

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This kind of object can't carry a mark; it belongs to the object it is part of.
    Part,
    /// It carries no mark.
    Unmarked,
    /// It carries the mark of this environment.
    Owned(String),
}

/// Where objects of a kind keep the mark.
enum Place {
    Nowhere,
    /// One text.
    Text(&'static str),
    /// A list of one text.
    List,
}

fn place(object: &Object) -> Place {
    match object {
        Object::UserProfile
        | Object::ClientPolicies
        | Object::RequiredAction(_)
        | Object::ScopeMapper { .. }
        | Object::ProviderMapper { .. }
        | Object::ClientMapper { .. } => Place::Nowhere,
        Object::Realm | Object::Scope(_) | Object::Client(_) => Place::Text("attributes"),
        Object::Provider(_) => Place::Text("config"),
        Object::Role { .. } | Object::User(_) | Object::Group(_) => Place::List,
    }
}

/// Whose `observed` is.
pub(super) fn ownership(object: &Object, observed: &Value) -> Ownership {
    let mark = match place(object) {
        Place::Nowhere => return Ownership::Part,
        Place::Text(field) => &observed[field][OWNER],
        Place::List => &observed["attributes"][OWNER][0],
    };
    let is_copy = |id: &String| {
        let marked = observed["attributes"][CLIENT].as_str();
        marked.is_some_and(|marked| marked != id)
    };
    if let Object::Client(id) = object
        && is_copy(id)
    {
        return Ownership::Unmarked;
    }
    mark.as_str()
        .map_or(Ownership::Unmarked, |owner| Ownership::Owned(owner.to_owned()))
}

/// `representation` with the mark of `owner`, where its kind can carry one.
pub(super) fn marked(object: &Object, mut representation: Value, owner: &EnvironmentName) -> Value {
    match place(object) {
        Place::Nowhere => {}
        Place::Text(field) => representation[field][OWNER] = json!(owner.as_str()),
        Place::List => representation["attributes"][OWNER] = json!([owner.as_str()]),
    }
    representation
}

/// The members that lotse added to the group it observed.
pub(super) fn ledger(group: &Value) -> BTreeSet<String> {
    group["attributes"][MEMBERS]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The name by which ledgers know the account that is called `name`.
pub(super) fn ledger_name<'seen>(user: Option<&'seen Value>, name: &'seen str) -> &'seen str {
    user.and_then(|user| user["attributes"][NAME][0].as_str())
        .unwrap_or(name)
}

/// A group's fields with this ledger in it; an empty one is no attribute at all.
pub(super) fn with_ledger(mut group: Value, members: &BTreeSet<String>) -> Value {
    group["attributes"][MEMBERS] = if members.is_empty() {
        Value::Null
    } else {
        json!(members)
    };
    group
}

/// Says whether a secret is the one that was written, without saying what it is. Keycloak never shows an identity
/// provider's secret again, so this is the only way to see that the declared one changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Computes the HMAC-SHA256 of a fixed text that names the environment and the object, with the secret as its
    /// key: two environments with the same secret have different fingerprints.
    ///
    /// Meant for secrets that a forge made (random and long); a short one could be guessed from its fingerprint.
    #[must_use]
    pub fn of(secret: &Secret, owner: &EnvironmentName, object: &Object) -> Self {
        Self::over(secret, &format!("{owner} {object}"))
    }

    /// The same of any text that says what the secret is for.
    #[must_use]
    pub fn over(secret: &Secret, purpose: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let tag = hmac::sign(&key, format!("lotse/v1 {purpose}").as_bytes());
        let mut text = String::new();
        for byte in tag.as_ref() {
            write!(text, "{byte:02x}").expect("writing to a String can't fail");
        }
        Self(text)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> EnvironmentName {
        EnvironmentName::new(name).unwrap()
    }

    #[test]
    fn test_a_fingerprint_tells_secrets_and_environments_apart() {
        let provider = Object::Provider("github".into());
        let of = |secret: &str, name: &str| Fingerprint::of(&Secret::new(secret), &owner(name), &provider);
        assert_eq!(of("one", "lab"), of("one", "lab"));
        assert_ne!(of("one", "lab"), of("two", "lab"));
        assert_ne!(of("one", "lab"), of("one", "prod"));
        assert!(!of("one", "lab").to_string().contains("one"));
    }

    #[test]
    fn test_a_mark_is_read_where_it_was_written() {
        for object in [
            Object::Realm,
            Object::Provider("github".into()),
            Object::Group("a:b".into()),
            Object::User("ada".into()),
        ] {
            assert_eq!(ownership(&object, &json!({})), Ownership::Unmarked);
            let representation = marked(&object, json!({"name": "x"}), &owner("lab"));
            assert_eq!(
                ownership(&object, &representation),
                Ownership::Owned("lab".into())
            );
        }
        assert_eq!(ownership(&Object::UserProfile, &json!({})), Ownership::Part);
    }
}
