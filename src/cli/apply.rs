//! `lotse apply`: carries a plan out.

use std::time::Instant;

use camino::Utf8Path;
use clap::Args;

use super::bootstrap::{LabLogins, by_hand, timeouts};
use super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::plan::{self, Target};
use super::pruning::PruningArguments;
use super::turn::Turn;
use super::ui::{self, Style};
use super::workspace::{Workspace, plural};
use super::{CommandError, Exit, Kind, Settings, error};
use crate::bootstrap::{self, EnvironmentPlan, Limits, Outcome, PersonLogin, Scope, StageLimit, Surface};
use crate::config::Loaded;
use crate::names::EnvironmentName;
use crate::plan::Action;
use crate::report::Reporter;

/// Carry out a plan: one that was saved, or the one of an environment after a question
///
/// A saved plan is compared with what would be planned now, and refused when anything has moved. Without a saved plan, the
/// changes are shown and carried out when they are agreed to. What is declared with `lab:` needs its lab up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse apply lab                 plan, ask, carry out
  lotse apply lab.plan            what `lotse plan lab --out lab.plan` wrote
  lotse apply lab --target dns    only the records
  lotse apply lab --target monitoring    only what belongs to one application")]
pub(super) struct ApplyArguments {
    /// A saved plan, or the name of an environment
    #[arg(value_name = "FILE|ENVIRONMENT")]
    what: String,
    /// Only this system (management, keycloak, git, workload, dns) or application; may be given more than once
    #[arg(long, value_name = "TARGET")]
    target: Vec<Target>,
    /// How long waits may take, of one stage or of each (20m); may be given more than once: `10m`, `cluster=45m`
    #[arg(long, value_name = "[STAGE=]TIME")]
    timeout: Vec<StageLimit>,
    #[command(flatten)]
    pruning: PruningArguments,
    /// Take over fields that another program looks after
    #[arg(long)]
    force_conflicts: bool,
    /// Take over records of the zone that are there without anybody's mark
    #[arg(long)]
    adopt: bool,
    /// Go ahead without being asked
    #[arg(long, short)]
    yes: bool,
}

/// So many differences from a stale plan are told one by one.
const TOLD: usize = 20;

/// Carries the command out.
pub(super) async fn run(arguments: &ApplyArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let started = Instant::now();
    let workspace = Workspace::new(settings);
    let saved = saved(arguments, &workspace)?;
    let environment = match &saved {
        Some(plan) => environment_of(plan)?,
        None => EnvironmentName::new(arguments.what.as_str())
            .map_err(|error| CommandError::new(Kind::Usage, error.to_string()))?,
    };
    let loaded = workspace.open(&environment)?;
    let scope = plan::scope(&arguments.target, &loaded)?;
    let reporter = ui::reporter(settings.quiet);
    let _turn = Turn::take(&environment, settings, reporter.as_ref()).await?;
    let prune = match &saved {
        Some(plan) => deletions(plan),
        None => arguments.pruning.limit(),
    };
    let planning = plan::make(
        &workspace,
        settings,
        (&loaded, prune),
        (&scope, reporter.as_ref()),
    );
    let planned = tokio::select! {
        planned = planning => planned?,
        () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
    };
    match &saved {
        Some(saved) => {
            refuse_moved(saved, &planned)?;
            refuse_unmarked(saved, arguments)?;
        }
        None if planned.is_empty() => {}
        None => tokio::select! {
            agreed = agree(&planned, arguments) => agreed?,
            () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
        },
    }
    if planned.is_empty() {
        ui::print(&plan::tree(&planned, &command(arguments), Style::of_stdout()));
        return Ok(Exit::Done);
    }
    let work = carry_out(
        arguments,
        (&workspace, settings),
        (&loaded, prune),
        &scope,
        reporter.as_ref(),
    );
    let outcome = tokio::select! {
        outcome = work => outcome?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
    };
    drop(reporter);
    let changes = outcome.changes.values().sum();
    let took = ui::duration(started.elapsed());
    let what = match targets(arguments) {
        whole if whole.is_empty() => environment.to_string(),
        targets => format!("{} of {environment}", targets.join(", ")),
    };
    ui::print(&format!(
        "{what} is as declared: {} in {took}.\n{}",
        plural(changes, "change"),
        by_hand(&outcome)
    ));
    Ok(Exit::Done)
}

/// The plan that is meant, where it is not an environment that is named.
fn saved(
    arguments: &ApplyArguments,
    workspace: &Workspace<'_>,
) -> Result<Option<EnvironmentPlan>, CommandError> {
    let what = Utf8Path::new(&arguments.what);
    let is_environment = EnvironmentName::new(what.as_str()).is_ok()
        && (workspace.root.join("environments").join(what).is_dir() || !what.is_file());
    if is_environment {
        return Ok(None);
    }
    if !arguments.target.is_empty() {
        return Err(
            CommandError::new(Kind::Usage, "a saved plan is carried out as a whole")
                .hint("leave --target out, or name the environment in place of the plan"),
        );
    }
    let text =
        fs_err::read_to_string(what).map_err(|source| CommandError::from_error(Kind::Usage, &source))?;
    let plan: EnvironmentPlan = serde_json::from_str(&text).map_err(|source| {
        CommandError::new(Kind::Usage, format!("{what} is no plan: {source}"))
            .hint("`lotse plan ENVIRONMENT --out FILE` writes one")
    })?;
    Ok(Some(plan))
}

/// How much a saved plan removes from the realm at most; none where it does not prune.
fn deletions(plan: &EnvironmentPlan) -> Option<usize> {
    if !plan.prune {
        return None;
    }
    let realm = plan
        .surfaces
        .iter()
        .filter(|plan| plan.surface == Surface::Keycloak);
    let changes = realm.flat_map(|plan| &plan.changes);
    Some(changes.filter(|change| change.action == Action::Delete).count())
}

fn environment_of(plan: &EnvironmentPlan) -> Result<EnvironmentName, CommandError> {
    if (plan.api_version.as_str(), plan.kind.as_str()) != (bootstrap::PLAN_API_VERSION, bootstrap::PLAN_KIND)
    {
        let message = format!("the plan is of {} {}", plan.api_version, plan.kind);
        return Err(CommandError::new(Kind::Usage, message).hint("plan again with this version of lotse"));
    }
    EnvironmentName::new(plan.environment.as_str())
        .map_err(|error| CommandError::new(Kind::Usage, error.to_string()))
}

fn refuse_moved(saved: &EnvironmentPlan, now: &EnvironmentPlan) -> Result<(), CommandError> {
    let moved = saved.moved(now);
    if moved.is_empty() {
        return Ok(());
    }
    let mut error = CommandError::new(Kind::Checks, "the plan is stale: nothing was changed");
    error.causes = moved.iter().take(TOLD).map(ToString::to_string).collect();
    if let Some(more) = moved.len().checked_sub(TOLD).filter(|more| *more > 0) {
        error.causes.push(format!("and {more} more"));
    }
    Err(error.hint(format!(
        "plan again: `lotse plan {} --out FILE`",
        saved.environment
    )))
}

/// Shows what would be changed, and asks.
/// Before anything is changed: what would fail half way is refused.
fn refuse_unmarked(plan: &EnvironmentPlan, arguments: &ApplyArguments) -> Result<(), CommandError> {
    let unmarked = plan.unmarked();
    if arguments.adopt || unmarked.is_empty() {
        return Ok(());
    }
    let message = format!("nobody's mark is on {}; nothing was changed", unmarked.join(", "));
    Err(CommandError::new(Kind::Failed, message).hint(format!(
        "`{} --adopt` takes over what is there; or remove it by hand",
        command(arguments)
    )))
}

async fn agree(plan: &EnvironmentPlan, arguments: &ApplyArguments) -> Result<(), CommandError> {
    ui::print(&plan::changes(plan, Style::of_stdout()));
    refuse_unmarked(plan, arguments)?;
    if arguments.yes || ui::confirm("Carry this out?").await? {
        return Ok(());
    }
    Err(CommandError::new(Kind::Usage, "nothing was changed"))
}

fn targets(arguments: &ApplyArguments) -> Vec<String> {
    arguments.target.iter().map(ToString::to_string).collect()
}

/// What goes on from a failure: the same again.
fn command(arguments: &ApplyArguments) -> String {
    let targets = arguments
        .target
        .iter()
        .map(|target| format!(" --target {target}"));
    let pruning = arguments.pruning.words();
    let forced = arguments.force_conflicts.then(|| " --force-conflicts".to_owned());
    let adopting = arguments.adopt.then(|| " --adopt".to_owned());
    let options: String = targets
        .chain(pruning)
        .chain(forced)
        .chain(adopting)
        .chain(timeouts(&arguments.timeout))
        .collect();
    format!("lotse apply {}{options}", arguments.what)
}

async fn carry_out(
    arguments: &ApplyArguments,
    (workspace, settings): (&Workspace<'_>, &Settings),
    (loaded, prune): (&Loaded, Option<usize>),
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<Outcome, CommandError> {
    check_settings(loaded, settings)?;
    check_realm(loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let logins = lab.as_ref().map(|lab| LabLogins { lab });
    let login = logins.as_ref().map(|logins| logins as &dyn PersonLogin);
    let declarations = &loaded.declarations;
    let choices = Choices {
        limits: Limits::of(&arguments.timeout),
        force_conflicts: arguments.force_conflicts,
        adopt: arguments.adopt,
        prune,
        ..Choices::default()
    };
    with_bootstrap(
        (workspace, settings),
        declarations,
        (lab.as_ref(), login),
        (choices, reporter),
        async |bootstrap| {
            let done = Box::pin(bootstrap::run(bootstrap, scope, reporter)).await;
            done.map_err(|failed| error::of_bootstrap(&failed, &command(arguments)))
        },
    )
    .await
}
