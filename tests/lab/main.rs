//! The real thing: one lab is brought up and bootstrapped by the program, then looked at with independent tools.
//!
//! A missing component or tool fails the run; nothing is skipped. The first run on a machine builds the components.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test binary without the standard harness is not recognised as tests"
)]

mod access;
mod accounts;
mod break_glass;
mod bring_up;
mod browser;
mod charts;
mod cluster_secrets;
mod declared;
mod designate;
mod drift;
mod explanations;
mod faults;
mod gateways;
mod hops;
mod identities;
mod issuers;
mod kills;
mod kit;
mod kubeconfigs;
mod lockdown;
mod names;
mod new_platform;
mod plans;
mod preflights;
mod proposals;
mod pruning;
mod readers;
mod readme;
mod realm_kills;
mod realms;
mod reconciled;
mod repeated;
mod rotations;
mod secrets;
mod silence;
mod stacks;
mod strangers;
mod supervision;
mod systems;
mod turns;

use libtest_mimic::{Arguments, Trial};

use kit::Lab;

fn main() {
    let mut arguments = Arguments::from_args();
    // The lab is shared and some of these stop parts of it.
    arguments.test_threads = Some(1);
    if arguments.list {
        libtest_mimic::run(&arguments, trials(None)).exit();
    }
    let lab = Lab::bootstrapped();
    let conclusion = libtest_mimic::run(&arguments, trials(Some(lab)));
    lab.down();
    conclusion.exit();
}

/// What looks at the shared lab.
type LabTest = fn(&Lab);

/// What looks at the lab as the first bring-up left it.
const LOOKING: [(&str, LabTest); 18] = [
    ("readme_shows_what_happens", readme::readme_shows_what_happens),
    (
        "first_run_tells_every_stage",
        bring_up::first_run_tells_every_stage,
    ),
    (
        "class_is_made_by_the_operator",
        bring_up::class_is_made_by_the_operator,
    ),
    (
        "cluster_is_available_by_cluster_api",
        bring_up::cluster_is_available_by_cluster_api,
    ),
    (
        "api_server_has_the_declared_name",
        bring_up::api_server_has_the_declared_name,
    ),
    (
        "addon_of_the_stack_is_in_the_cluster",
        bring_up::addon_of_the_stack_is_in_the_cluster,
    ),
    (
        "every_app_has_its_namespace",
        reconciled::every_app_has_its_namespace,
    ),
    (
        "role_bindings_are_as_granted",
        reconciled::role_bindings_are_as_granted,
    ),
    ("flux_is_ready_at_the_head", reconciled::flux_is_ready_at_the_head),
    ("releases_are_ready", reconciled::releases_are_ready),
    ("hosts_have_routes", reconciled::hosts_have_routes),
    ("workloads_are_available", reconciled::workloads_are_available),
    (
        "controllers_run_locked_down",
        reconciled::controllers_run_locked_down,
    ),
    (
        "any_name_leads_to_the_gateway",
        reconciled::any_name_leads_to_the_gateway,
    ),
    (
        "client_secret_is_where_it_is_declared",
        reconciled::client_secret_is_where_it_is_declared,
    ),
    (
        "api_server_knows_the_person_and_their_teams",
        access::api_server_knows_the_person_and_their_teams,
    ),
    (
        "a_member_may_what_the_role_says",
        access::a_member_may_what_the_role_says_and_nothing_elsewhere,
    ),
    ("second_run_changes_nothing", repeated::second_run_changes_nothing),
];

/// What changes something in the lab and puts it back.
const CHANGING: [(&str, LabTest); 67] = [
    (
        "names_follow_the_declarations",
        names::names_follow_the_declarations,
    ),
    (
        "a_reserved_address_is_compared_with_the_gateway",
        names::a_reserved_address_is_compared_with_the_gateway,
    ),
    (
        "names_in_the_way_are_told_and_taken_over_when_asked_for",
        names::names_in_the_way_are_told_and_taken_over_when_asked_for,
    ),
    (
        "an_old_secret_holds_for_its_grace_period",
        rotations::an_old_secret_holds_for_its_grace_period,
    ),
    (
        "who_gave_a_client_another_secret_is_told",
        rotations::who_gave_a_client_another_secret_is_told,
    ),
    (
        "a_client_secret_is_kept_in_git_by_choice",
        rotations::a_client_secret_is_kept_in_git_by_choice,
    ),
    (
        "an_account_takes_the_place_of_the_administrator",
        accounts::an_account_takes_the_place_of_the_administrator,
    ),
    (
        "ids_and_logins_come_from_the_forge",
        identities::ids_and_logins_come_from_the_forge,
    ),
    (
        "a_second_run_has_nothing_to_do",
        realms::a_second_run_has_nothing_to_do,
    ),
    (
        "drift_is_repaired_and_the_rest_is_kept",
        realms::drift_is_repaired_and_the_rest_is_kept,
    ),
    ("members_come_and_go", realms::members_come_and_go),
    (
        "a_realm_is_killed_at_every_request",
        realm_kills::a_realm_is_killed_at_every_request,
    ),
    (
        "a_realm_is_reached_from_any_state",
        realm_kills::a_realm_is_reached_from_any_state,
    ),
    (
        "what_is_in_the_way_is_adopted",
        realms::what_is_in_the_way_is_adopted,
    ),
    (
        "a_wrong_administrator_password_is_named",
        realms::a_wrong_administrator_password_is_named,
    ),
    ("people_log_in_by_the_forge", realms::people_log_in_by_the_forge),
    (
        "a_person_logs_in_with_a_browser",
        browser::a_person_logs_in_with_a_browser,
    ),
    (
        "a_real_relying_party_accepts_the_client",
        browser::a_real_relying_party_accepts_the_client,
    ),
    (
        "an_unknown_person_has_no_rights",
        strangers::an_unknown_person_has_no_rights,
    ),
    (
        "a_name_alone_gives_nothing",
        strangers::a_name_alone_gives_nothing,
    ),
    (
        "a_grant_of_a_person_comes_with_its_application",
        strangers::a_grant_of_a_person_comes_with_its_application,
    ),
    (
        "nobody_makes_a_way_in_of_their_own",
        strangers::nobody_makes_a_way_in_of_their_own,
    ),
    (
        "ways_past_the_declarations_are_told",
        strangers::ways_past_the_declarations_are_told,
    ),
    (
        "edits_in_the_console_are_repaired",
        drift::edits_in_the_console_are_repaired,
    ),
    (
        "a_member_by_hand_is_warned_of",
        drift::a_member_by_hand_is_warned_of,
    ),
    (
        "an_edited_cluster_is_put_back",
        drift::an_edited_cluster_is_put_back,
    ),
    (
        "a_field_of_another_program_is_left_to_it",
        drift::a_field_of_another_program_is_left_to_it,
    ),
    (
        "what_flux_delivers_is_put_back",
        drift::what_flux_delivers_is_put_back,
    ),
    (
        "a_plan_says_exactly_what_an_apply_does",
        plans::a_plan_says_exactly_what_an_apply_does,
    ),
    (
        "what_needs_no_logins_goes_on_without_keycloak",
        plans::what_needs_no_logins_goes_on_without_keycloak,
    ),
    (
        "a_saved_plan_is_carried_out_or_refused",
        plans::a_saved_plan_is_carried_out_or_refused,
    ),
    (
        "an_application_is_brought_up_alone",
        plans::an_application_is_brought_up_alone,
    ),
    (
        "two_issuers_are_accepted_at_once",
        issuers::two_issuers_are_accepted_at_once,
    ),
    (
        "each_hop_of_access_is_named_when_it_breaks",
        hops::each_hop_of_access_is_named_when_it_breaks,
    ),
    (
        "what_git_alone_says_about_access",
        hops::what_git_alone_says_about_access,
    ),
    (
        "what_is_no_longer_declared_is_deleted_and_brought_back",
        pruning::what_is_no_longer_declared_is_deleted_and_brought_back,
    ),
    (
        "every_check_holds_in_a_lab",
        preflights::every_check_holds_in_a_lab,
    ),
    (
        "what_would_fail_later_is_told_before",
        preflights::what_would_fail_later_is_told_before,
    ),
    (
        "credentials_of_a_cloud_are_looked_at",
        preflights::credentials_of_a_cloud_are_looked_at,
    ),
    (
        "a_protected_branch_gets_changes_by_a_pull_request",
        proposals::a_protected_branch_gets_changes_by_a_pull_request,
    ),
    (
        "nobody_has_a_turn_beside_another",
        turns::nobody_has_a_turn_beside_another,
    ),
    (
        "a_bring_up_waits_for_another_one_elsewhere",
        turns::a_bring_up_waits_for_another_one_elsewhere,
    ),
    (
        "every_wrong_setting_is_told_at_once",
        faults::every_wrong_setting_is_told_at_once,
    ),
    (
        "a_changed_record_is_put_right",
        drift::a_changed_record_is_put_right,
    ),
    (
        "a_record_of_somebody_else_is_refused",
        drift::a_record_of_somebody_else_is_refused,
    ),
    ("commits_of_others_survive", drift::commits_of_others_survive),
    (
        "rotated_source_credentials_are_kept",
        drift::rotated_source_credentials_are_kept,
    ),
    (
        "a_malicious_commit_is_refused",
        lockdown::a_malicious_commit_is_refused,
    ),
    (
        "flux_reaches_no_further_than_the_application",
        lockdown::flux_reaches_no_further_than_the_application,
    ),
    (
        "a_new_application_comes_and_goes",
        declared::a_new_application_comes_and_goes,
    ),
    (
        "a_removed_grant_takes_the_access_away",
        declared::a_removed_grant_takes_the_access_away,
    ),
    (
        "a_commit_that_cannot_be_built_is_explained",
        declared::a_commit_that_cannot_be_built_is_explained,
    ),
    (
        "a_deployment_is_followed_down_to_what_holds_it_up",
        explanations::a_deployment_is_followed_down_to_what_holds_it_up,
    ),
    (
        "a_cluster_is_followed_down_to_the_machine",
        explanations::a_cluster_is_followed_down_to_the_machine,
    ),
    (
        "a_bring_up_names_cause_remedy_and_runbook",
        explanations::a_bring_up_names_cause_remedy_and_runbook,
    ),
    (
        "what_is_encrypted_in_git_is_opened_by_flux",
        secrets::what_is_encrypted_in_git_is_opened_by_flux,
    ),
    (
        "clusters_of_other_stacks_are_admitted",
        stacks::clusters_of_other_stacks_are_admitted,
    ),
    (
        "flux_reads_with_credentials_of_its_own",
        readers::flux_reads_with_credentials_of_its_own,
    ),
    (
        "flux_reads_with_a_deploy_key",
        readers::flux_reads_with_a_deploy_key,
    ),
    (
        "secrets_reach_the_provider_and_the_cluster",
        cluster_secrets::secrets_reach_the_provider_and_the_cluster,
    ),
    (
        "a_gateway_has_an_address_and_routes_know_where_they_lead",
        gateways::a_gateway_has_an_address_and_routes_know_where_they_lead,
    ),
    (
        "a_chart_of_the_repository_is_released",
        charts::a_chart_of_the_repository_is_released,
    ),
    (
        "people_get_in_by_their_kubeconfig",
        kubeconfigs::people_get_in_by_their_kubeconfig,
    ),
    (
        "a_kubeconfig_is_added_to_kubectls_file",
        kubeconfigs::a_kubeconfig_is_added_to_kubectls_file,
    ),
    (
        "a_kubeconfig_takes_no_rights_where_the_server_is_named",
        kubeconfigs::a_kubeconfig_takes_no_rights_where_the_server_is_named,
    ),
    (
        "a_short_kubeconfig_gets_in_without_keycloak",
        break_glass::a_short_kubeconfig_gets_in_without_keycloak,
    ),
    (
        "the_administrator_gets_in_without_keycloak",
        strangers::the_administrator_gets_in_without_keycloak,
    ),
];

/// What looks at everything that was written by then, and what stops parts of the lab.
const ENDING: [(&str, LabTest); 5] = [
    (
        "secrets_are_in_no_output",
        silence::secrets_are_in_no_output_log_argument_or_commit,
    ),
    (
        "files_with_secrets_are_private",
        silence::files_with_secrets_are_private,
    ),
    (
        "status_names_every_component",
        supervision::status_names_every_component,
    ),
    (
        "a_crashed_component_is_started_again",
        supervision::a_crashed_component_is_noticed_and_started_again,
    ),
    (
        "lab_goes_on_after_its_supervisor_was_killed",
        supervision::lab_goes_on_after_its_supervisor_was_killed,
    ),
];

/// All tests, in the order in which they run: what stops parts of the lab comes last.
fn trials(lab: Option<&'static Lab>) -> Vec<Trial> {
    let alone = [
        Trial::test("a_bring_up_that_is_killed_goes_on", move || {
            run(lab, supervision::a_bring_up_that_is_killed_goes_on)
        }),
        Trial::test("a_zone_of_a_cloud_is_kept", move || {
            run(lab, designate::a_zone_of_a_cloud_is_kept)
        }),
        Trial::test("a_bring_up_is_killed_at_every_change", move || {
            run(lab, kills::a_bring_up_is_killed_at_every_change)
        }),
        Trial::test("a_new_platform_comes_up", move || {
            run(lab, new_platform::a_new_platform_comes_up)
        }),
    ];
    let shared = [&LOOKING[..], &CHANGING, &ENDING]
        .concat()
        .into_iter()
        .map(|(name, test)| Trial::test(name, move || run(lab, test)));
    shared.chain(alone).collect()
}

fn run(lab: Option<&Lab>, test: LabTest) -> Result<(), libtest_mimic::Failed> {
    lab.map(test).ok_or_else(|| "there is no lab".into())
}
