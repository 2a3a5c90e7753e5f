//! The way in for people: a kubeconfig without secrets, read by real kubectl.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::access::kubectl_of;
use crate::kit::{Lab, Ran, block_on, run};
use crate::systems::{Checkout, authority};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";

/// A person's machine: kubectl, and a stand-in for kubelogin that notes how it was called and gives a token that the
/// person got by a login.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn of(lab: &Lab, person: &str) -> Self {
        let machine = Self {
            directory: tempfile::tempdir_in(lab.world.path()).unwrap(),
        };
        let bearer = kubectl_of(lab, person);
        let text = std::fs::read_to_string(&bearer.kubeconfig).unwrap();
        let kubeconfig: Value = serde_json::from_str(&text).unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
        let credential = serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token},
        });
        std::fs::write(machine.path("credential.json"), credential.to_string()).unwrap();
        std::fs::create_dir(machine.path("bin")).unwrap();
        symlink(&lab.prod.program, machine.path("bin/kubectl")).unwrap();
        let plugin = machine.path("bin/kubectl-oidc_login");
        let here = machine.directory.path().display();
        let script = format!(
            "#!/bin/sh\nfor argument in \"$@\"; do echo \"$argument\"; done > {here}/called\ncat {here}/credential.json\n"
        );
        std::fs::write(&plugin, script).unwrap();
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Ran {
        let path = std::env::var("PATH").unwrap();
        run(Command::new("kubectl")
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("KUBECONFIG", kubeconfig)
            .args(arguments))
    }

    /// What kubelogin was called with.
    fn called(&self) -> Vec<String> {
        let called = std::fs::read_to_string(self.path("called")).unwrap();
        called.lines().map(str::to_owned).collect()
    }
}

fn name_of(machine: &Machine, kubeconfig: &Path, context: &str) -> String {
    let arguments = ["--context", context, "auth", "whoami", "-o", "json"];
    let told = machine.kubectl(kubeconfig, &arguments).success();
    let told: Value = serde_json::from_str(&told).unwrap();
    told["status"]["userInfo"]["username"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn people_get_in_by_their_kubeconfig(lab: &Lab) {
    let machine = Machine::of(lab, "ada");
    let file = machine.path("own.kubeconfig");
    let out = file.to_str().unwrap();
    let ran = lab.world.lotse(&["kubeconfig", "lab", "--out", out]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(name_of(&machine, &file, "lab"), "oidc:ada");

    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["token:", "client-key", "client-certificate", "password"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(lab.world.lotse(&["kubeconfig", "lab"]).success(), text);

    let issuer = format!("{}/realms/scs", lab.endpoint("keycloak"));
    let called = machine.called();
    assert_eq!(called[0], "get-token");
    assert!(
        called.contains(&format!("--oidc-issuer-url={issuer}")),
        "{called:?}"
    );
    assert!(
        called.contains(&"--oidc-client-id=kubectl".to_owned()),
        "{called:?}"
    );
    let value = |flag: &str| called.iter().find_map(|argument| argument.strip_prefix(flag));
    let known = STANDARD
        .decode(value("--certificate-authority-data=").unwrap())
        .unwrap();
    assert_eq!(String::from_utf8(known).unwrap(), authority(lab));
    let scopes = called
        .iter()
        .filter_map(|argument| argument.strip_prefix("--oidc-extra-scope="));
    let scopes: Vec<&str> = std::iter::once("openid").chain(scopes).collect();
    assert!(takes_scopes(lab, &issuer, &scopes.join(" ")));
    assert!(!takes_scopes(lab, &issuer, "openid no-such-scope"));
}

/// Whether Keycloak shows a login page to a program that asks for `scopes` as kubelogin does.
fn takes_scopes(lab: &Lab, issuer: &str, scopes: &str) -> bool {
    let known = reqwest::Certificate::from_pem(authority(lab).as_bytes()).unwrap();
    let query = [
        ("client_id", "kubectl"),
        ("response_type", "code"),
        ("redirect_uri", "http://localhost:8000"),
        ("scope", scopes),
        ("code_challenge_method", "S256"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ];
    block_on(async {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_merge([known])
            .redirect(reqwest::redirect::Policy::none());
        let request = http.build().unwrap();
        let request = request.get(format!("{issuer}/protocol/openid-connect/auth"));
        let answer = request.query(&query).send().await.unwrap();
        let location = answer.headers().get("location");
        let leads_back = location.is_some_and(|to| to.to_str().unwrap().contains("error="));
        assert!(leads_back || answer.status().is_success() || answer.status().is_redirection());
        !leads_back
    })
}

/// It goes beside what kubectl's file has already, is brought up to date by the next run, and never takes the place of
/// what somebody else has under the same name.
pub(crate) fn a_kubeconfig_is_added_to_kubectls_file(lab: &Lab) {
    let machine = Machine::of(lab, "ada");
    let file = machine.path("config");
    std::fs::copy(&lab.moin.kubeconfig, &file).unwrap();
    let merge = || {
        let mut command = lab.world.command(&["kubeconfig", "lab", "--merge"]);
        run(command.env("KUBECONFIG", format!("{}:/nowhere", file.display())))
    };
    let ran = merge();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let contexts = machine.kubectl(&file, &["config", "get-contexts", "-o", "name"]);
    assert_eq!(contexts.success(), "lab\nmoin\n");
    let current = machine.kubectl(&file, &["config", "current-context"]);
    assert_eq!(current.success(), "lab\n");
    assert_eq!(name_of(&machine, &file, "lab"), "oidc:ada");
    machine
        .kubectl(&file, &["--context", "moin", "get", "clusters", "-A"])
        .success();

    let once = std::fs::read_to_string(&file).unwrap();
    assert_eq!(merge().code, Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), once);
    machine
        .kubectl(
            &file,
            &["config", "set-cluster", "lab", "--server=https://127.0.0.1:1"],
        )
        .success();
    let changed = std::fs::read_to_string(&file).unwrap();
    let refused = merge();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("its cluster `lab` leads elsewhere"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);
    assert!(!machine.path("config.lock").exists());
}

/// Who may not read the Secret is told which right it takes, and gets the same file by naming server and authority.
pub(crate) fn a_kubeconfig_takes_no_rights_where_the_server_is_named(lab: &Lab) {
    let written = lab.world.lotse(&["kubeconfig", "lab"]).success();
    let checkout = Checkout::copy(lab);
    let directory = tempfile::tempdir_in(lab.world.path()).unwrap();
    let token = lab
        .moin
        .run(&["create", "token", "default", "-n", "default"])
        .success();
    let bearer = lab.moin.as_bearer(token.trim(), directory.path());
    let kubeconfig = bearer.kubeconfig.to_str().unwrap();
    checkout.replace(ENVIRONMENT, "{env: LOTSE_LAB_MOIN_KUBECONFIG}", kubeconfig);
    let lotse = |arguments: &[&str]| {
        let mut command = lab.world.command(arguments);
        run(checkout.enter(&mut command))
    };
    let refused = lotse(&["kubeconfig", "lab"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert_eq!(refused.stdout, "");
    for part in [
        "reading Secret/prod/prod-kubeconfig: ",
        "is forbidden",
        "help: it takes the right to `get` that Secret in the namespace prod of the management cluster\n",
        "help: `--server URL --certificate-authority FILE` asks nobody",
    ] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.stderr);
    }
    let shown = ["config", "view", "--raw", "--minify", "-o", "json"];
    let administrator: Value = serde_json::from_str(&lab.prod.run(&shown).success()).unwrap();
    let cluster = &administrator["clusters"][0]["cluster"];
    let known = cluster["certificate-authority-data"].as_str().unwrap();
    let file = directory.path().join("ca.crt");
    std::fs::write(&file, STANDARD.decode(known).unwrap()).unwrap();
    let named = lotse(&[
        "kubeconfig",
        "lab",
        "--server",
        cluster["server"].as_str().unwrap(),
        "--certificate-authority",
        file.to_str().unwrap(),
    ]);
    assert_eq!(named.success(), written);
}
