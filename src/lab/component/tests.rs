//! Real builds of the smallest component, and builds that fail, with programs made for the purpose.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Instant;

use crate::report::{Event, Silent};

use super::*;

const CACHE_VARIABLE: &str = "LOTSE_TEST_CACHE";

struct Bench {
    directory: tempfile::TempDir,
}

/// Remembers what it was told.
#[derive(Default)]
struct Memory(Mutex<Vec<Event>>);

impl Reporter for Memory {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Memory {
    fn waits(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let waits = events.iter().filter_map(|event| match event {
            Event::Waiting { state, .. } => Some(state.to_string()),
            _ => None,
        });
        waits.collect()
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::try_from(self.directory.path().join(name)).unwrap()
    }

    fn sources(&self) -> Sources {
        Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: self.path("cache"),
        }
    }

    /// Components built with the programs of this machine.
    fn components(&self) -> Components {
        Components::new(self.sources())
    }

    /// Components built with nothing on the search path but scripts of these names and texts.
    fn components_with(&self, scripts: &[(&str, &str)]) -> Components {
        let programs = self.path("programs");
        fs_err::create_dir_all(&programs).unwrap();
        for (name, text) in scripts {
            let script = programs.join(name);
            fs_err::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Components::with_search_path(self.sources(), Some(OsString::from(programs)))
    }

    async fn fail(&self, component: Component, scripts: &[(&str, &str)]) -> ComponentError {
        let error = self
            .components_with(scripts)
            .acquire(component, &Silent)
            .await
            .unwrap_err();
        assert_eq!(
            self.scaffolds(),
            Vec::<String>::new(),
            "a failed build leaves nothing"
        );
        error
    }

    /// Directories in which something is being made.
    fn scaffolds(&self) -> Vec<String> {
        let Ok(entries) = self.path("cache").read_dir_utf8() else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().to_owned());
        names.filter(|name| name.starts_with(".making-")).collect()
    }

    /// Starts another process that acquires age-keygen into the same cache.
    fn other_process(&self) -> tokio::process::Child {
        tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "lab::component::tests::test_acquire_as_the_other_process",
            ])
            .env(CACHE_VARIABLE, self.path("cache"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
#[ignore = "run by the tests below, in a process of its own"]
async fn test_acquire_as_the_other_process() {
    #[expect(
        clippy::disallowed_methods,
        reason = "says which cache the other process was started for"
    )]
    let cache = std::env::var(CACHE_VARIABLE).unwrap();
    let sources = Sources {
        assets: None,
        kubebuilder_assets: None,
        cache: cache.into(),
    };
    Components::new(sources)
        .acquire(Component::AgeKeygen, &Silent)
        .await
        .unwrap();
}

#[tokio::test]
async fn test_build_is_made_once_and_then_found() {
    let bench = Bench::new();
    let components = bench.components();
    assert_eq!(
        components.estimate(&[Component::AgeKeygen]),
        Component::AgeKeygen.cold_build()
    );
    let built = components.acquire(Component::AgeKeygen, &Silent).await.unwrap();
    let answer = std::process::Command::new(built.program()).output().unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("AGE-SECRET-KEY-"));
    assert!(components.verify(Component::AgeKeygen).await.unwrap());
    assert_eq!(components.estimate(&[Component::AgeKeygen]), Duration::ZERO);
    let nothing_to_build_with = bench.components_with(&[]);
    let found = nothing_to_build_with
        .acquire(Component::AgeKeygen, &Silent)
        .await
        .unwrap();
    assert_eq!(found, built);
}

#[tokio::test]
async fn test_two_processes_build_once() {
    let bench = Bench::new();
    let mut other = bench.other_process();
    until("the other process begins", || !bench.scaffolds().is_empty()).await;
    let memory = Memory::default();
    bench
        .components()
        .acquire(Component::AgeKeygen, &memory)
        .await
        .unwrap();
    let waits = memory.waits();
    let pid = other.id().unwrap_or_default();
    assert_eq!(waits, [format!("process {pid}, which makes it already")]);
    assert!(other.wait().await.unwrap().success());
}

#[tokio::test]
async fn test_killed_process_leaves_no_lock_and_its_leftovers_go() {
    let bench = Bench::new();
    let mut other = bench.other_process();
    until("the other process begins", || !bench.scaffolds().is_empty()).await;
    other.kill().await.unwrap();
    let leftover = bench.path("cache").join(&bench.scaffolds()[0]);
    assert!(
        !leftover.join("entry/component.json").exists(),
        "killed in the middle"
    );
    bench
        .components()
        .acquire(Component::AgeKeygen, &Silent)
        .await
        .unwrap();
    assert_eq!(bench.scaffolds(), Vec::<String>::new());
    assert_eq!(tool::leaders_below(&bench.path("cache")), []);
}

#[tokio::test]
async fn test_dropped_build_ends_its_programs() {
    let bench = Bench::new();
    let sleeper =
        "PATH=/usr/bin:/bin; case \"$*\" in 'env GOVERSION') echo go1.99.0;; *) sleep 300 & wait;; esac";
    let components = bench.components_with(&[("go", sleeper)]);
    let cache = bench.path("cache");
    {
        let mut build = Box::pin(components.acquire(Component::AgeKeygen, &Silent));
        let begun = until("go runs", || tool::leaders_below(&cache).len() == 1);
        tokio::select! {
            _ = &mut build => panic!("the build can't end"),
            () = begun => {}
        }
    }
    until("go is gone", || tool::leaders_below(&cache).is_empty()).await;
    assert_eq!(bench.scaffolds(), Vec::<String>::new());
}

#[tokio::test]
async fn test_half_an_entry_is_made_anew() {
    let bench = Bench::new();
    let components = bench.components();
    let built = components.acquire(Component::AgeKeygen, &Silent).await.unwrap();
    fs_err::write(built.program(), "half").unwrap();
    let again = components.acquire(Component::AgeKeygen, &Silent).await.unwrap();
    assert!(again.program().metadata().unwrap().len() > 1_000_000);
}

#[tokio::test]
async fn test_assets_come_before_the_cache() {
    let bench = Bench::new();
    let assets = bench.path("assets");
    for file in ["etcd", "gitea", "kwok/bin/kwok", "kwok/share/stages.yaml"] {
        let file = assets.join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, "").unwrap();
    }
    let sources = Sources {
        assets: Some(assets.clone()),
        kubebuilder_assets: Some(assets.clone()),
        cache: bench.path("cache"),
    };
    let components = Components::with_search_path(sources, Some(OsString::new()));
    let etcd = components.acquire(Component::Etcd, &Silent).await.unwrap();
    assert_eq!(etcd.program(), assets.join("etcd"));
    let kwok = components.acquire(Component::Kwok, &Silent).await.unwrap();
    assert_eq!(kwok.program(), assets.join("kwok/bin/kwok"));
    assert_eq!(kwok.share("stages.yaml"), assets.join("kwok/share/stages.yaml"));
    let gitea = components.acquire(Component::Gitea, &Silent).await.unwrap_err();
    assert!(
        matches!(gitea, ComponentError::ToolMissing { .. }),
        "a bare gitea has no templates: {gitea}"
    );
}

#[tokio::test]
async fn test_missing_programs_are_named_with_their_packages() {
    let bench = Bench::new();
    let go = bench.fail(Component::Etcd, &[]).await.to_string();
    assert!(
        go.contains("`go`") && go.contains("apt-get install golang-go"),
        "{go}"
    );
    let java = bench.fail(Component::Keycloak, &[]).await.to_string();
    assert!(
        java.contains("`java`") && java.contains("apt-get install openjdk-17-jre-headless"),
        "{java}"
    );
    let java_17 = (
        "java",
        "echo '    java.version = 17.0.1'; echo '    java.home = /nowhere'",
    );
    let maven = bench.fail(Component::Keycloak, &[java_17]).await.to_string();
    assert!(
        maven.contains("`mvn`") && maven.contains("apt-get install maven"),
        "{maven}"
    );
}

#[tokio::test]
async fn test_old_programs_are_refused() {
    let bench = Bench::new();
    let go = bench
        .fail(Component::Etcd, &[("go", "echo go1.19.8")])
        .await
        .to_string();
    assert!(
        go.contains("needs Go 1.25.0 or newer and `go` on PATH is 1.19.8"),
        "{go}"
    );
    let java_11 = (
        "java",
        "echo '    java.version = 11.0.2' >&2; echo '    java.home = /nowhere' >&2",
    );
    let java = bench.fail(Component::Keycloak, &[java_11]).await.to_string();
    assert!(
        java.contains("needs Java 17, 21 or newer, and `java` on PATH is 11.0.2"),
        "{java}"
    );
}

#[tokio::test]
async fn test_missing_compiler_is_told_before_the_build() {
    let bench = Bench::new();
    let go = "case \"$2\" in GOVERSION) echo go1.99.0;; CC) echo no-such-cc;; *) exit 1;; esac";
    let error = bench.fail(Component::Gitea, &[("go", go)]).await.to_string();
    assert!(error.contains("apt-get install gcc libc6-dev"), "{error}");
}

#[tokio::test]
async fn test_what_go_says_last_is_shown() {
    let bench = Bench::new();
    let go = "[ \"$1\" = env ] && echo go1.99.0 && exit; echo 'x.go:1:2: undefined: y' >&2; exit 3";
    let error = bench.fail(Component::Helm, &[("go", go)]).await.to_string();
    assert!(error.contains("`go` ended with exit status: 3"), "{error}");
    assert!(error.ends_with("x.go:1:2: undefined: y"), "{error}");
}

#[tokio::test]
async fn test_damaged_zip_is_refused() {
    let bench = Bench::new();
    let assets = bench.path("assets");
    fs_err::create_dir_all(&assets).unwrap();
    fs_err::write(assets.join(keycloak::ZIP_NAME), "not Keycloak").unwrap();
    let sources = Sources {
        assets: Some(assets),
        ..bench.sources()
    };
    let error = Components::new(sources)
        .acquire(Component::Keycloak, &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ComponentError::ChecksumMismatch { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn test_cache_in_the_place_of_a_file_is_an_error() {
    let bench = Bench::new();
    fs_err::write(bench.path("cache"), "").unwrap();
    let error = bench
        .components()
        .acquire(Component::AgeKeygen, &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, ComponentError::CacheReadOnly { .. }), "{error}");
}

#[test]
fn test_failures_of_the_file_system_get_their_remedies() {
    let explained = |kind: std::io::ErrorKind| {
        ComponentError::from_io(Component::Kwok, Utf8Path::new("/cache"), kind.into()).to_string()
    };
    assert!(explained(std::io::ErrorKind::ReadOnlyFilesystem).contains("XDG_CACHE_HOME"));
    assert!(explained(std::io::ErrorKind::PermissionDenied).contains("XDG_CACHE_HOME"));
    assert!(
        explained(std::io::ErrorKind::StorageFull).starts_with("no space left while making kwok in /cache")
    );
}
