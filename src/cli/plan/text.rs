//! A plan as people read it: by system, and in each by application.

use std::collections::BTreeMap;

use super::super::ui::Style;
use super::super::workspace::plural;
use crate::bootstrap::{EnvironmentPlan, KnownAfter, PlannedChange, Surface, SurfacePlan};
use crate::plan::{Action, FieldChange, FieldConflict};

/// Longer values are cut: what they are is in `-o json`.
const VALUE_LIMIT: usize = 80;
/// So many fields of one change are told one by one.
const FIELD_LIMIT: usize = 20;

/// The whole plan, and the `command` that carries it out.
pub(in crate::cli) fn tree(plan: &EnvironmentPlan, command: &str, style: Style) -> String {
    let next = match plan.contested() {
        _ if plan.is_empty() => return changes(plan, style),
        0 if !plan.unmarked().is_empty() => format!(
            "Nobody's mark is on {}: `{command} --adopt` takes over what is there.",
            plan.unmarked().join(", ")
        ),
        0 => format!("`{command}` carries it out."),
        contested => format!(
            "Other programs look after fields of {}: `{command} --force-conflicts` takes them over.",
            plural(contested, "object")
        ),
    };
    format!("{}{next}\n", changes(plan, style))
}

/// The whole plan.
pub(in crate::cli) fn changes(plan: &EnvironmentPlan, style: Style) -> String {
    let environment = &plan.environment;
    if plan.is_empty() {
        let mut lines = vec![if plan.differs() {
            format!("{environment} is not as declared, and `apply` leaves that to you:")
        } else {
            format!("{} is as declared: nothing to do.", what(plan))
        }];
        lines.extend(plan.surfaces.iter().flat_map(|surface| warnings(surface, style)));
        lines.extend(plan.surfaces.iter().flat_map(undeclared));
        lines.extend(plan.surfaces.iter().flat_map(notes));
        return lines.join("\n") + "\n";
    }
    let mut lines = Vec::new();
    for surface in &plan.surfaces {
        let has_more = !surface.known_after.is_empty()
            || !surface.undeclared.is_empty()
            || !surface.warnings.is_empty()
            || !surface.notes.is_empty();
        if !surface.changes.is_empty() || has_more {
            of_surface(surface, style, &mut lines);
            lines.push(String::new());
        }
    }
    lines.push(summary(plan));
    lines.join("\n") + "\n"
}

fn of_surface(surface: &SurfacePlan, style: Style, lines: &mut Vec<String>) {
    let name = surface.surface.to_string();
    lines.push(format!("{}  {}", style.strong(&name), surface.place));
    let mut by_app: BTreeMap<Option<&str>, Vec<&PlannedChange>> = BTreeMap::new();
    for change in &surface.changes {
        by_app.entry(change.app.as_deref()).or_default().push(change);
    }
    for (app, changes) in by_app {
        let indent = match app {
            Some(app) => {
                lines.push(format!("  {app}"));
                "    "
            }
            None => "  ",
        };
        for change in changes {
            let by = change.by.as_ref().map(|by| format!("  (last changed by {by})"));
            lines.push(format!(
                "{indent}{} {}{}",
                sign(change.action, style),
                change.object,
                by.unwrap_or_default()
            ));
            let fields = change.fields.iter().take(FIELD_LIMIT);
            lines.extend(fields.map(|field| format!("{indent}    {}", of_field(field))));
            if let Some(more) = change
                .fields
                .len()
                .checked_sub(FIELD_LIMIT)
                .filter(|more| *more > 0)
            {
                lines.push(format!("{indent}    and {more} more fields"));
            }
            lines.extend(change.conflicts.iter().map(|conflict| {
                let FieldConflict { field, manager } = conflict;
                format!("{indent}    {field} is looked after by {manager}")
            }));
        }
    }
    lines.extend(surface.known_after.iter().map(later));
    lines.extend(warnings(surface, style));
    lines.extend(undeclared(surface));
    lines.extend(notes(surface));
}

/// The environment, or the systems of it that were asked.
fn what(plan: &EnvironmentPlan) -> String {
    if plan.surfaces.len() == Surface::ALL.len() || plan.surfaces.is_empty() {
        return plan.environment.clone();
    }
    let asked: Vec<&str> = plan
        .surfaces
        .iter()
        .map(|surface| surface.surface.as_str())
        .collect();
    format!("{} of {}", asked.join(", "), plan.environment)
}

fn warnings(surface: &SurfacePlan, style: Style) -> impl Iterator<Item = String> {
    let warnings = surface.warnings.iter();
    warnings.map(move |warning| format!("  {}: {warning}", style.warning("warning")))
}

fn undeclared(surface: &SurfacePlan) -> impl Iterator<Item = String> {
    let objects = surface.undeclared.iter();
    let end = match surface.surface {
        Surface::Keycloak | Surface::Dns => "stays without `--prune`",
        _ => "stays",
    };
    objects.map(move |object| format!("  · {object} is no longer declared, and {end}"))
}

fn notes(surface: &SurfacePlan) -> impl Iterator<Item = String> {
    surface.notes.iter().map(|note| format!("  · {note}"))
}

fn sign(action: Action, style: Style) -> String {
    match action {
        Action::Create => style.added("+"),
        Action::Update => style.changed("~"),
        Action::Adopt => style.changed("!"),
        Action::Delete => style.removed("-"),
    }
}

/// `spec.replicas  1 → 2`, `groups[]  + "ada"`
fn of_field(field: &FieldChange) -> String {
    let path = &field.path;
    match (&field.before, &field.after) {
        (Some(before), Some(after)) if before == after => format!("{path}  {before} (another value)"),
        (Some(before), Some(after)) => {
            let start = first_difference(before, after);
            format!("{path}  {} → {}", short(before, start), short(after, start))
        }
        (None, Some(after)) => format!("{path}  + {}", short(after, 0)),
        (Some(before), None) => format!("{path}  - {}", short(before, 0)),
        (None, None) => path.clone(),
    }
}

/// How many letters two values have in common at their beginnings.
fn first_difference(before: &str, after: &str) -> usize {
    let pairs = before.chars().zip(after.chars());
    pairs.take_while(|(before, after)| before == after).count()
}

/// A part of a long value that shows the letter at `start`.
fn short(value: &str, start: usize) -> String {
    let length = value.chars().count();
    if length <= VALUE_LIMIT {
        return value.to_owned();
    }
    let skipped = if start < VALUE_LIMIT {
        0
    } else {
        start - VALUE_LIMIT / 2
    };
    let head = if skipped > 0 { "…" } else { "" };
    let tail = if skipped + VALUE_LIMIT < length { "…" } else { "" };
    let cut: String = value.chars().skip(skipped).take(VALUE_LIMIT).collect();
    format!("{head}{cut}{tail}")
}

fn later(later: &KnownAfter) -> String {
    format!("  ? {}: known after {}", later.what, later.after)
}

/// `3 to add, 1 to change, 2 to remove; more is known later`
fn summary(plan: &EnvironmentPlan) -> String {
    let counts = [
        (Action::Create, "to add"),
        (Action::Update, "to change"),
        (Action::Adopt, "to take over (!)"),
        (Action::Delete, "to remove"),
    ];
    let counts = counts.map(|(action, word)| (plan.count(action), word));
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let has_more = plan
        .surfaces
        .iter()
        .any(|surface| !surface.known_after.is_empty());
    match (parts.is_empty(), has_more) {
        (false, false) => format!("{}.", parts.join(", ")),
        (false, true) => format!("{}; more is known later.", parts.join(", ")),
        (true, _) => "What is to be done is known later.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_long_values_are_shown_where_they_differ() {
        let field = |before: &str, after: &str| FieldChange {
            path: "spec".into(),
            before: Some(before.into()),
            after: Some(after.into()),
        };
        let (same, rest) = ("x".repeat(300), "y".repeat(300));
        let before = format!("{same}old{rest}");
        let after = format!("{same}new{rest}");
        let told = of_field(&field(&before, &after));
        let around = |word: &str| format!("…{}{word}{}…", "x".repeat(40), "y".repeat(37));
        assert_eq!(told, format!("spec  {} → {}", around("old"), around("new")));
        let items = |before: Option<&str>, after: Option<&str>| FieldChange {
            path: "groups[]".into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        assert_eq!(of_field(&items(None, Some("ada"))), "groups[]  + ada");
        assert_eq!(of_field(&items(Some("ada"), None)), "groups[]  - ada");
        assert_eq!(of_field(&field("***", "***")), "spec  *** (another value)");
    }

    #[test]
    fn test_a_plan_is_grouped_by_system_and_application() {
        let field = FieldChange {
            path: "spec.replicas".into(),
            before: Some("1".into()),
            after: Some("x".repeat(200)),
        };
        let change = |app: Option<&str>, action, object: &str, fields: &[FieldChange]| PlannedChange {
            app: app.map(str::to_owned),
            action,
            object: object.into(),
            fields: fields.to_vec(),
            conflicts: Vec::new(),
            by: None,
        };
        let surface = |surface, place: &str, changes, known_after| SurfacePlan {
            surface,
            place: place.into(),
            changes,
            known_after,
            undeclared: vec![],
            warnings: vec![],
            notes: vec![],
        };
        let later = KnownAfter {
            what: "*.prod.lab.test at the gateway's address".into(),
            after: "Gateway gateway/gateway has an address".into(),
        };
        let plan = EnvironmentPlan {
            api_version: "lotse/v1".into(),
            kind: "Plan".into(),
            environment: "lab".into(),
            prune: false,
            surfaces: vec![
                surface(
                    Surface::Management,
                    "moin, namespace prod",
                    Vec::new(),
                    Vec::new(),
                ),
                surface(
                    Surface::Workload,
                    "cluster prod",
                    vec![
                        change(Some("web"), Action::Update, "Deployment/web/web", &[field]),
                        change(None, Action::Create, "Namespace/web", &[]),
                        change(Some("web"), Action::Delete, "RoleBinding/web/old", &[]),
                    ],
                    Vec::new(),
                ),
                surface(Surface::Dns, "zone lab.test", Vec::new(), vec![later]),
            ],
        };
        let cut = "x".repeat(80);
        assert_eq!(
            tree(&plan, "lotse apply lab", Style::plain()),
            format!(
                "workload  cluster prod\n  + Namespace/web\n  web\n    ~ Deployment/web/web\n        spec.replicas  1 → {cut}…\n    \
                 - RoleBinding/web/old\n\ndns  zone lab.test\n  ? *.prod.lab.test at the gateway's address: known after Gateway \
                 gateway/gateway has an address\n\n1 to add, 1 to change, 1 to remove; more is known later.\n`lotse apply lab` \
                 carries it out.\n"
            )
        );
    }

    #[test]
    fn test_nothing_to_do_is_one_line() {
        let plan = EnvironmentPlan {
            api_version: "lotse/v1".into(),
            kind: "Plan".into(),
            environment: "lab".into(),
            prune: false,
            surfaces: Vec::new(),
        };
        assert_eq!(
            tree(&plan, "lotse apply lab", Style::plain()),
            "lab is as declared: nothing to do.\n"
        );
    }
}
