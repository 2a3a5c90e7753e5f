//! Classes of other cluster stacks than the lab's: Cluster API's own webhooks take the Clusters that are declared for them.

use jiff::civil::date;
use lotse::config;
use lotse::desired::{Desired, Manifest};
use lotse::kubernetes::{Cluster, KubernetesError};
use lotse::names::{EnvironmentName, NamespaceName};
use lotse::surface::management;
use serde_json::{Value, json};

use crate::kit::{Kubectl, Lab, block_on, eventually};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

fn text() -> Value {
    json!({"type": "string"})
}

fn number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn object(keys: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), text())).collect();
    json!({"type": "object", "properties": properties})
}

/// Variables of the stack scs2 for OpenStack: names and types of its documentation.
fn of_scs2() -> Vec<(&'static str, Value)> {
    let logins = [
        "clientID",
        "issuerURL",
        "usernameClaim",
        "groupsClaim",
        "usernamePrefix",
        "groupsPrefix",
    ];
    vec![
        ("imageName", text()),
        ("imageIsOrc", json!({"type": "boolean"})),
        ("networkExternalID", text()),
        ("networkMTU", number()),
        ("dnsNameservers", texts()),
        ("nodeCIDR", text()),
        ("controlPlaneFlavor", text()),
        ("controlPlaneRootDisk", number()),
        ("controlPlaneServerGroupID", text()),
        ("controlPlaneAvailabilityZones", texts()),
        ("workerFlavor", text()),
        ("workerRootDisk", number()),
        ("workerServerGroupID", text()),
        ("securityGroups", texts()),
        ("identityRef", object(&["name", "cloudName"])),
        ("certSANs", texts()),
        (
            "apiServerLoadBalancer",
            json!({"type": "string", "enum": ["none", "octavia-amphora", "octavia-ovn"]}),
        ),
        ("oidcConfig", object(&logins)),
    ]
}

/// The same of the stack scs, as far as it is declared here.
fn of_scs() -> Vec<(&'static str, Value)> {
    let logins = [
        "client_id",
        "issuer_url",
        "username_claim",
        "groups_claim",
        "username_prefix",
        "groups_prefix",
    ];
    vec![
        ("controller_flavor", text()),
        ("controller_root_disk", number()),
        ("worker_flavor", text()),
        ("worker_root_disk", number()),
        ("cert_sans", texts()),
        ("apiserver_loadbalancer", text()),
        ("api_server_load_balancer", text()),
        ("identity_ref", object(&["name", "cloud_name"])),
        ("oidc_config", object(&logins)),
    ]
}

/// A class with these variables, of the lab's templates.
fn make_class(moin: &Kubectl, name: &str, variables: &[(&str, Value)]) {
    let lab = moin.get(&["clusterclass", "lab-lab-1-36-v1", "-n", "prod"]);
    let mut spec = json!({
        "controlPlane": lab["spec"]["controlPlane"], "infrastructure": lab["spec"]["infrastructure"],
        "workers": {"machineDeployments": [{"class": "default-worker",
            "bootstrap": lab["spec"]["infrastructure"], "infrastructure": lab["spec"]["infrastructure"]}]},
    });
    spec["variables"] = variables
        .iter()
        .map(|(name, schema)| json!({"name": name, "required": false, "schema": {"openAPIV3Schema": schema}}))
        .collect();
    let class = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "ClusterClass",
        "metadata": {"name": name, "namespace": "prod"}, "spec": spec});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("class.json");
    std::fs::write(&file, class.to_string()).unwrap();
    moin.run(&["apply", "-f", file.to_str().unwrap()]).success();
    eventually("its variables are known", WITHIN, || {
        let class = moin.get(&["clusterclass", name, "-n", "prod"]);
        match crate::kit::condition(&class, "VariablesReady") {
            ("True", _) => Ok(()),
            (status, message) => Err(format!("{status}: {message}")),
        }
    });
}

/// The Cluster of scs-prod, as it is rendered, with `change` made to what is declared.
fn declared(change: impl FnOnce(&mut config::Environment)) -> Manifest {
    let name = EnvironmentName::new("scs-prod").unwrap();
    let root = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut declarations = config::load(root, &name, date(2026, 11, 1)).unwrap().declarations;
    declarations.environment.management.namespace = NamespaceName::new("prod").unwrap();
    change(&mut declarations.environment);
    let environment = declarations.environment.outline();
    let desired = Desired::build(&declarations, &environment, date(2026, 11, 1));
    let clusters = desired.management.iter();
    clusters
        .clone()
        .find(|manifest| manifest.kind() == "Cluster")
        .unwrap()
        .clone()
}

/// What the webhooks say to a Cluster that was fitted to its class.
fn admitted(lab: &Lab, cluster: &Manifest) -> Result<Manifest, KubernetesError> {
    let kubeconfig = lab.moin.kubeconfig.to_str().unwrap().to_owned();
    block_on(async {
        let management = Cluster::from_settings(Some(kubeconfig.as_str().into()), None).await?;
        let served = management::served(&management).await.unwrap();
        let fitted = management::fit(&management, &served, cluster, &Value::Null).await?;
        management.would_accept(&fitted.cluster).await?;
        Ok(fitted.cluster)
    })
}

pub(crate) fn clusters_of_other_stacks_are_admitted(lab: &Lab) {
    make_class(&lab.moin, "openstack-scs2-1-35-v1", &of_scs2());
    let cluster = declared(|_| {});
    assert_eq!(admitted(lab, &cluster).unwrap(), cluster);
    let wrong = declared(|environment| {
        let variables = &mut environment.cluster.variables;
        variables.insert("apiServerLoadBalancer".into(), json!("octavia"));
        variables.insert("workerRootDisk".into(), json!("large"));
    });
    let told = admitted(lab, &wrong).unwrap_err().to_string();
    assert!(
        told.contains("apiServerLoadBalancer") && told.contains("octavia-ovn"),
        "{told}"
    );
    assert!(told.contains("workerRootDisk"), "{told}");

    make_class(&lab.moin, "openstack-scs-1-35-v1", &of_scs());
    let cluster = declared(|environment| environment.cluster.stack.name = "scs".into());
    let fitted = admitted(lab, &cluster).unwrap();
    let written = fitted.value().to_string();
    for name in [
        "controller_flavor",
        "worker_flavor",
        "worker_root_disk",
        "client_id",
        "issuer_url",
        "cloud_name",
    ] {
        assert!(
            written.contains(&format!("\"{name}\"")),
            "{name} is missing in {written}"
        );
    }

    make_class(&lab.moin, "metal3-plain-1-35-v1", &[("image", text())]);
    let cluster = declared(|environment| {
        let declared = &mut environment.cluster;
        (declared.stack.provider, declared.stack.name) = ("metal3".into(), "plain".into());
        declared.control_plane.flavor = None;
        declared.cert_sans.clear();
        declared.variables.clear();
        declared.workers.iter_mut().for_each(|group| group.flavor = None);
    });
    let fitted = admitted(lab, &cluster).unwrap();
    assert_eq!(fitted.value()["spec"]["topology"].get("variables"), None);
    for name in [
        "openstack-scs2-1-35-v1",
        "openstack-scs-1-35-v1",
        "metal3-plain-1-35-v1",
    ] {
        lab.moin
            .run(&["delete", "clusterclass", name, "-n", "prod"])
            .success();
    }
}
