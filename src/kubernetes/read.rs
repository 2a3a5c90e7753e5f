//! Reading objects of any kind.

use kube::api::{DynamicObject, ListParams};

use super::{Cluster, KubernetesError, ObjectReference};
use crate::desired::Manifest;

impl Cluster {
    /// The object as the server has it, `None` when it is not there or its kind is not served.
    pub async fn get(&self, manifest: &Manifest) -> Result<Option<DynamicObject>, KubernetesError> {
        self.read(&ObjectReference::from(manifest)).await
    }

    /// The object as the server has it, `None` when it is not there or its kind is not served.
    pub async fn read(&self, object: &ObjectReference) -> Result<Option<DynamicObject>, KubernetesError> {
        let api = match self.api_of(object).await {
            Err(KubernetesError::NotServed { .. }) => return Ok(None),
            other => other?,
        };
        api.get_opt(&object.name)
            .await
            .map_err(|error| KubernetesError::request(format!("reading {object}"), &error))
    }

    /// All objects of one kind that carry `labels` (a label selector, empty for all), sorted by the server. Empty
    /// when the kind is not served. `namespace` as in [`Cluster::api_for`].
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, KubernetesError> {
        let api = match self.api_for(api_version, kind, namespace).await {
            Err(KubernetesError::NotServed { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let objects = api
            .list(&ListParams::default().labels(labels))
            .await
            .map_err(|error| KubernetesError::request(format!("listing {kind}"), &error))?;
        let types = objects.types.clone();
        Ok(objects
            .items
            .into_iter()
            .map(|mut object| {
                // The server leaves the kind out of the items of a list.
                if object.types.as_ref().is_none_or(|types| types.kind.is_empty()) {
                    object.types = Some(kube::core::TypeMeta {
                        api_version: types.api_version.clone(),
                        kind: kind.to_owned(),
                    });
                }
                object
            })
            .collect())
    }

    /// The versions in which the server serves the API group, best first; empty when it does not.
    pub async fn served_versions(&self, group: &str) -> Result<Vec<String>, KubernetesError> {
        let groups = self.client().list_api_groups().await.map_err(|error| {
            KubernetesError::request("asking which API groups are served".to_owned(), &error)
        })?;
        Ok(groups
            .groups
            .into_iter()
            .find(|candidate| candidate.name == group)
            .map(|found| {
                found
                    .versions
                    .into_iter()
                    .map(|version| version.version)
                    .collect()
            })
            .unwrap_or_default())
    }
}
