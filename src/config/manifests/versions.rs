//! Which API versions of Kubernetes are gone, by its minor version.

use super::object::Object;

/// A minor version of Kubernetes or Flux: `36` of `v1.36.3`.
pub(super) type Minor = u32;

/// The minor version in `v1.36.3` or `2.9.4`.
pub(super) fn minor(version: &str) -> Option<Minor> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

/// An API version that Kubernetes stops or stopped serving.
struct Removal {
    api_version: &'static str,
    kinds: &'static [&'static str],
    /// First minor version that does not serve it.
    removed: Minor,
    /// What to write instead; nothing when there is no such thing.
    instead: &'static str,
}

const fn removal(
    api_version: &'static str,
    kinds: &'static [&'static str],
    removed: Minor,
    instead: &'static str,
) -> Removal {
    Removal {
        api_version,
        kinds,
        removed,
        instead,
    }
}

const FLOW_CONTROL: &[&str] = &["FlowSchema", "PriorityLevelConfiguration"];
const MUTATING_POLICY: &[&str] = &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"];
const VALIDATING_POLICY: &[&str] = &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
const WEBHOOKS: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
const RBAC: &[&str] = &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
const DEVICES: &[&str] = &[
    "DeviceClass",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceSlice",
];
const ADDRESSES: &[&str] = &["IPAddress", "ServiceCIDR"];
const POLICY: &str = "admissionregistration.k8s.io/v1";
const SECURITY_POLICY: &str = "";

/// The life cycle that Kubernetes declares in `k8s.io/api` v0.36.3 (and v0.30.3 for what is gone from it), and the
/// deprecated API migration guide.
const REMOVALS: [Removal; 55] = [
    removal(
        "admissionregistration.k8s.io/v1alpha1",
        MUTATING_POLICY,
        38,
        POLICY,
    ),
    removal(
        "admissionregistration.k8s.io/v1alpha1",
        VALIDATING_POLICY,
        32,
        POLICY,
    ),
    removal(
        "admissionregistration.k8s.io/v1beta1",
        MUTATING_POLICY,
        40,
        POLICY,
    ),
    removal(
        "admissionregistration.k8s.io/v1beta1",
        VALIDATING_POLICY,
        34,
        POLICY,
    ),
    removal("admissionregistration.k8s.io/v1beta1", WEBHOOKS, 22, POLICY),
    removal(
        "apiextensions.k8s.io/v1beta1",
        &["CustomResourceDefinition"],
        22,
        "apiextensions.k8s.io/v1",
    ),
    removal(
        "apiregistration.k8s.io/v1beta1",
        &["APIService"],
        22,
        "apiregistration.k8s.io/v1",
    ),
    removal(
        "apps/v1beta1",
        &["ControllerRevision", "Deployment", "StatefulSet"],
        16,
        "apps/v1",
    ),
    removal(
        "apps/v1beta2",
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
        ],
        16,
        "apps/v1",
    ),
    removal(
        "authentication.k8s.io/v1alpha1",
        &["SelfSubjectReview"],
        32,
        "authentication.k8s.io/v1",
    ),
    removal(
        "authentication.k8s.io/v1beta1",
        &["SelfSubjectReview"],
        33,
        "authentication.k8s.io/v1",
    ),
    removal(
        "authentication.k8s.io/v1beta1",
        &["TokenReview"],
        22,
        "authentication.k8s.io/v1",
    ),
    removal(
        "authorization.k8s.io/v1beta1",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
        22,
        "authorization.k8s.io/v1",
    ),
    removal(
        "autoscaling/v2beta1",
        &["HorizontalPodAutoscaler"],
        25,
        "autoscaling/v2",
    ),
    removal(
        "autoscaling/v2beta2",
        &["HorizontalPodAutoscaler"],
        26,
        "autoscaling/v2",
    ),
    removal("batch/v1beta1", &["CronJob"], 25, "batch/v1"),
    removal("batch/v2alpha1", &["CronJob"], 21, "batch/v1"),
    removal(
        "certificates.k8s.io/v1alpha1",
        &["ClusterTrustBundle"],
        37,
        "certificates.k8s.io/v1beta1",
    ),
    removal(
        "certificates.k8s.io/v1beta1",
        &["CertificateSigningRequest"],
        22,
        "certificates.k8s.io/v1",
    ),
    removal("certificates.k8s.io/v1beta1", &["ClusterTrustBundle"], 40, ""),
    removal("certificates.k8s.io/v1beta1", &["PodCertificateRequest"], 41, ""),
    removal(
        "coordination.k8s.io/v1alpha2",
        &["LeaseCandidate"],
        38,
        "coordination.k8s.io/v1beta1",
    ),
    removal(
        "coordination.k8s.io/v1beta1",
        &["Lease"],
        22,
        "coordination.k8s.io/v1",
    ),
    removal("coordination.k8s.io/v1beta1", &["LeaseCandidate"], 39, ""),
    removal(
        "discovery.k8s.io/v1beta1",
        &["EndpointSlice"],
        25,
        "discovery.k8s.io/v1",
    ),
    removal("events.k8s.io/v1beta1", &["Event"], 25, "events.k8s.io/v1"),
    removal(
        "extensions/v1beta1",
        &["DaemonSet", "Deployment", "ReplicaSet"],
        16,
        "apps/v1",
    ),
    removal(
        "extensions/v1beta1",
        &["Ingress", "NetworkPolicy"],
        16,
        "networking.k8s.io/v1",
    ),
    removal("extensions/v1beta1", &["PodSecurityPolicy"], 16, SECURITY_POLICY),
    removal(
        "flowcontrol.apiserver.k8s.io/v1beta1",
        FLOW_CONTROL,
        26,
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    removal(
        "flowcontrol.apiserver.k8s.io/v1beta2",
        FLOW_CONTROL,
        29,
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    removal(
        "flowcontrol.apiserver.k8s.io/v1beta3",
        FLOW_CONTROL,
        32,
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    removal(
        "networking.k8s.io/v1alpha1",
        ADDRESSES,
        33,
        "networking.k8s.io/v1",
    ),
    removal("networking.k8s.io/v1beta1", ADDRESSES, 37, "networking.k8s.io/v1"),
    removal(
        "networking.k8s.io/v1beta1",
        &["Ingress", "IngressClass"],
        22,
        "networking.k8s.io/v1",
    ),
    removal("node.k8s.io/v1beta1", &["RuntimeClass"], 25, "node.k8s.io/v1"),
    removal(
        "policy/v1beta1",
        &["Eviction", "PodDisruptionBudget"],
        25,
        "policy/v1",
    ),
    removal("policy/v1beta1", &["PodSecurityPolicy"], 25, SECURITY_POLICY),
    removal(
        "rbac.authorization.k8s.io/v1beta1",
        RBAC,
        22,
        "rbac.authorization.k8s.io/v1",
    ),
    removal(
        "resource.k8s.io/v1alpha3",
        &["DeviceTaintRule"],
        39,
        "resource.k8s.io/v1beta2",
    ),
    removal("resource.k8s.io/v1alpha3", &["ResourcePoolStatusRequest"], 42, ""),
    removal("resource.k8s.io/v1beta1", DEVICES, 38, "resource.k8s.io/v1"),
    removal("resource.k8s.io/v1beta2", DEVICES, 39, "resource.k8s.io/v1"),
    removal("resource.k8s.io/v1beta2", &["DeviceTaintRule"], 42, ""),
    removal(
        "scheduling.k8s.io/v1beta1",
        &["PriorityClass"],
        22,
        "scheduling.k8s.io/v1",
    ),
    removal("settings.k8s.io/v1alpha1", &["PodPreset"], 20, ""),
    removal(
        "storage.k8s.io/v1alpha1",
        &["CSIStorageCapacity"],
        24,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1alpha1",
        &["VolumeAttachment"],
        24,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1alpha1",
        &["VolumeAttributesClass"],
        35,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1beta1",
        &["CSIDriver", "CSINode"],
        22,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1beta1",
        &["CSIStorageCapacity"],
        27,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1beta1",
        &["StorageClass", "VolumeAttachment"],
        22,
        "storage.k8s.io/v1",
    ),
    removal(
        "storage.k8s.io/v1beta1",
        &["VolumeAttributesClass"],
        37,
        "storage.k8s.io/v1",
    ),
    removal(
        "storagemigration.k8s.io/v1alpha1",
        &["StorageVersionMigration"],
        36,
        "storagemigration.k8s.io/v1beta1",
    ),
    removal(
        "storagemigration.k8s.io/v1beta1",
        &["StorageVersionMigration"],
        41,
        "",
    ),
];

/// That Kubernetes stops or stopped serving the API version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// First minor version without it.
    pub(super) removed: Minor,
    /// The apiVersion to write instead.
    pub(super) instead: Option<&'static str>,
}

/// Since when Kubernetes does not serve the API version of an object, when that is known.
pub(super) fn gone(object: &Object) -> Option<Gone> {
    let (api_version, kind) = (object.api_version(), object.kind());
    let found = REMOVALS
        .iter()
        .find(|removal| removal.api_version == api_version && removal.kinds.contains(&kind))?;
    Some(Gone {
        removed: found.removed,
        instead: (!found.instead.is_empty()).then_some(found.instead),
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::kinds;
    use super::*;
    use crate::config::tree::parse;

    fn object(api_version: &str, kind: &str) -> Object {
        let text = format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}}}");
        Object::new(Rc::new(parse(&text).unwrap())).unwrap()
    }

    #[test]
    fn test_minor_versions_are_read() {
        assert_eq!(
            (minor("v1.36.3"), minor("2.9.4"), minor("1")),
            (Some(36), Some(9), None)
        );
    }

    #[test]
    fn test_replacements_are_stable_or_still_there() {
        for removal in &REMOVALS {
            let (group, version) = removal.instead.split_once('/').unwrap_or(("", removal.instead));
            let goes_later =
                |other: &Removal| other.api_version == removal.instead && other.removed > removal.removed;
            let is_known = removal.instead.is_empty()
                || kinds::is_stable(group, version)
                || REMOVALS.iter().any(goes_later);
            assert!(is_known, "{} -> {}", removal.api_version, removal.instead);
        }
    }

    #[test]
    fn test_removed_versions_are_known() {
        let gone = gone(&object("batch/v1beta1", "CronJob")).unwrap();
        assert_eq!((gone.removed, gone.instead), (25, Some("batch/v1")));
        assert_eq!(super::gone(&object("batch/v1", "CronJob")), None);
        assert_eq!(
            super::gone(&object("policy/v1beta1", "PodSecurityPolicy"))
                .unwrap()
                .instead,
            None
        );
    }
}
