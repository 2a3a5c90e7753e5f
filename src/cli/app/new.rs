//! `lotse app new`: first files of an application, checked with everything else before the first is written.

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::files::{self, NewFiles};
use crate::cli::workspace::Workspace;
use crate::cli::{CommandError, Exit, Kind, error, ui};
use crate::config;
use crate::diag::did_you_mean;
use crate::names::{AppName, EnvironmentName, HostLabel, TeamName};
use crate::skeleton::{AppDraft, DraftSource};

/// Write the first files of an application
///
/// Writes the declaration, first manifests or values, and two runbooks, and adds the application to the environments that
/// are named. What is not given is asked for, when there is a terminal. All of it is checked together with what is there
/// before the first file is written; no file that is there is replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse app new notes                                     asks what it has to know
  lotse app new notes -e lab --owner website --owner platform \\
    --description 'Notes that are written together' \\
    --image docker.io/hedgedoc/hedgedoc:1.10.3 --port 3000 --host pad --login
  lotse app new harbor -e lab --owner platform --description 'Images' \\
    --chart harbor --repository https://helm.goharbor.io --chart-version 1.18.0")]
pub(super) struct NewArguments {
    /// Name of the application: of its folder, its namespace and its Service
    #[arg(value_name = "APP")]
    name: AppName,
    /// One sentence about it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Team that answers for it, and gets the role `edit`; can be given several times
    #[arg(long, value_name = "TEAM")]
    owner: Vec<TeamName>,
    /// Host below the environment's domain; can be given several times
    #[arg(long, value_name = "LABEL")]
    host: Vec<HostLabel>,
    /// It logs people in itself: give it a client in Keycloak, with a redirect at its first host
    #[arg(long, requires = "host")]
    login: bool,
    /// The image that runs, with a tag or digest
    #[arg(long, value_name = "IMAGE", conflicts_with = "chart")]
    image: Option<String>,
    /// Port at which the image serves HTTP
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 8080,
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with = "chart"
    )]
    port: u16,
    /// The Helm chart that runs, instead of an image
    #[arg(
        long,
        value_name = "CHART",
        requires = "repository",
        requires = "chart_version"
    )]
    chart: Option<String>,
    /// Repository of the chart: https:// or oci://
    #[arg(long, value_name = "URL", requires = "chart")]
    repository: Option<String>,
    /// Exact version of the chart
    #[arg(long, value_name = "VERSION", requires = "chart")]
    chart_version: Option<String>,
    /// Environment that shall run it; can be given several times
    #[arg(long, short, value_name = "ENVIRONMENT")]
    environment: Vec<EnvironmentName>,
    /// Write nothing, print what would be written as a diff
    #[arg(long)]
    dry_run: bool,
}

/// Carries the command out.
pub(super) async fn run(arguments: &NewArguments, workspace: &Workspace<'_>) -> Result<Exit, CommandError> {
    let known = workspace
        .environments(None)
        .map_err(|failed| error::of_environments(&failed))?;
    let mut answers = Answers::given(arguments);
    if ui::is_somebody_there() {
        answers.ask_for_rest(workspace, &known).await?;
    }
    let environments = answers.environments.clone();
    if let Some(unknown) = environments.iter().find(|name| !known.contains(name)) {
        return Err(no_such_environment(unknown, &known));
    }
    let draft = answers.into_draft(arguments)?;
    let created = draft
        .files()
        .map_err(|source| CommandError::internal("the files could not be made", source))?;
    let mut wanted = NewFiles::new(created);
    for environment in &environments {
        list_in(environment, &arguments.name, workspace, &mut wanted)?;
    }
    files::write(&wanted, &known, workspace, arguments.dry_run)?;
    if !arguments.dry_run {
        ui::eprint(&next_steps(&draft, &environments));
    }
    Ok(Exit::Done)
}

fn no_such_environment(name: &EnvironmentName, known: &[EnvironmentName]) -> CommandError {
    let near = did_you_mean(name.as_str(), known.iter().map(EnvironmentName::as_str));
    CommandError::new(Kind::Usage, format!("there is no environment `{name}`")).hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", listed(known)),
    })
}

/// Adds the application to `apps` of the environment.
fn list_in(
    environment: &EnvironmentName,
    app: &AppName,
    workspace: &Workspace<'_>,
    wanted: &mut NewFiles,
) -> Result<(), CommandError> {
    let path = Utf8PathBuf::from(format!("environments/{environment}/environment.yaml"));
    let text = files::text(workspace, &path)?;
    if config::lists_app(&text, app) {
        return Ok(());
    }
    let Some(after) = config::with_app(&text, app) else {
        let message = format!("`{app}` can't be added to `apps` of {path} as it is written");
        return Err(CommandError::new(Kind::Failed, message)
            .hint("nothing was written; write `apps` as a plain list, or leave `--environment` away and add it by hand"));
    };
    wanted.change(path, text, after);
    Ok(())
}

/// What is known by now.
struct Answers {
    description: Option<String>,
    owners: Vec<TeamName>,
    hosts: Vec<HostLabel>,
    login: bool,
    image: Option<String>,
    is_chart: bool,
    environments: Vec<EnvironmentName>,
}

impl Answers {
    fn given(arguments: &NewArguments) -> Self {
        Self {
            description: arguments.description.clone(),
            owners: once(&arguments.owner),
            hosts: once(&arguments.host),
            login: arguments.login,
            image: arguments.image.clone(),
            is_chart: arguments.chart.is_some(),
            environments: once(&arguments.environment),
        }
    }

    /// Asks for what was not given. Somebody who gives all that is needed is asked nothing.
    async fn ask_for_rest(
        &mut self,
        workspace: &Workspace<'_>,
        known: &[EnvironmentName],
    ) -> Result<(), CommandError> {
        if self.missing().is_empty() {
            return Ok(());
        }
        if self.environments.is_empty() {
            let question = format!(
                "Environments that shall run it ({}; empty: none yet):",
                listed(known)
            );
            self.environments = ask_for_names(&question).await?;
        }
        if self.description.is_none() {
            self.description = Some(ask_for_text("What is it, in one sentence:").await?);
        }
        if self.owners.is_empty() {
            let teams = teams(
                workspace,
                if self.environments.is_empty() {
                    known
                } else {
                    &self.environments
                },
            );
            let question = format!("Teams that answer for it ({}):", listed(&teams));
            while self.owners.is_empty() {
                self.owners = ask_for_names(&question).await?;
            }
        }
        if self.image.is_none() && !self.is_chart {
            self.image = Some(ask_for_text("Image that runs, with its tag:").await?);
        }
        if self.hosts.is_empty() {
            self.hosts = ask_for_names("Hosts below the domain (empty: none):").await?;
            if !self.hosts.is_empty() {
                self.login = ui::ask("Does it log people in itself, by Keycloak?").await?;
            }
        }
        Ok(())
    }

    /// Options that have to be given where nobody can be asked.
    fn missing(&self) -> Vec<&'static str> {
        let all = [
            ("--description", self.description.is_none()),
            ("--owner", self.owners.is_empty()),
            ("--image or --chart", self.image.is_none() && !self.is_chart),
        ];
        all.into_iter()
            .filter_map(|(option, is_missing)| is_missing.then_some(option))
            .collect()
    }

    fn into_draft(self, arguments: &NewArguments) -> Result<AppDraft, CommandError> {
        let missing = self.missing();
        let chart = arguments
            .chart
            .clone()
            .zip(arguments.repository.clone())
            .zip(arguments.chart_version.clone());
        let source = match (self.image, chart) {
            (Some(image), _) => DraftSource::Image {
                image,
                port: arguments.port,
            },
            (None, Some(((chart, repository), version))) => DraftSource::Chart {
                repository,
                chart,
                version,
            },
            (None, None) => return Err(incomplete(&missing)),
        };
        let (Some(description), true) = (self.description, missing.is_empty()) else {
            return Err(incomplete(&missing));
        };
        Ok(AppDraft {
            name: arguments.name.clone(),
            description,
            owners: self.owners,
            hosts: self.hosts,
            login: self.login,
            source,
        })
    }
}

/// Each of `names` once, in their order.
fn once<Name: Clone + PartialEq>(names: &[Name]) -> Vec<Name> {
    let mut kept = Vec::new();
    for name in names {
        if !kept.contains(name) {
            kept.push(name.clone());
        }
    }
    kept
}

fn incomplete(missing: &[&str]) -> CommandError {
    CommandError::new(
        Kind::Usage,
        format!("there is no terminal to ask at, and {} not given", were(missing)),
    )
    .hint("`lotse app new --help` shows an example")
}

/// `--owner was`, `--owner and --image were`
fn were(options: &[&str]) -> String {
    match options {
        [one] => format!("{one} was"),
        [most @ .., last] => format!("{} and {last} were", most.join(", ")),
        [] => String::new(),
    }
}

/// Names of the teams of all `environments` whose people can be read.
fn teams(workspace: &Workspace<'_>, environments: &[EnvironmentName]) -> Vec<TeamName> {
    let people = environments
        .iter()
        .filter_map(|environment| config::load_people(workspace.root, environment).ok());
    let mut names: Vec<TeamName> = people
        .flat_map(|people| people.teams)
        .map(|team| team.name)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn listed(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Asks until something is said.
async fn ask_for_text(question: &str) -> Result<String, CommandError> {
    loop {
        let answer = ui::answer(question).await?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
}

/// Asks until all that is said are names, separated by commas or spaces. Nothing is an answer, too.
async fn ask_for_names<Name>(question: &str) -> Result<Vec<Name>, CommandError>
where
    Name: Clone + PartialEq + std::str::FromStr<Err: ToString>,
{
    loop {
        let answer = ui::answer(question).await?;
        let words = answer.split([',', ' ']).filter(|word| !word.is_empty());
        match words.map(str::parse).collect::<Result<Vec<Name>, _>>() {
            Ok(names) => return Ok(once(&names)),
            Err(error) => ui::eprint(&format!("  {}\n", error.to_string())),
        }
    }
}

fn next_steps(draft: &AppDraft, environments: &[EnvironmentName]) -> String {
    let name = &draft.name;
    let runs = match &draft.source {
        DraftSource::Image { .. } => "manifests",
        DraftSource::Chart { .. } => "values.yaml",
    };
    let mut steps = vec![format!(
        "look through apps/{name}/{runs} and runbooks/{name}: they are a beginning"
    )];
    match environments.first() {
        Some(first) => steps.push(format!(
            "`lotse render {first} --check` shows what the cluster gets"
        )),
        None => steps.push(format!(
            "add `{name}` to `apps` in the environment.yaml of an environment that shall run it"
        )),
    }
    steps.push("open a pull request".to_owned());
    let lines = steps.iter().enumerate().map(|(index, step)| {
        let key = if index == 0 { "next" } else { "" };
        format!("{key:5} {step}\n")
    });
    lines.collect()
}
