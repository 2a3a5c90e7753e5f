//! Break-glass: a way into the cluster for one person and a short time, when logins don't work.
//!
//! The cluster itself signs the certificate (signer `kubernetes.io/kube-apiserver-client`), whose key never leaves this
//! machine, and a binding of its own gives its user a role, who is another one each time. Before either is there, a record
//! says who, when, until when and why. Without that certificate the binding is worth nothing, so what has ended waits for the
//! next use to be removed.

mod certificate;
mod wanted;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleRef, Subject};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

pub use certificate::Certificate;
pub use wanted::{Chance, Lasting, NotWanted, Reason, Wanted, Who};

use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError};
use crate::report;

/// Label of records (`record`) and bindings (`binding`).
const LABEL: &str = "lotse.dev/break-glass";
/// Annotation of a binding: when the certificate ends.
const UNTIL: &str = "lotse.dev/until";
/// Where records are kept: every cluster has it, and only its administrators write there.
const RECORDS: &str = "kube-system";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum BreakGlassError {
    /// A request failed.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// There is no such role.
    #[error("the cluster has no ClusterRole `{role}`")]
    NoRole {
        /// Its name.
        role: String,
    },
    /// The key or the request for a certificate could not be made.
    #[error("making a key and a request for its certificate")]
    Key {
        /// What the library says.
        #[source]
        source: rcgen::Error,
    },
    /// The cluster did not sign.
    #[error("{request} was not signed: {reason}")]
    NotSigned {
        /// The request.
        request: String,
        /// What the signer said, or that it said nothing.
        reason: String,
    },
    /// What was signed can't be read.
    #[error("the certificate of {request} can't be read")]
    Unreadable {
        /// The request.
        request: String,
    },
    /// The signer gave more than was asked for.
    #[error("the certificate of {request} is good for {given:#}, not for the {asked:#} that were asked for")]
    TooLong {
        /// The request.
        request: String,
        /// How long it is good for.
        given: jiff::SignedDuration,
        /// How long it should be.
        asked: jiff::SignedDuration,
    },
}

/// Somebody is let in.
#[derive(Debug)]
pub struct Opened {
    /// As whom the cluster knows the bearer.
    pub user: String,
    /// Certificate and key.
    pub certificate: Certificate,
    /// The record, `ConfigMap/kube-system/lotse-break-glass-...`.
    pub record: String,
    /// Name of the `ClusterRoleBinding`.
    pub binding: String,
    /// Bindings that had ended and were removed.
    pub removed: Vec<String>,
}

/// Lets somebody in, as `wanted`, at `now`. `administrator` may approve requests for certificates and bind any role.
///
/// # Guarantees
/// The record is there before anything else; without it nobody is let in. A certificate that is good for longer than was
/// asked for is thrown away. Interrupted at any point, nobody is let in who has no file with the key.
pub async fn break_glass(
    administrator: &Cluster,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Opened, BreakGlassError> {
    let removed = remove_ended(administrator, now).await?;
    check_role(administrator, &wanted.role).await?;
    let name = name(now, &wanted.chance);
    record(administrator, &name, wanted, now).await?;
    let certificate = certificate::request(administrator, &name, wanted).await?;
    complete(administrator, &name, &certificate).await?;
    bind(administrator, &name, wanted, certificate.until).await?;
    Ok(Opened {
        user: wanted.user(),
        certificate,
        record: record_name(&name),
        binding: name,
        removed,
    })
}

/// `lotse-break-glass-20261127t121014z-3fa9c1`: of record, request and binding alike.
fn name(now: Timestamp, chance: &Chance) -> String {
    format!("lotse-break-glass-{}-{chance}", now.strftime("%Y%m%dt%H%M%Sz"))
}

fn record_name(name: &str) -> String {
    format!("ConfigMap/{RECORDS}/{name}")
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn labels(kind: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL.to_owned(), kind.to_owned())])
}

async fn check_role(administrator: &Cluster, role: &str) -> Result<(), BreakGlassError> {
    let api: Api<ClusterRole> = Api::all(administrator.client());
    let found = api.get_opt(role).await;
    let found =
        found.map_err(|error| KubernetesError::request(format!("reading ClusterRole/{role}"), &error))?;
    found.map(drop).ok_or_else(|| BreakGlassError::NoRole {
        role: role.to_owned(),
    })
}

/// Says who wants in, and why.
async fn record(
    administrator: &Cluster,
    name: &str,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<(), KubernetesError> {
    let facts = [
        ("who", wanted.who.to_string()),
        ("user", wanted.user()),
        ("by", wanted.by.clone()),
        ("reason", wanted.reason.to_string()),
        ("role", wanted.role.clone()),
        ("from", now.strftime("%FT%TZ").to_string()),
        ("for", wanted.lasting.to_string()),
    ];
    let record = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels("record")),
            ..ObjectMeta::default()
        },
        data: Some(facts.map(|(key, value)| (key.to_owned(), value)).into()),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(administrator.client(), RECORDS);
    report::sends(format_args!("POST {}", record_name(name)));
    let created = api.create(&parameters(), &record).await;
    created
        .map(drop)
        .map_err(|error| KubernetesError::request(format!("creating {}", record_name(name)), &error))
}

/// Adds to the record what was signed, after which nobody changes it any more.
async fn complete(
    administrator: &Cluster,
    name: &str,
    certificate: &Certificate,
) -> Result<(), KubernetesError> {
    let facts = json!({
        "data": {
            "until": certificate.until.to_string(),
            "certificate": certificate.serial,
        },
        "immutable": true,
    });
    let api: Api<ConfigMap> = Api::namespaced(administrator.client(), RECORDS);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    report::sends(format_args!("PATCH {}", record_name(name)));
    let patched = api.patch(name, &parameters, &Patch::Merge(&facts)).await;
    patched
        .map(drop)
        .map_err(|error| KubernetesError::request(format!("completing {}", record_name(name)), &error))
}

async fn bind(
    administrator: &Cluster,
    name: &str,
    wanted: &Wanted,
    until: Timestamp,
) -> Result<(), KubernetesError> {
    let annotations = [
        (UNTIL, until.to_string()),
        ("lotse.dev/reason", wanted.reason.to_string()),
        ("lotse.dev/record", record_name(name)),
    ];
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels("binding")),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: Some(RBAC_GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: wanted.role.clone(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(RBAC_GROUP.to_owned()),
            kind: "User".to_owned(),
            name: wanted.user(),
            namespace: None,
        }]),
    };
    let api: Api<ClusterRoleBinding> = Api::all(administrator.client());
    report::sends(format_args!("POST ClusterRoleBinding/{name}"));
    let created = api.create(&parameters(), &binding).await;
    created
        .map(drop)
        .map_err(|error| KubernetesError::request(format!("creating ClusterRoleBinding/{name}"), &error))
}

/// Removes bindings whose certificates have ended. One that does not say when is left alone.
async fn remove_ended(administrator: &Cluster, now: Timestamp) -> Result<Vec<String>, KubernetesError> {
    let api: Api<ClusterRoleBinding> = Api::all(administrator.client());
    let wanted = ListParams::default().labels(&format!("{LABEL}=binding"));
    let found = api
        .list(&wanted)
        .await
        .map_err(|error| KubernetesError::request("listing ClusterRoleBinding", &error))?;
    let ended = found.items.iter().filter(|binding| has_ended(binding, now));
    let mut removed = Vec::new();
    for name in ended.filter_map(|binding| binding.metadata.name.clone()) {
        report::sends(format_args!("DELETE ClusterRoleBinding/{name}"));
        match api.delete(&name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                return Err(KubernetesError::request(
                    format!("removing ClusterRoleBinding/{name}"),
                    &error,
                ));
            }
            Ok(_) => removed.push(name),
        }
    }
    Ok(removed)
}

fn has_ended(binding: &ClusterRoleBinding, now: Timestamp) -> bool {
    let annotations = binding.metadata.annotations.as_ref();
    let until = annotations.and_then(|annotations| annotations.get(UNTIL));
    until
        .and_then(|until| until.parse::<Timestamp>().ok())
        .is_some_and(|until| until < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_only_bindings_that_say_so_have_ended() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        let has_ended = |until: Option<&str>| {
            let annotations = until.map(|until| BTreeMap::from([(UNTIL.to_owned(), until.to_owned())]));
            let binding = ClusterRoleBinding {
                metadata: ObjectMeta {
                    annotations,
                    ..ObjectMeta::default()
                },
                ..ClusterRoleBinding::default()
            };
            has_ended(&binding, now)
        };
        assert!(has_ended(Some("2026-11-27T11:59:59Z")));
        assert!(!has_ended(Some("2026-11-27T12:00:00Z")));
        assert!(!has_ended(Some("soon")));
        assert!(!has_ended(None));
    }

    #[test]
    fn test_names_say_when() {
        let now: Timestamp = "2026-11-27T12:10:14Z".parse().unwrap();
        let name = name(now, &Chance::new());
        assert!(name.starts_with("lotse-break-glass-20261127t121014z-"), "{name}");
        assert_eq!(name.len(), "lotse-break-glass-20261127t121014z-3fa9c1".len());
    }
}
