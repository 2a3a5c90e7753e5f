//! Whether the objects of an application find each other: what pods refer to, and which pods a Service means.

use super::Reading;
use super::delivery::PLATFORM_NAMES;
use super::node::{at, entries, field, items, text};
use super::object::Object;
use super::pods::PodTemplate;
use super::service::may_make_others;
use crate::config::tree::{Node, Value};
use crate::diag::{Code, Diagnostic, Span, did_you_mean};

/// A place of a pod that names another object: key of the mapping, key of the name in it, kind.
const REFERENCES: [(&str, &str, &str); 8] = [
    ("configMapKeyRef", "name", "ConfigMap"),
    ("configMapRef", "name", "ConfigMap"),
    ("configMap", "name", "ConfigMap"),
    ("secretKeyRef", "name", "Secret"),
    ("secretRef", "name", "Secret"),
    ("secret", "secretName", "Secret"),
    ("secret", "name", "Secret"),
    ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
];

/// Objects of that kind and name that are in every namespace.
const EVERYWHERE: [(&str, &str); 2] = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];

/// Keys of the Secrets that OIDC clients are written into.
const CLIENT_KEYS: [&str; 3] = ["clientId", "clientSecret", "issuer"];

/// Keys of the platform's `ConfigMap`.
const PLATFORM_KEYS: [&str; 3] = ["domain", "environment", "issuer"];

/// A name of another object in the same namespace, and of one of its keys.
struct Reference<'node> {
    kind: &'static str,
    name: &'node str,
    span: Span,
    key: Option<&'node Node>,
}

impl Reading<'_> {
    /// Reports what leads nowhere. Nothing is reported when some object may not be known here.
    pub(super) fn check_wiring(&mut self, objects: &[Object]) {
        if self.is_incomplete || objects.iter().any(|object| object.is_uncertain) {
            return;
        }
        let is_whole = self.subject.is_whole && !objects.iter().any(may_make_others);
        for object in objects {
            self.check_selector(object);
            self.check_mounts(object);
            self.check_probes(object);
            if let Some(template) = PodTemplate::of(object) {
                for reference in references(template) {
                    self.check_reference(&reference, objects, is_whole);
                }
            }
            if is_whole && object.is("", "Service") {
                self.check_pods_of(object, objects);
            }
        }
    }

    /// A Secret may be made by hand; only a name that is nearly one of those known here is a mistake.
    fn check_reference(&mut self, reference: &Reference<'_>, objects: &[Object], is_whole: bool) {
        self.check_key(reference);
        let Reference { kind, name, span, .. } = *reference;
        let there = objects.iter().filter(|object| object.is("", kind));
        let is_there = there.clone().any(|object| object.has_name(name));
        let is_given = EVERYWHERE.contains(&(kind, name)) || PLATFORM_NAMES.contains(&(kind, name));
        if is_there || is_given {
            return;
        }
        let logins = self.subject.login_secrets.iter().filter(|_| kind == "Secret");
        let known: Vec<&str> = there
            .map(Object::name)
            .chain(logins.map(String::as_str))
            .collect();
        if known.contains(&name) {
            return;
        }
        let near = did_you_mean(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        if near.is_none() && (kind == "Secret" || !is_whole) {
            return;
        }
        let message = format!("the manifests have no {kind} `{name}`");
        let help = near.or_else(|| (!known.is_empty()).then(|| format!("there are: {}", known.join(", "))));
        self.report(Code::LeadsNowhere, span, message).help = help;
    }

    /// A key of what the platform makes, whose keys are known.
    fn check_key(&mut self, reference: &Reference<'_>) {
        let known = match (reference.kind, reference.name) {
            ("ConfigMap", "platform") => PLATFORM_KEYS,
            ("Secret", name) if self.subject.login_secrets.iter().any(|login| login == name) => CLIENT_KEYS,
            _ => return,
        };
        let Some((node, key)) = reference.key.and_then(|node| Some((node, text(node)?))) else {
            return;
        };
        if !known.contains(&key) {
            let message = format!("{} `{}` has no key `{key}`", reference.kind, reference.name);
            let near = did_you_mean(key, known);
            self.report(Code::LeadsNowhere, node.span, message).help = Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", known.join(", ")),
            });
        }
    }

    /// Probes by the name of a port that their container does not have fail for ever.
    fn check_probes(&mut self, object: &Object) {
        let Some(template) = PodTemplate::of(object) else {
            return;
        };
        for container in template.containers() {
            let ports = field(container, "ports").map_or(&[][..], items);
            let names: Vec<&str> = ports
                .iter()
                .filter_map(|port| field(port, "name").and_then(text))
                .collect();
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let ways = ["httpGet", "tcpSocket"].map(|way| at(container, &[probe, way, "port"]));
                for (node, name) in ways
                    .into_iter()
                    .flatten()
                    .filter_map(|node| Some((node, text(node)?)))
                {
                    if !names.contains(&name) {
                        let message = format!("the container has no port `{name}`");
                        let diagnostic = self.report(Code::LeadsNowhere, node.span, message);
                        help_with_ports(diagnostic, name, &names);
                    }
                }
            }
        }
    }

    /// The API server wants a controller to find its own pods.
    fn check_selector(&mut self, object: &Object) {
        let selector = at(&object.node, &["spec", "selector", "matchLabels"]);
        let (Some(selector), Some(template)) = (selector, PodTemplate::of(object)) else {
            return;
        };
        if object.group() != "apps" || selects(selector, template) {
            return;
        }
        let message = format!("{object} selects other pods than it makes");
        let labels = template
            .labels()
            .and_then(|labels| self.label(labels.span, "labels of its pods"));
        let diagnostic = self.report(Code::BadField, selector.span, message);
        diagnostic.labels.extend(labels);
        diagnostic.help = Some("write the same labels in both".into());
    }

    /// A container can only mount volumes of its pod.
    fn check_mounts(&mut self, object: &Object) {
        let Some(template) = PodTemplate::of(object) else {
            return;
        };
        let claims = at(&object.node, &["spec", "volumeClaimTemplates"]).map_or(&[][..], items);
        let claims = claims.iter().filter_map(|claim| at(claim, &["metadata", "name"]));
        let volumes = field(template.spec, "volumes").map_or(&[][..], items);
        let volumes = volumes.iter().filter_map(|volume| field(volume, "name"));
        let known: Vec<&str> = volumes.chain(claims).filter_map(text).collect();
        for container in template.containers() {
            for mount in field(container, "volumeMounts").map_or(&[][..], items) {
                let Some((node, name)) = field(mount, "name").and_then(|node| Some((node, text(node)?)))
                else {
                    continue;
                };
                if !known.contains(&name) {
                    let message = format!("the pods of {object} have no volume `{name}`");
                    let near = did_you_mean(name, known.iter().copied());
                    self.report(Code::BadField, node.span, message).help =
                        near.map(|near| format!("did you mean `{near}`?"));
                }
            }
        }
    }

    /// Whether a Service leads to pods, and to a port that they name.
    fn check_pods_of(&mut self, service: &Object, objects: &[Object]) {
        let Some(selector) = at(&service.node, &["spec", "selector"]) else {
            return;
        };
        let templates: Vec<PodTemplate<'_>> = objects.iter().filter_map(PodTemplate::of).collect();
        if templates.is_empty() || entries(selector).is_empty() {
            return;
        }
        let meant: Vec<&PodTemplate<'_>> = templates
            .iter()
            .filter(|template| selects(selector, **template))
            .collect();
        if meant.is_empty() {
            let message = format!("{service} selects no pods: none of the manifests has these labels");
            self.report(Code::LeadsNowhere, selector.span, message).help = nearest_labels(&templates);
            return;
        }
        let names: Vec<&str> = meant.iter().flat_map(|template| port_names(**template)).collect();
        for port in at(&service.node, &["spec", "ports"]).map_or(&[][..], items) {
            let Some((node, name)) = field(port, "targetPort").and_then(|node| Some((node, text(node)?)))
            else {
                continue;
            };
            if !names.contains(&name) {
                let message = format!("the pods of {service} name no port `{name}`");
                let diagnostic = self.report(Code::LeadsNowhere, node.span, message);
                help_with_ports(diagnostic, name, &names);
            }
        }
    }
}

fn help_with_ports(diagnostic: &mut Diagnostic, name: &str, names: &[&str]) {
    diagnostic.help = Some(match did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "give a port of a container that name, or write its number".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    });
}

fn nearest_labels(templates: &[PodTemplate<'_>]) -> Option<String> {
    let labels = templates.iter().find_map(|template| template.labels())?;
    let shown: Vec<String> = entries(labels)
        .iter()
        .map(|(key, value)| format!("{}: {}", key.name, text(value).unwrap_or_default()))
        .collect();
    Some(format!("pods have for example {{{}}}", shown.join(", ")))
}

/// Whether the pods have all labels of `selector`.
fn selects(selector: &Node, template: PodTemplate<'_>) -> bool {
    let has = |key: &str, wanted: &Value| {
        template
            .labels()
            .and_then(|labels| field(labels, key))
            .is_some_and(|label| label.value == *wanted)
    };
    entries(selector)
        .iter()
        .all(|(key, value)| has(&key.name, &value.value))
}

fn port_names(template: PodTemplate<'_>) -> impl Iterator<Item = &str> {
    let ports = template
        .containers()
        .flat_map(|container| field(container, "ports").map_or(&[][..], items));
    ports.filter_map(|port| field(port, "name").and_then(text))
}

/// Every object that a pod needs.
fn references(template: PodTemplate<'_>) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    collect(template.spec, &mut found);
    let account = field(template.spec, "serviceAccountName");
    found.extend(account.and_then(|node| reference("ServiceAccount", node)));
    for secret in field(template.spec, "imagePullSecrets").map_or(&[][..], items) {
        found.extend(field(secret, "name").and_then(|node| reference("Secret", node)));
    }
    found
}

fn reference<'node>(kind: &'static str, node: &'node Node) -> Option<Reference<'node>> {
    let name = text(node).filter(|name| !name.is_empty())?;
    Some(Reference {
        kind,
        name,
        span: node.span,
        key: None,
    })
}

fn collect<'node>(node: &'node Node, found: &mut Vec<Reference<'node>>) {
    match &node.value {
        Value::Map(map) => {
            for (key, value) in map {
                let is_optional =
                    field(value, "optional").is_some_and(|each| each.value == Value::Bool(true));
                for (place, name, kind) in REFERENCES {
                    if key.name == place && !is_optional {
                        let named = field(value, name).and_then(|node| reference(kind, node));
                        found.extend(named.map(|named| Reference {
                            key: field(value, "key"),
                            ..named
                        }));
                    }
                }
                collect(value, found);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}
