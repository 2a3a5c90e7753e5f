//! Killed at a request, and run again.

use std::collections::BTreeSet;
use std::time::Instant;

use lotse::desired::identity::Realm;
use lotse::surface::keycloak::Prune;
use serde_json::{Value, json};

use super::seen::Seen;
use super::site::{EDITORS, Site, VIEWERS, assert_is_declared, changed, declared};
use super::way::{Kill, Kind, Moment};
use crate::kit::{Lab, block_on};

pub(super) const EVERY_KILL: &str = "LOTSE_TEST_EVERY_KILL";
/// So many requests from one kill to the next, where not every one is needed every day: those that change nothing, and
/// those that change something.
pub(super) const READS: usize = 8;
pub(super) const WRITES: usize = 12;

/// At which requests of a kind runs are killed, and when. Before a request Keycloak is as after the last one that changed
/// something, so that one of both is enough for every day.
pub(super) fn kills(kind: Kind, moment: Moment) -> impl Iterator<Item = Kill> {
    let (first, step) = match (is_every(), kind, moment) {
        (true, ..) | (_, Kind::Write, Moment::After) => (0, 1),
        (_, Kind::Write, _) => (0, WRITES),
        (_, Kind::Read, Moment::After) => (READS, 2 * READS),
        (_, Kind::Read, _) => (0, 2 * READS),
    };
    (first..)
        .step_by(step)
        .map(move |number| Kill { kind, number, moment })
}

pub(super) fn is_every() -> bool {
    std::env::var_os(EVERY_KILL).is_some()
}

pub(super) const POINTS: [(Kind, Moment); 5] = [
    (Kind::Write, Moment::Before),
    (Kind::Write, Moment::After),
    (Kind::Write, Moment::Meanwhile),
    (Kind::Read, Moment::Before),
    (Kind::Read, Moment::After),
];

/// What was done, in a word that a failure can be told with.
pub(super) fn told(from: &str, kill: Kill, request: Option<&str>) -> String {
    match request {
        Some(request) => format!("{from}, killed {:?} {request} ({})", kill.moment, kill.number),
        None => format!("{from}, not killed"),
    }
}

/// Nothing is there, and then everything.
pub(super) async fn killed_while_made(lab: &Lab) -> Vec<String> {
    let site = Site::new(lab, "kit-killed-made").await;
    let realm = declared(site.name);
    let wanted = site.finished(&realm, Prune::Keep, "made").await.lasting();
    assert_is_declared(&wanted, &realm, &[]);
    let mut killed = Vec::new();
    for (kind, moment) in POINTS {
        for kill in kills(kind, moment) {
            site.remove().await;
            let Some(request) = site.killed(&realm, Prune::Keep, kill).await else {
                break;
            };
            let told = told("made", kill, Some(&request));
            let seen = site.finished(&realm, Prune::Keep, &told).await.lasting();
            let differences = wanted.differences(&seen);
            assert!(differences.is_empty(), "{told}: {}", differences.join("\n"));
            killed.push(told);
        }
    }
    site.remove().await;
    killed
}

/// Puts objects into the realm that the program must not touch. Gives their names.
pub(super) async fn put_by_hand(site: &Site<'_>) -> BTreeSet<String> {
    let before: BTreeSet<String> = site.seen().await.0.into_keys().collect();
    let put = [
        (
            vec!["clients"],
            json!({"clientId": "by-hand", "redirectUris": ["https://by-hand.lab.test/"],
            "protocolMappers": [{"name": "by-hand", "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper", "config": {"claim.name": "by-hand"}}]}),
        ),
        (
            vec!["groups"],
            json!({"name": "by-hand", "attributes": {"colour": ["blue", "red"]}}),
        ),
        (
            vec!["client-scopes"],
            json!({"name": "by-hand", "protocol": "openid-connect"}),
        ),
        (
            vec!["identity-provider", "instances"],
            json!({"alias": "by-hand", "providerId": "github",
            "config": {"clientId": "by-hand", "clientSecret": "nobody's"}}),
        ),
    ];
    for (path, object) in put {
        site.admin.post(&site.at(&path), &object).await.unwrap();
    }
    let role = json!({"name": "by-hand", "attributes": {"colour": ["blue"]}});
    let seen = site.seen().await;
    let path = ["clients", seen.id("client grafana"), "roles"];
    site.admin.post(&site.at(&path), &role).await.unwrap();
    for (name, in_group) in [("carol", Some("by-hand")), ("dora", None), ("eve", Some(VIEWERS))] {
        let user = json!({"username": name, "enabled": true, "email": format!("{name}@lab.test")});
        let id = site
            .admin
            .post(&site.at(&["users"]), &user)
            .await
            .unwrap()
            .unwrap();
        if let Some(group) = in_group {
            let group = format!("group {group}");
            let path = ["users", id.as_str(), "groups", seen.id(&group)];
            site.admin.put(&site.at(&path), None).await.unwrap();
        }
    }
    let mut group = seen.get(&format!("group {VIEWERS}")).clone();
    group["attributes"]["colour"] = json!(["green"]);
    let path = ["groups", group["id"].as_str().unwrap()];
    site.admin.put(&site.at(&path), Some(&group)).await.unwrap();
    let after: BTreeSet<String> = site.seen().await.0.into_keys().collect();
    after.difference(&before).cloned().collect()
}

/// A realm that goes from one declaration to another, and back.
pub(super) struct Change<'lab> {
    pub(super) site: Site<'lab>,
    pub(super) first: Realm,
    pub(super) second: Realm,
    /// The realm as it is with the first and with the second.
    pub(super) wanted: [Seen; 2],
    /// What others put there.
    pub(super) by_hand: Seen,
    pub(super) killed: Vec<String>,
}

impl<'lab> Change<'lab> {
    pub(super) async fn new(lab: &'lab Lab) -> Self {
        let site = Site::new(lab, "kit-killed-changed").await;
        let (first, second) = (declared(site.name), changed(site.name));
        site.finished(&first, Prune::Keep, "made").await;
        let by_hand = put_by_hand(&site).await;
        assert_eq!(by_hand.len(), 12, "{by_hand:?}");
        let by_hand = site.seen().await.only(&by_hand);
        let kept = site.finished(&second, Prune::Keep, "changed").await;
        assert_is_declared(&kept, &second, &[("eve", VIEWERS)]);
        // Who came and left again keeps an account, so the first state is another one than before.
        let back = site.finished(&first, Prune::Delete, "pruned").await;
        assert_is_declared(&back, &first, &[]);
        for gone in [
            format!("group {EDITORS}"),
            "client website".into(),
            "role editor of grafana".into(),
        ] {
            assert_eq!(back.get(&gone), &Value::Null, "{gone}");
        }
        let there = site.finished(&second, Prune::Keep, "changed").await;
        assert_is_declared(&there, &second, &[]);
        site.finished(&first, Prune::Delete, "pruned").await;
        Self {
            site,
            first,
            second,
            wanted: [back.lasting(), there.lasting()],
            by_hand,
            killed: Vec::new(),
        }
    }

    /// Goes to the second declaration or back to the first, is killed, and goes on to `end`. Says whether it was killed.
    pub(super) async fn go(&mut self, is_back: bool, kill: Kill, end: usize) -> bool {
        let (realm, prune, from) = if is_back {
            (&self.first, Prune::Delete, "pruned")
        } else {
            (&self.second, Prune::Keep, "changed")
        };
        let request = self.site.killed(realm, prune, kill).await;
        let told = told(from, kill, request.as_deref());
        let (realm, prune) = [(&self.first, Prune::Delete), (&self.second, Prune::Keep)][end];
        let seen = self.site.finished(realm, prune, &told).await;
        let mut differences = self.wanted[end].differences(&seen.lasting());
        let keys = self.by_hand.0.keys().cloned().collect();
        differences.extend(self.by_hand.differences(&seen.only(&keys)));
        assert!(differences.is_empty(), "{told}: {}", differences.join("\n"));
        let is_killed = request.is_some();
        self.killed.extend(is_killed.then_some(told));
        is_killed
    }
}

/// What is declared changes, and what is no longer declared is pruned.
pub(super) async fn killed_while_changed(lab: &Lab) -> Vec<String> {
    let mut change = Change::new(lab).await;
    for (kind, moment) in POINTS {
        for kill in kills(kind, moment) {
            let there = change.go(false, kill, 1).await;
            let back = change.go(true, kill, 0).await;
            if !there && !back {
                break;
            }
        }
    }
    // What was begun is not wanted any more before it was done.
    let step = if is_every() { 1 } else { 3 };
    for kill in kills(Kind::Write, Moment::After).step_by(step) {
        if !change.go(false, kill, 0).await {
            break;
        }
    }
    change.site.remove().await;
    change.killed
}

/// Whatever request a run dies at, the next one goes on from there.
pub(crate) fn a_realm_is_killed_at_every_request(lab: &Lab) {
    block_on(async {
        let begun = Instant::now();
        let (made, changed) = tokio::join!(killed_while_made(lab), killed_while_changed(lab));
        eprintln!(
            "killed {} times while a realm was made, {} times while it was changed, {:.0?}",
            made.len(),
            changed.len(),
            begun.elapsed()
        );
        for (killed, kinds) in [
            (
                made,
                &[
                    "POST /admin/realms ",
                    "GET ",
                    "/token",
                    "/users ",
                    "/clients ",
                    "/roles ",
                ][..],
            ),
            (
                changed,
                &[
                    "DELETE ",
                    "PUT ",
                    "pruned",
                    "/groups",
                    "GET ",
                    "/token",
                    "/role-mappings/",
                ],
            ),
        ] {
            for kind in kinds {
                let is_there = killed.iter().any(|told| told.contains(kind));
                assert!(is_there, "never killed at {kind}: {killed:#?}");
            }
        }
    });
}
