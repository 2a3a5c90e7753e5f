//! Plan and apply by server-side apply with our own field manager.

use futures::{StreamExt, TryStreamExt};
use kube::api::{DynamicObject, Patch, PatchParams};

use super::{Cluster, KubernetesError, ObjectReference, difference};
use crate::desired::Manifest;
use crate::plan::{Action, FieldChange, Plan};
use crate::report;

/// Our field manager in every server-side apply.
pub const FIELD_MANAGER: &str = "lotse";

/// Requests under way at once.
const PARALLEL: usize = 8;

/// Apply this manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyOperation(pub Manifest);

/// What applying one object came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensure {
    /// It was not there.
    Added,
    /// It was there and differed.
    Updated,
    /// It was as desired.
    NotNeeded,
}

/// What is applied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wave {
    /// What other objects need to be there.
    Ground,
    Rest,
}

impl Wave {
    fn of(manifest: &Manifest) -> Self {
        match manifest.kind() {
            "Namespace" | "CustomResourceDefinition" => Self::Ground,
            _ => Self::Rest,
        }
    }
}

impl Cluster {
    /// Compares `desired` with the server, by a dry run of the apply, so that defaults, admission and other
    /// field managers are taken into account. Changes nothing. Steps keep the order of `desired`.
    pub async fn plan(&self, desired: &[Manifest]) -> Result<Plan<ApplyOperation>, KubernetesError> {
        let differences: Vec<_> = futures::stream::iter(desired)
            .map(|manifest| self.difference(manifest))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let mut plan = Plan::empty();
        for (manifest, difference) in desired.iter().zip(differences) {
            if let Some((action, fields)) = difference {
                let operation = ApplyOperation(manifest.clone());
                plan.push(action, manifest.to_string(), fields, operation);
            }
        }
        tracing::info!(objects = desired.len(), "compared with the API server");
        plan.log();
        Ok(plan)
    }

    async fn difference(
        &self,
        manifest: &Manifest,
    ) -> Result<Option<(Action, Vec<FieldChange>)>, KubernetesError> {
        let Some(observed) = self.get(manifest).await? else {
            return Ok(Some((Action::Create, Vec::new())));
        };
        let wanted = self.patch(manifest, &self.apply_params().dry_run()).await?;
        let fields = difference::between(&observed, &wanted);
        Ok((!fields.is_empty()).then_some((Action::Update, fields)))
    }

    /// Whether the server would take the object: a dry run of the apply, past all of its admission.
    ///
    /// # Errors
    /// What the server says against it.
    pub async fn would_accept(&self, manifest: &Manifest) -> Result<(), KubernetesError> {
        self.patch(manifest, &self.apply_params().dry_run())
            .await
            .map(drop)
    }

    /// Applies the steps of `plan`, each of which changes something: first what others stand on (namespaces,
    /// definitions), then the rest, several at a time. Tells how many there were.
    ///
    /// # Errors
    /// The first that came; what is under way then ends, what is not begun stays undone.
    pub async fn apply_plan(&self, plan: &Plan<ApplyOperation>) -> Result<usize, KubernetesError> {
        let manifests = || plan.steps.iter().map(|step| &step.operation.0);
        for wave in [Wave::Ground, Wave::Rest] {
            let params = self.apply_params();
            futures::stream::iter(manifests().filter(|manifest| Wave::of(manifest) == wave))
                .map(|manifest| self.patch(manifest, &params))
                .buffer_unordered(PARALLEL)
                .try_for_each(async |_| Ok(()))
                .await?;
        }
        Ok(plan.steps.len())
    }

    /// Applies one object. Does nothing on the server when it is as desired already: server-side apply
    /// without a difference leaves `resourceVersion` as it is.
    pub async fn apply(&self, manifest: &Manifest) -> Result<Ensure, KubernetesError> {
        let version = |object: DynamicObject| object.metadata.resource_version;
        let before = self.get(manifest).await?.map(version);
        let after = version(self.patch(manifest, &self.apply_params()).await?);
        Ok(match before {
            None => Ensure::Added,
            Some(before) if before != after => Ensure::Updated,
            Some(_) => Ensure::NotNeeded,
        })
    }

    /// Applies all objects in order and tells how many were added or updated.
    pub async fn apply_all(&self, manifests: &[Manifest]) -> Result<usize, KubernetesError> {
        let mut changed = 0;
        for manifest in manifests {
            changed += usize::from(self.apply(manifest).await? != Ensure::NotNeeded);
        }
        Ok(changed)
    }

    /// Sets annotations, and nothing else, of an object that is there.
    pub async fn annotate(
        &self,
        object: &ObjectReference,
        annotations: &[(&str, &str)],
    ) -> Result<(), KubernetesError> {
        let annotations: serde_json::Map<_, _> = annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        let patch = serde_json::json!({ "metadata": { "annotations": annotations } });
        report::sends(format_args!("PATCH {object}"));
        self.api_of(object)
            .await?
            .patch(
                &object.name,
                &PatchParams {
                    field_manager: Some(self.manager().to_owned()),
                    ..PatchParams::default()
                },
                &Patch::Merge(&patch),
            )
            .await
            .map_err(|error| KubernetesError::request(format!("annotating {object}"), &error))?;
        Ok(())
    }

    async fn patch(
        &self,
        manifest: &Manifest,
        params: &PatchParams,
    ) -> Result<DynamicObject, KubernetesError> {
        if !params.dry_run {
            report::sends(format_args!("PATCH {manifest}"));
        }
        self.api(manifest)
            .await?
            .patch(manifest.name(), params, &Patch::Apply(manifest.value()))
            .await
            .map_err(|error| KubernetesError::request(format!("applying {manifest}"), &error))
    }

    fn apply_params(&self) -> PatchParams {
        PatchParams::apply(self.manager()).force()
    }
}
