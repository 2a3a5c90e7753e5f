//! Plan and apply by server-side apply with our own field manager.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{DynamicObject, Patch, PatchParams};

use super::conflict::{conflicts, is_by_hand};
use super::{Cluster, KubernetesError, ObjectReference, difference};
use crate::desired::Manifest;
use crate::plan::{Action, Change, FieldConflict, Plan, Step};
use crate::report;

/// Our field manager in every server-side apply.
pub const FIELD_MANAGER: &str = "lotse";

/// Requests under way at once.
const PARALLEL: usize = 8;
/// After such pauses a request that can be repeated is sent again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

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
    /// field managers are taken into account. Changes nothing. Steps keep the order of `desired`. What others keep from
    /// being changed is in the plan, too, with their names.
    pub async fn plan(&self, desired: &[Manifest]) -> Result<Plan<ApplyOperation>, KubernetesError> {
        let differences: Vec<_> = futures::stream::iter(desired)
            .map(|manifest| self.difference(manifest))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let mut plan = Plan::empty();
        for (manifest, difference) in desired.iter().zip(differences) {
            if let Some(change) = difference {
                let operation = ApplyOperation(manifest.clone());
                plan.steps.push(Step { change, operation });
            }
        }
        tracing::info!(objects = desired.len(), "compared with the API server");
        plan.log();
        Ok(plan)
    }

    async fn difference(&self, manifest: &Manifest) -> Result<Option<Change>, KubernetesError> {
        let Some(observed) = self.get(manifest).await? else {
            return Ok(Some(Change::whole(Action::Create, manifest.to_string())));
        };
        let (wanted, conflicts) = match self.patch(manifest, Sending::DryRun).await {
            Err(KubernetesError::Conflict { conflicts, .. }) => {
                let forced = Sending::DryRun.params(self.manager()).force();
                let wanted = self.send(manifest, &forced).await;
                (wanted.map_err(|refusal| refusal.of(manifest))?, conflicts)
            }
            other => (other?, Vec::new()),
        };
        let fields = difference::between(&observed, &wanted);
        Ok((!fields.is_empty()).then(|| Change {
            fields,
            conflicts,
            ..Change::whole(Action::Update, manifest.to_string())
        }))
    }

    /// Whether the server would take the object: a dry run of the apply, past all of its admission.
    ///
    /// # Errors
    /// What the server says against it.
    pub async fn would_accept(&self, manifest: &Manifest) -> Result<(), KubernetesError> {
        self.patch(manifest, Sending::DryRun).await.map(drop)
    }

    /// Applies the steps of `plan`, each of which changes something: first what others stand on (namespaces,
    /// definitions), then the rest, several at a time. Tells how many there were.
    ///
    /// # Errors
    /// Conflicts that the plan knows of, before anything is sent. Otherwise the first that came; what is under way then
    /// ends, what is not begun stays undone.
    pub async fn apply_plan(&self, plan: &Plan<ApplyOperation>) -> Result<usize, KubernetesError> {
        if let Some(change) = plan.changes().find(|change| !change.conflicts.is_empty()) {
            return Err(KubernetesError::Conflict {
                object: change.object.clone(),
                conflicts: change.conflicts.clone(),
            });
        }
        let manifests = || plan.steps.iter().map(|step| &step.operation.0);
        for wave in [Wave::Ground, Wave::Rest] {
            futures::stream::iter(manifests().filter(|manifest| Wave::of(manifest) == wave))
                .map(|manifest| self.patch(manifest, Sending::ForReal))
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
        let after = version(self.patch(manifest, Sending::ForReal).await?);
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

    /// Applies `manifest`, or tries to (`Sending::DryRun`). Fields that somebody set by hand are put right; those that
    /// another program has set are left to it, unless this connection overrules others.
    async fn patch(&self, manifest: &Manifest, sending: Sending) -> Result<DynamicObject, KubernetesError> {
        let gentle = sending.params(self.manager());
        let params = if self.overrules() {
            gentle.clone().force()
        } else {
            gentle.clone()
        };
        match self.send(manifest, &params).await {
            Err(Refusal::Conflict(conflicts)) if conflicts.iter().all(is_by_hand) => {
                self.send(manifest, &gentle.force()).await
            }
            other => other,
        }
        .map_err(|refusal| refusal.of(manifest))
    }

    async fn send(&self, manifest: &Manifest, params: &PatchParams) -> Result<DynamicObject, Refusal> {
        let api = self.api(manifest).await.map_err(Refusal::Other)?;
        if !params.dry_run {
            report::sends(format_args!("PATCH {manifest}"));
        }
        let patch = Patch::Apply(manifest.value());
        let sent = persistently(async || {
            api.patch(manifest.name(), params, &patch)
                .await
                .map_err(|error| match &error {
                    kube::Error::Api(status) if !conflicts(status).is_empty() => {
                        Refusal::Conflict(conflicts(status))
                    }
                    _ => Refusal::Other(KubernetesError::request(format!("applying {manifest}"), &error)),
                })
        });
        sent.await
    }
}

/// Whether a request changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    ForReal,
    DryRun,
}

impl Sending {
    fn params(self, manager: &str) -> PatchParams {
        let params = PatchParams::apply(manager);
        match self {
            Self::ForReal => params,
            Self::DryRun => params.dry_run(),
        }
    }
}

/// Why the server did not take an object.
enum Refusal {
    Conflict(Vec<FieldConflict>),
    Other(KubernetesError),
}

impl Refusal {
    /// The error that it is for `manifest`.
    fn of(self, manifest: &Manifest) -> KubernetesError {
        match self {
            Self::Conflict(conflicts) => KubernetesError::Conflict {
                object: manifest.to_string(),
                conflicts,
            },
            Self::Other(error) => error,
        }
    }
}

/// Sends a request that can be repeated again where no answer came, or a fault of the server: connections are cut, and
/// API servers are started anew, in mid-work.
async fn persistently<T>(request: impl AsyncFn() -> Result<T, Refusal>) -> Result<T, Refusal> {
    for pause in PAUSES {
        match request().await {
            Err(Refusal::Other(error)) if error.is_transient() => {
                tracing::info!(%error, "is sent again");
                tokio::time::sleep(pause).await;
            }
            other => return other,
        }
    }
    request().await
}
