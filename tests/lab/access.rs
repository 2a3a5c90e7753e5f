//! Real tokens of people who logged in at the forge, shown to the API server by plain kubectl.

use lotse::lab::login::{LoginRequest, login};
use lotse::secret::Secret;

use crate::kit::{Kubectl, Lab, block_on};

/// kubectl as a person who logged in at the forge just now.
pub(crate) fn kubectl_of(lab: &Lab, person: &str) -> Kubectl {
    let password = lab.world.passwords()[person].clone();
    let authority = std::fs::read_to_string(lab.endpoint("ca_file")).unwrap();
    let request = LoginRequest {
        issuer: format!("{}/realms/scs", lab.endpoint("keycloak")),
        client_id: "kubectl".to_owned(),
        redirect_uri: "http://localhost:8000".to_owned(),
        provider: "github".to_owned(),
        forge: lab.endpoint("forge").to_owned(),
        person: person.to_owned(),
        password: Secret::new(password),
        authority: Some(authority),
    };
    let tokens = block_on(login(&request)).unwrap();
    lab.prod.as_bearer(tokens.id_token.expose(), lab.world.path())
}

pub(crate) fn may(kubectl: &Kubectl, verb: &str, resource: &str, namespace: &str) -> bool {
    let answer = kubectl.run(&["auth", "can-i", verb, resource, "-n", namespace]);
    match answer.stdout.trim() {
        "yes" => true,
        "no" => false,
        _ => panic!("{answer:?}"),
    }
}

pub(crate) fn api_server_knows_the_person_and_their_teams(lab: &Lab) {
    let me = kubectl_of(lab, "ada")
        .run(&["auth", "whoami", "-o", "json"])
        .success();
    let me: serde_json::Value = serde_json::from_str(&me).unwrap();
    assert_eq!(me["status"]["userInfo"]["username"], "oidc:ada");
    let groups = me["status"]["userInfo"]["groups"].to_string();
    assert!(
        groups.contains("\"oidc:SovereignCloudStack:monitoring\""),
        "{groups}"
    );
    assert!(!groups.contains("SovereignCloudStack:website"), "{groups}");
}

pub(crate) fn a_member_may_what_the_role_says_and_nothing_elsewhere(lab: &Lab) {
    let ada = kubectl_of(lab, "ada");
    assert!(may(
        &ada,
        "create",
        "rolebindings.rbac.authorization.k8s.io",
        "monitoring"
    ));
    assert!(!may(&ada, "get", "pods", "website"));
    assert!(!may(&ada, "get", "secrets", "flux-system"));
    let created = ada.run(&[
        "create",
        "configmap",
        "from-ada",
        "-n",
        "monitoring",
        "--from-literal=a=b",
    ]);
    assert_eq!(created.code, Some(0), "{created:?}");
    ada.run(&["delete", "configmap", "from-ada", "-n", "monitoring"])
        .success();
    let refused = ada.run(&[
        "create",
        "configmap",
        "from-ada",
        "-n",
        "website",
        "--from-literal=a=b",
    ]);
    assert!(
        refused.stderr.contains("Forbidden") || refused.stderr.contains("forbidden"),
        "{refused:?}"
    );
}
