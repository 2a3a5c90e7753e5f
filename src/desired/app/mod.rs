//! What surrounds one application: its namespace, limits, network, access, and its delivery by Flux.

mod access;
mod delivery;
mod limits;
mod network;

use serde_json::{Value, json};

pub(super) use self::access::subjects;
use self::access::{cluster_binding, grants, role_binding};
pub(super) use self::delivery::kustomizations;
use super::flux::FLUX_NAMESPACE;
use super::{
    APP_LABEL, CLUSTER_WIDE_LABEL, Manifest, OWNER_LABEL_PREFIX, OWNERS_ANNOTATION, Site, marked,
    pod_security,
};
use crate::config::{App, Environment};

/// What Flux may do in an application's namespace for it: everything that an engineer with role `edit` may, so no
/// roles, quotas or namespace labels.
const DELIVERY_ROLE: &str = "edit";
/// What Flux may do for an application that the environment lists under `clusterWide`.
const CLUSTER_WIDE_ROLE: &str = "cluster-admin";

/// All objects around `app`, in order of need.
pub(super) fn objects<Key>(app: &App, site: &Site<'_, Key>) -> Vec<Manifest> {
    let environment = site.environment;
    let mut objects = vec![
        namespace(app, site),
        platform_facts(app, environment),
        default_account(app, environment),
    ];
    objects.extend(limits::objects(app, site));
    objects.extend(network::policies(app, site));
    objects.push(service_account(app, environment));
    objects.push(delivery_binding(app, site));
    objects.extend(grants(app, environment, site.today));
    objects.extend(delivery::objects(app, site));
    objects
}

fn namespace<Key>(app: &App, site: &Site<'_, Key>) -> Manifest {
    let environment = site.environment;
    let mut owners: Vec<&str> = app.owners.iter().map(AsRef::as_ref).collect();
    owners.sort_unstable();
    let mut namespace = marked(environment, ("v1", "Namespace"), app.name.as_str(), json!({}))
        .with_label(APP_LABEL, app.name.as_str());
    if site.is_cluster_wide(&app.name) {
        namespace = namespace.with_label(CLUSTER_WIDE_LABEL, "true");
    }
    for owner in &owners {
        namespace = namespace.with_label(&format!("{OWNER_LABEL_PREFIX}{owner}"), "true");
    }
    pod_security(namespace, environment, app.pod_security.as_str())
        .with_annotation("lotse.dev/description", &app.description)
        .with_annotation(OWNERS_ANNOTATION, &owners.join(","))
}

/// What manifests of the application may refer to instead of repeating it per environment.
fn platform_facts<Key>(app: &App, environment: &Environment<String, Key>) -> Manifest {
    let data = json!({
        "environment": environment.name.as_str(),
        "domain": environment.domain.as_str(),
        "issuer": environment.identity.issuer(),
    });
    around(
        app,
        environment,
        ("v1", "ConfigMap"),
        "platform",
        json!({ "data": data }),
    )
}

/// Pods that name no account get this one. It has no rights, and no token of it is put into them.
fn default_account<Text, Key>(app: &App, environment: &Environment<Text, Key>) -> Manifest {
    let content = json!({ "automountServiceAccountToken": false });
    around(app, environment, ("v1", "ServiceAccount"), "default", content)
}

/// Whom Flux acts as for the application.
fn service_account<Text, Key>(app: &App, environment: &Environment<Text, Key>) -> Manifest {
    let content = json!({ "automountServiceAccountToken": false });
    around(
        app,
        environment,
        ("v1", "ServiceAccount"),
        app.name.as_str(),
        content,
    )
    .in_namespace(FLUX_NAMESPACE)
}

fn delivery_binding<Key>(app: &App, site: &Site<'_, Key>) -> Manifest {
    let account = json!({ "kind": "ServiceAccount", "name": app.name.as_str(), "namespace": FLUX_NAMESPACE });
    if site.is_cluster_wide(&app.name) {
        let name = format!("lotse:delivery:{}", app.name);
        return cluster_binding(app, site.environment, &name, CLUSTER_WIDE_ROLE, &account);
    }
    role_binding(app, site.environment, "lotse:delivery", DELIVERY_ROLE, &account)
}

/// An object in the application's namespace.
fn around<Text, Key>(
    app: &App,
    environment: &Environment<Text, Key>,
    kind: (&str, &str),
    name: &str,
    content: Value,
) -> Manifest {
    marked(environment, kind, name, content)
        .in_namespace(app.name.as_str())
        .with_label(APP_LABEL, app.name.as_str())
}
