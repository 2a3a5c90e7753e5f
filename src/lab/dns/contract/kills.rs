//! Whoever brings records up comes to an end at every single message, and the same again leads to what it was to be.

use super::*;
use crate::surface::dns::Search;

/// What is there before: records of ours with other values, one that is no longer declared, and somebody else's.
async fn prepare(zone: &Rfc2136) {
    bring(
        zone,
        &[
            wildcard(&["127.0.0.9"]),
            set("gone.prod", RecordType::A, &["127.0.0.9"]),
        ],
    )
    .await;
    write_unmarked(zone, set("theirs", RecordType::A, &["127.0.0.9"])).await;
}

fn wanted() -> [RecordSet; 3] {
    [
        wildcard(&["127.0.0.20"]),
        set("*.prod", RecordType::Aaaa, &["::1"]),
        set("api.prod", RecordType::A, &["127.0.0.21"]),
    ]
}

/// Looks, plans, writes, and sees.
async fn bring_up(zone: &Rfc2136) {
    let desired = wanted();
    let owner = owner();
    let search = Search {
        wildcard: "*.prod.lab.test.",
        declared: vec!["api.prod.lab.test."],
        served: vec!["www.prod.lab.test."],
        owner: &owner,
    };
    zone.beneath(&search).await.unwrap();
    let gone = RecordKey::new("gone.prod.lab.test.", RecordType::A);
    let keys: Vec<RecordKey> = desired.iter().map(RecordKey::of).chain([gone]).collect();
    let plan = planned(zone, &desired, &keys).await;
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    zone.verify(&desired).await.unwrap();
    assert!(planned(zone, &desired, &keys).await.is_empty());
}

/// Everything that is looked for, as it is in the zone.
async fn state(zone: &Rfc2136) -> Vec<(RecordKey, Option<Vec<String>>, Owner)> {
    let names = ["*.prod", "api.prod", "gone.prod", "theirs"];
    let kinds = [RecordType::A, RecordType::Aaaa, RecordType::Txt];
    let keys: Vec<RecordKey> = names
        .iter()
        .flat_map(|name| kinds.map(|kind| RecordKey::new(format!("{name}.lab.test."), kind)))
        .collect();
    let seen = zone.observe(&keys).await.unwrap();
    let rows = seen.into_iter().map(|seen| {
        let values = seen.set.map(|set| set.records);
        (seen.key, values, seen.owner)
    });
    rows.collect()
}

pub(super) async fn test_a_bring_up_is_killed_at_every_message(kind: Kind) {
    let expected = {
        let backend = Backend::start(kind).await;
        prepare(&backend.zone()).await;
        bring_up(&backend.zone()).await;
        state(&backend.zone()).await
    };
    let mut killed = 0;
    for moment in [Moment::Before, Moment::After] {
        for number in 0.. {
            let backend = Backend::start(kind).await;
            prepare(&backend.zone()).await;
            let tap = Tap::ending(&backend.server(), Some((number, moment))).await;
            let zone =
                Rfc2136::new(&tap.address, DomainName::new("lab.test").unwrap(), backend.key()).unwrap();
            let zone = zone.with_name_servers(vec![tap.address.clone()]);
            let was_killed = tokio::select! {
                () = tap.ended() => true,
                () = bring_up(&zone) => false,
            };
            bring_up(&backend.zone()).await;
            assert_eq!(state(&backend.zone()).await, expected, "{moment:?} {number}");
            if !was_killed {
                break;
            }
            killed += 1;
        }
    }
    assert!(killed > 60, "killed {killed} times only");
}
