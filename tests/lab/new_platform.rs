//! A platform of one's own, from its first file to a cluster that runs it, with nothing written by hand.

use std::process::{Command, Stdio};

use crate::kit::{Kubectl, LOTSE, Lab, Ran, World, condition, processes_of, run};

/// `lotse ARGUMENTS...` in the new repository.
fn lotse(world: &World, arguments: &[&str]) -> Ran {
    let mut command = Command::new(LOTSE);
    command
        .args(arguments)
        .current_dir(world.path().join("ship"))
        .env("XDG_STATE_HOME", world.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    run(&mut command)
}

/// `lotse init`, `lotse app new`, `lotse plan` before there is a cluster, and its plan carried out: the applications run,
/// and a bring-up has nothing to do then.
pub(crate) fn a_new_platform_comes_up(_lab: &Lab) {
    let world = World::new();
    let directory = world.path().join("ship");
    world.lotse(&["init", directory.to_str().unwrap()]).success();
    let notes = [
        "app",
        "new",
        "notes",
        "-e",
        "lab",
        "--owner",
        "website",
        "--description",
        "Notes",
        "--host",
        "pad",
        "--login",
        "--image",
        "docker.io/hedgedoc/hedgedoc:1.10.3",
    ];
    lotse(&world, &notes).success();
    lotse(&world, &["check"]).success();
    let down = lotse(&world, &["plan", "lab"]);
    assert_eq!(down.code, Some(1), "{}", down.stderr);
    assert!(down.stderr.contains("`lotse lab up`"), "{}", down.stderr);
    lotse(&world, &["lab", "up", "ship"]).success();
    let plan = lotse(&world, &["-q", "plan", "lab", "--out", "first.plan"]).success();
    for planned in [
        "  + Cluster/prod/prod\n",
        "  + realm\n",
        " objects that Flux delivers: known after Cluster/prod/prod is Available\n",
        "  ? *.prod.lab.test at the gateway's address: known after Cluster/prod/prod is Available\n",
    ] {
        assert!(plan.contains(planned), "no {planned} in\n{plan}");
    }
    let ran = lotse(&world, &["apply", "first.plan"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let kubeconfig = lotse(&world, &["lab", "kubeconfig", "ship"]).success();
    let prod = Kubectl::with(kubeconfig.trim());
    for app in ["issuer", "welcome", "notes"] {
        let delivered = prod.get(&[
            "kustomizations.kustomize.toolkit.fluxcd.io",
            app,
            "-n",
            "flux-system",
        ]);
        assert_eq!(condition(&delivered, "Ready").0, "True", "{app}: {delivered}");
    }
    for app in ["welcome", "notes"] {
        let deployment = prod.get(&["deployment", app, "-n", app]);
        assert_eq!(
            condition(&deployment, "Available").0,
            "True",
            "{app}: {deployment}"
        );
    }
    let secret = prod.get(&["secret", "notes-oidc", "-n", "notes"]);
    assert!(secret["data"]["clientSecret"].is_string());
    let again = lotse(&world, &["bootstrap", "lab"]);
    assert!(
        again.stdout.contains("nothing to do"),
        "{}\n{}",
        again.stdout,
        again.stderr
    );
    lotse(&world, &["lab", "down", "ship"]).success();
    assert_eq!(processes_of(world.path()), Vec::<String>::new());
}
