//! What holds for every tree.

use std::collections::{BTreeMap, BTreeSet};

use lotse::config::{Declarations, yaml};
use lotse::desired::Manifest;
use lotse::render::{self, Tree};
use proptest::prelude::*;
use serde_json::Value;

use crate::declared::declarations;
use crate::{desired, names, objects, of_kind, texts};

const FLUX: &str = "flux-system";
/// The longest value of a label.
const LABEL_VALUE_LIMIT: usize = 63;

/// The same declarations with every list turned round whose order says nothing.
fn reversed(declarations: &Declarations) -> Declarations {
    let mut declarations = declarations.clone();
    declarations.apps.reverse();
    declarations.environment.cluster_wide.reverse();
    for app in &mut declarations.apps {
        app.owners.reverse();
        app.hosts.reverse();
        app.access.reverse();
        app.depends_on.reverse();
        app.network.allow_from.reverse();
        app.network.allow_to.reverse();
    }
    declarations
}

/// Files that a kustomization of the tree names, relative to the repository.
fn listed(tree: &Tree, folder: &str) -> BTreeSet<String> {
    let path = tree.folder.join(folder).join("kustomization.yaml");
    let Some(text) = tree.files.get(&path) else {
        return BTreeSet::new();
    };
    let document = yaml::documents(text).unwrap().remove(0);
    let resources = texts(&document, "/resources", "");
    let within = resources
        .iter()
        .map(|resource| tree.folder.join(folder).join(resource).to_string());
    within.collect()
}

fn text<'manifest>(manifest: &'manifest Manifest, pointer: &str) -> Option<&'manifest str> {
    manifest.value().pointer(pointer).and_then(Value::as_str)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn test_the_tree_depends_on_what_is_declared_only(declared in declarations()) {
        let first = render::tree(&desired(&declared)).unwrap();
        prop_assert_eq!(&first, &render::tree(&desired(&declared)).unwrap());
        prop_assert_eq!(&first, &render::tree(&desired(&reversed(&declared))).unwrap());
    }

    #[test]
    fn test_files_read_back_as_what_is_desired(declared in declarations()) {
        let desired = desired(&declared);
        let tree = render::tree(&desired).unwrap();
        for file in desired.files() {
            let path = &file.path;
            let wanted: Vec<Value> = file.manifests.iter().map(|each| each.value().clone()).collect();
            let text = &tree.files[&tree.folder.join(path)];
            prop_assert_eq!(yaml::documents(text).unwrap(), wanted, "{}", path);
        }
    }

    #[test]
    fn test_objects_are_unique_marked_and_named_within_limits(declared in declarations()) {
        let desired = desired(&declared);
        let mut seen = BTreeSet::new();
        for object in objects(&desired).chain(desired.management.clone().leak().iter()) {
            prop_assert!(seen.insert((object.api_version(), object.to_string())), "{} is there twice", object);
            let labels = object.value()["metadata"]["labels"].as_object().unwrap();
            prop_assert_eq!(&labels["lotse.dev/environment"], "lab");
            prop_assert_eq!(&labels["app.kubernetes.io/managed-by"], "lotse");
            for (key, value) in labels {
                let name = key.rsplit('/').next().unwrap_or_default();
                prop_assert!(name.len() <= LABEL_VALUE_LIMIT && value.as_str().unwrap().len() <= LABEL_VALUE_LIMIT);
            }
            // Flux writes the names of its objects into labels of what they deliver.
            let is_written_into_labels = ["Kustomization", "HelmRelease", "Namespace", "Service"].contains(&object.kind());
            let limit = if is_written_into_labels { LABEL_VALUE_LIMIT } else { 253 };
            prop_assert!(object.name().len() <= limit, "{}", object);
        }
        for release in of_kind(&desired, "HelmRelease") {
            prop_assert!(text(release, "/spec/releaseName").unwrap().len() <= 53);
        }
    }

    #[test]
    fn test_every_object_is_delivered_by_exactly_one_kustomization(declared in declarations()) {
        let desired = desired(&declared);
        let tree = render::tree(&desired).unwrap();
        let (root, gateway) = (listed(&tree, ""), listed(&tree, "gateway"));
        let paths: BTreeSet<&str> =
            of_kind(&desired, "Kustomization").into_iter().filter_map(|each| text(each, "/spec/path")).collect();
        for file in desired.files() {
            let path = &file.path;
            let rendered = tree.folder.join(path).to_string();
            let folder = format!("./{}", tree.folder.join(path).parent().unwrap());
            let delivered = [
                root.contains(&rendered) || path.starts_with(FLUX),
                gateway.contains(&rendered) && paths.contains("./clusters/lab/gateway"),
                path.starts_with("releases") && paths.contains(folder.as_str()),
            ];
            prop_assert_eq!(delivered.iter().filter(|each| **each).count(), 1, "{}", path);
        }
        for file in root.iter().chain(&gateway).filter(|file| !file.ends_with(FLUX)) {
            prop_assert!(tree.files.contains_key(camino::Utf8Path::new(file)), "{} is not there", file);
        }
    }

    #[test]
    fn test_what_flux_is_told_refers_to_what_is_there(declared in declarations()) {
        let desired = desired(&declared);
        let mut accounts = names(&desired, "ServiceAccount", FLUX);
        accounts.insert("kustomize-controller");
        let kustomizations = names(&desired, "Kustomization", FLUX);
        for object in objects(&desired).filter(|each| each.api_version().contains("fluxcd.io")) {
            prop_assert_eq!(object.namespace(), Some(FLUX), "{}", object);
            prop_assert_eq!(object.value().pointer("/spec/sourceRef/namespace"), None);
        }
        let delivering = of_kind(&desired, "Kustomization").into_iter().chain(of_kind(&desired, "HelmRelease"));
        for object in delivering {
            let account = text(object, "/spec/serviceAccountName");
            prop_assert!(account.is_some_and(|account| accounts.contains(account)), "{}: {:?}", object, account);
            for dependency in texts(object.value(), "/spec/dependsOn", "/name") {
                prop_assert!(kustomizations.contains(dependency), "{} waits for {}", object, dependency);
            }
            let sources = ["/spec/sourceRef", "/spec/chartRef", "/spec/chart/spec/sourceRef"];
            let source = sources.iter().find_map(|pointer| object.value().pointer(pointer)).unwrap();
            let kind = source["kind"].as_str().unwrap();
            let name = source["name"].as_str().unwrap();
            prop_assert!(names(&desired, kind, FLUX).contains(name), "{} has no {}/{}", object, kind, name);
        }
    }

    #[test]
    fn test_waiting_for_each_other_ends(declared in declarations()) {
        let desired = desired(&declared);
        let mut waiting: BTreeMap<&str, BTreeSet<&str>> = of_kind(&desired, "Kustomization")
            .into_iter()
            .map(|each| (each.name(), texts(each.value(), "/spec/dependsOn", "/name").into_iter().collect()))
            .collect();
        while !waiting.is_empty() {
            let ready: BTreeSet<&str> =
                waiting.iter().filter(|(_, others)| others.is_empty()).map(|(name, _)| *name).collect();
            prop_assert!(!ready.is_empty(), "a circle among {:?}", waiting);
            waiting.retain(|name, _| !ready.contains(name));
            for others in waiting.values_mut() {
                others.retain(|name| !ready.contains(name));
            }
        }
    }

    #[test]
    fn test_every_application_is_closed_in(declared in declarations()) {
        let desired = desired(&declared);
        for app in &declared.apps {
            let namespace = app.name.as_str();
            let is_cluster_wide = declared.environment.cluster_wide.contains(&app.name);
            prop_assert!(names(&desired, "NetworkPolicy", namespace).contains("default-deny"));
            prop_assert!(names(&desired, "LimitRange", namespace).contains("defaults"));
            let policies = of_kind(&desired, "NetworkPolicy");
            for policy in policies.into_iter().filter(|each| each.namespace() == Some(namespace)) {
                let directions = &policy.value()["spec"]["policyTypes"];
                prop_assert_eq!(directions, &serde_json::json!(["Ingress", "Egress"]));
            }
            let quota = of_kind(&desired, "ResourceQuota")
                .into_iter()
                .find(|each| each.namespace() == Some(namespace));
            let load_balancers = quota.and_then(|quota| text(quota, "/spec/hard/services.loadbalancers"));
            prop_assert_eq!(load_balancers, (!is_cluster_wide).then_some("0"));
        }
        let administrators: BTreeSet<&str> = of_kind(&desired, "ClusterRoleBinding")
            .into_iter()
            .flat_map(|each| texts(each.value(), "/subjects", "/name"))
            .collect();
        let wanted: BTreeSet<&str> = declared.environment.cluster_wide.iter().map(AsRef::as_ref).collect();
        prop_assert_eq!(administrators, wanted);
    }
}
