//! Cluster roles: what `view` and `edit` mean for kinds that Kubernetes does not know.

use serde_json::{Value, json};

use crate::desired::app::subjects;
use crate::desired::flux::FLUX_NAMESPACE;
use crate::desired::{Manifest, Site, marked};

const RBAC_API: &str = "rbac.authorization.k8s.io/v1";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// Lets people see how Flux delivers what is theirs.
const DELIVERY_STATUS: &str = "lotse:delivery-status";

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// Kinds of well-known operators that belong into an application's namespace; their own charts add them to Kubernetes'
/// roles seldom or never. What leads traffic to an application is not among them: that is declared.
const APPLICATION_KINDS: [(&str, &[&str]); 5] = [
    ("barmancloud.cnpg.io", &["objectstores"]),
    (
        "postgresql.cnpg.io",
        &[
            "backups",
            "clusters",
            "databases",
            "poolers",
            "publications",
            "scheduledbackups",
            "subscriptions",
        ],
    ),
    (
        "monitoring.coreos.com",
        &[
            "alertmanagerconfigs",
            "alertmanagers",
            "podmonitors",
            "probes",
            "prometheusagents",
            "prometheuses",
            "prometheusrules",
            "servicemonitors",
            "thanosrulers",
        ],
    ),
    ("k8s.keycloak.org", &["keycloakrealmimports", "keycloaks"]),
    ("snapshot.storage.k8s.io", &["volumesnapshots"]),
];
/// Routes are rendered from `hosts`: people may look at them, not write them.
const ROUTES: (&str, &[&str]) = (
    "gateway.networking.k8s.io",
    &["gateways", "grpcroutes", "httproutes"],
);

/// The cluster roles, and who may see the delivery.
pub(in crate::desired) fn roles<Key>(site: &Site<'_, Key>) -> Vec<Manifest> {
    let readable = APPLICATION_KINDS.into_iter().chain([ROUTES]);
    let view = readable.map(|(group, kinds)| rule(group, kinds, &READ));
    let edit = APPLICATION_KINDS
        .into_iter()
        .map(|(group, kinds)| rule(group, kinds, &WRITE));
    let mut objects = vec![
        cluster_role(site, "lotse:view", &view.collect()).with_label(&aggregate_to("view"), "true"),
        cluster_role(site, "lotse:edit", &edit.collect()).with_label(&aggregate_to("edit"), "true"),
        cluster_role(site, DELIVERY_STATUS, &delivery_rules()),
    ];
    objects.extend(delivery_status(site));
    objects
}

fn aggregate_to(role: &str) -> String {
    format!("{RBAC_GROUP}/aggregate-to-{role}")
}

fn rule(group: &str, kinds: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": kinds, "verbs": verbs })
}

fn cluster_role<Key>(site: &Site<'_, Key>, name: &str, rules: &Value) -> Manifest {
    let kind = (RBAC_API, "ClusterRole");
    marked(site.environment, kind, name, json!({ "rules": rules }))
}

/// Everything that delivers, and its events; no Secrets.
fn delivery_rules() -> Value {
    json!([
        rule("kustomize.toolkit.fluxcd.io", &["kustomizations"], &READ),
        rule("helm.toolkit.fluxcd.io", &["helmreleases"], &READ),
        rule(
            "source.toolkit.fluxcd.io",
            &[
                "gitrepositories",
                "helmcharts",
                "helmrepositories",
                "ocirepositories"
            ],
            &READ
        ),
        rule("", &["events"], &READ),
        rule("events.k8s.io", &["events"], &READ),
    ])
}

/// Flux's objects are in Flux's namespace, where grants to an application's own give nothing. Everybody who has access to
/// some application may look at all of them: they say no more than the repository.
fn delivery_status<Key>(site: &Site<'_, Key>) -> Option<Manifest> {
    let organisation = &site.environment.identity.github.organisation;
    let subjects = subjects(site.apps(), organisation, site.today);
    let role = json!({ "apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": DELIVERY_STATUS });
    (!subjects.is_empty()).then(|| {
        let content = json!({ "roleRef": role, "subjects": subjects });
        let kind = (RBAC_API, "RoleBinding");
        marked(site.environment, kind, DELIVERY_STATUS, content).in_namespace(FLUX_NAMESPACE)
    })
}
