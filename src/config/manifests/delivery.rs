//! The rules about objects together, and with what the platform puts around them.

use std::collections::BTreeMap;

use super::Reading;
use super::kinds::{self, Scope};
use super::object::Object;
use super::rules::opened_to_outside;
use crate::diag::{Code, Span};

/// Names that the platform gives to objects in an application's namespace.
pub(super) const PLATFORM_NAMES: [(&str, &str); 7] = [
    ("ConfigMap", "platform"),
    ("LimitRange", "defaults"),
    ("NetworkPolicy", "declared"),
    ("NetworkPolicy", "default-deny"),
    ("NetworkPolicy", "platform"),
    ("ResourceQuota", "quota"),
    ("ServiceAccount", "default"),
];
/// How names of the platform's other objects begin.
const PLATFORM_PREFIX: &str = "lotse:";

impl Reading<'_> {
    pub(super) fn check_together(&mut self, objects: &[Object]) {
        self.check_identities(objects);
        for object in objects {
            self.check_outside(object);
            self.check_reserved(object);
        }
    }

    /// Two objects of one kind and name: kustomize refuses them, or the second one wins.
    fn check_identities(&mut self, objects: &[Object]) {
        let mut seen: BTreeMap<(&str, &str, &str, &str), Span> = BTreeMap::new();
        for object in objects {
            let is_cluster_scoped = kinds::scope(object.group(), object.kind()) == Scope::Cluster;
            let namespace = match object.namespace() {
                Some((namespace, _)) if !is_cluster_scoped => namespace,
                None if !is_cluster_scoped => self.subject.app.as_str(),
                _ => "",
            };
            let identity = (object.group(), object.kind(), namespace, object.name());
            let place = object.place();
            if let Some(first) = seen.get(&identity) {
                let first = self
                    .label(*first, "first here")
                    .filter(|label| Some(label) != self.label(place, "first here").as_ref());
                let message = match &first {
                    Some(_) => format!("{object} is there twice"),
                    None => format!("{object} is listed twice"),
                };
                self.report(Code::Repeated, place, message).labels.extend(first);
            } else {
                seen.insert(identity, place);
            }
        }
    }

    fn check_outside(&mut self, object: &Object) {
        if self.subject.is_cluster_wide {
            return;
        }
        let is_route = object.group() == "gateway.networking.k8s.io" && object.kind().ends_with("Route");
        if is_route || object.is("networking.k8s.io", "NetworkPolicy") {
            let (what, instead) = if is_route {
                (
                    "leads a host to the application",
                    "name the host under `hosts` in app.yaml",
                )
            } else {
                ("opens its network", "say it under `network` in app.yaml")
            };
            let message = format!("{object} {what}, which is for the platform to write");
            self.report(Code::NotPermitted, object.span(&["kind"]), message)
                .help = Some(instead.into());
        }
        if let Some((what, span)) = opened_to_outside(object) {
            let message = format!("{object} {what}, which opens it past the gateway");
            self.report(Code::NotPermitted, span, message).help =
                Some("leave it out, and name the host under `hosts` in app.yaml".into());
        }
    }

    fn check_reserved(&mut self, object: &Object) {
        if object.is_hashed {
            return;
        }
        let (kind, name) = (object.kind(), object.name());
        let logins = &self.subject.login_secrets;
        let owner = if name.starts_with(PLATFORM_PREFIX) || PLATFORM_NAMES.contains(&(kind, name)) {
            "the platform makes one of that name itself"
        } else if object.is("", "Namespace") && self.subject.is_cluster_wide {
            "the platform makes the application's namespace, and Flux gives every Namespace that name"
        } else if object.is("", "Secret") && logins.iter().any(|login| login == name) {
            "an OIDC client of `login` is written into it"
        } else {
            return;
        };
        let message = format!("{object} can't be in the manifests: {owner}");
        let help = object.is("", "Secret").then(|| {
            "delete it here and in kustomization.yaml, and lotse writes it; or keep it in Git: `delivery: git` at the login"
                .to_owned()
        });
        self.report(Code::ReservedName, object.place(), message).help = help;
    }
}
