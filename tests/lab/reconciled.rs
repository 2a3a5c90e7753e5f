//! What Flux made of the repository, seen with plain kubectl, git and dig.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kit::{APPS, Lab, condition};

pub(crate) fn every_app_has_its_namespace(lab: &Lab) {
    for app in APPS {
        let namespace = lab.prod.get(&["namespace", app]);
        let labels = &namespace["metadata"]["labels"];
        assert_eq!(labels["lotse.dev/app"], app, "{labels}");
        assert!(
            labels["pod-security.kubernetes.io/enforce"].is_string(),
            "{labels}"
        );
    }
}

pub(crate) fn role_bindings_are_as_granted(lab: &Lab) {
    let holders = |app: &str, role: &str| {
        let bindings = lab.prod.list(&["rolebindings", "-n", app]);
        let mut subjects: Vec<String> = bindings
            .iter()
            .filter(|binding| {
                binding["roleRef"]["kind"] == "ClusterRole" && binding["roleRef"]["name"] == role
            })
            .flat_map(|binding| binding["subjects"].as_array().cloned().unwrap_or_default())
            .filter(|subject| subject["kind"] != "ServiceAccount")
            .map(|subject| {
                format!(
                    "{} {}",
                    subject["kind"].as_str().unwrap(),
                    subject["name"].as_str().unwrap()
                )
            })
            .collect();
        subjects.sort();
        subjects
    };
    assert_eq!(
        holders("monitoring", "admin"),
        ["Group oidc:SovereignCloudStack:monitoring"]
    );
    assert_eq!(
        holders("monitoring", "view"),
        ["Group oidc:SovereignCloudStack:platform"]
    );
    assert_eq!(
        holders("website", "edit"),
        ["Group oidc:SovereignCloudStack:website"]
    );
    assert_eq!(
        holders("website", "admin"),
        ["Group oidc:SovereignCloudStack:platform"]
    );
}

pub(crate) fn flux_is_ready_at_the_head(lab: &Lab) {
    let head = lab.head();
    let kustomizations = lab
        .prod
        .list(&["kustomizations.kustomize.toolkit.fluxcd.io", "-A"]);
    let names: Vec<&str> = kustomizations
        .iter()
        .filter_map(|kustomization| kustomization["metadata"]["name"].as_str())
        .collect();
    for name in APPS.into_iter().chain(["flux-system"]) {
        assert!(names.contains(&name), "no Kustomization {name} among {names:?}");
    }
    for kustomization in &kustomizations {
        let name = &kustomization["metadata"]["name"];
        assert_eq!(
            condition(kustomization, "Ready").0,
            "True",
            "{name}: {}",
            condition(kustomization, "Ready").1
        );
        let revision = kustomization["status"]["lastAppliedRevision"]
            .as_str()
            .unwrap_or_default();
        assert!(revision.contains(&head), "{name} is at {revision}, not at {head}");
    }
}

/// One application of the lab is a chart; its release is as ready as the Kustomization that delivers it.
pub(crate) fn releases_are_ready(lab: &Lab) {
    let releases = lab.prod.list(&["helmreleases.helm.toolkit.fluxcd.io", "-A"]);
    assert_eq!(releases.len(), 1, "{releases:?}");
    let release = &releases[0];
    assert_eq!(release["metadata"]["name"], "health-check");
    assert_eq!(condition(release, "Ready").0, "True", "{release}");
}

/// Every host of the applications has a route at the one gateway, which has the address of its Service.
pub(crate) fn hosts_have_routes(lab: &Lab) {
    let gateway = lab
        .prod
        .get(&["gateways.gateway.networking.k8s.io", "gateway", "-n", "gateway"]);
    assert_eq!(condition(&gateway, "Programmed").0, "True", "{gateway}");
    assert!(
        gateway["status"]["addresses"][0]["value"].is_string(),
        "{gateway}"
    );
    let routes = lab.prod.list(&["httproutes.gateway.networking.k8s.io", "-A"]);
    let hosts: BTreeSet<&str> = routes
        .iter()
        .flat_map(|route| route["spec"]["hostnames"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let wanted = ["auth", "compliance", "health", "monitoring", "status", "www"];
    let wanted: Vec<String> = wanted
        .iter()
        .map(|label| format!("{label}.prod.lab.test"))
        .collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), wanted);
    for route in &routes {
        let parent = &route["status"]["parents"][0];
        for wanted in ["Accepted", "ResolvedRefs"] {
            let found = parent["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == wanted);
            assert_eq!(
                found.map(|condition| &condition["status"]),
                Some(&Value::from("True")),
                "{route}"
            );
        }
    }
}

pub(crate) fn workloads_are_available(lab: &Lab) {
    // In the lab it consists of an issuer only.
    for app in APPS.into_iter().filter(|app| *app != "cert-manager") {
        let deployments = lab.prod.list(&["deployments", "-n", app]);
        assert!(!deployments.is_empty(), "{app} has no Deployment");
        for deployment in deployments {
            assert_eq!(
                condition(&deployment, "Available").0,
                "True",
                "{app}: {}",
                deployment["metadata"]["name"]
            );
        }
    }
}

pub(crate) fn controllers_run_locked_down(lab: &Lab) {
    let arguments = |name: &str| {
        let deployment = lab.prod.get(&["deployment", name, "-n", "flux-system"]);
        deployment["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    for name in [
        "kustomize-controller",
        "helm-controller",
        "notification-controller",
    ] {
        assert!(
            arguments(name).contains("--no-cross-namespace-refs=true"),
            "{name}"
        );
    }
    assert!(arguments("kustomize-controller").contains("--no-remote-bases=true"));
    assert!(arguments("kustomize-controller").contains("--default-service-account=default"));
}

pub(crate) fn any_name_leads_to_the_gateway(lab: &Lab) {
    let address = lab.gateway_address();
    assert_eq!(lab.dig(&["some-name-nobody-chose.prod.lab.test", "A"]), address);
    assert_eq!(lab.dig(&["+tcp", "another.prod.lab.test", "A"]), address);
    assert_eq!(lab.dig(&["outside.lab.test", "A"]), "");
}

pub(crate) fn client_secret_is_where_it_is_declared(lab: &Lab) {
    let secret = lab.prod.get(&["secret", "grafana-oidc", "-n", "monitoring"]);
    let keys: Vec<&String> = secret["data"]
        .as_object()
        .map(|data| data.keys().collect())
        .unwrap_or_default();
    for key in ["clientId", "clientSecret", "issuer"] {
        assert!(keys.iter().any(|present| *present == key), "{keys:?}");
    }
    assert_ne!(secret["data"]["clientSecret"], Value::String(String::new()));
}
