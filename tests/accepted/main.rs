//! Every object that is rendered, and every manifest that the applications bring themselves, put before a real
//! kube-apiserver that knows the kinds of all components: what Flux would be refused is found here.
//!
//! For each environment of the repository a control plane is started by the lab's own parts, without nodes and without
//! controllers other than Kubernetes' own. A missing component fails the run; nothing is skipped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test binary without the standard harness is not recognised as tests"
)]

mod delivered;
mod house;
mod kinds;
mod pods;
mod policies;
mod rendered;
mod server;

use camino::Utf8Path;
use libtest_mimic::{Arguments, Failed, Trial};
use lotse::names::EnvironmentName;

use house::House;
use server::Server;

/// What looks at the server of one environment; answers what is wrong.
type Look = fn(&House, &Server) -> Vec<String>;

const LOOKS: [(&str, Look); 5] = [
    ("the_tree_is_accepted", rendered::the_tree_is_accepted),
    (
        "the_management_cluster_accepts_its_objects",
        rendered::the_management_cluster_accepts_its_objects,
    ),
    (
        "flux_may_apply_every_manifest",
        delivered::flux_may_apply_every_manifest,
    ),
    ("every_pod_is_admitted", pods::every_pod_is_admitted),
    (
        "policies_refuse_what_they_must_and_no_more",
        policies::policies_refuse_what_they_must_and_no_more,
    ),
];

/// The repository under test.
fn root() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn main() {
    let mut arguments = Arguments::from_args();
    // The servers are shared by the tests of an environment, and each takes half a gigabyte.
    arguments.test_threads = Some(1);
    let environments = lotse::config::environments(root()).unwrap();
    assert!(!environments.is_empty(), "there are environments");
    if arguments.list {
        libtest_mimic::run(&arguments, trials(&environments, None)).exit();
    }
    let house: &'static House = Box::leak(Box::new(House::open()));
    let conclusion = libtest_mimic::run(&arguments, trials(&environments, Some(house)));
    house.close();
    conclusion.exit();
}

fn trials(environments: &[EnvironmentName], house: Option<&'static House>) -> Vec<Trial> {
    let of_environment = |environment: &EnvironmentName| {
        let environment = environment.clone();
        LOOKS.map(move |(name, look)| {
            let environment = environment.clone();
            Trial::test(format!("{environment}::{name}"), move || {
                run(house, &environment, look)
            })
        })
    };
    environments.iter().flat_map(of_environment).collect()
}

fn run(house: Option<&House>, environment: &EnvironmentName, look: Look) -> Result<(), Failed> {
    let house = house.ok_or("there is no house")?;
    let faults = look(house, &house.server(environment));
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("{} refused:\n{}", faults.len(), faults.join("\n")).into())
}
