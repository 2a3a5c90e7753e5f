//! The management cluster: the cluster stack, the cluster made from its class, and what holds them up.
//!
//! Namespace, `ClusterStack` and `Cluster` are planned and applied as any Kubernetes object
//! ([`crate::kubernetes::Cluster::plan`]); here is what is particular to them.

mod cluster;
mod error;
mod identity;
mod lease;
mod secrets;
mod spelling;
mod stack;
mod versions;

pub use cluster::{kubeconfig, wait_for_cluster};
pub use error::ManagementError;
pub use identity::IdentityPlace;
pub use lease::{HeldTurn, Turn, take};
pub use secrets::{INSIDE, cluster_secrets, workload_secrets, zone_key};
pub use spelling::{AUTHENTICATION, Fitted, Logins, fit};
pub use stack::wait_for_class;
pub use versions::{Served, adapt, served};

/// API group of Cluster API.
const CLUSTER_GROUP: &str = "cluster.x-k8s.io";
/// API group of what Cluster API adds to a cluster.
const ADDONS_GROUP: &str = "addons.cluster.x-k8s.io";
/// API group of the cluster-stack-operator.
const STACK_GROUP: &str = "clusterstack.x-k8s.io";
