//! Whether the Services are there that the application's hosts lead to.

use super::node::{at, field, items, text};
use super::object::Object;
use super::{Backend, Reading};
use crate::config::tree::{Node, Value};
use crate::diag::{Code, did_you_mean};

/// Groups whose objects make no Services. Any other object that is not built in may be an operator's, which makes them.
const GROUPS_WITHOUT_SERVICES: [&str; 8] = [
    "cert-manager.io",
    "cilium.io",
    "external-secrets.io",
    "gateway.networking.k8s.io",
    "kustomize.toolkit.fluxcd.io",
    "notification.toolkit.fluxcd.io",
    "policy.networking.k8s.io",
    "snapshot.storage.k8s.io",
];
const MONITORS: [&str; 6] = [
    "PodMonitor",
    "Probe",
    "PrometheusRule",
    "ScrapeConfig",
    "ServiceMonitor",
    "AlertmanagerConfig",
];

impl Reading<'_> {
    pub(super) fn check_services(&mut self, objects: &[Object]) {
        if self.is_incomplete || objects.iter().any(|object| object.is_uncertain) {
            return;
        }
        let services: Vec<&Object> = objects.iter().filter(|object| object.is("", "Service")).collect();
        let may_be_made = objects.iter().any(may_make_others);
        for backend in &self.subject.backends {
            match services.iter().find(|service| service.name() == backend.service) {
                Some(service) => self.check_port(backend, service),
                None if may_be_made => {}
                None => self.report_missing(backend, &services),
            }
        }
    }

    fn report_missing(&mut self, backend: &Backend, services: &[&Object]) {
        let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
        let help = match did_you_mean(&backend.service, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => format!("the manifests have no Service; add `{}`", backend.service),
            None => format!("there are: {}", names.join(", ")),
        };
        let message = format!(
            "this host leads to Service `{}`, which the manifests do not have",
            backend.service
        );
        self.report_at(Code::NoSuchService, Some(backend.declared.clone()), message)
            .help = Some(help);
    }

    fn check_port(&mut self, backend: &Backend, service: &Object) {
        let Some(list) = at(&service.node, &["spec", "ports"]) else {
            return;
        };
        let ports: Vec<String> = items(list).iter().filter_map(port).collect();
        if ports.is_empty() || ports.contains(&backend.port.to_string()) {
            return;
        }
        let place = self.label(list.span, "its ports");
        let message = format!(
            "this host leads to port {} of {service}, which it does not have",
            backend.port
        );
        let diagnostic = self.report_at(Code::NoSuchService, Some(backend.declared.clone()), message);
        diagnostic.help = Some(format!("it has: {}", ports.join(", ")));
        diagnostic.labels.extend(place);
    }
}

fn port(item: &Node) -> Option<String> {
    let port = field(item, "port")?;
    match &port.value {
        Value::Number(number) => Some(number.to_string()),
        _ => text(port).map(str::to_owned),
    }
}

/// Whether an operator may make other objects of it.
pub(super) fn may_make_others(object: &Object) -> bool {
    let group = object.group();
    let is_built_in = !group.contains('.') || group.ends_with(".k8s.io") && super::kinds::is_built_in(group);
    let is_monitor = group == "monitoring.coreos.com" && MONITORS.contains(&object.kind());
    !(is_built_in || is_monitor || GROUPS_WITHOUT_SERVICES.contains(&group))
}
