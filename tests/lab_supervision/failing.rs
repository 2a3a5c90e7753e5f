//! Labs that don't come up: the fault is told, and nothing is left running.

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};

use lotse::lab::{self, LabError, LabState, UpOptions};
use rustix::process::Signal;

use super::house::{House, Told, runs, signal, until_gone};
use super::parts::{Planned, Readiness};

const NOBODY: [i32; 0] = [];

/// The error and what caused it.
fn in_full(error: &LabError) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

pub(crate) async fn test_a_process_that_ends_at_once_fails_the_lab() {
    let house = House::new();
    let broken = Planned::new("broken", "echo no such luck; exit 3", Readiness::Tcp);
    house.plan("one", &[Planned::sleeper("etcd"), broken]);
    let error = in_full(&house.up("one").await.unwrap_err());
    assert!(
        error.contains("`broken` ended with exit code 3 before it was ready"),
        "{error}"
    );
    assert!(error.ends_with("broken.log:\n  no such luck"), "{error}");
    assert_eq!(house.processes("one"), NOBODY);
    assert_eq!(house.status("one").await.state, LabState::Stopped);
}

pub(crate) async fn test_a_process_that_never_gets_ready_fails_the_lab() {
    let house = House::new();
    let slow = Planned::new("slow", "echo dreaming; sleep 1000", Readiness::Never).within_seconds(1);
    house.plan("one", &[Planned::sleeper("etcd"), slow]);
    let error = in_full(&house.up("one").await.unwrap_err());
    assert!(
        error.contains("`slow` was not ready within 1 s: still thinking"),
        "{error}"
    );
    assert!(error.ends_with("\n  dreaming"), "{error}");
    assert_eq!(house.processes("one"), NOBODY);
}

pub(crate) async fn test_a_panic_while_launching_stops_what_was_started() {
    let house = House::new();
    let plan = [
        Planned::sleeper("etcd"),
        Planned::new("other", "sleep 1000", Readiness::Panic),
    ];
    house.plan("one", &plan);
    let error = in_full(&house.up("one").await.unwrap_err());
    assert!(error.contains("a fault in lotse itself (on purpose)"), "{error}");
    // A backtrace, where one is asked for, leaves no line for the panic itself.
    assert!(error.contains("\nthe last lines of "), "{error}");
    assert_eq!(house.processes("one"), NOBODY);
}

pub(crate) async fn test_a_state_directory_that_cannot_be_made_is_told() {
    let house = House::new();
    // Not even root can make a directory below a file.
    let options = UpOptions {
        state_root: "/proc/version".into(),
        ..house.options("one")
    };
    let error = lab::up(&options, &Told::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the state of lab `one` can't be read or kept");
    let source = error.source().unwrap().to_string();
    assert!(
        source.starts_with("failed to create directory `/proc/version/labs/one`"),
        "{source}"
    );
    assert_eq!(error.remedies(), ["choose another place with XDG_STATE_HOME"]);
}

pub(crate) async fn test_a_port_that_was_taken_is_told() {
    let house = House::new();
    house.plan("one", &[Planned::server("etcd")]);
    let lab = house.up("one").await.unwrap();
    let supervisor = house.supervisor("one");
    signal(supervisor, Signal::TERM);
    until_gone(supervisor).await;
    let port = u16::try_from(lab.endpoints["ports"]["etcd"].as_u64().unwrap()).unwrap();
    let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let error = in_full(&house.up("one").await.unwrap_err());
    let ourselves = std::process::id();
    let wanted = format!("port {port} of the lab's `etcd` is in use by process {ourselves} (");
    assert!(error.contains(&wanted), "{error}");
}

pub(crate) async fn test_down_of_an_unknown_lab_names_the_known() {
    let house = House::new();
    house.plan("one", &[]);
    house.up("one").await.unwrap();
    let error = house.down("other").await.unwrap_err().to_string();
    assert_eq!(error, "there is no lab `other`; there is one");
}

pub(crate) async fn test_a_supervisor_that_dies_at_its_start_is_told() {
    let house = House::new();
    // Without a plan, this binary's supervisor panics at its start.
    let error = house.up("one").await.unwrap_err();
    assert!(matches!(error, LabError::SupervisorEnded { .. }), "{error}");
    assert!(error.to_string().contains("one.plan"), "{error}");
    let options = UpOptions {
        program: "/nowhere".into(),
        ..house.options("one")
    };
    let error = lab::up(&options, &Told::default()).await.unwrap_err();
    assert!(matches!(error, LabError::Spawn { .. }), "{error}");
}

/// The command that started the supervisor is told why, however soon that ends: it may not have connected yet.
pub(crate) async fn test_a_lab_that_fails_at_once_says_why() {
    let house = House::new();
    house.plan("one", &[Planned::new("broken", "exit 3", Readiness::Never)]);
    for _ in 0..5 {
        let error = house.up("one").await.unwrap_err();
        assert!(matches!(error, LabError::Failed { .. }), "{error:?}");
        assert_eq!(error.remedies(), ["`lotse lab up one` goes on from here"]);
    }
}

pub(crate) async fn test_down_ends_what_runs_for_a_lab_whose_record_is_damaged() {
    let house = House::new();
    house.plan("one", &[Planned::sleeper("etcd"), Planned::sleeper("other")]);
    house.up("one").await.unwrap();
    let processes = house.processes("one");
    let supervisor = house.supervisor("one");
    signal(supervisor, Signal::KILL);
    until_gone(supervisor).await;
    fs_err::write(house.lab("one").join("lab.json"), "{\"format\": 1, ").unwrap();
    let error = in_full(&house.up("one").await.unwrap_err());
    assert!(
        error.contains("lab.json` can't be read") && error.contains("`lotse lab down` removes the lab"),
        "{error}"
    );
    house.down("one").await.unwrap();
    assert!(!processes.into_iter().any(runs));
    assert!(!house.lab("one").exists());
}
