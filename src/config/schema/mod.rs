//! JSON Schema (draft-07) of the declarations, for editors that complete and check while somebody writes.
//!
//! A schema knows the form of one file. What has to agree between files, and what a text must look like in detail, is for
//! [`load`](super::load()) to say.

mod app;
mod environment;
mod form;
mod people;

use std::fmt;

use serde_json::{Value, json};

use form::Field;

/// What a declaration is of: the value of its key `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclarationKind {
    /// `apps/<app>/app.yaml`
    App,
    /// `environments/<environment>/apps/<app>/app.yaml`
    AppOverride,
    /// `environments/<environment>/environment.yaml`
    Environment,
    /// `environments/<environment>/people.yaml`
    People,
}

impl DeclarationKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::App, Self::AppOverride, Self::Environment, Self::People];

    /// As it is written in a declaration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::AppOverride => "AppOverride",
            Self::Environment => "Environment",
            Self::People => "People",
        }
    }

    /// Where such declarations are, below the repository.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::App => "apps/<app>/app.yaml",
            Self::AppOverride => "environments/<environment>/apps/<app>/app.yaml",
            Self::Environment => "environments/<environment>/environment.yaml",
            Self::People => "environments/<environment>/people.yaml",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::App => {
                "What surrounds an application: who answers for it, who has access, its logins, its limits"
            }
            Self::AppOverride => {
                "Keys that take the place of an application's own in one environment, each as a whole"
            }
            Self::Environment => "A productive cluster and the systems it is made with",
            Self::People => "Who there is, and in which teams",
        }
    }

    fn fields(self) -> Vec<Field> {
        match self {
            Self::App => app::fields(),
            Self::AppOverride => app::override_fields(),
            Self::Environment => environment::fields(),
            Self::People => people::fields(),
        }
    }

    /// The schema of such declarations.
    #[must_use]
    pub fn schema(self) -> Value {
        let kind = vec![
            Field::required(
                "apiVersion",
                "Version of the format",
                json!({ "const": super::read::API_VERSION }),
            ),
            Field::required(
                "kind",
                "What this is a declaration of",
                json!({ "const": self.as_str() }),
            ),
        ];
        let mut schema = form::object(kind.into_iter().chain(self.fields()));
        if self == Self::Environment {
            // What an environment does not state is taken from the one that it extends.
            let demands = form::demands(&mut schema);
            schema["required"] = json!(["apiVersion", "kind", "name"]);
            schema["if"] = json!({ "not": { "required": ["extends"] } });
            schema["then"] = json!(demands);
        }
        let mut head = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": self.as_str(),
            "description": self.description(),
        });
        if let (Some(head), Some(body)) = (head.as_object_mut(), schema.as_object_mut()) {
            head.append(body);
        }
        head
    }
}

impl fmt::Display for DeclarationKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
