//! Which fields the API server wants in its types beyond what decoding tells.

/// Fields without which an object of that type is refused (`required` in the `OpenAPI` document of Kubernetes 1.36, and what
/// its validation wants of the types that people write).
pub(super) fn required(name: &str) -> &'static [&'static str] {
    match name {
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "CronJob"
        | "PersistentVolumeClaim"
        | "Ingress"
        | "HorizontalPodAutoscaler"
        | "PodDisruptionBudget" => &["spec"],
        "DeploymentSpec" | "StatefulSetSpec" | "DaemonSetSpec" => &["selector", "template"],
        "JobSpec" => &["template"],
        "CronJobSpec" => &["schedule", "jobTemplate"],
        "PodSpec" => &["containers"],
        "Container" => &["name", "image"],
        "EnvVar" | "Volume" => &["name"],
        "ContainerPort" => &["containerPort"],
        "VolumeMount" => &["name", "mountPath"],
        "SecretKeySelector" | "ConfigMapKeySelector" => &["key"],
        "KeyToPath" => &["key", "path"],
        "ServicePort" | "HTTPGetAction" | "TCPSocketAction" => &["port"],
        "PersistentVolumeClaimVolumeSource" => &["claimName"],
        "HostPathVolumeSource" => &["path"],
        "RoleRef" => &["apiGroup", "kind", "name"],
        "PolicyRule" => &["verbs"],
        "HorizontalPodAutoscalerSpec" => &["maxReplicas", "scaleTargetRef"],
        _ => &[],
    }
}
