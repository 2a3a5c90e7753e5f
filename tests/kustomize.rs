//! Kustomizations are read as kubectl builds them: the same objects with the same images, and the same refusals.
//!
//! kubectl is the one of the lab, built from its pinned module when it is not there yet.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the settings of the command line are no part of this test"
)]

mod folder;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::date;
use lotse::config::{self, manifest_outlines};
use lotse::diag::Severity;
use lotse::lab::component::{Component, Components, Sources};

use folder::copy;

type Files = &'static [(&'static str, &'static str)];

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: prepare, image: 'localhost:5000/prepare:1'}]
      containers: [{name: web, image: nginx}, {name: exporter, image: 'quay.io/exporter:1.4.2'}]
      volumes: [{name: scratch, emptyDir: {}}]
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
";
const JOB: &str = "apiVersion: batch/v1
kind: CronJob
metadata: {name: job, annotations: {note: x}}
spec:
  schedule: '0 3 * * *'
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: 'busybox:1'}]}}}}
";

/// What kubectl builds.
const BUILT: &[(&str, Files)] = &[
    (
        "names, namespace and images",
        &[
            (
                "kustomization.yaml",
                "resources: [deployment.yaml, service.yaml, job.yaml, other.yaml]
namespace: web
namePrefix: a-
nameSuffix: -z
images:
  - {name: nginx, newTag: 1.27.0}
  - {name: localhost:5000/prepare, newName: quay.io/prepare}
  - {name: busybox, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
",
            ),
            ("deployment.yaml", DEPLOYMENT),
            ("service.yaml", SERVICE),
            ("job.yaml", JOB),
            (
                "other.yaml",
                "---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: n}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap
metadata: {name: local, annotations: {config.kubernetes.io/local-config: 'true'}}\n",
            ),
        ],
    ),
    (
        "patches",
        &[
            (
                "kustomization.yml",
                "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [base]
patches:
  - path: image.yaml
  - target: {kind: CronJob}
    patch: |-
      $patch: delete
      apiVersion: batch/v1
      kind: CronJob
      metadata: {name: ignored}
  - target: {labelSelector: tier=back}
    patch: '[{\"op\": \"remove\", \"path\": \"/spec/template/spec/containers\"}]'
",
            ),
            (
                "image.yaml",
                "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: 'nginx:1.27.0'}, {name: new, image: 'busybox:3'}]}}}
",
            ),
            ("base/kustomization.yaml", "namePrefix: base-\nresources: [deployment.yaml, job.yaml]\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/job.yaml", JOB),
        ],
    ),
    (
        "older keys",
        &[
            (
                "Kustomization",
                "bases: [base]
patchesStrategicMerge:
  - delete.yaml
  - |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec: {template: {spec: {initContainers: [{name: prepare, $patch: delete}]}}}
patchesJson6902:
  - target: {group: apps, version: v1, kind: Deployment, name: web}
    path: operations.yaml
imageTags: [{name: nginx, newTag: 1.26.0}]
",
            ),
            (
                "delete.yaml",
                "{apiVersion: v1, kind: Service, metadata: {name: web}, $patch: delete}\n",
            ),
            (
                "operations.yaml",
                "- {op: copy, from: /spec/template/spec/containers/0, path: /spec/template/spec/containers/-}\n",
            ),
            ("base/kustomization.yaml", "resources: [deployment.yaml, service.yaml]\n"),
            ("base/deployment.yaml", DEPLOYMENT),
            ("base/service.yaml", SERVICE),
        ],
    ),
    (
        "components and generators",
        &[
            (
                "kustomization.yaml",
                "resources: [deployment.yaml]
components: [extra]
generatorOptions: {disableNameSuffixHash: true}
configMapGenerator:
  - {name: settings, files: [key=settings.ini], literals: [a=b]}
  - {name: settings, behavior: merge, literals: [c=d]}
secretGenerator:
  - {name: hidden, envs: [hidden.env]}
",
            ),
            ("deployment.yaml", DEPLOYMENT),
            ("settings.ini", "x = 1\n"),
            ("hidden.env", "a=ENC[x]\nsops_mac=ENC[y]\n"),
            (
                "extra/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
namePrefix: c-
resources: [service.yaml]
images: [{name: nginx, newTag: 1.25.0}]
",
            ),
            ("extra/service.yaml", SERVICE),
        ],
    ),
];

/// What kubectl refuses.
const REFUSED: &[(&str, Files)] = &[
    (
        "a missing file",
        &[("kustomization.yaml", "resources: [nothing.yaml]\n")],
    ),
    (
        "a folder without kustomization",
        &[
            ("kustomization.yaml", "resources: [base]\n"),
            ("base/service.yaml", SERVICE),
        ],
    ),
    (
        "two kustomizations",
        &[
            ("kustomization.yaml", "resources: [service.yaml]\n"),
            ("kustomization.yml", "resources: [service.yaml]\n"),
            ("service.yaml", SERVICE),
        ],
    ),
    (
        "a circle",
        &[
            ("kustomization.yaml", "resources: [base]\n"),
            ("base/kustomization.yaml", "resources: [../]\n"),
        ],
    ),
    (
        "an unknown key",
        &[
            ("kustomization.yaml", "resource: [service.yaml]\n"),
            ("service.yaml", SERVICE),
        ],
    ),
    (
        "one object twice",
        &[
            ("kustomization.yaml", "resources: [service.yaml, again.yaml]\n"),
            ("service.yaml", SERVICE),
            ("again.yaml", SERVICE),
        ],
    ),
    (
        "a patch for nothing",
        &[
            (
                "kustomization.yaml",
                "resources: [service.yaml]\npatches: [{patch: '{apiVersion: v1, kind: Service, metadata: {name: db}}'}]\n",
            ),
            ("service.yaml", SERVICE),
        ],
    ),
    (
        "operations that fail",
        &[
            (
                "kustomization.yaml",
                "resources: [service.yaml]
patches: [{target: {kind: Service}, patch: '[{\"op\": \"remove\", \"path\": \"/spec/nothing\"}]'}]
",
            ),
            ("service.yaml", SERVICE),
        ],
    ),
    (
        "operations that are not JSON",
        &[
            (
                "kustomization.yaml",
                "resources: [service.yaml]
patches: [{target: {kind: Service}, patch: '[{op: remove, path: /spec}]'}]
",
            ),
            ("service.yaml", SERVICE),
        ],
    ),
    (
        "a component as resource",
        &[
            ("kustomization.yaml", "resources: [extra]\n"),
            (
                "extra/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: a\n",
            ),
        ],
    ),
    (
        "an object without name",
        &[
            ("kustomization.yaml", "resources: [a.yaml]\n"),
            ("a.yaml", "{apiVersion: v1, kind: ConfigMap}\n"),
        ],
    ),
    (
        "a key twice",
        &[
            ("kustomization.yaml", "resources: [a.yaml]\n"),
            (
                "a.yaml",
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: a, x: b}}\n",
            ),
        ],
    ),
    ("a chart", &[("kustomization.yaml", "helmCharts: [{name: a}]\n")]),
];

/// kubectl as it was built from the pinned Kubernetes.
fn kubectl() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cache = std::env::var("XDG_CACHE_HOME")
            .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
        let sources = Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: format!("{cache}/lotse/components").into(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let silent = lotse::report::Silent;
        let acquired = runtime.block_on(Components::new(sources).acquire(Component::Kubectl, &silent));
        acquired.unwrap().program().as_std_path().to_owned()
    })
}

fn build(folder: &Utf8Path) -> Output {
    Command::new(kubectl())
        .arg("kustomize")
        .arg(folder)
        .output()
        .unwrap()
}

fn write(folder: &Utf8Path, files: Files) {
    for (path, content) in files {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
}

#[test]
fn test_kustomizations_make_what_kubectl_makes() {
    for (name, files) in BUILT {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        write(&root.join("read"), files);
        let output = build(&root.join("read"));
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs_err::create_dir(root.join("built")).unwrap();
        fs_err::write(root.join("built/all.yaml"), &output.stdout).unwrap();
        let built = manifest_outlines(root, Utf8Path::new("built"));
        assert!(!built.is_empty(), "{name}");
        assert_eq!(manifest_outlines(root, Utf8Path::new("read")), built, "{name}");
    }
}

#[test]
fn test_what_kubectl_refuses_is_refused() {
    for (name, files) in REFUSED {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        copy(
            &Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base"),
            &root,
        );
        let folder = root.join("apps/web/manifests");
        fs_err::remove_dir_all(&folder).unwrap();
        write(&folder, files);
        assert!(!build(&folder).status.success(), "kubectl builds {name}");
        let problems = config::load(&root, &"lab".parse().unwrap(), date(2026, 11, 23)).unwrap_err();
        let is_there = problems.diagnostics.iter().any(|each| {
            let place = each.labels.first().map(|label| label.path.as_str());
            each.severity() == Severity::Error
                && place.is_some_and(|path| path.starts_with("apps/web/manifests/"))
        });
        assert!(is_there, "{name}: {:?}", problems.diagnostics);
    }
}
