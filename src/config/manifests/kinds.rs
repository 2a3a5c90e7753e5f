//! Which kinds there are: those built into Kubernetes by what Flux may do with them for an application, and the
//! cluster-scoped ones of well-known extensions.

/// Where objects of a kind live, and who may write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In a namespace; the role `edit` may write it.
    Namespaced,
    /// In a namespace, but not for the role `edit`: what people may do and how much they may use is the platform's.
    Reserved,
    /// In no namespace.
    Cluster,
}

/// An API group built into Kubernetes with the version that is stable, and its kinds.
struct Group {
    name: &'static str,
    versions: &'static [&'static str],
    namespaced: &'static [&'static str],
    reserved: &'static [&'static str],
    cluster: &'static [&'static str],
}

/// Kinds of Kubernetes 1.36 that manifests may hold (`k8s.io/api` v0.36.3, `k8s.io/apiextensions-apiserver`,
/// `k8s.io/kube-aggregator`). What `edit` may not write follows `editRules` of the API server's bootstrap policy.
const GROUPS: [Group; 21] = [
    Group {
        name: "",
        versions: &["v1"],
        namespaced: &[
            "ConfigMap",
            "Event",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicationController",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
        reserved: &["Endpoints", "LimitRange", "PodTemplate", "ResourceQuota"],
        cluster: &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
    },
    Group {
        name: "admissionregistration.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    },
    Group {
        name: "apiextensions.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &["CustomResourceDefinition"],
    },
    Group {
        name: "apiregistration.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &["APIService"],
    },
    Group {
        name: "apps",
        versions: &["v1"],
        namespaced: &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
        reserved: &["ControllerRevision"],
        cluster: &[],
    },
    Group {
        name: "authentication.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &["SelfSubjectReview", "TokenReview"],
    },
    Group {
        name: "authorization.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &["LocalSubjectAccessReview"],
        cluster: &[
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    },
    Group {
        name: "autoscaling",
        versions: &["v1", "v2"],
        namespaced: &["HorizontalPodAutoscaler"],
        reserved: &[],
        cluster: &[],
    },
    Group {
        name: "batch",
        versions: &["v1"],
        namespaced: &["CronJob", "Job"],
        reserved: &[],
        cluster: &[],
    },
    Group {
        name: "certificates.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &["PodCertificateRequest"],
        cluster: &["CertificateSigningRequest", "ClusterTrustBundle"],
    },
    Group {
        name: "coordination.k8s.io",
        versions: &["v1"],
        namespaced: &["Lease"],
        reserved: &["LeaseCandidate"],
        cluster: &[],
    },
    Group {
        name: "discovery.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &["EndpointSlice"],
        cluster: &[],
    },
    Group {
        name: "events.k8s.io",
        versions: &["v1"],
        namespaced: &["Event"],
        reserved: &[],
        cluster: &[],
    },
    Group {
        name: "flowcontrol.apiserver.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &["FlowSchema", "PriorityLevelConfiguration"],
    },
    Group {
        name: "networking.k8s.io",
        versions: &["v1"],
        namespaced: &["Ingress", "NetworkPolicy"],
        reserved: &[],
        cluster: &["IPAddress", "IngressClass", "ServiceCIDR"],
    },
    Group {
        name: "node.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &[],
        cluster: &["RuntimeClass"],
    },
    Group {
        name: "policy",
        versions: &["v1"],
        namespaced: &["PodDisruptionBudget"],
        reserved: &["Eviction"],
        cluster: &[],
    },
    Group {
        name: "rbac.authorization.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &["Role", "RoleBinding"],
        cluster: &["ClusterRole", "ClusterRoleBinding"],
    },
    Group {
        name: "resource.k8s.io",
        versions: &["v1"],
        namespaced: &["ResourceClaim", "ResourceClaimTemplate"],
        reserved: &[],
        cluster: &[
            "DeviceClass",
            "DeviceTaintRule",
            "ResourcePoolStatusRequest",
            "ResourceSlice",
        ],
    },
    Group {
        name: "scheduling.k8s.io",
        versions: &["v1"],
        namespaced: &["PodGroup", "Workload"],
        reserved: &[],
        cluster: &["PriorityClass"],
    },
    Group {
        name: "storage.k8s.io",
        versions: &["v1"],
        namespaced: &[],
        reserved: &["CSIStorageCapacity"],
        cluster: &[
            "CSIDriver",
            "CSINode",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    },
];

/// Cluster-scoped kinds of extensions that a platform is likely to have. What is not here is taken as namespaced.
const CLUSTER_SCOPED_EXTENSIONS: [(&str, &[&str]); 16] = [
    ("cert-manager.io", &["ClusterIssuer"]),
    (
        "cilium.io",
        &[
            "CiliumBGPAdvertisement",
            "CiliumBGPClusterConfig",
            "CiliumBGPNodeConfig",
            "CiliumBGPNodeConfigOverride",
            "CiliumBGPPeerConfig",
            "CiliumBGPPeeringPolicy",
            "CiliumCIDRGroup",
            "CiliumClusterwideEnvoyConfig",
            "CiliumClusterwideNetworkPolicy",
            "CiliumEgressGatewayPolicy",
            "CiliumExternalWorkload",
            "CiliumIdentity",
            "CiliumL2AnnouncementPolicy",
            "CiliumLoadBalancerIPPool",
            "CiliumNode",
            "CiliumPodIPPool",
        ],
    ),
    (
        "crd.projectcalico.org",
        &[
            "BGPConfiguration",
            "BGPFilter",
            "BGPPeer",
            "BlockAffinity",
            "CalicoNodeStatus",
            "ClusterInformation",
            "FelixConfiguration",
            "GlobalNetworkPolicy",
            "GlobalNetworkSet",
            "HostEndpoint",
            "IPAMBlock",
            "IPAMConfig",
            "IPPool",
            "IPReservation",
            "KubeControllersConfiguration",
            "Tier",
        ],
    ),
    (
        "external-secrets.io",
        &["ClusterExternalSecret", "ClusterPushSecret", "ClusterSecretStore"],
    ),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    (
        "groupsnapshot.storage.k8s.io",
        &["VolumeGroupSnapshotClass", "VolumeGroupSnapshotContent"],
    ),
    (
        "kyverno.io",
        &["ClusterCleanupPolicy", "ClusterPolicy", "GlobalContextEntry"],
    ),
    (
        "operator.tigera.io",
        &[
            "APIServer",
            "Goldmane",
            "ImageSet",
            "Installation",
            "TigeraStatus",
            "Whisker",
        ],
    ),
    ("operators.coreos.com", &["OLMConfig", "Operator"]),
    ("policy.cert-manager.io", &["CertificateRequestPolicy"]),
    (
        "policy.networking.k8s.io",
        &[
            "AdminNetworkPolicy",
            "BaselineAdminNetworkPolicy",
            "ClusterNetworkPolicy",
        ],
    ),
    ("postgresql.cnpg.io", &["ClusterImageCatalog"]),
    ("runtime.cluster.x-k8s.io", &["ExtensionConfig"]),
    (
        "snapshot.storage.k8s.io",
        &["VolumeSnapshotClass", "VolumeSnapshotContent"],
    ),
    ("templates.gatekeeper.sh", &["ConstraintTemplate"]),
    ("trust.cert-manager.io", &["Bundle"]),
];

/// Where objects of a kind live.
pub(super) fn scope(group: &str, kind: &str) -> Scope {
    let in_group = GROUPS.iter().find(|known| known.name == group);
    let is_cluster_scoped = match in_group {
        Some(known) if known.reserved.contains(&kind) => return Scope::Reserved,
        Some(known) => known.cluster.contains(&kind),
        None => is_cluster_scoped_extension(group, kind),
    };
    if is_cluster_scoped {
        Scope::Cluster
    } else {
        Scope::Namespaced
    }
}

fn is_cluster_scoped_extension(group: &str, kind: &str) -> bool {
    // Every constraint of Gatekeeper is a kind of its own.
    group == "constraints.gatekeeper.sh"
        || CLUSTER_SCOPED_EXTENSIONS
            .iter()
            .any(|(known, kinds)| *known == group && kinds.contains(&kind))
}

/// Whether a group is built into Kubernetes.
pub(super) fn is_built_in(group: &str) -> bool {
    GROUPS.iter().any(|known| known.name == group)
}

/// Whether a group is built into Kubernetes and the version is a stable one of it.
pub(super) fn is_stable(group: &str, version: &str) -> bool {
    GROUPS
        .iter()
        .any(|known| known.name == group && known.versions.contains(&version))
}

/// The kinds of a built-in group.
pub(super) fn kinds_of(group: &str) -> impl Iterator<Item = &'static str> + Clone {
    let known = GROUPS.iter().find(move |known| known.name == group);
    known.into_iter().flat_map(|known| {
        [known.namespaced, known.reserved, known.cluster]
            .into_iter()
            .flatten()
            .copied()
    })
}

/// The stable apiVersions that have a kind.
pub(super) fn api_versions_of(kind: &str) -> impl Iterator<Item = String> {
    GROUPS
        .iter()
        .filter(move |known| kinds_of(known.name).any(|each| each == kind))
        .filter_map(|known| {
            let version = known.versions.last()?;
            Some(if known.name.is_empty() {
                (*version).to_owned()
            } else {
                format!("{}/{version}", known.name)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_scopes_of_built_in_and_other_kinds() {
        assert_eq!(scope("apps", "Deployment"), Scope::Namespaced);
        assert_eq!(scope("", "Namespace"), Scope::Cluster);
        assert_eq!(scope("rbac.authorization.k8s.io", "RoleBinding"), Scope::Reserved);
        assert_eq!(scope("cert-manager.io", "ClusterIssuer"), Scope::Cluster);
        assert_eq!(scope("cert-manager.io", "Issuer"), Scope::Namespaced);
        assert_eq!(
            scope("constraints.gatekeeper.sh", "K8sRequiredLabels"),
            Scope::Cluster
        );
        assert_eq!(scope("example.org", "Namespace"), Scope::Namespaced);
    }

    #[test]
    fn test_tables_are_sorted_and_without_repetition() {
        assert!(GROUPS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(
            CLUSTER_SCOPED_EXTENSIONS
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0)
        );
        for list in GROUPS
            .iter()
            .flat_map(|group| [group.namespaced, group.reserved, group.cluster])
            .chain(CLUSTER_SCOPED_EXTENSIONS.iter().map(|(_, kinds)| *kinds))
        {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
        }
    }

    #[test]
    fn test_api_versions_of_a_kind() {
        assert_eq!(api_versions_of("CronJob").collect::<Vec<_>>(), ["batch/v1"]);
        assert_eq!(
            api_versions_of("HorizontalPodAutoscaler").collect::<Vec<_>>(),
            ["autoscaling/v2"]
        );
        assert_eq!(api_versions_of("Nothing").count(), 0);
    }
}
