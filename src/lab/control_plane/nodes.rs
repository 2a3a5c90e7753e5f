//! The nodes of a control plane: objects that kwok keeps ready. No machine is behind them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::kubernetes::{Cluster, KubernetesError};
use crate::lab::launch::LaunchError;

/// Marks the nodes made here.
const LABEL: &str = "lotse.dev/lab-node";

/// Makes the control plane have exactly `count` nodes of ours: makes missing ones, removes those beyond.
pub(super) async fn ensure(cluster: &Cluster, control_plane: &str, count: u32) -> Result<(), LaunchError> {
    reconcile(&Api::all(cluster.client()), control_plane, count)
        .await
        .map_err(|error| {
            LaunchError::kubernetes(
                control_plane,
                KubernetesError::request("making the nodes", &error),
            )
        })
}

async fn reconcile(nodes: &Api<Node>, control_plane: &str, count: u32) -> Result<(), kube::Error> {
    let listed = nodes.list(&ListParams::default().labels(LABEL)).await?;
    let there: BTreeSet<String> = listed.into_iter().filter_map(|node| node.metadata.name).collect();
    let wanted = names(control_plane, count);
    for name in wanted.difference(&there) {
        ignore_status(409, nodes.create(&PostParams::default(), &node(name)).await)?;
    }
    for name in there.difference(&wanted) {
        ignore_status(404, nodes.delete(name, &DeleteParams::default()).await)?;
    }
    Ok(())
}

/// `prod-node-1`, `prod-node-2`, ... for the control plane `prod/prod`.
fn names(control_plane: &str, count: u32) -> BTreeSet<String> {
    let cluster = control_plane.rsplit('/').next().unwrap_or(control_plane);
    (1..=count)
        .map(|number| format!("{cluster}-node-{number}"))
        .collect()
}

/// Somebody else did the same meanwhile.
fn ignore_status<T>(code: u16, answer: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == code => Ok(()),
        other => other.map(drop),
    }
}

fn node(name: &str) -> Node {
    let resources = json!({"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "110"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                LABEL: "",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
            },
        },
        "status": {"capacity": resources, "allocatable": resources},
    });
    serde_json::from_value(node).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_nodes_are_named_after_their_cluster() {
        let names: Vec<String> = names("prod/blue", 2).into_iter().collect();
        assert_eq!(names, ["blue-node-1", "blue-node-2"]);
    }

    #[test]
    fn test_node_has_capacity_and_is_marked_as_fake() {
        let node = node("a");
        let annotations = node.metadata.annotations.unwrap();
        assert_eq!(annotations["kwok.x-k8s.io/node"], "fake");
        assert_eq!(node.status.unwrap().capacity.unwrap()["cpu"].0, "16");
    }
}
