//! What a bring-up made and is no longer declared. It stays: a Secret may be the only copy of what is in it, and machines may
//! still hang on a cluster stack. People are told of it.

use std::collections::BTreeSet;

use super::cluster::Workload;
use super::preflight::Systems;
use super::{Bootstrap, identity};
use crate::desired::{self, GATEWAY_NAMESPACE, Manifest};
use crate::kubernetes::{Cluster, KubernetesError, ObjectReference};
use crate::surface::management;
use crate::surface::workload::login_secrets;

/// Kinds that a bring-up makes in the namespace of the Cluster, beside it.
const BESIDE: [(&str, &str); 3] = [
    ("v1", "Secret"),
    ("addons.cluster.x-k8s.io/v1beta2", "ClusterResourceSet"),
    ("clusterstack.x-k8s.io/v1alpha1", "ClusterStack"),
];
/// Those that it makes inside the workload cluster itself.
const INSIDE: [(&str, &str); 1] = [("v1", "Secret")];

/// On the management cluster, beside the Cluster.
pub(super) async fn beside(
    bootstrap: &Bootstrap<'_>,
    management: &Cluster,
) -> Result<Vec<ObjectReference>, KubernetesError> {
    let mut declared = bootstrap.desired.management.clone();
    declared.extend(management::cluster_secrets(bootstrap.environment));
    let namespace = bootstrap.environment.management.namespace.as_str();
    of_kinds(bootstrap, (management, namespace), &BESIDE, &declared).await
}

/// Inside the workload cluster, with the Secrets of logins in namespaces of applications.
pub(super) async fn inside(
    bootstrap: &Bootstrap<'_>,
    workload: &Cluster,
) -> Result<Vec<ObjectReference>, KubernetesError> {
    let declared = management::workload_secrets(bootstrap.environment);
    let mut undeclared = of_kinds(bootstrap, (workload, management::INSIDE), &INSIDE, &declared).await?;
    let zone_key: Vec<Manifest> = identity::zone_key(bootstrap).into_iter().collect();
    let of_gateway = (workload, GATEWAY_NAMESPACE);
    undeclared.extend(of_kinds(bootstrap, of_gateway, &INSIDE, &zone_key).await?);
    let logins = login_secrets(workload, &bootstrap.environment.name).await?;
    let is_declared = |secret: &ObjectReference| {
        let mut clients = bootstrap.desired.realm.clients.iter();
        let namespace = secret.namespace.as_deref().unwrap_or_default();
        clients.any(|client| client.kind.has_secret(namespace, &secret.name))
    };
    undeclared.extend(logins.into_iter().filter(|secret| !is_declared(secret)));
    Ok(undeclared)
}

/// What is left to do by hand, one sentence each.
pub(super) async fn left(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
) -> Result<Vec<String>, KubernetesError> {
    let management = &bootstrap.environment.management.context;
    let cluster = &bootstrap.environment.cluster.name;
    let beside = beside(bootstrap, &systems.management).await?;
    let beside = beside.iter().map(|object| in_words(object, management));
    let inside = inside(bootstrap, &workload.cluster).await?;
    let inside = inside.iter().map(|object| in_words(object, cluster.as_str()));
    Ok(beside.chain(inside).collect())
}

fn in_words(object: &ObjectReference, place: &str) -> String {
    let kind = object.kind.to_lowercase();
    let namespace = object.namespace.as_deref().unwrap_or_default();
    format!(
        "{object} of {place} is no longer declared and stays: `kubectl delete {kind} {} -n {namespace}` once nothing needs it",
        object.name
    )
}

async fn of_kinds(
    bootstrap: &Bootstrap<'_>,
    (cluster, namespace): (&Cluster, &str),
    kinds: &[(&str, &str)],
    declared: &[Manifest],
) -> Result<Vec<ObjectReference>, KubernetesError> {
    // Versions differ between what is declared and what is served.
    let declared: BTreeSet<(&str, &str)> = declared
        .iter()
        .map(|manifest| (manifest.kind(), manifest.name()))
        .collect();
    let ours = desired::selector_of(&bootstrap.environment.name);
    let mut undeclared = Vec::new();
    for (api_version, kind) in kinds {
        for object in cluster.list(api_version, kind, Some(namespace), &ours).await? {
            let reference = ObjectReference::from(&object);
            if !declared.contains(&(reference.kind.as_str(), reference.name.as_str())) {
                undeclared.push(reference);
            }
        }
    }
    Ok(undeclared)
}
