//! What the surface expects of a name server, checked against the lab's own, Knot DNS, BIND 9, PowerDNS and OpenStack's Designate.
//! These come from packages; where one is missing these tests fail and say so.

mod agreement;
mod backend;
mod bind;
mod designate;
mod kills;
mod names;
mod powerdns;
mod tap;

use hickory_proto::op::ResponseCode;

use self::backend::{Backend, Kind};
use self::kills::*;
use self::names::*;
use self::tap::{Moment, QUERY, Tap};
use crate::desired::dns::{RecordSet, RecordType};
use crate::names::{DomainName, EnvironmentName};
use crate::plan::{Action, Plan};
use crate::secret::Secret;
use crate::surface::dns::{
    Adoption, Conflict, DnsError, DnsOperation, DnsZone, Owner, RecordKey, Rfc2136, SetChange, TsigKey,
    mark_key, plan,
};

/// Runs each test against every server.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod own {
            use super::Kind;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Kind::Own).await;
            })+
        }
        mod knot {
            use super::Kind;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Kind::Knot).await;
            })+
        }
        mod on_bind {
            use super::Kind;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Kind::Bind).await;
            })+
        }
        mod on_powerdns {
            use super::Kind;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Kind::PowerDns).await;
            })+
        }
    };
}

contract! {
    test_created_records_are_seen_and_a_second_run_changes_nothing,
    test_update_swaps_the_whole_set,
    test_every_name_server_is_asked,
    test_a_concurrent_edit_is_never_overwritten,
    test_of_two_writers_at_once_one_wins,
    test_wrong_keys_are_told_apart,
    test_a_skewed_clock_is_rejected,
    test_a_clock_that_is_off_is_told_with_the_amount,
    test_unsigned_updates_are_refused,
    test_wrong_zones_are_named,
    test_unmarked_records_are_adopted_only_when_allowed,
    test_only_marked_records_are_deleted,
    test_foreign_marks_are_respected,
    test_names_under_a_wildcard_do_not_exist,
    test_aliases_are_conflicts,
    test_large_sets_arrive_whole,
    test_restart_keeps_zone_and_serial,
    test_records_of_every_type_are_kept,
    test_names_that_a_wildcard_does_not_cover_are_found,
    test_a_whole_zone_is_listed_where_it_may_be,
    test_to_look_is_to_send_queries_only,
    test_a_bring_up_is_killed_at_every_message,
}

fn owner() -> EnvironmentName {
    EnvironmentName::new("lab").unwrap()
}

fn set(name: &str, record_type: RecordType, records: &[&str]) -> RecordSet {
    RecordSet {
        name: format!("{name}.lab.test."),
        record_type,
        ttl: 300,
        records: records.iter().map(ToString::to_string).collect(),
    }
}

fn wildcard(addresses: &[&str]) -> RecordSet {
    set("*.prod", RecordType::A, addresses)
}

async fn planned(zone: &impl DnsZone, desired: &[RecordSet], keys: &[RecordKey]) -> Plan<DnsOperation> {
    plan(desired, &zone.observe(keys).await.unwrap(), &owner()).unwrap()
}

async fn plan_for(zone: &impl DnsZone, desired: &[RecordSet]) -> Plan<DnsOperation> {
    let keys: Vec<_> = desired.iter().map(RecordKey::of).collect();
    planned(zone, desired, &keys).await
}

async fn bring(zone: &impl DnsZone, desired: &[RecordSet]) {
    let plan = plan_for(zone, desired).await;
    zone.apply(&plan, Adoption::Refused).await.unwrap();
}

/// Writes as somebody who knows nothing of marks does.
async fn write_unmarked(zone: &impl DnsZone, set: RecordSet) {
    let key = RecordKey::of(&set);
    let change = |key: RecordKey, after| SetChange {
        key,
        before: None,
        after,
    };
    let mut plan = Plan::empty();
    let operation = DnsOperation {
        mark: change(mark_key(&key), None),
        record: change(key, Some(set)),
    };
    plan.push(Action::Create, "by hand", Vec::new(), operation);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
}

async fn value_of(zone: &impl DnsZone, set: &RecordSet) -> Option<Vec<String>> {
    let observed = zone.observe(&[RecordKey::of(set)]).await.unwrap().remove(0);
    observed.set.map(|set| set.records)
}

fn actions(plan: &Plan<DnsOperation>) -> Vec<Action> {
    plan.changes().map(|change| change.action).collect()
}

async fn test_created_records_are_seen_and_a_second_run_changes_nothing(kind: Kind) {
    let backend = Backend::start(kind).await;
    let zone = backend.zone();
    zone.check_writable().await.unwrap();
    assert_eq!(zone.serial().await.unwrap(), 1);
    created_records_are_seen(&zone).await;
    let serial = zone.serial().await.unwrap();
    created_records_are_seen_again(&zone).await;
    zone.check_writable().await.unwrap();
    assert_eq!(zone.serial().await.unwrap(), serial);
}

fn first_records() -> [RecordSet; 3] {
    [
        wildcard(&["127.0.0.20"]),
        set("*.prod", RecordType::Aaaa, &["::1"]),
        set("note", RecordType::Txt, &["one; \"two\"", "three"]),
    ]
}

async fn created_records_are_seen(zone: &impl DnsZone) {
    let desired = first_records();
    let plan = plan_for(zone, &desired).await;
    assert_eq!(actions(&plan), [Action::Create; 3]);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    let seen = zone.verify(&desired).await.unwrap();
    assert_eq!((seen.len(), seen[0].record_sets), (1, 3));
}

async fn created_records_are_seen_again(zone: &impl DnsZone) {
    assert!(plan_for(zone, &first_records()).await.is_empty());
}

async fn test_update_swaps_the_whole_set(kind: Kind) {
    let backend = Backend::start(kind).await;
    update_swaps_the_whole_set(&backend.zone()).await;
}

async fn update_swaps_the_whole_set(zone: &impl DnsZone) {
    bring(zone, &[wildcard(&["127.0.0.20", "127.0.0.21"])]).await;
    let desired = [wildcard(&["127.0.0.22"])];
    let plan = plan_for(zone, &desired).await;
    assert_eq!(actions(&plan), [Action::Update]);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    zone.verify(&desired).await.unwrap();
    let error = zone.verify(&[wildcard(&["127.0.0.20"])]).await.unwrap_err();
    assert!(matches!(error, DnsError::NotSeen { .. }), "{error}");
}

/// Nobody listens at the second address, so the record is not everywhere. The system refuses at once, so no shorter
/// patience is needed: that would also count for the server that works, whose answer to an update waits for the disk.
async fn test_every_name_server_is_asked(kind: Kind) {
    let backend = Backend::start(kind).await;
    let zone = backend.zone();
    let desired = [wildcard(&["127.0.0.20"])];
    bring(&zone, &desired).await;
    assert_eq!(zone.verify(&desired).await.unwrap()[0].server, backend.server());
    let both = vec![backend.server(), "127.0.0.250:1".to_owned()];
    let error = zone.with_name_servers(both).verify(&desired).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("127.0.0.250:1"), "{error}");
}

async fn test_a_concurrent_edit_is_never_overwritten(kind: Kind) {
    let backend = Backend::start(kind).await;
    let zone = backend.zone();
    a_concurrent_edit_is_never_overwritten(&zone).await;
    let serial = zone.serial().await.unwrap();
    let nothing = plan_for(&zone, &[wildcard(&["127.0.0.21", "127.0.0.23"])]).await;
    assert!(nothing.is_empty());
    assert_eq!(zone.serial().await.unwrap(), serial);
}

async fn a_concurrent_edit_is_never_overwritten(zone: &impl DnsZone) {
    let stale = plan_for(zone, &[wildcard(&["127.0.0.20"])]).await;
    bring(zone, &[wildcard(&["127.0.0.21"])]).await;
    let error = zone.apply(&stale, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::Changed { .. }), "{error}");

    let stale = plan_for(zone, &[wildcard(&["127.0.0.22"])]).await;
    bring(zone, &[wildcard(&["127.0.0.21", "127.0.0.23"])]).await;
    let error = zone.apply(&stale, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::Changed { .. }), "{error}");
    let value = value_of(zone, &wildcard(&[])).await.unwrap();
    assert_eq!(value, ["127.0.0.21", "127.0.0.23"]);
}

async fn test_of_two_writers_at_once_one_wins(kind: Kind) {
    let backend = Backend::start(kind).await;
    of_two_writers_at_once_one_wins(&backend.zone()).await;
}

async fn of_two_writers_at_once_one_wins(zone: &impl DnsZone) {
    let first = plan_for(zone, &[wildcard(&["127.0.0.20"])]).await;
    let second = plan_for(zone, &[wildcard(&["127.0.0.21"])]).await;
    let (first, second) = tokio::join!(
        zone.apply(&first, Adoption::Refused),
        zone.apply(&second, Adoption::Refused)
    );
    assert_ne!(first.is_ok(), second.is_ok());
}

/// PowerDNS refuses whatever is wrong with a signature, and does not say what it is.
fn says_nothing_more(kind: Kind, error: &DnsError) -> bool {
    kind == Kind::PowerDns && matches!(error, DnsError::Refused { .. })
}

async fn test_wrong_keys_are_told_apart(kind: Kind) {
    let backend = Backend::start(kind).await;
    let error = |key: TsigKey| {
        let zone = backend.zone_with(key);
        async move { zone.check_writable().await.unwrap_err() }
    };
    let unknown = TsigKey {
        name: "nobody".to_owned(),
        ..backend.key()
    };
    let unknown = error(unknown).await;
    assert!(
        says_nothing_more(kind, &unknown) || matches!(unknown, DnsError::UnknownKey { .. }),
        "{unknown}"
    );
    let wrong = TsigKey {
        secret: TsigKey::generate("lotse").secret,
        ..backend.key()
    };
    let secret = wrong.secret.expose().to_owned();
    let wrong = error(wrong).await;
    assert!(
        says_nothing_more(kind, &wrong) || matches!(wrong, DnsError::WrongSecret { .. }),
        "{wrong}"
    );
    assert!(!format!("{wrong} {wrong:?}").contains(&secret));
    assert_eq!(backend.zone().serial().await.unwrap(), 1);
}

async fn test_a_skewed_clock_is_rejected(kind: Kind) {
    let backend = Backend::start(kind).await;
    let message = backend::address_update("web.lab.test.", "127.0.0.20");
    let (code, error) = backend.send(message, Some(-1000)).await;
    if kind == Kind::PowerDns {
        assert_eq!((code, error), (ResponseCode::Refused, None));
    } else {
        assert_eq!(code, ResponseCode::NotAuth);
        assert_eq!(error, Some(hickory_proto::rr::rdata::tsig::TsigError::BadTime));
    }
    assert_eq!(backend.zone().serial().await.unwrap(), 1);
}

/// A client whose own clock is off is told by how much, whatever it wants to do, and nothing is written.
async fn test_a_clock_that_is_off_is_told_with_the_amount(kind: Kind) {
    let backend = Backend::start(kind).await;
    let desired = [wildcard(&["127.0.0.20"])];
    let plan = plan_for(&backend.zone(), &desired).await;
    for (clock, off, direction) in [
        ((|| now() - 5000) as fn() -> u64, 5000, "s behind"),
        (|| now() + 5000, -5000, "s ahead"),
    ] {
        let zone = backend.zone().with_clock(clock);
        for error in [
            zone.check_writable().await.unwrap_err(),
            zone.apply(&plan, Adoption::Refused).await.unwrap_err(),
        ] {
            let told = error.to_string();
            if says_nothing_more(kind, &error) {
                assert!(told.contains("a clock that is off"), "{told}");
                continue;
            }
            let DnsError::ClockSkew { server, skew, .. } = error else {
                panic!("{told}");
            };
            assert_eq!(server, backend.server());
            assert!(told.ends_with(": set it (NTP)"), "{told}");
            if matches!(kind, Kind::Own) {
                // The library that signs its answers has no place for its time.
                assert_eq!(skew, None);
                continue;
            }
            // A second may pass between signing and looking.
            assert!(skew.is_some_and(|skew| skew.abs_diff(off) <= 30), "{told}");
            assert!(
                told.contains(direction) && told.contains("set it (NTP)"),
                "{told}"
            );
        }
    }
    assert_eq!(value_of(&backend.zone(), &desired[0]).await, None);
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

async fn test_unsigned_updates_are_refused(kind: Kind) {
    let backend = Backend::start(kind).await;
    let message = backend::address_update("web.lab.test.", "127.0.0.20");
    let (code, _) = backend.send(message, None).await;
    assert!(
        matches!(code, ResponseCode::Refused | ResponseCode::NotAuth),
        "{code}"
    );
    assert_eq!(backend.zone().serial().await.unwrap(), 1);
}

async fn test_wrong_zones_are_named(kind: Kind) {
    let backend = Backend::start(kind).await;
    for name in ["other.test", "prod.lab.test", "test"] {
        let zone = Rfc2136::new(backend.server(), DomainName::new(name).unwrap(), backend.key()).unwrap();
        for error in [
            zone.serial().await.unwrap_err(),
            zone.check_writable().await.unwrap_err(),
        ] {
            assert!(
                matches!(error, DnsError::NotAuthoritative { .. }),
                "{name}: {error}"
            );
        }
    }
}

async fn test_unmarked_records_are_adopted_only_when_allowed(kind: Kind) {
    let backend = Backend::start(kind).await;
    unmarked_records_are_adopted_only_when_allowed(&backend.zone()).await;
}

async fn unmarked_records_are_adopted_only_when_allowed(zone: &impl DnsZone) {
    write_unmarked(zone, wildcard(&["127.0.0.9"])).await;
    let desired = [wildcard(&["127.0.0.20"])];
    let plan = plan_for(zone, &desired).await;
    assert_eq!(actions(&plan), [Action::Adopt]);
    let error = zone.apply(&plan, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::AdoptionNeeded { .. }), "{error}");
    assert_eq!(value_of(zone, &desired[0]).await.unwrap(), ["127.0.0.9"]);
    zone.apply(&plan, Adoption::Allowed).await.unwrap();
    zone.verify(&desired).await.unwrap();
    assert!(plan_for(zone, &desired).await.is_empty());
}

async fn test_only_marked_records_are_deleted(kind: Kind) {
    let backend = Backend::start(kind).await;
    only_marked_records_are_deleted(&backend.zone()).await;
}

async fn only_marked_records_are_deleted(zone: &impl DnsZone) {
    let (ours, theirs) = (
        wildcard(&["127.0.0.20"]),
        set("theirs", RecordType::A, &["127.0.0.9"]),
    );
    bring(zone, std::slice::from_ref(&ours)).await;
    write_unmarked(zone, theirs.clone()).await;
    let keys = [RecordKey::of(&ours), RecordKey::of(&theirs)];
    let plan = planned(zone, &[], &keys).await;
    assert_eq!(actions(&plan), [Action::Delete]);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    assert_eq!(value_of(zone, &ours).await, None);
    assert_eq!(value_of(zone, &theirs).await.unwrap(), ["127.0.0.9"]);
    let mark = zone.observe(&[mark_key(&keys[0])]).await.unwrap().remove(0);
    assert_eq!(mark.set, None);
    assert!(planned(zone, &[], &keys).await.is_empty());
}

async fn test_foreign_marks_are_respected(kind: Kind) {
    let backend = Backend::start(kind).await;
    foreign_marks_are_respected(&backend.zone()).await;
}

async fn foreign_marks_are_respected(zone: &impl DnsZone) {
    let text = "heritage=external-dns,external-dns/owner=prod";
    for (name, mark) in [
        ("web", "a-web"),
        ("www", "www"),
        ("*.oct", "_owner.a._wildcard.oct"),
    ] {
        let desired = [set(name, RecordType::A, &["127.0.0.20"])];
        write_unmarked(zone, set(mark, RecordType::Txt, &[text])).await;
        let observed = zone.observe(&[RecordKey::of(&desired[0])]).await.unwrap();
        assert_eq!(observed[0].owner, Owner::Other(text.to_owned()), "{name}");
        let conflicts = plan(&desired, &observed, &owner()).unwrap_err();
        assert!(matches!(conflicts.0[..], [Conflict::Owned { .. }]));
    }
}

async fn test_names_under_a_wildcard_do_not_exist(kind: Kind) {
    let backend = Backend::start(kind).await;
    names_under_a_wildcard_do_not_exist(&backend.zone()).await;
}

async fn names_under_a_wildcard_do_not_exist(zone: &impl DnsZone) {
    bring(zone, &[wildcard(&["127.0.0.20"])]).await;
    write_unmarked(
        zone,
        set("*.prod", RecordType::Txt, &["heritage=lotse,lotse/owner=lab"]),
    )
    .await;
    let desired = [set("web.prod", RecordType::A, &["127.0.0.20"])];
    let plan = plan_for(zone, &desired).await;
    assert_eq!(actions(&plan), [Action::Create]);
    assert_eq!(plan.steps[0].operation.mark.before, None);
    zone.apply(&plan, Adoption::Refused).await.unwrap();
    assert!(plan_for(zone, &desired).await.is_empty());
}

async fn test_aliases_are_conflicts(kind: Kind) {
    let backend = Backend::start(kind).await;
    let zone = backend.zone();
    let before = plan_for(&zone, &[set("www", RecordType::A, &["127.0.0.20"])]).await;
    let alias = backend::record_update(
        "www.lab.test.",
        hickory_proto::rr::RecordType::CNAME,
        "web.lab.test.",
    );
    assert_eq!(backend.send(alias, Some(0)).await.0, ResponseCode::NoError);
    let error = zone.apply(&before, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::Changed { .. }), "{error}");
    let desired = [set("www", RecordType::A, &["127.0.0.20"])];
    let observed = zone.observe(&[RecordKey::of(&desired[0])]).await.unwrap();
    let conflicts = plan(&desired, &observed, &owner()).unwrap_err();
    assert!(matches!(conflicts.0[..], [Conflict::Alias { .. }]));
}

async fn test_large_sets_arrive_whole(kind: Kind) {
    let backend = Backend::start(kind).await;
    large_sets_arrive_whole(&backend.zone()).await;
}

async fn large_sets_arrive_whole(zone: &impl DnsZone) {
    let texts: Vec<String> = (0..40).map(|number| format!("{number:04}").repeat(60)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let desired = [set("large", RecordType::Txt, &texts)];
    bring(zone, &desired).await;
    zone.verify(&desired).await.unwrap();
    assert!(plan_for(zone, &desired).await.is_empty());
}

async fn test_restart_keeps_zone_and_serial(kind: Kind) {
    let backend = Backend::start(kind).await;
    let desired = [wildcard(&["127.0.0.20"])];
    bring(&backend.zone(), &desired).await;
    let serial = backend.zone().serial().await.unwrap();
    let backend = backend.restart().await;
    let zone = backend.zone();
    assert_eq!(zone.serial().await.unwrap(), serial);
    zone.verify(&desired).await.unwrap();
    assert!(plan_for(&zone, &desired).await.is_empty());
}

#[tokio::test]
async fn test_port_in_use_is_named() {
    let backend = Backend::start(Kind::Own).await;
    let mut spec = backend.spec();
    spec.directory = spec.directory.join("second");
    let error = super::serve(spec).await.err().unwrap();
    assert!(matches!(error, super::DnsServerError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn test_server_refuses_a_bad_key() {
    let backend = Backend::start(Kind::Own).await;
    let mut spec = backend.spec();
    spec.key.secret = Secret::new("");
    let error = super::serve(spec).await.err().unwrap();
    assert!(matches!(error, super::DnsServerError::Key { .. }), "{error}");
}
