//! What is said of names and records. Pure.

use crate::bootstrap::Bootstrap;
use crate::desired::dns::{RecordSet, RecordType};
use crate::desired::{AddressOf, Names, PointedName};
use crate::names::EnvironmentName;
use crate::plan::{Action, Plan};
use crate::surface::dns::{DnsOperation, Observed, Owner, SetChange, Uncovered};

/// How many names a sentence lists.
const LISTED: usize = 5;

/// The wildcard record in a few words, before its address is known.
pub(in crate::bootstrap) fn wildcard(bootstrap: &Bootstrap<'_>) -> String {
    format!("*.{} at the gateway's address", bootstrap.desired.domain)
}

/// What somebody else has beside a record, whom programs that ask for the other kind of address follow.
pub(super) fn beside(owner: &EnvironmentName, seen: &Observed) -> Option<String> {
    let set = seen.set.as_ref()?;
    if seen.owner == Owner::Lotse(owner.to_string()) {
        return None;
    }
    Some(format!(
        "{} {} is somebody else's: whoever asks for that kind of address is led there; remove it, or have \
         it lead there",
        seen.key,
        set.records.join(", ")
    ))
}

/// Records that are put right, with what they were.
pub(super) fn of_edits(plan: &Plan<DnsOperation>) -> Vec<String> {
    let before = plan.steps.iter().filter_map(|step| {
        let SetChange { before, after, .. } = &step.operation.record;
        after.as_ref().and(before.as_ref())
    });
    before
        .map(|was| {
            format!(
                "{} {} was {}: edited elsewhere, or what it leads to had another address",
                was.name.trim_end_matches('.'),
                was.record_type,
                was.records.join(", ")
            )
        })
        .collect()
}

/// What changes of addresses break.
pub(super) fn of_moves(plan: &Plan<DnsOperation>, names: &Names) -> Vec<String> {
    let moved = plan.steps.iter().filter_map(|step| {
        let SetChange { before, after, .. } = &step.operation.record;
        let (before, after) = (before.as_ref()?, after.as_ref()?);
        let is_address = matches!(after.record_type, RecordType::A | RecordType::Aaaa);
        (is_address && before.records != after.records).then_some((before, after))
    });
    moved
        .map(|(before, after)| {
            let what = if after.name == names.wildcard.name && !names.served.is_empty() {
                let hosts: Vec<&str> = names.served.iter().map(|(name, _)| name.as_str()).collect();
                format!(" with {}", listed(&hosts, "host"))
            } else {
                String::new()
            };
            format!(
                "{} moves from {} to {}{what}: who looked it up before still goes to the old address for up to {}, so keep that \
                 answering until then, and let rules of firewalls follow",
                plain(&after.name),
                before.records.join(", "),
                after.records.join(", "),
                in_words(before.ttl)
            )
        })
        .collect()
}

/// What resolvers say after a change, and for how long.
pub(super) fn of_resolvers(plan: &Plan<DnsOperation>, negative_ttl: u32) -> Vec<String> {
    let is_new = plan.changes().any(|change| change.action == Action::Create);
    let before = plan
        .steps
        .iter()
        .filter_map(|step| step.operation.record.before.as_ref());
    let longest = before.map(|set| set.ttl).max();
    let of_old = longest.map(|ttl| {
        format!(
            "whoever looked up a name before is given its old records for up to {} (time to live)",
            in_words(ttl)
        )
    });
    let of_new = is_new.then(|| {
        format!(
            "whoever looked up a new name before is told for up to {} that it does not exist (negative caching)",
            in_words(negative_ttl)
        )
    });
    of_new.into_iter().chain(of_old).collect()
}

/// A host that the wildcard does not lead to the gateway.
pub(super) fn of_host(found: &Uncovered, names: &Names) -> String {
    let app = names.served.iter().find(|(name, _)| *name == found.name);
    let app = app.map_or("", |(_, app)| app.as_str());
    let name = plain(&found.name);
    if found.holds.is_empty() {
        return format!(
            "{name} is a host of {app} and leads nowhere: names below it are in the zone, and so it is not covered by {}; \
             remove those, or give the host `addresses`",
            plain(&names.wildcard.name)
        );
    }
    format!(
        "{name} is a host of {app} and does not lead to the gateway: {} is there; remove that, or give the host `addresses`",
        found.holds.join(" and ")
    )
}

/// Names of nobody's, which do not lead to the gateway either.
pub(super) fn of_uncovered(found: &[&Uncovered], names: &Names) -> Option<String> {
    let texts: Vec<String> = found
        .iter()
        .map(|found| match &found.holds[..] {
            [] => format!("{} (names below it)", plain(&found.name)),
            holds => format!("{} ({})", plain(&found.name), holds.join(", ")),
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    (!texts.is_empty()).then(|| {
        let shown = texts.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
        let more = texts.len().saturating_sub(LISTED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!(
            "not covered by {}, since they are there on their own: {shown}{more}",
            plain(&names.wildcard.name),
        )
    })
}

/// Reserved addresses that the gateway does not have.
pub(super) fn of_reserved(pointed: &PointedName, holder: &AddressOf, found: &[String]) -> String {
    let name = plain(&pointed.name);
    let reserved = &pointed.at;
    if found.is_empty() {
        return format!(
            "{name} leads to {reserved}, and {holder} has no address yet: nobody answers there until it has that one"
        );
    }
    format!(
        "{name} leads to {reserved}, and {holder} is at {}: give its load balancer the reserved address, or declare that one in \
         `dns.addresses`",
        found.join(", ")
    )
}

/// What is there in the end.
pub(super) fn outcome(desired: &[RecordSet], servers: usize) -> String {
    let servers = counted(servers, "name server");
    let Some((first, others)) = first_of(desired) else {
        return format!("no record, seen at {servers}");
    };
    let more = match others {
        0 => String::new(),
        1 => " and 1 more record".to_owned(),
        others => format!(" and {others} more records"),
    };
    format!(
        "{} {} {}{more}, seen at {servers}",
        first.name,
        first.record_type,
        first.records.join(", ")
    )
}

/// The wildcard before all others.
fn first_of(desired: &[RecordSet]) -> Option<(&RecordSet, usize)> {
    let wildcard = desired.iter().find(|set| set.name.starts_with("*."));
    let first = wildcard.or_else(|| desired.first())?;
    Some((first, desired.len() - 1))
}

fn listed(names: &[&str], what: &str) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(|name| plain(name)).collect();
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!("{} ({}{more})", counted(names.len(), what), shown.join(", "))
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A name without the dot of the root.
fn plain(name: &str) -> &str {
    name.trim_end_matches('.')
}

/// `300 s`, `5 min`: whole minutes from two on.
fn in_words(seconds: u32) -> String {
    if seconds >= 120 && seconds.is_multiple_of(60) {
        return format!("{} min", seconds / 60);
    }
    format!("{seconds} s")
}
