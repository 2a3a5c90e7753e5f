//! The lab's supervision, with small processes in place of the components: what is started is watched, told of and
//! ended, also when the supervisor is killed.
//!
//! This binary plays three parts: the tests; the supervisor that they start again from it (`lab supervise`); and a
//! component that answers HTTP (`component`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test binary without the test attribute, by which clippy knows tests"
)]

mod failing;
mod house;
mod killing;
mod parts;
mod running;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("lab") => parts::supervise(&arguments),
        Some("component") => parts::answer_http(&arguments[2]),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

/// Makes a trial of each test, in a runtime of its own.
macro_rules! trials {
    ($($room:ident :: $test:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::test(concat!(stringify!($room), "::", stringify!($test)), || {
                house::runtime().block_on($room::$test());
                Ok(())
            })),*]
        }
    };
}

trials! {
    running::test_up_status_down,
    running::test_a_second_up_returns_at_once,
    running::test_two_at_once_bring_up_one_lab,
    running::test_two_labs_side_by_side,
    running::test_a_crash_is_told_and_the_process_starts_again,
    running::test_up_waits_for_a_component_that_starts_again,
    running::test_a_process_that_keeps_crashing_shows_its_log,
    running::test_children_of_a_component_are_ended,
    running::test_processes_end_in_reverse_order,
    running::test_a_lab_in_use_tells_that_it_is_stopped,
    running::test_logs_are_shown,
    failing::test_a_process_that_ends_at_once_fails_the_lab,
    failing::test_a_process_that_never_gets_ready_fails_the_lab,
    failing::test_a_panic_while_launching_stops_what_was_started,
    failing::test_a_state_directory_that_cannot_be_made_is_told,
    failing::test_a_port_that_was_taken_is_told,
    failing::test_down_of_an_unknown_lab_names_the_known,
    failing::test_a_lab_that_fails_at_once_says_why,
    failing::test_down_ends_what_runs_for_a_lab_whose_record_is_damaged,
    failing::test_a_supervisor_that_dies_at_its_start_is_told,
    killing::test_a_supervisor_killed_while_it_starts_leaves_nothing,
    killing::test_up_while_the_lab_is_being_stopped,
    killing::test_down_after_the_supervisor_was_killed,
    killing::test_up_after_the_supervisor_was_killed,
    killing::test_up_while_the_orphans_hold_their_ports,
    killing::test_a_reused_process_number_is_left_alone,
    killing::test_down_of_a_hanging_supervisor,
    killing::test_a_process_that_ignores_the_request_is_killed,
    killing::test_sigterm_stops_everything_and_keeps_the_state,
    killing::test_an_interrupt_stops_what_was_started,
    killing::test_an_interrupt_leaves_a_lab_that_others_start,
    killing::test_a_lab_that_nobody_follows_any_more_is_given_up,
}
