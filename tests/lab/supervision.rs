//! Kills: of components, of the supervisor, of the bring-up itself. Everything goes on, nothing is left behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Lab, World, condition, eventually, processes_of, run};

/// How long something that was killed may take to be there again.
const RECOVERY: Duration = Duration::from_secs(60);

fn status(world: &World) -> Value {
    serde_json::from_str(&world.lotse(&["lab", "status", "-o", "json"]).success()).unwrap()
}

fn process<'status>(status: &'status Value, name: &str) -> Option<&'status Value> {
    status["processes"]
        .as_array()?
        .iter()
        .find(|process| process["name"] == name)
}

fn kill(pid: &Value) {
    run(Command::new("kill").args(["-KILL", &pid.to_string()])).success();
}

pub(crate) fn status_names_every_component(lab: &Lab) {
    let status = status(&lab.world);
    // The tests need Knot, so it is installed, and then it is what a lab is made with.
    for name in ["etcd", "moin/kube-apiserver", "keycloak", "dns"] {
        assert!(process(&status, name).is_some(), "no {name} in {status}");
    }
    let shown = lab.world.lotse(&["lab", "status"]).success();
    for word in ["etcd", "cluster-api", "source-controller", "kustomize-controller"] {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }
}

pub(crate) fn a_crashed_component_is_noticed_and_started_again(lab: &Lab) {
    let before = status(&lab.world);
    let crashing = process(&before, "moin/kube-controller-manager").expect("moin has a controller manager");
    kill(&crashing["pid"]);
    eventually("the controller manager runs again", RECOVERY, || {
        let now = status(&lab.world);
        let again = process(&now, "moin/kube-controller-manager").ok_or("it is gone")?;
        let is_new = again["pid"].is_number() && again["pid"] != crashing["pid"];
        let is_counted = again["restarts"].as_u64() > crashing["restarts"].as_u64();
        if is_new && is_counted && again["state"] == "ready" {
            Ok(())
        } else {
            Err(again.to_string())
        }
    });
}

pub(crate) fn lab_goes_on_after_its_supervisor_was_killed(lab: &Lab) {
    let supervisor = processes_of(lab.world.path());
    assert!(!supervisor.is_empty());
    let pids =
        run(Command::new("pgrep").args(["-f", &format!("lab supervise.*{}", lab.world.path().display())]));
    for pid in pids.stdout.split_whitespace() {
        run(Command::new("kill").args(["-KILL", pid])).success();
    }
    lab.world.lotse(&["lab", "up"]).success();
    let again = lab.world.lotse(&["bootstrap", "lab"]);
    assert_eq!(again.code, Some(0), "{}\n{}", again.stdout, again.stderr);
    let cluster = lab
        .moin
        .get(&["clusters.v1beta2.cluster.x-k8s.io", "prod", "-n", "prod"]);
    assert_eq!(condition(&cluster, "Available").0, "True");
}

/// A second lab beside the first: its bring-up is killed after each line that it tells, and started again, until
/// there is nothing more to do. Then its Cluster is deleted, and the lab ended.
pub(crate) fn a_bring_up_that_is_killed_goes_on(lab: &Lab) {
    let world = World::new();
    world.lotse(&["lab", "up", "--name-server", "built-in"]).success();
    assert!(process(&status(&world), "dns").is_none(), "Knot runs");
    let ran = world.lotse(&["lab", "up", "--name-server", "knot"]);
    let told = "was made with the name server built-in and keeps it: `lotse lab down default`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    ran.success();
    let ran = world.lotse(&["lab", "kubeconfig"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for told in [
        "has no cluster `prod`; it has moin",
        "help: `lotse bootstrap ENVIRONMENT`",
    ] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    let mut killed_after = Vec::new();
    while let Some(line) = killed_after_new_line(&world, &killed_after) {
        killed_after.push(line);
        assert!(killed_after.len() < 30, "{killed_after:?}");
    }
    assert!(killed_after.len() >= 6, "killed only after {killed_after:?}");
    let last = world.lotse(&["bootstrap", "lab"]).success();
    assert!(last.contains("nothing to do"), "{last}");
    assert_ne!(
        lab.endpoints["git"],
        world.endpoints()["git"],
        "two labs share a forge"
    );
    deleted_cluster_is_gone(&world);
    world.lotse(&["lab", "down"]).success();
    assert_eq!(processes_of(world.path()), Vec::<String>::new());
    assert!(!world.path().join("lotse/labs/default").exists());
}

/// Runs the bring-up and kills it at the first stage that it was not killed after yet; `None` when it ended first.
fn killed_after_new_line(world: &World, known: &[String]) -> Option<String> {
    let mut child = world
        .command(&["bootstrap", "lab"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let stage = line.split_whitespace().next().unwrap_or_default().to_owned();
        if !known.contains(&stage) {
            child.kill().unwrap();
            child.wait().unwrap();
            return Some(stage);
        }
    }
    assert!(
        child.wait().unwrap().success(),
        "the bring-up failed after it was killed after {known:?}"
    );
    None
}

fn deleted_cluster_is_gone(world: &World) {
    let moin = world.kubectl("moin");
    moin.run(&[
        "delete",
        "clusters.cluster.x-k8s.io",
        "prod",
        "-n",
        "prod",
        "--timeout=90s",
    ])
    .success();
    eventually("the control plane of the deleted cluster ends", RECOVERY, || {
        let left: Vec<String> = processes_of(world.path())
            .into_iter()
            .filter(|line| line.contains("prod"))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    });
}
