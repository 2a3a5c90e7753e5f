//! What bringing objects to an API server costs beside `kubectl apply --server-side`.
//!
//! `cargo bench --bench apply` brings a lab up and has lotse (a plan, then its apply: a look at each object before it is
//! sent) and kubectl (the lab's own) bring 1,000 `ConfigMaps` into 100 namespaces of its management cluster in turn, each into
//! namespaces of its own. Prints one table; asserts that the objects are there, never how long it took.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use lotse::desired::Manifest;
use lotse::kubernetes::Cluster;
use lotse::lab::component::{Component, Components, Sources};
use serde_json::json;

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");
const PAIRS: usize = 3;
const NAMESPACES: usize = 100;
const EACH: usize = 10;

fn main() {
    let state = tempfile::Builder::new()
        .prefix("lotse-bench-")
        .tempdir_in("/tmp")
        .expect("a temporary directory");
    let folder = Utf8Path::from_path(state.path()).expect("a path of UTF-8");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let components = Components::new(Sources {
        assets: None,
        kubebuilder_assets: None,
        cache: cache(),
    });
    let kubectl = runtime
        .block_on(components.acquire(Component::Kubectl, &lotse::report::Silent))
        .expect("kubectl can be built");
    let kubectl = kubectl.program();
    lotse(folder, &["lab", "up"]);
    let kubeconfig = lotse(folder, &["lab", "kubeconfig", "--cluster", "moin"]);
    let kubeconfig = Utf8Path::new(kubeconfig.trim());
    let mut pairs = Vec::new();
    for round in 0..PAIRS {
        let ours = objects(&format!("ours-{round}"));
        let theirs = objects(&format!("theirs-{round}"));
        let file = folder.join(format!("{round}.json"));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": values(&theirs.1)});
        fs_err::write(&file, list.to_string()).expect("the file is written");
        runtime.block_on(async {
            let cluster = connect(kubeconfig).await;
            for namespaces in [&ours.0, &theirs.0] {
                cluster
                    .apply_all(namespaces)
                    .await
                    .expect("the namespaces are made");
            }
        });
        let our = runtime.block_on(bring(kubeconfig, &ours.1));
        let their = kubectl_apply(kubectl, kubeconfig, &file);
        pairs.push((our, their));
    }
    lotse(folder, &["lab", "down"]);
    print(&pairs);
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no settings")]
fn cache() -> Utf8PathBuf {
    let base = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| home + "/.cache"))
        .expect("HOME is set");
    Utf8PathBuf::from(base).join("lotse/components")
}

fn lotse(state: &Utf8Path, arguments: &[&str]) -> String {
    let output = Command::new(LOTSE)
        .args(arguments)
        .env("XDG_STATE_HOME", state)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("lotse can be started");
    assert!(output.status.success(), "lotse {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).expect("text")
}

/// Namespaces, and the `ConfigMaps` that are to be in them.
fn objects(prefix: &str) -> (Vec<Manifest>, Vec<Manifest>) {
    let names: Vec<String> = (0..NAMESPACES)
        .map(|index| format!("{prefix}-{index:03}"))
        .collect();
    let manifest = |value| Manifest::new(value).expect("an object");
    let namespaces = names
        .iter()
        .map(|name| manifest(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})));
    let maps = names.iter().flat_map(|name| {
        (0..EACH).map(move |index| {
            let metadata = json!({"name": format!("settings-{index}"), "namespace": name});
            let data = json!({"greeting": "hello", "number": index.to_string()});
            manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
        })
    });
    (namespaces.collect(), maps.collect())
}

fn values(manifests: &[Manifest]) -> Vec<&serde_json::Value> {
    manifests.iter().map(Manifest::value).collect()
}

async fn connect(kubeconfig: &Utf8Path) -> Cluster {
    Cluster::from_settings(Some(kubeconfig), None)
        .await
        .expect("the cluster is there")
}

async fn bring(kubeconfig: &Utf8Path, objects: &[Manifest]) -> Duration {
    let started = Instant::now();
    let cluster = connect(kubeconfig).await;
    let plan = cluster.plan(objects).await.expect("the cluster can be asked");
    let changed = cluster.apply_plan(&plan).await.expect("the objects are taken");
    let took = started.elapsed();
    assert_eq!(changed, NAMESPACES * EACH);
    assert!(
        cluster
            .plan(objects)
            .await
            .expect("the cluster can be asked")
            .is_empty()
    );
    took
}

fn kubectl_apply(kubectl: &Utf8Path, kubeconfig: &Utf8Path, file: &Utf8Path) -> Duration {
    let started = Instant::now();
    let output = Command::new(kubectl)
        .args([
            "--kubeconfig",
            kubeconfig.as_str(),
            "apply",
            "--server-side",
            "-f",
            file.as_str(),
        ])
        .output()
        .expect("kubectl can be started");
    let took = started.elapsed();
    assert!(output.status.success(), "kubectl failed: {output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().count(),
        NAMESPACES * EACH
    );
    took
}

fn print(pairs: &[(Duration, Duration)]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = median(pairs.iter().map(|(our, _)| our.as_secs_f64()).collect());
    let theirs = median(pairs.iter().map(|(_, their)| their.as_secs_f64()).collect());
    let ratio = median(
        pairs
            .iter()
            .map(|(our, their)| their.as_secs_f64() / our.as_secs_f64())
            .collect(),
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let table = format!(
        "{PAIRS} pairs, {threads} threads; each figure is a median\n\n| what | lotse | beside it | wall |\n|---|---|---|---|\n\
         | {} objects into {NAMESPACES} namespaces: plan and apply; `kubectl apply --server-side` | {ours:.2} s | {theirs:.1} s | {ratio:.1}× |\n",
        NAMESPACES * EACH
    );
    std::io::stdout()
        .write_all(table.as_bytes())
        .expect("stdout can be written");
}
