//! The forms that values of declarations have.

use serde_json::{Map, Value, json};

/// A key of a mapping.
pub(super) struct Field {
    key: &'static str,
    description: &'static str,
    is_required: bool,
    schema: Value,
}

impl Field {
    pub(super) const fn required(key: &'static str, description: &'static str, schema: Value) -> Self {
        Self {
            key,
            description,
            is_required: true,
            schema,
        }
    }

    pub(super) const fn optional(key: &'static str, description: &'static str, schema: Value) -> Self {
        Self {
            key,
            description,
            is_required: false,
            schema,
        }
    }
}

/// A mapping with these keys and no others.
pub(super) fn object(fields: impl IntoIterator<Item = Field>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for mut field in fields {
        if let Some(schema) = field.schema.as_object_mut() {
            schema.insert("description".to_owned(), field.description.into());
        }
        if field.is_required {
            required.push(field.key);
        }
        properties.insert(field.key.to_owned(), field.schema);
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["properties"] = properties.into();
    schema
}

/// Takes out of `schema` which keys of mappings are required, and gives that as a schema of its own. Items of lists keep
/// theirs.
pub(super) fn demands(schema: &mut Value) -> Option<Value> {
    let required = schema.as_object_mut()?.remove("required");
    let mut below = Map::new();
    for (key, inner) in schema.get_mut("properties").and_then(Value::as_object_mut)? {
        below.extend(demands(inner).map(|inner| (key.clone(), inner)));
    }
    let mut demands = Map::new();
    demands.extend(required.map(|required| ("required".to_owned(), required)));
    if !below.is_empty() {
        demands.insert("properties".to_owned(), below.into());
    }
    (!demands.is_empty()).then_some(Value::Object(demands))
}

/// A mapping that has exactly one of the keys `alternatives`.
pub(super) fn one_of(mut object: Value, alternatives: &[&str]) -> Value {
    let alternatives: Vec<Value> = alternatives
        .iter()
        .map(|key| json!({ "required": [key] }))
        .collect();
    object["oneOf"] = alternatives.into();
    object
}

/// One of several forms.
pub(super) fn either(forms: impl IntoIterator<Item = Value>) -> Value {
    json!({ "oneOf": forms.into_iter().collect::<Vec<_>>() })
}

/// A list of different items.
pub(super) fn list(item: Value) -> Value {
    let mut schema = json!({ "type": "array", "uniqueItems": true });
    schema["items"] = item;
    schema
}

/// A list of different items, at least one.
pub(super) fn filled_list(item: Value) -> Value {
    let mut list = list(item);
    list["minItems"] = json!(1);
    list
}

/// Any text but an empty one.
pub(super) fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// A text of this pattern (ECMA 262, matched anywhere unless anchored).
pub(super) fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// One of these words.
pub(super) fn choice(words: &[&str]) -> Value {
    json!({ "enum": words })
}

/// A whole number that is not less than `minimum`.
pub(super) fn number(minimum: u64) -> Value {
    json!({ "type": "integer", "minimum": minimum })
}

/// A port.
pub(super) fn port() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX })
}

/// An RFC 1123 label.
pub(super) fn label() -> Value {
    let mut schema = pattern("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$");
    schema["maxLength"] = json!(crate::names::LABEL_LIMIT);
    schema
}

/// Labels joined by dots.
pub(super) fn domain() -> Value {
    let mut schema = pattern("^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$");
    schema["maxLength"] = json!(crate::names::DOMAIN_LIMIT);
    schema
}

/// A GitHub login.
pub(super) fn login() -> Value {
    let mut schema = pattern("^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$");
    schema["maxLength"] = json!(crate::names::LOGIN_LIMIT);
    schema
}

/// A path below a folder.
pub(super) fn inner_path() -> Value {
    pattern("^[^/]")
}

/// A day of the calendar.
pub(super) fn date() -> Value {
    pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
}

/// A quantity of Kubernetes.
pub(super) fn quantity() -> Value {
    pattern("^([0-9]+\\.?[0-9]*|\\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$")
}

/// A text, or the environment variable that has it.
pub(super) fn setting(text: Value) -> Value {
    either([text, secret()])
}

/// An age recipient.
pub(super) fn age_recipient() -> Value {
    pattern("^age1[02-9ac-hj-np-z]{58}$")
}

/// The environment variable that has a secret.
pub(super) fn secret() -> Value {
    object([Field::required(
        "env",
        "Name of the environment variable that has the value",
        pattern("^[A-Z_][A-Z0-9_]*$"),
    )])
}

/// An address with one of these schemes.
pub(super) fn address(schemes: &[&str]) -> Value {
    pattern(&format!("^({})://[^/]", schemes.join("|")))
}
