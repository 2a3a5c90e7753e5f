//! A repository of many applications of one shape, and the same for the peers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use lotse::config::yaml;
use serde_json::Value;

const TEAMS: usize = 20;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/render/chart");

/// A repository.
pub(crate) struct Corpus {
    pub(crate) root: Utf8PathBuf,
    /// Applications.
    pub(crate) size: usize,
}

impl Corpus {
    pub(crate) fn write(folder: &Utf8Path, size: usize) -> Self {
        let root = folder.join(size.to_string());
        let names: Vec<String> = (0..size).map(|index| format!("app-{index:04}")).collect();
        write(
            &root.join("environments/lab/environment.yaml"),
            &environment(&names),
        );
        write(&root.join("environments/lab/people.yaml"), &people());
        for (index, name) in names.iter().enumerate() {
            write(
                &root.join(format!("apps/{name}/app.yaml")),
                &declaration(index, name),
            );
            write(
                &root.join(format!("apps/{name}/manifests/{name}.yaml")),
                &manifests(name),
            );
            write(
                &root.join(format!("runbooks/{name}/outage.md")),
                &format!("# {name} is down\n"),
            );
        }
        Self { root, size }
    }

    /// The chart with the same declarations in it.
    pub(crate) fn chart(&self) -> Utf8PathBuf {
        let chart = self.root.join("chart");
        for file in [
            "Chart.yaml",
            "values.yaml",
            "templates/_labels.tpl",
            "templates/apps.yaml",
        ] {
            copy(&Utf8Path::new(CHART).join(file), &chart.join(file));
        }
        for file in ["environment.yaml", "people.yaml"] {
            copy(
                &self.root.join("environments/lab").join(file),
                &chart.join("files").join(file),
            );
        }
        for index in 0..self.size {
            let file = format!("apps/app-{index:04}/app.yaml");
            copy(&self.root.join(&file), &chart.join("files").join(file));
        }
        chart
    }

    /// The rendered tree with a kustomization of all files of applications.
    pub(crate) fn kustomization(&self) -> Utf8PathBuf {
        let tree = self.rendered();
        let names = (0..self.size).map(|index| format!("app-{index:04}.yaml"));
        let lines = names.map(|name| format!("  - apps/{name}\n  - gateway/{name}\n"));
        let text = format!("resources:\n{}", lines.collect::<String>());
        remove(&tree.join("gateway/kustomization.yaml"));
        write(&tree.join("kustomization.yaml"), &text);
        tree
    }

    /// How many objects are rendered for the applications.
    pub(crate) fn objects(&self) -> usize {
        self.rendered_objects().len()
    }

    /// Both must have done the same work.
    pub(crate) fn assert_same_objects(&self, of_peer: &str) {
        let (ours, theirs) = (self.rendered_objects(), by_key(of_peer));
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&ours), names(&theirs), "both render the same objects");
        let differing: Vec<&String> = ours.keys().filter(|key| ours[*key] != theirs[*key]).collect();
        assert!(differing.is_empty(), "these differ: {differing:?}");
    }

    fn rendered(&self) -> Utf8PathBuf {
        let output = self.root.join("tree");
        let run = super::render(self, &output).once();
        assert!(run.is_success, "lotse render has to succeed");
        output.join("clusters/lab")
    }

    fn rendered_objects(&self) -> BTreeMap<String, Value> {
        let tree = self.rendered();
        let files = (0..self.size).flat_map(|index| {
            let name = format!("app-{index:04}.yaml");
            [tree.join("apps").join(&name), tree.join("gateway").join(name)]
        });
        files.flat_map(|file| by_key(&read(&file))).collect()
    }
}

fn by_key(text: &str) -> BTreeMap<String, Value> {
    // One document at a time: a text of this size is refused as a whole.
    let objects = text
        .split("\n---\n")
        .flat_map(|text| yaml::documents(text).expect("objects are YAML"));
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        format!(
            "{} {}/{}",
            object["kind"], metadata["namespace"], metadata["name"]
        )
    };
    objects.map(|object| (key(&object), object)).collect()
}

/// When each file was written last.
pub(crate) fn times(folder: &Utf8Path) -> BTreeMap<Utf8PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().expect("the folder is listed") {
            let path = entry.expect("the folder is listed").into_path();
            let metadata = fs_err::metadata(&path).expect("it is there");
            found.insert(path.clone(), metadata.modified().expect("tmpfs keeps times"));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// Removes a file, or a folder with all that is in it.
pub(crate) fn remove(path: &Utf8Path) {
    if path.is_dir() {
        fs_err::remove_dir_all(path).expect("the folder can be removed");
    } else if path.exists() {
        fs_err::remove_file(path).expect("the file can be removed");
    }
}

fn write(path: &Utf8Path, text: &str) {
    fs_err::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    fs_err::write(path, text).expect("the file can be written");
}

fn read(path: &Utf8Path) -> String {
    fs_err::read_to_string(path).expect("the file can be read")
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    write(to, &read(from));
}

fn environment(names: &[String]) -> String {
    let apps = names.join("\n  - ");
    format!(
        "apiVersion: lotse/v1
kind: Environment
name: lab
domain: prod.lab.test
management: {{context: moin, namespace: prod}}
cluster:
  name: prod
  stack: {{provider: lab, name: lab, kubernetes: \"1.36\", release: v1}}
  version: v1.36.3
git: {{url: https://forge.lab.test/platform.git, branch: main, path: clusters/lab, mode: push}}
flux: {{version: 2.9.4}}
identity:
  url: https://auth.lab.test
  realm: scs
  admin: {{username: admin, password: {{env: ADMIN_PASSWORD}}}}
  github: {{organisation: scs, clientId: abc, clientSecret: {{env: CLIENT_SECRET}}}}
dns:
  zone: lab.test
  rfc2136: {{server: 127.0.0.1, key: {{name: key, algorithm: hmac-sha256, secret: {{env: KEY}}}}}}
gateway: {{class: lab, issuer: lab}}
apps:
  - {apps}
"
    )
}

fn people() -> String {
    let members = (0..2 * TEAMS).map(|index| {
        format!(
            "  - {{name: Person {index}, login: person-{index}, id: {}}}\n",
            index + 1
        )
    });
    let teams = (0..TEAMS).map(|index| {
        let (one, other) = (2 * index, 2 * index + 1);
        format!("  - {{name: team-{index}, description: Team {index}, maintainers: [person-{one}], members: [person-{other}]}}\n")
    });
    let (members, teams): (String, String) = (members.collect(), teams.collect());
    format!("apiVersion: lotse/v1\nkind: People\nmembers:\n{members}teams:\n{teams}")
}

fn declaration(index: usize, name: &str) -> String {
    let (team, other) = (index % TEAMS, (index + 1) % TEAMS);
    format!(
        "apiVersion: lotse/v1
kind: App
name: {name}
description: Application {index} of the benchmark
owners: [team-{team}]
hosts: [{name}]
source: {{manifests: manifests}}
access:
  - {{team: team-{team}, role: edit}}
  - {{team: team-{other}, role: view}}
quota: {{cpu: \"2\", memory: 2Gi, storage: 5Gi}}
network: {{allowTo: [internet]}}
podSecurity: restricted
"
    )
}

fn manifests(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app.kubernetes.io/name: {name}}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: {name}}}}}
    spec:
      containers:
        - name: {name}
          image: \"registry.example.org/{name}:1.0.0\"
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {{drop: [ALL]}}
            runAsNonRoot: true
            seccompProfile: {{type: RuntimeDefault}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app.kubernetes.io/name: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"
    )
}
