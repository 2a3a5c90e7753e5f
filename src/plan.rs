//! What separates the desired from the observed: pure, no clock, no network, no randomness.
//!
//! Every surface computes a [`Plan`] of its own operations and applies exactly that; applying has no
//! choice left to make, and after applying the next plan is empty.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// It exists, carries our mark or our fields, and differs.
    Update,
    /// It exists without our mark: it would become ours.
    Adopt,
    /// It carries our mark and is no longer desired.
    Delete,
}

/// One field that differs. Values are shown, never secret: a surface masks before it plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Where in the object, dotted (`spec.topology.version`).
    pub path: String,
    /// Observed value, `None` when absent.
    pub before: Option<String>,
    /// Desired value, `None` when it goes away.
    pub after: Option<String>,
}

/// A field that another field manager has set to something else. It is left to that one unless it is taken over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldConflict {
    /// Path of the field, `.spec.versions`.
    pub field: String,
    /// Who has set it.
    pub manager: String,
}

impl fmt::Display for FieldConflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.field, self.manager)
    }
}

/// What a person reads about one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// The object in its surface's words (`Namespace/monitoring`, `*.prod.lab.test. A`, `client kubectl`).
    pub object: String,
    /// What differs; empty for deletions, and for most creations.
    pub fields: Vec<FieldChange>,
    /// What keeps it from being made: fields that others look after.
    pub conflicts: Vec<FieldConflict>,
    /// Who changed the object last and when, where its system keeps a record (`ada, 2026-11-27 12:40 UTC`).
    pub by: Option<String>,
}

impl Change {
    /// A change that is told by its object alone.
    #[must_use]
    pub fn whole(action: Action, object: impl Into<String>) -> Self {
        Self {
            action,
            object: object.into(),
            fields: Vec::new(),
            conflicts: Vec::new(),
            by: None,
        }
    }
}

/// One exact step: what a person reads, and what the surface will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<Operation> {
    /// For people.
    pub change: Change,
    /// For the surface.
    pub operation: Operation,
}

/// All steps of one surface, in the order in which they are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<Operation> {
    /// The steps.
    pub steps: Vec<Step<Operation>>,
}

impl<Operation> Plan<Operation> {
    /// A plan without steps.
    #[must_use]
    pub const fn empty() -> Self {
        Self { steps: Vec::new() }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Appends one step.
    pub fn push(
        &mut self,
        action: Action,
        object: impl Into<String>,
        fields: Vec<FieldChange>,
        operation: Operation,
    ) {
        let change = Change {
            fields,
            ..Change::whole(action, object)
        };
        self.steps.push(Step { change, operation });
    }

    /// Writes each change to the log; all else here is without effect.
    pub fn log(&self) {
        for change in self.changes() {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
            tracing::info!(action = ?change.action, object = change.object, ?fields, "differs");
        }
    }

    /// What a person reads, without the operations.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().map(|step| &step.change)
    }
}

impl<Operation> Default for Plan<Operation> {
    fn default() -> Self {
        Self::empty()
    }
}
