//! The proof that access is as declared: asked of the cluster itself, with a person's own token.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::WorkloadError;
use crate::kubernetes::{Cluster, KubernetesError};

/// May the bearer do this? As in `kubectl auth can-i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `get`, `create`, `delete`, ...
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// The resource, in the plural (`deployments`).
    pub resource: String,
    /// In which namespace; `None` asks about all.
    pub namespace: Option<String>,
}

impl Question {
    fn attributes(&self) -> ResourceAttributes {
        ResourceAttributes {
            verb: Some(self.verb.clone()),
            group: Some(self.group.clone()),
            resource: Some(self.resource.clone()),
            namespace: self.namespace.clone(),
            ..ResourceAttributes::default()
        }
    }
}

/// As whom the cluster knows the bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name, with the prefix that the cluster gives.
    pub username: String,
    /// Groups, with the prefix that the cluster gives.
    pub groups: Vec<String>,
}

/// Whether the bearer of `cluster`'s credentials (see [`Cluster::as_bearer`]) may do what is asked. `person` says in
/// errors whose token it is.
pub async fn can(cluster: &Cluster, person: &str, question: &Question) -> Result<bool, WorkloadError> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(question.attributes()),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client());
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .map_err(|error| explain(person, &error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Whether somebody with this name and these groups may do what is asked; asked by somebody who may ask about others.
pub async fn may(cluster: &Cluster, identity: &Identity, question: &Question) -> Result<bool, WorkloadError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(identity.username.clone()),
            groups: Some(identity.groups.clone()),
            resource_attributes: Some(question.attributes()),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(cluster.client());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| explain(&identity.username, &error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// As whom the cluster knows the bearer.
pub async fn whoami(cluster: &Cluster, person: &str) -> Result<Identity, WorkloadError> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client());
    let answer = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| explain(person, &error))?;
    Ok(identity(answer.status.unwrap_or_default()))
}

fn identity(status: SelfSubjectReviewStatus) -> Identity {
    let user = status.user_info.unwrap_or_default();
    Identity {
        username: user.username.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
    }
}

fn explain(person: &str, error: &kube::Error) -> WorkloadError {
    match error {
        kube::Error::Api(status) if status.code == 401 => WorkloadError::TokenRefused {
            person: person.to_owned(),
            reason: status.message.clone(),
        },
        other => KubernetesError::request(format!("asking what {person} may do"), other).into(),
    }
}
