//! What goes away with objects that leave the tree: Flux removes them, and some of it can't be brought back.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::{Difference, Tree};
use crate::config::yaml;

/// Something that is there now and will not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A namespace and everything in it. For good: its volumes and Secrets are deleted.
    Namespace {
        /// Its name.
        name: String,
    },
    /// A Helm release whose namespace stays.
    Release {
        /// Its name.
        name: String,
        /// Where it is installed.
        namespace: String,
    },
    /// Somebody's role in a namespace that stays.
    Access {
        /// User, group or account.
        subject: String,
        /// The role.
        role: String,
        /// Where.
        namespace: String,
    },
    /// A host name that nothing answers any more.
    Host {
        /// Fully qualified.
        name: String,
    },
    /// A client of Keycloak, which stays there without anybody who looks after it.
    Client {
        /// Its client id.
        name: String,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { name } => write!(
                formatter,
                "namespace {name} with everything in it, volumes and Secrets included"
            ),
            Self::Release { name, namespace } => {
                write!(formatter, "Helm release {name} in {namespace} is uninstalled")
            }
            Self::Access {
                subject,
                role,
                namespace,
            } => write!(formatter, "{subject} is no longer {role} in {namespace}"),
            Self::Host { name } => write!(formatter, "nothing answers at {name}"),
            Self::Client { name } => write!(
                formatter,
                "the login by client {name}: nothing looks after it any more, and it stays in Keycloak until somebody removes it"
            ),
        }
    }
}

/// What is lost when `differences` from `tree` are applied, sorted. What is anywhere in the tree is not lost; what is in
/// a lost namespace is not told of one by one. A text that is no YAML any more has nothing to lose.
#[must_use]
pub fn losses(differences: &[Difference<'_>], tree: &Tree) -> Vec<Loss> {
    let mut lost: BTreeSet<Loss> = differences.iter().flat_map(|each| worth(&each.before)).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    for kept in tree.files.values().flat_map(|text| worth(text)) {
        lost.remove(&kept);
    }
    let is_gone = |namespace: &String| {
        let name = namespace.clone();
        lost.contains(&Loss::Namespace { name })
    };
    let told = lost.iter().filter(|loss| match loss {
        Loss::Release { namespace, .. } | Loss::Access { namespace, .. } => !is_gone(namespace),
        Loss::Namespace { .. } | Loss::Host { .. } | Loss::Client { .. } => true,
    });
    told.cloned().collect()
}

/// What the objects of one file are worth.
fn worth(text: &str) -> Vec<Loss> {
    if text.is_empty() {
        return Vec::new();
    }
    let documents = yaml::documents(text).unwrap_or_default();
    documents.iter().flat_map(worth_of).collect()
}

fn worth_of(object: &Value) -> Vec<Loss> {
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    match object["kind"].as_str() {
        Some("Namespace") => vec![Loss::Namespace {
            name: text("/metadata/name"),
        }],
        Some("HelmRelease") => vec![Loss::Release {
            name: text("/metadata/name"),
            namespace: text("/spec/targetNamespace"),
        }],
        // Seeing how an application is delivered goes with the access to it.
        Some("RoleBinding") if text("/roleRef/name").starts_with("lotse:") => Vec::new(),
        Some("RoleBinding") => items(object, "/subjects")
            .map(|subject| Loss::Access {
                subject: subject["name"].as_str().unwrap_or_default().to_owned(),
                role: text("/roleRef/name"),
                namespace: text("/metadata/namespace"),
            })
            .collect(),
        Some("HTTPRoute") => items(object, "/spec/hostnames")
            .filter_map(Value::as_str)
            .map(|name| Loss::Host {
                name: name.to_owned(),
            })
            .collect(),
        None => items(object, "/clients")
            .map(|client| Loss::Client {
                name: client["clientId"].as_str().unwrap_or_default().to_owned(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn items<'value>(object: &'value Value, pointer: &str) -> impl Iterator<Item = &'value Value> {
    let items = object.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Kind;

    fn difference<'text>(kind: Kind, before: &'text str, after: &'text str) -> Difference<'text> {
        Difference {
            path: "clusters/x/a.yaml".into(),
            kind,
            before: before.into(),
            after: after.into(),
        }
    }

    fn told(differences: &[Difference<'_>]) -> Vec<String> {
        let after = |each: &Difference<'_>| (each.path.clone(), each.after.to_string());
        let tree = Tree {
            folder: "clusters/x".into(),
            files: differences.iter().map(after).collect(),
            seeds: std::collections::BTreeMap::new(),
        };
        losses(differences, &tree)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const NAMESPACE: &str = "kind: Namespace\nmetadata: {name: pad}\n---\n";
    const BINDING: &str = "kind: RoleBinding\nmetadata: {name: a, namespace: pad}\nroleRef: {name: edit}\n\
                           subjects: [{name: 'oidc:ada'}, {name: 'oidc:mira'}]\n---\n";
    const ROUTE: &str =
        "kind: HTTPRoute\nmetadata: {name: pad, namespace: pad}\nspec: {hostnames: [pad.x.test]}\n---\n";
    const RELEASE: &str = "kind: HelmRelease\nmetadata: {name: pad}\nspec: {targetNamespace: pad}\n---\n";

    #[test]
    fn test_an_application_that_leaves_takes_its_namespace_along() {
        let all = [NAMESPACE, BINDING, RELEASE].concat();
        let files = [
            difference(Kind::Stale, &all, ""),
            difference(Kind::Stale, ROUTE, ""),
        ];
        assert_eq!(
            told(&files),
            [
                "namespace pad with everything in it, volumes and Secrets included",
                "nothing answers at pad.x.test"
            ]
        );
    }

    #[test]
    fn test_single_losses_are_told_where_the_namespace_stays() {
        let before = [NAMESPACE, BINDING, RELEASE].concat();
        let after = [NAMESPACE, &BINDING.replace(", {name: 'oidc:mira'}", "")].concat();
        assert_eq!(
            told(&[difference(Kind::Changed, &before, &after)]),
            [
                "Helm release pad in pad is uninstalled",
                "oidc:mira is no longer edit in pad"
            ]
        );
    }

    #[test]
    fn test_a_client_that_leaves_the_realm_is_told() {
        let before = "name: x\nclients: [{clientId: kubectl}, {clientId: pad}]\n";
        let after = "name: x\nclients: [{clientId: kubectl}]\n";
        assert_eq!(
            told(&[difference(Kind::Changed, before, after)]),
            [
                "the login by client pad: nothing looks after it any more, and it stays in Keycloak until somebody removes it"
            ]
        );
    }

    #[test]
    fn test_what_is_new_or_moves_is_not_lost() {
        let files = [
            difference(Kind::Changed, ROUTE, NAMESPACE),
            difference(Kind::Missing, "", ROUTE),
        ];
        assert_eq!(told(&files), [""; 0]);
        assert_eq!(told(&[difference(Kind::Changed, "a: [", "")]), [""; 0]);
    }
}
