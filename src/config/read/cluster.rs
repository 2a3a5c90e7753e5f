//! `cluster` in `environment.yaml`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::fields::{Findings, duplicate_key, list, mapping, unique};
use super::scalar::{boolean, formed, host, name, number, secret, text, word};
use crate::config::environment::{Cluster, ControlPlane, Stack, WorkerGroup};
use crate::config::mask;
use crate::config::setting::SecretSetting;
use crate::config::tree::{Key, Node, Value};
use crate::diag::Code;
use crate::names::{ClusterName, DomainName};

/// Variables of the cluster class that are set from other keys.
const OWN_VARIABLES: [(&str, &str); 2] = [
    ("certSANs", "cluster.apiServer.certSANs"),
    ("oidcConfig", "identity"),
];

pub(super) fn cluster(node: &Node, findings: &mut Findings<'_>) -> Option<Cluster> {
    mapping(node, findings, |fields| {
        let cluster_name = fields.required("name", name::<ClusterName>);
        let stack = fields.required("stack", stack);
        let version = fields.required("version", |node, findings| {
            let version = formed(node, findings, is_kubernetes_version, "a version such as v1.36.3")?;
            if let Some(stack) = &stack {
                check_minor_version(node, findings, &version, stack);
            }
            Some(version)
        });
        let control_plane = fields.optional("controlPlane", control_plane);
        let workers = fields.optional("workers", |node, findings| list(node, findings, worker_group));
        let cert_sans = fields.optional("apiServer", api_server);
        let variables = fields.optional("variables", variables);
        let of_cluster = cluster_name.as_ref().map(ToString::to_string);
        let beside = fields.optional("secrets", |node, findings| {
            secrets(node, findings, of_cluster.as_deref())
        });
        let inside = fields.optional("workloadSecrets", |node, findings| secrets(node, findings, None));
        Some(Cluster {
            name: cluster_name?,
            stack: stack?,
            version: version?,
            control_plane: control_plane.unwrap_or_default(),
            workers: workers.unwrap_or_default(),
            cert_sans: cert_sans.unwrap_or_default(),
            variables: variables.unwrap_or_default(),
            secrets: beside.unwrap_or_default(),
            workload_secrets: inside.unwrap_or_default(),
        })
    })
}

fn check_minor_version(node: &Node, findings: &mut Findings<'_>, version: &str, stack: &Stack) {
    if !version.starts_with(&format!("v{}.", stack.kubernetes)) {
        let message = format!(
            "`{version}` is not a patch release of the stack's Kubernetes {}",
            stack.kubernetes
        );
        findings.report(Code::VersionOutsideStack, node.span, message);
    }
}

fn is_kubernetes_version(text: &str) -> bool {
    text.strip_prefix('v')
        .is_some_and(|numbers| is_version(numbers, 3))
}

pub(super) fn is_version(text: &str, parts: usize) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == parts && text.split('.').all(is_number)
}

fn stack(node: &Node, findings: &mut Findings<'_>) -> Option<Stack> {
    mapping(node, findings, |fields| {
        let provider = fields.required("provider", word);
        let stack_name = fields.required("name", word);
        let kubernetes = fields.required("kubernetes", |node, findings| {
            formed(
                node,
                findings,
                |text| is_version(text, 2),
                "a minor version such as \"1.36\"",
            )
        });
        let release = fields.required("release", word);
        let provider_release = fields.optional("providerRelease", boolean);
        Some(Stack {
            provider: provider?,
            name: stack_name?,
            kubernetes: kubernetes?,
            release: release?,
            provider_release: provider_release.unwrap_or(false),
        })
    })
}

fn control_plane(node: &Node, findings: &mut Findings<'_>) -> Option<ControlPlane> {
    mapping(node, findings, |fields| {
        let replicas = fields.optional("replicas", number::<u32>);
        let flavor = fields.optional("flavor", text);
        Some(ControlPlane { replicas, flavor })
    })
}

fn worker_group(node: &Node, findings: &mut Findings<'_>) -> Option<WorkerGroup> {
    mapping(node, findings, |fields| {
        let group_name = fields.required("name", word);
        let class = fields.optional("class", text);
        let replicas = fields.required("replicas", number::<u32>);
        let flavor = fields.optional("flavor", text);
        let group_name = group_name?;
        Some(WorkerGroup {
            class: class.unwrap_or_else(|| "default-worker".into()),
            name: group_name,
            replicas: replicas?,
            flavor,
        })
    })
}

fn api_server(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    mapping(node, findings, |fields| {
        Some(
            fields
                .optional("certSANs", |node, findings| unique(node, findings, host))
                .unwrap_or_default(),
        )
    })
}

fn variables(node: &Node, findings: &mut Findings<'_>) -> Option<Map<String, Json>> {
    let Value::Map(fields) = &node.value else {
        findings.wrong_type(node, "a mapping");
        return None;
    };
    for (index, (key, _)) in fields.iter().enumerate() {
        if let Some((first, _)) = fields[..index].iter().find(|(other, _)| other.name == key.name) {
            duplicate_key(findings, key, first);
        }
        if let Some((own, origin)) = OWN_VARIABLES.iter().find(|(own, _)| *own == key.name) {
            let message = format!("variable `{own}` is set from `{origin}`");
            findings.report(Code::ReservedName, key.span, message);
        }
    }
    mask::within(node, &mut findings.secrets);
    node.to_json().as_object().cloned()
}

/// Secrets by name. Those that begin with `cluster` are Cluster API's (its kubeconfig, its authorities), and those that carry
/// Secrets inside.
fn secrets(
    node: &Node,
    findings: &mut Findings<'_>,
    cluster: Option<&str>,
) -> Option<BTreeMap<String, BTreeMap<String, SecretSetting>>> {
    entries(node, findings, |key, value, findings| {
        if let Err(error) = key.name.parse::<DomainName>() {
            findings.report(Code::Malformed, key.span, error.to_string());
        }
        let of_cluster = cluster.is_some_and(|cluster| key.name.starts_with(&format!("{cluster}-")));
        if of_cluster {
            let message = format!("the Secret `{}` would be one of the Cluster's own", key.name);
            findings.report(Code::ReservedName, key.span, message).help =
                Some("choose a name that does not begin with that of the Cluster".into());
        }
        if key.name.ends_with("-age") {
            let message = format!(
                "the Secret `{}` would take the place of the key of an environment",
                key.name
            );
            findings.report(Code::ReservedName, key.span, message).help =
                Some("choose a name that does not end with -age".into());
        }
        if key.name.starts_with("bootstrap-token-") {
            let message = format!("the Secret `{}` would let machines into the cluster", key.name);
            findings.report(Code::ReservedName, key.span, message).help =
                Some("choose another name: Kubernetes takes these for tokens of new machines".into());
        }
        entries(value, findings, |key, value, findings| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_path = matches!(key.name.as_str(), "." | "..");
            if key.name.is_empty() || is_path || !key.name.bytes().all(allowed) {
                let message = format!("`{}` can't be a key of a Secret", key.name);
                findings.report(Code::Malformed, key.span, message).help =
                    Some("letters, digits, hyphens, underscores and dots are allowed".into());
            }
            secret(value, findings)
        })
    })
}

/// What stands under keys that anybody may choose.
fn entries<T>(
    node: &Node,
    findings: &mut Findings<'_>,
    read: impl Fn(&Key, &Node, &mut Findings<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let Value::Map(entries) = &node.value else {
        findings.wrong_type(node, "a mapping");
        return None;
    };
    let mut values = BTreeMap::new();
    for (index, (key, value)) in entries.iter().enumerate() {
        if let Some((first, _)) = entries[..index].iter().find(|(other, _)| other.name == key.name) {
            duplicate_key(findings, key, first);
        }
        if let Some(value) = read(key, value, findings) {
            values.insert(key.name.clone(), value);
        }
    }
    Some(values)
}
