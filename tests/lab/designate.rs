//! The zone of a cloud: a lab with Designate, brought up with it, changed, killed at each request that changes something.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Lab, World, processes_of, run};
use crate::systems::Checkout;

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const DNS: [&str; 2] = ["--target", "dns"];
/// What `-vv` says before a request that changes something.
const CHANGE: &str = "sends a change request=";
/// More runs than that mean that it does not get on.
const RUNS: usize = 40;

/// The lab's declarations with the zone at the lab's cloud.
fn at_the_cloud(lab: &Lab) -> Checkout {
    let checkout = Checkout::copy(lab);
    let text = checkout.read(ENVIRONMENT);
    let (before, rest) = text.split_once("  rfc2136:\n").unwrap();
    let (_, after) = rest.split_once("gateway:").unwrap();
    let cloud = "  nameServers: [{env: LOTSE_LAB_DESIGNATE_DNS_SERVER}]\n  designate: {cloud: lab}\n";
    checkout.write(ENVIRONMENT, &format!("{before}{cloud}gateway:{after}"));
    checkout
}

fn lotse(world: &World, checkout: &Checkout, arguments: &[&str]) -> crate::kit::Ran {
    run(checkout.enter(&mut world.command(arguments)))
}

/// `dig` at the name server that Designate fills.
fn dig(endpoints: &Value, arguments: &[&str]) -> String {
    let (host, port) = endpoints["designate_dns"]
        .as_str()
        .unwrap()
        .rsplit_once(':')
        .unwrap();
    let server = format!("@{host}");
    let mut command = std::process::Command::new("dig");
    command.args([server.as_str(), "-p", port, "+short", "+norecurse"]);
    run(command.args(arguments)).success().trim().to_owned()
}

pub(crate) fn a_zone_of_a_cloud_is_kept(lab: &Lab) {
    let world = World::new();
    let checkout = at_the_cloud(lab);
    let ran = lotse(&world, &checkout, &["bootstrap", "lab"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let told = "a lab with designate gives it: `lotse lab down`, then `lotse bootstrap lab --with designate`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    world.lotse(&["lab", "down"]).success();

    lotse(&world, &checkout, &["bootstrap", "lab", "--with", "designate"]).success();
    let endpoints = world.endpoints();
    let gateway = dig(&endpoints, &["any.prod.lab.test", "A"]);
    assert!(gateway.starts_with("127."), "{gateway}");
    assert_eq!(
        dig(&endpoints, &["prod.lab.test", "CAA"]),
        "0 issue \"ca.lab.test\""
    );
    let clouds = endpoints["clouds_file"].as_str().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(clouds).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = lotse(&world, &checkout, &["bootstrap", "lab"]).success();
    assert!(again.contains("nothing to do"), "{again}");

    checkout.replace(ENVIRONMENT, "  zone: lab.test\n", "  zone: lab.test\n  ttl: 60\n");
    checkout.replace(ENVIRONMENT, "  apiServer: api.prod.lab.test\n", "");
    checkout.replace(
        "apps/website/app.yaml",
        "{name: www, service: website, port: 80}",
        "{name: www, addresses: [192.0.2.7]}",
    );
    let killed = killed_at_every_change(&world, &checkout);
    for wanted in ["POST", "PUT", "DELETE"] {
        assert!(
            killed.iter().any(|request| request.starts_with(wanted)),
            "{killed:?}"
        );
    }
    assert_eq!(dig(&endpoints, &["www.prod.lab.test", "A"]), "192.0.2.7");
    assert_eq!(
        dig(&endpoints, &["api.prod.lab.test", "A"]),
        gateway,
        "it is pruned"
    );
    let plan = lotse(
        &world,
        &checkout,
        &[&["plan", "lab", "--detailed-exitcode"], &DNS[..]].concat(),
    );
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    is_unreachable(&world, &checkout);
    world.lotse(&["lab", "down"]).success();
    assert_eq!(processes_of(world.path()), Vec::<String>::new());
}

/// Runs again and again, and kills each run when it sends the first change that no run was killed at: at once, and a moment
/// later. Gives the requests.
fn killed_at_every_change(world: &World, checkout: &Checkout) -> Vec<String> {
    let mut killed: Vec<String> = Vec::new();
    for _ in 0..RUNS {
        let arguments = [&["-vv", "apply", "lab", "--yes", "--prune"], &DNS[..]].concat();
        let mut command = world.command(&arguments);
        let command = checkout
            .enter(&mut command)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = Vec::new();
        let mut at = None;
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            let request = line.split_once(CHANGE).map(|(_, request)| request.to_owned());
            told.push(line);
            let Some(request) = request else { continue };
            let times = killed.iter().filter(|other| **other == request).count();
            if times < 2 {
                std::thread::sleep(Duration::from_millis(200) * u32::try_from(times).unwrap());
                child.kill().unwrap();
                at = Some(request);
                break;
            }
        }
        let status = child.wait().unwrap();
        if let Some(request) = at {
            killed.push(request);
            continue;
        }
        assert!(status.success(), "{}", told.join("\n"));
        return killed;
    }
    panic!("it does not get on: {killed:#?}");
}

/// Keystone that is away is named, and nothing is done.
fn is_unreachable(world: &World, checkout: &Checkout) {
    let status = world.lotse(&["lab", "status", "-o", "json"]).success();
    let status: Value = serde_json::from_str(&status).unwrap();
    let mut processes = status["processes"].as_array().unwrap().iter();
    let keystone = processes.find(|process| process["name"] == "keystone").unwrap();
    let id = i32::try_from(keystone["pid"].as_i64().unwrap()).unwrap();
    let process = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let ran = lotse(world, checkout, &[&["plan", "lab"], &DNS[..]].concat());
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    assert!(ran.stderr.contains("no answer from Keystone"), "{}", ran.stderr);
}
