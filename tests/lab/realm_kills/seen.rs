//! What is in a realm, looked at without the program under test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Fields that are others after an object was made again.
pub(super) const MADE_ANEW: [&str; 7] = [
    "id",
    "internalId",
    "containerId",
    "secret",
    "createdTimestamp",
    "client.secret.creation.time",
    "client.secret.expiration.time",
];
/// Clients that come with a realm.
pub(super) const BUILT_IN: [&str; 6] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "realm-management",
    "security-admin-console",
];

/// Everything in a realm that a declaration or a hand may change, by what it is called. Lists are sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen(pub(super) BTreeMap<String, Value>);

impl Seen {
    pub(super) fn put(&mut self, key: &str, value: &Value) {
        for part in ["protocolMappers", "defaultClientScopes"] {
            let parts = value[part].as_array().into_iter().flatten();
            let names: Vec<&Value> = parts.map(|part| part.get("name").unwrap_or(part)).collect();
            let different: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(
                names.len(),
                different.len(),
                "{part} of {key} are there twice: {names:?}"
            );
        }
        let other = self.0.insert(key.to_owned(), without(value, &[]));
        assert_eq!(other, None, "{key} is there twice");
    }

    pub(super) fn get(&self, key: &str) -> &Value {
        self.0.get(key).unwrap_or(&Value::Null)
    }

    pub(super) fn id(&self, key: &str) -> &str {
        self.get(key)["id"].as_str().unwrap_or_else(|| panic!("no {key}"))
    }

    /// Without what is another one in an object that was made anew.
    pub(super) fn lasting(&self) -> Self {
        let lasting = self.0.iter();
        Self(
            lasting
                .map(|(key, value)| (key.clone(), without(value, &MADE_ANEW)))
                .collect(),
        )
    }

    pub(super) fn only(&self, keys: &BTreeSet<String>) -> Self {
        let only = self.0.iter().filter(|(key, _)| keys.contains(*key));
        Self(only.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// What is another one in `other`, without saying a secret.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter()
            .filter(|key| self.get(key) != other.get(key))
            .map(|key| {
                let [before, after] = [self, other].map(|seen| without(seen.get(key), &["secret"]));
                format!("{key} was {before}\n  and is {after}")
            })
            .collect()
    }
}

/// `value` with sorted lists and without these fields.
pub(super) fn without(value: &Value, left_out: &[&str]) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .filter(|(key, _)| !left_out.contains(&key.as_str()))
                .map(|(key, value)| (key, without(value, left_out)))
                .collect();
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), value))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| without(item, left_out)).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

pub(super) fn text<'value>(value: &'value Value, field: &str) -> &'value str {
    value[field].as_str().unwrap_or_default()
}
