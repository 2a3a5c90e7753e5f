//! Labs that come up.

use std::time::{Duration, Instant};

use lotse::lab::{self, LabState, LabStatus};
use lotse::names::LabName;
use lotse::report::Event;
use rustix::process::Signal;

use super::house::{House, Told, runs, signal, until_gone};
use super::parts::{Planned, Readiness};

pub(crate) async fn test_up_status_down() {
    let house = House::new();
    house.plan(
        "one",
        &[Planned::server("etcd"), Planned::server("moin/kube-apiserver")],
    );
    let lab = house.up("one").await.unwrap();
    assert!(lab.endpoints["ports"]["etcd"].is_u64());
    assert_eq!(lab.secrets.get("admin").unwrap().expose().len(), 32);

    let status = house.status("one").await;
    assert_eq!(status.state, LabState::Ready);
    let names: Vec<&str> = status.processes.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["etcd", "moin/kube-apiserver"]);
    assert!(
        status.processes.iter().all(|row| row.memory_kib > Some(100)),
        "{status:#?}"
    );

    let processes = house.processes("one");
    assert_eq!(processes.len(), 3, "a supervisor and two components");
    house.down("one").await.unwrap();
    assert!(!processes.into_iter().any(runs));
    assert!(!house.lab("one").exists());
}

pub(crate) async fn test_a_second_up_returns_at_once() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    house.up("one").await.unwrap();
    let process = house.process("one", "etcd");
    let begun = Instant::now();
    house.up("one").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(house.process("one", "etcd"), process);
}

pub(crate) async fn test_two_at_once_bring_up_one_lab() {
    let house = House::new();
    let slow = "sleep 0.5; exec \"$SELF\" component $PORT";
    house.plan("one", &[Planned::new("slow", slow, Readiness::Http)]);
    let (first, second) = tokio::join!(house.up("one"), house.up("one"));
    assert_eq!(first.unwrap().endpoints, second.unwrap().endpoints);
    assert_eq!(
        house.processes("one").len(),
        2,
        "one supervisor and one component"
    );
}

pub(crate) async fn test_two_labs_side_by_side() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    house.plan("two", &[Planned::server("etcd")]);
    let (one, two) = tokio::join!(house.up("one"), house.up("two"));
    assert_ne!(one.unwrap().endpoints, two.unwrap().endpoints);
    house.down("one").await.unwrap();
    assert_eq!(house.status("two").await.state, LabState::Ready);
    assert!(runs(house.process("two", "etcd")));
}

pub(crate) async fn test_a_crash_is_told_and_the_process_starts_again() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    house.up("one").await.unwrap();
    let before = house.process("one", "etcd");
    signal(before, Signal::KILL);
    let is_back = |status: &LabStatus| status.state == LabState::Ready && status.processes[0].restarts == 1;
    let again = house.wait("one", is_back).await;
    assert_ne!(again.processes[0].pid, Some(before));

    let told = Told::default();
    lab::up(&house.options("one"), &told).await.unwrap();
    let told = told.0.into_inner().unwrap();
    let is_warning = |event: &Event| matches!(event, Event::Warned { task, message } if task == "etcd" && message.contains("signal 9"));
    assert!(told.iter().any(is_warning), "{told:?}");
}

/// Whoever is told that the lab is ready can use all of it.
pub(crate) async fn test_up_waits_for_a_component_that_starts_again() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd"), Planned::server("keycloak")]);
    house.up("one").await.unwrap();
    signal(house.process("one", "keycloak"), Signal::KILL);
    house
        .wait("one", |status| status.state == LabState::Degraded)
        .await;
    house.up("one").await.unwrap();
    let status = house.status("one").await;
    assert_eq!((status.state, status.processes[1].restarts), (LabState::Ready, 1));
}

pub(crate) async fn test_a_process_that_keeps_crashing_shows_its_log() {
    let house = House::new();
    let script = "[ -e once ] && { echo no such luck; exit 5; }; touch once; exec \"$SELF\" component $PORT";
    house.plan("one", &[Planned::new("etcd", script, Readiness::Http)]);
    house.up("one").await.unwrap();
    signal(house.process("one", "etcd"), Signal::KILL);
    let is_down =
        |status: &LabStatus| status.processes[0].detail.as_deref() == Some("ended with exit code 5");
    let crashed = house.wait("one", is_down).await;
    assert_eq!(crashed.state, LabState::Degraded);
    assert_eq!(crashed.processes[0].state, "crashed");
    assert_eq!(crashed.processes[0].log_lines, ["no such luck"]);
}

pub(crate) async fn test_children_of_a_component_are_ended() {
    let house = House::new();
    let script = "sleep 1000 & sleep 1000 & touch ready; exec sleep 1000";
    house.plan("one", &[Planned::new("etcd", script, Readiness::File)]);
    house.up("one").await.unwrap();
    let processes = house.processes("one");
    assert_eq!(processes.len(), 4);
    house.down("one").await.unwrap();
    assert!(!processes.into_iter().any(runs));
}

pub(crate) async fn test_processes_end_in_reverse_order() {
    let house = House::new();
    let plan = ["first", "second", "third"].map(|name| {
        let end = format!("sleep 0.1; echo {name} >> ../order; exit");
        let script = format!("trap '{end}' TERM; touch ready; while :; do sleep 0.02; done");
        Planned::new(name, &script, Readiness::File)
    });
    house.plan("one", &plan);
    house.up("one").await.unwrap();
    let supervisor = house.supervisor("one");
    signal(supervisor, Signal::TERM);
    until_gone(supervisor).await;
    let order = fs_err::read_to_string(house.lab("one").join("data/order")).unwrap();
    assert_eq!(order, "third\nsecond\nfirst\n");
}

pub(crate) async fn test_logs_are_shown() {
    let house = House::new();
    let talker = "echo a; echo b; touch ready; exec sleep 1000";
    house.plan(
        "one",
        &[
            Planned::server("etcd"),
            Planned::new("moin/other", talker, Readiness::File),
        ],
    );
    house.up("one").await.unwrap();
    let mut options = lab::LogsOptions {
        name: LabName::new("one").unwrap(),
        state_root: house.root().to_owned(),
        component: Some("moin/other".to_owned()),
        lines: 1,
        follow: false,
    };
    let mut output = Vec::new();
    lab::logs(&options, &mut output).await.unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), "b\n");

    options.component = None;
    let mut output = Vec::new();
    lab::logs(&options, &mut output).await.unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.starts_with("etcd  listening on "), "{output}");
    assert!(output.contains("moin/other  b\n"), "{output}");

    options.component = Some("kube".to_owned());
    let error = lab::logs(&options, &mut Vec::new())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "lab `one` has no log of `kube`; it has etcd, moin/other, supervisor"
    );
}

/// Whoever works with a lab is told when it is stopped under their hands.
pub(crate) async fn test_a_lab_in_use_tells_that_it_is_stopped() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    let lab = house.up("one").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), lab.stopped()).await;
    assert!(early.is_err(), "it runs");
    let (told, down) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), lab.stopped()),
        house.down("one")
    );
    told.unwrap();
    down.unwrap();
}
