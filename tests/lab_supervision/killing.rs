//! Supervisors and commands that are killed or interrupted.

use std::process::Command;
use std::time::{Duration, Instant};

use lotse::lab::{self, LabError, LabState, RunningLab};
use lotse::report::Event;
use rustix::process::Signal;
use serde_json::json;

use super::house::{House, Told, runs, signal, until_gone};
use super::parts::{Planned, Readiness};

const NOBODY: [i32; 0] = [];

async fn kill_supervisor(house: &House) {
    let supervisor = house.supervisor("one");
    signal(supervisor, Signal::KILL);
    until_gone(supervisor).await;
}

pub(crate) async fn test_a_supervisor_killed_while_it_starts_leaves_nothing() {
    let house = House::new();
    let slow = Planned::new("slow", "sleep 1000", Readiness::Never);
    house.plan("one", &[Planned::sleeper("etcd"), slow]);
    let killing = async {
        house.wait_for_process("one", "slow").await;
        signal(house.supervisor("one"), Signal::KILL);
    };
    let (outcome, ()) = tokio::join!(house.up("one"), killing);
    assert!(
        matches!(outcome, Err(LabError::SupervisorEnded { .. })),
        "{outcome:?}"
    );
    assert_eq!(house.processes("one"), NOBODY);
}

pub(crate) async fn test_down_after_the_supervisor_was_killed() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd"), Planned::sleeper("other")]);
    house.up("one").await.unwrap();
    let processes = house.processes("one");
    kill_supervisor(&house).await;
    let status = house.status("one").await;
    assert_eq!((status.state, status.processes.len()), (LabState::Unattended, 2));
    house.down("one").await.unwrap();
    assert!(!processes.into_iter().any(runs));
    assert!(!house.lab("one").exists());
}

pub(crate) async fn test_up_after_the_supervisor_was_killed() {
    let house = House::new();
    let script = "echo once >> kept; exec \"$SELF\" component $PORT";
    house.plan("one", &[Planned::new("etcd", script, Readiness::Http)]);
    let first = house.up("one").await.unwrap();
    let orphan = house.process("one", "etcd");
    kill_supervisor(&house).await;
    assert!(runs(orphan));
    let second = house.up("one").await.unwrap();
    assert!(!runs(orphan));
    assert_eq!(first.endpoints, second.endpoints, "ports are kept");
    let secret = |lab: &RunningLab| lab.secrets.get("admin").unwrap().expose().to_owned();
    assert_eq!(secret(&first), secret(&second));
    let kept = fs_err::read_to_string(house.lab("one").join("data/etcd/kept")).unwrap();
    assert_eq!(kept.lines().count(), 2, "the data is kept");
    assert_eq!(house.processes("one").len(), 2);
}

/// The orphan takes a while to end, and holds its port until then.
pub(crate) async fn test_up_while_the_orphans_hold_their_ports() {
    let house = House::new();
    let script = "trap '' TERM; \"$SELF\" component $PORT & trap 'sleep 1; kill -9 $!; exit' TERM; \
                  while :; do wait; done";
    house.plan("one", &[Planned::new("etcd", script, Readiness::Http)]);
    house.up("one").await.unwrap();
    kill_supervisor(&house).await;
    house.up("one").await.unwrap();
}

pub(crate) async fn test_a_reused_process_number_is_left_alone() {
    let house = House::new();
    house.plan("one", &[Planned::sleeper("etcd")]);
    house.up("one").await.unwrap();
    kill_supervisor(&house).await;
    let etcd = house.process("one", "etcd");
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(stranger.id()).unwrap();
    let mut record = house.record("one");
    // Once as a number that was reused, once even with the right start time.
    record["processes"]["etcd"]["pid"] = pid.into();
    record["processes"]["other"] = json!({"pid": pid, "started": started(pid)});
    fs_err::write(house.lab("one").join("lab.json"), record.to_string()).unwrap();
    house.down("one").await.unwrap();
    assert!(runs(pid), "a stranger was ended");
    assert!(
        !runs(etcd),
        "it carries the mark, though the record does not know it any more"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn started(pid: i32) -> u64 {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap()
        .parse()
        .unwrap()
}

pub(crate) async fn test_a_process_that_ignores_the_request_is_killed() {
    let house = House::new();
    let script = "trap '' TERM; touch ready; while :; do sleep 1; done";
    house.plan("one", &[Planned::new("stubborn", script, Readiness::File)]);
    house.up("one").await.unwrap();
    let process = house.process("one", "stubborn");
    let begun = Instant::now();
    house.down("one").await.unwrap();
    assert!(!runs(process));
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(20),
        "{took:?}"
    );
}

pub(crate) async fn test_sigterm_stops_everything_and_keeps_the_state() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    let first = house.up("one").await.unwrap();
    let supervisor = house.supervisor("one");
    signal(supervisor, Signal::TERM);
    until_gone(supervisor).await;
    assert_eq!(house.processes("one"), NOBODY);
    assert_eq!(house.status("one").await.state, LabState::Stopped);
    assert_eq!(house.up("one").await.unwrap().endpoints, first.endpoints);
}

pub(crate) async fn test_an_interrupt_stops_what_was_started() {
    let house = House::new();
    house.plan(
        "one",
        &[
            Planned::sleeper("etcd"),
            Planned::new("slow", "sleep 1000", Readiness::Never),
        ],
    );
    let options = house.options("one");
    let told = Told::default();
    let interrupt = async {
        house.wait_for_process("one", "slow").await;
        options.interrupted.cancel();
    };
    let (outcome, ()) = tokio::join!(lab::up(&options, &told), interrupt);
    assert!(
        matches!(outcome, Err(LabError::Interrupted { goes_on: false, .. })),
        "{outcome:?}"
    );
    assert_eq!(house.processes("one"), NOBODY);
}

pub(crate) async fn test_an_interrupt_leaves_a_lab_that_others_start() {
    let house = House::new();
    let slow = "while [ ! -e go ]; do sleep 0.05; done; exec \"$SELF\" component $PORT";
    house.plan("one", &[Planned::new("slow", slow, Readiness::Http)]);
    let options = house.options("one");
    let other = Told::default();
    let first = async {
        let outcome = lab::up(&options, &Told::default()).await;
        fs_err::write(house.lab("one").join("data/slow/go"), "").unwrap();
        outcome
    };
    let interrupt = async {
        let begun = Instant::now();
        // The other follows once it has been told something of the lab's processes.
        while !other
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, Event::Waiting { .. }))
        {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the second does not follow"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        options.interrupted.cancel();
    };
    let second_options = house.options("one");
    let (first, second, ()) = tokio::join!(first, lab::up(&second_options, &other), interrupt);
    assert!(
        matches!(first, Err(LabError::Interrupted { goes_on: true, .. })),
        "{first:?}"
    );
    second.unwrap();
}

pub(crate) async fn test_a_lab_that_nobody_follows_any_more_is_given_up() {
    let house = House::new();
    house.plan(
        "one",
        &[
            Planned::sleeper("etcd"),
            Planned::new("slow", "sleep 1000", Readiness::Never),
        ],
    );
    let options = house.options("one");
    let told = Told::default();
    tokio::select! {
        outcome = lab::up(&options, &told) => panic!("{outcome:?}"),
        // The future is dropped here, as when the program is killed.
        () = house.wait_for_process("one", "slow") => {}
    }
    until_gone(house.supervisor("one")).await;
    assert_eq!(house.status("one").await.state, LabState::Stopped);
    assert_eq!(house.record("one")["processes"], json!({}));
    assert_eq!(house.processes("one"), NOBODY);
}

pub(crate) async fn test_down_of_a_hanging_supervisor() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    house.up("one").await.unwrap();
    let processes = house.processes("one");
    signal(house.supervisor("one"), Signal::STOP);
    house.down("one").await.unwrap();
    assert!(!processes.into_iter().any(runs));
}

/// It waits for the end of the earlier run and begins anew.
pub(crate) async fn test_up_while_the_lab_is_being_stopped() {
    let house = House::new();
    let script = "trap 'sleep 1; exit' TERM; touch ready; while :; do sleep 0.02; done";
    house.plan("one", &[Planned::new("slow", script, Readiness::File)]);
    house.up("one").await.unwrap();
    let first = house.supervisor("one");
    signal(first, Signal::TERM);
    house
        .wait("one", |status| status.state == LabState::Stopping)
        .await;
    house.up("one").await.unwrap();
    assert!(!runs(first));
    assert_eq!(house.status("one").await.state, LabState::Ready);
}
