//! What separates the desired realm from the observed one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::error::Conflict;
use super::fields;
use super::mark::{self, Ownership, TOUCHED};
use super::object::{KeycloakOperation, Object, Relation};
use super::observe::ObservedRealm;
use super::wanted::{self, Accounts, Wanted};
use crate::desired::identity;
use crate::plan::{Action, FieldChange, Plan};

/// What happens to objects that carry our mark and are no longer declared. Memberships and role mappings of lotse
/// always end with their declaration: rights must go even where objects stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// They stay.
    Keep,
    /// Groups, clients, client roles and client scopes are deleted, and members whom somebody put into our groups by hand
    /// are taken out. Users and identity providers never are deleted.
    Delete,
}

/// Computes the steps from `observed` to `wanted`: what is new or changed first, what ends last.
///
/// A member whose user name belongs to an account of somebody else is left out, with all rights: see [`left_out`].
///
/// # Errors
/// All other conflicts that a person has to resolve, at once.
pub fn plan(
    wanted: &Wanted<'_>,
    observed: &ObservedRealm,
    prune: Prune,
) -> Result<Plan<KeycloakOperation>, Vec<Conflict>> {
    let (accounts, _) = accounts(wanted.realm, observed);
    let planning = Planning {
        wanted,
        observed,
        ledgers: wanted::ledgers(wanted.realm, &accounts),
        present: present(wanted.realm, observed, &accounts),
        leaving: leaving(wanted, observed, &accounts),
        strangers: match prune {
            Prune::Keep => BTreeSet::new(),
            Prune::Delete => by_hand(wanted, observed, &accounts),
        },
        objects: objects(wanted, observed, &accounts),
        relations: wanted::relations(wanted.realm, &accounts),
    };
    let mut conflicts = planning.objects_of_others();
    conflicts.extend(planning.unknown_actions());
    if conflicts.is_empty() {
        Ok(planning.steps(prune))
    } else {
        Err(conflicts)
    }
}

/// Declared members who get no account and no rights, since their user name belongs to somebody else.
#[must_use]
pub fn left_out(wanted: &Wanted<'_>, observed: &ObservedRealm) -> Vec<Conflict> {
    accounts(wanted.realm, observed).1
}

fn objects(wanted: &Wanted<'_>, observed: &ObservedRealm, accounts: &Accounts) -> BTreeMap<Object, Value> {
    let mut objects = wanted::objects(wanted, accounts);
    objects.extend(wanted::required_actions(wanted.realm, observed.objects.keys()));
    objects
}

/// Members of declared groups whom neither the declaration nor lotse put there, each with the step that takes them out:
/// somebody did it by hand. Without [`Prune::Delete`] they are left alone, but they have the group's rights, so they are
/// worth a warning.
#[must_use]
pub fn strangers(wanted: &Wanted<'_>, observed: &ObservedRealm) -> Plan<KeycloakOperation> {
    let (accounts, _) = accounts(wanted.realm, observed);
    let mut plan = Plan::empty();
    for relation in by_hand(wanted, observed, &accounts) {
        plan.push(
            Action::Delete,
            relation.to_string(),
            Vec::new(),
            KeycloakOperation::Detach(relation),
        );
    }
    plan
}

/// Objects that carry our mark, are no longer declared, and stay without [`Prune::Delete`].
#[must_use]
pub fn undeclared(wanted: &Wanted<'_>, observed: &ObservedRealm) -> Vec<Object> {
    let (accounts, _) = accounts(wanted.realm, observed);
    let declared = objects(wanted, observed, &accounts);
    let owner = wanted.owner.as_str();
    let is_left = |object: &Object| {
        is_deletable(object) && !declared.contains_key(object) && observed.is_owned(object, owner)
    };
    let goes_with_its_client = |object: &Object| match object {
        Object::Role { client, .. } => is_left(&Object::Client(client.clone())),
        _ => false,
    };
    let seen = observed.objects.keys();
    seen.filter(|object| is_left(object) && !goes_with_its_client(object))
        .cloned()
        .collect()
}

const fn is_deletable(object: &Object) -> bool {
    matches!(
        object,
        Object::Scope(_) | Object::Client(_) | Object::Role { .. } | Object::Group(_)
    )
}

fn by_hand(wanted: &Wanted<'_>, observed: &ObservedRealm, accounts: &Accounts) -> BTreeSet<Relation> {
    let declared = wanted::relations(wanted.realm, accounts);
    let groups: BTreeSet<&str> = wanted
        .realm
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    observed
        .relations
        .difference(&declared)
        .filter(|relation| match relation {
            Relation::Membership { user, group } => {
                groups.contains(group.as_str())
                    && !observed.ledger(group).contains(observed.ledger_name(user))
            }
            _ => false,
        })
        .cloned()
        .collect()
}

/// Finds the account of each member: by the link to the forge, which survives renames; one without a link only where lotse
/// made it for this very id. Anybody can have the name of a member and a password, or end their own link.
fn accounts(realm: &identity::Realm, observed: &ObservedRealm) -> (Accounts, Vec<Conflict>) {
    let mut accounts = Accounts::new();
    let mut conflicts = Vec::new();
    for member in &realm.members {
        let declared = wanted::user_name(member);
        let linked = observed.linked_user(&realm.github.alias, member.id);
        let holder = observed
            .objects
            .contains_key(&Object::User(declared.clone()))
            .then(|| observed.link_of(&declared, &realm.github.alias));
        let account = match (linked, holder) {
            (Some(linked), None) => linked.to_owned(),
            (Some(linked), Some(_)) if linked == declared => declared,
            (None, None) => declared,
            (None, Some(None)) if observed.was_made_for(&declared, member.id) => declared,
            (_, Some(holder)) => {
                conflicts.push(Conflict::NameTaken {
                    name: declared,
                    id: member.id,
                    holder: holder.map(str::to_owned),
                });
                continue;
            }
        };
        accounts.insert(member.id, account);
    }
    (accounts, conflicts)
}

/// For each group that is ours: the members lotse added, who are still in and no longer declared.
fn leaving(
    wanted: &Wanted<'_>,
    observed: &ObservedRealm,
    accounts: &Accounts,
) -> BTreeMap<String, BTreeSet<String>> {
    let declared = wanted::relations(wanted.realm, accounts);
    let mut leaving: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for relation in observed.relations.difference(&declared) {
        if let Relation::Membership { user, group } = relation
            && observed.is_owned(&Object::Group(group.clone()), wanted.owner.as_str())
            && observed.ledger(group).contains(observed.ledger_name(user))
        {
            leaving.entry(group.clone()).or_default().insert(user.clone());
        }
    }
    leaving
}

/// For each group the accounts of its declared members, by the names that ledgers know now.
fn present<'realm>(
    realm: &'realm identity::Realm,
    observed: &ObservedRealm,
    accounts: &Accounts,
) -> BTreeMap<&'realm str, BTreeSet<String>> {
    let mut present: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for member in &realm.members {
        let Some(account) = accounts.get(&member.id) else {
            continue;
        };
        for group in &member.groups {
            let name = observed.ledger_name(account).to_owned();
            present.entry(group).or_default().insert(name);
        }
    }
    present
}

/// Everything that planning looks at, computed once.
struct Planning<'inputs> {
    wanted: &'inputs Wanted<'inputs>,
    observed: &'inputs ObservedRealm,
    objects: BTreeMap<Object, Value>,
    relations: BTreeSet<Relation>,
    ledgers: BTreeMap<&'inputs str, BTreeSet<String>>,
    present: BTreeMap<&'inputs str, BTreeSet<String>>,
    leaving: BTreeMap<String, BTreeSet<String>>,
    /// Memberships that somebody made by hand and that end.
    strangers: BTreeSet<Relation>,
}

impl Planning<'_> {
    fn objects_of_others(&self) -> Vec<Conflict> {
        self.objects
            .keys()
            .filter_map(|object| {
                let observed = self.observed.objects.get(object)?;
                match mark::ownership(object, observed) {
                    Ownership::Owned(owner) if owner != self.wanted.owner.as_str() => {
                        Some(Conflict::OwnedByAnother {
                            object: object.clone(),
                            owner,
                        })
                    }
                    _ => None,
                }
            })
            .collect()
    }

    /// Required actions are the server's: none can be made.
    fn unknown_actions(&self) -> Vec<Conflict> {
        let declared = self.wanted.realm.required_actions.iter().flatten();
        let unknown = declared.filter(|alias| {
            let action = Object::RequiredAction((*alias).clone());
            self.observed.exists() && !self.observed.objects.contains_key(&action)
        });
        unknown
            .map(|alias| Conflict::UnknownAction { alias: alias.clone() })
            .collect()
    }

    fn steps(&self, prune: Prune) -> Plan<KeycloakOperation> {
        let mut plan = Plan::empty();
        let (accounts, others): (Vec<&Object>, Vec<&Object>) = self
            .creation_order()
            .into_iter()
            .partition(|object| self.is_account(object));
        for object in others {
            self.ensure_object(&mut plan, object);
        }
        self.attach(&mut plan);
        self.detach(&mut plan);
        for object in accounts {
            self.ensure_object(&mut plan, object);
        }
        self.settle_ledgers(&mut plan, prune);
        if prune == Prune::Delete {
            self.delete(&mut plan);
        }
        plan
    }

    /// An account that exists may get another name. That waits until the memberships are settled: those who left are
    /// known to the ledgers by the name they had.
    fn is_account(&self, object: &Object) -> bool {
        matches!(object, Object::User(_)) && self.observed.objects.contains_key(object)
    }

    /// A new realm brings its user profile with it; an existing one gets the stricter profile before the realm
    /// allows user names to be edited.
    fn creation_order(&self) -> Vec<&Object> {
        let mut order: Vec<&Object> = self.objects.keys().collect();
        if !self.observed.exists() {
            order.sort_by_key(|object| **object != Object::Realm);
        }
        order
    }

    fn ensure_object(&self, plan: &mut Plan<KeycloakOperation>, object: &Object) {
        let wanted = self.with_first_ledger(object);
        let Some(observed) = self.observed.objects.get(object) else {
            if fields::differences(&Value::Null, &wanted).is_empty() {
                return;
            }
            let operation = KeycloakOperation::Create {
                object: object.clone(),
                representation: self.representation(object, &wanted),
            };
            let shown = at_first_sight(object, &wanted);
            plan.push(Action::Create, object.to_string(), shown, operation);
            return;
        };
        let differences = fields::differences(observed, &wanted);
        if differences.is_empty() {
            return;
        }
        let action = match mark::ownership(object, observed) {
            Ownership::Unmarked => Action::Adopt,
            Ownership::Part | Ownership::Owned(_) => Action::Update,
        };
        let shown = differences.iter().map(shown).collect();
        let operation = KeycloakOperation::Update {
            object: object.clone(),
            differences,
        };
        plan.push(action, object.to_string(), shown, operation);
    }

    /// The ledger names members before they are added and until they are out, and those who get another name by
    /// both, so that a run which was killed in between still knows whom it added.
    fn with_first_ledger(&self, object: &Object) -> Value {
        let wanted = self.objects[object].clone();
        let Object::Group(name) = object else {
            return wanted;
        };
        let mut first = self.ledgers[name.as_str()].clone();
        first.extend(self.present.get(name.as_str()).into_iter().flatten().cloned());
        let leaving = self.leaving.get(name).into_iter().flatten();
        first.extend(leaving.map(|user| self.observed.ledger_name(user).to_owned()));
        mark::with_ledger(wanted, &first)
    }

    fn representation(&self, object: &Object, wanted: &Value) -> Value {
        if object.comes_with_its_realm() {
            return wanted.clone();
        }
        let mut representation = fields::without_nulls(wanted);
        if let Value::Object(more) = wanted::at_creation(object, self.wanted.realm)
            && let Value::Object(fields) = &mut representation
        {
            fields.extend(more);
        }
        representation
    }

    fn attach(&self, plan: &mut Plan<KeycloakOperation>) {
        for relation in self.relations.difference(&self.observed.relations) {
            if self.comes_with_creation(relation) {
                continue;
            }
            if let Relation::DefaultScope { client, scope } = relation {
                self.end_optional(plan, client, scope);
            }
            let operation = KeycloakOperation::Attach(relation.clone());
            plan.push(Action::Create, relation.to_string(), Vec::new(), operation);
        }
    }

    /// Links and default scopes are part of what creates a user and a client.
    fn comes_with_creation(&self, relation: &Relation) -> bool {
        let object = match relation {
            Relation::Link { user, .. } => Object::User(user.clone()),
            Relation::DefaultScope { client, .. } => Object::Client(client.clone()),
            _ => return false,
        };
        !self.observed.objects.contains_key(&object)
    }

    /// Keycloak ignores a default scope while the client has the same one as optional.
    fn end_optional(&self, plan: &mut Plan<KeycloakOperation>, client: &str, scope: &str) {
        let optional = Relation::OptionalScope {
            client: client.to_owned(),
            scope: scope.to_owned(),
        };
        if self.observed.relations.contains(&optional) {
            let text = optional.to_string();
            plan.push(
                Action::Delete,
                text,
                Vec::new(),
                KeycloakOperation::Detach(optional),
            );
        }
    }

    fn detach(&self, plan: &mut Plan<KeycloakOperation>) {
        for relation in self.observed.relations.difference(&self.relations) {
            if self.is_ours_to_end(relation) {
                let operation = KeycloakOperation::Detach(relation.clone());
                plan.push(Action::Delete, relation.to_string(), Vec::new(), operation);
            }
        }
    }

    /// Memberships that are in our ledger, and groups that have a role which is ours.
    fn is_ours_to_end(&self, relation: &Relation) -> bool {
        match relation {
            Relation::Membership { user, group } => {
                self.leaving.get(group).is_some_and(|users| users.contains(user))
                    || self.strangers.contains(relation)
            }
            Relation::RoleMapping { client, role, .. } => {
                let role = Object::Role {
                    client: client.clone(),
                    role: role.clone(),
                };
                self.observed.is_owned(&role, self.wanted.owner.as_str())
            }
            Relation::OfEverybody { .. } => true,
            Relation::Link { .. } | Relation::DefaultScope { .. } | Relation::OptionalScope { .. } => false,
        }
    }

    /// Takes those who left, and names that are no more, out of the ledgers; also out of those of groups that are no
    /// longer declared.
    fn settle_ledgers(&self, plan: &mut Plan<KeycloakOperation>, prune: Prune) {
        for (name, declared) in &self.ledgers {
            let object = Object::Group((*name).to_owned());
            settle(plan, &object, &self.with_first_ledger(&object), declared);
        }
        for (object, observed) in &self.observed.objects {
            let is_forgotten = matches!(object, Object::Group(_))
                && prune == Prune::Keep
                && !self.objects.contains_key(object)
                && self.observed.is_owned(object, self.wanted.owner.as_str());
            if is_forgotten {
                settle(plan, object, observed, &BTreeSet::new());
            }
        }
    }

    fn delete(&self, plan: &mut Plan<KeycloakOperation>) {
        for object in self.observed.objects.keys().rev() {
            let goes_with_its_client = match object {
                Object::Role { client, .. } => self.is_deleted(&Object::Client(client.clone())),
                _ => false,
            };
            if self.is_deleted(object) && !goes_with_its_client {
                let operation = KeycloakOperation::Delete {
                    object: object.clone(),
                };
                plan.push(Action::Delete, object.to_string(), Vec::new(), operation);
            }
        }
    }

    fn is_deleted(&self, object: &Object) -> bool {
        is_deletable(object)
            && !self.objects.contains_key(object)
            && self.observed.is_owned(object, self.wanted.owner.as_str())
    }
}

/// Plans the change of a group's ledger from what `before` has to `members`.
fn settle(plan: &mut Plan<KeycloakOperation>, object: &Object, before: &Value, members: &BTreeSet<String>) {
    let differences = fields::differences(before, &mark::with_ledger(Value::Null, members));
    if differences.is_empty() {
        return;
    }
    let shown = differences.iter().map(shown).collect();
    let operation = KeycloakOperation::Update {
        object: object.clone(),
        differences,
    };
    plan.push(Action::Update, object.to_string(), shown, operation);
}

/// What is told of an object that is new: where a client sends people.
fn at_first_sight(object: &Object, wanted: &Value) -> Vec<FieldChange> {
    let uris = match object {
        Object::Client(_) => wanted["redirectUris"].as_array(),
        _ => None,
    };
    let uris = uris.into_iter().flatten().filter_map(Value::as_str);
    let shown = uris.map(|uri| FieldChange {
        path: "redirectUris[]".to_owned(),
        before: None,
        after: Some(uri.to_owned()),
    });
    shown.collect()
}

/// A changed secret is told as such; its fingerprint means nothing to a reader.
fn shown(difference: &fields::Difference) -> FieldChange {
    if difference.is_of_secret() {
        let is_touched = difference.before.as_ref().is_some_and(|before| before == TOUCHED);
        let after = if is_touched {
            "*** (as declared; it may have been changed)"
        } else {
            "*** (another one)"
        };
        return FieldChange {
            path: "config.clientSecret".into(),
            before: difference.before.as_ref().map(|_| "***".into()),
            after: Some(after.into()),
        };
    }
    difference.shown()
}
