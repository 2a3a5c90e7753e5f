//! Two issuers at once: nobody is locked out while people move from one to the other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::access::kubectl_of;
use crate::kit::{Kubectl, Lab, block_on, eventually, run};
use crate::systems::{Checkout, authority, keycloak, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
/// A realm that stands for the issuer of an earlier cluster.
const FORMER: &str = "former";
const PASSWORD: &str = "from-the-earlier-cluster-1";

pub(crate) fn two_issuers_are_accepted_at_once(lab: &Lab) {
    block_on(make_former_realm(lab));
    let issuer = format!("{}/realms/{FORMER}", lab.endpoint("keycloak"));
    let token = block_on(former_token(lab, &issuer));
    let directory = tempfile::tempdir().unwrap();
    let former = lab.prod.as_bearer(&token, directory.path());
    assert!(whoami(&former).is_none(), "nobody has declared this issuer");

    let checkout = Checkout::copy(lab);
    let declared = format!(
        "  realm: scs\n  otherIssuers: [{{url: \"{issuer}\", certificateAuthority: {{env: LOTSE_LAB_CA_FILE}}, \
         clientId: former, prefix: \"dex:\"}}]\n"
    );
    checkout.replace(ENVIRONMENT, "  realm: scs\n", &declared);
    let told = checkout.bootstrap(lab, &[]);
    assert!(
        !told.stderr.contains("put back"),
        "it was declared: {}",
        told.stderr
    );
    told.success();
    let seen = eventually("the API server reads its file", Duration::from_secs(90), || {
        whoami(&former).ok_or_else(|| "it is not accepted".to_owned())
    });
    assert_eq!(seen["username"], "dex:veteran");
    assert!(
        seen["groups"].as_array().unwrap().contains(&json!("dex:crew")),
        "{seen}"
    );
    let ours = whoami(&kubectl_of(lab, "ada")).expect("people of the realm log in as before");
    assert_eq!(ours["username"], "oidc:ada");
    checkout
        .lotse(lab, &["plan", "lab", "--detailed-exitcode"])
        .success();

    is_refused(lab, &issuer);

    Checkout::copy(lab).bootstrap(lab, &[]).success();
    eventually("the API server forgets it", Duration::from_secs(90), || {
        whoami(&former).map_or(Ok(()), |_| Err("it is still accepted".to_owned()))
    });
    block_on(async { keycloak(lab).delete(&[FORMER], None).await.unwrap() });
    settled(lab);
}

/// An issuer that does not answer as such is seen before, and where that is left out, the API server's refusal is told.
fn is_refused(lab: &Lab, issuer: &str) {
    let checkout = Checkout::copy(lab);
    let authority = "certificateAuthority: {env: LOTSE_LAB_CA_FILE}";
    let declared = format!(
        "  realm: scs\n  otherIssuers:\n    - {{url: \"{issuer}\", {authority}, clientId: former, prefix: \"dex:\"}}\n    \
         - {{url: \"{issuer}-of-nobody\", {authority}, clientId: former}}\n    \
         - {{url: {{env: TWICE}}, {authority}, clientId: former}}\n"
    );
    checkout.replace(ENVIRONMENT, "  realm: scs\n", &declared);
    let lotse = |arguments: &[&str]| {
        let mut command = lab.world.command(arguments);
        run(checkout.enter(&mut command).env("TWICE", issuer))
    };
    let preflight = lotse(&["preflight", "lab", "--only", "other-issuers"]);
    assert_eq!(preflight.code, Some(7), "{}", preflight.stdout);
    for wanted in [
        "/realms/former-of-nobody/.well-known/openid-configuration answers 404",
        "/realms/former` is declared twice",
    ] {
        assert!(
            preflight.stdout.contains(wanted),
            "{wanted}\n{}",
            preflight.stdout
        );
    }
    let bootstrap = ["bootstrap", "lab", "--skip", "other-issuers"];
    lotse(&bootstrap).success();
    eventually("the refusal is told", Duration::from_secs(150), || {
        let told = lotse(&bootstrap).success();
        let is_told = told.contains("the API server refused its list of issuers at 20");
        if is_told { Ok(()) } else { Err(told) }
    });
    let ours = whoami(&kubectl_of(lab, "ada")).expect("people of the realm log in as before");
    assert_eq!(ours["username"], "oidc:ada");
}

/// Who the API server takes somebody for.
fn whoami(kubectl: &Kubectl) -> Option<Value> {
    let ran = kubectl.run(&["auth", "whoami", "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).ok()?;
    Some(answer["status"]["userInfo"].clone())
}

async fn make_former_realm(lab: &Lab) {
    let admin = keycloak(lab);
    let mapper = json!({
        "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
        "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"},
    });
    let realm = json!({
        "realm": FORMER, "enabled": true, "groups": [{"name": "crew"}],
        "clients": [{
            "clientId": "former", "publicClient": true, "directAccessGrantsEnabled": true, "protocolMappers": [mapper],
        }],
        "users": [{
            "username": "veteran", "enabled": true, "email": "veteran@lab.test", "emailVerified": true,
            "firstName": "V", "lastName": "E", "groups": ["crew"],
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": false}],
        }],
    });
    admin.post(&[], &realm).await.unwrap();
}

async fn former_token(lab: &Lab, issuer: &str) -> String {
    let authority = reqwest::Certificate::from_pem(authority(lab).as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    let form = [
        ("grant_type", "password"),
        ("client_id", "former"),
        ("username", "veteran"),
        ("password", PASSWORD),
        ("scope", "openid"),
    ];
    let url = format!("{issuer}/protocol/openid-connect/token");
    let answer = client.post(url).form(&form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["id_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}
