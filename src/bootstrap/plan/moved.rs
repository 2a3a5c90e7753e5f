//! What has moved since a plan was made. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{EnvironmentPlan, PlannedChange, Surface, SurfacePlan};

/// Something that would be done now and was not agreed to with a saved plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// An object that would be changed.
    Object {
        /// Where.
        surface: Surface,
        /// Which.
        object: String,
        /// Whether it was to be changed in another way.
        is_planned: bool,
    },
    /// A system that is another one.
    Place {
        /// Which.
        surface: Surface,
        /// Where the plan has it.
        planned: String,
        /// Where it is.
        found: String,
    },
}

impl fmt::Display for Moved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object {
                surface,
                object,
                is_planned,
            } => {
                let how = if *is_planned {
                    "would be changed in another way now"
                } else {
                    "would be changed now, which the plan does not say"
                };
                write!(formatter, "{surface}: {object} {how}")
            }
            Self::Place {
                surface,
                planned,
                found,
            } => write!(
                formatter,
                "{surface}: the plan is for {planned}, and this is {found}"
            ),
        }
    }
}

impl EnvironmentPlan {
    /// What would be done `now` beyond `self`, a plan that was saved before. What is done already is not told: a plan
    /// that was carried out in part can be gone on with. Neither is what the saved plan said is known only later.
    #[must_use]
    pub fn moved(&self, now: &Self) -> Vec<Moved> {
        let place = |plan: &SurfacePlan| {
            let found = now.surfaces.iter().find(|other| other.surface == plan.surface)?;
            (found.place != plan.place).then(|| Moved::Place {
                surface: plan.surface,
                planned: plan.place.clone(),
                found: found.place.clone(),
            })
        };
        let mut moved: Vec<Moved> = self.surfaces.iter().filter_map(place).collect();
        moved.extend(self.unsaid(now));
        moved
    }

    /// What would be changed now and is not said.
    fn unsaid(&self, now: &Self) -> Vec<Moved> {
        let saved = self.entries();
        let is_open: BTreeSet<Surface> = self
            .surfaces
            .iter()
            .filter(|plan| !plan.known_after.is_empty())
            .map(|plan| plan.surface)
            .collect();
        let now = now.entries();
        let unsaid = now.iter().filter(|(key, entry)| match saved.get(key) {
            Some(other) => other != *entry,
            None => !is_open.contains(&key.surface),
        });
        unsaid
            .map(|(key, _)| Moved::Object {
                surface: key.surface,
                object: key.object.to_owned(),
                is_planned: saved.contains_key(key),
            })
            .collect()
    }

    fn entries(&self) -> BTreeMap<EntryKey<'_>, Entry<'_>> {
        let surfaces = self.surfaces.iter();
        surfaces
            .flat_map(|plan| {
                let key = move |object| EntryKey {
                    surface: plan.surface,
                    object,
                };
                let changes = plan.changes.iter();
                let changes = changes.map(move |change| (key(change.object.as_str()), Entry::Change(change)));
                let later = plan.known_after.iter();
                let later = later.map(move |each| (key(each.what.as_str()), Entry::Later(&each.after)));
                changes.chain(later)
            })
            .collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EntryKey<'plan> {
    surface: Surface,
    object: &'plan str,
}

enum Entry<'plan> {
    Change(&'plan PlannedChange),
    Later(&'plan str),
}

/// Who changed an object last is no part of what is done to it.
impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |change: &PlannedChange| (change.action, change.fields.clone(), change.conflicts.clone());
        match (self, other) {
            (Self::Change(one), Self::Change(other)) => parts(one) == parts(other),
            (Self::Later(one), Self::Later(other)) => one == other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{API_VERSION, KIND, KnownAfter};
    use super::*;
    use crate::plan::{Action, FieldChange};

    fn plan(changes: &[(&str, &str)]) -> EnvironmentPlan {
        let change = |(object, after): &(&str, &str)| PlannedChange {
            app: None,
            action: Action::Update,
            object: (*object).to_owned(),
            fields: vec![FieldChange {
                path: "spec".into(),
                before: None,
                after: Some((*after).to_owned()),
            }],
            conflicts: Vec::new(),
            by: None,
        };
        EnvironmentPlan {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            environment: "lab".into(),
            prune: false,
            surfaces: vec![SurfacePlan {
                surface: Surface::Dns,
                place: String::new(),
                changes: changes.iter().map(change).collect(),
                known_after: Vec::new(),
                undeclared: Vec::new(),
                warnings: Vec::new(),
                notes: Vec::new(),
            }],
        }
    }

    #[test]
    fn test_what_moved_is_named() {
        let saved = plan(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = plan(&[("b", "2"), ("c", "1"), ("d", "1")]);
        let told: Vec<String> = saved.moved(&now).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "dns: b would be changed in another way now",
                "dns: d would be changed now, which the plan does not say"
            ]
        );
        assert_eq!(saved.moved(&saved), []);
        assert_eq!(saved.moved(&plan(&[("b", "1")])), [], "a part is done");
        assert_eq!(saved.moved(&plan(&[])), [], "all is done");
    }

    #[test]
    fn test_a_plan_is_for_the_places_that_it_names() {
        let mut saved = plan(&[]);
        saved.surfaces[0].place = "zone other.test".into();
        let mut now = plan(&[]);
        now.surfaces[0].place = "zone lab.test".into();
        let told: Vec<String> = saved.moved(&now).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["dns: the plan is for zone other.test, and this is zone lab.test"]
        );
    }

    #[test]
    fn test_what_was_to_be_known_later_is_agreed_to() {
        let mut saved = plan(&[]);
        saved.surfaces[0].known_after.push(KnownAfter {
            what: "records".into(),
            after: "there is an address".into(),
        });
        assert_eq!(saved.moved(&plan(&[("a", "1")])), []);
    }
}
