//! Hands on the lab's systems that are not lotse's: commits by somebody else, changes in Keycloak's console, signed
//! updates of the zone, requests to the forge, and a checkout in which somebody changed declarations.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lotse::secret::Secret;
use lotse::surface::keycloak::Admin;
use serde_json::Value;

use crate::kit::{Lab, Ran, condition, eventually, run};

/// How long Flux may take to answer a commit.
pub(crate) const RECONCILED_WITHIN: Duration = Duration::from_secs(60);

/// A secret of the lab, by the name it has in the lab's state.
pub(crate) fn secret(lab: &Lab, name: &str) -> String {
    let path = lab.world.path().join("lotse/labs/default/secrets.json");
    let secrets: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    secrets[name].clone()
}

/// PEM of the lab's certificate authority.
pub(crate) fn authority(lab: &Lab) -> String {
    std::fs::read_to_string(lab.endpoint("ca_file")).unwrap()
}

/// Keycloak as its administrator.
pub(crate) fn keycloak(lab: &Lab) -> Admin {
    let password = Secret::new(secret(lab, "keycloak-admin"));
    Admin::new(lab.endpoint("keycloak"), "admin", password, Some(&authority(lab))).unwrap()
}

/// A bring-up from the checkout under test.
pub(crate) fn bootstrap(lab: &Lab) -> Ran {
    lab.world.lotse(&["bootstrap", "lab"])
}

/// Sends a signed update to the lab's zone, with the key that lotse uses.
pub(crate) fn update_zone(lab: &Lab, changes: &[&str]) {
    let (host, port) = lab.endpoint("dns").rsplit_once(':').unwrap();
    let key = secret(lab, "tsig");
    let changes = changes.join("\n");
    let script =
        format!("server {host} {port}\nzone lab.test\nkey hmac-sha256:lotse {key}\n{changes}\nsend\n");
    let mut child = Command::new("nsupdate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate is installed");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{changes}: {output:?}");
}

/// A request to the forge's API in the name of its administrator.
pub(crate) async fn forge(lab: &Lab, method: reqwest::Method, path: &str, body: &Value) -> Value {
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .request(method, format!("{}/api/v1/{path}", lab.endpoint("forge")))
        .header("Authorization", format!("token {}", secret(lab, "forge-token")))
        .json(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Somebody's clone of the platform's repository.
pub(crate) struct Clone {
    directory: tempfile::TempDir,
    authorization: String,
}

impl Clone {
    /// At the newest commit of the branch that Flux follows.
    pub(crate) fn new(lab: &Lab) -> Self {
        let clone = Self {
            directory: tempfile::tempdir_in(lab.world.path()).unwrap(),
            authorization: format!("Authorization: token {}", secret(lab, "forge-token")),
        };
        clone.git(&["clone", "-q", "-b", "main", lab.endpoint("git"), "."]);
        clone.git(&["config", "user.name", "Somebody Else"]);
        clone.git(&["config", "user.email", "somebody@lab.test"]);
        clone
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.path())
            .args(arguments)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", &self.authorization);
        run(&mut git).success()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.path().join(path), text);
    }

    /// Commits everything as it is in the directory. Gives the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub(crate) fn push(&self) {
        self.git(&["push", "-q", "origin", "HEAD:main"]);
    }

    /// Makes the directory what it is in `commit`, without going back in history.
    pub(crate) fn tree_of(&self, commit: &str) {
        self.git(&["read-tree", "--reset", "-u", commit]);
        self.git(&["clean", "-q", "-f", "-d"]);
    }

    /// Brings the clone to the newest commit of the branch.
    pub(crate) fn pull(&self) {
        self.git(&["pull", "-q", "--rebase", "origin", "main"]);
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }
}

/// A copy of the checkout's declarations, in which somebody may change them.
pub(crate) struct Checkout {
    directory: tempfile::TempDir,
}

impl Checkout {
    pub(crate) fn copy(lab: &Lab) -> Self {
        let directory = tempfile::tempdir_in(lab.world.path()).unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["apps", "environments", "runbooks"] {
            if original.join(name).is_dir() {
                copy(&original.join(name), &directory.path().join(name));
            }
        }
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.directory.path().join(path), text);
    }

    /// Replaces `from`, which must be there, by `to`.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let path = self.directory.path().join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from:?} in {}", path.display());
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(path)).unwrap()
    }

    /// A bring-up of the same environment from here.
    pub(crate) fn bootstrap(&self, lab: &Lab, options: &[&str]) -> Ran {
        self.lotse(lab, &[&["bootstrap", "lab"], options].concat())
    }

    /// A command of lotse from here.
    pub(crate) fn lotse(&self, lab: &Lab, arguments: &[&str]) -> Ran {
        run(self.enter(&mut lab.world.command(arguments)))
    }

    /// Lets `command` run here.
    pub(crate) fn enter<'command>(&self, command: &'command mut Command) -> &'command mut Command {
        command.current_dir(self.directory.path())
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Asks Flux to look at the repository now rather than at its interval.
pub(crate) fn ask_flux(lab: &Lab) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let requested = format!("reconcile.fluxcd.io/requestedAt={}", now.as_nanos());
    let source = ["annotate", "-n", "flux-system", "gitrepository", "flux-system"];
    lab.prod
        .run(&[&source[..], &[&requested, "--overwrite"]].concat())
        .success();
}

/// Waits until everything that Flux delivers is Ready at the newest commit.
pub(crate) fn settled(lab: &Lab) {
    let head = lab.head();
    ask_flux(lab);
    eventually("everything is Ready at the head", RECONCILED_WITHIN, || {
        let kustomizations = lab
            .prod
            .list(&["kustomizations.kustomize.toolkit.fluxcd.io", "-A"]);
        let late = kustomizations
            .iter()
            .find(|kustomization| !is_ready_at(kustomization, &head));
        late.map_or(Ok(()), |late| Err(late.to_string()))
    });
}

fn is_ready_at(kustomization: &Value, commit: &str) -> bool {
    let applied = kustomization["status"]["lastAppliedRevision"]
        .as_str()
        .unwrap_or_default();
    applied.contains(commit) && condition(kustomization, "Ready").0 == "True"
}
