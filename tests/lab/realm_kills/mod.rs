//! Realms whose making is killed, and realms that hands were at: from any state the program reaches what is declared, and
//! leaves alone what is not its own.
//!
//! Killed runs reach Keycloak through a way that counts requests and ends at one of them: before Keycloak gets it, while
//! Keycloak is at it, or when Keycloak has carried it out and its answer did not come back. For every day it is enough to do
//! the last at each request that changes something (the others at every twelfth of them), and at every eighth that changes
//! nothing in turn the first and the last; `LOTSE_TEST_EVERY_KILL=1` kills at every request at every moment, which takes
//! many minutes more.
//!
//! What hands did is left to chance: a failure says with which `LOTSE_TEST_SEED` it comes again. `LOTSE_TEST_ROUNDS` says
//! how many declarations follow one another.

mod dice;
mod expected;
mod kills;
mod seen;
mod site;
mod walk;
mod way;

pub(crate) use kills::a_realm_is_killed_at_every_request;
pub(crate) use walk::a_realm_is_reached_from_any_state;
