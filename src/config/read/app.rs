//! `app.yaml` of an application, and of an environment that overrides it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8Path;
use jiff::civil::Date;

use super::access::{access, owners};
use super::check_kind;
use super::environment::same_as_folder;
use super::fields::{Fields, Findings, Mentioned, mapping, not_empty, unique};
use super::limits::{container_defaults, quota};
use super::login::login;
use super::network::{network, port};
use super::scalar::{address, choice, formed, malformed, name, sentence, text};
use super::source::source;
use crate::config::app::{App, ContainerDefaults, Destination, Grant, Host, LoginClient, PodSecurity, Quota};
use crate::config::environment::Environment;
use crate::config::mend::scalar;
use crate::config::network::Network;
use crate::config::people::People;
use crate::config::source::Source;
use crate::config::tree::{Node, Value};
use crate::diag::{Certainty, Code};
use crate::names::{AppName, DomainName, HostLabel, TeamName};

/// Port of a Service that is not named otherwise.
const STANDARD_PORT: u16 = 80;

/// Ways to lead past the gateway, and the keys that have no meaning beside each.
const APART: [(&str, &[&str]); 2] = [
    (LOAD_BALANCER, &["service", "port", ADDRESSES]),
    (ADDRESSES, &["service", "port"]),
];
const LOAD_BALANCER: &str = "loadBalancer";
const ADDRESSES: &str = "addresses";

/// How long Flux waits for an application that does not say.
const STANDARD_TIMEOUT: &str = "5m";

/// Namespaces that begin so are Kubernetes' own (Kubernetes documentation, "Namespaces").
const KUBERNETES_PREFIX: &str = "kube-";

/// Namespaces and service accounts of the cluster and the platform, the folder of its runbooks, and words of network rules.
const RESERVED_APPS: [&str; 14] = [
    "api-server",
    "default",
    "flux-system",
    "gateway",
    "helm-controller",
    "image-automation-controller",
    "image-reflector-controller",
    "internet",
    "kustomization",
    "kustomize-controller",
    "notification-controller",
    "platform",
    "source-controller",
    "source-watcher",
];

/// What an application is read against.
#[derive(Clone, Copy)]
pub(in crate::config) struct Context<'platform> {
    /// Its name: that of its folder.
    pub(in crate::config) folder: &'platform AppName,
    /// The folder of the file, relative to the repository.
    pub(in crate::config) directory: &'platform Utf8Path,
    /// The platform, when the application is part of the environment and the platform itself could be read.
    pub(in crate::config) platform: Option<Platform<'platform>>,
    /// The day.
    pub(in crate::config) today: Date,
}

/// What the application's references lead to.
#[derive(Clone, Copy)]
pub(in crate::config) struct Platform<'platform> {
    pub(in crate::config) environment: &'platform Environment,
    pub(in crate::config) people: &'platform People,
}

/// What one file says of an application.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Parts {
    description: Option<String>,
    owners: Option<Vec<TeamName>>,
    hosts: Option<Vec<Host>>,
    source: Option<Source>,
    access: Option<Vec<Grant>>,
    login: Option<Vec<LoginClient>>,
    quota: Option<Quota>,
    container_defaults: Option<ContainerDefaults>,
    network: Option<Network>,
    pod_security: Option<PodSecurity>,
    depends_on: Option<Vec<AppName>>,
    timeout: Option<String>,
}

impl Parts {
    /// What this file says, and `base` where it says nothing.
    pub(in crate::config) fn or(self, base: Self) -> Self {
        Self {
            description: self.description.or(base.description),
            owners: self.owners.or(base.owners),
            hosts: self.hosts.or(base.hosts),
            source: self.source.or(base.source),
            access: self.access.or(base.access),
            login: self.login.or(base.login),
            quota: self.quota.or(base.quota),
            container_defaults: self.container_defaults.or(base.container_defaults),
            network: self.network.or(base.network),
            pod_security: self.pod_security.or(base.pod_security),
            depends_on: self.depends_on.or(base.depends_on),
            timeout: self.timeout.or(base.timeout),
        }
    }

    /// The application, when nothing is missing that every application needs.
    pub(in crate::config) fn into_app(self, name: AppName) -> Option<App> {
        Some(App {
            name,
            description: self.description?,
            owners: self.owners?,
            hosts: self.hosts.unwrap_or_default(),
            source: self.source?,
            access: self.access.unwrap_or_default(),
            login: self.login.unwrap_or_default(),
            quota: self.quota,
            container_defaults: self.container_defaults.unwrap_or_default(),
            network: self.network.unwrap_or_default(),
            pod_security: self.pod_security.unwrap_or(PodSecurity::Restricted),
            depends_on: self.depends_on.unwrap_or_default(),
            timeout: self.timeout.unwrap_or_else(|| STANDARD_TIMEOUT.to_owned()),
        })
    }
}

/// Reads `apps/<name>/app.yaml`. Keys that are `overridden` are read for their form only: what they refer to need not
/// be there in this environment.
pub(in crate::config) fn app(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
    overridden: &BTreeSet<String>,
) -> Option<Parts> {
    let context_of = |key: &str| Context {
        platform: context.platform.filter(|_| !overridden.contains(key)),
        ..context
    };
    mapping(node, findings, |fields| {
        check_kind(fields, "App");
        fields.required("name", |node, findings| own_name(node, findings, context));
        let description = fields.required("description", sentence);
        fields.demand("owners");
        fields.demand("source");
        Some(Parts {
            description,
            ..parts(fields, context_of)
        })
    })
}

/// Reads `environments/<environment>/apps/<name>/app.yaml`.
pub(in crate::config) fn app_override(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
) -> Option<Parts> {
    mapping(node, findings, |fields| {
        check_kind(fields, "AppOverride");
        fields.required("name", |node, findings| {
            same_as_folder(node, findings, context.folder.as_str())
        });
        fields.refuse(
            "description",
            "`description` is the same in every environment: write it in apps/<name>/app.yaml",
        );
        Some(parts(fields, |_| context))
    })
}

/// Names of the keys of a mapping.
pub(in crate::config) fn keys(node: &Node) -> BTreeSet<String> {
    match &node.value {
        Value::Map(fields) => fields.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => BTreeSet::new(),
    }
}

/// The keys that both kinds of file may have.
fn parts<'platform>(
    fields: &mut Fields<'_, '_, '_>,
    context_of: impl Fn(&str) -> Context<'platform>,
) -> Parts {
    Parts {
        description: None,
        owners: fields.optional("owners", |node, findings| {
            owners(node, findings, context_of("owners"))
        }),
        hosts: fields.optional("hosts", |node, findings| {
            hosts(node, findings, context_of("hosts"))
        }),
        source: fields.optional("source", |node, findings| {
            source(node, findings, context_of("source"))
        }),
        access: fields.optional("access", |node, findings| {
            access(node, findings, context_of("access"))
        }),
        login: fields.optional("login", |node, findings| {
            login(node, findings, context_of("login"))
        }),
        quota: fields.optional("quota", quota),
        container_defaults: fields.optional("containerDefaults", container_defaults),
        network: fields.optional("network", network),
        pod_security: fields.optional("podSecurity", pod_security),
        depends_on: fields.optional("dependsOn", depends_on),
        timeout: fields.optional("timeout", duration),
    }
}

fn own_name(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<()> {
    let folder = context.folder.as_str();
    findings.mention(Mentioned::App, folder, node.span);
    same_as_folder(node, findings, folder)?;
    if RESERVED_APPS.contains(&folder) || folder.starts_with(KUBERNETES_PREFIX) {
        findings.report(
            Code::ReservedName,
            node.span,
            format!("`{folder}` can't be the name of an application"),
        );
    }
    Some(())
}

/// Each host once, whichever Service is behind it.
fn hosts(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Vec<Host>> {
    if !matches!(node.value, Value::List(_)) {
        findings.single(node);
        return None;
    }
    let hosts = super::fields::list(node, findings, |item, findings| {
        Some((item.span, host(item, findings, context)?))
    })?;
    let mut seen = BTreeSet::new();
    for (span, host) in &hosts {
        if !seen.insert(&host.name) {
            let is_equal = hosts.iter().filter(|(_, other)| other == host).count() > 1;
            let fix = findings.removal(node, *span).filter(|_| is_equal);
            findings
                .report(Code::Repeated, *span, "this is in the list already")
                .fix = fix;
        }
    }
    Some(hosts.into_iter().map(|(_, host)| host).collect())
}

/// A label, or a mapping that names the Service.
fn host(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Host> {
    if !matches!(node.value, Value::Map(_)) {
        let destination = Destination::Gateway {
            service: context.folder.to_string(),
            port: STANDARD_PORT,
        };
        let name = host_label(node, findings, context)?;
        return Some(Host { name, destination });
    }
    mapping(node, findings, |fields| {
        let label = fields.required("name", |node, findings| host_label(node, findings, context));
        let destination = destination(fields, context);
        Some(Host {
            name: label?,
            destination: destination?,
        })
    })
}

/// A load balancer or addresses of its own, or a Service behind the gateway.
fn destination(fields: &mut Fields<'_, '_, '_>, context: Context<'_>) -> Option<Destination> {
    let apart = APART.iter().find(|(apart, _)| fields.has(apart));
    for (apart, other) in apart
        .iter()
        .flat_map(|(apart, others)| others.iter().map(move |other| (apart, other)))
    {
        let message = format!("a host with `{apart}` does not lead to the gateway, and takes no `{other}`");
        fields.refuse(other, &message);
    }
    match apart {
        Some((LOAD_BALANCER, _)) => {
            let service = fields.optional(LOAD_BALANCER, name::<HostLabel>)?;
            Some(Destination::LoadBalancer {
                service: service.to_string(),
            })
        }
        Some(_) => fields.optional(ADDRESSES, addresses).map(Destination::Addresses),
        None => {
            let service = fields.optional("service", name::<HostLabel>);
            let port = fields.optional("port", port);
            Some(Destination::Gateway {
                service: service.map_or_else(|| context.folder.to_string(), |service| service.to_string()),
                port: port.unwrap_or(STANDARD_PORT),
            })
        }
    }
}

fn addresses(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<IpAddr>> {
    let addresses = unique(node, findings, address)?;
    not_empty(node, findings, &addresses);
    Some(addresses)
}

fn host_label(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<HostLabel> {
    let written = text(node, findings)?;
    if written.contains('.') {
        outside_domain(node, findings, context, &written);
        return None;
    }
    let label = match HostLabel::new(written) {
        Ok(label) => label,
        Err(error) => return malformed(node, findings, &error.to_string()),
    };
    if let Some(platform) = context.platform
        && let Err(error) = DomainName::new(format!("{label}.{}", platform.environment.domain))
    {
        return malformed(node, findings, &error.to_string());
    }
    if let Some(platform) = context.platform {
        check_cluster_names(&label, node, findings, platform.environment);
    }
    findings.mention(Mentioned::Host, label.as_str(), node.span);
    Some(label)
}

/// Names of the API server lie under the domain too, and lead elsewhere than the wildcard.
fn check_cluster_names(
    label: &HostLabel,
    node: &Node,
    findings: &mut Findings<'_>,
    environment: &Environment,
) {
    let full = format!("{label}.{}", environment.domain);
    if environment.cluster.cert_sans.contains(&full) {
        let message = format!("`{full}` is the API server of the cluster (`cluster.apiServer.certSANs`)");
        findings.report(Code::ReservedName, node.span, message);
    }
}

/// Hosts are labels: the environment completes them.
fn outside_domain(node: &Node, findings: &mut Findings<'_>, context: Context<'_>, written: &str) {
    let domain = context.platform.map(|platform| &platform.environment.domain);
    let label = domain.and_then(|domain| written.strip_suffix(&format!(".{domain}")));
    let label = label.filter(|label| HostLabel::new(*label).is_ok());
    let (message, help) = match (label, domain) {
        (Some(label), Some(domain)) => (
            format!("hosts are written without the domain `{domain}`"),
            format!("write `{label}`"),
        ),
        (_, Some(domain)) => (
            format!("`{written}` is not one label under the domain `{domain}`"),
            "the wildcard record and the certificate cover one label only".to_owned(),
        ),
        (_, None) => (
            format!("`{written}` is not one label"),
            "hosts are written without the domain of the environment".to_owned(),
        ),
    };
    let diagnostic = findings.report(Code::HostOutsideDomain, node.span, message);
    diagnostic.help = Some(help);
    if let Some(label) = label {
        diagnostic.mend(scalar(label), Certainty::Certain);
    }
}

fn depends_on(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<AppName>> {
    unique(node, findings, |item, findings| {
        let app = name::<AppName>(item, findings)?;
        findings.mention(Mentioned::Dependency, app.as_str(), item.span);
        Some(app)
    })
}

fn pod_security(node: &Node, findings: &mut Findings<'_>) -> Option<PodSecurity> {
    let choices = [
        PodSecurity::Privileged,
        PodSecurity::Baseline,
        PodSecurity::Restricted,
    ];
    choice(node, findings, &choices.map(|level| (level.as_str(), level)))
}

fn duration(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    formed(node, findings, is_duration, "a duration such as 90s, 5m or 1h30m")
}

/// The pattern of Flux's durations (`kustomize.toolkit.fluxcd.io/v1`, `spec.timeout`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 4] = ["ms", "s", "m", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit = UNITS.into_iter().find(|unit| after.starts_with(unit));
        let (Some(unit), true) = (unit, is_decimal(number)) else {
            return false;
        };
        rest = &after[unit.len()..];
    }
    !text.is_empty()
}

fn is_decimal(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() <= 2 && text.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_durations() {
        for right in ["5m", "90s", "1h30m", "1.5h", "500ms"] {
            assert!(is_duration(right), "{right}");
        }
        for wrong in ["", "5", "m", "5 m", "-5m", "1..5h", "5d", "1h30"] {
            assert!(!is_duration(wrong), "{wrong}");
        }
    }
}
