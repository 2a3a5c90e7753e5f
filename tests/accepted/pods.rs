//! Pods of the applications' workloads, at the door of their namespaces: Pod Security, limits, quotas and admission
//! policies speak about Pods, and a Deployment is accepted although none of its Pods ever will be.

use std::time::{Duration, Instant};

use lotse::desired::Manifest;
use serde_json::{Value, json};

use super::delivered::deliveries;
use super::house::House;
use super::server::{Placed, Server, Stay, apply};

/// How long Kubernetes' controllers may take for default accounts and the first count of a quota.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// What the server says until then.
const NOT_YET: [&str; 3] = [
    "status unknown for quota",
    "serviceaccount \"default\" not found",
    "not yet ready",
];

pub(crate) fn every_pod_is_admitted(house: &House, server: &Server) -> Vec<String> {
    house.block_on(async {
        let (deliveries, _) = deliveries(house, server).await;
        let objects: Vec<Placed> = deliveries
            .into_iter()
            .flat_map(|delivery| delivery.objects)
            .collect();
        for placed in objects
            .iter()
            .filter(|placed| placed.manifest.kind() == "ServiceAccount")
        {
            server.administrator.apply(&placed.manifest).await.unwrap();
        }
        let pods: Vec<Placed> = objects.iter().filter_map(pod).collect();
        assert!(!pods.is_empty(), "no application brings a workload");
        let mut refused = Vec::new();
        for placed in pods {
            if let Err(said) = admit(server, &placed.manifest).await {
                refused.push(placed.fault(&said));
            }
        }
        refused
    })
}

async fn admit(server: &Server, pod: &Manifest) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match apply(&server.administrator, pod, Stay::Dry).await {
            Ok(_) => return Ok(()),
            Err(said) if began.elapsed() < SETTLED_WITHIN && is_early(&said) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(said) => return Err(said),
        }
    }
}

fn is_early(said: &str) -> bool {
    NOT_YET.iter().any(|early| said.contains(early))
}

/// The Pod that a workload would make first.
fn pod(placed: &Placed) -> Option<Placed> {
    let manifest = &placed.manifest;
    let pointer = match manifest.kind() {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    let template = manifest.value().pointer(pointer)?;
    let mut spec = template["spec"].clone();
    claim_volumes(&mut spec, &manifest.value()["spec"]["volumeClaimTemplates"]);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-{}", manifest.kind().to_lowercase(), manifest.name()),
            "namespace": manifest.namespace(),
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
        },
        "spec": spec,
    });
    Some(Placed {
        file: placed.file.clone(),
        manifest: Manifest::new(pod).unwrap(),
    })
}

/// Pods of a `StatefulSet` get a volume for each of its claims.
fn claim_volumes(spec: &mut Value, claims: &Value) {
    let claims = claims.as_array().map(Vec::as_slice).unwrap_or_default();
    for claim in claims {
        let name = &claim["metadata"]["name"];
        let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        match spec["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(volume),
            None => spec["volumes"] = json!([volume]),
        }
    }
}
