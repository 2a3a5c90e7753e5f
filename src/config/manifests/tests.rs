//! The whole check on folders of files.

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;

use super::{Backend, Checked, Subject, check};
use crate::config::PodSecurity;
use crate::config::file;
use crate::diag::{Code, Label, Span};

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: 80}]}\n";

struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for (path, content) in files {
            let path = folder.root().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        folder
    }

    /// Of an application `web` with `files` in its folder of manifests.
    fn of_manifests(files: &[(&str, &str)]) -> Self {
        let folder = Utf8Path::new("apps/web/manifests");
        let paths: Vec<String> = files
            .iter()
            .map(|(path, _)| folder.join(path).to_string())
            .collect();
        let files: Vec<(&str, &str)> = paths
            .iter()
            .zip(files)
            .map(|(path, (_, content))| (path.as_str(), *content))
            .collect();
        Self::new(&files)
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.directory.path()).unwrap()
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            repository: file::Files::below(self.root()),
            folder: "apps/web/manifests".into(),
            homes: ["apps/web", "environments/lab/apps/web"]
                .map(Utf8PathBuf::from)
                .into(),
            declared: declared(),
            app: "web".into(),
            is_cluster_wide: false,
            kubernetes: "v1.36.3".into(),
            flux: "2.9.4".into(),
            pod_security: PodSecurity::Baseline,
            is_whole: true,
            backends: Vec::new(),
            readers: None,
            own_folder: Utf8PathBuf::new(),
            login_secrets: Vec::new(),
            sealed_logins: Vec::new(),
        }
    }

    fn check(&self) -> Checked {
        check(&self.subject())
    }

    fn codes(&self) -> Vec<Code> {
        codes(&self.check())
    }
}

fn codes(checked: &Checked) -> Vec<Code> {
    checked.diagnostics.iter().map(|each| each.code).collect()
}

fn declared() -> Label {
    Label {
        path: "apps/web/app.yaml".into(),
        span: Span { start: 3, end: 5 },
        text: String::new(),
    }
}

fn of_text(text: &str) -> Vec<Code> {
    Folder::of_manifests(&[("a.yaml", text)]).codes()
}

fn pods(kind: &str, containers: &str) -> String {
    let policy = if kind.ends_with("Job") {
        "restartPolicy: Never, "
    } else {
        ""
    };
    let pod = format!("{{{policy}containers: {containers}}}");
    let (api_version, spec) = match kind {
        "Pod" => ("v1", pod),
        "CronJob" => (
            "batch/v1",
            format!("{{schedule: '0 3 * * *', jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
        ),
        "Job" => ("batch/v1", format!("{{template: {{spec: {pod}}}}}")),
        _ => (
            "apps/v1",
            format!(
                "{{selector: {{matchLabels: {{app: a}}}}, template: {{metadata: {{labels: {{app: a}}}}, spec: {pod}}}}}"
            ),
        ),
    };
    format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}\n")
}

#[test]
fn test_images_are_found_wherever_pods_are_described() {
    for kind in [
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CronJob",
    ] {
        assert_eq!(
            of_text(&pods(kind, "[{name: a, image: nginx}]")),
            [Code::MovingImage],
            "{kind}"
        );
        assert_eq!(
            of_text(&pods(kind, "[{name: a, image: 'nginx:1.27'}]")),
            [],
            "{kind}"
        );
    }
    let others = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [], initContainers: [{name: i, image: a}], \
                  ephemeralContainers: [{name: e, image: b}], volumes: [{name: v, image: {reference: c}}]}}";
    assert_eq!(of_text(others), [Code::MovingImage; 3]);
}

#[test]
fn test_images_of_a_kustomization_count() {
    let deployment = pods("Deployment", "[{name: a, image: 'localhost:5000/nginx'}]");
    let pinned = "resources: [a.yaml]\nimages: [{name: localhost:5000/nginx, newTag: '1.27'}]\n";
    let folder = Folder::of_manifests(&[("a.yaml", &deployment), ("kustomization.yaml", pinned)]);
    assert_eq!(folder.codes(), []);
    let latest = "resources: [a.yaml]\nimages: [{name: localhost:5000/nginx, newTag: latest}]\n";
    let folder = Folder::of_manifests(&[("a.yaml", &deployment), ("kustomization.yaml", latest)]);
    assert_eq!(folder.codes(), [Code::MovingImage]);
}

#[test]
fn test_an_override_may_build_on_the_application() {
    let files = [
        (
            "apps/web/manifests/kustomization.yaml",
            "resources: [service.yaml]\n",
        ),
        ("apps/web/manifests/service.yaml", SERVICE),
        (
            "environments/lab/apps/web/manifests/kustomization.yaml",
            "resources: [../../../../../apps/web/manifests]\n",
        ),
    ];
    let folder = Folder::new(&files);
    let mut subject = folder.subject();
    subject.folder = "environments/lab/apps/web/manifests".into();
    subject.backends = vec![Backend {
        service: "web".into(),
        port: 80,
        declared: declared(),
    }];
    assert_eq!(codes(&check(&subject)), []);
    subject.backends[0].port = 8080;
    let checked = check(&subject);
    assert_eq!(codes(&checked), [Code::NoSuchService]);
    assert_eq!(
        checked.diagnostics[0].labels[1].path,
        "apps/web/manifests/service.yaml"
    );
}

#[test]
fn test_services_that_an_operator_may_make_are_not_missed() {
    let operated = "apiVersion: k8s.keycloak.org/v2alpha1\nkind: Keycloak\nmetadata: {name: web}\n";
    for (content, wanted) in [(operated, Vec::new()), ("", vec![Code::NoSuchService])] {
        let folder = Folder::of_manifests(&[("a.yaml", content)]);
        let mut subject = folder.subject();
        subject.backends = vec![Backend {
            service: "web-service".into(),
            port: 80,
            declared: declared(),
        }];
        assert_eq!(codes(&check(&subject)), wanted);
    }
}

#[test]
fn test_permission_lifts_what_it_is_for_and_nothing_else() {
    let text = "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---
{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}}\n---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a}}\n---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: a}, roleRef: {apiGroup: x, kind: ClusterRole, name: cluster-admin}}\n";
    let folder = Folder::of_manifests(&[("a.yaml", text)]);
    let mut subject = folder.subject();
    subject.is_cluster_wide = true;
    assert_eq!(codes(&check(&subject)), [Code::ReservedName, Code::ClusterAdmin]);
    let not_permitted = [Code::NotPermitted; 3];
    assert_eq!(
        folder.codes(),
        [&not_permitted[..], &[Code::ClusterAdmin]].concat()
    );
}

#[test]
fn test_names_of_the_platform_are_reserved() {
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: platform}}\n---
{apiVersion: v1, kind: Secret, metadata: {name: oidc}}\n---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}\n";
    let folder = Folder::of_manifests(&[("a.yaml", text)]);
    let mut subject = folder.subject();
    subject.login_secrets = vec!["oidc".into()];
    assert_eq!(codes(&check(&subject)), [Code::ReservedName; 3]);
}

#[test]
fn test_encrypted_secrets_are_welcome_and_half_encrypted_ones_are_not() {
    let secret = |value: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, stringData: {{a: '{value}'}}, sops: {{mac: 'ENC[x]'}}}}"
        )
    };
    assert_eq!(of_text(&secret("ENC[AES256_GCM,data:x]")), []);
    assert_eq!(of_text(&secret("hunter2")), [Code::PlainSecret]);
    let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  a: aHVudGVyMg==\n";
    let checked = Folder::of_manifests(&[("a.yaml", plain)]).check();
    assert_eq!(codes(&checked), [Code::PlainSecret]);
    assert!(!checked.sources["apps/web/manifests/a.yaml".as_ref() as &Utf8Path].contains("aHVu"));
}

#[test]
fn test_a_secret_that_can_not_be_parsed_is_not_shown() {
    let broken = "apiVersion: v1\nkind: Secret\nstringData:\n  password: hunter2\n  other: 'hunter2\n";
    let checked = Folder::of_manifests(&[("a.yaml", broken)]).check();
    assert_eq!(codes(&checked), [Code::Syntax]);
    let text = &checked.sources[Utf8Path::new("apps/web/manifests/a.yaml")];
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(text.len(), broken.len());
}

#[test]
fn test_links_are_told_of() {
    let folder = Folder::of_manifests(&[("service.yaml", SERVICE)]);
    let link = folder.root().join("apps/web/manifests/link.yaml");
    fs_err::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    assert_eq!(folder.codes(), [Code::Escapes]);
}

#[test]
fn test_transformers_can_not_choose_another_namespace() {
    let transformer = "transformers:
  - |
    apiVersion: builtin
    kind: NamespaceTransformer
    metadata: {name: elsewhere, namespace: monitoring}
resources: [service.yaml]\n";
    let folder = Folder::of_manifests(&[("kustomization.yaml", transformer), ("service.yaml", SERVICE)]);
    assert_eq!(folder.codes(), [Code::OtherNamespace]);
}

#[test]
fn test_circles_end() {
    let files = [
        ("kustomization.yaml", "resources: [a, b]\n"),
        ("a/kustomization.yaml", "resources: [../b]\n"),
        ("b/kustomization.yaml", "resources: [../a]\n"),
    ];
    assert_eq!(Folder::of_manifests(&files).codes(), [Code::BadKustomization; 2]);
}

/// Pieces of manifests and kustomizations, put together at random.
fn yaml() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("~".to_owned()),
        Just("a.yaml".to_owned()),
        Just("..".to_owned()),
        Just("b".to_owned()),
        Just("'nginx:'".to_owned()),
        Just("ö".to_owned()),
        Just("/spec/0".to_owned()),
        Just("'[{op: remove, path: /a}]'".to_owned()),
        Just("1.5".to_owned()),
        Just("true".to_owned()),
        Just("&x y".to_owned()),
        Just("{$patch: delete}".to_owned()),
        "[a-z@:./*|+]{0,8}".prop_map(|text| format!("'{text}'")),
    ];
    let key = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "namespace",
        "spec",
        "items",
        "data",
        "stringData",
        "containers",
        "image",
        "volumes",
        "resources",
        "patches",
        "path",
        "patch",
        "target",
        "op",
        "value",
        "components",
        "images",
        "configMapGenerator",
        "secretGenerator",
        "files",
        "namePrefix",
        "transformers",
        "roleRef",
        "ports",
        "type",
    ]);
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }),
        ]
    })
}

fn object() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "Secret",
        "Service",
        "Deployment",
        "ConfigMapList",
        "RoleBinding",
        "x",
    ]);
    (kind, yaml(), yaml()).prop_map(|(kind, spec, rest)| {
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\nitems: {rest}\ndata: {rest}\n"
        )
    })
}

fn kustomization() -> impl Strategy<Value = String> {
    (yaml(), yaml(), yaml()).prop_map(|(patches, images, generators)| {
        format!(
            "resources: [a.yaml, b]\npatches: {patches}\nimages: {images}\nconfigMapGenerator: {generators}\n"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever stands in the files, a check ends, and every place is within its text.
    #[test]
    fn test_any_text_is_survived(
        noise in "\\PC{0,64}",
        (object, other) in (object(), yaml()),
        kustomization in prop_oneof![kustomization(), yaml()],
    ) {
        let files = [
            ("a.yaml", object.as_str()),
            ("b/kustomization.yaml", other.as_str()),
            ("c/noise.yaml", noise.as_str()),
            ("kustomization.yaml", kustomization.as_str()),
        ];
        for shown in [&files[..], &files[..3]] {
            let folder = Folder::of_manifests(shown);
            let checked = folder.check();
            for label in checked.diagnostics.iter().flat_map(|each| &each.labels) {
                if label.path == "apps/web/app.yaml" {
                    continue;
                }
                let text = checked.sources.get(&label.path);
                let shown = text.and_then(|text| text.get(label.span.start..label.span.end));
                prop_assert!(shown.is_some(), "{label:?}");
            }
            let again: Vec<String> = folder.check().diagnostics.iter().map(|each| format!("{each:?}")).collect();
            let first: Vec<String> = checked.diagnostics.iter().map(|each| format!("{each:?}")).collect();
            prop_assert_eq!(first, again);
        }
    }
}

const SAFE: &str = "securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, \
                    seccompProfile: {type: RuntimeDefault}}";

/// What the checks say of pods in a namespace of that standard.
fn refused(level: PodSecurity, pod: &str) -> Vec<String> {
    let text = format!("{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {pod}}}");
    let folder = Folder::of_manifests(&[("a.yaml", &text)]);
    let mut subject = folder.subject();
    subject.pod_security = level;
    let checked = check(&subject);
    let about = |message: &str| {
        message
            .split_once("`: ")
            .map_or(message, |(_, rest)| rest)
            .to_owned()
    };
    assert!(
        codes(&checked).iter().all(|code| *code == Code::PodRefused),
        "{checked:?}"
    );
    checked
        .diagnostics
        .iter()
        .map(|each| about(&each.message))
        .collect()
}

#[test]
fn test_pods_are_held_to_the_standard_of_their_namespace() {
    let bare = "{containers: [{name: web, image: 'web:1'}]}";
    assert_eq!(refused(PodSecurity::Baseline, bare), [""; 0]);
    assert_eq!(
        refused(PodSecurity::Restricted, bare),
        [
            "container `web` does not say `allowPrivilegeEscalation: false`, `runAsNonRoot: true`, `capabilities: {drop: [ALL]}`, \
             `seccompProfile: {type: RuntimeDefault}`"
        ]
    );
    let safe = format!("{{containers: [{{name: web, image: 'web:1', {SAFE}}}]}}");
    assert_eq!(refused(PodSecurity::Restricted, &safe), [""; 0]);
    let by_pod = "{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: web, image: 'web:1', \
                  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}], \
                  volumes: [{name: a, emptyDir: {}}, {name: b, secret: {secretName: x}}]}";
    assert_eq!(refused(PodSecurity::Restricted, by_pod), [""; 0]);
    let open = "{hostNetwork: true, hostPID: false, volumes: [{name: a, hostPath: {path: /etc}}, {name: b, nfs: {server: a, path: /}}], \
                containers: [{name: web, image: 'web:1', ports: [{containerPort: 80, hostPort: 80}], securityContext: {privileged: true, \
                capabilities: {add: [SYS_ADMIN, CHOWN]}, seccompProfile: {type: Unconfined}}}]}";
    let by_baseline = [
        "`hostNetwork` is true",
        "a volume is a path of the node",
        "a container takes a port of the node",
        "a container is privileged",
        "capability `SYS_ADMIN` is added",
        "`seccompProfile.type` must be RuntimeDefault or Localhost",
    ];
    assert_eq!(refused(PodSecurity::Baseline, open), by_baseline);
    assert_eq!(refused(PodSecurity::Privileged, open), [""; 0]);
    let restricted = refused(PodSecurity::Restricted, open);
    assert!(
        restricted.contains(&"a volume of the kind `nfs` is not allowed".to_owned()),
        "{restricted:?}"
    );
    assert!(
        restricted.contains(&"capability `CHOWN` is added".to_owned()),
        "{restricted:?}"
    );
    let as_root = safe.replace("runAsNonRoot: true", "runAsNonRoot: false, runAsUser: 0");
    assert_eq!(
        refused(PodSecurity::Restricted, &as_root),
        [
            "`runAsNonRoot` must be true",
            "`runAsUser` must be another user than 0"
        ]
    );
    let own_users = safe
        .replace("{containers", "{hostUsers: false, containers")
        .replace("runAsNonRoot: true, ", "");
    assert_eq!(refused(PodSecurity::Restricted, &own_users), [""; 0]);
}

/// What is said of an application's objects that do not find each other.
fn unwired(files: &str) -> Vec<String> {
    let folder = Folder::of_manifests(&[("a.yaml", files)]);
    let mut subject = folder.subject();
    subject.login_secrets = vec!["web-oidc".into()];
    let help = |help: &Option<String>| {
        help.as_ref()
            .map_or_else(String::new, |help| format!(" ({help})"))
    };
    let shown = check(&subject).diagnostics;
    shown
        .iter()
        .map(|each| format!("{}: {}{}", each.code, each.message, help(&each.help)))
        .collect()
}

#[test]
fn test_objects_that_do_not_find_each_other_are_told() {
    let text = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: wbe}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: "web:1"
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: A, valueFrom: {secretKeyRef: {name: web-oid, key: clientId}}}
            - {name: B, valueFrom: {secretKeyRef: {name: by-hand, key: password}}}
            - {name: E, valueFrom: {secretKeyRef: {name: web-oidc, key: client_id}}}
            - {name: F, valueFrom: {configMapKeyRef: {name: platform, key: domian}}}
            - {name: C, valueFrom: {configMapKeyRef: {name: platform, key: domain}}}
            - {name: D, valueFrom: {configMapKeyRef: {name: gone, key: x, optional: true}}}
          envFrom: [{configMapRef: {name: gone}}]
          readinessProbe: {httpGet: {port: htttp, path: /}}
          volumeMounts: [{name: data, mountPath: /data}, {name: dat, mountPath: /dat}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: htp}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"#;
    assert_eq!(
        unwired(text),
        [
            "E0415: Deployment/web selects other pods than it makes (write the same labels in both)",
            "E0415: the pods of Deployment/web have no volume `dat` (did you mean `data`?)",
            "E0417: the manifests have no ServiceAccount `web`",
            "E0417: the manifests have no Secret `web-oid` (did you mean `web-oidc`?)",
            "E0417: Secret `web-oidc` has no key `client_id` (did you mean `clientId`?)",
            "E0417: ConfigMap `platform` has no key `domian` (did you mean `domain`?)",
            "E0417: the manifests have no ConfigMap `gone`",
            "E0417: the container has no port `htttp` (did you mean `http`?)",
            "E0417: the manifests have no PersistentVolumeClaim `data`",
            "E0417: the pods of Service/web name no port `htp` (did you mean `http`?)",
            "E0417: Service/nobody selects no pods: none of the manifests has these labels (pods have for example {app: web})",
        ]
    );
    // An operator may make all of it.
    let operated =
        format!("{text}---\n{{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {{name: db}}}}\n");
    let told = unwired(&operated);
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn test_what_opens_an_application_is_for_the_platform_to_write() {
    for text in [
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open}, spec: {podSelector: {}}}\n",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {hostnames: [a.test]}}\n",
    ] {
        let folder = Folder::of_manifests(&[("a.yaml", text)]);
        assert_eq!(folder.codes(), [Code::NotPermitted], "{text}");
        let mut subject = folder.subject();
        subject.is_cluster_wide = true;
        assert_eq!(codes(&check(&subject)), [], "{text}");
    }
}

#[test]
fn test_values_that_the_api_server_refuses_are_told() {
    let text = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: Backup_Job}
spec:
  template:
    spec:
      containers:
        - {name: a, image: "a:1", ports: [{containerPort: 0}, {containerPort: 70000}, {containerPort: 80}]}
        - {name: a, image: "a:1", resources: {requests: {memory: 640Mi, cpu: 1}, limits: {memory: 256Mi, cpu: "0.5"}}}
        - {name: C_1, image: "a:1", resources: {requests: {memory: 64Mi}, limits: {memory: 64Mi}}}
"#;
    let told: Vec<String> = unwired(text)
        .iter()
        .map(|line| line.split(" (").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "E0415: `Backup_Job` can't be the name of a Job",
            "E0415: the pods of a Job can't be restarted for ever",
            "E0415: 0 is not a port",
            "E0415: 70000 is not a port",
            "E0415: two containers are called `a`",
            "E0415: 640Mi of memory are requested, and the limit is 256Mi",
            "E0415: 1 of cpu are requested, and the limit is 0.5",
            "E0415: `C_1` can't be the name of a container",
        ]
    );
}
