//! A wait names the deepest object that is not ready, what it says, what to do, and the runbook that treats it.

use std::time::Duration;

use lotse::kubernetes::{Cluster, KubernetesError, Look, ObjectReference, Wait};
use lotse::report::{Explanation, Silent, Task};
use serde_json::{Value, json};

use crate::kit::{Kubectl, Lab, block_on, eventually};
use crate::systems::{Checkout, settled};

const NAMESPACE: &str = "trouble";
/// Controllers have said what is wrong by then.
const WITHIN: Duration = Duration::from_secs(30);

/// Applies objects the way anybody would.
fn apply(kubectl: &Kubectl, objects: &[Value]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&file, list.to_string()).unwrap();
    kubectl.run(&["apply", "-f", file.to_str().unwrap()]).success();
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// What a wait for `object`, which never comes, says in the end.
fn explained(kubectl: &Kubectl, object: &ObjectReference, limit: Duration) -> Explanation {
    let kubeconfig = kubectl.kubeconfig.to_str().unwrap().to_owned();
    let error = block_on(async {
        let cluster = Cluster::from_settings(Some(kubeconfig.as_str().into()), None)
            .await
            .unwrap();
        let wait = Wait {
            what: "what never comes".into(),
            limit,
            task: &Task::start(&Silent, "test", "waits"),
            runbooks: &(),
        };
        let look = || async { Ok(Look::<()>::waiting(object, "is not ready")) };
        cluster.wait(&wait, &[], look).await.unwrap_err()
    });
    match error {
        KubernetesError::NotInTime { state, .. } => *state,
        other => panic!("{other}"),
    }
}

/// A Deployment to its pod, and a pod to its volume: the scheduler and the volume controller say what is wrong.
pub(crate) fn a_deployment_is_followed_down_to_what_holds_it_up(lab: &Lab) {
    let deployment = |name: &str, pod: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}})
    };
    let image = "registry.k8s.io/pause:3.10";
    let large = json!({"containers": [{"name": "web", "image": image,
        "resources": {"requests": {"cpu": "4000"}}}]});
    let stored = json!({"containers": [{"name": "web", "image": image}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    apply(
        &lab.prod,
        &[
            namespace(),
            claim,
            deployment("large", large),
            deployment("stored", stored),
        ],
    );
    let of = |name: &str| {
        let reference = ObjectReference::new("apps/v1", "Deployment", name).in_namespace(NAMESPACE);
        eventually("the trouble is known", WITHIN, || {
            let told = explained(&lab.prod, &reference, Duration::from_secs(2));
            if told.event.is_some() || told.reason.contains("nodes are available") {
                Ok(told)
            } else {
                Err(told.to_string())
            }
        })
    };
    let told = of("large");
    let path: Vec<&str> = told
        .path
        .iter()
        .map(|object| object.split('/').next().unwrap())
        .collect();
    assert_eq!(path, ["Deployment", "ReplicaSet", "Pod"], "{told}");
    assert!(told.reason.contains("Insufficient cpu"), "{told}");
    assert!(told.remedy.unwrap().contains("add workers"));
    let told = of("stored");
    assert_eq!(
        told.path.last().unwrap(),
        "PersistentVolumeClaim/trouble/data",
        "{told}"
    );
    assert_eq!(told.reason, "is Pending: no volume is bound to it");
    assert!(told.event.unwrap().contains("no storage class is set"));
    assert!(told.remedy.unwrap().contains("storage class"));
    lab.prod
        .run(&["delete", "namespace", NAMESPACE, "--wait=false"])
        .success();
}

/// Objects of Cluster API below a paused Cluster, all of one name: nobody but the test says how they are.
struct Paused<'lab>(&'lab Kubectl);

impl Paused<'_> {
    fn apply(&self, kind: &str, owner: Option<&str>, spec: &Value) {
        let version = match kind {
            "LabCluster" => "infrastructure.cluster.x-k8s.io/v1alpha1",
            _ => "cluster.x-k8s.io/v1beta2",
        };
        let owner = owner.map(|kind| {
            let object = self.0.get(&[&kind.to_lowercase(), NAMESPACE, "-n", NAMESPACE]);
            json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": kind, "name": NAMESPACE,
                "uid": object["metadata"]["uid"]})
        });
        let metadata = json!({"name": NAMESPACE, "namespace": NAMESPACE,
            "labels": {"cluster.x-k8s.io/cluster-name": NAMESPACE},
            "annotations": {"cluster.x-k8s.io/paused": "true"},
            "ownerReferences": owner.into_iter().collect::<Vec<_>>()});
        apply(
            self.0,
            &[json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})],
        );
    }

    fn says(&self, kind: &str, condition: &str, message: &str) {
        let condition = json!({"type": condition, "status": "False", "reason": "Test", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let patch = json!({"status": {"conditions": [condition]}}).to_string();
        let kind = kind.to_lowercase();
        let status = ["--subresource=status", "--type=merge", "-p", &patch];
        self.0
            .run(&[&["patch", &kind, NAMESPACE, "-n", NAMESPACE], &status[..]].concat())
            .success();
    }
}

/// From a Cluster through its deployment, set and machine to the machine's infrastructure, by owners and references.
pub(crate) fn a_cluster_is_followed_down_to_the_machine(lab: &Lab) {
    let moin = &lab.moin;
    let paused = Paused(moin);
    let cluster = json!({"paused": true, "topology": {
        "classRef": {"name": "lab-lab-1-36-v1", "namespace": "prod"}, "version": "v1.36.3"}});
    let machine = json!({"clusterName": NAMESPACE, "bootstrap": {"dataSecretName": "none"}, "infrastructureRef":
        {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LabCluster", "name": NAMESPACE}});
    let labels = json!({"pool": NAMESPACE});
    let machines = json!({"clusterName": NAMESPACE, "replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": machine}});
    apply(moin, &[namespace()]);
    paused.apply("LabCluster", None, &json!({}));
    paused.apply("Cluster", None, &cluster);
    paused.apply("MachineDeployment", Some("Cluster"), &machines);
    paused.apply("MachineSet", Some("MachineDeployment"), &machines);
    paused.apply("Machine", Some("MachineSet"), &machine);
    paused.says("Cluster", "Available", "* WorkersAvailable: 0 of 1");
    paused.says("MachineDeployment", "Available", "0 of 1");
    paused.says("MachineSet", "Ready", "");
    paused.says("Machine", "Ready", "waiting for infrastructure");
    paused.says("LabCluster", "Ready", "No valid host was found");
    let reference =
        ObjectReference::new("cluster.x-k8s.io/v1beta2", "Cluster", NAMESPACE).in_namespace(NAMESPACE);
    let told = explained(moin, &reference, Duration::from_secs(2));
    let way = [
        "Cluster",
        "MachineDeployment",
        "MachineSet",
        "Machine",
        "LabCluster",
    ];
    assert_eq!(
        told.path,
        way.map(|kind| format!("{kind}/trouble/trouble")),
        "{told}"
    );
    assert_eq!(told.reason, "No valid host was found");
    assert!(told.lasts.unwrap() > Duration::from_secs(3600), "{told}");
    assert!(told.remedy.unwrap().contains("another flavor"));
    moin.run(&["delete", "namespace", NAMESPACE, "--wait=false"])
        .success();
}

/// What a bring-up says about an application that its quota holds up, in its log and in its last words.
pub(crate) fn a_bring_up_names_cause_remedy_and_runbook(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let manifest = "environments/lab/apps/website/manifests/deployment.yaml";
    checkout.replace(manifest, "cpu: 50m", "cpu: 50");
    let ran = checkout.bootstrap(lab, &["--timeout", "flux=40s"]);
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    for part in [
        "Kustomization/flux-system/website > Deployment/website/website > ReplicaSet/website/website-",
        "exceeded quota: quota, requested: requests.cpu=50",
        "\n           help: lower what the pods ask for, or raise `quota` in the application's declaration\n",
        "\n           runbook: runbooks/website/outage.md\n",
        "caused by: the platform was not reached within 40s: Kustomization/flux-system/website > ",
        "help: the runbook for this is runbooks/website/outage.md\n",
        "`--timeout STAGE=TIME` gives it more time",
        "not done: flux (failed), dns, proof",
    ] {
        assert!(
            ran.stderr.contains(part),
            "`{part}` is missing in\n{}",
            ran.stderr
        );
    }
    a_new_version_that_finds_no_node_is_named(lab);
    let mended = Checkout::copy(lab).bootstrap(lab, &[]);
    mended.success();
    settled(lab);
}

/// The version before runs on, and what holds the new one up is named all the same.
fn a_new_version_that_finds_no_node_is_named(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.replace(
        "environments/lab/apps/website/manifests/deployment.yaml",
        "cpu: 50m",
        "cpu: 60",
    );
    let declared = "environments/lab/apps/website/app.yaml";
    let text = std::fs::read_to_string(checkout.path().join(declared)).unwrap();
    checkout.write(declared, &format!("{text}quota: {{cpu: \"200\", memory: 8Gi}}\n"));
    let ran = checkout.bootstrap(lab, &["--timeout", "flux=40s"]);
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    for part in [
        "> Pod/website/website-",
        "nodes are available: ",
        "Insufficient cpu",
        "add workers",
    ] {
        assert!(
            ran.stderr.contains(part),
            "`{part}` is missing in\n{}",
            ran.stderr
        );
    }
}
