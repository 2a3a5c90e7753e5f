//! One declaration after another, with edits by hand in between.

use std::collections::BTreeSet;

use lotse::desired::identity::{Member, Realm};
use lotse::surface::keycloak::{Conflict, KeycloakError, Prune};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::dice::{Dice, Edit, Pair, ROUNDS, SEED};
use super::expected::{account, declared_memberships, foreign, memberships, named};
use super::seen::Seen;
use super::site::{Site, assert_is_declared};
use crate::kit::{Lab, block_on};

/// A realm that goes from state to state.
pub(super) struct Walk<'lab> {
    pub(super) site: Site<'lab>,
    pub(super) dice: Dice,
    pub(super) seed: u64,
    /// What happened.
    pub(super) told: Vec<String>,
    /// Memberships that were declared last.
    pub(super) ours: BTreeSet<Pair>,
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{SEED}={}\n{}", self.seed, self.told.join("\n"));
        }
    }
}

impl Walk<'_> {
    pub(super) async fn edit(&mut self) {
        let seen = self.site.seen().await;
        let Some(edit) = self.dice.edit(&seen) else { return };
        let told: String = format!("{edit:?}").chars().take(300).collect();
        let refused = self.carry_out(edit).await.err();
        let refused = refused.map_or(String::new(), |error| format!(": {error}"));
        self.told.push(format!("by hand: {told}{refused}"));
    }

    /// What is refused is refused: somebody in the console would see that, too.
    pub(super) async fn carry_out(&self, edit: Edit) -> Result<(), KeycloakError> {
        let Site { admin, name, .. } = &self.site;
        let (Edit::Post(path, _) | Edit::Put(path, _) | Edit::Delete(path, _)) = &edit;
        let path: Vec<&str> = [*name]
            .into_iter()
            .chain(path.iter().map(String::as_str))
            .collect();
        match &edit {
            Edit::Post(_, body) => admin.post(&path, body).await.map(drop),
            Edit::Put(_, body) => admin.put(&path, body.as_ref()).await,
            Edit::Delete(_, body) => admin.delete(&path, body.as_ref()).await,
        }
    }

    /// Goes to what is declared. Where people want names of others that is said, and they are left out.
    pub(super) async fn go(&mut self, mut realm: Realm, prune: Prune) -> Realm {
        let before = self.site.seen().await;
        let (named, others): (Vec<Member>, Vec<Member>) = realm
            .members
            .clone()
            .into_iter()
            .partition(|member| account(&before, member).is_ok());
        let whole = realm.clone();
        let mut left_out = Vec::new();
        if !others.is_empty() {
            let conflicts = self.site.left_out(&realm).await;
            let found: BTreeSet<u64> = conflicts
                .iter()
                .filter_map(|conflict| match conflict {
                    Conflict::NameTaken { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            let expected: BTreeSet<u64> = others.iter().map(|member| member.id).collect();
            assert_eq!(found, expected, "{conflicts:?}");
            self.told.push(format!("conflicts of {expected:?}"));
            left_out = conflicts;
        }
        realm.members = named;
        let told = realm_told(&realm);
        self.told.push(format!("{prune:?} {told}"));
        let after = self.site.finished(&realm, prune, "declared").await;
        self.assert_arrived(&before, &after, &realm, prune);
        self.ours = declared_memberships(&after, &realm);
        let shuffled = self.dice.shuffled(&realm);
        let done = self
            .site
            .converge(&self.site.admin, &shuffled, prune)
            .await
            .unwrap();
        let done: Vec<&str> = done.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(done, [""; 0], "another order is another realm: {shuffled:?}");
        // A name may have become free meanwhile.
        if Box::pin(self.site.left_out(&whole)).await == left_out {
            let done = self.site.converge(&self.site.admin, &whole, prune).await.unwrap();
            let done: Vec<&str> = done.changes().map(|change| change.object.as_str()).collect();
            assert_eq!(done, [""; 0], "who is left out changes something: {left_out:?}");
        }
        realm
    }

    pub(super) fn assert_arrived(&self, before: &Seen, after: &Seen, realm: &Realm, prune: Prune) {
        let keys = foreign(before, realm, prune);
        let differences = before.only(&keys).differences(&after.only(&keys));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert_eq!(
            before.get("realm")["displayName"],
            after.get("realm")["displayName"]
        );
        for (kind, field) in [
            ("client ", "/enabled"),
            ("client ", "/secret"),
            ("group ", "/attributes/colour"),
        ] {
            for key in named(before, kind) {
                let [before, after] = [before, after].map(|seen| seen.get(&key));
                let is_same = before["id"] == after["id"];
                assert!(
                    !is_same || before.pointer(field) == after.pointer(field),
                    "{field} of {key}"
                );
            }
        }
        let there: BTreeSet<&str> = after
            .0
            .values()
            .filter_map(|object| object["id"].as_str())
            .collect();
        let declared = declared_memberships(after, realm);
        let pruned: BTreeSet<&str> = match prune {
            Prune::Keep => BTreeSet::new(),
            Prune::Delete => realm
                .groups
                .iter()
                .map(|group| after.id(&format!("group {}", group.name)))
                .collect(),
        };
        let strangers = memberships(before)
            .into_iter()
            .filter(|pair| !self.ours.contains(pair) && !declared.contains(pair))
            .filter(|(_, group)| there.contains(group.as_str()) && !pruned.contains(group.as_str()));
        let strangers = names_of(after, strangers);
        let mut expected = names_of(after, declared.into_iter());
        expected.extend(strangers.iter().cloned());
        assert_eq!(names_of(after, memberships(after).into_iter()), expected);
        let strangers: Vec<(&str, &str)> = strangers
            .iter()
            .map(|(user, group)| (user.as_str(), group.as_str()))
            .collect();
        assert_is_declared(after, realm, &strangers);
    }
}

/// Users and groups by their names.
pub(super) fn names_of(seen: &Seen, pairs: impl Iterator<Item = Pair>) -> BTreeSet<Pair> {
    pairs
        .map(|(user, group)| (name_of(seen, &user), name_of(seen, &group)))
        .collect()
}

/// The name of the object with this id.
pub(super) fn name_of(seen: &Seen, id: &str) -> String {
    let mut objects = seen.0.iter();
    let (key, _) = objects.find(|(_, object)| object["id"] == id).unwrap();
    key.split_once(' ').unwrap().1.to_owned()
}

/// What is declared, in a line.
pub(super) fn realm_told(realm: &Realm) -> String {
    let groups: Vec<&str> = realm.groups.iter().map(|group| group.name.as_str()).collect();
    let members: Vec<String> = realm
        .members
        .iter()
        .map(|member| format!("{} {} {:?}", member.id, member.login, member.groups))
        .collect();
    let clients: Vec<String> = realm
        .clients
        .iter()
        .map(|client| format!("{} {:?}", client.client_id, client.roles))
        .collect();
    format!("declared {groups:?}, {members:?}, {clients:?}")
}

pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Whatever was declared before and whatever hands did since: what is declared comes true, and nothing else is touched.
pub(crate) fn a_realm_is_reached_from_any_state(lab: &Lab) {
    block_on(async {
        let seed = number(SEED).unwrap_or_else(rand::random);
        let mut walk = Walk {
            site: Site::new(lab, "kit-any-state").await,
            dice: Dice {
                rng: StdRng::seed_from_u64(seed),
                thrown: 0,
            },
            seed,
            told: Vec::new(),
            ours: BTreeSet::new(),
        };
        let by_hand = json!({"realm": walk.site.name, "enabled": true});
        walk.site.admin.post(&[], &by_hand).await.unwrap();
        let mut realm = walk.dice.realm(walk.site.name);
        for _ in 0..number(ROUNDS).unwrap_or(12) {
            for _ in 0..walk.dice.below(5) {
                walk.edit().await;
            }
            if walk.dice.below(4) > 0 {
                realm = walk.dice.realm(walk.site.name);
            }
            let prune = if walk.dice.is_so() {
                Prune::Keep
            } else {
                Prune::Delete
            };
            realm = walk.go(realm, prune).await;
        }
        walk.site.remove().await;
    });
}
