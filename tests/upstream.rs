//! What `lotse check` says of manifests, held to Kubernetes' own test data: pods that each Pod Security Standard admits and
//! refuses (`k8s.io/pod-security-admission`), and objects in which every field is set (`k8s.io/api`). Both modules are
//! dependencies of the lab's Kubernetes; a module that can't be had fails the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use folder::copy;

/// Of the Kubernetes whose types the program knows.
const VERSION: &str = "v0.36.3";

/// Kinds that are held to types, as the files of the test data are named.
const KINDS: [&str; 29] = [
    "apps.v1.DaemonSet",
    "apps.v1.Deployment",
    "apps.v1.ReplicaSet",
    "apps.v1.StatefulSet",
    "autoscaling.v1.HorizontalPodAutoscaler",
    "autoscaling.v2.HorizontalPodAutoscaler",
    "batch.v1.CronJob",
    "batch.v1.Job",
    "coordination.k8s.io.v1.Lease",
    "core.v1.ConfigMap",
    "core.v1.LimitRange",
    "core.v1.Namespace",
    "core.v1.PersistentVolume",
    "core.v1.PersistentVolumeClaim",
    "core.v1.Pod",
    "core.v1.ReplicationController",
    "core.v1.ResourceQuota",
    "core.v1.Secret",
    "core.v1.Service",
    "core.v1.ServiceAccount",
    "networking.k8s.io.v1.Ingress",
    "networking.k8s.io.v1.NetworkPolicy",
    "policy.v1.PodDisruptionBudget",
    "rbac.authorization.k8s.io.v1.ClusterRole",
    "rbac.authorization.k8s.io.v1.ClusterRoleBinding",
    "rbac.authorization.k8s.io.v1.Role",
    "rbac.authorization.k8s.io.v1.RoleBinding",
    "scheduling.k8s.io.v1.PriorityClass",
    "storage.k8s.io.v1.StorageClass",
];

/// Where Go keeps the module, downloaded first where it is not there.
fn module(name: &str) -> Utf8PathBuf {
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{name}@{VERSION}")])
        .env("GOFLAGS", "-mod=mod")
        .current_dir("/")
        .output()
        .expect("go is installed");
    assert!(output.status.success(), "{name}: {output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    Utf8PathBuf::from(told["Dir"].as_str().unwrap())
}

/// A repository with one application of files of somebody else for each name.
struct Repository {
    directory: tempfile::TempDir,
    apps: Vec<String>,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            directory: tempfile::tempdir().unwrap(),
            apps: Vec::new(),
        };
        let base = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base");
        copy(&base, repository.root());
        repository
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.directory.path()).unwrap()
    }

    /// Gives how many files there are.
    fn add(&mut self, name: &str, level: &str, files: impl Iterator<Item = Utf8PathBuf>) -> usize {
        let manifests = self.root().join("apps").join(name).join("manifests");
        let runbooks = self.root().join("runbooks").join(name);
        fs_err::create_dir_all(&manifests).unwrap();
        fs_err::create_dir_all(&runbooks).unwrap();
        fs_err::write(runbooks.join("outage.md"), "# It is down\n").unwrap();
        let declaration = format!(
            "apiVersion: lotse/v1\nkind: App\nname: {name}\ndescription: Test data\nowners: [platform]\n\
             source: {{manifests: manifests}}\npodSecurity: {level}\n"
        );
        fs_err::write(manifests.with_file_name("app.yaml"), declaration).unwrap();
        self.apps.push(name.to_owned());
        let mut count = 0;
        for file in files {
            // The module's files can't be written; copies with their modes could not be removed.
            let text = fs_err::read_to_string(&file).unwrap();
            fs_err::write(manifests.join(file.file_name().unwrap()), text).unwrap();
            count += 1;
        }
        count
    }

    /// Messages by file, of the codes that are asked for.
    fn check(&self, codes: &[&str]) -> BTreeMap<String, Vec<String>> {
        let file = self.root().join("environments/lab/environment.yaml");
        let text = fs_err::read_to_string(&file).unwrap();
        let apps = format!("clusterWide: [{0}]\napps: [{0}]", self.apps.join(", "));
        fs_err::write(&file, text.replace("apps: [web, db]", &apps)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lotse"))
            .args(["-C", self.root().as_str(), "check", "-o", "json"])
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for diagnostic in told["diagnostics"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if codes.contains(&text(&diagnostic["code"]).as_str()) {
                let path = text(&diagnostic["labels"][0]["path"]);
                found.entry(path).or_default().push(text(&diagnostic["message"]));
            }
        }
        found
    }
}

fn files_in(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = folder.read_dir_utf8().unwrap();
    let mut files: Vec<Utf8PathBuf> = entries.map(|entry| entry.unwrap().into_path()).collect();
    files.sort();
    files
}

/// The newest rules there are data of.
fn newest(level: &Utf8Path) -> Utf8PathBuf {
    let minor = |path: &Utf8PathBuf| path.as_str().rsplit_once('.').unwrap().1.parse::<u32>().unwrap();
    files_in(level).into_iter().max_by_key(minor).unwrap()
}

#[test]
fn test_pods_are_judged_as_kubernetes_does() {
    let data = module("k8s.io/pod-security-admission").join("test/testdata");
    let mut repository = Repository::new();
    for level in ["baseline", "restricted"] {
        let rules = newest(&data.join(level));
        for kind in ["pass", "fail"] {
            let count = repository.add(
                &format!("{level}-{kind}"),
                level,
                files_in(&rules.join(kind)).into_iter(),
            );
            assert!(count > 10, "{level} {kind}: {count} files");
        }
    }
    let told = repository.check(&["E0416"]);
    let refused: BTreeSet<&str> = told.keys().map(String::as_str).collect();
    for app in &repository.apps {
        for file in files_in(&repository.root().join("apps").join(app).join("manifests")) {
            let path = file.strip_prefix(repository.root()).unwrap();
            let is_refused = refused.contains(path.as_str());
            let text = fs_err::read_to_string(&file).unwrap();
            assert_eq!(
                is_refused,
                app.ends_with("-fail"),
                "{path}: {:?}\n{text}",
                told.get(path.as_str())
            );
        }
    }
}

#[test]
fn test_every_field_of_kubernetes_is_known() {
    let data = module("k8s.io/api").join("testdata/HEAD");
    let mut repository = Repository::new();
    let files = KINDS.iter().map(|kind| data.join(format!("{kind}.yaml")));
    assert_eq!(repository.add("everything", "privileged", files), KINDS.len());
    let told = repository.check(&["E0415"]);
    // The data is made up: values are none that a server would take, but the types are right.
    let of_types = ["Kubernetes knows no", "belongs here", "is missing", "is not "];
    let is_of_fields = |message: &&String| of_types.iter().any(|words| message.contains(words));
    let wrong: Vec<(&String, Vec<&String>)> = told
        .iter()
        .map(|(path, messages)| (path, messages.iter().filter(is_of_fields).collect::<Vec<_>>()))
        .filter(|(_, messages)| !messages.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
