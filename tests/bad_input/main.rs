//! Computers that lack something, and commands that are cut short: the real program says in one sentence what is the
//! matter and what to do, ends with the documented exit code, and leaves nothing running.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod builds;
mod computer;
mod full;
mod secrets;

use std::io::Read;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use computer::{Computer, Ended};

const STOPPED: &str = r#"{"format": 1, "name": "default", "identifier": "x", "lotse": "0.1.0", "supervisor": null,
    "ports": {}, "processes": {}}"#;

#[test]
fn test_every_missing_program_is_named_at_once() {
    let computer = Computer::new();
    for arguments in [&["lab", "up"][..], &["bootstrap", "lab"]] {
        let ended = computer.run(arguments);
        ended.assert_says(
            1,
            &[
                "lab `default` did not start, and what was started for it was stopped again\n",
                "programs that are not on PATH",
                "`gcc`: ",
                "apt-get install gcc",
                "`git`: ",
                "apt-get install git",
                "`go`: ",
                "https://go.dev/dl",
                "`java`: ",
                "apt-get install openjdk-17-jre-headless",
                "`mvn`: ",
                "apt-get install maven",
                "help: `lotse lab up default` goes on from here",
            ],
        );
        computer.assert_silent();
    }
}

#[test]
fn test_one_missing_program_is_one_sentence() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["go", "gcc", "mvn"]);
    let ended = computer.run(&["lab", "up"]);
    ended.assert_says(
        1,
        &[
            "the lab needs a program that is not on PATH, `git`: ",
            "`apt-get install git`\n",
        ],
    );
    computer.assert_silent();
}

#[test]
fn test_a_java_that_keycloak_does_not_run_on() {
    for (version, found) in [("11.0.2", "11.0.2"), ("1.8.0_402", "1.8.0_402"), ("19", "19")] {
        let computer = Computer::new()
            .with_java(version)
            .with_busy(&["go", "gcc", "git", "mvn"]);
        let ended = computer.run(&["lab", "up"]);
        let found = format!("`java` on PATH is {found};");
        ended.assert_says(
            1,
            &["Keycloak needs Java 17, 21 or newer", &found, "apt-get install"],
        );
        computer.assert_silent();
    }
}

#[test]
fn test_a_java_that_does_not_run() {
    let computer = Computer::new()
        .with(
            "java",
            "echo 'java: libjli.so: cannot open shared object file' >&2; exit 127",
        )
        .with_busy(&["go", "gcc", "git", "mvn"]);
    let ended = computer.run(&["lab", "up"]);
    ended.assert_says(
        1,
        &[
            "`java` on PATH does not tell its version",
            "libjli.so",
            "apt-get install",
        ],
    );
    computer.assert_silent();
}

#[test]
fn test_a_go_that_is_too_old() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with("go", "echo go1.19.8")
        .with_busy(&["gcc", "git", "mvn"]);
    let ended = computer.run(&["lab", "up"]);
    ended.assert_says(1, &["or newer and `go` on PATH is 1.19.8;", "https://go.dev/dl"]);
    computer.assert_silent();
}

#[test]
fn test_a_cache_that_cannot_be_written() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["go", "gcc", "git", "mvn"]);
    // Not even root can make a directory below a file.
    let mut command = computer.command(&["lab", "up"]);
    let ended = Ended::of(&command.env("XDG_CACHE_HOME", "/proc/version").output().unwrap());
    ended.assert_says(
        1,
        &[
            "/proc/version/lotse/components",
            "can't be written",
            "XDG_CACHE_HOME",
        ],
    );
    computer.assert_silent();
}

#[test]
fn test_a_download_that_was_tampered_with() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["go", "gcc", "git"]);
    let zip = computer.path("assets").join("keycloak-quarkus-dist-26.7.5.zip");
    fs_err::write(&zip, "PK").unwrap();
    let assets = computer.path("assets");
    let ended = computer.run(&["lab", "up", "--assets", assets.as_str()]);
    ended.assert_says(
        1,
        &[
            "a download for keycloak is not what is pinned",
            zip.as_str(),
            "has SHA-256",
            "try again",
        ],
    );
    computer.assert_silent();
}

/// Before anything is built or started.
#[test]
fn test_a_name_server_that_is_asked_for_and_not_installed() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["go", "gcc", "git", "mvn"]);
    // What is no plain file is no program.
    let without_knot = "for program in /usr/sbin/knotd /usr/local/sbin/knotd; do \
                        [ ! -e $program ] || mount --bind /dev/null $program; done";
    for arguments in [
        &["lab", "up", "--name-server", "knot"][..],
        &["bootstrap", "lab", "--name-server", "knot"],
    ] {
        let ended = computer.run_where(without_knot, arguments);
        ended.assert_says(
            1,
            &[
                "there is no `knotd` on PATH, in /usr/sbin or in /usr/local/sbin\n",
                "help: `apt-get install knot`",
                "--name-server built-in",
            ],
        );
        computer.assert_silent();
    }
}

#[test]
fn test_a_setting_that_is_missing_is_told_before_the_lab_starts() {
    let computer = Computer::new();
    let platform = computer.declarations("LOTSE_LAB_GIT_URL", "PLATFORM_GIT_URL");
    let ended = computer.run(&["bootstrap", "lab", "-C", platform.as_str()]);
    ended.assert_says(
        2,
        &[
            "an environment variable is not set, or of no use: PLATFORM_GIT_URL\n",
            "help: environments/lab/environment.yaml names them",
            "export NAME=",
        ],
    );
    assert!(!computer.lab().exists());
}

#[test]
fn test_a_state_directory_that_cannot_be_made() {
    let computer = Computer::new();
    let mut command = computer.command(&["lab", "up"]);
    let ended = Ended::of(&command.env("XDG_STATE_HOME", "/proc/version").output().unwrap());
    ended.assert_says(
        1,
        &[
            "the state of lab `default` can't be read or kept",
            "/proc/version",
            "help: ",
            "XDG_STATE_HOME",
        ],
    );
    computer.assert_silent();
}

#[test]
fn test_a_state_path_that_is_too_long_for_a_socket() {
    let computer = Computer::new();
    let long = computer.path(&"x".repeat(100));
    for arguments in [
        &["lab", "up"][..],
        &["lab", "status"],
        &["lab", "down"],
        &["bootstrap", "lab"],
    ] {
        let mut command = computer.command(arguments);
        let ended = Ended::of(&command.env("XDG_STATE_HOME", &long).output().unwrap());
        ended.assert_says(2, &["control.sock`, has ", "shorter XDG_STATE_HOME"]);
    }
    assert!(!long.join("lotse/labs").exists());
}

#[test]
fn test_a_user_without_a_home() {
    let computer = Computer::new();
    let mut command = computer.command(&["lab", "status"]);
    let ended = Ended::of(
        &command
            .env_remove("HOME")
            .env_remove("XDG_STATE_HOME")
            .output()
            .unwrap(),
    );
    ended.assert_says(
        2,
        &[
            "there is no home directory\n",
            "help: set HOME or XDG_STATE_HOME\n",
        ],
    );
}

#[test]
fn test_a_directory_that_is_not_there() {
    let computer = Computer::new();
    let nowhere = computer.path("nowhere");
    let ended = computer.run(&["bootstrap", "lab", "-C", nowhere.as_str()]);
    ended.assert_says(2, &["nowhere is not a directory\n", "help: ", "environments/"]);
}

#[test]
fn test_a_directory_without_environments() {
    let computer = Computer::new();
    let nowhere = computer.path("elsewhere");
    fs_err::create_dir_all(&nowhere).unwrap();
    for command in ["check", "render"] {
        let ended = computer.run(&[command, "-C", nowhere.as_str()]);
        ended.assert_says(
            2,
            &["there is no folder `environments` in ", "help: ", "`-C DIR`"],
        );
    }
}

#[test]
fn test_a_code_that_is_not_there() {
    let ended = Computer::new().run(&["explain", "E0219"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.err.contains("did you mean E0319"), "{ended:#?}");
}

#[test]
fn test_an_environment_that_is_not_there() {
    let computer = Computer::new();
    let ended = computer.run(&["bootstrap", "nowhere"]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(
        (lines[0], &lines[2..]),
        (
            "error[E0201]: environment `nowhere` has no folder under environments/",
            &["", "1 error. `lotse explain E0201` tells more."][..]
        )
    );
    assert!(lines[1].starts_with("help: there are: lab"), "{ended:#?}");
    computer.assert_silent();
}

#[test]
fn test_a_lab_that_is_not_there() {
    let computer = Computer::new();
    for command in ["down", "status", "logs", "kubeconfig", "credentials"] {
        let ended = computer.run(&["lab", command]);
        ended.assert_says(1, &["there is no lab `default`; `lotse lab up` makes one\n"]);
    }
}

#[test]
fn test_a_lab_of_another_version() {
    let computer = Computer::new().with_stopped_lab(r#"{"format": 7}"#);
    let ended = computer.run(&["lab", "up"]);
    ended.assert_says(1, &["it has format 7", "`lotse lab down` removes the lab"]);
    let ended = computer.run(&["lab", "down"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!computer.lab().exists());
}

#[test]
fn test_who_reads_no_further_is_no_failure() {
    let computer = Computer::new().with_stopped_lab(STOPPED);
    for arguments in [
        &["lab", "status"][..],
        &["lab", "status", "-o", "json"],
        &["check"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = computer.command(arguments).stdout(writer).output().unwrap();
        let ended = Ended::of(&output);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        assert!(!ended.err.contains("pipe"), "{ended:#?}");
    }
}

#[test]
fn test_an_output_that_is_full_is_a_failure() {
    let computer = Computer::new().with_stopped_lab(STOPPED);
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = computer
        .command(&["lab", "status"])
        .stdout(full.into_parts().0)
        .output()
        .unwrap();
    Ended::of(&output).assert_says(1, &["writing what was asked for", "No space left on device"]);
}

/// A lab that is starting is stopped again, with everything that builds it.
#[test]
fn test_a_signal_stops_what_was_started() {
    for (signal, arguments) in [
        (Signal::INT, &["lab", "up"][..]),
        (Signal::TERM, &["lab", "up"]),
        (Signal::INT, &["bootstrap", "lab"]),
        (Signal::TERM, &["bootstrap", "lab"]),
    ] {
        let computer = Computer::new()
            .with_java("17.0.15")
            .with_busy(&["go", "gcc", "git", "mvn"]);
        let mut child = computer
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        computer.wait_for_supervisor(&mut child);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{err}");
        assert!(
            err.ends_with("interrupted; what was started for lab `default` was stopped again\n"),
            "{err}"
        );
        computer.assert_silent();
    }
}

/// Whoever kills the command stops the lab that it was starting, too.
#[test]
fn test_a_killed_command_leaves_nothing_half_started() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["go", "gcc", "git", "mvn"]);
    let mut child = computer.command(&["lab", "up"]).spawn().unwrap();
    computer.wait_for_supervisor(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    computer.assert_silent();
}
