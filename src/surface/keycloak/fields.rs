//! Fields of JSON representations: which of those we care about differ, and how a change gets into an object that
//! has many more. Pure.
//!
//! Keycloak leaves out what is empty and sorts lists as it likes, so absent, `null`, `""` and `[]` are the same
//! here, and lists are sets.

use serde_json::{Map, Value};

use super::mark::FINGERPRINT;
use crate::plan::FieldChange;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The keys from the object down to the field. Keys contain dots, hence a list.
    pub path: Vec<String>,
    /// What was observed.
    pub before: Option<Value>,
    /// What is wanted; `None` removes the field.
    pub after: Option<Value>,
}

impl Difference {
    /// Whether `object` has the value this difference was computed from.
    pub(super) fn is_current(&self, object: &Value) -> bool {
        canonical(find(object, &self.path)) == canonical(self.before.as_ref())
    }

    /// Whether `object` already has the wanted value.
    pub(super) fn is_done(&self, object: &Value) -> bool {
        canonical(find(object, &self.path)) == canonical(self.after.as_ref())
    }

    /// Whether it is about a secret that nobody can read: what differs is its fingerprint.
    pub(super) fn is_of_secret(&self) -> bool {
        self.path.last().is_some_and(|key| key == FINGERPRINT)
    }

    /// The field in dotted form.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// The same for people.
    pub(super) fn shown(&self) -> FieldChange {
        FieldChange {
            path: self.name(),
            before: self.before.as_ref().map(shown),
            after: self.after.as_ref().map(shown),
        }
    }
}

/// Compares the fields that `wanted` has; `null` in it means that the field must be absent.
pub(super) fn differences(observed: &Value, wanted: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(observed), wanted, &mut found);
    found
}

fn compare(path: &mut Vec<String>, observed: Option<&Value>, wanted: &Value, found: &mut Vec<Difference>) {
    if let Value::Object(fields) = wanted {
        for (key, value) in fields {
            path.push(key.clone());
            compare(path, observed.and_then(|object| object.get(key)), value, found);
            path.pop();
        }
    } else if canonical(observed) != canonical(Some(wanted)) {
        found.push(Difference {
            path: path.clone(),
            before: observed.filter(|value| !value.is_null()).cloned(),
            after: Some(wanted.clone()).filter(|value| !value.is_null()),
        });
    }
}

/// Writes the wanted values into `object` and leaves everything else as it is.
pub(super) fn merge(object: &mut Value, differences: &[Difference]) {
    for difference in differences {
        set(object, &difference.path, difference.after.clone());
    }
}

fn set(object: &mut Value, path: &[String], value: Option<Value>) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(fields) = object else { return };
    match (rest.is_empty(), value) {
        (true, Some(value)) => {
            fields.insert(key.clone(), value);
        }
        (true, None) => {
            fields.shift_remove(key);
        }
        (false, value) => set(fields.entry(key).or_insert(Value::Null), rest, value),
    }
}

/// `object` without the fields that are `null`: what is sent to create it.
pub(super) fn without_nulls(object: &Value) -> Value {
    match object {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn find<'object>(object: &'object Value, path: &[String]) -> Option<&'object Value> {
    path.iter().try_fold(object, |inner, key| inner.get(key))
}

/// One form for all that means the same to Keycloak.
fn canonical(value: Option<&Value>) -> Value {
    match value {
        None => Value::Null,
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Array(items)) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Some(other) => other.clone(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_what_the_server_adds_is_no_difference() {
        let observed =
            json!({"name": "groups", "config": {"full.path": "false", "multivalued": "true"}, "id": "1"});
        let wanted = json!({"name": "groups", "config": {"full.path": "false"}, "description": null});
        assert_eq!(differences(&observed, &wanted), []);
    }

    #[test]
    fn test_empty_is_absent_and_lists_are_sets() {
        let observed = json!({"uris": ["b", "a"], "description": ""});
        assert_eq!(
            differences(
                &observed,
                &json!({"uris": ["a", "b"], "description": null, "origins": []})
            ),
            []
        );
        assert_eq!(differences(&observed, &json!({"uris": ["a"]})).len(), 1);
    }

    #[test]
    fn test_merge_keeps_what_is_not_wanted_and_removes_what_must_go() {
        let mut object = json!({"id": "1", "config": {"a.b": "x", "secret": "**********", "old": "y"}});
        let wanted = json!({"config": {"a.b": "z", "old": null, "new": "n"}});
        let found = differences(&object, &wanted);
        assert!(found.iter().all(|difference| difference.is_current(&object)));
        merge(&mut object, &found);
        assert_eq!(
            object,
            json!({"id": "1", "config": {"a.b": "z", "secret": "**********", "new": "n"}})
        );
        assert!(found.iter().all(|difference| difference.is_done(&object)));
        assert_eq!(differences(&object, &wanted), []);
    }

    #[test]
    fn test_a_field_is_shown_by_its_dotted_name() {
        let found = differences(
            &json!({}),
            &json!({"attributes": {"lotse.members": ["ada", "bob"]}}),
        );
        assert_eq!(
            found[0].shown(),
            FieldChange {
                path: "attributes.lotse.members".into(),
                before: None,
                after: Some("ada, bob".into())
            }
        );
    }
}
