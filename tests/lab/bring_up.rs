//! The cluster came to be the way it should: through the cluster stack and Cluster API, nothing around them.

use crate::kit::{Lab, condition};

pub(crate) fn first_run_tells_every_stage(lab: &Lab) {
    let told = &lab.first.stderr;
    for stage in [
        "lab ",
        "preflight ",
        "stack ",
        "cluster ",
        "git ",
        "flux ",
        "dns ",
        "logins ",
        "proof ",
    ] {
        assert!(
            told.lines().any(|line| line.starts_with(stage)),
            "no line of `{stage}` in\n{told}"
        );
    }
    assert!(
        lab.first.stdout.contains("prod is ready in "),
        "{}",
        lab.first.stdout
    );
}

pub(crate) fn class_is_made_by_the_operator(lab: &Lab) {
    let class = lab.moin.get(&[
        "clusterclass",
        "lab-lab-1-36-v1",
        "-n",
        "prod",
        "--show-managed-fields",
    ]);
    let managers = class["metadata"]["managedFields"].to_string();
    assert!(
        !managers.contains("\"lotse\""),
        "lotse wrote to the class: {managers}"
    );
    let release = lab
        .moin
        .get(&["clusterstackrelease", "lab-lab-1-36-v1", "-n", "prod"]);
    assert_eq!(release["status"]["ready"], true, "{release}");
    let made = release["status"]["resources"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_class =
        |made: &&serde_json::Value| made["kind"] == "ClusterClass" && made["name"] == "lab-lab-1-36-v1";
    assert_eq!(
        made.iter().find(is_class).map(|class| &class["status"]),
        Some(&"synced".into()),
        "{made:?}"
    );
}

pub(crate) fn cluster_is_available_by_cluster_api(lab: &Lab) {
    let cluster = lab
        .moin
        .get(&["clusters.v1beta2.cluster.x-k8s.io", "prod", "-n", "prod"]);
    assert_eq!(
        condition(&cluster, "Available").0,
        "True",
        "{}",
        cluster["status"]
    );
    assert_eq!(cluster["spec"]["topology"]["classRef"]["name"], "lab-lab-1-36-v1");
    assert_eq!(cluster["spec"]["infrastructureRef"]["kind"], "LabCluster");
    assert_eq!(cluster["spec"]["controlPlaneRef"]["kind"], "LabControlPlane");
}

pub(crate) fn api_server_has_the_declared_name(lab: &Lab) {
    let version = lab
        .prod
        .run(&[
            "--tls-server-name",
            "api.prod.lab.test",
            "get",
            "--raw",
            "/version",
        ])
        .success();
    assert!(version.contains("\"gitVersion\": \"v1.36.3\""), "{version}");
    let refused = lab.prod.run(&[
        "--tls-server-name",
        "other.prod.lab.test",
        "get",
        "--raw",
        "/version",
    ]);
    assert_ne!(refused.code, Some(0), "the certificate is valid for any name");
}

pub(crate) fn addon_of_the_stack_is_in_the_cluster(lab: &Lab) {
    let addon = lab.moin.list(&["clusteraddons", "-n", "prod"]);
    assert_eq!(addon.len(), 1, "{addon:?}");
    assert_eq!(addon[0]["status"]["ready"], true, "{}", addon[0]["status"]);
}
