//! Planning against the realm in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::error::Conflict;
use super::mark::{Fingerprint, MEMBERS, OWNER};
use super::model;
use super::object::{KeycloakOperation, Object, Relation};
use super::observe::ObservedRealm;
use super::plan::{Prune, left_out, plan, strangers, undeclared};
use super::wanted::Wanted;
use crate::config::{Delivery, Sessions};
use crate::desired::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use crate::names::EnvironmentName;
use crate::plan::{Action, Plan};
use crate::secret::Secret;

const GROUPS: [&str; 3] = ["scs:monitoring-admin", "scs:monitoring-view", "scs:website-edit"];

fn owner() -> EnvironmentName {
    EnvironmentName::new("lab").unwrap()
}

pub(super) fn realm() -> Realm {
    Realm {
        name: "scs".into(),
        github: IdentityProvider {
            alias: "github".into(),
            client_id: "forge-client".into(),
            base_url: Some("http://127.0.0.1:3000".into()),
            api_url: None,
        },
        sessions: Sessions {
            token: Some(300),
            ..Sessions::default()
        },
        client_secret_grace: None,
        required_actions: None,
        groups: GROUPS.iter().map(|name| group(name)).collect(),
        members: vec![member("Ada", 7, &GROUPS[..2]), member("bob", 8, &GROUPS[1..2])],
        clients: vec![
            Client {
                client_id: "grafana".into(),
                description: "Dashboards".into(),
                kind: ClientKind::Confidential {
                    namespace: "monitoring".into(),
                    secret: "grafana-oidc".into(),
                    delivery: Delivery::Cluster,
                },
                redirect_uris: vec!["https://monitoring.prod.lab.test/login".into()],
                roles: BTreeMap::from([("admin".into(), vec![GROUPS[0].into()])]),
            },
            kubectl(),
        ],
    }
}

fn kubectl() -> Client {
    Client {
        client_id: "kubectl".into(),
        description: String::new(),
        kind: ClientKind::Public,
        redirect_uris: vec!["http://localhost:8000".into(), "http://localhost:18000".into()],
        roles: BTreeMap::new(),
    }
}

fn group(name: &str) -> Group {
    Group {
        name: name.into(),
        description: format!("Group {name}"),
    }
}

fn member(login: &str, id: u64, groups: &[&str]) -> Member {
    Member {
        login: login.into(),
        id,
        name: format!("{login} Lovelace"),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn plan_with(
    realm: &Realm,
    secret: &str,
    observed: &ObservedRealm,
    prune: Prune,
) -> Result<Plan<KeycloakOperation>, Vec<Conflict>> {
    let owner = owner();
    let fingerprint = Wanted::fingerprint(&Secret::new(secret), &owner, &realm.github);
    let wanted = wanted(realm, &owner, &fingerprint);
    plan(&wanted, observed, prune)
}

fn wanted<'a>(realm: &'a Realm, owner: &'a EnvironmentName, provider_secret: &'a Fingerprint) -> Wanted<'a> {
    Wanted {
        realm,
        owner,
        provider_secret,
        part: None,
    }
}

pub(super) fn planned(realm: &Realm, observed: &ObservedRealm) -> Plan<KeycloakOperation> {
    plan_with(realm, "s3cret", observed, Prune::Keep).unwrap()
}

/// A realm in memory that is as `realm` wants it.
fn converged(realm: &Realm) -> ObservedRealm {
    let mut observed = ObservedRealm::absent(&realm.name);
    // What a new realm brings with it is seen only when it is there.
    for _ in 0..2 {
        let plan = planned(realm, &observed);
        model::apply(&mut observed, &plan);
    }
    observed
}

fn texts(plan: &Plan<KeycloakOperation>) -> Vec<String> {
    plan.changes()
        .map(|change| {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
            format!("{:?} {} {}", change.action, change.object, fields.join(" "))
                .trim()
                .to_owned()
        })
        .collect()
}

fn user_in(user: &str, group: &str) -> Relation {
    Relation::Membership {
        user: user.into(),
        group: group.into(),
    }
}

#[test]
fn test_an_empty_server_gets_everything_in_the_order_of_need() {
    let observed = ObservedRealm::absent("scs");
    let plan = planned(&realm(), &observed);
    insta::assert_snapshot!(texts(&plan).join("\n"), @"
    Create realm
    Create user profile
    Create client scope groups
    Create mapper groups of client scope groups
    Create identity provider github
    Create mapper email of identity provider github
    Create client grafana redirectUris[]
    Create client kubectl redirectUris[] redirectUris[]
    Create mapper roles of client grafana
    Create role admin of client grafana
    Create user ada
    Create user bob
    Create group scs:monitoring-admin
    Create group scs:monitoring-view
    Create group scs:website-edit
    Create role admin of client grafana for group scs:monitoring-admin
    Create member ada of group scs:monitoring-admin
    Create member ada of group scs:monitoring-view
    Create member bob of group scs:monitoring-view
    ");
    assert_eq!(texts(&planned(&realm(), &converged(&realm()))), [""; 0]);
}

#[test]
fn test_no_plan_holds_the_secret() {
    let plan = plan_with(&realm(), "s3cret", &ObservedRealm::absent("scs"), Prune::Keep).unwrap();
    assert!(!format!("{plan:?}").contains("s3cret"));
}

#[test]
fn test_another_secret_is_seen_and_not_shown() {
    let observed = converged(&realm());
    let plan = plan_with(&realm(), "an0ther", &observed, Prune::Keep).unwrap();
    let changes: Vec<_> = plan.changes().cloned().collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].object, "identity provider github");
    assert_eq!(changes[0].fields.len(), 1);
    assert_eq!(changes[0].fields[0].before.as_deref(), Some("***"));
    assert!(!format!("{plan:?}").contains("an0ther"));
}

#[test]
fn test_who_leaves_goes_before_the_ledger_forgets_and_others_stay() {
    let mut observed = converged(&realm());
    let stranger = Object::User("eve".into());
    observed
        .objects
        .insert(stranger, json!({"username": "eve", "id": "9"}));
    observed.relations.insert(user_in("eve", GROUPS[1]));

    let mut desired = realm();
    desired.members.retain(|member| member.login != "bob");
    let plan = planned(&desired, &observed);
    assert_eq!(
        texts(&plan),
        [
            "Delete member bob of group scs:monitoring-view",
            "Update group scs:monitoring-view attributes.lotse.members"
        ]
    );
    let (owner, secret) = (owner(), Secret::new("s3cret"));
    let fingerprint = Wanted::fingerprint(&secret, &owner, &desired.github);
    let wanted = wanted(&desired, &owner, &fingerprint);
    let out = "Delete member eve of group scs:monitoring-view";
    assert_eq!(texts(&strangers(&wanted, &observed)), [out]);
    model::apply(&mut observed, &plan);
    assert!(observed.relations.contains(&user_in("eve", GROUPS[1])));
    assert!(planned(&desired, &observed).is_empty());

    let pruning = super::plan(&wanted, &observed, Prune::Delete).unwrap();
    assert_eq!(texts(&pruning), [out]);
    model::apply(&mut observed, &pruning);
    assert!(texts(&strangers(&wanted, &observed)).is_empty());
    assert!(super::plan(&wanted, &observed, Prune::Delete).unwrap().is_empty());
}

#[test]
fn test_what_is_ours_and_no_longer_declared_is_named() {
    let observed = converged(&realm());
    let mut desired = realm();
    desired.groups.truncate(1);
    desired.clients.clear();
    for member in &mut desired.members {
        member.groups.retain(|group| group == GROUPS[0]);
    }
    let (owner, secret) = (owner(), Secret::new("s3cret"));
    let fingerprint = Wanted::fingerprint(&secret, &owner, &desired.github);
    let wanted = wanted(&desired, &owner, &fingerprint);
    let named: Vec<String> = undeclared(&wanted, &observed)
        .iter()
        .map(ToString::to_string)
        .collect();
    let deleted = super::plan(&wanted, &observed, Prune::Delete).unwrap();
    let mut deleted: Vec<String> = deleted
        .steps
        .iter()
        .filter(|step| matches!(step.operation, KeycloakOperation::Delete { .. }))
        .map(|step| step.change.object.clone())
        .collect();
    deleted.reverse();
    assert_eq!(named, deleted);
    assert!(
        named.contains(&"group scs:monitoring-view".to_owned()),
        "{named:?}"
    );
}

#[test]
fn test_a_group_that_is_no_longer_declared_loses_our_members_and_stays() {
    let mut observed = converged(&realm());
    let mut desired = realm();
    desired.groups.truncate(1);
    for member in &mut desired.members {
        member.groups.retain(|group| group == GROUPS[0]);
    }
    let plan = planned(&desired, &observed);
    assert_eq!(
        texts(&plan),
        [
            "Delete member ada of group scs:monitoring-view",
            "Delete member bob of group scs:monitoring-view",
            "Update group scs:monitoring-view attributes.lotse.members"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(planned(&desired, &observed).is_empty());
}

#[test]
fn test_pruning_deletes_only_what_carries_our_mark() {
    let mut observed = converged(&realm());
    for (name, mark) in [("by-hand", json!({})), ("theirs", json!({OWNER: ["prod"]}))] {
        let group = json!({"name": name, "id": name, "attributes": mark});
        observed.objects.insert(Object::Group(name.into()), group);
    }
    let mut desired = realm();
    desired.groups.truncate(2);
    desired.clients.retain(|client| client.client_id == "kubectl");
    let plan = plan_with(&desired, "s3cret", &observed, Prune::Delete).unwrap();
    assert_eq!(
        texts(&plan),
        [
            "Delete role admin of client grafana for group scs:monitoring-admin",
            "Delete group scs:website-edit",
            "Delete client grafana"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(
        plan_with(&desired, "s3cret", &observed, Prune::Delete)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn test_a_login_renamed_at_the_forge_keeps_its_account() {
    let mut observed = converged(&realm());
    let mut desired = realm();
    desired.members[0] = member("Ada-L", 7, &GROUPS[..2]);
    let plan = planned(&desired, &observed);
    assert_eq!(
        texts(&plan),
        [
            "Update group scs:monitoring-admin attributes.lotse.members",
            "Update group scs:monitoring-view attributes.lotse.members",
            "Update user ada username firstName attributes.lotse.name",
            "Update group scs:monitoring-admin attributes.lotse.members",
            "Update group scs:monitoring-view attributes.lotse.members"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(observed.relations.contains(&user_in("ada-l", GROUPS[0])));
    assert!(planned(&desired, &observed).is_empty());
}

#[test]
fn test_who_leaves_goes_though_somebody_renamed_the_account() {
    let mut observed = converged(&realm());
    let (bob, zoe) = (Object::User("bob".into()), Object::User("zoe".into()));
    let mut account = observed.objects.remove(&bob).unwrap();
    account["username"] = json!("zoe");
    observed.objects.insert(zoe, account);
    observed.relations.remove(&user_in("bob", GROUPS[1]));
    observed.relations.insert(user_in("zoe", GROUPS[1]));

    let mut desired = realm();
    desired.members.retain(|member| member.login != "bob");
    let plan = planned(&desired, &observed);
    assert_eq!(
        texts(&plan),
        [
            "Delete member zoe of group scs:monitoring-view",
            "Update group scs:monitoring-view attributes.lotse.members"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(planned(&desired, &observed).is_empty());
}

#[test]
fn test_a_login_registered_again_by_somebody_else_inherits_nothing() {
    let observed = converged(&realm());
    let mut desired = realm();
    desired.members[0].id = 99;
    let name = |holder: Option<&str>| Conflict::NameTaken {
        name: "ada".into(),
        id: 99,
        holder: holder.map(str::to_owned),
    };
    let (owner, secret) = (owner(), Secret::new("s3cret"));
    let fingerprint = Wanted::fingerprint(&secret, &owner, &desired.github);
    let wanted = wanted(&desired, &owner, &fingerprint);
    assert_eq!(left_out(&wanted, &observed), [name(Some("7"))]);

    // Who had the name before loses the rights, everybody else is as declared, and nothing more is to be done.
    let mut after = observed;
    let plan = planned(&desired, &after);
    assert_eq!(
        texts(&plan),
        [
            "Delete member ada of group scs:monitoring-admin",
            "Delete member ada of group scs:monitoring-view",
            "Update group scs:monitoring-admin attributes.lotse.members",
            "Update group scs:monitoring-view attributes.lotse.members",
        ]
    );
    model::apply(&mut after, &plan);
    assert!(planned(&desired, &after).is_empty());

    // Ending one's own link makes nobody a member, and neither does having the name and a password.
    after
        .relations
        .retain(|relation| !matches!(relation, Relation::Link { user, .. } if user == "ada"));
    assert_eq!(left_out(&wanted, &after), [name(None)]);
    assert!(planned(&desired, &after).is_empty());
    let back = planned(&realm(), &after);
    assert!(
        texts(&back).contains(&"Create link of user ada to github id 7".to_owned()),
        "{:?}",
        texts(&back)
    );
}

#[test]
fn test_what_is_in_the_way_is_adopted_and_what_is_another_environments_is_not() {
    let mut observed = converged(&realm());
    let key = Object::Group(GROUPS[0].into());
    let group = observed.objects.get_mut(&key).unwrap();
    group["attributes"].as_object_mut().unwrap().shift_remove(OWNER);
    assert_eq!(
        texts(&planned(&realm(), &observed)),
        ["Adopt group scs:monitoring-admin attributes.lotse.owner"]
    );
    observed.objects.get_mut(&key).unwrap()["attributes"][OWNER] = json!(["prod"]);
    let conflicts = plan_with(&realm(), "s3cret", &observed, Prune::Keep).unwrap_err();
    assert_eq!(
        conflicts,
        [Conflict::OwnedByAnother {
            object: key,
            owner: "prod".into()
        }]
    );
}

#[test]
fn test_an_optional_scope_ends_before_it_becomes_a_default_one() {
    let mut observed = converged(&realm());
    let (client, scope) = ("kubectl".to_owned(), "groups".to_owned());
    observed.relations.remove(&Relation::DefaultScope {
        client: client.clone(),
        scope: scope.clone(),
    });
    observed
        .relations
        .insert(Relation::OptionalScope { client, scope });
    let plan = planned(&realm(), &observed);
    assert_eq!(
        texts(&plan),
        [
            "Delete optional scope groups of client kubectl",
            "Create default scope groups of client kubectl"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(planned(&realm(), &observed).is_empty());
}

#[test]
fn test_a_role_given_to_a_group_by_hand_is_taken_back() {
    let mut observed = converged(&realm());
    observed.relations.insert(Relation::RoleMapping {
        client: "grafana".into(),
        role: "admin".into(),
        group: GROUPS[2].into(),
    });
    assert_eq!(
        texts(&planned(&realm(), &observed)),
        ["Delete role admin of client grafana for group scs:website-edit"]
    );
}

#[test]
fn test_the_stricter_profile_comes_before_editable_user_names_in_an_existing_realm() {
    let mut observed = converged(&realm());
    observed.objects.get_mut(&Object::Realm).unwrap()["editUsernameAllowed"] = json!(false);
    observed.objects.get_mut(&Object::UserProfile).unwrap()["attributes"]["username"]["permissions"]["edit"] =
        json!(["admin", "user"]);
    let texts = texts(&planned(&realm(), &observed));
    assert!(
        texts[0].starts_with("Update user profile") && texts[1].starts_with("Update realm"),
        "{texts:?}"
    );
}

fn any_members(groups: Vec<&'static str>) -> impl Strategy<Value = Vec<Member>> {
    let one = move |id: u64| {
        let logins = [format!("Ada{id}"), format!("ada{id}-renamed")];
        let count = groups.len();
        (
            any::<bool>(),
            select(logins.to_vec()),
            subsequence(groups.clone(), 0..=count),
        )
            .prop_map(move |(is_there, login, groups)| is_there.then(|| member(&login, id, &groups)))
    };
    (one(1), one(2), one(3)).prop_map(|(a, b, c)| [a, b, c].into_iter().flatten().collect())
}

fn any_realm() -> impl Strategy<Value = Realm> {
    subsequence(GROUPS.to_vec(), 0..=GROUPS.len()).prop_flat_map(|groups| {
        let count = groups.len();
        let roles = (
            subsequence(groups.clone(), 0..=count),
            select(vec!["admin", "viewer"]),
            any::<bool>(),
        );
        (Just(groups.clone()), any_members(groups), roles).prop_map(
            |(groups, members, (mapped, role, has_client))| {
                let mut realm = realm();
                realm.groups = groups.iter().map(|name| group(name)).collect();
                realm.members = members;
                let mapped = mapped.iter().map(|&group| group.to_owned()).collect();
                realm.clients[0].roles = BTreeMap::from([(role.to_owned(), mapped)]);
                if !has_client {
                    realm.clients.remove(0);
                }
                realm
            },
        )
    })
}

fn any_prune() -> impl Strategy<Value = Prune> {
    select(vec![Prune::Keep, Prune::Delete])
}

/// Adds what lotse must not touch.
fn with_strangers(mut realm: ObservedRealm) -> ObservedRealm {
    let user = json!({"username": "eve", "id": "eve"});
    realm.objects.insert(Object::User("eve".into()), user);
    for name in GROUPS {
        if realm.objects.contains_key(&Object::Group(name.into())) {
            realm.relations.insert(user_in("eve", name));
        }
    }
    let group = json!({"name": "by-hand", "id": "by-hand", "attributes": {MEMBERS: ["eve"]}});
    realm.objects.insert(Object::Group("by-hand".into()), group);
    realm.relations.insert(user_in("eve", "by-hand"));
    realm
}

/// Memberships, without those of groups that are gone.
fn memberships(realm: &ObservedRealm) -> Vec<String> {
    let relations = realm.relations.iter();
    relations
        .filter(|relation| matches!(relation, Relation::Membership { .. }))
        .map(ToString::to_string)
        .collect()
}

proptest! {
    #[test]
    fn test_after_applying_nothing_is_left_to_do(first in any_realm(), second in any_realm(), prune in any_prune()) {
        let mut observed = with_strangers(converged(&first));
        let plan = plan_with(&second, "s3cret", &observed, prune).unwrap();
        model::apply(&mut observed, &plan);
        prop_assert_eq!(texts(&plan_with(&second, "s3cret", &observed, prune).unwrap()), Vec::<String>::new());
        prop_assert!(observed.relations.contains(&user_in("eve", "by-hand")));
        let mut expected: Vec<String> = second
            .members
            .iter()
            .flat_map(|member| member.groups.iter().map(|group| user_in(&member.login.to_lowercase(), group).to_string()))
            .collect();
        expected.extend(memberships(&observed).into_iter().filter(|text| text.starts_with("member eve")));
        expected.sort();
        let mut found = memberships(&observed);
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn test_a_run_killed_at_any_step_is_finished_by_the_next(
        first in any_realm(),
        second in any_realm(),
        prune in any_prune(),
        at in 0_usize..40,
    ) {
        let start = with_strangers(converged(&first));
        let plan = plan_with(&second, "s3cret", &start, prune).unwrap();
        let (mut whole, mut killed) = (start.clone(), start);
        model::apply(&mut whole, &plan);
        model::apply_first(&mut killed, &plan, at);
        let rest = plan_with(&second, "s3cret", &killed, prune).unwrap();
        model::apply(&mut killed, &rest);
        prop_assert_eq!(memberships(&whole), memberships(&killed));
        prop_assert_eq!(whole, killed);
    }

    #[test]
    fn test_only_rights_are_taken_without_pruning(first in any_realm(), second in any_realm()) {
        let observed = with_strangers(converged(&first));
        let plan = plan_with(&second, "s3cret", &observed, Prune::Keep).unwrap();
        for step in &plan.steps {
            let is_delete = matches!(step.operation, KeycloakOperation::Delete { .. });
            prop_assert!(!is_delete);
            prop_assert!(step.change.action != Action::Adopt);
        }
    }
}

#[test]
fn test_what_people_have_to_do_is_for_the_new_and_nothing_else_is() {
    let mut realm = realm();
    let mut observed = converged(&realm);
    let totp = Object::RequiredAction("CONFIGURE_TOTP".into());
    observed.objects.get_mut(&totp).unwrap()["defaultAction"] = true.into();
    assert!(
        planned(&realm, &observed).is_empty(),
        "not declared: left to the server"
    );

    realm.required_actions = Some(vec!["TERMS_AND_CONDITIONS".into()]);
    let plan = planned(&realm, &observed);
    assert_eq!(
        texts(&plan),
        [
            "Update required action CONFIGURE_TOTP defaultAction",
            "Update required action TERMS_AND_CONDITIONS enabled defaultAction"
        ]
    );
    model::apply(&mut observed, &plan);
    assert!(planned(&realm, &observed).is_empty());

    realm.required_actions = Some(vec!["CONFIGURE_TPOT".into()]);
    let conflicts = plan_with(&realm, "s3cret", &observed, Prune::Keep).unwrap_err();
    assert!(
        conflicts[0].to_string().contains("CONFIGURE_TPOT"),
        "{conflicts:?}"
    );
}

#[test]
fn test_old_secrets_hold_as_long_as_that_is_declared() {
    let mut realm = realm();
    let mut observed = converged(&realm);
    realm.client_secret_grace = Some(3600);
    let plan = planned(&realm, &observed);
    assert_eq!(plan.steps.len(), 1, "{:?}", texts(&plan));
    model::apply(&mut observed, &plan);
    assert!(planned(&realm, &observed).is_empty());
    let foreign = serde_json::json!({"name": "strict"});
    observed.objects.get_mut(&Object::ClientPolicies).unwrap()["policies"]["strict"] = foreign.clone();
    realm.client_secret_grace = None;
    let plan = planned(&realm, &observed);
    model::apply(&mut observed, &plan);
    assert!(planned(&realm, &observed).is_empty());
    let policies = &observed.objects[&Object::ClientPolicies]["policies"];
    assert_eq!(*policies, serde_json::json!({ "strict": foreign }));
}

#[test]
fn test_a_secret_that_somebody_may_have_changed_is_written_again() {
    let realm = realm();
    let mut observed = converged(&realm);
    let provider = observed
        .objects
        .get_mut(&Object::Provider("github".into()))
        .unwrap();
    provider["config"][crate::surface::keycloak::FINGERPRINT] = super::mark::TOUCHED.into();
    let plan = planned(&realm, &observed);
    assert_eq!(
        texts(&plan),
        ["Update identity provider github config.clientSecret"]
    );
    let field = &plan.steps[0].change.fields[0];
    assert!(
        field.after.as_ref().unwrap().contains("may have been changed"),
        "{field:?}"
    );
    model::apply(&mut observed, &plan);
    assert!(planned(&realm, &observed).is_empty());
}
