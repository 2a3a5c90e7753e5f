//! The Secrets by which Cluster API and everybody else reach a workload cluster.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch};
use kube::{Api, Client, Resource};

use super::context::ProviderContext;
use super::owner::Owner;
use super::resources::LabControlPlane;
use super::status;
use crate::kubernetes::KubernetesError;
use crate::lab::control_plane::RunningControlPlane;

/// Type of Cluster API's Secrets.
const TYPE: &str = "cluster.x-k8s.io/secret";
/// Cluster API watches only Secrets with this label.
pub(super) const CLUSTER_LABEL: &str = "cluster.x-k8s.io/cluster-name";

/// Writes `<cluster>-kubeconfig` and `<cluster>-ca`; they go with the control plane.
///
/// The authority's key is not among them: it stays in the lab's state.
pub(super) async fn write(
    object: &LabControlPlane,
    owner: &Owner,
    running: &RunningControlPlane,
    context: &ProviderContext,
) -> Result<(), KubernetesError> {
    let api: Api<Secret> = Api::namespaced(context.client(), &owner.namespace);
    for (suffix, key, value) in [
        ("kubeconfig", "value", running.kubeconfig.expose()),
        ("ca", "tls.crt", running.ca_pem.as_str()),
    ] {
        let name = format!("{}-{suffix}", owner.name);
        let secret = secret(object, owner, &name, (key, value));
        api.patch(&name, &status::parameters(), &Patch::Apply(&secret))
            .await
            .map_err(|error| {
                KubernetesError::request(format!("writing Secret/{}/{name}", owner.namespace), &error)
            })?;
    }
    Ok(())
}

/// Whether somebody can connect to the cluster: the kubeconfig is written when its API server answers.
pub(super) async fn kubeconfig_exists(client: Client, owner: &Owner) -> Result<bool, KubernetesError> {
    let api: Api<Secret> = Api::namespaced(client, &owner.namespace);
    let name = format!("{}-kubeconfig", owner.name);
    let found = api.get_metadata_opt(&name).await.map_err(|error| {
        KubernetesError::request(format!("reading Secret/{}/{name}", owner.namespace), &error)
    })?;
    Ok(found.is_some())
}

fn secret(object: &LabControlPlane, owner: &Owner, name: &str, (key, value): (&str, &str)) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(owner.namespace.clone()),
            labels: Some(BTreeMap::from([(CLUSTER_LABEL.to_owned(), owner.name.clone())])),
            owner_references: object.controller_owner_ref(&()).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(BTreeMap::from([(
            key.to_owned(),
            ByteString(value.as_bytes().to_vec()),
        )])),
        ..Secret::default()
    }
}
