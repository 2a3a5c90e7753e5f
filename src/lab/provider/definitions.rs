//! The lab's kinds made known to the management cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, CustomResourceExt, ResourceExt};

use super::ProviderError;
use super::resources::{LabCluster, LabClusterTemplate, LabControlPlane, LabControlPlaneTemplate};
use crate::kubernetes::{Cluster, FIELD_MANAGER, KubernetesError};

/// Cluster API reads from this label which of our versions honours which version of its contract.
const CONTRACT_LABEL: (&str, &str) = ("cluster.x-k8s.io/v1beta2", "v1alpha1");
/// How Cluster API and its tools name the provider a kind belongs to.
const PROVIDER_LABEL: &str = "cluster.x-k8s.io/provider";

/// All definitions, labelled for Cluster API.
pub(super) fn all() -> Vec<CustomResourceDefinition> {
    let infrastructure =
        [LabCluster::crd(), LabClusterTemplate::crd()].map(|crd| (crd, "infrastructure-lab"));
    let control_plane =
        [LabControlPlane::crd(), LabControlPlaneTemplate::crd()].map(|crd| (crd, "control-plane-lab"));
    infrastructure
        .into_iter()
        .chain(control_plane)
        .map(|(crd, provider)| labelled(crd, provider))
        .collect()
}

fn labelled(mut definition: CustomResourceDefinition, provider: &str) -> CustomResourceDefinition {
    let labels = definition.labels_mut();
    labels.insert(CONTRACT_LABEL.0.to_owned(), CONTRACT_LABEL.1.to_owned());
    labels.insert(PROVIDER_LABEL.to_owned(), provider.to_owned());
    definition
}

/// Applies all definitions and waits until the server serves them.
pub(super) async fn install(cluster: &Cluster) -> Result<(), ProviderError> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client());
    for definition in all() {
        let name = definition.name_any();
        let refused = |source| ProviderError::Definition {
            name: name.clone(),
            source,
        };
        api.patch(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&definition),
        )
        .await
        .map_err(|error| refused(KubernetesError::request("applying it", &error)))?;
        await_condition(api.clone(), &name, conditions::is_crd_established())
            .await
            .map_err(|error| ProviderError::NotServed {
                name: name.clone(),
                reason: error.to_string(),
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_names_and_labels_follow_the_contract() {
        for definition in all() {
            let spec = &definition.spec;
            assert_eq!(spec.names.plural, format!("{}s", spec.names.kind.to_lowercase()));
            assert_eq!(
                definition.name_any(),
                format!("{}.{}", spec.names.plural, spec.group)
            );
            assert_eq!(
                definition.labels().get(CONTRACT_LABEL.0).unwrap(),
                &spec.versions[0].name
            );
        }
    }

    #[test]
    fn test_schemas_are_structural() {
        let text = serde_json::to_string(&all()).unwrap();
        for forbidden in ["\"$ref\"", "\"definitions\"", "\"$defs\"", "\"allOf\"", "uint"] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn test_control_plane_fields_keep_their_spelling() {
        let definition = LabControlPlane::crd();
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
        for field in ["version", "certSANs", "oidc", "nodes"] {
            assert!(spec.get(field).is_some(), "{field}");
        }
        let oidc = &spec["oidc"]["properties"];
        assert_eq!(oidc["usernameClaim"]["default"], "preferred_username");
        assert_eq!(oidc["groupsPrefix"]["default"], "oidc:");
        assert!(oidc.get("clientID").is_some() && oidc.get("issuerURL").is_some());
    }
}
