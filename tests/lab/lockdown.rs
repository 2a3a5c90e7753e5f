//! What a malicious commit to an application's folder can reach: its own namespace, and nothing around it.

use serde_json::Value;

use crate::kit::{Lab, condition, eventually};
use crate::systems::{Clone, RECONCILED_WITHIN, ask_flux, settled};

/// The folder that engineers of the website may change.
const FOLDER: &str = "environments/lab/apps/website/manifests";
const KUSTOMIZATION: &str = "kustomizations.kustomize.toolkit.fluxcd.io";

const ROLE_BINDING: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mallory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "oidc:mallory"}]
"#;
const CLUSTER_ROLE_BINDING: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: mallory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "oidc:mallory"}]
"#;
/// More than the application's quota allows, with the quota itself.
const QUOTA: &str = r#"
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {requests.cpu: "1000"}}
"#;
const CONFIG_MAP: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: mallory}
";
/// Runs after Flux has put everything into the application's namespace, and so has the last word about it.
const ELSEWHERE: &str = r"
transformers:
  - |
    apiVersion: builtin
    kind: NamespaceTransformer
    metadata: {name: elsewhere, namespace: monitoring}
    setRoleBindingSubjects: none
";
/// Flux objects of the application's own, which an engineer may well have.
const CROSS_NAMESPACE: &str = r"
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: mallory}
spec:
  interval: 10m
  prune: true
  path: ./clusters/lab
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
";

/// Every attack by a plain commit to the application's folder.
pub(crate) fn a_malicious_commit_is_refused(lab: &Lab) {
    let attacker = Attacker::new(lab);

    attacker.refused_at_website(ROLE_BINDING, "", "cannot patch resource \"rolebindings\"");
    attacker.assert_absent(&["rolebinding", "mallory", "-n", "website"]);

    attacker.refused_at_website(CLUSTER_ROLE_BINDING, "", "at the cluster scope");
    attacker.assert_absent(&["clusterrolebinding", "mallory"]);

    attacker.refused_at_website(QUOTA, "", "cannot patch resource \"resourcequotas\"");
    let quota = lab.prod.get(&["resourcequota", "quota", "-n", "website"]);
    assert_eq!(quota["spec"]["hard"]["requests.cpu"], "2");

    attacker.refused_at_website(CONFIG_MAP, ELSEWHERE, "in the namespace \"monitoring\"");
    attacker.assert_absent(&["configmap", "mallory", "-n", "monitoring"]);

    attacker.undone();
}

/// Attacks by way of Flux's own objects, and by what lies outside of the repository.
pub(crate) fn flux_reaches_no_further_than_the_application(lab: &Lab) {
    let attacker = Attacker::new(lab);

    // The forge is as good a remote as any: it answers, so only Flux keeps the base out.
    let base = format!(
        "{}//environments/lab/apps/statuspage/manifests?ref=main",
        lab.endpoint("git")
    );
    let resources = format!("resources: [\"{base}\", extra.yaml]\n");
    attacker.refused_at_website(CONFIG_MAP, &resources, "fs-security-constraint");
    attacker.assert_absent(&["deployment", "statuspage", "-n", "website"]);

    let blocked = "cross-namespace references have been blocked";
    attacker.refused(CROSS_NAMESPACE, "", ["website", "mallory"], blocked);

    let own_source = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: own}}\n\
         spec: {{interval: 10m, url: '{}', ref: {{branch: main}}}}\n---{}",
        lab.endpoint("git"),
        CROSS_NAMESPACE
            .replace("name: flux-system, namespace: flux-system", "name: own")
            .replace("name: mallory", "name: own")
    );
    let nobody = "User \"system:serviceaccount:website:default\" cannot";
    attacker.refused(&own_source, "", ["website", "own"], nobody);

    attacker.undone();
}

struct Attacker<'lab> {
    lab: &'lab Lab,
    clone: Clone,
    before: String,
}

impl<'lab> Attacker<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        let clone = Clone::new(lab);
        let before = clone.head();
        Self { lab, clone, before }
    }

    fn refused_at_website(&self, extra: &str, kustomization: &str, reason: &str) {
        self.refused(extra, kustomization, ["flux-system", "website"], reason);
    }

    /// Pushes `extra` as a further resource, and `kustomization` as the end of the kustomization (in place of its
    /// resources, where it has some itself). Waits until Flux refuses it for that reason at the Kustomization whose
    /// namespace and name are given.
    fn refused(&self, extra: &str, kustomization: &str, [namespace, name]: [&str; 2], reason: &str) {
        self.clone.tree_of(&self.before);
        self.clone.write(&format!("{FOLDER}/extra.yaml"), extra);
        let path = format!("{FOLDER}/kustomization.yaml");
        let original = self.clone.read(&path);
        let with_extra = if kustomization.contains("resources:") {
            format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n{kustomization}")
        } else {
            original.replacen("resources:\n", "resources:\n  - extra.yaml\n", 1) + kustomization
        };
        assert_ne!(original, with_extra);
        self.clone.write(&path, &with_extra);
        let commit = self.clone.commit("website: what could go wrong");
        self.clone.push();
        ask_flux(self.lab);
        eventually("Flux refuses the commit", RECONCILED_WITHIN, || {
            let website = self.kustomization("flux-system", "website")?;
            let tried = website["status"]["lastAttemptedRevision"]
                .as_str()
                .unwrap_or_default();
            if !tried.contains(&commit) {
                return Err(format!("the website is at {tried}"));
            }
            match condition(&self.kustomization(namespace, name)?, "Ready") {
                ("False", told) if told.contains(reason) => Ok(()),
                (status, told) => Err(format!("{name} is {status}: {told}")),
            }
        });
    }

    fn kustomization(&self, namespace: &str, name: &str) -> Result<Value, String> {
        let get = ["get", KUSTOMIZATION, name, "-n", namespace, "-o", "json"];
        let found = self.lab.prod.run(&get);
        serde_json::from_str(&found.stdout).map_err(|_| found.stderr)
    }

    fn assert_absent(&self, object: &[&str]) {
        let found = self
            .lab
            .prod
            .run(&[&["get", "--ignore-not-found", "-o", "name"], object].concat())
            .success();
        assert_eq!(found, "", "it came through");
    }

    /// Takes the attacks back by one more commit, as an engineer would; Flux goes on, and nothing is left.
    fn undone(&self) {
        self.clone.tree_of(&self.before);
        self.clone.commit("website: as before");
        self.clone.push();
        settled(self.lab);
        self.clone.git(&["diff", "--exit-code", &self.before, "HEAD"]);
        let left = self
            .lab
            .prod
            .run(&[
                "get",
                "rolebindings,configmaps,services,deployments,kustomizations.kustomize.toolkit.fluxcd.io,\
                 gitrepositories.source.toolkit.fluxcd.io",
                "-n",
                "website",
                "-o",
                "name",
            ])
            .success();
        for trace in ["mallory", "statuspage", "/own"] {
            assert!(!left.contains(trace), "{trace} is left in\n{left}");
        }
    }
}
