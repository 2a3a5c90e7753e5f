//! Kubernetes objects from text. Pure.

use serde_json::Value;

use super::KubernetesError;
use crate::config::yaml;
use crate::desired::Manifest;

/// Reads all objects of a YAML stream; empty documents are left out and `List` kinds are unfolded.
/// `origin` names the file or place in errors.
pub fn read_manifests(origin: &str, text: &str) -> Result<Vec<Manifest>, KubernetesError> {
    let fault = |reason: String| KubernetesError::Manifest {
        origin: origin.to_owned(),
        reason,
    };
    yaml::documents(text)
        .map_err(|error| fault(with_position(&error)))?
        .into_iter()
        .flat_map(unfold)
        .map(|document| Manifest::new(document).map_err(|error| fault(error.to_string())))
        .collect()
}

fn with_position(error: &yaml::YamlError) -> String {
    match error.position {
        Some(position) => format!("line {}, column {}: {error}", position.line, position.column),
        None => error.to_string(),
    }
}

/// The items of a `List`, or the object itself.
fn unfold(mut document: Value) -> Vec<Value> {
    let is_list = document
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        Some(other) => {
            document["items"] = other;
            vec![document]
        }
        None => vec![document],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_read_manifests_unfolds_lists() {
        let text = "---\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n";
        let manifests = read_manifests("test", text).unwrap();
        assert_eq!(manifests.len(), 1);
        assert_eq!(manifests[0].to_string(), "Namespace/a");
    }

    #[test]
    fn test_read_manifests_keeps_items_of_other_kinds() {
        let text = "{kind: Menu, apiVersion: v1, metadata: {name: a}, items: [1]}";
        let manifests = read_manifests("test", text).unwrap();
        assert_eq!(manifests[0].value()["items"], serde_json::json!([1]));
    }

    #[test]
    fn test_read_manifests_names_the_place() {
        let error = read_manifests("a.yaml", "kind: A\nkind: B\n").unwrap_err();
        assert!(
            error.to_string().starts_with("a.yaml: line 2, column 1: "),
            "{error}"
        );
    }
}
