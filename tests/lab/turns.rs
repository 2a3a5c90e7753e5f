//! Two bring-ups at once, from different computers: one waits, never both.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lotse::kubernetes::Cluster;
use lotse::report::Silent;
use lotse::surface::management::{Turn, take};
use serde_json::json;

use crate::kit::{Kubectl, Lab, block_on, eventually};

const LEASE: &str = "lotse-lab";
const CONTENDERS: usize = 6;
const WITHIN: Duration = Duration::from_secs(60);

/// Each takes the turn three times, looks around for a moment, and gives it back: it never sees another one.
pub(crate) fn nobody_has_a_turn_beside_another(lab: &Lab) {
    let kubeconfig = lab.moin.kubeconfig.to_str().unwrap().to_owned();
    let inside = AtomicUsize::new(0);
    let turns = AtomicUsize::new(0);
    block_on(async {
        let cluster = Cluster::from_settings(Some(kubeconfig.as_str().into()), None)
            .await
            .unwrap();
        let contend = |number: usize| {
            let (cluster, inside, turns) = (&cluster, &inside, &turns);
            async move {
                let turn = Turn {
                    namespace: "prod".into(),
                    name: "lotse-contended".into(),
                    holder: format!("contender {number}"),
                };
                for _ in 0..3 {
                    let held = take(cluster, &turn, WITHIN, &Silent).await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have the turn");
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    turns.fetch_add(1, Ordering::SeqCst);
                    held.give_back().await;
                }
            }
        };
        futures::future::join_all((0..CONTENDERS).map(contend)).await;
    });
    assert_eq!(turns.load(Ordering::SeqCst), 3 * CONTENDERS);
    lab.moin
        .run(&["delete", "lease", "lotse-contended", "-n", "prod"])
        .success();
}

fn give_to(moin: &Kubectl, holder: &str) {
    let now = jiff::Timestamp::now();
    let spec = json!({"spec": {"holderIdentity": holder, "renewTime": format!("{now:.6}")}}).to_string();
    moin.run(&["patch", "lease", LEASE, "-n", "prod", "--type=merge", "-p", &spec])
        .success();
}

/// Somebody elsewhere is at it: a bring-up says who, waits, and goes on when that has ended. A turn that nobody renews
/// runs out, and one of this very place whose process was killed is taken over at once.
pub(crate) fn a_bring_up_waits_for_another_one_elsewhere(lab: &Lab) {
    let moin = &lab.moin;
    give_to(moin, "grace@elsewhere");
    let child = lab
        .world
        .command(&["bootstrap", "lab"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(1));
        let lease = moin.get(&["lease", LEASE, "-n", "prod"]);
        assert_eq!(lease["spec"]["holderIdentity"], "grace@elsewhere");
    }
    give_to(moin, "");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in [
        "warning: grace@elsewhere is changing this environment; this goes on when that has ended",
        "turn       the other one has ended",
    ] {
        assert!(told.contains(line), "no {line} in\n{told}");
    }
    let lease = moin.get(&["lease", LEASE, "-n", "prod"]);
    assert!(
        lease["spec"]["holderIdentity"].is_null(),
        "the turn was not given back: {lease}"
    );

    give_to(moin, "grace@elsewhere");
    let ran = lab.world.lotse_aloud(&["bootstrap", "lab", "--timeout", "5"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("grace@elsewhere was changing this environment all the time"),
        "{}",
        ran.stderr
    );
    let began = Instant::now();
    lab.world.lotse(&["bootstrap", "lab"]).success();
    assert!(
        began.elapsed() > Duration::from_secs(20),
        "a turn was taken from somebody who may be at it"
    );

    let mut killed = lab
        .world
        .command(&["bootstrap", "lab"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has the turn", WITHIN, || {
        let lease = moin.get(&["lease", LEASE, "-n", "prod"]);
        let holder = lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if holder.contains('@') { Ok(()) } else { Err(holder) }
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    let began = Instant::now();
    lab.world.lotse(&["bootstrap", "lab"]).success();
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for itself");
}
