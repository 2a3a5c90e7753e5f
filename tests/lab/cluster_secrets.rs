//! Secrets that the Cluster's provider needs, and those that Cluster API puts inside.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kit::{Lab, Ran, eventually, run};
use crate::systems::{Checkout, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const DECLARED: &str = "  secrets: {cloud: {clouds.yaml: {env: LAB_CLOUDS}}}\n  \
                        workloadSecrets: {cloud-config: {clouds.yaml: {env: LAB_CLOUDS}}}\n";
const FIRST: &str = "clouds: {lab: {auth: {password: the-first-of-two}}}";
const SECOND: &str = "clouds: {lab: {auth: {password: the-second-of-two}}}";

pub(crate) fn secrets_reach_the_provider_and_the_cluster(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.replace(
        ENVIRONMENT,
        "  variables: {nodes: 2}\n",
        &format!("  variables: {{nodes: 2}}\n{DECLARED}"),
    );
    let lotse = |arguments: &[&str], clouds: &str| -> Ran {
        let mut command = lab.world.command(arguments);
        let ran = run(checkout.enter(&mut command).env("LAB_CLOUDS", clouds));
        for text in [&ran.stdout, &ran.stderr] {
            assert!(
                !text.contains("of-two") && !text.contains(&STANDARD.encode(clouds)),
                "{text}"
            );
        }
        ran
    };
    let plan = lotse(&["plan", "lab"], FIRST).success();
    for object in [
        "Secret/prod/cloud",
        "Secret/prod/prod-cloud-config",
        "ClusterResourceSet/prod/prod",
    ] {
        assert!(plan.contains(object), "{object}\n{plan}");
    }
    lotse(&["bootstrap", "lab"], FIRST).success();
    is_there(lab, FIRST);
    lotse(&["plan", "lab", "--detailed-exitcode"], FIRST).success();

    let changed = lotse(&["plan", "lab", "--detailed-exitcode"], SECOND);
    assert_eq!(changed.code, Some(5), "{}", changed.stdout);
    assert!(changed.stdout.contains("***"), "{}", changed.stdout);
    let told = lotse(&["bootstrap", "lab"], SECOND);
    assert!(
        !told.stderr.contains("put back"),
        "it was declared: {}",
        told.stderr
    );
    told.success();
    is_there(lab, SECOND);

    let inside = ["secret", "cloud-config", "-n", "kube-system"];
    let edited = format!(
        "{{\"data\":{{\"clouds.yaml\":\"{}\"}}}}",
        STANDARD.encode("edited")
    );
    lab.prod
        .run(&[&["patch"], &inside[..], &["--type=merge", "-p", &edited]].concat())
        .success();
    is_put_back(lab, &lotse);
    lab.prod.run(&[&["delete"], &inside[..]].concat()).success();
    is_put_back(lab, &lotse);

    // What is no longer declared stays, and is told.
    let ran = Checkout::copy(lab).bootstrap(lab, &[]);
    let told = ran.success();
    let plan = Checkout::copy(lab)
        .lotse(lab, &["plan", "lab", "--detailed-exitcode"])
        .success();
    for (object, delete) in [
        ("Secret/prod/cloud", "secret cloud -n prod"),
        ("ClusterResourceSet/prod/prod", "clusterresourceset prod -n prod"),
        (
            "Secret/kube-system/cloud-config",
            "secret cloud-config -n kube-system",
        ),
    ] {
        assert!(
            told.contains(&format!("`kubectl delete {delete}`")),
            "{object}\n{told}"
        );
        assert!(
            plan.contains(&format!("{object} is no longer declared, and stays")),
            "{plan}"
        );
    }

    lab.moin
        .run(&[
            "delete",
            // The set takes its Secrets along.
            "--ignore-not-found",
            "-n",
            "prod",
            "clusterresourceset/prod",
            "secret/cloud",
            "secret/prod-cloud-config",
        ])
        .success();
    lab.prod
        .run(&["delete", "-n", "kube-system", "secret/cloud-config"])
        .success();
    Checkout::copy(lab).bootstrap(lab, &[]).success();
    settled(lab);
}

fn is_put_back(lab: &Lab, lotse: &dyn Fn(&[&str], &str) -> Ran) {
    let plan = lotse(&["plan", "lab", "--detailed-exitcode"], SECOND);
    assert_eq!(plan.code, Some(5), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("Secret/kube-system/cloud-config"),
        "{}",
        plan.stdout
    );
    lotse(&["apply", "lab", "--yes", "--target", "workload"], SECOND).success();
    is_there(lab, SECOND);
    lotse(&["plan", "lab", "--detailed-exitcode"], SECOND).success();
}

fn is_there(lab: &Lab, clouds: &str) {
    let beside = lab.moin.get(&["secret", "cloud", "-n", "prod"]);
    assert_eq!(beside["data"]["clouds.yaml"], STANDARD.encode(clouds));
    eventually(
        "Cluster API puts the Secret inside",
        Duration::from_secs(60),
        || {
            let inside = lab.prod.list(&["secrets", "-n", "kube-system"]);
            let found = inside
                .iter()
                .find(|secret| secret["metadata"]["name"] == "cloud-config");
            match found {
                Some(secret) if secret["data"]["clouds.yaml"] == STANDARD.encode(clouds) => Ok(()),
                Some(_) => Err("it has another value".to_owned()),
                None => Err("it is not there".to_owned()),
            }
        },
    );
}
