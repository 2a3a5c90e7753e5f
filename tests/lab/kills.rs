//! Killed at requests that change something: each run makes a change or two and dies at the next, and in the end everything
//! is as if it had never been killed.
//!
//! Of each kind of request two are enough for every day; `LOTSE_TEST_EVERY_KILL=1` kills at every single one, which takes
//! several minutes more.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::kit::{Lab, World};

/// What `-vv` says before a request that changes something.
const CHANGE: &str = "sends a change request=";
/// A bring-up has some hundred changes; more runs than that mean that it does not get on.
const RUNS: usize = 600;
/// So often a bring-up is killed at one kind of request.
const EACH_KIND: usize = 2;
/// So often where it is killed at every single one: some requests come in each run, and lead nowhere by themselves.
const EVERY_KIND: usize = 40;

/// Where bring-ups were killed: kinds of requests, and how often.
#[derive(Default)]
struct Killed {
    kinds: BTreeMap<String, usize>,
    is_every: bool,
}

impl Killed {
    /// Whether a run that is about to send `request` is to be killed: a run that sent nothing yet only for a kind that no
    /// other was killed at, so that each gets on.
    fn is_next(&self, request: &str, has_sent: bool) -> bool {
        let times = self.kinds.get(&kind(request)).copied().unwrap_or_default();
        let limit = if self.is_every { EVERY_KIND } else { EACH_KIND };
        times == 0 || has_sent && times < limit
    }

    fn total(&self) -> usize {
        self.kinds.values().sum()
    }
}

/// `PATCH Deployment`, `PUT /users/*/groups/*`
fn kind(request: &str) -> String {
    let path = request.split_once("/admin/realms/").map(|(method, path)| {
        let method = method.split(' ').next().unwrap_or_default();
        let parts = path
            .split('/')
            .map(|part| if part.len() == 36 { "*" } else { part });
        format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
    });
    path.unwrap_or_else(|| request.split(['/', ',']).next().unwrap_or_default().to_owned())
}

/// Runs a bring-up, and kills it when it is about to send a change that is next. Gives the kind of that change, or `None`
/// when it came to its end.
fn run_until_killed(world: &World, killed: &Killed) -> Option<String> {
    let mut child = world
        .command(&["-vv", "bootstrap", "lab"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut has_sent = false;
    let mut told = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, request)) = line.split_once(CHANGE) {
            if killed.is_next(request, has_sent) {
                child.kill().unwrap();
                child.wait().unwrap();
                return Some(kind(request));
            }
            has_sent = true;
        }
        told.push(line);
    }
    let status = child.wait().unwrap();
    assert!(
        status.success(),
        "a run that was not killed failed:\n{}",
        told.join("\n")
    );
    None
}

pub(crate) fn a_bring_up_is_killed_at_every_change(_lab: &Lab) {
    let world = World::new();
    world.lotse(&["lab", "up"]).success();
    let mut killed = Killed {
        is_every: std::env::var_os("LOTSE_TEST_EVERY_KILL").is_some(),
        ..Killed::default()
    };
    while let Some(kind) = run_until_killed(&world, &killed) {
        *killed.kinds.entry(kind).or_default() += 1;
        assert!(killed.total() < RUNS, "it does not get on: {:#?}", killed.kinds);
    }
    eprintln!(
        "killed {} times, at {} kinds of changes",
        killed.total(),
        killed.kinds.len()
    );
    for wanted in [
        "PATCH Cluster",
        "PATCH CustomResourceDefinition",
        "PATCH Deployment",
        "PATCH Secret",
        "POST Secret",
        "push to main",
        "POST scs/users",
        "PUT scs/users/*/groups/*",
        "UPDATE",
    ] {
        let is_there = killed.kinds.keys().any(|kind| kind == wanted);
        assert!(is_there, "never killed at {wanted}: {:#?}", killed.kinds);
    }
    let ran = world.lotse(&["plan", "lab", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let said = world.lotse(&["bootstrap", "lab"]).success();
    assert!(said.contains("nothing to do"), "{said}");
    assert_nothing_is_there_twice(&world);
    world.lotse(&["lab", "down"]).success();
}

/// One Cluster and one of everything that is made of it.
fn assert_nothing_is_there_twice(world: &World) {
    let moin = world.kubectl("moin");
    let names = |kind: &str| -> Vec<Value> {
        moin.list(&[kind, "-A"])
            .iter()
            .map(|object| object["metadata"]["name"].clone())
            .collect()
    };
    for kind in [
        "clusters.cluster.x-k8s.io",
        "clusterstacks",
        "clusterstackreleases",
        "labclusters",
        "labcontrolplanes",
    ] {
        assert_eq!(names(kind).len(), 1, "{kind}: {:?}", names(kind));
    }
}
