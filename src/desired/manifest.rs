//! One Kubernetes object as data.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// One Kubernetes object: JSON with at least `apiVersion`, `kind` and `metadata.name`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Manifest(Value);

/// Why a JSON value is not a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Kubernetes object needs `{field}` as text")]
pub struct NotAManifest {
    /// Dotted path of what is missing or not text.
    pub field: &'static str,
}

impl Manifest {
    /// Takes `value` as a Kubernetes object.
    pub fn new(value: Value) -> Result<Self, NotAManifest> {
        for (pointer, field) in [
            ("/apiVersion", "apiVersion"),
            ("/kind", "kind"),
            ("/metadata/name", "metadata.name"),
        ] {
            if value.pointer(pointer).and_then(Value::as_str).is_none() {
                return Err(NotAManifest { field });
            }
        }
        Ok(Self(value))
    }

    /// Builds an object without namespace; `content` holds what comes beside `metadata` (`spec`, `data`, ...).
    #[must_use]
    pub fn build(api_version: &str, kind: &str, name: &str, content: Map<String, Value>) -> Self {
        let mut object = Map::new();
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
        object.insert("metadata".into(), serde_json::json!({ "name": name }));
        object.extend(content);
        Self(Value::Object(object))
    }

    /// The same object in `namespace`.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        if let Some(metadata) = self.0["metadata"].as_object_mut() {
            // After the name, where people look for it.
            metadata.shift_insert(1, "namespace".into(), namespace.into());
        }
        self
    }

    /// The same object with one more label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// The same object with one more annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = value.into();
        self
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, when it is set.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.0.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// The whole object.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// The whole object, to change it. Keep `apiVersion`, `kind` and `metadata.name` as text.
    pub const fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// `Kind/name`, or `Kind/namespace/name`.
impl fmt::Display for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            Some(namespace) => write!(formatter, "{}/{namespace}/{}", self.kind(), self.name()),
            None => write!(formatter, "{}/{}", self.kind(), self.name()),
        }
    }
}
