//! Admission policies: what the API server refuses, whoever asks, and what it says then.
//!
//! They hold for charts and folders from elsewhere too, whose objects no check of the repository sees. Messages name the
//! object and what to do about it.

use serde_json::{Value, json};

use crate::config::Environment;
use crate::desired::{APP_LABEL, CLUSTER_WIDE_LABEL, Manifest, marked};

const ADMISSION_API: &str = "admissionregistration.k8s.io/v1";
/// The priority class of cluster-wide applications.
pub(super) const PLATFORM_PRIORITY: &str = "lotse-platform";

/// Administrators of the cluster (kubeadm's and Cluster API's), and Flux acting for the platform.
const IS_PLATFORM: &str = "request.userInfo.username in [\
     'system:serviceaccount:flux-system:kustomize-controller', \
     'system:serviceaccount:flux-system:helm-controller'] || \
     (has(request.userInfo.groups) && request.userInfo.groups.exists(g, \
     g in ['system:masters', 'kubeadm:cluster-admins']))";
/// People, and Flux acting for an application.
const IS_PERSON_OR_DELIVERY: &str = "request.userInfo.username.startsWith('oidc:') || \
     request.userInfo.username.startsWith('system:serviceaccount:flux-system:')";

/// What one policy says.
struct Policy {
    name: &'static str,
    /// Groups and resources; all versions.
    resources: &'static [(&'static str, &'static [&'static str])],
    /// Which namespaces, and cluster-scoped objects only without it.
    namespaces: Option<Value>,
    /// Requests that it looks at: name and expression, all of them must be true.
    conditions: Vec<(&'static str, String)>,
    /// Name and expression.
    variables: &'static [(&'static str, &'static str)],
    /// What must be true, and the expression of the message when it is not.
    validations: Vec<(String, String)>,
}

/// Policies and their bindings.
pub(in crate::desired) fn policies<Text, Key>(environment: &Environment<Text, Key>) -> Vec<Manifest> {
    let declared = [cluster_admin(), services(), workloads(), network_policies()];
    declared
        .iter()
        .flat_map(|policy| [policy_object(environment, policy), binding(environment, policy)])
        .collect()
}

/// `cluster-admin` is given by the platform only, in the whole cluster as in one namespace.
fn cluster_admin() -> Policy {
    Policy {
        name: "lotse-cluster-admin",
        resources: &[(
            "rbac.authorization.k8s.io",
            &["clusterrolebindings", "rolebindings"],
        )],
        namespaces: None,
        conditions: vec![("not-the-platform", format!("!({IS_PLATFORM})"))],
        variables: &[],
        validations: vec![(
            "object.roleRef.kind != 'ClusterRole' || object.roleRef.name != 'cluster-admin'".to_owned(),
            message(
                "' gives cluster-admin, which only the platform may: bind a role with just what is needed'",
            ),
        )],
    }
}

/// Applications are reached through the gateway.
fn services() -> Policy {
    Policy {
        name: "lotse-services",
        resources: &[("", &["services"])],
        namespaces: Some(applications_only()),
        conditions: Vec::new(),
        variables: &[],
        validations: vec![
            (
                "!has(object.spec.type) || !(object.spec.type in ['LoadBalancer', 'NodePort'])".to_owned(),
                message(
                    "' is of type ' + object.spec.type + ': applications are reached through the gateway. \
                     Make it ClusterIP and name it under `hosts` in app.yaml'",
                ),
            ),
            (
                "!has(object.spec.externalIPs) || object.spec.externalIPs.size() == 0".to_owned(),
                message(
                    "' has externalIPs, which would take over addresses of others: remove them and name it under \
                     `hosts` in app.yaml'",
                ),
            ),
        ],
    }
}

/// Images say which one they are, and nobody goes before the platform. Templates are looked at too, so that it is told
/// where it is written and not only when pods fail to appear.
fn workloads() -> Policy {
    Policy {
        name: "lotse-workloads",
        resources: &[
            ("", &["pods", "pods/ephemeralcontainers"]),
            (
                "apps",
                &["daemonsets", "deployments", "replicasets", "statefulsets"],
            ),
            ("batch", &["cronjobs", "jobs"]),
        ],
        namespaces: Some(applications()),
        // What is on its way out must be let go.
        conditions: vec![("stays", "!has(object.metadata.deletionTimestamp)".to_owned())],
        variables: &[
            (
                "pod",
                "request.kind.kind == 'Pod' ? dyn(object).spec : request.kind.kind == 'CronJob' ? \
                 dyn(object).spec.jobTemplate.spec.template.spec : dyn(object).spec.template.spec",
            ),
            (
                "containers",
                "variables.pod.containers + \
                 (has(variables.pod.initContainers) ? variables.pod.initContainers : []) + \
                 (has(variables.pod.ephemeralContainers) ? variables.pod.ephemeralContainers : [])",
            ),
            (
                "unpinned",
                "variables.containers.filter(c, has(c.image) && !c.image.matches('@sha256:[0-9a-f]{64}$') && \
                 (c.image.endsWith(':latest') || !c.image.matches(':[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$')))\
                 .map(c, c.image)",
            ),
            (
                "isTrusted",
                "has(namespaceObject.metadata.labels) && 'lotse.dev/cluster-wide' in \
                 namespaceObject.metadata.labels",
            ),
        ],
        validations: vec![
            (
                "variables.unpinned.size() == 0".to_owned(),
                message(
                    "' uses ' + variables.unpinned.join(', ') + ': name the version as a tag other than latest, or \
                     the digest'",
                ),
            ),
            (
                format!(
                    "variables.isTrusted || !has(variables.pod.priorityClassName) || \
                     !(variables.pod.priorityClassName == '{PLATFORM_PRIORITY}' || \
                     variables.pod.priorityClassName.startsWith('system-'))"
                ),
                message(
                    "' has priority ' + variables.pod.priorityClassName + ', which is for cluster-wide \
                     applications: use lotse-important or none'",
                ),
            ),
        ],
    }
}

/// Policies add up: one that opens everything would undo what is declared. Operators may write theirs.
fn network_policies() -> Policy {
    Policy {
        name: "lotse-network-policies",
        resources: &[("networking.k8s.io", &["networkpolicies"])],
        namespaces: Some(applications_only()),
        conditions: vec![
            ("person-or-delivery", IS_PERSON_OR_DELIVERY.to_owned()),
            ("not-the-platform", format!("!({IS_PLATFORM})")),
        ],
        variables: &[],
        validations: vec![(
            "false".to_owned(),
            message(
                "' is not rendered from a declaration: say it under `network` in app.yaml, and switch off what a \
                 chart brings'",
            ),
        )],
    }
}

/// The expression of a message: the object, and `rest`.
fn message(rest: &str) -> String {
    format!(
        "request.kind.kind + '/' + (has(object.metadata.namespace) ? object.metadata.namespace + '/' : '') + \
         object.metadata.name + {rest}"
    )
}

/// Namespaces of all applications.
fn applications() -> Value {
    json!({ "matchExpressions": [{ "key": APP_LABEL, "operator": "Exists" }] })
}

/// Namespaces of applications that are not trusted with the cluster.
fn applications_only() -> Value {
    json!({ "matchExpressions": [
        { "key": APP_LABEL, "operator": "Exists" },
        { "key": CLUSTER_WIDE_LABEL, "operator": "DoesNotExist" },
    ] })
}

fn policy_object<Text, Key>(environment: &Environment<Text, Key>, policy: &Policy) -> Manifest {
    let mut constraints = json!({ "resourceRules": rules(policy) });
    if let Some(selector) = &policy.namespaces {
        constraints["namespaceSelector"] = selector.clone();
    }
    let mut spec = json!({ "failurePolicy": "Fail", "matchConstraints": constraints });
    if !policy.conditions.is_empty() {
        spec["matchConditions"] = named(&policy.conditions);
    }
    if !policy.variables.is_empty() {
        spec["variables"] = named(policy.variables);
    }
    spec["validations"] = policy
        .validations
        .iter()
        .map(|(expression, message)| json!({ "expression": expression, "messageExpression": message }))
        .collect();
    let kind = (ADMISSION_API, "ValidatingAdmissionPolicy");
    marked(environment, kind, policy.name, json!({ "spec": spec }))
}

fn rules(policy: &Policy) -> Value {
    let rule = |(group, resources): &(&str, &[&str])| {
        json!({
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
        })
    };
    policy.resources.iter().map(rule).collect()
}

fn named(expressions: &[(&str, impl AsRef<str>)]) -> Value {
    expressions
        .iter()
        .map(|(name, expression)| json!({ "name": name, "expression": expression.as_ref() }))
        .collect()
}

fn binding<Text, Key>(environment: &Environment<Text, Key>, policy: &Policy) -> Manifest {
    let spec = json!({ "policyName": policy.name, "validationActions": ["Deny"] });
    let kind = (ADMISSION_API, "ValidatingAdmissionPolicyBinding");
    marked(environment, kind, policy.name, json!({ "spec": spec }))
}
