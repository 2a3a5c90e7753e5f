//! A played cloud: the answers are those of the API references of Keystone, Nova, Glance, Neutron and Octavia.

use std::collections::BTreeMap;

use camino::Utf8Path;
use jiff::civil::date;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::check::CheckOutcome;
use super::cloud::{Needs, checks};
use crate::config;
use crate::names::EnvironmentName;
use crate::surface::openstack;

const SECRET: &str = "hunter2";
const NETWORK: &str = "ebfe5546-f09f-4f42-ab54-094e457d42ec";

/// Serves `answers` by method and path, and the token to whoever brings the secret.
async fn played(answers: Vec<(&'static str, u16, Value)>) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = address.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, &own, &answers).await;
        }
    });
    address
}

async fn serve(mut stream: TcpStream, own: &str, answers: &[(&str, u16, Value)]) {
    let mut request = vec![0; 16384];
    let length = stream.read(&mut request).await.unwrap();
    let text = String::from_utf8_lossy(&request[..length]).into_owned();
    let target = text.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let endpoint = |kind: &str, path: &str| {
        json!({"type": kind, "endpoints": [
            {"interface": "internal", "region": "one", "url": "http://127.0.0.1:1"},
            {"interface": "public", "region": "two", "url": "http://127.0.0.1:1"},
            {"interface": "public", "region": "one", "url": format!("{own}{path}")},
        ]})
    };
    let (status, body) = if path == "/identity/v3/auth/tokens" {
        let catalog = [
            endpoint("compute", "/compute/v2.1"),
            endpoint("image", "/image"),
            endpoint("network", "/network/v2.0/"),
            endpoint("load-balancer", "/load-balancer"),
        ];
        if text.contains(SECRET) {
            (201, json!({"token": {"catalog": catalog}}))
        } else {
            (
                401,
                json!({"error": {"code": 401, "message": "The request you have made requires authentication."}}),
            )
        }
    } else if !text.contains("x-auth-token: token") {
        (401, json!({}))
    } else {
        let found = answers.iter().find(|(known, ..)| *known == path);
        found.map_or((404, json!({})), |(_, status, body)| (*status, body.clone()))
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\nx-subject-token: token\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

/// A cloud that has all that is needed.
fn offer() -> Vec<(&'static str, u16, Value)> {
    let flavor = |name: &str, vcpus: u64, ram: u64| json!({"id": name, "name": name, "vcpus": vcpus, "ram": ram, "disk": 0});
    vec![
        (
            "/compute/v2.1/flavors/detail",
            200,
            json!({"flavors": [flavor("SCS-4V-16-100s", 4, 16384), flavor("SCS-8V-32", 8, 32768)]}),
        ),
        (
            "/compute/v2.1/limits",
            200,
            json!({"limits": {"absolute": {
                "maxTotalInstances": 10, "totalInstancesUsed": 2, "maxTotalCores": 64, "totalCoresUsed": 8,
                "maxTotalRAMSize": 262_144, "totalRAMUsed": 16384,
            }}}),
        ),
        (
            "/image/v2/images",
            200,
            json!({"images": [{"name": "ubuntu-capi-image-v1.35.9", "status": "active"}]}),
        ),
        (
            "/network/v2.0/networks",
            200,
            json!({"networks": [{"id": NETWORK, "name": "ext01"}]}),
        ),
        (
            "/load-balancer/v2/lbaas/providers",
            200,
            json!({"providers": [{"name": "amphora"}, {"name": "ovn"}]}),
        ),
    ]
}

fn needs() -> Needs {
    Needs {
        flavors: BTreeMap::from([("SCS-4V-16-100s".to_owned(), 3), ("SCS-8V-32".to_owned(), 4)]),
        image: Some("ubuntu-capi-image-v1.35.9".to_owned()),
        network: None,
        balancer: Some("octavia-ovn".to_owned()),
        is_new: true,
    }
}

/// How each check came out: `passed`, or what was said.
async fn told(
    answers: Vec<(&'static str, u16, Value)>,
    needs: &Needs,
    secret: &str,
) -> BTreeMap<&'static str, String> {
    let address = played(answers).await;
    let text = format!(
        "clouds: {{plus: {{region_name: one, auth: {{auth_url: '{address}/identity/v3', application_credential_id: i, \
         application_credential_secret: {secret}}}}}}}"
    );
    let cloud = openstack::cloud(&text, "plus").unwrap();
    let checks = checks(Some(&cloud), needs).await;
    let outcomes = checks.into_iter().map(|check| {
        let said = match check.outcome {
            CheckOutcome::Passed => "passed".to_owned(),
            CheckOutcome::Failed { problem, .. } => problem,
            CheckOutcome::NotAsked { reason } => format!("not asked: {reason}"),
        };
        (check.id.as_str(), said)
    });
    outcomes.collect()
}

#[tokio::test]
async fn test_a_cloud_that_has_everything_passes() {
    let told = told(offer(), &needs(), SECRET).await;
    assert_eq!(told.len(), 6);
    assert!(told.values().all(|outcome| outcome == "passed"), "{told:#?}");
}

#[tokio::test]
async fn test_what_a_cloud_lacks_is_told_all_at_once() {
    let mut answers = offer();
    answers[1].2["limits"]["absolute"]["maxTotalCores"] = 20.into();
    answers[2].2 = json!({"images": []});
    answers[3].2["networks"] = json!([{"id": NETWORK, "name": "ext01"}, {"id": "b", "name": "ext02"}]);
    answers[4].2 = json!({"providers": [{"name": "amphora"}]});
    let told = told(answers.clone(), &needs(), SECRET).await;
    for (id, wanted) in [
        ("cloud-flavors", "passed"),
        ("cloud-quota", "44 processors are needed and 12 of 20 are left"),
        (
            "cloud-image",
            "the project has no active image ubuntu-capi-image-v1.35.9",
        ),
        ("cloud-network", "several networks lead out: ext01, ext02"),
        (
            "cloud-load-balancer",
            "octavia-ovn is declared, and Octavia has the providers amphora",
        ),
    ] {
        assert_eq!(told[id], wanted);
    }
    let mut needs = needs();
    needs.flavors.insert("SCS-99V".to_owned(), 1);
    needs.network = Some(NETWORK.to_owned());
    answers[3].1 = 403;
    answers[3].2 = json!({"NeutronError": {"message": "not yours", "type": "x"}});
    let told = super::cloud_tests::told(answers, &needs, SECRET).await;
    assert_eq!(told["cloud-flavors"], "the cloud has no flavor SCS-99V");
    assert_eq!(told["cloud-quota"], "not asked: not all flavors are known");
    assert!(
        told["cloud-network"].contains("Neutron refused")
            && told["cloud-network"].ends_with("403: not yours"),
        "{told:#?}"
    );
}

#[tokio::test]
async fn test_a_refused_login_is_told_without_the_secret() {
    let told = told(offer(), &needs(), "another-secret").await;
    let answers = &told["cloud-answers"];
    assert!(
        answers.contains("Keystone refused POST") && answers.contains("requires authentication"),
        "{answers}"
    );
    assert_eq!(told["cloud-image"], "not asked: the cloud does not log us in");
    assert!(!format!("{told:?}").contains("another-secret"));
}

#[test]
fn test_what_is_not_declared_is_as_the_class_has_it() {
    let name = EnvironmentName::new("scs-prod").unwrap();
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let loaded = config::load(root, &name, date(2026, 11, 1)).unwrap();
    let environment = &loaded.declarations.environment;
    let names = [
        "CLOUDS_YAML",
        "GIT_URL",
        "GIT_USERNAME",
        "GIT_TOKEN",
        "KEYCLOAK_CLIENT_SECRET",
        "GITHUB_CLIENT_ID",
        "GITHUB_CLIENT_SECRET",
    ];
    let values = names.map(|name| (format!("SCS_PROD_{name}"), "https://x".to_owned()));
    let environment = environment.resolve(&BTreeMap::from(values)).unwrap();
    let variable = |name: &str, default: Value| json!({"name": name, "schema": {"openAPIV3Schema": {"default": default}}});
    let class = serde_json::from_value(json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "ClusterClass", "metadata": {"name": "a"},
        "spec": {"variables": [
            variable("imageName", json!("ubuntu-capi-image")),
            variable("imageIsOrc", json!(false)),
            variable("imageAddVersion", json!(true)),
            variable("apiServerLoadBalancer", json!("none")),
        ]},
    }))
    .unwrap();
    let needs = Needs::of(&environment, Some(&class), true);
    assert_eq!(
        needs.image.as_deref(),
        Some(&*format!("ubuntu-capi-image-{}", environment.cluster.version))
    );
    assert_eq!(needs.balancer.as_deref(), Some("octavia-ovn"));
    assert_eq!(
        needs.flavors,
        BTreeMap::from([("SCS-4V-16-100s".to_owned(), 3), ("SCS-8V-32".to_owned(), 4)])
    );
    assert_eq!(Needs::of(&environment, None, true).image, None);
}
