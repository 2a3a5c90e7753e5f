//! Declarations that change after the first bring-up: an application comes and goes, access ends, a mistake is told.

use std::time::Duration;

use crate::access::{kubectl_of, may};
use crate::kit::{Lab, condition, eventually};
use crate::systems::{Checkout, bootstrap};

/// How long a namespace takes to go, with everything in it.
const GONE_WITHIN: Duration = Duration::from_secs(60);
/// A mistake in a commit is told sooner than any wait for Flux would end.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Seconds a stage may take where it is to fail: longer than a stage of an unchanged lab takes.
const SHORT: &str = "30";

const APP: &str = r#"apiVersion: lotse/v1
kind: App
name: noticeboard
description: Notices for everybody
owners: [website]
hosts: [notices]
source: {manifests: manifests}
quota: {cpu: "2"}
access:
  - {team: website, role: edit}
"#;
const KUSTOMIZATION: &str = r"apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [deployment.yaml, service.yaml]
";
const SERVICE: &str = r"apiVersion: v1
kind: Service
metadata: {name: noticeboard}
spec: {selector: {app: noticeboard}, ports: [{port: 80}]}
";
/// Wants more than the application's quota, which only the cluster can say.
const CARELESS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: noticeboard}
spec:
  selector: {matchLabels: {app: noticeboard}}
  template:
    metadata: {labels: {app: noticeboard}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: noticeboard
          image: registry.example.org/noticeboard:1
          resources: {requests: {cpu: "64"}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"#;
const DEPLOYMENT: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: {name: noticeboard}
spec:
  selector: {matchLabels: {app: noticeboard}}
  template:
    metadata: {labels: {app: noticeboard}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: noticeboard
          image: registry.example.org/noticeboard:1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

/// A folder and a name in the environment are all it takes; without them, nothing of it is left. While it can't run,
/// the bring-up says why, and goes on when that is mended, without waiting until Flux has given up.
pub(crate) fn a_new_application_comes_and_goes(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.write("apps/noticeboard/app.yaml", APP);
    checkout.write("apps/noticeboard/manifests/kustomization.yaml", KUSTOMIZATION);
    checkout.write("runbooks/noticeboard/outage.md", "# The noticeboard is down\n");
    checkout.write("apps/noticeboard/manifests/service.yaml", SERVICE);
    let environment = "environments/lab/environment.yaml";
    checkout.replace(environment, "statuspage]", "statuspage, noticeboard]");
    let deployment = "apps/noticeboard/manifests/deployment.yaml";
    checkout.write(deployment, CARELESS);
    let ran = checkout.bootstrap(lab, &["--timeout", SHORT]);
    assert_eq!(ran.code, Some(6), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("exceeded quota"), "{}", ran.stderr);
    checkout.write(deployment, DEPLOYMENT);
    let ran = checkout.bootstrap(lab, &[]);
    assert!(ran.took < TOLD_WITHIN, "it took {:?}", ran.took);
    ran.success();

    let deployment = lab.prod.get(&["deployment", "noticeboard", "-n", "noticeboard"]);
    assert_eq!(condition(&deployment, "Available").0, "True", "{deployment}");
    let mira = kubectl_of(lab, "mira");
    assert!(may(&mira, "create", "deployments.apps", "noticeboard"));
    let ada = kubectl_of(lab, "ada");
    assert!(!may(&ada, "get", "pods", "noticeboard"));

    bootstrap(lab).success();
    eventually("the application is gone", GONE_WITHIN, || {
        let traces = [
            vec!["namespace", "noticeboard"],
            vec!["serviceaccount", "noticeboard", "-n", "flux-system"],
            vec![
                "kustomizations.kustomize.toolkit.fluxcd.io",
                "noticeboard",
                "-n",
                "flux-system",
            ],
        ];
        for trace in traces {
            let get = ["get", "--ignore-not-found", "-o", "name"];
            let found = lab.prod.run(&[&get[..], &trace].concat()).success();
            if !found.is_empty() {
                return Err(format!("{} is there", found.trim()));
            }
        }
        Ok(())
    });
}

/// Grace reads monitoring by two ways: as one of its team, and as one of the platform's. Both end in one change, and
/// with the next token she has no access left. Then both come back.
pub(crate) fn a_removed_grant_takes_the_access_away(lab: &Lab) {
    let reads = || may(&kubectl_of(lab, "grace"), "get", "pods", "monitoring");
    assert!(reads());
    let checkout = Checkout::copy(lab);
    checkout.replace(
        "environments/lab/apps/monitoring/app.yaml",
        "  - {team: platform, role: view}\n",
        "",
    );
    checkout.replace(
        "environments/lab/people.yaml",
        "maintainers: [ada]\n    members: [grace]",
        "maintainers: [ada]\n    members: [mira]",
    );
    checkout.bootstrap(lab, &[]).success();
    let grace = kubectl_of(lab, "grace");
    assert!(!may(&grace, "get", "pods", "monitoring"));
    let groups = grace.run(&["auth", "whoami"]).success();
    assert!(groups.contains("SovereignCloudStack:platform"), "{groups}");
    assert!(!groups.contains("SovereignCloudStack:monitoring"), "{groups}");
    assert!(may(&kubectl_of(lab, "mira"), "get", "pods", "monitoring"));

    bootstrap(lab).success();
    assert!(reads());
    assert!(!may(
        &kubectl_of(lab, "mira"),
        "create",
        "deployments.apps",
        "monitoring"
    ));
}

/// What no check of ours foresees, since it lies in what kustomize makes of the files.
const NOTHING_SELECTED: &str = "replacements:
  - source: {kind: Service, name: nobody}
    targets: [{select: {kind: Deployment}, fieldPaths: [metadata.name]}]
configMapGenerator:";

/// A commit that can't be built is told at once and with Flux's words; mended, the same command goes on.
pub(crate) fn a_commit_that_cannot_be_built_is_explained(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let path = "environments/lab/apps/website/manifests/kustomization.yaml";
    checkout.replace(path, "configMapGenerator:", NOTHING_SELECTED);
    let ran = checkout.bootstrap(lab, &[]);
    assert_eq!(ran.code, Some(6), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("nobody"), "{}", ran.stderr);
    assert!(ran.stderr.contains("website"), "{}", ran.stderr);
    assert!(ran.took < TOLD_WITHIN, "it took {:?}", ran.took);
    bootstrap(lab).success();
}
