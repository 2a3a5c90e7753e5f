//! Reading all files of one environment.

mod agreement;
mod apps;
mod extends;
mod manifests;

use std::collections::BTreeSet;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::Date;

use super::app::App;
use super::environment::Environment;
use super::file::Files;
use super::mask;
use super::people::{People, Team};
use super::read::{self, Findings, Mention, Platform};
use super::sealed;
use super::tree::{self, Node};
use crate::age::Recipient;
use crate::diag::{Code, Diagnostic, Label, Severity, Sources, Span, did_you_mean};
use crate::names::{AppName, EnvironmentName};
use crate::parallel;

/// Everything that one environment is declared by, without a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Declarations {
    /// The cluster.
    pub environment: Environment,
    /// People and teams.
    pub people: People,
    /// The environment's applications, sorted by name.
    pub apps: Vec<App>,
}

/// What was read, and what is worth a look.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The declarations.
    pub declarations: Declarations,
    /// Problems that stop nothing.
    pub warnings: Vec<Diagnostic>,
    /// Texts of the files that were read.
    pub sources: Sources,
}

/// The declarations have errors. Shown as a whole by [`crate::diag::to_text`].
#[derive(Clone, Debug)]
pub struct Problems {
    /// All problems of all files, warnings among them, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts of the files that were read.
    pub sources: Sources,
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .diagnostics
            .iter()
            .filter(|each| each.severity() == Severity::Error)
            .count();
        let noun = if errors == 1 { "error" } else { "errors" };
        write!(formatter, "the declarations have {errors} {noun}")
    }
}

impl std::error::Error for Problems {}

/// Names of the environments under `root`, sorted. Folders whose names can't be names of environments are left out.
///
/// # Errors
/// When the folder `environments` can't be read.
pub fn environments(root: &Utf8Path) -> Result<Vec<EnvironmentName>, std::io::Error> {
    environments_in(Files::below(root))
}

fn environments_in(files: Files<'_>) -> Result<Vec<EnvironmentName>, std::io::Error> {
    Ok(files
        .folders(Utf8Path::new("environments"))?
        .into_iter()
        .filter_map(|name| EnvironmentName::new(name).ok())
        .collect())
}

/// Environments that would change each other's cluster, records or realm.
#[must_use]
pub fn rivals(environments: &[Environment]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, one) in environments.iter().enumerate() {
        for other in &environments[..index] {
            let (ours, theirs) = (&one.management, &other.management);
            let is_same_cluster = (&ours.context, &ours.namespace, &one.cluster.name)
                == (&theirs.context, &theirs.namespace, &other.cluster.name)
                && ours.kubeconfig == theirs.kubeconfig
                && one.lab == other.lab;
            let is_same_domain = one.domain == other.domain && one.lab == other.lab;
            let is_same_realm = one.identity.url == other.identity.url
                && one.identity.realm == other.identity.realm
                && one.lab == other.lab;
            let what = match (is_same_cluster, is_same_domain, is_same_realm) {
                (true, ..) => format!("the cluster `{}` of `{}`", one.cluster.name, ours.context),
                (false, true, _) => format!("the domain `{}`", one.domain),
                (false, false, true) => format!("the realm `{}`", one.identity.realm),
                (false, false, false) => continue,
            };
            let path = Utf8PathBuf::from(format!("environments/{}/environment.yaml", one.name));
            let message = format!("{what} is declared by the environment `{}`, too", other.name);
            found.push(
                Diagnostic::new(Code::SharedByEnvironments, message)
                    .at(&path, Span { start: 0, end: 0 }, "")
                    .with_help("give each environment a cluster, a domain and a realm of its own"),
            );
        }
    }
    found
}

/// Folders under `environments` whose names can't be names of environments, with why not.
#[must_use]
pub fn misnamed_environments(root: &Utf8Path) -> Vec<Diagnostic> {
    let folders = Files::below(root)
        .folders(Utf8Path::new("environments"))
        .unwrap_or_default();
    folders
        .into_iter()
        .filter_map(|folder| {
            let error = EnvironmentName::new(folder.as_str()).err()?;
            let path = Utf8Path::new("environments").join(&folder);
            let message = format!("the folder {path} can't be an environment: {error}");
            Some(Diagnostic::new(Code::Malformed, message).at(&path, Span { start: 0, end: 0 }, ""))
        })
        .collect()
}

/// Names of the folders under `apps/`, sorted, whether an environment runs them or not; none where there is no `apps`.
///
/// # Errors
/// When the folder `apps` can't be read.
pub fn app_folders(root: &Utf8Path) -> Result<Vec<String>, std::io::Error> {
    match Files::below(root).folders(Utf8Path::new("apps")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found,
    }
}

/// Reads and checks everything that `environment` is declared by, below the folder `root`. `today` decides which
/// grants have ended.
///
/// # Errors
/// All errors of all files at once.
pub fn load(root: &Utf8Path, environment: &EnvironmentName, today: Date) -> Result<Loaded, Problems> {
    load_files(Files::below(root), environment, today)
}

/// The same for files some of which are not written yet.
///
/// # Errors
/// All errors of all files at once.
pub fn load_files(files: Files<'_>, environment: &EnvironmentName, today: Date) -> Result<Loaded, Problems> {
    let mut loader = Loader::new(files, today);
    let declarations = loader.load(environment);
    loader.ended(declarations)
}

/// The same without a look at manifests.
///
/// # Errors
/// All errors of the declarations at once.
pub fn load_declared(
    root: &Utf8Path,
    environment: &EnvironmentName,
    today: Date,
) -> Result<Loaded, Problems> {
    let mut loader = Loader::new(Files::below(root), today);
    loader.looks_at_manifests = false;
    let declarations = loader.load(environment);
    loader.ended(declarations)
}

/// The folder of `environment` and those of the environments that it extends, the nearest first.
#[must_use]
pub fn environment_folders(root: &Utf8Path, environment: &EnvironmentName) -> Vec<Utf8PathBuf> {
    extends::folders(Files::below(root), environment).unwrap_or_else(|| vec![folder_of(environment)])
}

/// Reads and checks only the people of `environment`.
///
/// # Errors
/// All errors of the file at once.
pub fn load_people(root: &Utf8Path, environment: &EnvironmentName) -> Result<People, Problems> {
    let mut loader = Loader::new(Files::below(root), Date::default());
    let folder = folder_of(environment);
    let people = if loader.files.is_folder(&folder) {
        loader.people(&folder)
    } else {
        loader.no_such_environment(environment);
        None
    };
    let people = people.filter(|_| !loader.has_errors());
    people.ok_or(Problems {
        diagnostics: loader.diagnostics,
        sources: loader.sources,
    })
}

/// Reads and checks only `environment.yaml`, for what has to be known before all else is in order.
///
/// # Errors
/// All errors of the file at once.
pub fn load_environment(root: &Utf8Path, environment: &EnvironmentName) -> Result<Environment, Problems> {
    let mut loader = Loader::new(Files::below(root), Date::default());
    let known: BTreeSet<String> = loader.app_names().iter().map(ToString::to_string).collect();
    let read = if loader.files.is_folder(&folder_of(environment)) {
        loader.environment(environment, &known, None)
    } else {
        loader.no_such_environment(environment);
        None
    };
    let read = read.filter(|_| !loader.has_errors());
    read.ok_or(Problems {
        diagnostics: loader.diagnostics,
        sources: loader.sources,
    })
}

/// Where an environment is declared.
fn folder_of(environment: &EnvironmentName) -> Utf8PathBuf {
    Utf8PathBuf::from("environments").join(environment.as_str())
}

/// What diagnostics are sorted by.
fn place(diagnostic: &Diagnostic) -> (Option<&Label>, Code) {
    (diagnostic.labels.first(), diagnostic.code)
}

struct Loader<'root> {
    files: Files<'root>,
    today: Date,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    claims: Vec<Claim>,
    looks_at_manifests: bool,
}

/// What an application of the environment names that has to agree with others, or with files.
struct Claim {
    app: AppName,
    mention: Mention,
}

impl<'root> Loader<'root> {
    const fn new(files: Files<'root>, today: Date) -> Self {
        Self {
            files,
            today,
            sources: Sources::new(),
            diagnostics: Vec::new(),
            claims: Vec::new(),
            looks_at_manifests: true,
        }
    }

    /// What was loaded, unless there was an error.
    fn ended(mut self, declarations: Option<Declarations>) -> Result<Loaded, Problems> {
        self.diagnostics
            .sort_by(|one, other| place(one).cmp(&place(other)));
        match declarations {
            Some(declarations) if !self.has_errors() => Ok(Loaded {
                declarations,
                warnings: self.diagnostics,
                sources: self.sources,
            }),
            _ => Err(Problems {
                diagnostics: self.diagnostics,
                sources: self.sources,
            }),
        }
    }

    fn people(&mut self, folder: &Utf8Path) -> Option<People> {
        self.file(&folder.join("people.yaml"), read::people)
    }

    fn environment(
        &mut self,
        name: &EnvironmentName,
        known: &BTreeSet<String>,
        teams: Option<&[Team]>,
    ) -> Option<Environment> {
        let files = self.files;
        self.file(
            &folder_of(name).join("environment.yaml"),
            |node, findings| match extends::extended(files, node, name) {
                Ok(extended) => {
                    let read = read::environment(&extended.node, findings, name, (known, teams));
                    extends::leave_fixes_to_the_base(&mut findings.diagnostics, &extended);
                    read
                }
                Err(problem) => {
                    findings.report(problem.code, problem.span, problem.message).help = Some(problem.help);
                    None
                }
            },
        )
    }

    fn load(&mut self, name: &EnvironmentName) -> Option<Declarations> {
        let folder = folder_of(name);
        if !self.files.is_folder(&folder) {
            self.no_such_environment(name);
            return None;
        }
        let folders = extends::folders(self.files, name);
        // Where another environment should have them and can't be followed, that is what is told.
        let people = folders.as_ref().and_then(|folders| {
            let has_people = |folder: &&Utf8PathBuf| self.files.is_file(&folder.join("people.yaml"));
            let folder = folders.iter().find(has_people).unwrap_or(&folder).clone();
            self.people(&folder)
        });
        let folders = folders.unwrap_or_else(|| vec![folder.clone()]);
        // What was left out of a faulty file would be reported as unknown everywhere else.
        let people = people.filter(|_| !self.has_errors());
        let app_names = self.app_names();
        let known: BTreeSet<String> = app_names.iter().map(ToString::to_string).collect();
        let teams = people.as_ref().map(|people| people.teams.as_slice());
        let files = self.files;
        let environment = self.environment(name, &known, teams);
        let platform = environment.as_ref().zip(people.as_ref());
        let platform = platform.map(|(environment, people)| Platform { environment, people });
        self.check_override_folders(&folder, environment.as_ref());
        let listed: BTreeSet<&AppName> = environment.iter().flat_map(|each| &each.apps).collect();
        let read = parallel::map(&app_names, |app| {
            let mut loader = Self::new(self.files, self.today);
            let folder = extends::overriding(&folders, app.as_str(), |path| files.is_folder(path));
            let read = loader.app(app, folder, platform.filter(|_| listed.contains(app)));
            (read.filter(|app| listed.contains(&app.name)), loader)
        });
        let apps: Vec<App> = read
            .into_iter()
            .filter_map(|(app, loader)| {
                self.absorb(loader);
                app
            })
            .collect();
        let environment = environment?;
        let disagreements = agreement::check(&self.claims, &environment, &apps);
        self.diagnostics.extend(disagreements);
        let readers = people
            .as_ref()
            .map(|people| sealed::readers(&environment, people));
        let recipients = readers.map(|readers| readers.into_iter().map(|reader| reader.recipient));
        let recipients: Option<Vec<Recipient>> = recipients.map(Iterator::collect);
        if self.looks_at_manifests {
            self.check_manifests_of(&environment, &folders, (&apps, recipients.as_deref()));
        }
        Some(Declarations {
            environment,
            people: people?,
            apps,
        })
    }

    /// Takes over what another one found.
    fn absorb(&mut self, other: Self) {
        self.sources.extend(other.sources);
        self.diagnostics.extend(other.diagnostics);
        self.claims.extend(other.claims);
    }

    fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|each| each.severity() == Severity::Error)
    }

    fn no_such_environment(&mut self, name: &EnvironmentName) {
        let there = environments_in(self.files).unwrap_or_default();
        let names: Vec<&str> = there.iter().map(EnvironmentName::as_str).collect();
        let mut diagnostic = Diagnostic::new(
            Code::NoSuchEnvironment,
            format!("environment `{name}` has no folder under environments/"),
        );
        diagnostic.help = match did_you_mean(name.as_str(), names.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if names.is_empty() => Some(format!(
                "there is none in {}; run lotse in the platform's repository, or name it with `-C`",
                self.files.root()
            )),
            None => Some(format!("there are: {}", names.join(", "))),
        };
        self.diagnostics.push(diagnostic);
    }

    /// Reads one file; whatever is wrong with it is noted.
    fn file<T>(
        &mut self,
        path: &Utf8Path,
        read: impl FnOnce(&Node, &mut Findings<'_>) -> Option<T>,
    ) -> Option<T> {
        self.file_with_mentions(path, read).0
    }

    /// Reads one file, and gives what it names that has to agree with others.
    fn file_with_mentions<T>(
        &mut self,
        path: &Utf8Path,
        read: impl FnOnce(&Node, &mut Findings<'_>) -> Option<T>,
    ) -> (Option<T>, Vec<Mention>) {
        let text = match self.files.read(path) {
            Ok(text) => text,
            Err(unread) => {
                let shown = unread.text.as_deref().map(mask::over_lines);
                self.sources.extend(shown.map(|shown| (path.to_owned(), shown)));
                self.diagnostics.push(unread.diagnostic);
                return (None, Vec::new());
            }
        };
        let mut findings = Findings::new(path, &text);
        let (value, shown) = match tree::parse(&text) {
            Ok(node) => {
                let value = read(&node, &mut findings);
                (value, mask::over(&text, &findings.secrets))
            }
            Err(error) => {
                let span = error.span.unwrap_or(Span { start: 0, end: 0 });
                findings.report(error.code, span, error.message).help = error.help;
                (None, mask::over_lines(&text))
            }
        };
        let Findings {
            mut diagnostics,
            mentions,
            ..
        } = findings;
        self.diagnostics.append(&mut diagnostics);
        self.sources.insert(path.to_owned(), shown);
        (value, mentions)
    }
}
