//! The commands on a repository of their own: what they write, and how they end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::date;
use lotse::cli::check::{self, CheckArgs, Output};
use lotse::cli::exit::Exit;
use lotse::cli::explain::{self, ExplainArgs};
use lotse::cli::render::{self, RenderArgs};
use lotse::cli::workspace::Workspace;
use lotse::diag::{Code, Look};
use lotse::names::EnvironmentName;
use proptest::prelude::*;

use folder::copy;

struct Repository {
    directory: tempfile::TempDir,
}

/// What a command wrote, and how it ended.
#[must_use]
struct Ended {
    exit: Exit,
    out: String,
    err: String,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        copy(
            &Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diag/base"),
            &repository.root(),
        );
        repository
    }

    fn root(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().to_owned()).unwrap()
    }

    fn change(&self, path: &str, from: &str, to: &str) {
        let path = self.root().join(path);
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        fs_err::write(&path, text.replace(from, to)).unwrap();
    }

    fn run<E: std::fmt::Debug>(
        &self,
        command: impl FnOnce(&Workspace<'_>, &mut Vec<u8>, &mut Vec<u8>) -> Result<Exit, E>,
    ) -> Ended {
        let root = self.root();
        let workspace = Workspace {
            root: &root,
            today: date(2026, 11, 23),
            look: Look::Plain,
            stamps: None,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = command(&workspace, &mut out, &mut err).unwrap();
        Ended {
            exit,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }

    fn check(&self, output: Output) -> Ended {
        self.check_with(&CheckArgs {
            output,
            ..plain_check()
        })
    }

    fn check_with(&self, args: &CheckArgs) -> Ended {
        self.run(|workspace, out, err| check::run(args, workspace, out, err))
    }

    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.root().join(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs_err::write(self.root().join(path), text).unwrap();
    }

    /// All files of declarations and their texts.
    fn texts(&self) -> Vec<String> {
        let mut paths = vec![self.root()];
        let mut texts = Vec::new();
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                let mut entries: Vec<Utf8PathBuf> = path
                    .read_dir_utf8()
                    .unwrap()
                    .map(|entry| entry.unwrap().into_path())
                    .collect();
                entries.sort();
                paths.extend(entries);
            } else {
                texts.push(format!("{path}: {}", fs_err::read_to_string(&path).unwrap()));
            }
        }
        texts
    }

    fn render(&self, check: bool) -> Ended {
        let args = RenderArgs {
            environment: None,
            check,
            output: None,
        };
        self.run(|workspace, out, err| render::run(&args, workspace, out, err))
    }
}

/// `lotse check`
fn plain_check() -> CheckArgs {
    CheckArgs {
        environment: None,
        output: Output::Text,
        fix: false,
        guesses: false,
        dry_run: false,
    }
}

#[test]
fn test_check_says_what_there_is() {
    let ended = Repository::new().check(Output::Text);
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, ""));
    assert_eq!(ended.err, "2 applications in 1 environment: no mistakes\n");
}

#[test]
fn test_check_counts_and_says_where_to_read_more() {
    let repository = Repository::new();
    repository.change("apps/web/app.yaml", "[platform]", "[platfrom]");
    repository.change("apps/web/app.yaml", "role: edit", "role: edit, until: 2026-11-01");
    let ended = repository.check(Output::Text);
    assert_eq!(ended.exit, Exit::Declarations);
    let last = ended.err.lines().last().unwrap();
    assert_eq!(
        last,
        "1 error, 1 warning in 1 of 4 files. `lotse check --fix` mends 1 of them, with `--guesses` 1 more. \
         `lotse explain E0204` tells more."
    );

    let ended = repository.check(Output::Json);
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&json["apiVersion"], &json["kind"]),
        (&"lotse/v1".into(), &"Diagnostics".into())
    );
    assert_eq!((&json["errors"], &json["warnings"]), (&1.into(), &1.into()));
    let diagnostics = &json["diagnostics"];
    assert_eq!(
        (&diagnostics[0]["code"], &diagnostics[0]["labels"][0]["line"]),
        (&"E0204".into(), &5.into())
    );
    assert_eq!(diagnostics[1]["severity"], "warning");
}

/// Gives the environment `prod` a cluster and a domain of its own.
fn apart(repository: &Repository) {
    let file = "environments/prod/environment.yaml";
    repository.change(file, "namespace: prod", "namespace: another");
    repository.change(file, "domain: prod.lab.test", "domain: another.lab.test");
    let told = repository.check(Output::Text).err;
    assert!(
        told.contains("error[E0322]: the realm `scs` is declared by"),
        "{told}"
    );
    repository.change(file, "realm: scs", "realm: another");
}

#[test]
fn test_environments_that_would_change_each_other_are_told() {
    let repository = Repository::new();
    let lab = repository.root().join("environments/lab");
    for name in ["prod", "Prod_2"] {
        copy(&lab, &repository.root().join("environments").join(name));
    }
    let file = "environments/prod/environment.yaml";
    repository.change(file, "name: lab\n", "name: prod\n");
    repository.change(file, "clusters/lab", "clusters/prod");
    let ended = repository.check(Output::Text);
    for told in [
        "error[E0322]: the cluster `prod` of `moin` is declared by the environment `lab`, too\n",
        "error[E0110]: the folder environments/Prod_2 can't be an environment: ",
    ] {
        assert!(ended.err.contains(told), "{told} is not in {}", ended.err);
    }
    repository.change(file, "namespace: prod", "namespace: another");
    let ended = repository.check(Output::Text);
    assert!(
        ended.err.contains("the domain `prod.lab.test` is declared by"),
        "{}",
        ended.err
    );
}

#[test]
fn test_folders_that_can_not_be_listed_are_told_and_not_taken_for_empty() {
    let repository = Repository::new();
    fs_err::write(repository.root().join("environments/lab/apps"), "no folder").unwrap();
    let ended = repository.check(Output::Text);
    assert_eq!(ended.exit, Exit::Declarations);
    assert!(
        ended
            .err
            .contains("error[E0101]: environments/lab/apps can't be read: not a directory"),
        "{}",
        ended.err
    );
}

#[test]
fn test_render_stays_in_the_repository_and_waits_for_no_pipe() {
    let repository = Repository::new();
    let args = RenderArgs {
        environment: None,
        check: false,
        output: None,
    };
    let refused = |repository: &Repository| {
        let root = repository.root();
        let workspace = Workspace {
            root: &root,
            today: date(2026, 11, 23),
            look: Look::Plain,
            stamps: None,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let failed = render::run(&args, &workspace, &mut out, &mut err).unwrap_err();
        std::error::Error::source(&failed)
            .unwrap()
            .source()
            .unwrap()
            .to_string()
    };
    let elsewhere = tempfile::tempdir().unwrap();
    fs_err::create_dir(repository.root().join("clusters")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), repository.root().join("clusters/lab")).unwrap();
    assert!(refused(&repository).contains("clusters/lab leads out of the repository"));
    assert_eq!(fs_err::read_dir(elsewhere.path()).unwrap().count(), 0);
    fs_err::remove_file(repository.root().join("clusters/lab")).unwrap();
    assert_eq!(repository.render(false).exit, Exit::Done);
    let pipe = repository.root().join("clusters/lab/dns.yaml");
    fs_err::remove_file(&pipe).unwrap();
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    assert!(refused(&repository).contains("it is not a file"));
}

#[test]
fn test_defaults_of_containers_fit_their_limits() {
    let repository = Repository::new();
    let path = "apps/web/app.yaml";
    let text = repository.read(path);
    repository.write(
        path,
        &format!("{text}containerDefaults: {{request: {{memory: 4Gi}}}}\n"),
    );
    let ended = repository.check(Output::Text);
    assert!(
        ended
            .err
            .contains("containers would request 4Gi of memory, and their limit is 512Mi"),
        "{}",
        ended.err
    );
    repository.write(
        path,
        &format!("{text}containerDefaults: {{request: {{memory: 4Gi}}, limit: {{memory: 8G}}}}\n"),
    );
    assert_eq!(repository.check(Output::Text).exit, Exit::Done);
}

#[test]
fn test_check_tells_a_problem_of_a_shared_file_once() {
    let repository = Repository::new();
    let lab = repository.root().join("environments/lab");
    copy(&lab, &repository.root().join("environments/prod"));
    repository.change(
        "environments/prod/environment.yaml",
        "name: lab\n",
        "name: prod\n",
    );
    repository.change(
        "environments/prod/environment.yaml",
        "clusters/lab",
        "clusters/prod",
    );
    apart(&repository);
    let ended = repository.check(Output::Text);
    assert_eq!(ended.err, "2 applications in 2 environments: no mistakes\n");
    repository.change("apps/web/app.yaml", "[platform]", "[platfrom]");
    let ended = repository.check(Output::Text);
    assert_eq!(ended.err.matches("error[E0204]").count(), 1, "{}", ended.err);
}

#[test]
fn test_a_problem_of_one_environment_names_it() {
    let repository = Repository::new();
    let lab = repository.root().join("environments/lab");
    copy(&lab, &repository.root().join("environments/prod"));
    let file = "environments/prod/environment.yaml";
    repository.change(file, "name: lab\n", "name: prod\n");
    repository.change(file, "clusters/lab", "clusters/prod");
    apart(&repository);
    repository.change(file, "gateway: {class: lab, issuer: lab}\n", "");
    let ended = repository.check(Output::Text);
    let message = "warning[E0321]: no route leads to `www`: the environment has no `gateway` (in prod)\n";
    assert!(ended.err.starts_with(message), "{}", ended.err);
}

#[test]
fn test_one_slip_is_one_problem() {
    let repository = Repository::new();
    repository.change("apps/web/app.yaml", "owners:", "onwers:");
    let ended = repository.check(Output::Text);
    assert!(ended.err.contains("\n1 error in 1 of"), "{}", ended.err);
    repository.change("apps/web/app.yaml", "onwers:", "owners:");
    repository.change(
        "apps/web/app.yaml",
        "{team: website,",
        "{team: website, person: ada,",
    );
    let folder = repository.root().join("environments/lab/apps/web");
    fs_err::create_dir_all(&folder).unwrap();
    let replaced =
        "apiVersion: lotse/v1\nkind: AppOverride\nname: web\ndescription: another\nhosts: [home]\n";
    fs_err::write(folder.join("app.yaml"), replaced).unwrap();
    let ended = repository.check(Output::Text);
    for told in [
        "`team` and `person` can't stand together: write one of the two",
        "`description` is the same in every environment: write it in apps/<name>/app.yaml",
        "\n2 errors in 2 of",
    ] {
        assert!(ended.err.contains(told), "{told} is not in {}", ended.err);
    }
}

#[test]
fn test_a_login_that_an_override_leaves_behind_is_told_where_to_mend_it() {
    let repository = Repository::new();
    repository.change(
        "apps/web/app.yaml",
        "dependsOn:",
        "login: [{client: web, redirectUris: ['https://www.{{domain}}/back'], secret: web-oidc}]\ndependsOn:",
    );
    let folder = repository.root().join("environments/lab/apps/web");
    fs_err::create_dir_all(&folder).unwrap();
    let replaced = "apiVersion: lotse/v1\nkind: AppOverride\nname: web\nhosts: [home]\n";
    fs_err::write(folder.join("app.yaml"), replaced).unwrap();
    let ended = repository.check(Output::Text);
    let help =
        "help: repeat `login` in environments/lab/apps/web/app.yaml, with redirects to the hosts there\n";
    assert!(ended.err.contains(help), "{}", ended.err);
}

#[test]
fn test_values_of_a_chart_are_filled_in_or_told() {
    let repository = Repository::new();
    repository.change(
        "apps/db/app.yaml",
        "source: {manifests: manifests}",
        "source: {helm: {repository: 'https://charts.example.org', chart: db, version: 1.0.0, values: values.yaml}}",
    );
    let values = "host: db.{{domain}}\nother: [\"{{ domain }}\", \"{{isuer}}\"]\nrule: \"{{ $labels.instance }} {{ .Values.domain }}\"\n";
    repository.write("apps/db/values.yaml", values);
    let ended = repository.check(Output::Text);
    for told in [
        "error[E0307]: `{{ domain }}` is not filled in\n",
        "help: write `{{domain}}`\n",
        "error[E0307]: `{{isuer}}` is not filled in\n",
        "help: write `{{issuer}}`\n",
        "\n2 errors in 1 of",
    ] {
        assert!(ended.err.contains(told), "{told} is not in {}", ended.err);
    }
}

#[test]
fn test_notations_of_elsewhere_are_mended() {
    let repository = Repository::new();
    let text = "apiVersion: lotse/v1\nkind: App\nname: web\ndescription: The website\nowners: platform # both\n\
                hosts: www\nsource: {manifests: manifests}\naccess: [{team: website, role: edit, until: 31.03.2027}]\n\
                quota: {memory: 2GB}\nnetwork:\n  allowTo:\n    - {peer: internet, port: 443}\n    \
                - {cidr: 10.8.0.5/16, ports: [\"5432\"]}\n";
    repository.write("apps/web/app.yaml", text);
    let ended = repository.check_with(&CheckArgs {
        fix: true,
        guesses: true,
        ..plain_check()
    });
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let mended = repository.read("apps/web/app.yaml");
    for written in [
        "owners: [platform] # both\n",
        "hosts: [www]\n",
        "until: 2027-03-31}",
        "{memory: 2G}",
        "{peer: internet, ports: [443]}",
        "{cidr: \"10.8.0.0/16\", ports: [5432]}",
    ] {
        assert!(mended.contains(written), "{written} is not in {mended}");
    }
}

#[test]
fn test_check_of_an_environment_that_is_not_there() {
    let repository = Repository::new();
    let name = EnvironmentName::new("labb").unwrap();
    let ended = repository.check_with(&CheckArgs {
        environment: Some(name),
        ..plain_check()
    });
    assert_eq!(ended.exit, Exit::Declarations);
    insta::assert_snapshot!(ended.err, @r#"
    error[E0201]: environment `labb` has no folder under environments/
    help: did you mean `lab`?

    1 error. `lotse explain E0201` tells more.
    "#);
}

#[test]
fn test_check_outside_of_a_repository_says_where_to_run() {
    let repository = Repository::new();
    let root = repository.root();
    let workspace = Workspace {
        root: &root,
        today: date(2026, 11, 23),
        look: Look::Plain,
        stamps: None,
    };
    let said = |missing| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = check::run(&plain_check(), &workspace, &mut out, &mut err).unwrap_err();
        assert_eq!(ended.to_string(), format!("{missing}"));
    };
    fs_err::remove_dir_all(root.join("environments/lab")).unwrap();
    said(format!("there is no environment in {root}/environments"));
    fs_err::remove_dir(root.join("environments")).unwrap();
    said(format!("there is no folder `environments` in {root}"));
}

/// A declaration with one mistake of each kind that a program can mend, and comments around them.
const MENDABLE: &str = "# The website, ä
apiVersion: lotse/v1
kind: App
nmae: webb   # a key and the folder's name
description: no  # a boolean for some
owners: [platfrom]
hosts: [www, www]
source: {manifests: manifests}
access:
  # of the writers
  - {team: website, role: edit}
  - {team: website, role: edit}   # again
  - team: platform
    role: admin
    until: 2026-11-01
dependsOn: [db]
";

#[test]
fn test_fix_mends_what_has_one_answer_and_keeps_the_rest() {
    use std::os::unix::fs::PermissionsExt;
    let repository = Repository::new();
    repository.write("apps/web/app.yaml", MENDABLE);
    let path = repository.root().join("apps/web/app.yaml");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let ended = repository.check_with(&CheckArgs {
        fix: true,
        ..plain_check()
    });
    assert_eq!(ended.exit, Exit::Declarations, "the guess is left");
    insta::assert_snapshot!(ended.err, @r#"
    mended apps/web/app.yaml:4: E0104: `nmae` is not known here: write `name`
    mended apps/web/app.yaml:5: E0117: YAML 1.1 readers take `no` for the boolean `false`: write `"no"`
    mended apps/web/app.yaml:7: E0206: this is in the list already: remove the entry
    mended apps/web/app.yaml:12: E0206: this role is granted already: remove the entry
    mended apps/web/app.yaml:13: E0311: the grant of `platform` ended on 2026-11-01: remove the entry
    mended apps/web/app.yaml:4: E0108: `webb` is declared in the folder `web`: write `web`
    mended 6 problems in 1 file
    error[E0204]: team `platfrom` is not in people.yaml
     --> apps/web/app.yaml:6:10
      |
    6 | owners: [platfrom]
      |          ^^^^^^^^
      |
    help: did you mean `platform`?

    1 error in 1 of 4 files. `lotse check --fix --guesses` mends 1 of them by a guess. `lotse explain E0204` tells more.
    "#);
    insta::assert_snapshot!(repository.read("apps/web/app.yaml"), @r#"
    # The website, ä
    apiVersion: lotse/v1
    kind: App
    name: web   # a key and the folder's name
    description: "no"  # a boolean for some
    owners: [platfrom]
    hosts: [www]
    source: {manifests: manifests}
    access:
      # of the writers
      - {team: website, role: edit}
    dependsOn: [db]
    "#);
    assert_eq!(
        fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );

    let ended = repository.check_with(&CheckArgs {
        fix: true,
        guesses: true,
        ..plain_check()
    });
    insta::assert_snapshot!(ended.err, @r#"
    mended apps/web/app.yaml:6: E0204: team `platfrom` is not in people.yaml: write `platform` (a guess)
    mended 1 problem in 1 file
    2 applications in 1 environment: no mistakes
    "#);
    assert_eq!(ended.exit, Exit::Done);
    let ended = repository.check_with(&CheckArgs {
        fix: true,
        ..plain_check()
    });
    assert_eq!(
        ended.err,
        "nothing to mend\n2 applications in 1 environment: no mistakes\n"
    );
}

#[test]
fn test_a_dry_run_shows_a_diff_and_writes_nothing() {
    let repository = Repository::new();
    repository.write("apps/web/app.yaml", MENDABLE);
    repository.change("environments/lab/environment.yaml", "realm: scs", "raelm: scs");
    repository.change(
        "environments/lab/environment.yaml",
        "{env: ADMIN_PASSWORD}",
        "hunter2",
    );
    let before = repository.texts();
    let ended = repository.check_with(&CheckArgs {
        fix: true,
        dry_run: true,
        ..plain_check()
    });
    assert_eq!(ended.exit, Exit::Declarations);
    assert_eq!(repository.texts(), before);
    assert!(!ended.out.contains("hunter2"), "{}", ended.out);
    insta::assert_snapshot!(ended.out, @r#"
    --- a/apps/web/app.yaml
    +++ b/apps/web/app.yaml
    @@ -1,16 +1,12 @@
     # The website, ä
     apiVersion: lotse/v1
     kind: App
    -nmae: webb   # a key and the folder's name
    -description: no  # a boolean for some
    +name: web   # a key and the folder's name
    +description: "no"  # a boolean for some
     owners: [platfrom]
    -hosts: [www, www]
    +hosts: [www]
     source: {manifests: manifests}
     access:
       # of the writers
       - {team: website, role: edit}
    -  - {team: website, role: edit}   # again
    -  - team: platform
    -    role: admin
    -    until: 2026-11-01
     dependsOn: [db]
    --- a/environments/lab/environment.yaml
    +++ b/environments/lab/environment.yaml
    @@ -11,7 +11,7 @@
     flux: {version: 2.9.4}
     identity:
       url: https://auth.lab.test
    -  raelm: scs
    +  realm: scs
       admin: {username: admin, password: *******}
       github: {organisation: scs, clientId: abc, clientSecret: {env: CLIENT_SECRET}}
     dns:
    "#);
}

#[test]
fn test_a_file_that_can_not_be_written_is_named() {
    let repository = Repository::new();
    repository.change("apps/web/app.yaml", "name: web", "nmae: web");
    // Not even root writes below /proc; the folder is outside, so that it is refused before.
    let path = repository.root().join("apps/web/app.yaml");
    fs_err::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/proc/version", &path).unwrap();
    let ended = repository.check_with(&CheckArgs {
        fix: true,
        ..plain_check()
    });
    assert!(ended.err.contains("error[E0113]"), "{}", ended.err);
    assert!(ended.err.starts_with("nothing to mend\n"), "{}", ended.err);
}

/// The fields that GitHub's code scanning requires, and no place outside of the file.
#[test]
fn test_sarif_has_what_code_scanning_requires() {
    let repository = Repository::new();
    repository.write("apps/web/app.yaml", MENDABLE);
    repository.change("apps/db/app.yaml", "name: db", "name: db\nhosts: [www]");
    let ended = repository.check(Output::Sarif);
    let sarif: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&sarif["version"], sarif["$schema"].is_string()),
        (&"2.1.0".into(), true)
    );
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(
        (rules.len(), &run["tool"]["driver"]["name"]),
        (Code::ALL.len(), &"lotse".into())
    );
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(
                rule[text]["text"].as_str().is_some_and(|text| !text.is_empty()),
                "{rule}"
            );
        }
        assert!(["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 5, "{results:#?}");
    let mut fixes = 0;
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        assert!(result["message"]["text"].is_string() && result["level"].is_string());
        assert!(result["partialFingerprints"]["primaryLocationLineHash"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
        let text = repository.read(uri);
        assert_region(&text, &place["region"]);
        for fix in result["fixes"].as_array().into_iter().flatten() {
            fixes += 1;
            assert!(fix["description"]["text"].is_string());
            for change in fix["artifactChanges"].as_array().unwrap() {
                for replacement in change["replacements"].as_array().unwrap() {
                    assert_region(&text, &replacement["deletedRegion"]);
                    assert!(replacement["insertedContent"]["text"].is_string());
                }
            }
        }
    }
    assert!(fixes > 4);
}

/// Lines and columns count from 1 and are within the text, the end not before the start.
fn assert_region(text: &str, region: &serde_json::Value) {
    let number = |key: &str| usize::try_from(region[key].as_u64().unwrap()).unwrap();
    let start = (number("startLine"), number("startColumn"));
    let end = (number("endLine"), number("endColumn"));
    assert!(start <= end, "{region}");
    for (line, column) in [start, end] {
        let length = text.split('\n').nth(line - 1).unwrap().chars().count();
        assert!((1..=length + 1).contains(&column), "{region}");
    }
}

#[test]
fn test_github_gets_one_command_a_problem() {
    let repository = Repository::new();
    repository.change("apps/web/app.yaml", "[platform]", "[platfrom]");
    repository.change("apps/web/app.yaml", "role: edit", "role: edit, until: 2026-11-01");
    let ended = repository.check(Output::Github);
    assert_eq!((ended.exit, ended.err.as_str()), (Exit::Declarations, ""));
    insta::assert_snapshot!(ended.out, @r#"
    ::error file=apps/web/app.yaml,line=5,endLine=5,col=10,endColumn=18,title=E0204%3A A team is not in people.yaml::team `platfrom` is not in people.yaml%0Ahelp: did you mean `platform`?
    ::warning file=apps/web/app.yaml,line=9,endLine=9,col=5,endColumn=51,title=E0311%3A A grant has ended::the grant of `website` ended on 2026-11-01%0Ahelp: remove the line, or set a new day and say why in `reason`
    "#);
}

#[test]
fn test_render_check_fails_until_the_tree_is_written() {
    let repository = Repository::new();
    let ended = repository.render(true);
    assert_eq!(ended.exit, Exit::Checks);
    assert!(
        ended.out.contains("+++ b/clusters/lab/apps/web.yaml"),
        "{}",
        ended.out
    );
    assert!(!repository.root().join("clusters").exists());

    assert_eq!(repository.render(false).exit, Exit::Done);
    let ended = repository.render(true);
    assert_eq!(
        (ended.exit, ended.err.as_str()),
        (Exit::Done, "clusters/lab is up to date\n")
    );

    repository.change("apps/web/app.yaml", "role: edit", "role: view");
    let ended = repository.render(true);
    assert_eq!(ended.exit, Exit::Checks);
    assert!(
        ended.out.contains("-  name: lotse:team:website:edit\n"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("+  name: lotse:team:website:view\n"),
        "{}",
        ended.out
    );
}

#[test]
fn test_render_removes_what_is_not_declared_any_more() {
    let repository = Repository::new();
    assert_eq!(repository.render(false).exit, Exit::Done);
    repository.change("environments/lab/environment.yaml", "[web, db]", "[db]");
    let ended = repository.render(false);
    assert!(
        ended.err.contains("removed clusters/lab/apps/web.yaml\n"),
        "{}",
        ended.err
    );
    assert_eq!(repository.render(true).exit, Exit::Done);
}

#[test]
fn test_render_of_faulty_declarations_writes_nothing() {
    let repository = Repository::new();
    repository.change("apps/web/app.yaml", "[platform]", "[platfrom]");
    assert_eq!(repository.render(false).exit, Exit::Declarations);
    assert!(!repository.root().join("clusters").exists());
}

#[test]
fn test_explain_knows_every_code() {
    let repository = Repository::new();
    for code in Code::ALL {
        let args = ExplainArgs { code: Some(*code) };
        let ended = repository.run(|_, out, _| explain::run(&args, out));
        assert!(ended.out.starts_with(&format!("{code}: ")), "{}", ended.out);
    }
    let ended = repository.run(|_, out, _| explain::run(&ExplainArgs { code: None }, out));
    assert_eq!(ended.out.lines().count(), Code::ALL.len());
}

/// Mistakes with one answer, each beside a comment that stays.
const MISTAKES: [(&str, &str); 7] = [
    ("name: web", "nmae: web # kept"),
    ("description: The website", "description: 0755 # kept"),
    ("[platform]", "[platform, platform] # kept"),
    ("hosts: [www]", "hosts: [ # kept\n  www,\n  'www',\n  www ]"),
    (
        "  - {team: website, role: edit}",
        "  - {team: website, role: edit}\n  # kept\n  - role: edit\n    team: website",
    ),
    ("dependsOn: [db]", "dependsOn: # kept\n- db\n- db"),
    ("source: {manifests", "source: # kept\n  {manifest"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes together, with either line ending: one run mends it all, the next finds nothing.
    #[test]
    fn test_fix_ends_where_nothing_is_left(chosen in any::<[bool; MISTAKES.len()]>(), windows: bool) {
        let repository = Repository::new();
        let path = "apps/web/app.yaml";
        let mut made = 0;
        for (_, (from, to)) in chosen.into_iter().zip(MISTAKES).filter(|(chosen, _)| *chosen) {
            repository.change(path, from, to);
            made += 1;
        }
        if windows {
            repository.change(path, "\n", "\r\n");
        }
        let fix = CheckArgs { fix: true, ..plain_check() };
        let ended = repository.check_with(&fix);
        prop_assert_eq!(ended.exit, Exit::Done, "{}\n{}", ended.err, repository.read(path));
        let mended = repository.read(path);
        prop_assert_eq!(mended.matches("# kept").count(), made, "{}", mended);
        prop_assert_eq!(mended.matches("\r\n").count() > 0, windows);
        let again = repository.check_with(&fix);
        prop_assert!(again.err.starts_with("nothing to mend\n"), "{}", again.err);
        prop_assert_eq!(repository.read(path), mended);
    }
}
