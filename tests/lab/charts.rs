//! A chart of an application's own, in the repository beside its declaration, delivered by Flux's helm-controller.

use serde_json::json;

use crate::kit::{Kubectl, Lab, condition, eventually};
use crate::systems::{Clone, RECONCILED_WITHIN, ask_flux, settled};

const RELEASE: &str = "helmreleases.helm.toolkit.fluxcd.io";
const CHART: &str = r"apiVersion: v2
name: greeting
version: 1.0.0
";
const TEMPLATE: &str = r"apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-greeting
data:
  greeting: {{ .Values.greeting | quote }}
";
/// What the application's account may not do.
const TOO_MUCH: &str = r"apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mallory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'oidc:mallory'}]
";

/// The release is installed by the application's account into its namespace, follows its values, can't do more than
/// the account may, and goes without a trace.
pub(crate) fn a_chart_of_the_repository_is_released(lab: &Lab) {
    let clone = Clone::new(lab);
    let before = clone.head();
    clone.write("apps/website/chart/Chart.yaml", CHART);
    clone.write("apps/website/chart/templates/greeting.yaml", TEMPLATE);
    clone.commit("website: a chart");
    clone.push();
    ask_flux(lab);

    release(lab, "good morning");
    eventually("the release is Ready", RECONCILED_WITHIN, || {
        is_greeting(&lab.prod, "good morning")
    });
    let kept = ["secrets", "-n", "website", "-l", "owner=helm", "-o", "name"];
    assert!(
        lab.prod
            .run(&[&["get"], &kept[..]].concat())
            .success()
            .contains("helm.release"),
        "Helm's record is in the application's namespace"
    );

    release(lab, "good evening");
    eventually("the release follows its values", RECONCILED_WITHIN, || {
        is_greeting(&lab.prod, "good evening")
    });

    clone.write("apps/website/chart/templates/mallory.yaml", TOO_MUCH);
    clone.write("apps/website/chart/Chart.yaml", &CHART.replace("1.0.0", "1.0.1"));
    clone.commit("website: a chart that wants more");
    clone.push();
    ask_flux(lab);
    eventually("the release is refused", RECONCILED_WITHIN, || {
        match condition(
            &lab.prod.get(&[RELEASE, "greeting", "-n", "flux-system"]),
            "Ready",
        ) {
            ("False", told) if told.contains("rolebindings") => Ok(()),
            (status, told) => Err(format!("it is {status}: {told}")),
        }
    });

    lab.prod
        .run(&["delete", RELEASE, "greeting", "-n", "flux-system"])
        .success();
    let left = lab
        .prod
        .run(&["get", "configmaps,rolebindings", "-n", "website", "-o", "name"])
        .success();
    assert!(!left.contains("greeting") && !left.contains("mallory"), "{left}");
    clone.tree_of(&before);
    clone.commit("website: as before");
    clone.push();
    settled(lab);
}

/// The release as it is rendered for an application with a chart folder.
fn release(lab: &Lab, greeting: &str) {
    let release = json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "greeting", "namespace": "flux-system"},
        "spec": {
            "interval": "10m",
            "chart": {
                "spec": {
                    "chart": "./apps/website/chart",
                    "interval": "1m",
                    "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
                },
            },
            "releaseName": "greeting",
            "targetNamespace": "website",
            "storageNamespace": "website",
            "serviceAccountName": "website",
            "values": {"greeting": greeting},
        },
    });
    let directory = tempfile::tempdir_in(lab.world.path()).unwrap();
    let file = directory.path().join("release.json");
    std::fs::write(&file, release.to_string()).unwrap();
    lab.prod.run(&["apply", "-f", file.to_str().unwrap()]).success();
}

fn is_greeting(prod: &Kubectl, greeting: &str) -> Result<(), String> {
    let found = prod.get(&[RELEASE, "greeting", "-n", "flux-system"]);
    let (status, told) = condition(&found, "Ready");
    if status != "True" {
        return Err(format!("it is {status}: {told}"));
    }
    let map = prod.run(&[
        "get",
        "configmap",
        "greeting-greeting",
        "-n",
        "website",
        "-o",
        "jsonpath={.data.greeting}",
    ]);
    if map.stdout == greeting {
        Ok(())
    } else {
        Err(format!("the greeting is {:?}", map.stdout))
    }
}
