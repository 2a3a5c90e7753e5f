//! Values that have the right type and that the API server refuses all the same (`k8s.io/kubernetes/pkg/apis`,
//! `validation`): names, ports, restart policies, requests beyond limits.

use super::Reading;
use super::node::{at, entries, field, items, text};
use super::object::Object;
use super::pods::PodTemplate;
use crate::config::quantity;
use crate::config::tree::{Node, Value};
use crate::diag::{Code, Span};

/// Longest name of an object (RFC 1123 subdomain).
const NAME_LIMIT: usize = 253;
/// Longest name of a container (RFC 1123 label).
const LABEL_LIMIT: usize = 63;
/// Groups whose objects are named by RFC 1123; those of others may be named more freely.
const NAMED_STRICTLY: [&str; 6] = ["", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"];

impl Reading<'_> {
    /// Reports values of a built-in object that the API server refuses.
    pub(super) fn check_values(&mut self, object: &Object) {
        if object.is_uncertain {
            return;
        }
        let name = object.name();
        if NAMED_STRICTLY.contains(&object.group()) && !is_subdomain(name) {
            let message = format!("`{name}` can't be the name of a {}", object.kind());
            self.refuse(
                object.place(),
                message,
                "use lower-case letters, digits, `-` and `.`, a letter or digit at both ends",
            );
        }
        let Some(template) = PodTemplate::of(object) else {
            return;
        };
        self.check_restart_policy(object, template);
        let mut seen: Vec<&str> = Vec::new();
        for container in template.containers() {
            if let Some((node, name)) = field(container, "name").and_then(|node| Some((node, text(node)?))) {
                if seen.contains(&name) {
                    self.refuse(
                        node.span,
                        format!("two containers are called `{name}`"),
                        "give each its own name",
                    );
                } else if !is_label(name) {
                    let message = format!("`{name}` can't be the name of a container");
                    self.refuse(node.span, message, "use lower-case letters, digits and `-`");
                }
                seen.push(name);
            }
            self.check_ports(container);
            self.check_resources(container);
        }
    }

    fn check_restart_policy(&mut self, object: &Object, template: PodTemplate<'_>) {
        if object.group() != "batch" {
            return;
        }
        let policy = field(template.spec, "restartPolicy");
        if matches!(policy.and_then(text), Some("Never" | "OnFailure")) {
            return;
        }
        let span = policy.map_or(template.spec.span, |node| node.span);
        let message = format!("the pods of a {} can't be restarted for ever", object.kind());
        self.refuse(span, message, "write `restartPolicy: OnFailure`, or `Never`");
    }

    fn check_ports(&mut self, container: &Node) {
        for port in field(container, "ports").map_or(&[][..], items) {
            if let Some(node) = field(port, "containerPort")
                && let Value::Number(number) = &node.value
                && !number.as_u64().is_some_and(|port| (1..=65535).contains(&port))
            {
                self.refuse(
                    node.span,
                    format!("{number} is not a port"),
                    "ports go from 1 to 65535",
                );
            }
        }
    }

    fn check_resources(&mut self, container: &Node) {
        let Some(limits) = at(container, &["resources", "limits"]) else {
            return;
        };
        let requests = at(container, &["resources", "requests"]).map_or(&[][..], entries);
        for (key, request) in requests {
            let limit = field(limits, &key.name).and_then(amount);
            if let (Some(limit), Some(wanted)) = (limit, amount(request))
                && quantity::value(&wanted) > quantity::value(&limit)
            {
                let message = format!("{wanted} of {} are requested, and the limit is {limit}", key.name);
                self.refuse(request.span, message, "request at most the limit");
            }
        }
    }

    fn refuse(&mut self, span: Span, message: String, help: &str) {
        self.report(Code::BadField, span, message).help = Some(help.to_owned());
    }
}

fn amount(node: &Node) -> Option<String> {
    match &node.value {
        Value::Number(number) => Some(number.to_string()),
        _ => text(node).map(str::to_owned),
    }
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= NAME_LIMIT && name.split('.').all(is_word)
}

fn is_label(name: &str) -> bool {
    name.len() <= LABEL_LIMIT && is_word(name)
}

/// Lower-case letters, digits and hyphens, a letter or digit at both ends.
fn is_word(name: &str) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes.iter().all(|byte| is_end(byte) || *byte == b'-')
}
