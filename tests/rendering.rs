//! Properties of what is rendered, whatever is declared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::Utf8Path;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use lotse::config::yaml;
use lotse::config::{self, Declarations, Grant, RoleHolders, Subject};
use lotse::desired::{Desired, OIDC_PREFIX};
use lotse::names::EnvironmentName;
use lotse::render;
use proptest::prelude::*;
use serde_json::Value;

const TODAY: Date = date(2026, 11, 23);

fn lab() -> Declarations {
    static LAB: LazyLock<Declarations> = LazyLock::new(read_lab);
    LAB.clone()
}

fn read_lab() -> Declarations {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    config::load(root, &EnvironmentName::new("lab").unwrap(), TODAY)
        .unwrap()
        .declarations
}

/// Declarations and environment are left in memory: what is desired refers to them.
fn desired(declarations: &Declarations) -> Desired<'static> {
    let environment = Box::leak(Box::new(declarations.environment.outline()));
    Desired::build(Box::leak(Box::new(declarations.clone())), environment, TODAY)
}

prop_compose! {
    /// A grant to somebody of the lab; it may have ended.
    fn grant()(
        index in any::<prop::sample::Index>(),
        role in prop::sample::select(vec!["view", "edit", "admin"]),
        days in prop::option::of(-3_i64..3),
        reason in prop::option::of("[ -~]{1,20}"),
    ) -> Grant {
        let people = lab().people;
        let teams = people.teams.into_iter().map(|team| Subject::Team(team.name));
        let persons = people.members.into_iter().map(|person| Subject::Person(person.login));
        let subjects: Vec<Subject> = teams.chain(persons).collect();
        Grant {
            subject: index.get(&subjects).clone(),
            role: role.to_owned(),
            until: days.map(|days| TODAY.checked_add(days.days()).unwrap()),
            reason,
        }
    }
}

/// Names of the given kind of subject in all role bindings, without the prefix.
fn subjects(desired: &Desired, kind: &str) -> BTreeSet<String> {
    let bindings = desired.delivered().filter(|each| each.kind() == "RoleBinding");
    bindings
        .flat_map(|binding| {
            binding.value()["subjects"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter(|subject| subject["kind"] == kind)
        .map(|subject| {
            subject["name"]
                .as_str()
                .unwrap()
                .strip_prefix(OIDC_PREFIX)
                .unwrap()
                .to_owned()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn test_subjects_of_role_bindings_exist_in_the_realm(grants in prop::collection::vec(grant(), 0..8)) {
        let mut declarations = lab();
        declarations.apps[0].access = grants;
        let desired = desired(&declarations);
        let groups: BTreeSet<String> = desired.realm.groups.iter().map(|group| group.name.clone()).collect();
        prop_assert!(subjects(&desired, "Group").is_subset(&groups));
        prop_assert!(subjects(&desired, "User").is_empty(), "anybody can have the name of somebody");
        for member in &desired.realm.members {
            prop_assert!(member.groups.iter().all(|group| groups.contains(group)));
        }
    }

    #[test]
    fn test_ended_grants_give_nothing(grants in prop::collection::vec(grant(), 1..8)) {
        let mut declarations = lab();
        declarations.apps[0].access.clone_from(&grants);
        let all = desired(&declarations);
        declarations.apps[0].access.retain(|grant| grant.holds_on(TODAY));
        let holding = desired(&declarations);
        prop_assert_eq!(render::tree(&all).unwrap(), render::tree(&holding).unwrap());
    }

    #[test]
    fn test_rendering_depends_on_what_is_declared_only(
        grants in prop::collection::vec(grant(), 0..6).prop_map(|mut grants| {
            grants.sort_by_key(|grant| (grant.subject.clone(), grant.role.clone()));
            grants.dedup_by_key(|grant| (grant.subject.clone(), grant.role.clone()));
            grants
        }),
    ) {
        let mut declarations = lab();
        declarations.apps[0].access.clone_from(&grants);
        let first = render::tree(&desired(&declarations)).unwrap();
        declarations.apps[0].access.reverse();
        prop_assert_eq!(&first, &render::tree(&desired(&declarations)).unwrap());
    }

    #[test]
    fn test_rendered_files_read_back_as_what_is_desired(grants in prop::collection::vec(grant(), 0..6)) {
        let mut declarations = lab();
        declarations.apps[0].access = grants;
        let desired = desired(&declarations);
        let tree = render::tree(&desired).unwrap();
        for file in desired.files() {
            let path = &file.path;
            let text = &tree.files[&tree.folder.join(path)];
            let wanted: Vec<Value> = file.manifests.iter().map(|manifest| manifest.value().clone()).collect();
            prop_assert_eq!(yaml::documents(text).unwrap(), wanted, "{}", path);
        }
    }
}

#[test]
fn test_objects_are_unique_and_carry_our_mark() {
    let desired = desired(&lab());
    let mut seen = BTreeSet::new();
    for manifest in desired.delivered().chain(desired.management.iter().cloned()) {
        assert!(seen.insert(manifest.to_string()), "{manifest} is there twice");
        assert_eq!(
            manifest.value()["metadata"]["labels"]["lotse.dev/environment"],
            "lab",
            "{manifest}"
        );
    }
}

#[test]
fn test_star_stands_for_every_team() {
    let declarations = lab();
    let desired = desired(&declarations);
    let login = declarations
        .apps
        .iter()
        .flat_map(|app| &app.login)
        .next()
        .unwrap();
    assert_eq!(login.roles["viewer"], RoleHolders::EveryTeam);
    let client = desired
        .realm
        .clients
        .iter()
        .find(|client| client.client_id == login.client)
        .unwrap();
    assert_eq!(client.roles["viewer"].len(), declarations.people.teams.len());
}
