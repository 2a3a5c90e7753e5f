//! The pods that an object makes.

use super::node::{at, entries, field, items};
use super::object::Object;
use crate::config::tree::Node;

/// Lists of containers in a pod.
pub(super) const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// What the pods of an object are made from.
#[derive(Clone, Copy)]
pub(super) struct PodTemplate<'object> {
    /// `metadata` of a pod, when the template has any.
    pub(super) metadata: Option<&'object Node>,
    /// `spec` of a pod.
    pub(super) spec: &'object Node,
}

impl<'object> PodTemplate<'object> {
    /// The template in a built-in object that makes pods, or is one.
    pub(super) fn of(object: &'object Object) -> Option<Self> {
        let path: &[&str] = match (object.group(), object.kind()) {
            ("", "Pod") => &[],
            ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
            | ("batch", "Job")
            | ("", "ReplicationController") => &["spec", "template"],
            ("batch", "CronJob") => &["spec", "jobTemplate", "spec", "template"],
            _ => return None,
        };
        let template = at(&object.node, path)?;
        Some(Self {
            metadata: field(template, "metadata"),
            spec: field(template, "spec")?,
        })
    }

    /// All containers, those of the beginning too.
    pub(super) fn containers(self) -> impl Iterator<Item = &'object Node> {
        let lists = CONTAINER_LISTS.into_iter();
        lists.flat_map(move |list| field(self.spec, list).map_or(&[][..], items))
    }

    /// The annotations of its pods.
    pub(super) fn annotations(self) -> impl Iterator<Item = (&'object str, &'object Node)> {
        let annotations = self.metadata.and_then(|metadata| field(metadata, "annotations"));
        let annotations = annotations.map_or(&[][..], entries);
        annotations.iter().map(|(key, value)| (key.name.as_str(), value))
    }

    /// The labels of its pods.
    pub(super) fn labels(self) -> Option<&'object Node> {
        self.metadata.and_then(|metadata| field(metadata, "labels"))
    }
}
