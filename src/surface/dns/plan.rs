//! What separates the desired records from the observed ones. Pure.

use crate::desired::dns::RecordSet;
use crate::names::EnvironmentName;
use crate::plan::{Action, FieldChange, Plan};

use super::mark::{Owner, mark_key, mark_of};
use super::record::{RecordKey, canonical};

/// What the zone holds for one record set, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which record set.
    pub key: RecordKey,
    /// It, where it exists. Never what a wildcard gives.
    pub set: Option<RecordSet>,
    /// Its mark, where it exists.
    pub mark: Option<RecordSet>,
    /// Whose it is.
    pub owner: Owner,
    /// Where the name points instead, when it is an alias (CNAME): no other record can stand beside one.
    pub alias: Option<String>,
}

/// What becomes of one record set. Written only while it is still as `before` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// Which record set.
    pub key: RecordKey,
    /// What is there.
    pub before: Option<RecordSet>,
    /// What shall be there.
    pub after: Option<RecordSet>,
}

/// One step: a record set and its mark, changed together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOperation {
    /// The record set.
    pub record: SetChange,
    /// Its mark.
    pub mark: SetChange,
}

/// Why nothing can be planned for a record set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another program, or another environment of lotse, owns it.
    #[error("{record} belongs to {owner}: remove it there first, or declare another name")]
    Owned {
        /// The record set.
        record: String,
        /// Whose it is, in the words of its mark.
        owner: String,
    },
    /// Its name is an alias.
    #[error("{record} can't stand beside the alias (CNAME) of that name to {target}: remove the alias first")]
    Alias {
        /// The record set.
        record: String,
        /// Where the alias points.
        target: String,
    },
    /// It was not looked at.
    #[error("{record} was not observed: a fault of lotse")]
    Unobserved {
        /// The record set.
        record: String,
    },
}

/// All conflicts of one plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Conflicts(pub Vec<Conflict>);

/// Plans what makes `observed` into `desired` for `owner`.
///
/// What was observed, carries our mark and is not desired is deleted; without our mark it is left alone. A desired
/// record set that exists without a mark becomes [`Action::Adopt`], which is applied only when allowed.
pub fn plan(
    desired: &[RecordSet],
    observed: &[Observed],
    owner: &EnvironmentName,
) -> Result<Plan<DnsOperation>, Conflicts> {
    let mut plan = Plan::empty();
    let mut conflicts = Vec::new();
    for set in desired {
        let key = RecordKey::of(set);
        match observed.iter().find(|observed| observed.key == key) {
            Some(observed) => plan_desired(&mut plan, set, observed, owner)
                .unwrap_or_else(|conflict| conflicts.push(conflict)),
            None => conflicts.push(Conflict::Unobserved {
                record: key.to_string(),
            }),
        }
    }
    let is_desired = |observed: &&Observed| desired.iter().any(|set| RecordKey::of(set) == observed.key);
    for observed in observed.iter().filter(|observed| !is_desired(observed)) {
        plan_undesired(&mut plan, observed, owner);
    }
    if conflicts.is_empty() {
        Ok(plan)
    } else {
        Err(Conflicts(conflicts))
    }
}

fn plan_desired(
    plan: &mut Plan<DnsOperation>,
    set: &RecordSet,
    observed: &Observed,
    owner: &EnvironmentName,
) -> Result<(), Conflict> {
    check(observed, owner)?;
    let after = canonical(set);
    let before = observed.set.as_ref().map(canonical);
    let is_ours = is_owned_by(observed, owner);
    let action = match &before {
        Some(before) if is_ours && *before == after => return Ok(()),
        Some(_) if is_ours => Action::Update,
        Some(_) => Action::Adopt,
        None => Action::Create,
    };
    let fields = before
        .as_ref()
        .map_or_else(Vec::new, |before| changes(before, &after));
    let mark = if is_ours {
        observed.mark.clone()
    } else {
        Some(mark_of(set, owner))
    };
    plan.push(
        action,
        observed.key.to_string(),
        fields,
        operation(observed, Some(after), mark),
    );
    Ok(())
}

/// A mark whose record is gone goes too.
fn plan_undesired(plan: &mut Plan<DnsOperation>, observed: &Observed, owner: &EnvironmentName) {
    if is_owned_by(observed, owner) {
        let object = observed.key.to_string();
        plan.push(
            Action::Delete,
            object,
            Vec::new(),
            operation(observed, None, None),
        );
    }
}

fn check(observed: &Observed, owner: &EnvironmentName) -> Result<(), Conflict> {
    let record = observed.key.to_string();
    if let Some(target) = observed.alias.clone() {
        return Err(Conflict::Alias { record, target });
    }
    match &observed.owner {
        Owner::Lotse(environment) if environment != owner.as_str() => Err(Conflict::Owned {
            record,
            owner: format!("the environment {environment} of lotse"),
        }),
        Owner::Other(text) => Err(Conflict::Owned {
            record,
            owner: text.clone(),
        }),
        Owner::Lotse(_) | Owner::Nobody => Ok(()),
    }
}

fn is_owned_by(observed: &Observed, owner: &EnvironmentName) -> bool {
    observed.owner == Owner::Lotse(owner.to_string())
}

fn operation(observed: &Observed, record: Option<RecordSet>, mark: Option<RecordSet>) -> DnsOperation {
    DnsOperation {
        record: SetChange {
            key: observed.key.clone(),
            before: observed.set.clone(),
            after: record,
        },
        mark: SetChange {
            key: mark_key(&observed.key),
            before: observed.mark.clone(),
            after: mark,
        },
    }
}

fn changes(before: &RecordSet, after: &RecordSet) -> Vec<FieldChange> {
    let field = |path: &str, before: String, after: String| FieldChange {
        path: path.to_owned(),
        before: Some(before),
        after: Some(after),
    };
    let mut changes = Vec::new();
    if before.ttl != after.ttl {
        changes.push(field("ttl", before.ttl.to_string(), after.ttl.to_string()));
    }
    if before.records != after.records {
        changes.push(field(
            "records",
            before.records.join(", "),
            after.records.join(", "),
        ));
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mark::owner_from;
    use super::*;
    use crate::desired::dns::RecordType;

    /// A zone as far as a plan sees it.
    type Model = std::collections::BTreeMap<RecordKey, RecordSet>;

    fn observe(model: &Model, keys: &[RecordKey]) -> Vec<Observed> {
        let look = |key: &RecordKey| {
            let mark = model.get(&mark_key(key)).cloned();
            Observed {
                key: key.clone(),
                set: model.get(key).cloned(),
                owner: owner_from(mark.as_ref(), []),
                mark,
                alias: None,
            }
        };
        keys.iter().map(look).collect()
    }

    /// Applies as a server does: each step whole, and only while its prerequisites hold.
    fn apply(model: &mut Model, plan: &Plan<DnsOperation>) {
        for step in &plan.steps {
            for change in [&step.operation.record, &step.operation.mark] {
                assert_eq!(model.get(&change.key), change.before.as_ref());
                match change.after.clone() {
                    Some(after) => model.insert(change.key.clone(), after),
                    None => model.remove(&change.key),
                };
            }
        }
    }

    fn environment() -> EnvironmentName {
        EnvironmentName::new("lab").unwrap()
    }

    fn set(name: &str, addresses: &[u8], ttl: u32) -> RecordSet {
        RecordSet {
            name: format!("{name}.lab.test."),
            record_type: RecordType::A,
            ttl,
            records: addresses.iter().map(|octet| format!("127.0.0.{octet}")).collect(),
        }
    }

    fn keys(sets: &[&[RecordSet]]) -> Vec<RecordKey> {
        let mut keys: Vec<_> = sets.iter().copied().flatten().map(RecordKey::of).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    prop_compose! {
        fn sets()(chosen in proptest::collection::btree_map(
            prop::sample::select(vec!["*", "web", "*.web", "text"]),
            (proptest::collection::vec(1_u8..5, 1..4), 1_u32..3),
            0..4,
        )) -> Vec<RecordSet> {
            chosen.iter().map(|(name, (addresses, ttl))| set(name, addresses, *ttl)).collect()
        }
    }

    proptest! {
        #[test]
        fn test_nothing_is_left_after_applying(first in sets(), second in sets(), unowned in sets()) {
            let keys = keys(&[&first, &second, &unowned]);
            let mut model: Model = unowned.iter().map(|set| (RecordKey::of(set), canonical(set))).collect();
            for desired in [&first, &second] {
                let planned = plan(desired, &observe(&model, &keys), &environment()).unwrap();
                apply(&mut model, &planned);
                prop_assert!(plan(desired, &observe(&model, &keys), &environment()).unwrap().is_empty());
            }
            let kept = unowned.iter().filter(|set| {
                !first.iter().chain(&second).any(|desired| desired.name == set.name)
            });
            for set in kept {
                prop_assert_eq!(model.get(&RecordKey::of(set)), Some(&canonical(set)));
            }
        }
    }

    #[test]
    fn test_unmarked_record_is_adopted_never_updated() {
        let desired = [set("web", &[1], 300)];
        let key = RecordKey::of(&desired[0]);
        let model: Model = [(key.clone(), set("web", &[2], 300))].into();
        let planned = plan(&desired, &observe(&model, &[key]), &environment()).unwrap();
        let [step] = &planned.steps[..] else {
            panic!("one step")
        };
        assert_eq!(step.change.action, Action::Adopt);
        assert_eq!(step.change.fields[0].before.as_deref(), Some("127.0.0.2"));
        assert!(step.operation.mark.after.is_some());
    }

    #[test]
    fn test_every_conflict_is_named() {
        let desired = [
            set("web", &[1], 300),
            set("alias", &[1], 300),
            set("other", &[1], 300),
        ];
        let observed = |set: &RecordSet, owner, alias: Option<&str>| Observed {
            key: RecordKey::of(set),
            set: None,
            mark: None,
            owner,
            alias: alias.map(str::to_owned),
        };
        let seen = [
            observed(
                &desired[0],
                Owner::Other("heritage=external-dns".to_owned()),
                None,
            ),
            observed(&desired[1], Owner::Nobody, Some("web.lab.test.")),
            observed(&desired[2], Owner::Lotse("prod".to_owned()), None),
        ];
        let conflicts = plan(&desired, &seen, &environment()).unwrap_err();
        insta::assert_snapshot!(conflicts, @"web.lab.test. A belongs to heritage=external-dns: remove it there first, or declare another name; alias.lab.test. A can't stand beside the alias (CNAME) of that name to web.lab.test.: remove the alias first; other.lab.test. A belongs to the environment prod of lotse: remove it there first, or declare another name");
    }
}
