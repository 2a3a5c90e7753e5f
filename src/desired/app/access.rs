//! Grants as role bindings.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::config::{App, Environment, Grant, Subject};
use crate::desired::realm::group_of;
use crate::desired::{APP_LABEL, Manifest, OIDC_PREFIX, marked};
use crate::names::Login;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const RBAC_API: &str = "rbac.authorization.k8s.io/v1";

/// One role binding per grant that still holds.
pub(super) fn grants<Key>(app: &App, environment: &Environment<String, Key>, today: Date) -> Vec<Manifest> {
    let mut bindings: Vec<Manifest> = app
        .access
        .iter()
        .filter(|grant| grant.holds_on(today))
        .map(|grant| binding(app, environment, grant))
        .collect();
    bindings.sort_by(|one, other| one.name().cmp(other.name()));
    bindings.dedup_by(|one, other| one.name() == other.name());
    bindings
}

/// Everybody who holds a grant in one of `apps`, as the API server knows them, each once and sorted.
pub(in crate::desired) fn subjects<'app>(
    apps: impl Iterator<Item = &'app App>,
    organisation: &Login,
    today: Date,
) -> Vec<Value> {
    let grants = apps.flat_map(|app| &app.access);
    let holding: BTreeSet<&Subject> = grants
        .filter(|grant| grant.holds_on(today))
        .map(|grant| &grant.subject)
        .collect();
    holding
        .into_iter()
        .map(|holder| subject(holder, organisation))
        .collect()
}

fn binding<Key>(app: &App, environment: &Environment<String, Key>, grant: &Grant) -> Manifest {
    let holder = match &grant.subject {
        Subject::Team(team) => format!("team:{team}"),
        Subject::Person(login) => format!("person:{}", login.folded()),
    };
    let subject = subject(&grant.subject, &environment.identity.github.organisation);
    let name = format!("lotse:{holder}:{}", grant.role);
    let mut binding = role_binding(app, environment, &name, &grant.role, &subject);
    if let Some(until) = grant.until {
        binding = binding.with_annotation("lotse.dev/until", &until.to_string());
    }
    if let Some(reason) = &grant.reason {
        binding = binding.with_annotation("lotse.dev/reason", reason);
    }
    binding
}

fn subject(holder: &Subject, organisation: &Login) -> Value {
    let name = format!("{OIDC_PREFIX}{}", group_of(organisation, holder));
    json!({ "apiGroup": RBAC_GROUP, "kind": "Group", "name": name })
}

/// Binds `subject` to a cluster role in the application's namespace.
pub(super) fn role_binding<Text, Key>(
    app: &App,
    environment: &Environment<Text, Key>,
    name: &str,
    role: &str,
    subject: &Value,
) -> Manifest {
    bound(app, environment, "RoleBinding", name, role, subject).in_namespace(app.name.as_str())
}

/// Binds `subject` to a cluster role in the whole cluster.
pub(super) fn cluster_binding<Text, Key>(
    app: &App,
    environment: &Environment<Text, Key>,
    name: &str,
    role: &str,
    subject: &Value,
) -> Manifest {
    bound(app, environment, "ClusterRoleBinding", name, role, subject)
}

fn bound<Text, Key>(
    app: &App,
    environment: &Environment<Text, Key>,
    kind: &str,
    name: &str,
    role: &str,
    subject: &Value,
) -> Manifest {
    let role = json!({ "apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role });
    let content = json!({ "roleRef": role, "subjects": [subject] });
    marked(environment, (RBAC_API, kind), name, content).with_label(APP_LABEL, app.name.as_str())
}
