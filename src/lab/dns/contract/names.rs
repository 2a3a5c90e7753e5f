//! Names and records beside the wildcard: what it does not cover, who may issue certificates, both kinds of address.

use super::*;
use crate::surface::dns::{Beneath, Search};

/// What is looked for: one host that the wildcard should cover, and one that has a record of its own.
async fn beneath(zone: &impl DnsZone) -> Beneath {
    let owner = owner();
    let search = Search {
        wildcard: "*.prod.lab.test.",
        declared: vec!["api.prod.lab.test."],
        served: vec!["web.prod.lab.test.", "www.prod.lab.test."],
        owner: &owner,
    };
    zone.beneath(&search).await.unwrap()
}

/// What was found, in a line each.
fn lines(beneath: &Beneath) -> Vec<String> {
    let found = beneath.uncovered.iter();
    found
        .map(|found| format!("{} {}", found.name, found.holds.join(" ")))
        .collect()
}

pub(super) async fn test_records_of_every_type_are_kept(kind: Kind) {
    let backend = Backend::start(kind).await;
    records_of_every_type_are_kept(&backend.zone()).await;
}

pub(super) async fn records_of_every_type_are_kept(zone: &impl DnsZone) {
    let mut desired = RecordSet::leading(
        "*.prod.lab.test.",
        &["127.0.0.20", "::1"].map(|address| address.parse().unwrap()),
        300,
    );
    desired.extend([
        RecordSet {
            name: "prod.lab.test.".to_owned(),
            ..set(
                "",
                RecordType::Caa,
                &["0 issue \"ca.lab.test\"", "0 issue \"letsencrypt.org\""],
            )
        },
        set("api.prod", RecordType::A, &["127.0.0.21"]),
    ]);
    bring(zone, &desired).await;
    let seen = zone.verify(&desired).await.unwrap();
    assert_eq!(seen[0].record_sets, 4);
    assert!((1..=3600).contains(&seen[0].negative_ttl), "{seen:?}");
    assert!(plan_for(zone, &desired).await.is_empty());
    // The kind of address that is no longer declared goes.
    let keys: Vec<_> = desired.iter().map(RecordKey::of).collect();
    let plan = planned(zone, &[desired[0].clone()], &keys).await;
    assert_eq!(actions(&plan), [Action::Delete; 3]);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    zone.verify(&desired[..1]).await.unwrap();
    assert!(planned(zone, &[desired[0].clone()], &keys).await.is_empty());
}

pub(super) async fn test_names_that_a_wildcard_does_not_cover_are_found(kind: Kind) {
    let backend = Backend::start(kind).await;
    names_that_a_wildcard_does_not_cover_are_found(&backend.zone()).await;
}

/// The lab's own server does not give its zone away, so there only hosts are found.
pub(super) async fn names_that_a_wildcard_does_not_cover_are_found(zone: &impl DnsZone) {
    let nothing = beneath(zone).await;
    assert_eq!(lines(&nothing), [""; 0]);
    write_unmarked(zone, set("web.prod", RecordType::A, &["127.0.0.9"])).await;
    write_unmarked(zone, set("deep.www.prod", RecordType::Txt, &["x"])).await;
    write_unmarked(zone, set("old.prod", RecordType::Txt, &["x"])).await;
    write_unmarked(zone, set("_acme-challenge.prod", RecordType::Txt, &["x"])).await;
    let hosts = ["web.prod.lab.test. A 127.0.0.9", "www.prod.lab.test. "];
    let mut all = hosts.map(str::to_owned).to_vec();
    all.insert(0, "old.prod.lab.test. TXT x".to_owned());
    for desired in [
        vec![],
        vec![
            wildcard(&["127.0.0.20"]),
            set("api.prod", RecordType::A, &["127.0.0.20"]),
        ],
    ] {
        bring(zone, &desired).await;
        let found = beneath(zone).await;
        let ours: Vec<RecordKey> = desired.iter().map(RecordKey::of).collect();
        if found.is_whole {
            assert_eq!((lines(&found), found.ours), (all.clone(), ours));
        } else {
            assert_eq!(
                (lines(&found), found.ours),
                (hosts.map(str::to_owned).to_vec(), vec![])
            );
        }
    }
    // One that leads to the same is not told: nobody sees a difference.
    if !beneath(zone).await.is_whole {
        write_unmarked(zone, set("same.prod", RecordType::A, &["127.0.0.20"])).await;
        assert_eq!(beneath(zone).await.uncovered.len(), 2);
    }
}

pub(super) async fn test_a_whole_zone_is_listed_where_it_may_be(kind: Kind) {
    let backend = Backend::start(kind).await;
    let zone = backend.zone();
    let many: Vec<RecordSet> = (0..300)
        .map(|number| set(&format!("n{number:03}.prod"), RecordType::A, &["127.0.0.9"]))
        .collect();
    bring(&zone, &many).await;
    let found = beneath(&zone).await;
    assert_eq!(found.is_whole, kind != Kind::Own);
    if found.is_whole {
        assert_eq!((found.uncovered.len(), found.ours.len()), (300, 300));
    }
    let stranger = TsigKey {
        secret: TsigKey::generate("lotse").secret,
        ..backend.key()
    };
    assert!(!beneath(&backend.zone_with(stranger)).await.is_whole);
}

/// As everything that is looked at goes by, nothing of it is an update.
pub(super) async fn test_to_look_is_to_send_queries_only(kind: Kind) {
    let backend = Backend::start(kind).await;
    let desired = [
        wildcard(&["127.0.0.20"]),
        set("*.prod", RecordType::Aaaa, &["::1"]),
        set("api.prod", RecordType::A, &["127.0.0.21"]),
        // What the wildcard would give as well, with and without a wildcard below.
        set("same.prod", RecordType::A, &["127.0.0.20"]),
        set("both.prod", RecordType::A, &["127.0.0.20"]),
        set("*.both.prod", RecordType::A, &["127.0.0.20"]),
    ];
    bring(&backend.zone(), &desired).await;
    let tap = Tap::before(&backend.server()).await;
    let zone = Rfc2136::new(&tap.address, DomainName::new("lab.test").unwrap(), backend.key()).unwrap();
    assert!(plan_for(&zone, &desired).await.is_empty());
    beneath(&zone).await;
    let sent = tap.operations();
    assert!(sent.len() > 8, "{sent:?}");
    assert!(sent.iter().all(|operation| *operation == QUERY), "{sent:?}");
    let other = [set("none.prod", RecordType::A, &["127.0.0.20"])];
    assert_eq!(actions(&plan_for(&zone, &other).await), [Action::Create]);
    assert!(tap.operations().iter().all(|operation| *operation == QUERY));
    bring(&zone, &[wildcard(&["127.0.0.22"])]).await;
    assert_ne!(tap.operations().last(), Some(&QUERY));
}
