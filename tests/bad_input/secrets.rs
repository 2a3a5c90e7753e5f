//! Encrypted files that are damaged, and commands on them that are cut short. The program in place of sops does what a
//! test needs of it.

use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

use crate::computer::{Computer, Ended};

const PATIENCE: Duration = Duration::from_secs(30);
const FOLDER: &str = "environments/lab/apps/website/manifests";
const FILE: &str = "environments/lab/apps/website/manifests/token.yaml";
const RECIPIENT: &str = "age10lj2dsdxv5tpnu274es305a8dapkhmnu9qnhax05s7jqmysrlauscecpzw";
/// A file as sops writes it.
const WHOLE: &str = "apiVersion: v1
kind: Secret
metadata:
    name: token
stringData:
    password: ENC[AES256_GCM,data:ng==,iv:QK4jwqVe,tag:gCtSdX==,type:str]
sops:
    age:
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3Yx
            -----END AGE ENCRYPTED FILE-----
          recipient: RECIPIENT
    encrypted_regex: ^(data|stringData)$
    lastmodified: \"2026-11-27T12:05:02Z\"
    mac: ENC[AES256_GCM,data:07bw70mx,iv:OvTLsZG5,tag:RvTQYxSI==,type:str]
    version: 3.13.3
";

/// A platform with one encrypted file.
struct Platform {
    computer: Computer,
    root: Utf8PathBuf,
}

impl Platform {
    /// `sops` is what the program does (shell text); `$3` is the verb, `$TMPDIR` where it may put plain text.
    fn with_sops(sops: &str) -> Self {
        let computer = Computer::new().with("sops", sops);
        let secrets = format!("secrets: {{recipient: {RECIPIENT}}}\ngateway:");
        let root = computer.declarations("gateway:", &secrets);
        let platform = Self { computer, root };
        platform.write(&whole());
        platform
    }

    fn write(&self, text: &str) {
        fs_err::write(self.root.join(FILE), text).unwrap();
    }

    fn text(&self) -> String {
        fs_err::read_to_string(self.root.join(FILE)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.computer.command(arguments);
        command.current_dir(&self.root);
        command
    }

    fn doctor(&self) -> (String, Ended) {
        let output = self.command(&["secrets", "doctor", "lab"]).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (out, Ended::of(&output))
    }

    /// Names of copies in the folder of the file.
    fn copies(&self) -> Vec<String> {
        let entries = self.root.join(FOLDER).read_dir_utf8().unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_owned());
        names.filter(|name| name.starts_with(".lotse-")).collect()
    }

    /// A file that a program in place of another one writes when it is at work.
    fn sign(&self) -> Utf8PathBuf {
        self.computer.path("at-work")
    }

    fn wait_for_sign(&self, child: &mut Child) -> String {
        let begun = Instant::now();
        loop {
            match fs_err::read_to_string(self.sign()) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => {}
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            assert!(begun.elapsed() < PATIENCE, "nothing is at work");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn whole() -> String {
    WHOLE.replace("RECIPIENT", RECIPIENT)
}

#[test]
fn test_damaged_files_are_told_with_what_is_wrong() {
    let platform = Platform::with_sops("exit 1");
    let (out, ended) = platform.doctor();
    assert_eq!(ended.code, Some(0), "{out}{ended:#?}");
    for (from, to, told) in [
        ("    mac: ENC", "    max: ENC", "`sops.mac` is missing"),
        ("    age:", "    ages:", "`sops.age` is missing or names nobody"),
        ("  encrypted_regex", " encrypted_regex", "it can't be read: "),
        ("sops:", "sopz:", "`sops` is missing"),
    ] {
        platform.write(&whole().replace(from, to));
        let (out, ended) = platform.doctor();
        assert_eq!(ended.code, Some(7), "{from}: {out}{ended:#?}");
        assert!(out.contains(&format!("{FILE}\n  damaged  {told}")), "{out}");
        assert!(
            out.contains("1 file damaged, so that nobody can open it: "),
            "{out}"
        );
        assert!(out.contains(&format!("`git log -- {FILE}`")), "{out}");
        for arguments in [
            &["secrets", "rekey", "lab"][..],
            &["secrets", "set", "lab", FILE, "key"],
        ] {
            let ended = Ended::of(&platform.command(arguments).output().unwrap());
            let is_damaged = format!("{FILE} is damaged: ");
            assert_eq!(ended.code, Some(1), "{ended:#?}");
            let error = ended.err.split_once("error: ").map_or("", |(_, error)| error);
            assert!(
                error.starts_with(&is_damaged) && error.contains(told),
                "{ended:#?}"
            );
        }
    }
}

/// Decrypts into a folder of its own as sops does, and has an editor at work there.
const EDITING: &str = "case $3 in
decrypt) echo plain ;;
edit) folder=$(mktemp -d); echo 'password: PLAIN' > $folder/token.yaml; EDITOR; rm -r $folder ;;
esac";

/// A terminal, of which nobody reads what is written.
fn terminal() -> (rustix::fd::OwnedFd, std::fs::File) {
    use rustix::pty;
    let ours = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&ours).unwrap();
    pty::unlockpt(&ours).unwrap();
    let name = pty::ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    // Only a terminal of the tests' own session would have its signals come here.
    let no_controlling = rustix::fs::OFlags::NOCTTY.bits();
    let theirs = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(no_controlling).unwrap())
        .open(name)
        .unwrap();
    (ours, theirs)
}

/// Whether the editor goes when it is asked to or not, and whichever signal comes: it is ended, and what it saw is gone.
#[test]
fn test_a_signal_ends_the_editor_and_removes_what_it_saw() {
    for (signal, stubborn) in [
        (Signal::TERM, ""),
        (Signal::INT, ""),
        (Signal::TERM, "trap '' TERM; "),
    ] {
        let editor = format!("sh -c \"{stubborn}echo $TMPDIR > SIGN; while :; do sleep 0.1; done\"");
        let platform = Platform::with_sops("exit 1");
        let script = EDITING
            .replace("EDITOR", &editor)
            .replace("SIGN", platform.sign().as_str());
        let computer = &platform.computer;
        fs_err::write(
            computer.path("bin/sops"),
            format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"),
        )
        .unwrap();
        let (_ours, theirs) = terminal();
        let mut child = platform
            .command(&["secrets", "edit", "lab", FILE])
            .stdin(theirs)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let plain = Utf8PathBuf::from(platform.wait_for_sign(&mut child));
        assert!(plain.is_dir() && plain.read_dir_utf8().unwrap().count() == 1);
        assert_eq!(platform.copies().len(), 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = Ended::of(&child.wait_with_output().unwrap());
        let told = format!("interrupted: the editor was ended, and {FILE} is as it was");
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        assert!(ended.err.contains(&told), "{ended:#?}");
        assert!(!plain.exists(), "what the editor saw is left in {plain}");
        assert_eq!(platform.copies(), [""; 0]);
        assert_eq!(platform.text(), whole());
        computer.assert_silent();
    }
}

/// Nothing can be done by who is killed, so the next run does it.
#[test]
fn test_a_copy_that_a_killed_run_left_is_removed_by_the_next() {
    let platform = Platform::with_sops("exit 1");
    let hanging = format!("echo there > {}; exec sleep 1000", platform.sign());
    let program = platform.computer.path("bin/sops");
    let script =
        |text: &str| fs_err::write(&program, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")).unwrap();
    script(&hanging);
    let set = || {
        let mut command = platform.command(&["secrets", "set", "lab", FILE, "password"]);
        let value = fs_err::File::open(platform.root.join("environments/lab/people.yaml")).unwrap();
        command.stdin(value.into_parts().0).stderr(Stdio::piped());
        command
    };
    let mut killed = set().spawn().unwrap();
    platform.wait_for_sign(&mut killed);
    let left = platform.copies();
    assert_eq!(left.len(), 1);
    let age = |name: &str| {
        let path = Utf8Path::new(FOLDER).join(name);
        let file = fs_err::OpenOptions::new()
            .write(true)
            .open(platform.root.join(path))
            .unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(600);
        file.file().set_modified(long_ago).unwrap();
    };
    age(&left[0]);
    // One that is at work keeps its copy, however long it takes.
    script("exit 1");
    let ended = Ended::of(&set().output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(platform.copies(), left);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let ended = Ended::of(&set().output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(platform.copies(), [""; 0]);
}
