//! The names of the zone follow the declarations, and what stands in their way is told.

use crate::kit::Lab;
use crate::systems::{Checkout, settled, update_zone};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const API_SERVER: &str = "api.prod.lab.test";
const OTHER: &str = "127.0.0.98";
const DNS: [&str; 2] = ["--target", "dns"];

/// Changes one line of a declaration.
fn change(checkout: &Checkout, path: &str, (old, new): (&str, &str)) {
    let text = std::fs::read_to_string(checkout.path().join(path)).unwrap();
    assert!(text.contains(old), "{path} has no `{old}`");
    checkout.write(path, &text.replace(old, new));
}

fn lotse(lab: &Lab, checkout: &Checkout, arguments: &[&str]) -> crate::kit::Ran {
    checkout.lotse(lab, &[arguments, &DNS[..]].concat())
}

/// The API server has its record, hosts have records of their own where they are declared to lead elsewhere, certificate
/// authorities are named; what is no longer declared stays until it is pruned, within a limit, and is kept.
pub(crate) fn names_follow_the_declarations(lab: &Lab) {
    let (gateway, wildcard) = (lab.gateway_address(), "any.prod.lab.test");
    let authority = ["prod.lab.test", "CAA"];
    let controls = lab.dig(&[API_SERVER, "A"]);
    let endpoint = lab.moin.get(&["clusters.cluster.x-k8s.io", "prod", "-n", "prod"]);
    assert_eq!(
        endpoint["spec"]["controlPlaneEndpoint"]["host"],
        controls.as_str()
    );
    assert_ne!(controls, gateway);
    assert_eq!(lab.dig(&authority), "0 issue \"ca.lab.test\"");

    let checkout = Checkout::copy(lab);
    change(&checkout, ENVIRONMENT, ("  apiServer: api.prod.lab.test\n", ""));
    change(
        &checkout,
        ENVIRONMENT,
        ("[ca.lab.test]", "[ca.lab.test, letsencrypt.org]"),
    );
    change(
        &checkout,
        "apps/website/app.yaml",
        (
            "{name: www, service: website, port: 80}",
            "{name: www, addresses: [192.0.2.7, \"2001:db8::7\"]}",
        ),
    );
    let plan = lotse(lab, &checkout, &["plan", "lab"]).success();
    for told in [
        "~ prod.lab.test. CAA",
        "+ www.prod.lab.test. A",
        "+ www.prod.lab.test. AAAA",
        "· api.prod.lab.test. A is no longer declared, and stays without `--prune`",
    ] {
        assert!(plan.contains(told), "no `{told}` in {plan}");
    }
    lotse(lab, &checkout, &["apply", "lab", "--yes"]).success();
    assert_eq!(lab.dig(&["www.prod.lab.test", "A"]), "192.0.2.7");
    assert_eq!(lab.dig(&["www.prod.lab.test", "AAAA"]), "2001:db8::7");
    let both = lab.dig(&authority);
    assert_eq!(both.lines().count(), 2);
    assert!(both.contains("0 issue \"letsencrypt.org\""), "{both}");
    assert_eq!(lab.dig(&[API_SERVER, "A"]), controls);
    let again = lotse(lab, &checkout, &["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(again.code, Some(0), "{}", again.stdout);

    let refused = lotse(
        lab,
        &checkout,
        &["apply", "lab", "--yes", "--prune", "--prune-limit", "0"],
    );
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("1 record sets of the zone would be deleted, and at most 0 may be"),
        "{}",
        refused.stderr
    );
    assert_eq!(lab.dig(&[API_SERVER, "A"]), controls);
    let pruned = lotse(lab, &checkout, &["apply", "lab", "--yes", "--prune"]);
    let (_, rest) = pruned.stderr.split_once("kept in ").unwrap();
    let kept = std::fs::read_to_string(rest.lines().next().unwrap()).unwrap();
    assert_eq!(kept, format!("{API_SERVER}. 300 IN A {controls}\n"));
    pruned.success();
    assert_eq!(lab.dig(&[API_SERVER, "A"]), gateway, "the wildcard covers it now");

    let back = lab
        .world
        .lotse(&["apply", "lab", "--yes", "--prune", "--target", "dns"]);
    back.success();
    assert_eq!(lab.dig(&[API_SERVER, "A"]), controls);
    assert_eq!(lab.dig(&["www.prod.lab.test", "A"]), gateway);
    assert_eq!(lab.dig(&[wildcard, "A"]), gateway);
    assert_eq!(lab.dig(&authority), "0 issue \"ca.lab.test\"");
    settled(lab);
}

/// A reserved address that the gateway does not have, and what a move breaks.
pub(crate) fn a_reserved_address_is_compared_with_the_gateway(lab: &Lab) {
    let gateway = lab.gateway_address();
    let checkout = Checkout::copy(lab);
    let zone = "dns:\n  zone: lab.test\n";
    change(
        &checkout,
        ENVIRONMENT,
        (zone, &format!("{zone}  ttl: 60\n  addresses: [{gateway}]\n")),
    );
    let plan = lotse(lab, &checkout, &["plan", "lab"]).success();
    assert!(plan.contains("ttl  300 → 60"), "{plan}");
    assert!(!plan.contains("warning"), "{plan}");

    change(
        &checkout,
        ENVIRONMENT,
        (
            &format!("addresses: [{gateway}]"),
            &format!("addresses: [{OTHER}]"),
        ),
    );
    let plan = lotse(lab, &checkout, &["plan", "lab"]).success();
    let differs = format!("leads to {OTHER}, and Gateway gateway/gateway is at {gateway}");
    let moves = format!("*.prod.lab.test moves from {gateway} to {OTHER} with 6 hosts (auth.prod.lab.test, ");
    for told in [
        &differs,
        &moves,
        "for up to 5 min, so keep that answering until then",
    ] {
        assert!(plan.contains(told), "no `{told}` in {plan}");
    }
    let applied = lotse(lab, &checkout, &["apply", "lab", "--yes"]);
    assert!(applied.stderr.contains(&differs), "{}", applied.stderr);
    assert!(
        applied
            .stderr
            .contains("is given its old records for up to 5 min"),
        "{}",
        applied.stderr
    );
    applied.success();
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), OTHER);
    lab.world
        .lotse(&["apply", "lab", "--yes", "--target", "dns"])
        .success();
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), gateway);
    settled(lab);
}

/// What is under the wildcard on its own is told; a record that is in the way of ours is taken over only when asked for.
pub(crate) fn names_in_the_way_are_told_and_taken_over_when_asked_for(lab: &Lab) {
    let controls = lab.dig(&[API_SERVER, "A"]);
    update_zone(
        lab,
        &[
            &format!("update delete {API_SERVER} A"),
            &format!("update delete _lotse-a.{API_SERVER} TXT"),
            &format!("update add {API_SERVER} 60 A {OTHER}"),
            "update add old.prod.lab.test 60 A 192.0.2.7",
            "update add deep.www.prod.lab.test 60 TXT note",
        ],
    );
    let lotse = |arguments: &[&str]| lab.world.lotse(&[arguments, &DNS[..]].concat());
    let plan = lotse(&["plan", "lab"]).success();
    for told in [
        "! api.prod.lab.test. A",
        "www.prod.lab.test is a host of website and leads nowhere: names below it are in the zone",
        "not covered by *.prod.lab.test, since they are there on their own: old.prod.lab.test (A 192.0.2.7)",
        "`lotse apply lab --target dns --adopt` takes over what is there",
    ] {
        assert!(plan.contains(told), "no `{told}` in {plan}");
    }
    let refused = lotse(&["apply", "lab", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("nobody's mark is on api.prod.lab.test. A; nothing was changed"),
        "{}",
        refused.stderr
    );
    let refused = lab.world.lotse(&["bootstrap", "lab"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("api.prod.lab.test. A exists without lotse's mark: `--adopt` takes over what is there"),
        "{}",
        refused.stderr
    );
    assert_eq!(lab.dig(&[API_SERVER, "A"]), OTHER);
    lotse(&["apply", "lab", "--yes", "--adopt"]).success();
    assert_eq!(lab.dig(&[API_SERVER, "A"]), controls);
    update_zone(
        lab,
        &[
            "update delete old.prod.lab.test A",
            "update delete deep.www.prod.lab.test TXT",
        ],
    );
    settled(lab);
}
