//! The certificate: a key made here, signed by the cluster.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::json;
use x509_parser::pem::parse_x509_pem;

use super::{BreakGlassError, Wanted, labels, parameters};
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError};
use crate::report;
use crate::secret::Secret;

/// Gives certificates that the API server takes for a user.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// How long the signer may take. Shorter than a connection may be silent.
const SIGNED_WITHIN: Duration = Duration::from_secs(25);
/// Signers date certificates back, for clocks that are behind.
const DATED_BACK: SignedDuration = SignedDuration::from_mins(10);

/// A client certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: Secret,
    /// When it ends.
    pub until: Timestamp,
    /// Its serial number, hexadecimal, as audit logs have it.
    pub serial: String,
}

/// Has the cluster sign a new key for the user of `wanted`.
pub(super) async fn request(
    administrator: &Cluster,
    name: &str,
    wanted: &Wanted,
) -> Result<Certificate, BreakGlassError> {
    let (key, request) = key_and_request(&wanted.user()).map_err(|source| BreakGlassError::Key { source })?;
    let object = CertificateSigningRequest {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels("request")),
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request.into_bytes()),
            signer_name: SIGNER.to_owned(),
            usages: Some(vec!["client auth".to_owned()]),
            expiration_seconds: Some(wanted.lasting.seconds()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let reference = format!("CertificateSigningRequest/{name}");
    let failed =
        |action: &str, error: &kube::Error| KubernetesError::request(format!("{action} {reference}"), error);
    let api: Api<CertificateSigningRequest> = Api::all(administrator.client());
    report::sends(format_args!("POST {reference}"));
    api.create(&parameters(), &object)
        .await
        .map_err(|error| failed("creating", &error))?;
    let approval = json!({"status": {"conditions": [{
        "type": "Approved",
        "status": "True",
        "reason": "BreakGlass",
        "message": wanted.reason.to_string(),
    }]}});
    report::sends(format_args!("PATCH {reference} approval"));
    let approving = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_approval(name, &approving, &Patch::Merge(&approval))
        .await
        .map_err(|error| failed("approving", &error))?;
    let signed = signed(&api, name, &reference).await?;
    let certificate = read(&signed, key).ok_or_else(|| BreakGlassError::Unreadable {
        request: reference.clone(),
    })?;
    check(&certificate, wanted.lasting.duration(), &reference)?;
    Ok(certificate.certificate)
}

/// A key, and the request to sign it for `user`, both PEM.
fn key_and_request(user: &str) -> Result<(Secret, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, user);
    let request = wanted.serialize_request(&key)?.pem()?;
    Ok((Secret::new(key.serialize_pem()), request))
}

/// Waits for the signer.
async fn signed(
    api: &Api<CertificateSigningRequest>,
    name: &str,
    reference: &str,
) -> Result<String, BreakGlassError> {
    let not_signed = |reason: String| BreakGlassError::NotSigned {
        request: reference.to_owned(),
        reason,
    };
    let has_ended = |found: Option<&CertificateSigningRequest>| {
        found.is_some_and(|found| certificate_of(found).is_some() || refusal_of(found).is_some())
    };
    let waited = tokio::time::timeout(SIGNED_WITHIN, await_condition(api.clone(), name, has_ended)).await;
    let found = match waited {
        Err(_) => {
            return Err(not_signed(format!(
                "nothing came of it within {} s; kube-controller-manager signs it, does it run?",
                SIGNED_WITHIN.as_secs()
            )));
        }
        Ok(Err(error)) => return Err(not_signed(error.to_string())),
        Ok(Ok(found)) => found.unwrap_or_default(),
    };
    certificate_of(&found)
        .ok_or_else(|| not_signed(refusal_of(&found).unwrap_or_else(|| "it was removed".to_owned())))
}

fn certificate_of(request: &CertificateSigningRequest) -> Option<String> {
    let bytes = request.status.as_ref()?.certificate.as_ref()?;
    String::from_utf8(bytes.0.clone())
        .ok()
        .filter(|text| !text.is_empty())
}

/// What a signer, or somebody who denied it, said.
fn refusal_of(request: &CertificateSigningRequest) -> Option<String> {
    let conditions = request.status.as_ref()?.conditions.iter().flatten();
    let mut refusals = conditions.filter(|condition| matches!(condition.type_.as_str(), "Denied" | "Failed"));
    let refusal = refusals.next()?;
    Some(refusal.message.clone().unwrap_or_else(|| refusal.type_.clone()))
}

/// A certificate, and how long it is good for in all.
struct Dated {
    certificate: Certificate,
    given: SignedDuration,
}

fn read(pem: &str, key: Secret) -> Option<Dated> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).ok()?;
    let parsed = block.parse_x509().ok()?;
    let time = |seconds| Timestamp::from_second(seconds).ok();
    let from = time(parsed.validity().not_before.timestamp())?;
    let until = time(parsed.validity().not_after.timestamp())?;
    Some(Dated {
        given: until.duration_since(from),
        certificate: Certificate {
            certificate: pem.to_owned(),
            key,
            until,
            serial: parsed.raw_serial_as_string().replace(':', ""),
        },
    })
}

/// Older clusters and other signers don't care how long a certificate should be good for.
fn check(found: &Dated, asked: SignedDuration, reference: &str) -> Result<(), BreakGlassError> {
    if found.given <= asked + DATED_BACK {
        return Ok(());
    }
    Err(BreakGlassError::TooLong {
        request: reference.to_owned(),
        given: found.given,
        asked,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;
    use x509_parser::prelude::FromDer as _;

    use super::*;

    /// A certificate for three days.
    fn dated() -> Dated {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.not_before = date_time_ymd(2026, 11, 1);
        parameters.not_after = date_time_ymd(2026, 11, 4);
        let certificate = parameters.self_signed(&key).unwrap().pem();
        read(&certificate, Secret::new("key")).unwrap()
    }

    #[test]
    fn test_a_certificate_says_how_long_it_is_good_for() {
        let found = dated();
        assert_eq!(found.certificate.until.to_string(), "2026-11-04T00:00:00Z");
        assert_eq!(found.given, SignedDuration::from_hours(72));
        assert!(
            found
                .certificate
                .serial
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
        );
        assert!(read("no certificate", Secret::new("")).is_none());
    }

    #[test]
    fn test_a_signer_that_gives_more_is_not_taken() {
        let found = dated();
        check(&found, SignedDuration::from_hours(72), "it").unwrap();
        check(&found, SignedDuration::from_mins(72 * 60 - 10), "it").unwrap();
        let told = check(&found, SignedDuration::from_hours(1), "it")
            .unwrap_err()
            .to_string();
        assert_eq!(
            told,
            "the certificate of it is good for 72h, not for the 1h that were asked for"
        );
    }

    #[test]
    fn test_a_request_is_for_the_user_alone() {
        let (key, request) = key_and_request("lotse:break-glass:ada").unwrap();
        assert!(key.expose().contains("PRIVATE KEY"));
        let (_, block) = parse_x509_pem(request.as_bytes()).unwrap();
        assert_eq!(block.label, "CERTIFICATE REQUEST");
        let (_, parsed) =
            x509_parser::certification_request::X509CertificationRequest::from_der(&block.contents).unwrap();
        assert_eq!(
            parsed.certification_request_info.subject.to_string(),
            "CN=lotse:break-glass:ada"
        );
    }
}
