//! Which fields of an object differ. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use crate::config::yaml;
use crate::desired::Manifest;
use crate::plan::FieldChange;

/// What the server writes into every object by itself.
const WRITTEN_BY_SERVER: [&str; 5] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "uid",
];

/// Labels that Flux writes into everything it delivers, whatever the tree says.
const WRITTEN_BY_FLUX: [&str; 2] = [
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
];

/// What differs between two states of one object, apart from status and what the server and Flux write by themselves.
/// Values of Secrets are masked.
pub(super) fn between(before: &DynamicObject, after: &DynamicObject) -> Vec<FieldChange> {
    let is_secret = after.types.as_ref().is_some_and(|types| types.kind == "Secret");
    field_changes(&comparable(before), &comparable(after), is_secret)
}

/// What differs between two texts of objects, or of other YAML: `Service/web/web: spec.type` for one of several objects.
/// An object that only one of them has is told by its name. Values of Secrets are masked. Nothing where a text is no YAML.
#[must_use]
pub fn between_texts(before: &str, after: &str) -> Vec<FieldChange> {
    let (Ok(before), Ok(after)) = (yaml::documents(before), yaml::documents(after)) else {
        return Vec::new();
    };
    if let ([before], [after]) = (before.as_slice(), after.as_slice()) {
        return field_changes(before, after, is_secret(before) || is_secret(after));
    }
    let (before, after) = (by_reference(&before), by_reference(&after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let whole = |side: bool| side.then(|| "an object".to_owned());
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => {
                let fields = field_changes(before, after, is_secret(before) || is_secret(after));
                changes.extend(fields.into_iter().map(|change| FieldChange {
                    path: format!("{name}: {}", change.path),
                    ..change
                }));
            }
            (before, after) => changes.push(FieldChange {
                path: name.clone(),
                before: whole(before.is_some()),
                after: whole(after.is_some()),
            }),
        }
    }
    changes
}

/// Documents by the objects that they are; what is none is known by its place.
fn by_reference(documents: &[Value]) -> BTreeMap<String, &Value> {
    let named = documents.iter().enumerate().map(|(index, document)| {
        let name = Manifest::new(document.clone()).map_or_else(
            |_| format!("document {}", index + 1),
            |manifest| manifest.to_string(),
        );
        (name, document)
    });
    named.collect()
}

fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret"
}

fn comparable(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !WRITTEN_BY_SERVER.contains(&key.as_str()));
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|key, _| !WRITTEN_BY_FLUX.contains(&key.as_str()));
        }
        if metadata
            .get("labels")
            .is_some_and(|labels| labels == &Value::Object(Map::new()))
        {
            metadata.remove("labels");
        }
    }
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    value
}

/// Leaves that differ, in the order of their paths. With `masked`, values are shown as `***`.
fn field_changes(before: &Value, after: &Value, masked: bool) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    collect(String::new(), Some(before), Some(after), &mut changes);
    leave_out_seals(&mut changes);
    if masked {
        let values = changes
            .iter_mut()
            .flat_map(|change| [&mut change.before, &mut change.after]);
        values.flatten().for_each(|value| "***".clone_into(value));
    }
    changes
}

/// What sops writes about a file (its code, its keys wrapped for each recipient) says nothing to a reader, and differs each
/// time it is encrypted.
fn leave_out_seals(changes: &mut Vec<FieldChange>) {
    let count = changes.len();
    changes.retain(|change| !change.path.starts_with("sops."));
    if changes.is_empty() && count > 0 {
        changes.push(FieldChange {
            path: "sops".to_owned(),
            before: Some("***".to_owned()),
            after: Some("***".to_owned()),
        });
    }
}

fn collect(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            collect(inner, before.get(key), after.get(key), changes);
        }
        return;
    }
    if let (Some(Value::Array(before)), Some(Value::Array(after))) = (before, after) {
        return collect_items(&path, before, after, changes);
    }
    changes.push(FieldChange {
        path,
        before: before.map(Value::to_string),
        after: after.map(Value::to_string),
    });
}

/// Items with names are compared by them; of other lists, what only one side has is told.
fn collect_items(path: &str, before: &[Value], after: &[Value], changes: &mut Vec<FieldChange>) {
    if let (Some(before), Some(after)) = (by_name(before), by_name(after)) {
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let inner = format!("{path}[{name}]");
            collect(
                inner,
                before.get(name).copied(),
                after.get(name).copied(),
                changes,
            );
        }
        return;
    }
    let without = |these: &[Value], those: &[Value]| -> Vec<String> {
        let left = these.iter().filter(|item| !those.contains(item));
        left.map(Value::to_string).collect()
    };
    let (gone, new) = (without(before, after), without(after, before));
    if gone.is_empty() && new.is_empty() {
        let whole = |items: &[Value]| Some(Value::Array(items.to_vec()).to_string());
        changes.push(FieldChange {
            path: path.to_owned(),
            before: whole(before),
            after: whole(after),
        });
        return;
    }
    let item = |before, after| FieldChange {
        path: format!("{path}[]"),
        before,
        after,
    };
    changes.extend(gone.into_iter().map(|gone| item(Some(gone), None)));
    changes.extend(new.into_iter().map(|new| item(None, Some(new))));
}

/// The items of a list by their names; `None` where one has none, or two have the same.
fn by_name(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named = items.iter().map(|item| Some((item["name"].as_str()?, item)));
    let named: BTreeMap<&str, &Value> = named.collect::<Option<_>>()?;
    (named.len() == items.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn test_changes_name_leaves_and_leave_out_what_the_server_writes() {
        let before = object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 1},
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "1"},
            "spec": {"replicas": 1, "paused": true},
        }));
        let after = object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "uid": "2", "resourceVersion": "2"},
            "spec": {"replicas": 2},
        }));
        let shown: Vec<_> = between(&before, &after)
            .into_iter()
            .map(|change| (change.path, change.before, change.after))
            .collect();
        assert_eq!(
            shown,
            vec![
                ("spec.paused".into(), Some("true".into()), None),
                ("spec.replicas".into(), Some("1".into()), Some("2".into())),
            ]
        );
    }

    #[test]
    fn test_lists_tell_what_came_and_went() {
        let shown = |before: Value, after: Value| {
            let changes = field_changes(&json!({ "a": before }), &json!({ "a": after }), false);
            let text = |value: Option<String>| value.unwrap_or_default();
            changes
                .into_iter()
                .map(|change| format!("{} {} → {}", change.path, text(change.before), text(change.after)))
                .collect::<Vec<_>>()
        };
        let named = |image: &str| json!([{"name": "web", "image": image}, {"name": "log", "image": "l"}]);
        assert_eq!(shown(named("1"), named("2")), [r#"a[web].image "1" → "2""#]);
        assert_eq!(
            shown(json!(["x", "y"]), json!(["y", "z"])),
            [r#"a[] "x" → "#, r#"a[]  → "z""#]
        );
        assert_eq!(
            shown(json!(["x", "y"]), json!(["y", "x"])),
            [r#"a ["x","y"] → ["y","x"]"#]
        );
        assert_eq!(
            shown(json!([{"name": "x"}]), json!([])),
            [r#"a[x] {"name":"x"} → "#]
        );
    }

    #[test]
    fn test_texts_are_compared_object_by_object() {
        let shown = |before: &str, after: &str| -> Vec<String> {
            let changes = between_texts(before, after);
            let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            changes
                .into_iter()
                .map(|change| format!("{} {} {}", change.path, text(change.before), text(change.after)))
                .collect()
        };
        assert_eq!(shown("a: 1\nb: 2\n", "a: 1\nb: 3\n"), ["b 2 3"]);
        let object = |kind: &str, name: &str, value: &str| {
            format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\ndata: {{a: {value}}}\n---\n")
        };
        let before =
            object("ConfigMap", "a", "x") + &object("Secret", "s", "eA==") + &object("ConfigMap", "old", "x");
        let after =
            object("Secret", "s", "eQ==") + &object("ConfigMap", "a", "y") + &object("ConfigMap", "new", "x");
        assert_eq!(
            shown(&before, &after),
            [
                "ConfigMap/a: data.a \"x\" \"y\"",
                "ConfigMap/new - an object",
                "ConfigMap/old an object -",
                "Secret/s: data.a *** ***",
            ]
        );
        assert_eq!(shown("# only text\n", "- [\n"), [] as [&str; 0]);
    }

    #[test]
    fn test_changes_of_a_secret_are_masked() {
        let secret = |value: &str| {
            object(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": value},
            }))
        };
        let changes = between(&secret("eA=="), &secret("eQ=="));
        assert_eq!(changes[0].path, "data.a");
        assert_eq!(changes[0].before.as_deref(), Some("***"));
        assert_eq!(changes[0].after.as_deref(), Some("***"));
    }
}
