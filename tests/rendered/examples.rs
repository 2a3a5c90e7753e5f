//! Whole files of one example, to be read.

use lotse::config::{Acme, App, Challenge, Declarations, Network, NetworkPeer, NetworkRule, Signer, Source};
use lotse::desired::AddressOf;
use lotse::names::AppName;
use lotse::render;
use serde_json::json;

use crate::declared::{chart, gateway, git, host, lab, plain};
use crate::{desired, of_kind, texts};

/// A chart with manifests that may create cluster-scoped objects, a chart of a registry with hosts and network rules,
/// and a folder from elsewhere with manifests.
fn example() -> Declarations {
    let mut declarations = lab();
    let issuer = App {
        source: Source {
            upstream: Some(chart("https://charts.example.org", "cert-manager", "1.20.2")),
            ..plain("cert-manager").source
        },
        ..plain("cert-manager")
    };
    let rule = |peer, ports: &[u16]| NetworkRule {
        peer,
        ports: ports.to_vec(),
    };
    let pad = App {
        source: Source {
            manifests: None,
            upstream: Some(chart("oci://registry.example.org/charts", "pad", "1.2.3+4")),
        },
        hosts: vec![host("pad", "web", 8080), host("notes", "web", 8080)],
        network: Network {
            allow_from: vec![rule(NetworkPeer::App(AppName::new("site").unwrap()), &[8080])],
            allow_to: vec![
                rule(NetworkPeer::ApiServer, &[]),
                rule(NetworkPeer::Internet, &[587, 443]),
                rule(NetworkPeer::Cidr("192.0.2.9/24".parse().unwrap()), &[]),
            ],
        },
        depends_on: vec![AppName::new("cert-manager").unwrap()],
        ..plain("pad")
    };
    let site = App {
        source: Source {
            upstream: Some(git("v2.0.0")),
            ..plain("site").source
        },
        depends_on: vec![
            AppName::new("cert-manager").unwrap(),
            AppName::new("pad").unwrap(),
        ],
        ..plain("site")
    };
    declarations.apps = vec![issuer, pad, site];
    declarations.environment.apps = declarations.apps.iter().map(|app| app.name.clone()).collect();
    declarations.environment.cluster_wide = vec![AppName::new("cert-manager").unwrap()];
    declarations.environment.gateway = Some(gateway());
    declarations.environment.cluster.control_plane.flavor = Some("SCS-4V-16-100s".to_owned());
    declarations
}

#[test]
fn test_files_of_charts_and_gateway() {
    let tree = render::tree(&desired(&example())).unwrap();
    let mut text = String::new();
    for path in [
        "apps/pad.yaml",
        "releases/pad/release.yaml",
        "releases/cert-manager/release.yaml",
        "gateway/gateway.yaml",
        "gateway/kustomization.yaml",
        "gateway/pad.yaml",
        "platform/gateway.yaml",
        "dns.yaml",
    ] {
        text.extend(["==> ", path, "\n", &tree.files[&tree.folder.join(path)], "\n"]);
    }
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("rendered__charts_and_gateway", text);
    });
}

/// Who signs the certificate by ACME, and for which names.
#[test]
fn test_issuers_follow_the_challenge() {
    let rendered = |challenge| {
        let mut declarations = example();
        let acme = Acme {
            server: "https://acme.test/directory".to_owned(),
            email: Some("ops@lab.test".to_owned()),
            challenge,
        };
        let gateway = declarations.environment.gateway.as_mut().unwrap();
        gateway.signer = Signer::Acme(acme);
        let desired = desired(&declarations);
        let of = |kind: &str| of_kind(&desired, kind).remove(0).value().clone();
        let (issuer, certificate) = (of("Issuer"), of("Certificate"));
        assert_eq!(certificate["spec"]["issuerRef"]["kind"], "Issuer");
        assert_eq!(
            certificate["spec"]["issuerRef"]["name"],
            issuer["metadata"]["name"]
        );
        assert_eq!(issuer["metadata"]["namespace"], "gateway");
        let solvers = issuer["spec"]["acme"]["solvers"].clone();
        (
            solvers[0].clone(),
            certificate["spec"]["dnsNames"].clone(),
            desired.zone_key,
        )
    };
    let wildcard = json!(["*.prod.lab.test"]);
    let (solver, names, key) = rendered(Challenge::Dns01);
    let updates = &solver["dns01"]["rfc2136"];
    assert_eq!(updates["tsigAlgorithm"], "HMACSHA256");
    let (name, field) = key.unwrap();
    assert_eq!(
        updates["tsigSecretSecretRef"],
        json!({"name": name, "key": field})
    );
    assert_eq!(names, wildcard);

    let webhook = Challenge::Webhook {
        group_name: "acme.example".to_owned(),
        solver_name: "designatedns".to_owned(),
    };
    let (solver, names, key) = rendered(webhook);
    assert_eq!(
        solver["dns01"]["webhook"],
        json!({"groupName": "acme.example", "solverName": "designatedns"})
    );
    assert_eq!((names, key), (wildcard, None));

    let (solver, names, key) = rendered(Challenge::Http01);
    let parent = &solver["http01"]["gatewayHTTPRoute"]["parentRefs"][0];
    assert_eq!(
        (&parent["name"], &parent["sectionName"]),
        (&json!("gateway"), &json!("http"))
    );
    assert!(!names.as_array().unwrap().is_empty());
    assert!(!names.to_string().contains('*'), "{names}");
    assert_eq!(key, None);
}

#[test]
fn test_manifests_wait_for_everything_and_charts_for_charts() {
    let desired = desired(&example());
    let kustomizations = of_kind(&desired, "Kustomization");
    let waits_for = |name: &str| {
        let found = kustomizations.iter().find(|each| each.name() == name).unwrap();
        texts(found.value(), "/spec/dependsOn", "/name")
    };
    assert_eq!(waits_for("pad"), ["cert-manager-upstream"]);
    assert_eq!(waits_for("site-upstream"), ["cert-manager-upstream", "pad"]);
    assert_eq!(
        waits_for("site"),
        ["cert-manager", "cert-manager-upstream", "pad", "site-upstream"]
    );
    assert_eq!(
        waits_for("gateway"),
        ["cert-manager", "cert-manager-upstream", "flux-system"]
    );
    assert_eq!(waits_for("cert-manager"), [""; 0]);
}

#[test]
fn test_the_address_is_the_gateways_where_a_class_is_declared() {
    let (namespace, name) = ("gateway".to_owned(), "gateway".to_owned());
    let of_gateway = AddressOf::Gateway { namespace, name };
    assert_eq!(desired(&example()).address_of, of_gateway);
    let mut without = example();
    without.environment.gateway = None;
    let (namespace, name) = ("gateway".to_owned(), "gateway".to_owned());
    assert_eq!(
        desired(&without).address_of,
        AddressOf::Service { namespace, name }
    );
    assert_eq!(of_kind(&desired(&without), "HTTPRoute").len(), 0);
}

#[test]
fn test_flavors_become_variables_of_the_stack() {
    let desired = desired(&example());
    let cluster = desired
        .management
        .iter()
        .find(|each| each.kind() == "Cluster")
        .unwrap();
    let variables = texts(cluster.value(), "/spec/topology/variables", "/name");
    assert_eq!(
        variables,
        ["certSANs", "controlPlaneFlavor", "oidcConfig", "nodes"]
    );
}
