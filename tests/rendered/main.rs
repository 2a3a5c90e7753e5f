//! What is rendered of declarations that nobody wrote: any mix of sources, hosts, rules and dependencies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod declared;
mod examples;
mod properties;

use std::collections::BTreeSet;

use jiff::civil::{Date, date};
use lotse::config::Declarations;
use lotse::desired::{Desired, Manifest};
use serde_json::Value;

const TODAY: Date = date(2026, 11, 23);

/// Declarations and environment are left in memory: what is desired refers to them.
fn desired(declarations: &Declarations) -> Desired<'static> {
    let environment = Box::leak(Box::new(declarations.environment.outline()));
    Desired::build(Box::leak(Box::new(declarations.clone())), environment, TODAY)
}

/// All objects of the workload cluster.
fn objects(desired: &Desired<'_>) -> impl Iterator<Item = &'static Manifest> {
    // Left in memory like what they are made from.
    let objects: Vec<Manifest> = desired.delivered().collect();
    objects.leak().iter()
}

fn of_kind(desired: &Desired<'_>, kind: &str) -> Vec<&'static Manifest> {
    objects(desired).filter(|each| each.kind() == kind).collect()
}

/// Names of the objects of a kind in a namespace.
fn names<'desired>(desired: &'desired Desired, kind: &str, namespace: &str) -> BTreeSet<&'desired str> {
    let found = of_kind(desired, kind).into_iter();
    let found = found.filter(|each| each.namespace() == Some(namespace));
    found.map(Manifest::name).collect()
}

/// The texts at a pointer in every item of the list at another.
fn texts<'value>(value: &'value Value, list: &str, pointer: &str) -> Vec<&'value str> {
    let items = value
        .pointer(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items
        .filter_map(|item| item.pointer(pointer).and_then(Value::as_str))
        .collect()
}
