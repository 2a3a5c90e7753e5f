//! Secrets of clients: new ones, old ones that hold for a while, and those that are kept in Git.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotse::lab::component::Component;
use serde_json::{Value, json};

use crate::drift::another_administrator;
use crate::kit::{Lab, Ran, block_on, program, run};
use crate::systems::{Checkout, authority, keycloak, settled};

const REALM: &str = "scs";
const CLIENT: &str = "grafana";
const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const WEBSITE: &str = "environments/lab/apps/website/app.yaml";
const SEALED: &str = "environments/lab/apps/website/manifests/website-oidc.yaml";
const KUSTOMIZATION: &str = "environments/lab/apps/website/manifests/kustomization.yaml";

/// The value that an application reads.
fn delivered(lab: &Lab, namespace: &str, secret: &str) -> String {
    let secret = lab.prod.get(&["secret", secret, "-n", namespace]);
    let value = STANDARD.decode(secret["data"]["clientSecret"].as_str().unwrap());
    String::from_utf8(value.unwrap()).unwrap()
}

/// Whether Keycloak takes `secret` for that of `client`: a code that is none is refused only after the secret was taken.
fn is_taken(lab: &Lab, client: &str, secret: &str) -> bool {
    let url = format!(
        "{}/realms/{REALM}/protocol/openid-connect/token",
        lab.endpoint("keycloak")
    );
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("client_secret", secret),
        ("code", "none"),
        (
            "redirect_uri",
            "https://monitoring.prod.lab.test/login/generic_oauth",
        ),
    ];
    let authority = reqwest::Certificate::from_pem(authority(lab).as_bytes()).unwrap();
    let answer: Value = block_on(async {
        let http = reqwest::Client::builder()
            .tls_certs_merge([authority])
            .build()
            .unwrap();
        let answer = http.post(url).form(&form).send().await.unwrap();
        answer.json().await.unwrap()
    });
    match answer["error"].as_str() {
        Some("invalid_grant") => true,
        Some("unauthorized_client" | "invalid_client") => false,
        _ => panic!("{answer}"),
    }
}

fn rotate(lab: &Lab, options: &[&str]) -> Ran {
    let arguments = [&["identity", "rotate", "lab", CLIENT, "--yes"], options].concat();
    lab.world.lotse(&arguments)
}

pub(crate) fn an_old_secret_holds_for_its_grace_period(lab: &Lab) {
    let first = delivered(lab, "monitoring", "grafana-oidc");
    let said = rotate(lab, &[]).success();
    assert!(said.contains("the one before holds until 20"), "{said}");
    assert!(said.contains("Secret/monitoring/grafana-oidc"), "{said}");
    let second = delivered(lab, "monitoring", "grafana-oidc");
    assert_ne!(first, second);
    assert!(!said.contains(&second), "a secret is told");
    assert!(is_taken(lab, CLIENT, &first) && is_taken(lab, CLIENT, &second));
    assert!(!is_taken(lab, CLIENT, "another"));

    let refused = rotate(lab, &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("before the present one holds until"),
        "{}",
        refused.stderr
    );
    assert_eq!(delivered(lab, "monitoring", "grafana-oidc"), second);

    // What a bring-up mends of the client does not end the grace period, and no secret is in a plan or a backup.
    let admin = keycloak(lab);
    block_on(async {
        let found = admin
            .get(&[REALM, "clients"], &[("clientId", CLIENT)])
            .await
            .unwrap();
        let mut client = found[0].clone();
        client["redirectUris"] = json!(["https://elsewhere.example/"]);
        let path = [REALM, "clients", client["id"].as_str().unwrap()];
        admin.put(&path, Some(&client)).await.unwrap();
    });
    let plan = lab.world.lotse(&["plan", "lab", "-o", "json"]);
    assert!(plan.stdout.contains("redirectUris"), "{}", plan.stdout);
    for secret in [&first, &second] {
        assert!(!plan.stdout.contains(secret.as_str()), "a secret is in a plan");
    }
    lab.world.lotse(&["bootstrap", "lab"]).success();
    assert!(is_taken(lab, CLIENT, &first) && is_taken(lab, CLIENT, &second));
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    // Of two at once, the second finds the first one's grace period in its way.
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let both = [0, 1].map(|_| {
            scope.spawn(|| {
                lab.world
                    .lotse(&["identity", "rotate", "lab", "health-check", "--yes"])
            })
        });
        both.into_iter().map(|ran| ran.join().unwrap()).collect()
    });
    let mut codes: Vec<_> = ran.iter().map(|ran| ran.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)], "{}\n{}", ran[0].stderr, ran[1].stderr);

    let said = rotate(lab, &["--at-once"]).success();
    assert!(said.contains("the one before has ended"), "{said}");
    let third = delivered(lab, "monitoring", "grafana-oidc");
    assert!(!is_taken(lab, CLIENT, &first) && !is_taken(lab, CLIENT, &second));
    assert!(is_taken(lab, CLIENT, &third));
    let unknown = lab
        .world
        .lotse(&["identity", "rotate", "lab", "grafanna", "--yes"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(
        unknown.stderr.contains("did you mean `grafana`?"),
        "{}",
        unknown.stderr
    );
}

/// What Git had is taken out by Flux, and the same apply writes it anew, for good.
fn back_from_git(lab: &Lab, checkout: &Checkout, in_git: &str) {
    checkout.write(WEBSITE, &in_git.replace(", delivery: git", ""));
    let refused = checkout.lotse(lab, &["check", "lab"]);
    assert!(
        refused.stderr.contains("E0304")
            && refused
                .stderr
                .contains("delete it here and in kustomization.yaml"),
        "{}",
        refused.stderr
    );
    checkout.replace(KUSTOMIZATION, "resources:\n  - website-oidc.yaml", "resources:");
    std::fs::remove_file(checkout.path().join(SEALED)).unwrap();
    let plan = checkout.lotse(lab, &["plan", "lab"]).success();
    assert!(plan.contains("delivery  git → cluster"), "{plan}");
    assert!(!plan.contains("- Secret/website/website-oidc"), "{plan}");
    checkout.lotse(lab, &["apply", "lab", "--yes"]).success();
    settled(lab);
    let carried = lab.prod.get(&["secret", "website-oidc", "-n", "website"]);
    assert_eq!(carried["metadata"]["labels"]["lotse.dev/app"], "website");
    assert!(is_taken(
        lab,
        "website",
        &delivered(lab, "website", "website-oidc")
    ));
    let plan = checkout.lotse(lab, &["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
}

/// A secret that another administrator gave is carried, and told with who it was.
pub(crate) fn who_gave_a_client_another_secret_is_told(lab: &Lab) {
    block_on(async {
        let admin = another_administrator(lab).await;
        let found = admin
            .get(&[REALM, "clients"], &[("clientId", CLIENT)])
            .await
            .unwrap();
        let path = [
            REALM,
            "clients",
            found[0]["id"].as_str().unwrap(),
            "client-secret",
        ];
        admin.post(&path, &json!({})).await.unwrap();
    });
    let plan = lab
        .world
        .lotse(&["plan", "lab", "--target", "workload"])
        .success();
    assert!(
        plan.contains("~ Secret/monitoring/grafana-oidc  (last changed by operator, 20"),
        "{plan}"
    );
    assert!(
        plan.contains("`lotse apply lab --target workload` carries it out."),
        "{plan}"
    );
    let applied = lab
        .world
        .lotse(&["apply", "lab", "--target", "workload", "--yes"]);
    let told = "client grafana has another secret than before, last changed in Keycloak by operator, 20";
    assert!(applied.stderr.contains(told), "{}", applied.stderr);
    let said = applied.success();
    assert!(said.contains("workload of lab is as declared"), "{said}");
    assert!(is_taken(
        lab,
        CLIENT,
        &delivered(lab, "monitoring", "grafana-oidc")
    ));
    rotate(lab, &["--at-once"]).success();
    let plan = lab.world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
}

/// With the lab's sops on the search path and no key: what is sealed needs none.
fn lotse(lab: &Lab, checkout: &Checkout, arguments: &[&str]) -> Ran {
    let mut command: Command = lab.world.command(arguments);
    let sops: PathBuf = program(Component::Sops);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", sops.parent().unwrap().display());
    run(checkout.enter(&mut command).env("PATH", path))
}

pub(crate) fn a_client_secret_is_kept_in_git_by_choice(lab: &Lab) {
    let checkout = &Checkout::copy(lab);
    let declared = checkout.read(WEBSITE);
    let login = "login:\n  - {client: website, redirectUris: [\"https://www.{{domain}}/back\"], secret: website-oidc, delivery: git}\n";
    checkout.write(WEBSITE, &format!("{declared}{login}"));
    let environment = checkout.read(ENVIRONMENT);
    lotse(lab, checkout, &["secrets", "init", "lab"]).success();
    let warned = lotse(lab, checkout, &["check", "lab"]);
    assert!(
        warned.stderr.contains("E0421") || warned.stdout.contains("E0421"),
        "{}",
        warned.stderr
    );
    let ran = checkout.bootstrap(lab, &[]);
    assert!(
        ran.stderr.contains("lotse identity seal lab website"),
        "{}",
        ran.stderr
    );
    ran.success();

    let ran = lotse(lab, checkout, &["identity", "seal", "lab"]);
    assert!(ran.stderr.contains(&format!("wrote {SEALED}")), "{}", ran.stderr);
    ran.success();
    let sealed = checkout.read(SEALED);
    assert!(
        sealed.contains("ENC[AES256_GCM") && !sealed.contains("https://127"),
        "{sealed}"
    );
    lotse(lab, checkout, &["identity", "seal", "lab"]).success();
    assert_eq!(checkout.read(SEALED), sealed, "sealed anew for nothing");
    checkout.replace(KUSTOMIZATION, "resources:", "resources:\n  - website-oidc.yaml");
    checkout.bootstrap(lab, &[]).success();
    settled(lab);
    let first = delivered(lab, "website", "website-oidc");
    assert!(is_taken(lab, "website", &first));
    let quiet = checkout.bootstrap(lab, &[]);
    assert!(!quiet.stderr.contains("identity seal"), "{}", quiet.stderr);

    lotse(lab, checkout, &["identity", "rotate", "lab", "website", "--yes"]).success();
    assert_ne!(checkout.read(SEALED), sealed);
    assert_eq!(
        delivered(lab, "website", "website-oidc"),
        first,
        "not before it is committed"
    );
    assert!(is_taken(lab, "website", &first));
    checkout.bootstrap(lab, &[]).success();
    settled(lab);
    let second = delivered(lab, "website", "website-oidc");
    assert!(second != first && is_taken(lab, "website", &second) && is_taken(lab, "website", &first));

    back_from_git(lab, checkout, &format!("{declared}{login}"));
    checkout.write(WEBSITE, &declared);
    checkout.write(ENVIRONMENT, &environment);
    checkout
        .lotse(lab, &["apply", "lab", "--prune", "--yes"])
        .success();
    let key = ["delete", "secret", "lab-age", "-n", "prod"];
    lab.moin.run(&key).success();
    settled(lab);
}
