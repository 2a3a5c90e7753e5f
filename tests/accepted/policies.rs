//! The rendered admission policies, asked by people and by Flux: each refuses what it must, and lets pass what it must.
//!
//! Both are given every right beforehand, so that nothing but a policy can refuse them.

use std::time::{Duration, Instant};

use lotse::desired::{APP_LABEL, FLUX_NAMESPACE, Manifest};
use lotse::kubernetes::Cluster;
use serde_json::{Value, json};

use super::house::House;
use super::rendered::ROOT_ACCOUNT;
use super::server::{Server, Stay, Whom, apply};

/// How long the API server may take to heed policies that are new to it.
const HEEDED_WITHIN: Duration = Duration::from_secs(30);
/// A person and an account that nobody declared.
const PERSON: &str = "mallory";
const DELIVERY: &str = "delivery-under-test";
/// What the server says when it was a policy that refused.
const BY_POLICY: &str = "ValidatingAdmissionPolicy";
const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

pub(crate) fn policies_refuse_what_they_must_and_no_more(house: &House, server: &Server) -> Vec<String> {
    let mut kinds = server.tree.iter().map(|placed| placed.manifest.kind());
    assert!(
        kinds.any(|kind| kind == BY_POLICY),
        "no admission policy is rendered"
    );
    house.block_on(async {
        give_every_right(server).await;
        let namespace = application(server);
        let mut faults = Vec::new();
        for whom in [Whom::Person(PERSON), Whom::Flux(DELIVERY)] {
            let cluster = server.as_whom(whom).await;
            wait_until_heeded(&cluster, &namespace).await;
            for (object, is_refused) in attempts(&namespace) {
                let wrong = attempt(&cluster, &object, is_refused).await;
                faults.extend(wrong.map(|wrong| format!("{whom:?}: {wrong}")));
            }
        }
        let platform = server.as_whom(Whom::Flux(ROOT_ACCOUNT)).await;
        let admin = object(binding("ClusterRoleBinding", "cluster-admin"));
        faults.extend(attempt(&platform, &admin, false).await);
        faults
    })
}

/// The namespace of an application that is not trusted with the cluster.
fn application(server: &Server) -> String {
    let labels = |manifest: &Manifest| manifest.value()["metadata"]["labels"].clone();
    let is_plain = |manifest: &&Manifest| {
        let labels = labels(manifest);
        manifest.kind() == "Namespace"
            && labels.get(APP_LABEL).is_some()
            && labels.get("lotse.dev/cluster-wide").is_none()
    };
    let manifests = server.tree.iter().map(|placed| &placed.manifest);
    let found = manifests
        .filter(is_plain)
        .map(|manifest| manifest.name().to_owned())
        .min();
    found.expect("an application is rendered")
}

async fn give_every_right(server: &Server) {
    let binding = object(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "under-test"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("oidc:{PERSON}")},
            {"kind": "ServiceAccount", "name": DELIVERY, "namespace": FLUX_NAMESPACE},
        ],
    }));
    server.administrator.apply(&binding).await.unwrap();
}

async fn wait_until_heeded(cluster: &Cluster, namespace: &str) {
    let began = Instant::now();
    let (probe, _) = &attempts(namespace)[0];
    while attempt(cluster, probe, true).await.is_some() {
        if began.elapsed() > HEEDED_WITHIN {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What is wrong with the answer to `object`.
async fn attempt(cluster: &Cluster, object: &Manifest, is_refused: bool) -> Option<String> {
    let answer = apply(cluster, object, Stay::Dry).await;
    let wrong = match answer {
        Ok(_) if is_refused => "it was let pass".to_owned(),
        Err(said) if !is_refused => format!("it was refused: {said}"),
        Err(said) if !said.contains(BY_POLICY) => format!("it was refused for another reason: {said}"),
        Err(said) if !said.contains(object.name()) => format!("the object is not named: {said}"),
        _ => return None,
    };
    Some(format!("{object}: {wrong}\n    {}", object.value()["spec"]))
}

/// What is tried in the namespace of an application, and whether it must be refused.
fn attempts(namespace: &str) -> Vec<(Manifest, bool)> {
    let services = [
        (json!({"type": "LoadBalancer"}), true),
        (json!({"type": "NodePort"}), true),
        (json!({"type": "ClusterIP", "externalIPs": ["192.0.2.1"]}), true),
        (json!({"type": "ClusterIP"}), false),
        (json!({"clusterIP": "None"}), false),
    ];
    let images = [
        ("nginx", true),
        ("nginx:latest", true),
        ("registry.example.org:5000/nginx", true),
        ("nginx:1.29", false),
        ("registry.example.org:5000/nginx:1.29", false),
    ];
    let digests = [format!("nginx@{DIGEST}"), format!("nginx:latest@{DIGEST}")];
    let images = images
        .map(|(image, is_refused)| (image.to_owned(), is_refused))
        .into_iter()
        .chain(digests.map(|image| (image, false)));
    let mut attempts: Vec<(Value, bool)> = services.map(|(spec, refused)| (service(&spec), refused)).into();
    for (image, is_refused) in images {
        let plain = pod_spec(&image, "nginx:1.29");
        let initial = pod_spec("nginx:1.29", &image);
        attempts.extend([plain, initial].into_iter().flat_map(|spec| {
            [pod(&spec), deployment(&spec), cron_job(&spec)].map(|workload| (workload, is_refused))
        }));
    }
    attempts.extend([
        (binding("RoleBinding", "cluster-admin"), true),
        (binding("ClusterRoleBinding", "cluster-admin"), true),
        (binding("RoleBinding", "admin"), false),
        (binding("ClusterRoleBinding", "view"), false),
        (network_policy(), true),
    ]);
    let place = |(mut value, is_refused): (Value, bool)| {
        if value["kind"] != "ClusterRoleBinding" {
            value["metadata"]["namespace"] = namespace.into();
        }
        (object(value), is_refused)
    };
    attempts.into_iter().map(place).collect()
}

fn object(value: Value) -> Manifest {
    Manifest::new(value).unwrap()
}

fn service(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["ports"] = json!([{"port": 80}]);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "attempt"}, "spec": spec})
}

/// One that every Pod Security level lets pass.
fn pod_spec(image: &str, initial: &str) -> Value {
    let container = |name: &str, image: &str| {
        json!({
            "name": name,
            "image": image,
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        })
    };
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "restartPolicy": "Always",
        "initContainers": [container("initial", initial)],
        "containers": [container("main", image)],
    })
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "attempt"}, "spec": spec})
}

fn deployment(spec: &Value) -> Value {
    let labels = json!({"app": "attempt"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "attempt"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

fn cron_job(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "attempt"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": spec}}}},
    })
}

fn binding(kind: &str, role: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "attempt"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "oidc:somebody"}],
    })
}

fn network_policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "attempt"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    })
}
