//! `lotse plan`: what a bring-up would change, without changing anything.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::format::Format;
use super::pruning::PruningArguments;
use super::ui::{self, Style};
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings, error, written};
use crate::bootstrap::{self, CheckId, Chosen, EnvironmentPlan, Scope, Surface};
use crate::config::Loaded;
use crate::diag::did_you_mean;
use crate::names::{AppName, EnvironmentName};
use crate::report::Reporter;
use crate::temporary;

pub(super) use text::{changes, tree};

/// Show what a bring-up would change in every system, and change nothing
///
/// Compares what is declared with the management cluster, the Keycloak realm, the repository, the workload cluster and the
/// zone. What can't be known yet, since the cluster is not there, is named together with what it waits for. Values of Secrets
/// are masked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse plan lab                        everything that would change
  lotse plan lab --target monitoring    only what belongs to one application
  lotse plan lab --out lab.plan         to be carried out later, or not at all, by `lotse apply lab.plan`
  lotse plan lab --detailed-exitcode    exit code 5 when something is not as declared")]
pub(super) struct PlanArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only this system (management, keycloak, git, workload, dns) or application; may be given more than once
    #[arg(long, value_name = "TARGET")]
    target: Vec<Target>,
    #[command(flatten)]
    pruning: PruningArguments,
    /// Write the plan to this file as well
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    out: Option<Utf8PathBuf>,
    /// End with exit code 5 when something is not as declared
    #[arg(long)]
    detailed_exitcode: bool,
    /// How to write the plan
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// What a plan is narrowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Surface(Surface),
    App(AppName),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surface(surface) => surface.fmt(formatter),
            Self::App(app) => app.fmt(formatter),
        }
    }
}

impl FromStr for Target {
    type Err = crate::names::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self::Surface)
            .or_else(|_| AppName::new(text).map(Self::App))
    }
}

/// Carries the command out.
pub(super) async fn run(arguments: &PlanArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    let scope = scope(&arguments.target, &loaded)?;
    let reporter = ui::reporter(settings.quiet);
    let prune = arguments.pruning.limit();
    let planning = make(
        &workspace,
        settings,
        (&loaded, prune),
        (&scope, reporter.as_ref()),
    );
    let plan = tokio::select! {
        plan = planning => plan?,
        () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
    };
    drop(reporter);
    if let Some(path) = &arguments.out {
        save(&plan, path)?;
    }
    let command = arguments.apply();
    let shown = |plan: &EnvironmentPlan| tree(plan, &command, Style::of_stdout());
    let differs = plan.differs();
    let outcome = arguments.output.write(&plan, shown, &mut io::stdout());
    written(outcome.map(|()| {
        if arguments.detailed_exitcode && differs {
            Exit::Pending
        } else {
            Exit::Done
        }
    }))
}

impl PlanArguments {
    /// What carries the plan out.
    fn apply(&self) -> String {
        if let Some(path) = &self.out {
            return format!("lotse apply {path}");
        }
        let targets = self.target.iter().map(|target| format!(" --target {target}"));
        let options: String = targets.chain(self.pruning.words()).collect();
        format!("lotse apply {}{options}", self.environment)
    }
}

/// Plans what `scope` has of the environment.
pub(super) async fn make(
    workspace: &Workspace<'_>,
    settings: &Settings,
    (loaded, prune): (&Loaded, Option<usize>),
    (scope, reporter): (&Scope, &dyn Reporter),
) -> Result<EnvironmentPlan, CommandError> {
    check_settings(loaded, settings)?;
    check_realm(loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let declarations = &loaded.declarations;
    let choices = Choices {
        // The plan shows them, each at its object.
        checks: Chosen {
            skip: BTreeSet::from([CheckId::ClusterFields]),
            ..Chosen::default()
        },
        prune,
        ..Choices::default()
    };
    with_bootstrap(
        (workspace, settings),
        declarations,
        (lab.as_ref(), None),
        (choices, reporter),
        async |bootstrap| {
            let planned = Box::pin(bootstrap::plan(bootstrap, scope, reporter)).await;
            planned.map_err(|failed| error::of_plan(&failed))
        },
    )
    .await
}

/// The systems and applications that are meant.
pub(super) fn scope(targets: &[Target], loaded: &Loaded) -> Result<Scope, CommandError> {
    let declared = &loaded.declarations.apps;
    let mut scope = Scope::default();
    for target in targets {
        match target {
            Target::Surface(surface) => {
                scope.surfaces.insert(*surface);
            }
            Target::App(app) if declared.iter().any(|each| each.name == *app) => {
                scope.apps.insert(app.clone());
            }
            Target::App(app) => {
                let names = Surface::ALL.iter().map(|surface| surface.as_str());
                let names = names.chain(declared.iter().map(|each| each.name.as_str()));
                let near = did_you_mean(app.as_str(), names);
                let message = format!("`{app}` is neither a system nor an application of this environment");
                return Err(CommandError::new(Kind::Usage, message).hint(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "systems are management, keycloak, git, workload, dns; `lotse app list` shows \
                             applications"
                        .to_owned(),
                }));
            }
        }
    }
    Ok(scope)
}

fn save(plan: &EnvironmentPlan, path: &Utf8Path) -> Result<(), CommandError> {
    let failed = |source: &(dyn std::error::Error + 'static)| CommandError::from_error(Kind::Failed, source);
    let text = serde_json::to_string_pretty(plan).map_err(|source| failed(&source))?;
    let text = text + "\n";
    // What is no plain file, such as a pipe, is not replaced but written to.
    let is_plain = fs_err::symlink_metadata(path).map_or(true, |metadata| metadata.is_file());
    let saved = if is_plain {
        temporary::replace(path, &text, temporary::FOR_EVERYBODY)
    } else {
        fs_err::write(path, text)
    };
    saved.map_err(|source| {
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
        match folder.filter(|folder| !folder.exists()) {
            Some(folder) => failed(&source).hint(format!("make the folder first: `mkdir -p {folder}`")),
            None => failed(&source).hint("choose another place for the plan with --out"),
        }
    })
}
