//! The certificate of the gateway, and who signs it. An issuer that lotse renders is beside it in the gateway's namespace, so that
//! the secret that it needs is nobody else's business (cert-manager.io, "ACME").

use serde_json::{Value, json};

use super::routes::parent;
use super::{GATEWAY_NAMESPACE, HTTP};
use crate::config::{Acme, Challenge, DnsProvider, Environment, Gateway, Rfc2136, Signer, TsigAlgorithm};
use crate::desired::{Manifest, marked};

/// Name of the certificate and of the Secret that has it.
pub(super) const CERTIFICATE: &str = "wildcard";
/// Name of the issuer that is rendered.
const ISSUER: &str = "acme";
/// The account at the authority, made and kept by cert-manager.
const ACCOUNT: &str = "acme-account";
/// The Secret with the key for the zone, and the key of the Secret.
pub(in crate::desired) const ZONE_KEY: (&str, &str) = ("zone-key", "secret");

/// The certificate and, where it is not somebody else's, its issuer. `hosts` are those that the gateway serves.
pub(super) fn objects<Key>(
    environment: &Environment<String, Key>,
    declared: &Gateway,
    hosts: &[String],
) -> Vec<Manifest> {
    let wildcard = vec![format!("*.{}", environment.domain)];
    match &declared.signer {
        Signer::ClusterIssuer(name) => vec![certificate(environment, ("ClusterIssuer", name), &wildcard)],
        Signer::Acme(acme) => {
            let names = match acme.challenge {
                Challenge::Http01 => hosts,
                Challenge::Dns01 | Challenge::Webhook { .. } => &wildcard,
            };
            let mut objects = vec![issuer(environment, acme)];
            if !names.is_empty() {
                objects.push(certificate(environment, ("Issuer", ISSUER), names));
            }
            objects
        }
    }
}

/// Whether cert-manager gets the key that changes the zone.
pub(in crate::desired) fn needs_zone_key<Text, Key>(environment: &Environment<Text, Key>) -> bool {
    let signer = environment.gateway.as_ref().map(|gateway| &gateway.signer);
    matches!(signer, Some(Signer::Acme(acme)) if acme.challenge == Challenge::Dns01)
}

fn certificate<Key>(
    environment: &Environment<String, Key>,
    (kind, issuer): (&str, &str),
    names: &[String],
) -> Manifest {
    let spec = json!({
        "secretName": CERTIFICATE,
        "dnsNames": names,
        "issuerRef": { "group": "cert-manager.io", "kind": kind, "name": issuer },
        "privateKey": { "algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always" },
    });
    let kind = ("cert-manager.io/v1", "Certificate");
    marked(environment, kind, CERTIFICATE, json!({ "spec": spec })).in_namespace(GATEWAY_NAMESPACE)
}

fn issuer<Key>(environment: &Environment<String, Key>, acme: &Acme) -> Manifest {
    let mut spec = json!({
        "server": acme.server,
        "privateKeySecretRef": { "name": ACCOUNT },
        "solvers": [solver(environment, &acme.challenge)],
    });
    if let Some(email) = &acme.email {
        spec["email"] = json!(email);
    }
    let kind = ("cert-manager.io/v1", "Issuer");
    marked(environment, kind, ISSUER, json!({ "spec": { "acme": spec } })).in_namespace(GATEWAY_NAMESPACE)
}

fn solver<Key>(environment: &Environment<String, Key>, challenge: &Challenge) -> Value {
    match (challenge, &environment.dns.provider) {
        (Challenge::Http01, _) => {
            json!({ "http01": { "gatewayHTTPRoute": { "parentRefs": [parent(HTTP)] } } })
        }
        (
            Challenge::Webhook {
                group_name,
                solver_name,
            },
            _,
        ) => {
            json!({ "dns01": { "webhook": { "groupName": group_name, "solverName": solver_name } } })
        }
        (Challenge::Dns01, DnsProvider::Rfc2136(rfc2136)) => {
            json!({ "dns01": { "rfc2136": updates(rfc2136) } })
        }
        // Refused when it is read.
        (Challenge::Dns01, DnsProvider::Designate { .. }) => json!({}),
    }
}

fn updates<Key>(rfc2136: &Rfc2136<String, Key>) -> Value {
    let algorithm = match rfc2136.key.algorithm {
        TsigAlgorithm::HmacSha256 => "HMACSHA256",
        TsigAlgorithm::HmacSha384 => "HMACSHA384",
        TsigAlgorithm::HmacSha512 => "HMACSHA512",
    };
    let (name, key) = ZONE_KEY;
    json!({
        "nameserver": rfc2136.server,
        "tsigKeyName": rfc2136.key.name,
        "tsigAlgorithm": algorithm,
        "tsigSecretSecretRef": { "name": name, "key": key },
    })
}
