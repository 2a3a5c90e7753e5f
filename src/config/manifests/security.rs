//! Whether pods meet the Pod Security Standard that their namespace enforces.
//!
//! A Deployment of refused pods is taken by the API server, and stands without pods for ever. The rules are those of
//! the Kubernetes documentation, "Pod Security Standards", v1.36.

use super::Reading;
use super::node::{at, entries, field, is_true, items, text, text_at};
use super::object::Object;
use super::pods::PodTemplate;
use crate::config::app::PodSecurity;
use crate::config::tree::{Node, Value};
use crate::diag::{Code, Span};

/// Capabilities that the standard `baseline` lets a container add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel parameters that the standard `baseline` lets a pod set.
const SYSCTLS: [&str; 11] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Types of `SELinux` that the standard `baseline` lets a container have.
const SELINUX_TYPES: [&str; 4] = [
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// Beginning of the annotations that give containers `AppArmor` profiles.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Volumes that the standard `restricted` allows, besides those that it has not heard of yet.
const RESTRICTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What a container without a word about security is advised to write.
const ADVICE: &str = "securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, \
                      seccompProfile: {type: RuntimeDefault}}";

/// One thing that the standard refuses.
struct Breach {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Reading<'_> {
    /// Reports what keeps the pods of `object` out of the application's namespace.
    pub(super) fn check_security(&mut self, object: &Object) {
        let level = self.subject.pod_security;
        if object.is_uncertain || level == PodSecurity::Privileged {
            return;
        }
        let Some(template) = PodTemplate::of(object) else {
            return;
        };
        let mut breaches = Vec::new();
        baseline(template, &mut breaches);
        if level == PodSecurity::Restricted {
            restricted(template, &mut breaches);
        }
        for breach in breaches {
            let message = format!(
                "the pods of {object} are refused under `podSecurity: {}`: {}",
                level.as_str(),
                breach.message
            );
            self.report(Code::PodRefused, breach.span, message).help = breach.help;
        }
    }
}

fn breach(node: &Node, message: impl Into<String>) -> Breach {
    Breach {
        span: node.span,
        message: message.into(),
        help: None,
    }
}

/// Security settings of a pod and of its containers.
fn contexts(template: PodTemplate<'_>) -> impl Iterator<Item = &Node> {
    let of_containers = template
        .containers()
        .filter_map(|each| field(each, "securityContext"));
    field(template.spec, "securityContext")
        .into_iter()
        .chain(of_containers)
}

fn baseline(template: PodTemplate<'_>, breaches: &mut Vec<Breach>) {
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if let Some(node) = at(template.spec, &[key])
            && is_true(template.spec, &[key])
        {
            breaches.push(breach(node, format!("`{key}` is true")));
        }
    }
    for volume in items_at(template.spec, "volumes") {
        breaches.extend(field(volume, "hostPath").map(|path| breach(path, "a volume is a path of the node")));
    }
    for sysctl in field(template.spec, "securityContext").map_or(&[][..], |each| items_at(each, "sysctls")) {
        if let Some(name) = field(sysctl, "name")
            && text(name).is_some_and(|name| !SYSCTLS.contains(&name))
        {
            breaches.push(breach(name, "it sets a parameter of the node's kernel"));
        }
    }
    for context in contexts(template) {
        baseline_context(context, template, breaches);
    }
    breaches.extend(template.annotations().filter_map(apparmor));
    for container in template.containers() {
        hosts_of_probes(container, breaches);
        for port in items_at(container, "ports") {
            if let Some(node) = field(port, "hostPort")
                && !is_zero(node)
            {
                breaches.push(breach(node, "a container takes a port of the node"));
            }
        }
    }
}

/// A profile by the annotation that was used before Kubernetes 1.30.
fn apparmor((key, value): (&str, &Node)) -> Option<Breach> {
    key.strip_prefix(APPARMOR)?;
    let profile = text(value)?;
    let is_allowed = matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/");
    (!is_allowed).then(|| breach(value, format!("AppArmor profile `{profile}`")))
}

/// Probes and hooks that reach another host than the pod (refused since Kubernetes 1.34).
fn hosts_of_probes(container: &Node, breaches: &mut Vec<Breach>) {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    let probes = probes.into_iter().filter_map(|name| field(container, name));
    let hooks = ["postStart", "preStop"];
    let hooks = hooks
        .into_iter()
        .filter_map(|name| at(container, &["lifecycle", name]));
    for handler in probes.chain(hooks) {
        for way in ["httpGet", "tcpSocket"] {
            if let Some(host) = at(handler, &[way, "host"])
                && text(host).is_some_and(|host| !host.is_empty())
            {
                breaches.push(breach(host, format!("`{way}` asks another host than the pod")));
            }
        }
    }
}

fn baseline_context(context: &Node, template: PodTemplate<'_>, breaches: &mut Vec<Breach>) {
    if let Some(options) = field(context, "seLinuxOptions") {
        selinux(options, breaches);
    }
    if let Some(node) = field(context, "privileged")
        && node.value == Value::Bool(true)
    {
        breaches.push(breach(node, "a container is privileged"));
    }
    if let Some(node) = at(context, &["windowsOptions", "hostProcess"])
        && node.value == Value::Bool(true)
    {
        breaches.push(breach(node, "a container is a process of the node"));
    }
    for capability in at(context, &["capabilities", "add"]).map_or(&[][..], items) {
        if let Some(name) = text(capability)
            && !BASELINE_CAPABILITIES.contains(&name)
        {
            breaches.push(breach(capability, format!("capability `{name}` is added")));
        }
    }
    let forbidden: [(&[&str], &[&str]); 3] = [
        (&["seccompProfile", "type"], &["RuntimeDefault", "Localhost"]),
        (&["appArmorProfile", "type"], &["RuntimeDefault", "Localhost"]),
        (&["procMount"], &["Default"]),
    ];
    for (path, allowed) in forbidden {
        if let Some(node) = at(context, path)
            && !(path == ["procMount"] && has_own_users(template))
            && text(node).is_some_and(|written| !allowed.contains(&written))
        {
            let message = format!("`{}` must be {}", path.join("."), allowed.join(" or "));
            breaches.push(breach(node, message));
        }
    }
}

fn selinux(options: &Node, breaches: &mut Vec<Breach>) {
    let is_set = |node: &&Node| text(node).is_some_and(|written| !written.is_empty());
    for key in ["user", "role"] {
        let node = field(options, key).filter(is_set);
        breaches.extend(node.map(|node| breach(node, format!("`seLinuxOptions.{key}` is set"))));
    }
    if let Some(node) = field(options, "type").filter(is_set)
        && text(node).is_some_and(|written| !SELINUX_TYPES.contains(&written))
    {
        let message = format!("`seLinuxOptions.type` must be {}", SELINUX_TYPES.join(" or "));
        breaches.push(breach(node, message));
    }
}

fn restricted(template: PodTemplate<'_>, breaches: &mut Vec<Breach>) {
    for volume in items_at(template.spec, "volumes") {
        for (key, value) in entries(volume) {
            let is_known = key.name == "name" || key.name == "hostPath";
            if !is_known && value.value != Value::Null && !RESTRICTED_VOLUMES.contains(&key.name.as_str()) {
                breaches.push(Breach {
                    span: key.span,
                    message: format!("a volume of the kind `{}` is not allowed", key.name),
                    help: Some("claim it with a PersistentVolumeClaim".into()),
                });
            }
        }
    }
    for context in contexts(template) {
        restricted_context(context, template, breaches);
    }
    for container in template.containers() {
        let missing = missing(template, container);
        if missing.is_empty() {
            continue;
        }
        let name = field(container, "name");
        breaches.push(Breach {
            span: name.map_or(container.span, |name| name.span),
            message: format!(
                "container `{}` does not say {}",
                name.and_then(text).unwrap_or_default(),
                missing.join(", ")
            ),
            help: Some(format!("give it `{ADVICE}`")),
        });
    }
}

/// Values that are written, and wrong.
fn restricted_context(context: &Node, template: PodTemplate<'_>, breaches: &mut Vec<Breach>) {
    let mut refuse = |key: &str, is_refused: fn(&Node) -> bool, wanted: &str| {
        if let Some(node) = field(context, key)
            && is_refused(node)
        {
            breaches.push(breach(node, format!("`{key}` must be {wanted}")));
        }
    };
    refuse(
        "allowPrivilegeEscalation",
        |node| node.value == Value::Bool(true),
        "false",
    );
    if has_own_users(template) {
        refuse("procMount", |node| text(node) == Some("Unmasked"), "Default");
    } else {
        refuse("runAsNonRoot", |node| node.value == Value::Bool(false), "true");
        refuse("runAsUser", is_zero, "another user than 0");
    }
    for capability in at(context, &["capabilities", "add"]).map_or(&[][..], items) {
        if let Some(name) = text(capability)
            && name != "NET_BIND_SERVICE"
            && BASELINE_CAPABILITIES.contains(&name)
        {
            breaches.push(breach(capability, format!("capability `{name}` is added")));
        }
    }
}

/// What a container must say, or its pod for it, and neither does.
fn missing(template: PodTemplate<'_>, container: &Node) -> Vec<&'static str> {
    let of_pod = field(template.spec, "securityContext");
    let of_container = field(container, "securityContext");
    let says = |path: &[&str]| {
        let either = [of_container, of_pod].into_iter().flatten();
        either
            .filter_map(|context| at(context, path))
            .any(|node| node.value != Value::Null)
    };
    let drops_all = of_container
        .and_then(|context| at(context, &["capabilities", "drop"]))
        .is_some_and(|dropped| items(dropped).iter().any(|each| text(each) == Some("ALL")));
    let escalation = of_container.and_then(|context| field(context, "allowPrivilegeEscalation"));
    let mut missing = Vec::new();
    if escalation.is_none_or(|node| node.value == Value::Null) {
        missing.push("`allowPrivilegeEscalation: false`");
    }
    if !says(&["runAsNonRoot"]) && !has_own_users(template) {
        missing.push("`runAsNonRoot: true`");
    }
    if !drops_all {
        missing.push("`capabilities: {drop: [ALL]}`");
    }
    if !says(&["seccompProfile", "type"]) {
        missing.push("`seccompProfile: {type: RuntimeDefault}`");
    }
    // Pods of Windows have neither.
    if text_at(template.spec, &["os", "name"]) == Some("windows") {
        missing.retain(|each| each.starts_with("`runAsNonRoot"));
    }
    missing
}

/// Whether the users inside of a pod are others on the node, so that root inside is none.
fn has_own_users(template: PodTemplate<'_>) -> bool {
    field(template.spec, "hostUsers").is_some_and(|node| node.value == Value::Bool(false))
}

fn items_at<'node>(node: &'node Node, key: &str) -> &'node [Node] {
    field(node, key).map_or(&[], items)
}

fn is_zero(node: &Node) -> bool {
    matches!(&node.value, Value::Number(number) if number.as_i64() == Some(0))
}
