//! The rules that every object is held to by itself.

use super::Reading;
use super::flux::flux_version_instead;
use super::image::{Reference, images};
use super::kinds::{self, Scope};
use super::node::{at, field, items, text, text_at};
use super::object::Object;
use super::versions::{gone, minor};
use crate::diag::{Code, Span, did_you_mean};

/// The minor version of Kubernetes whose kinds are written down here.
const KNOWN_MINOR: u32 = 36;

const RBAC: &str = "rbac.authorization.k8s.io";

impl Reading<'_> {
    /// Holds all objects to all rules.
    pub(super) fn check_objects(&mut self, objects: &[Object]) {
        for object in objects {
            self.check_version(object);
            self.check_namespace(object);
            self.check_scope(object, objects);
            self.check_images(object);
            self.check_secret(object);
            self.check_binding(object);
            self.check_schedule(object);
            self.check_security(object);
        }
        self.check_together(objects);
        self.check_services(objects);
        self.check_wiring(objects);
    }

    fn check_namespace(&mut self, object: &Object) {
        if kinds::scope(object.group(), object.kind()) == Scope::Cluster {
            return;
        }
        if let Some((namespace, span)) = object.namespace()
            && namespace != self.subject.app.as_str()
        {
            self.report_namespace(namespace, span);
        }
    }

    pub(super) fn report_namespace(&mut self, namespace: &str, span: Span) {
        let app = self.subject.app.as_str();
        let message = format!("namespace `{namespace}` is not that of the application");
        self.report(Code::OtherNamespace, span, message).help = Some(format!(
            "leave it out, or write `{app}`: Flux puts everything there"
        ));
    }

    fn check_scope(&mut self, object: &Object, objects: &[Object]) {
        if self.subject.is_cluster_wide || is_cluster_admin(object) {
            return;
        }
        let span = object.span(&["kind"]);
        let (message, help) = match kinds::scope(object.group(), object.kind()) {
            Scope::Namespaced if !is_cluster_scoped_by(object, objects) => return,
            Scope::Namespaced | Scope::Cluster => (
                format!("{object} belongs to the whole cluster, not to a namespace"),
                "a platform member can list the application under `clusterWide` in environment.yaml",
            ),
            Scope::Reserved => (
                format!("{object} is for the platform to write, not for an application"),
                match object.kind() {
                    "Role" | "RoleBinding" => "give people access with `access` in app.yaml",
                    "ResourceQuota" => "set `quota` in app.yaml",
                    "LimitRange" => "set `containerDefaults` in app.yaml",
                    _ => "a platform member can list the application under `clusterWide` in environment.yaml",
                },
            ),
        };
        self.report(Code::NotPermitted, span, message).help = Some(help.into());
    }

    fn check_version(&mut self, object: &Object) {
        let span = object.span(&["apiVersion"]);
        let api_version = object.api_version().to_owned();
        if let Some(flux) = minor(&self.subject.flux)
            && let Some(instead) = flux_version_instead(object, flux)
        {
            let release = &self.subject.flux;
            let message = format!(
                "Flux {release} does not serve {api_version} for {}",
                object.kind()
            );
            self.report(Code::FluxVersionGone, span, message).help =
                Some(format!("write `apiVersion: {}/{instead}`", object.group()));
        }
        let Some(target) = minor(&self.subject.kubernetes) else {
            return;
        };
        match gone(object) {
            Some(gone) if gone.removed <= target => {
                let message = format!(
                    "Kubernetes serves no {} of {api_version} since 1.{}",
                    object.kind(),
                    gone.removed
                );
                self.report(Code::VersionGone, span, message).help = Some(instead(object, gone.instead));
            }
            Some(gone) if gone.removed == target + 1 => {
                let message = format!(
                    "the next Kubernetes, 1.{}, serves no {} of {api_version} any more",
                    gone.removed,
                    object.kind()
                );
                self.report(Code::VersionEnds, span, message).help = Some(instead(object, gone.instead));
            }
            None if target <= KNOWN_MINOR => {
                self.check_known(object);
                self.check_fields(object);
                self.check_values(object);
            }
            Some(_) | None => {}
        }
    }

    /// Whether a built-in group has such a version and kind at all.
    fn check_known(&mut self, object: &Object) {
        let (group, version, kind) = (object.group(), object.version(), object.kind());
        if !kinds::is_built_in(group) || version.contains("alpha") {
            return;
        }
        let api_version = object.api_version();
        if kinds::is_stable(group, version) && kinds::kinds_of(group).any(|known| known == kind) {
            return;
        }
        let by_kind = kinds::api_versions_of(kind).next();
        let help = match by_kind {
            Some(right) => Some(format!("write `apiVersion: {right}`")),
            None => did_you_mean(kind, kinds::kinds_of(group)).map(|near| format!("did you mean `{near}`?")),
        };
        let message = format!("Kubernetes has no {kind} of {api_version}");
        let span = if kinds::is_stable(group, version)
            && help.as_deref().is_some_and(|help| help.starts_with("did"))
        {
            object.span(&["kind"])
        } else {
            object.span(&["apiVersion"])
        };
        self.report(Code::NotAnObject, span, message).help = help;
    }

    fn check_images(&mut self, object: &Object) {
        if object.is_uncertain {
            return;
        }
        for (image, span) in images(object) {
            if let Some(fault) = Reference::new(image).fault() {
                let message = format!("image `{image}` {fault}");
                self.report(Code::MovingImage, span, message).help =
                    Some("name a release, better still its digest (`name:1.2.3@sha256:...`)".into());
            }
        }
    }

    fn check_secret(&mut self, object: &Object) {
        if let Some(first) = object.plain_secrets().first() {
            let field = ["stringData", "data"].into_iter().find_map(|name| {
                let (key, value) = super::node::entry(&object.node, name)?;
                let end = self.files.locate(value.span)?.1;
                let start = self.files.locate(*first)?.1;
                (start.start >= end.start).then_some(key.span)
            });
            self.report_plain_secret(field.unwrap_or(*first));
        }
    }

    pub(super) fn report_plain_secret(&mut self, span: Span) {
        self.report(Code::PlainSecret, span, "a Secret is written in plain text")
            .help = Some(
            "make it by hand in the cluster, not in Git, and change the secret if it was committed".into(),
        );
    }

    fn check_binding(&mut self, object: &Object) {
        if is_cluster_admin(object) {
            let span = object.span(&["roleRef", "name"]);
            let message = format!("{object} binds `cluster-admin`");
            self.report(Code::ClusterAdmin, span, message).help =
                Some("bind a role with just the rights that are needed".into());
        }
    }
}

fn is_cluster_admin(object: &Object) -> bool {
    object.group() == RBAC
        && matches!(object.kind(), "RoleBinding" | "ClusterRoleBinding")
        && text_at(&object.node, &["roleRef", "name"]) == Some("cluster-admin")
}

fn instead(object: &Object, instead: Option<&str>) -> String {
    match (instead, object.kind()) {
        (Some(instead), _) => format!("write `apiVersion: {instead}`, and look its fields up"),
        (None, "PodSecurityPolicy") => "set `podSecurity` in app.yaml".to_owned(),
        (None, _) => "Kubernetes has nothing in its place yet".to_owned(),
    }
}

/// Whether a `CustomResourceDefinition` beside it says that its kind is cluster-scoped.
fn is_cluster_scoped_by(object: &Object, objects: &[Object]) -> bool {
    objects.iter().any(|definition| {
        definition.kind() == "CustomResourceDefinition"
            && text_at(&definition.node, &["spec", "scope"]) == Some("Cluster")
            && text_at(&definition.node, &["spec", "names", "kind"]) == Some(object.kind())
            && text_at(&definition.node, &["spec", "group"]) == Some(object.group())
    })
}

/// Addresses outside the cluster that a Service claims, or its type when that opens it to the outside.
pub(super) fn opened_to_outside(object: &Object) -> Option<(String, Span)> {
    if !object.is("", "Service") {
        return None;
    }
    let spec = field(&object.node, "spec")?;
    if let Some(kind) = field(spec, "type")
        && let Some(word @ ("LoadBalancer" | "NodePort")) = text(kind)
    {
        return Some((format!("is of type {word}"), kind.span));
    }
    let addresses = at(spec, &["externalIPs"])?;
    (!items(addresses).is_empty()).then(|| ("has external addresses".to_owned(), addresses.span))
}
