//! The lab's answers for the Gateway API, seen with kubectl.

use std::time::Duration;

use serde_json::Value;

use crate::kit::{Kubectl, Lab, condition, eventually};

/// How soon the lab's controllers answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

const OBJECTS: &str = r#"apiVersion: v1
kind: Namespace
metadata: {name: crossing, labels: {crossing: "yes"}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: crossing, namespace: crossing}
spec:
  gatewayClassName: lab
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - name: https
      port: 443
      protocol: HTTPS
      hostname: "*.crossing.test"
      tls: {certificateRefs: [{name: crossing}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: crossing, namespace: crossing}
spec:
  hostnames: [www.crossing.test]
  parentRefs: [{name: crossing, sectionName: https}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"#;

/// A Gateway of class lab gets an address of its own; what its listeners and routes lack is told in plain words until it
/// is there.
pub(crate) fn a_gateway_has_an_address_and_routes_know_where_they_lead(lab: &Lab) {
    let prod = &lab.prod;
    let directory = tempfile::tempdir_in(lab.world.path()).unwrap();
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, OBJECTS).unwrap();
    prod.run(&["apply", "-f", file.to_str().unwrap()]).success();

    eventually("the Gateway is programmed", ANSWERED_WITHIN, || {
        let gateway = get(prod, "gateway");
        let service = prod.get(&["service", "crossing-lab", "-n", "crossing"]);
        let given = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
        let said = condition(&gateway, "Programmed");
        if said.0 == "True" && given.is_string() && gateway["status"]["addresses"][0]["value"] == *given {
            Ok(())
        } else {
            Err(format!("{said:?} {}", gateway["status"]))
        }
    });
    told(
        prod,
        "Service crossing/web does not exist",
        "there is no Secret crossing/crossing",
    );

    let authority = lab.endpoint("ca_file");
    prod.run(&[
        "create",
        "service",
        "clusterip",
        "web",
        "--tcp=80",
        "-n",
        "crossing",
    ])
    .success();
    // The lab's controller asks whether a certificate is there, not what is in it.
    let secret = format!("--from-file=tls.crt={authority}");
    prod.run(&[
        "create",
        "secret",
        "generic",
        "crossing",
        "--type=kubernetes.io/tls",
        &secret,
        "--from-literal=tls.key=",
        "-n",
        "crossing",
    ])
    .success();
    told(prod, "", "");

    prod.run(&["delete", "gateway", "crossing", "-n", "crossing"])
        .success();
    eventually("the load balancer goes with its Gateway", ANSWERED_WITHIN, || {
        let found = prod.run(&["get", "service", "crossing-lab", "-n", "crossing", "-o", "name"]);
        if found.code == Some(0) {
            Err(found.stdout)
        } else {
            Ok(())
        }
    });
    prod.run(&["delete", "namespace", "crossing"]).success();
}

fn get(prod: &Kubectl, kind: &str) -> Value {
    prod.get(&[kind, "crossing", "-n", "crossing"])
}

/// Waits until `ResolvedRefs` of the route and of the second listener say this; that all is there where it is empty.
fn told(prod: &Kubectl, of_route: &str, of_listener: &str) {
    eventually("it is told what is missing", ANSWERED_WITHIN, || {
        let (route, gateway) = (get(prod, "httproute"), get(prod, "gateway"));
        let pairs = [
            (&route["status"]["parents"][0], of_route),
            (&gateway["status"]["listeners"][1], of_listener),
        ];
        for (said, wanted) in pairs {
            let resolved = serde_json::json!({ "status": said });
            let (status, message) = condition(&resolved, "ResolvedRefs");
            let expected = if wanted.is_empty() { "True" } else { "False" };
            if status != expected || !message.starts_with(wanted) {
                return Err(said.to_string());
            }
        }
        Ok(())
    });
}
