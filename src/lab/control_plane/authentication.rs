//! Which logins a kube-apiserver accepts beside certificates and service accounts: its structured
//! authentication configuration, written as a file that it reads again when it changes. Pure.

use serde_json::{Value, json};

/// An issuer of OIDC tokens a control plane trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// Address of the issuer, https (`https://127.0.0.1:41021/realms/scs`).
    pub issuer_url: String,
    /// The one audience: the client the tokens are made for.
    pub client_id: String,
    /// Claim that becomes the user name (`preferred_username`).
    pub username_claim: String,
    /// Put before the user name (`oidc:`).
    pub username_prefix: String,
    /// Claim that becomes the groups (`groups`).
    pub groups_claim: String,
    /// Put before each group (`oidc:`).
    pub groups_prefix: String,
}

/// The `AuthenticationConfiguration` for `oidc`; without it, one that accepts no issuer.
///
/// Names that begin with `system:` are Kubernetes' own: whatever claims and prefixes say, no token gets one.
pub(super) fn configuration(oidc: Option<&Oidc>, issuer_ca_pem: &str) -> Value {
    let issuers: Vec<Value> = oidc
        .map(|oidc| authenticator(oidc, issuer_ca_pem))
        .into_iter()
        .collect();
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": issuers,
    })
}

fn authenticator(oidc: &Oidc, issuer_ca_pem: &str) -> Value {
    json!({
        "issuer": {
            "url": oidc.issuer_url,
            "certificateAuthority": issuer_ca_pem,
            "audiences": [oidc.client_id],
        },
        "claimMappings": {
            "username": {"claim": oidc.username_claim, "prefix": oidc.username_prefix},
            "groups": {"claim": oidc.groups_claim, "prefix": oidc.groups_prefix},
        },
        "userValidationRules": [
            {
                "expression": "!user.username.startsWith('system:')",
                "message": "a user name of an issuer can't begin with system:",
            },
            {
                "expression": "user.groups.all(group, !group.startsWith('system:'))",
                "message": "a group of an issuer can't begin with system:",
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oidc() -> Oidc {
        Oidc {
            issuer_url: "https://127.0.0.1:1/realms/scs".into(),
            client_id: "kubectl".into(),
            username_claim: "preferred_username".into(),
            username_prefix: "oidc:".into(),
            groups_claim: "groups".into(),
            groups_prefix: "oidc:".into(),
        }
    }

    #[test]
    fn test_configuration_without_issuer_accepts_none() {
        assert_eq!(configuration(None, "PEM")["jwt"], json!([]));
    }

    #[test]
    fn test_configuration_trusts_one_issuer_for_one_audience() {
        let configuration = configuration(Some(&oidc()), "PEM");
        let issuer = &configuration["jwt"][0]["issuer"];
        assert_eq!(issuer["audiences"], json!(["kubectl"]));
        assert_eq!(issuer["certificateAuthority"], "PEM");
        let rules = configuration["jwt"][0]["userValidationRules"].as_array().unwrap();
        assert_eq!(rules.len(), 2);
    }
}
