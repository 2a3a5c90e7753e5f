//! The documents say what the program does: references are generated, links lead somewhere, commands and examples work.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod folder;

use std::collections::BTreeSet;
use std::fmt::Write;

use camino::{Utf8Path, Utf8PathBuf};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use jiff::civil::{Date, date};
use lotse::cli;
use lotse::config::{self, DeclarationKind, yaml};
use lotse::diag::{Code, Look, Severity, to_text};
use lotse::names::EnvironmentName;
use serde_json::{Map, Value, json};

use folder::copy;

/// The day on which the examples are read.
const TODAY: Date = date(2026, 11, 23);
/// Set to renew the generated references in place of comparing them.
const RENEW: &str = "UPDATE_REFERENCE";

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Utf8Path) -> String {
    fs_err::read_to_string(path).unwrap()
}

fn files(directory: &Utf8Path, extension: &str) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir_utf8().unwrap() {
        let path = entry.unwrap().path().to_owned();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension() == Some(extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// README, CHANGELOG and everything under `docs/`.
fn documents() -> Vec<Utf8PathBuf> {
    let mut documents = files(&repository().join("docs"), "md");
    documents.extend(["README.md", "CHANGELOG.md"].map(|name| repository().join(name)));
    documents
}

/// A document without its fenced blocks, and the blocks with their language.
fn split(text: &str) -> (String, Vec<(String, String)>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, block)), None) => block.extend([line, "\n"]),
            (None, None) => prose.extend([line, "\n"]),
        }
    }
    assert!(open.is_none(), "a fenced block is not closed");
    (prose, blocks)
}

/// Compares the generated `text` with the committed reference, or renews it.
fn assert_reference(path: &str, text: &str) {
    let path = repository().join(path);
    if std::env::var_os(RENEW).is_some() {
        fs_err::write(&path, text).unwrap();
    }
    let committed = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{path} is not as generated; `{RENEW}=1 cargo test --test documents` renews it"
    );
}

#[test]
fn test_reference_of_commands_is_generated() {
    let mut program = cli::definition();
    program.build();
    let mut text = "# Commands\n\nGenerated from the program; `lotse help` prints the same.\n\n".to_owned();
    text += &paragraphs(program.get_long_about());
    text += "## Global options\n\nEvery command takes them.\n\n";
    text += &table(
        "option",
        program.get_arguments().filter(|arg| arg.is_global_set()),
    );
    for command in program.get_subcommands_mut() {
        text += &reference(command, "##");
    }
    assert_reference("docs/reference/cli.md", &(text.trim_end().to_owned() + "\n"));
}

/// The section of a command, and of those below it.
fn reference(command: &mut Command, heading: &str) -> String {
    if command.is_hide_set() || command.get_name() == "help" {
        return String::new();
    }
    let usage = command.render_usage().to_string().replace("Usage: ", "");
    let name = command.get_bin_name().unwrap().to_owned();
    let about = command.get_long_about().or_else(|| command.get_about());
    let mut text = format!(
        "{heading} {name}\n\n{}```text\n{usage}\n```\n\n",
        paragraphs(about)
    );
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let arguments = || command.get_arguments().filter(own);
    text += &table("argument", arguments().filter(|arg| arg.is_positional()));
    text += &table("option", arguments().filter(|arg| !arg.is_positional()));
    if let Some(examples) = command.get_after_help() {
        write!(text, "```text\n{examples}\n```\n\n").unwrap();
    }
    for below in command.get_subcommands_mut() {
        text += &reference(below, &format!("{heading}#"));
    }
    text
}

fn paragraphs(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split("\n\n").fold(String::new(), |all, paragraph| {
        all + paragraph.trim_end_matches('.') + ".\n\n"
    })
}

fn table<'arg>(title: &str, arguments: impl Iterator<Item = &'arg Arg>) -> String {
    let rows: Vec<String> = arguments.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("| {title} | |\n|---|---|\n{}\n", rows.concat())
}

fn row(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut names = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if arg.get_action().takes_values() {
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        let gap = if names.is_empty() { "" } else { " " };
        write!(names, "{gap}<{value}>").unwrap();
    }
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = if arg.get_action().takes_values() {
        let values = arg.get_possible_values().into_iter();
        values.map(|value| format!("`{}`", value.get_name())).collect()
    } else {
        Vec::new()
    };
    if !possible.is_empty() {
        write!(help, "; one of {}", possible.join(", ")).unwrap();
    }
    let defaults = if arg.get_action().takes_values() {
        arg.get_default_values()
    } else {
        &[]
    };
    for default in defaults {
        write!(help, " [default: {}]", default.display()).unwrap();
    }
    if let Some(variable) = arg.get_env() {
        write!(help, " [environment variable: `{}`]", variable.display()).unwrap();
    }
    format!("| `{names}` | {help} |\n")
}

#[test]
fn test_reference_of_diagnostics_is_generated() {
    let mut text =
        "# Diagnostics\n\nGenerated from the program; `lotse explain` prints the same. A warning stops \
                    nothing, an error stops everything that needs the declarations.\n\n"
            .to_owned();
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "",
            Severity::Warning => " (warning)",
        };
        write!(
            text,
            "## {code}\n\n**{}**{severity}\n\n{}\n\n",
            code.title(),
            code.explanation()
        )
        .unwrap();
    }
    assert_reference(
        "docs/reference/diagnostics.md",
        &(text.trim_end().to_owned() + "\n"),
    );
}

#[test]
fn test_schemas_are_generated() {
    for kind in DeclarationKind::ALL {
        let path = format!("docs/reference/schema/{kind}.json");
        assert_reference(&path, &format!("{:#}\n", kind.schema()));
    }
    let plan = format!("{:#}\n", lotse::cli::schema::of_plan());
    assert_reference("docs/reference/schema/Plan.json", &plan);
}

/// Manifests with the Services that the hosts of an application lead to.
fn services_of(app: &Value) -> String {
    let hosts = app["hosts"].as_array().cloned().unwrap_or_default();
    let mut services: BTreeSet<(String, u64)> = BTreeSet::new();
    for host in hosts {
        let service = host["service"].as_str().or_else(|| app["name"].as_str());
        services.insert((service.unwrap().to_owned(), host["port"].as_u64().unwrap_or(80)));
    }
    let manifest = |(name, port): &(String, u64)| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
        )
    };
    services.iter().map(manifest).collect()
}

/// The anchor GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || " -_".contains(*character))
        .collect::<String>();
    kept.replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let (prose, _) = split(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Targets of the links of a document.
fn links(text: &str) -> Vec<String> {
    let (prose, _) = split(text);
    let targets = prose.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()))
        .collect()
}

#[test]
fn test_links_lead_to_files_and_headings() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let is_there =
                target.exists() && (fragment.is_empty() || anchors(&read(&target)).contains(fragment));
            if !is_there {
                faults.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "links that lead nowhere:\n{}",
        faults.join("\n")
    );
}

#[test]
fn test_every_decision_is_listed_under_its_own_title() {
    let directory = repository().join("docs/decisions");
    let index = read(&directory.join("README.md"));
    for decision in files(&directory, "md") {
        let name = decision.file_name().unwrap();
        let listed = index.matches(&format!("]({name})")).count();
        assert_eq!(listed, usize::from(name != "README.md"), "{name} in the list");
    }
}

/// The words of each `lotse` command in `line`, up to where the shell ends it.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line
        .replace("cargo run --locked -- ", "lotse ")
        .replace("cargo run -- ", "lotse ");
    let mut found = Vec::new();
    let mut rest = line.as_str();
    while let Some(start) = rest.find("lotse ") {
        let begins_a_word = rest[..start].ends_with(|before: char| " `($\"".contains(before)) || start == 0;
        rest = &rest[start + "lotse ".len()..];
        if !begins_a_word {
            continue;
        }
        let end = rest
            .find(|end: char| "`|<>);&#\"".contains(end))
            .unwrap_or(rest.len());
        let words = std::iter::once("lotse".to_owned()).chain(words(&rest[..end]));
        found.push(words.collect());
    }
    found
}

/// The words of a command, of which those in single quotes are one.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let words = parts.flat_map(|(index, part)| {
        if index % 2 == 1 {
            vec![part.to_owned()]
        } else {
            part.split_whitespace().map(str::to_owned).collect()
        }
    });
    words.collect()
}

/// Why the program does not take a command, if it doesn't.
fn refusal(words: &[String]) -> Option<ErrorKind> {
    match cli::definition().try_get_matches_from(words) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
            kind => Some(kind),
        },
    }
}

/// A command that is only named may lack its arguments.
const NAMED_ONLY: [ErrorKind; 2] = [
    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ErrorKind::MissingRequiredArgument,
];

/// The code spans of prose.
fn spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

#[test]
fn test_commands_in_documents_are_accepted() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let (prose, blocks) = split(&read(&document));
        let typed = blocks
            .iter()
            .filter(|(language, _)| language == "console")
            .flat_map(|(_, block)| block.lines().filter_map(|line| line.strip_prefix("$ ")))
            .flat_map(commands)
            .map(|words| (refusal(&words), words));
        let named = spans(&prose)
            .flat_map(commands)
            .map(|words| (refusal(&words).filter(|kind| !NAMED_ONLY.contains(kind)), words));
        for (refusal, words) in typed.chain(named) {
            seen += 1;
            if let Some(kind) = refusal {
                faults.push(format!("{document}: {}: {kind}", words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 20, "only {seen} commands were found");
}

/// What the program tells people to run exists. Values are filled in when it tells them, so only the names of commands
/// and options are looked at.
#[test]
fn test_commands_named_by_the_program_exist() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for file in files(&repository().join("src"), "rs") {
        for line in read(&file).lines() {
            for words in spans(line)
                .filter(|span| span.starts_with("lotse "))
                .flat_map(commands)
            {
                seen += 1;
                let refusal = refusal(&words);
                if matches!(
                    refusal,
                    Some(ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument)
                ) {
                    faults.push(format!("{file}: {}", words.join(" ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "there is no\n{}", faults.join("\n"));
    assert!(seen > 10, "only {seen} commands were found");
}

/// This repository's declarations, to put examples into.
struct Platform {
    directory: tempfile::TempDir,
}

impl Platform {
    fn new() -> Self {
        let platform = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for folder in ["apps", "environments", "runbooks"] {
            copy(&repository().join(folder), &platform.root().join(folder));
        }
        platform
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.directory.path()).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// What the program's reader says about `environment`; nothing when all is well.
    fn problems(&self, environment: &str) -> String {
        let name = EnvironmentName::new(environment).unwrap();
        match config::load(self.root(), &name, TODAY) {
            Ok(loaded) => to_text(&loaded.warnings, &loaded.sources, Look::Plain),
            Err(problems) => to_text(&problems.diagnostics, &problems.sources, Look::Plain),
        }
    }

    /// The example as the declaration of an application of the lab.
    fn app(&self, text: &str) -> String {
        let declaration: Value = yaml::parse(text).unwrap();
        let name = declaration["name"].as_str().unwrap();
        self.write(&format!("apps/{name}/app.yaml"), text);
        drop(fs_err::remove_dir_all(
            self.root().join(format!("environments/lab/apps/{name}")),
        ));
        self.write(
            &format!("apps/{name}/manifests/hello.yaml"),
            &services_of(&declaration),
        );
        self.write(&format!("apps/{name}/values.yaml"), "{}\n");
        self.write(&format!("runbooks/{name}/outage.md"), "# What to do\n");
        let path = "environments/lab/environment.yaml";
        let mut environment: Value = yaml::parse(&read(&self.root().join(path))).unwrap();
        let apps = environment["apps"].as_array_mut().unwrap();
        if !apps.contains(&json!(name)) {
            apps.push(json!(name));
        }
        self.write(path, &yaml::to_text(&environment).unwrap());
        self.problems("lab")
    }

    /// The example as what the lab replaces of one of its applications.
    fn app_override(&self, text: &str) -> String {
        let declaration: Value = yaml::parse(text).unwrap();
        let name = declaration["name"].as_str().unwrap();
        self.write(&format!("environments/lab/apps/{name}/app.yaml"), text);
        self.problems("lab")
    }

    /// The example as an environment of its own, with the lab's people.
    fn environment(&self, text: &str) -> String {
        let declaration: Value = yaml::parse(text).unwrap();
        let name = declaration["name"].as_str().unwrap();
        let people = read(&self.root().join("environments/lab/people.yaml"));
        self.write(&format!("environments/{name}/people.yaml"), &people);
        self.write(&format!("environments/{name}/environment.yaml"), text);
        self.problems(name)
    }

    /// The example as the people of the lab, which runs nothing: applications have owners of their own.
    fn people(&self, text: &str) -> String {
        self.write("environments/lab/people.yaml", text);
        let path = "environments/lab/environment.yaml";
        let mut environment: Value = yaml::parse(&read(&self.root().join(path))).unwrap();
        environment["apps"] = json!([]);
        environment["clusterWide"] = json!([]);
        self.write(path, &yaml::to_text(&environment).unwrap());
        fs_err::remove_dir_all(self.root().join("environments/lab/apps")).unwrap();
        self.problems("lab")
    }

    /// Some keys of an `app.yaml`, laid over a small one.
    fn keys_of_an_app(&self, keys: Map<String, Value>) -> String {
        let mut app = json!({
            "apiVersion": "lotse/v1", "kind": "App", "name": "example", "description": "An example",
            "owners": ["website"], "source": {"manifests": "manifests"},
        });
        app.as_object_mut().unwrap().extend(keys);
        self.app(&yaml::to_text(&app).unwrap())
    }

    /// Some keys of an `environment.yaml`, in place of those of the lab.
    fn keys_of_an_environment(&self, keys: Map<String, Value>) -> String {
        let path = "environments/lab/environment.yaml";
        let mut environment: Value = yaml::parse(&read(&self.root().join(path))).unwrap();
        environment.as_object_mut().unwrap().extend(keys);
        self.write(path, &yaml::to_text(&environment).unwrap());
        self.problems("lab")
    }

    /// What the reader says about one fenced block.
    fn example(&self, text: &str) -> String {
        let declaration: Value = yaml::parse(text).unwrap();
        let Value::Object(keys) = declaration else {
            panic!("an example is a mapping");
        };
        match keys.get("kind").and_then(Value::as_str) {
            Some("App") => self.app(text),
            Some("AppOverride") => self.app_override(text),
            Some("Environment") => self.environment(text),
            Some("People") => self.people(text),
            Some(_) => String::new(),
            None if keys.keys().all(|key| OF_ENVIRONMENTS.contains(&key.as_str())) => {
                self.keys_of_an_environment(keys)
            }
            None => self.keys_of_an_app(keys),
        }
    }
}

/// Keys that only environments have.
const OF_ENVIRONMENTS: [&str; 2] = ["dns", "gateway"];

/// Fenced `yaml` blocks are declarations, or some keys of an `app.yaml` or an `environment.yaml`; other kinds are Kubernetes objects.
#[test]
fn test_declarations_in_documents_are_accepted() {
    let mut seen = 0;
    for document in documents() {
        for (_, block) in split(&read(&document))
            .1
            .iter()
            .filter(|(language, _)| language == "yaml")
        {
            seen += 1;
            let problems = Platform::new().example(block);
            assert!(problems.is_empty(), "{document}:\n{block}\n{problems}");
        }
    }
    assert!(seen > 8, "only {seen} examples were found");
}

#[test]
fn test_a_wrong_example_is_told() {
    let problems = Platform::new().example("quotas: {cpu: \"1\"}\n");
    assert!(problems.contains("did you mean `quota`?"), "{problems}");
}

#[test]
fn test_commands_are_found_where_the_shell_ends_them() {
    let words = |line: &str| {
        commands(line)
            .iter()
            .map(|words| words.join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words("export KUBECONFIG=$(lotse lab kubeconfig --cluster moin); lotse check > out"),
        ["lotse lab kubeconfig --cluster moin", "lotse check"]
    );
    assert_eq!(
        words("cargo run --locked -- bootstrap lab"),
        ["lotse bootstrap lab"]
    );
    assert_eq!(
        refusal(&["lotse".into(), "chek".into()]),
        Some(ErrorKind::InvalidSubcommand)
    );
}
