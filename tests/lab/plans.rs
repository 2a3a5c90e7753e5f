//! Plans: they change nothing, say exactly what an apply does, and can't be carried out when something has moved.

use std::fs;

use serde_json::{Value, json};

use crate::kit::{Lab, block_on};
use crate::repeated::everything;
use crate::strangers::{Stopped, pid};
use crate::systems::{Checkout, bootstrap, keycloak, update_zone};

const WEBSITE: &str = "environments/lab/apps/website/app.yaml";

/// The objects that `plan` changes on `surface`, as `action object`.
fn planned(plan: &Value, surface: &str) -> Vec<String> {
    let surfaces = plan["surfaces"].as_array().unwrap();
    let found = surfaces.iter().find(|each| each["surface"] == surface);
    let changes = found.map_or(&[][..], |each| each["changes"].as_array().unwrap());
    let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    changes
        .iter()
        .map(|change| format!("{} {}", text(change, "action"), text(change, "object")))
        .collect()
}

/// The plan as programs get it, of the form that its schema has.
fn plan_of(checkout: &Checkout, lab: &Lab) -> Value {
    let text = checkout.lotse(lab, &["plan", "lab", "-o", "json"]).success();
    let plan: Value = serde_json::from_str(&text).unwrap();
    let schema = include_str!("../../docs/reference/schema/Plan.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let faults: Vec<String> = schema.iter_errors(&plan).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    plan
}

/// Nothing is planned any more.
fn assert_settled(checkout: &Checkout, lab: &Lab) {
    let ran = checkout.lotse(lab, &["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "lab is as declared: nothing to do.\n");
}

fn edit_every_system(lab: &Lab) {
    let label = r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":"somebody"}}}"#;
    let cluster = ["patch", "clusters.cluster.x-k8s.io", "prod", "-n", "prod"];
    lab.moin
        .run(&[&cluster[..], &["--type=merge", "-p", label]].concat())
        .success();
    lab.prod
        .run(&[
            "delete",
            "rolebinding",
            "lotse:team:website:edit",
            "-n",
            "website",
        ])
        .success();
    lab.prod
        .run(&["delete", "secret", "grafana-oidc", "-n", "monitoring"])
        .success();
    update_zone(
        lab,
        &[
            "update delete *.prod.lab.test A",
            "update add *.prod.lab.test 60 A 127.0.0.99",
        ],
    );
    block_on(async {
        let admin = keycloak(lab);
        let found = admin
            .get(&["scs", "clients"], &[("clientId", "grafana")])
            .await
            .unwrap();
        let mut client = found[0].clone();
        client["redirectUris"] = json!(["https://elsewhere.test/*"]);
        let path = ["scs", "clients", client["id"].as_str().unwrap()];
        admin.put(&path, Some(&client)).await.unwrap();
    });
}

/// Every system differs: somebody edited Keycloak, the zone and both clusters, and the declarations changed. The plan
/// names each, changes none, and an apply makes exactly that; then nothing is left.
pub(crate) fn a_plan_says_exactly_what_an_apply_does(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    assert_settled(&checkout, lab);
    checkout.replace(WEBSITE, "access:", "quota: {cpu: \"3\"}\naccess:");
    edit_every_system(lab);

    let before = everything(lab);
    let ran = checkout.lotse(lab, &["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(5), "{}\n{}", ran.stdout, ran.stderr);
    let plan = plan_of(&checkout, lab);
    assert_eq!(everything(lab), before, "a plan changed something");
    assert_eq!(planned(&plan, "management"), ["update Cluster/prod/prod"]);
    assert_eq!(planned(&plan, "keycloak"), ["update client grafana"]);
    assert_eq!(planned(&plan, "dns"), ["update *.prod.lab.test. A"]);
    let files = planned(&plan, "git");
    assert!(
        files.contains(&"update clusters/lab/apps/website.yaml".to_owned()),
        "{files:?}"
    );
    let mut objects = planned(&plan, "workload");
    objects.sort();
    assert_eq!(
        objects,
        [
            "create RoleBinding/website/lotse:team:website:edit",
            "create Secret/monitoring/grafana-oidc",
            "update ResourceQuota/website/quota",
        ]
    );
    let only = checkout
        .lotse(lab, &["-q", "plan", "lab", "--target", "monitoring"])
        .success();
    assert!(
        only.contains("client grafana") && only.contains("grafana-oidc"),
        "{only}"
    );
    assert!(!only.contains("website") && !only.contains("dns"), "{only}");

    let ran = checkout.lotse(lab, &["apply", "lab"]);
    assert_eq!(
        ran.code,
        Some(2),
        "nobody was asked, and something was done: {}",
        ran.stdout
    );
    assert_eq!(everything(lab), before, "nobody agreed");
    checkout
        .lotse(lab, &["apply", "lab", "--target", "dns", "--yes"])
        .success();
    assert_eq!(lab.dig(&["any.prod.lab.test", "A"]), lab.gateway_address());
    assert_eq!(
        planned(&plan_of(&checkout, lab), "keycloak"),
        ["update client grafana"]
    );
    checkout
        .lotse(lab, &["apply", "lab", "--target", "monitoring", "--yes"])
        .success();
    let plan = plan_of(&checkout, lab);
    assert_eq!(planned(&plan, "keycloak"), [] as [&str; 0]);
    let mut objects = planned(&plan, "workload");
    objects.sort();
    assert_eq!(
        objects,
        [
            "create RoleBinding/website/lotse:team:website:edit",
            "update ResourceQuota/website/quota",
        ],
        "something of another application was changed, or nothing of this one"
    );
    checkout.lotse(lab, &["apply", "lab", "--yes"]).success();
    assert_settled(&checkout, lab);
    bootstrap(lab).success();
}

/// One application changes, another is to go: only the one that is named is touched, in Git as well.
pub(crate) fn an_application_is_brought_up_alone(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    checkout.replace(WEBSITE, "access:", "quota: {cpu: \"3\"}\naccess:");
    checkout.replace(
        "environments/lab/environment.yaml",
        "standards-compliance, statuspage]",
        "standards-compliance]",
    );
    fs::remove_dir_all(checkout.path().join("environments/lab/apps/statuspage")).unwrap();
    let target = ["--target", "website"];
    let plan = checkout
        .lotse(lab, &[&["plan", "lab"], &target[..]].concat())
        .success();
    assert!(
        plan.contains("ResourceQuota/website/quota: spec.hard.requests.cpu"),
        "{plan}"
    );
    assert!(!plan.contains("statuspage"), "{plan}");
    checkout
        .lotse(lab, &[&["apply", "lab", "--yes"], &target[..]].concat())
        .success();
    let again = checkout.lotse(
        lab,
        &[&["plan", "lab", "--detailed-exitcode"], &target[..]].concat(),
    );
    assert_eq!(again.code, Some(0), "{}", again.stdout);
    let quota = lab.prod.get(&["resourcequota", "quota", "-n", "website"]);
    assert_eq!(quota["spec"]["hard"]["requests.cpu"], "3");
    let clone = crate::systems::Clone::new(lab);
    assert!(
        clone
            .read("clusters/lab/kustomization.yaml")
            .contains("apps/statuspage.yaml")
    );
    lab.prod.get(&["namespace", "statuspage"]);
    let rest = planned(&plan_of(&checkout, lab), "git");
    assert!(
        rest.contains(&"delete clusters/lab/apps/statuspage.yaml".to_owned()),
        "{rest:?}"
    );
    let unknown = checkout.lotse(lab, &["apply", "lab", "--target", "webside"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("did you mean `website`?"),
        "{}",
        unknown.stderr
    );
    bootstrap(lab).success();
    assert_settled(&Checkout::copy(lab), lab);
}

/// A saved plan is carried out once, can be carried out again, and is refused when it would do something else than it
/// says: another edit came in between.
pub(crate) fn a_saved_plan_is_carried_out_or_refused(lab: &Lab) {
    let checkout = Checkout::copy(lab);
    let file = lab.world.path().join("lab.plan");
    let path = file.to_str().unwrap();
    checkout.replace(WEBSITE, "access:", "quota: {cpu: \"3\"}\naccess:");
    checkout.lotse(lab, &["plan", "lab", "--out", path]).success();
    checkout.lotse(lab, &["apply", path]).success();
    assert_settled(&checkout, lab);
    let again = checkout.lotse(lab, &["apply", path]).success();
    assert_eq!(again, "lab is as declared: nothing to do.\n");

    checkout.replace(WEBSITE, "quota: {cpu: \"3\"}", "quota: {cpu: \"4\"}");
    checkout.lotse(lab, &["plan", "lab", "--out", path]).success();
    checkout.replace(WEBSITE, "quota: {cpu: \"4\"}", "quota: {cpu: \"5\"}");
    let before = everything(lab);
    let ran = checkout.lotse(lab, &["apply", path]);
    assert_eq!(ran.code, Some(7), "{}\n{}", ran.stdout, ran.stderr);
    for told in [
        "error: the plan is stale: nothing was changed\n",
        "workload: ResourceQuota/website/quota would be changed in another way now",
    ] {
        assert!(ran.stderr.contains(told), "no {told} in\n{}", ran.stderr);
    }
    assert_eq!(everything(lab), before, "a stale plan changed something");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("lotse/v1", "lotse/v9")).unwrap();
    let ran = checkout.lotse(lab, &["apply", path]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    bootstrap(lab).success();
}

/// Keycloak doesn't answer: zone, repository and management cluster are planned and changed all the same.
pub(crate) fn what_needs_no_logins_goes_on_without_keycloak(lab: &Lab) {
    let keycloak = Stopped::new(&pid(lab, "keycloak"));
    let targets = ["--target", "dns", "--target", "git", "--target", "management"];
    let plan = lab
        .world
        .lotse(&[&["plan", "lab"], &targets[..]].concat())
        .success();
    assert!(
        plan.contains("management, git, dns of lab is as declared: nothing to do."),
        "{plan}"
    );
    update_zone(
        lab,
        &[
            "update delete *.prod.lab.test. A",
            "update add *.prod.lab.test. 300 A 192.0.2.1",
        ],
    );
    let applied = lab
        .world
        .lotse(&["apply", "lab", "--target", "dns", "--yes"])
        .success();
    assert!(
        applied.contains("dns of lab is as declared: 1 change"),
        "{applied}"
    );
    drop(keycloak);
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
}
