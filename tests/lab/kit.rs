//! A lab of its own for a test run, and independent tools to look at it: kubectl, dig, git. What they print is
//! what counts; the program under test is not asked about itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lotse::lab::component::{Acquired, Component, Components, Sources};
use serde_json::Value;

/// The program under test.
pub(crate) const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");

/// The applications of `environments/lab`.
pub(crate) const APPS: [&str; 7] = [
    "cert-manager",
    "health-check",
    "keycloak",
    "monitoring",
    "standards-compliance",
    "statuspage",
    "website",
];

/// How long the first bring-up may take: it builds every component on a new machine.
const FIRST_BRING_UP: &str = "1200";

/// A place in which labs live, apart from the user's own.
pub(crate) struct World {
    directory: tempfile::TempDir,
}

/// What a program printed.
#[must_use = "look at what it printed, or call .success()"]
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    /// The program's stdout; fails when it did not end well.
    pub(crate) fn success(self) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "{} failed\n{}\n{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

impl World {
    /// A new one. Its path is short, since Unix sockets live in it.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("lotse-")
            .tempdir_in("/tmp")
            .unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `lotse ARGUMENTS...`, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LOTSE);
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("XDG_STATE_HOME", self.path())
            .env("NO_COLOR", "1")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    /// Runs `lotse ARGUMENTS...` to its end.
    pub(crate) fn lotse(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Runs `lotse ARGUMENTS...` to its end and shows what it tells on the way: for what may take long.
    pub(crate) fn lotse_aloud(&self, arguments: &[&str]) -> Ran {
        let started = Instant::now();
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            eprintln!("{line}");
            told.push_str(&line);
            told.push('\n');
        }
        let output = child.wait_with_output().unwrap();
        Ran {
            command: format!("lotse {}", arguments.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: told,
            took: started.elapsed(),
        }
    }

    /// Plain kubectl with the administrator's kubeconfig of a cluster of the lab.
    pub(crate) fn kubectl(&self, cluster: &str) -> Kubectl {
        let kubeconfig = self.lotse(&["lab", "kubeconfig", "--cluster", cluster]).success();
        Kubectl::with(kubeconfig.trim())
    }

    /// The lab's addresses.
    pub(crate) fn endpoints(&self) -> Value {
        let status = self.lotse(&["lab", "status", "-o", "json"]).success();
        serde_json::from_str::<Value>(&status).unwrap()["endpoints"].clone()
    }

    /// Passwords of the people at the lab's forge.
    pub(crate) fn passwords(&self) -> BTreeMap<String, String> {
        let credentials = self.lotse(&["lab", "credentials", "-o", "json"]).success();
        serde_json::from_str(&credentials).unwrap()
    }
}

/// The lab that most tests share.
pub(crate) struct Lab {
    pub(crate) world: World,
    /// What the first bring-up told.
    pub(crate) first: Ran,
    pub(crate) moin: Kubectl,
    pub(crate) prod: Kubectl,
    pub(crate) endpoints: Value,
}

impl Lab {
    /// Brings it up. It lives as long as the program.
    pub(crate) fn bootstrapped() -> &'static Self {
        let world = World::new();
        let first = world.lotse_aloud(&["bootstrap", "lab", "--timeout", FIRST_BRING_UP]);
        if first.code != Some(0) {
            eprintln!("{}", world.lotse(&["lab", "logs"]).stdout);
            drop(world.lotse(&["lab", "down"]));
            panic!("the bring-up failed with {:?}", first.code);
        }
        let (moin, prod) = (world.kubectl("moin"), world.kubectl("prod"));
        let endpoints = world.endpoints();
        Box::leak(Box::new(Self {
            world,
            first,
            moin,
            prod,
            endpoints,
        }))
    }

    /// Ends it and makes sure that nothing is left.
    pub(crate) fn down(&self) {
        self.world.lotse(&["lab", "down"]).success();
        assert_eq!(
            processes_of(self.world.path()),
            Vec::<String>::new(),
            "processes were left behind"
        );
        std::fs::remove_dir_all(self.world.path()).unwrap();
    }

    /// An address of the lab.
    pub(crate) fn endpoint(&self, name: &str) -> &str {
        self.endpoints[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.endpoints))
    }

    /// The newest commit of the platform's repository.
    pub(crate) fn head(&self) -> String {
        let heads =
            run(Command::new("git").args(["ls-remote", self.endpoint("git"), "refs/heads/main"])).success();
        heads
            .split_whitespace()
            .next()
            .expect("the branch main exists")
            .to_owned()
    }

    /// The address that all hosts lead to, as the load balancer of the gateway has it.
    pub(crate) fn gateway_address(&self) -> String {
        let services = self.prod.list(&["services", "-n", "gateway"]);
        let addresses: Vec<&str> = services
            .iter()
            .filter_map(|service| service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str())
            .collect();
        assert_eq!(addresses.len(), 1, "{services:?}");
        addresses[0].to_owned()
    }

    /// `dig` at the lab's name server, short answers.
    pub(crate) fn dig(&self, arguments: &[&str]) -> String {
        let (host, port) = self.endpoint("dns").rsplit_once(':').unwrap();
        let server = format!("@{host}");
        let mut all = vec![server.as_str(), "-p", port, "+short", "+norecurse"];
        all.extend_from_slice(arguments);
        run(Command::new("dig").args(all)).success().trim().to_owned()
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let started = Instant::now();
    let shown = format!("{command:?}");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{shown} could not be started: {error}"));
    Ran {
        command: shown,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: started.elapsed(),
    }
}

/// Runs an async piece of a test to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// A component, built where it is not yet.
pub(crate) fn acquired(component: Component) -> Acquired {
    let cache = std::env::var("XDG_CACHE_HOME")
        .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").expect("HOME is set")));
    let sources = Sources {
        assets: None,
        kubebuilder_assets: None,
        cache: format!("{cache}/lotse/components").into(),
    };
    block_on(Components::new(sources).acquire(component, &lotse::report::Silent)).unwrap()
}

/// The program of a component, built where it is not yet.
pub(crate) fn program(component: Component) -> PathBuf {
    acquired(component).program().as_std_path().to_owned()
}

/// Plain kubectl.
#[derive(Clone)]
pub(crate) struct Kubectl {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn with(kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            program: program(Component::Kubectl),
            kubeconfig: kubeconfig.into(),
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments))
    }

    /// `kubectl get ... -o json`.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["-o", "json"]);
        serde_json::from_str(&self.run(&all).success()).unwrap()
    }

    /// `items` of `kubectl get ... -o json`.
    pub(crate) fn list(&self, arguments: &[&str]) -> Vec<Value> {
        self.get(arguments)["items"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The same cluster as the bearer of `token` and nobody else.
    pub(crate) fn as_bearer(&self, token: &str, directory: &Path) -> Self {
        let shown = self
            .run(&["config", "view", "--raw", "--minify", "-o", "json"])
            .success();
        let mut kubeconfig: Value = serde_json::from_str(&shown).unwrap();
        kubeconfig["users"][0]["user"] = serde_json::json!({ "token": token });
        let path = directory.join("bearer.kubeconfig");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(kubeconfig.to_string().as_bytes()).unwrap();
        Self {
            program: self.program.clone(),
            kubeconfig: path,
        }
    }
}

/// A condition of a Kubernetes object: its status, and its message.
pub(crate) fn condition<'object>(object: &'object Value, name: &str) -> (&'object str, &'object str) {
    let conditions = object["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
        .map_or(("absent", ""), |condition| {
            (
                condition["status"].as_str().unwrap_or(""),
                condition["message"].as_str().unwrap_or(""),
            )
        })
}

/// Command lines of the processes that were started for a lab whose state is below `directory`.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_of_lab = String::from_utf8_lossy(&environment).contains("LOTSE_LAB=");
        if line.contains(needle) && (is_of_lab || line.contains("supervise")) {
            found.push(line);
        }
    }
    found
}

/// Asks `condition` again and again until it gives a value, and says what it waited for when it never does.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(reason) if Instant::now() > deadline => panic!("{what}: {reason} after {within:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
