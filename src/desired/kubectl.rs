//! How kubectl logs a person in: the credential plugin of kubelogin.

use serde_json::{Value, json};

use super::KUBECTL_CLIENT;

/// Scopes that carry who somebody is and in which teams, where the client does not have them by default.
const SCOPES: [&str; 2] = ["profile", "groups"];

/// Shown by kubectl where the plugin is missing.
const INSTALL_HINT: &str = "kubectl logs you in with kubelogin, which is not installed here.\n\
     Install it as kubectl-oidc_login: `kubectl krew install oidc-login`, or see https://github.com/int128/kubelogin\n";

/// The `user` of a kubeconfig that gets a token of the realm `issuer` by a login in the browser. `authority`, in base64,
/// is the PEM of the authority of the issuer's certificate, where it is not a public one. No secret is in it.
#[must_use]
pub fn login_plugin(issuer: &str, authority: Option<&str>) -> Value {
    let mut arguments = vec![
        "oidc-login".to_owned(),
        "get-token".to_owned(),
        format!("--oidc-issuer-url={issuer}"),
        format!("--oidc-client-id={KUBECTL_CLIENT}"),
        "--oidc-pkce-method=S256".to_owned(),
    ];
    arguments.extend(SCOPES.map(|scope| format!("--oidc-extra-scope={scope}")));
    arguments.extend(authority.map(|authority| format!("--certificate-authority-data={authority}")));
    json!({
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubectl",
            "args": arguments,
            "installHint": INSTALL_HINT,
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": false,
        },
    })
}
