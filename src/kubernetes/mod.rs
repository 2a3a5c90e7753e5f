//! Talking to a kube-apiserver: connect, read, plan and apply by server-side apply, wait by watching.
//!
//! The management cluster and the workload cluster are both reached through here.

mod apply;
mod condition;
mod conflict;
mod connect;
mod difference;
mod error;
#[cfg(test)]
mod faults_tests;
mod kubeconfig;
mod manifests;
mod read;
mod reference;
mod trail;
mod wait;

pub use apply::{ApplyOperation, Ensure, FIELD_MANAGER};
pub use condition::{Condition, condition, conditions, is_true};
pub use connect::Cluster;
pub use difference::between_texts;
pub use error::KubernetesError;
pub use kubeconfig::{ApiServer, NotMerged, kubeconfig, merged};
pub use manifests::read_manifests;
pub use reference::ObjectReference;
pub use trail::{Trail, remedy, why_unready};
pub use wait::{Look, Runbooks, Wait, Watched};
