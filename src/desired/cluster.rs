//! The workload cluster as the management cluster knows it.

use serde_json::{Value, json};

use super::{ENVIRONMENT_LABEL, KUBECTL_CLIENT, Manifest, OIDC_PREFIX, marked};
use crate::config::{Environment, Stack, WorkerGroup};
use crate::names::ClusterName;

/// Variables of the SCS cluster stacks for OpenStack that name the machines' flavors.
const CONTROL_PLANE_FLAVOR: &str = "controlPlaneFlavor";
const WORKER_FLAVOR: &str = "workerFlavor";

/// Namespace, `ClusterStack`, `ClusterResourceSet` where the workload cluster gets Secrets, `Cluster`.
pub(super) fn objects<Key>(environment: &Environment<String, Key>) -> Vec<Manifest> {
    let namespace = environment.management.namespace.as_str();
    let mut objects = vec![
        marked(environment, ("v1", "Namespace"), namespace, json!({})),
        cluster_stack(environment).in_namespace(namespace),
    ];
    if !environment.cluster.workload_secrets.is_empty() {
        objects.push(resource_set(environment).in_namespace(namespace));
    }
    objects.push(cluster(environment).in_namespace(namespace));
    objects
}

/// Name of the Secret beside the `Cluster` that carries one for inside of it.
#[must_use]
pub fn carrier(cluster: &ClusterName, secret: &str) -> String {
    format!("{cluster}-{secret}")
}

/// Has Cluster API put Secrets into the workload cluster as soon as its API server answers, and keep them as their
/// carriers say.
fn resource_set<Key>(environment: &Environment<String, Key>) -> Manifest {
    let cluster = &environment.cluster;
    let resources = cluster.workload_secrets.keys();
    let resources = resources.map(|name| json!({ "kind": "Secret", "name": carrier(&cluster.name, name) }));
    let spec = json!({
        "strategy": "Reconcile",
        "clusterSelector": { "matchLabels": { ENVIRONMENT_LABEL: environment.name.as_str() } },
        "resources": resources.collect::<Value>(),
    });
    marked(
        environment,
        ("addons.cluster.x-k8s.io/v1beta2", "ClusterResourceSet"),
        cluster.name.as_str(),
        json!({ "spec": spec }),
    )
}

fn cluster_stack<Key>(environment: &Environment<String, Key>) -> Manifest {
    let stack = &environment.cluster.stack;
    let spec = json!({
        "provider": stack.provider,
        "name": stack.name,
        "kubernetesVersion": stack.kubernetes,
        "channel": channel(stack),
        "versions": [stack.release],
        "autoSubscribe": false,
        "noProvider": !stack.provider_release,
    });
    let name = format!(
        "{}-{}-{}",
        stack.provider,
        stack.name,
        stack.kubernetes.replace('.', "-")
    );
    marked(
        environment,
        ("clusterstack.x-k8s.io/v1alpha1", "ClusterStack"),
        &name,
        json!({ "spec": spec }),
    )
}

/// CSO's channel: releases `v1`, `v2` are stable, anything else (`v0-sha.abc`) is custom.
fn channel(stack: &Stack) -> &'static str {
    let is_stable = stack
        .release
        .strip_prefix('v')
        .is_some_and(|number| number.parse::<u32>().is_ok());
    if is_stable { "stable" } else { "custom" }
}

fn cluster<Key>(environment: &Environment<String, Key>) -> Manifest {
    let cluster = &environment.cluster;
    let mut topology = json!({
        "classRef": { "name": cluster.stack.class_name() },
        "version": cluster.version,
    });
    if let Some(replicas) = cluster.control_plane.replicas {
        topology["controlPlane"] = json!({ "replicas": replicas });
    }
    if !cluster.workers.is_empty() {
        let groups = cluster.workers.iter().map(worker_group).collect::<Value>();
        topology["workers"] = json!({ "machineDeployments": groups });
    }
    topology["variables"] = variables(environment);
    let kind = ("cluster.x-k8s.io/v1beta2", "Cluster");
    marked(
        environment,
        kind,
        cluster.name.as_str(),
        json!({ "spec": { "topology": topology } }),
    )
}

/// The flavor of one group is a variable of the class that the group overrides.
fn worker_group(group: &WorkerGroup) -> Value {
    let mut topology = json!({ "class": group.class, "name": group.name, "replicas": group.replicas });
    if let Some(flavor) = &group.flavor {
        let overrides = [variable(WORKER_FLAVOR, &json!(flavor))];
        topology["variables"] = json!({ "overrides": overrides });
    }
    topology
}

/// Never empty: the API refuses an empty list here, and `oidcConfig` is always set. A variable that is declared as such
/// wins over one that follows from another key, since the API refuses two of the same name.
fn variables<Key>(environment: &Environment<String, Key>) -> Value {
    let cluster = &environment.cluster;
    let names = (!cluster.cert_sans.is_empty()).then(|| ("certSANs", json!(cluster.cert_sans)));
    let flavor = cluster.control_plane.flavor.as_ref();
    let following = [
        names,
        flavor.map(|flavor| (CONTROL_PLANE_FLAVOR, json!(flavor))),
        Some(("oidcConfig", oidc(environment))),
    ];
    let following = following.into_iter().flatten();
    let following = following.filter(|(name, _)| !cluster.variables.contains_key(*name));
    let declared = cluster.variables.iter();
    following
        .map(|(name, value)| variable(name, &value))
        .chain(declared.map(|(name, value)| variable(name, value)))
        .collect()
}

fn variable(name: &str, value: &Value) -> Value {
    json!({ "name": name, "value": value })
}

/// PEM of the authorities of issuers' certificates, where they aren't public ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// That of Keycloak's.
    pub realm: Option<String>,
    /// Those of the other issuers, in the order of their declaration.
    pub other_issuers: Vec<Option<String>>,
}

/// How the API server takes the tokens of persons, for a class with a variable for all of it
/// (`AuthenticationConfiguration`, v1 since Kubernetes 1.34).
///
/// Names that begin with `system:` are Kubernetes' own: whatever the claims of an issuer say, no token gets one.
#[must_use]
pub fn authentication<Key>(environment: &Environment<String, Key>, authorities: &Authorities) -> Value {
    let identity = &environment.identity;
    let realm = json!({
        "issuer": issuer(&identity.issuer(), KUBECTL_CLIENT, authorities.realm.as_deref()),
        "claimMappings": mappings("preferred_username", "groups", OIDC_PREFIX),
        "userValidationRules": user_rules(),
    });
    let others = identity.other_issuers.iter().enumerate().map(|(index, other)| {
        let authority = authorities.other_issuers.get(index);
        let authority = authority.and_then(Option::as_deref);
        let prefix = other.prefix.as_deref().unwrap_or(OIDC_PREFIX);
        json!({
            "issuer": issuer(&other.url, &other.client_id, authority),
            "claimMappings": mappings(&other.username_claim, &other.groups_claim, prefix),
            "userValidationRules": user_rules(),
        })
    });
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": std::iter::once(realm).chain(others).collect::<Value>(),
    })
}

/// An issuer is trusted by the system's authorities, or by this one alone.
fn issuer(url: &str, client: &str, authority: Option<&str>) -> Value {
    let mut issuer = json!({ "url": url, "audiences": [client] });
    if let Some(authority) = authority {
        issuer["certificateAuthority"] = authority.into();
    }
    issuer
}

fn mappings(username: &str, groups: &str, prefix: &str) -> Value {
    json!({
        "username": { "claim": username, "prefix": prefix },
        "groups": { "claim": groups, "prefix": prefix },
    })
}

fn user_rules() -> Value {
    json!([
        {
            "expression": "!user.username.startsWith('system:')",
            "message": "a user name of an issuer can't begin with system:",
        },
        {
            "expression": "user.groups.all(group, !group.startsWith('system:'))",
            "message": "a group of an issuer can't begin with system:",
        },
    ])
}

fn oidc<Key>(environment: &Environment<String, Key>) -> Value {
    json!({
        "clientID": KUBECTL_CLIENT,
        "issuerURL": environment.identity.issuer(),
        "usernameClaim": "preferred_username",
        "groupsClaim": "groups",
        "usernamePrefix": OIDC_PREFIX,
        "groupsPrefix": OIDC_PREFIX,
    })
}
