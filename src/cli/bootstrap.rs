//! `lotse bootstrap`: from declarations to a cluster that is proved to work.

use std::time::{Duration, Instant};

use clap::Args;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::environment::{Choices, check_realm, check_settings, with_bootstrap};
use super::error;
use super::lab::LabParts;
use super::turn::Turn;
use super::ui::{self, Style};
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings};
use crate::bootstrap::{self, CheckId, Chosen, Limits, Outcome, PersonLogin, Scope, StageLimit};
use crate::causes;
use crate::config::Loaded;
use crate::desired::KUBECTL_CLIENT;
use crate::lab::RunningLab;
use crate::lab::login::{self, LoginRequest};
use crate::names::{EnvironmentName, LabName, Login};
use crate::report::Reporter;
use crate::secret::Secret;

/// Bring an environment's cluster up, from nothing to proved access
///
/// Creates the cluster through Cluster API and sets the Keycloak realm up beside it, pushes the rendered tree, installs
/// Flux and waits until it is Ready at that commit, and points the wildcard record at the gateway. Changes only what
/// differs: run it again after a failure, an interrupt or a change.
///
/// An environment with `lab:` brings that embedded lab up first, and proves at the end, with tokens of people who
/// logged in, who may do what.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse bootstrap lab       a whole cluster on this machine; again: bring changes in
  lotse -q bootstrap lab    without progress")]
pub(super) struct BootstrapArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// How long waits may take, of one stage or of each (20m); may be given more than once: `10m`, `cluster=45m`
    #[arg(long, value_name = "[STAGE=]TIME")]
    timeout: Vec<StageLimit>,
    /// Go on in spite of this check of preflight (`lotse preflight` names them); may be given more than once
    #[arg(long, value_name = "CHECK")]
    skip: Vec<CheckId>,
    #[command(flatten)]
    parts: LabParts,
    /// Take over fields that another program looks after; what people changed by hand is put back without
    #[arg(long)]
    force_conflicts: bool,
    /// Take over records of the zone that are there without anybody's mark
    #[arg(long)]
    adopt: bool,
    /// Go ahead without being asked; the embedded lab never asks
    #[arg(long, short)]
    yes: bool,
}

/// Carries the command out.
pub(super) async fn run(arguments: &BootstrapArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let started = Instant::now();
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    let reporter = ui::reporter(settings.quiet);
    let _turn = Turn::take(&arguments.environment, settings, reporter.as_ref()).await?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let lab = bring_lab_up(&loaded, &arguments.parts, settings, reporter.as_ref()).await?;
    if lab.is_none() {
        tokio::select! {
            answer = confirm(&loaded, arguments) => answer?,
            () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
        }
    }
    let work = bring_up(
        arguments,
        &workspace,
        settings,
        &loaded,
        (lab.as_ref(), reporter.as_ref()),
    );
    let outcome = tokio::select! {
        outcome = work => outcome?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
        () = lab_stopped(lab.as_ref()) => return Err(stopped_meanwhile(&arguments.environment)),
    };
    drop(reporter);
    ui::print(&summary(&loaded, &outcome, started.elapsed(), Style::of_stdout()));
    Ok(Exit::Done)
}

async fn bring_lab_up(
    loaded: &Loaded,
    parts: &LabParts,
    settings: &Settings,
    reporter: &dyn Reporter,
) -> Result<Option<RunningLab>, CommandError> {
    let Some(name) = &loaded.declarations.environment.lab else {
        return Ok(None);
    };
    super::lab::up(name, parts, settings, reporter).await.map(Some)
}

/// Waits until somebody stops the embedded lab; for ever where there is none.
async fn lab_stopped(lab: Option<&RunningLab>) {
    match lab {
        Some(lab) => lab.stopped().await,
        None => std::future::pending().await,
    }
}

fn stopped_meanwhile(environment: &EnvironmentName) -> CommandError {
    let message = format!("somebody stopped the lab of {environment} during the bring-up");
    CommandError::new(Kind::Failed, message).hint(format!(
        "`lotse bootstrap {environment}` brings it up and goes on"
    ))
}

/// Asks before the first change, unless told not to.
async fn confirm(loaded: &Loaded, arguments: &BootstrapArguments) -> Result<(), CommandError> {
    let environment = &loaded.declarations.environment;
    let question = format!(
        "Bring up {} in namespace {} of management cluster {}?",
        environment.cluster.name, environment.management.namespace, environment.management.context
    );
    if arguments.yes || ui::confirm(&question).await? {
        return Ok(());
    }
    Err(CommandError::new(Kind::Usage, "nothing was changed"))
}

async fn bring_up(
    arguments: &BootstrapArguments,
    workspace: &Workspace<'_>,
    settings: &Settings,
    loaded: &Loaded,
    (lab, reporter): (Option<&RunningLab>, &dyn Reporter),
) -> Result<Outcome, CommandError> {
    let declarations = &loaded.declarations;
    let choices = Choices {
        checks: Chosen {
            skip: arguments.skip.iter().copied().collect(),
            ..Chosen::default()
        },
        limits: Limits::of(&arguments.timeout),
        force_conflicts: arguments.force_conflicts,
        adopt: arguments.adopt,
        prune: None,
    };
    let logins = lab.map(|lab| LabLogins { lab });
    let login = logins.as_ref().map(|logins| logins as &dyn PersonLogin);
    with_bootstrap(
        (workspace, settings),
        declarations,
        (lab, login),
        (choices, reporter),
        async |bootstrap| {
            let done = Box::pin(bootstrap::run(bootstrap, &Scope::default(), reporter)).await;
            done.map_err(|failed| error::of_bootstrap(&failed, &command(arguments)))
        },
    )
    .await
}

/// What goes on from a failure: the same again.
fn command(arguments: &BootstrapArguments) -> String {
    let skipped = arguments.skip.iter().map(|check| format!(" --skip {check}"));
    let forced = arguments.force_conflicts.then(|| " --force-conflicts".to_owned());
    let adopting = arguments.adopt.then(|| " --adopt".to_owned());
    let options: String = skipped
        .chain(forced)
        .chain(adopting)
        .chain(timeouts(&arguments.timeout))
        .collect();
    format!("lotse bootstrap {}{options}", arguments.environment)
}

/// ` --timeout STAGE=TIME` for each limit that was given.
pub(super) fn timeouts(limits: &[StageLimit]) -> impl Iterator<Item = String> {
    limits.iter().map(|limit| format!(" --timeout {limit}"))
}

/// People of the lab log in at its forge; the lab knows their passwords.
pub(super) struct LabLogins<'lab> {
    pub(super) lab: &'lab RunningLab,
}

impl PersonLogin for LabLogins<'_> {
    fn token<'a>(&'a self, issuer: &'a str, person: &'a Login) -> BoxFuture<'a, Result<Secret, String>> {
        async move {
            let password = self
                .lab
                .password(person)
                .ok_or_else(|| format!("{person} has no account at the lab's forge"))?;
            let request = LoginRequest {
                issuer: issuer.to_owned(),
                client_id: KUBECTL_CLIENT.to_owned(),
                redirect_uri: "http://localhost:8000".to_owned(),
                provider: "github".to_owned(),
                forge: self.lab.addresses().map_err(|failed| failed.to_string())?.forge,
                person: person.to_string(),
                password,
                authority: Some(self.lab.authority().map_err(|failed| failed.to_string())?),
            };
            let tokens = login::login(&request)
                .await
                .map_err(|failed| causes::in_one_line(&failed))?;
            Ok(tokens.id_token)
        }
        .boxed()
    }
}

/// What a person needs to know once the cluster is there.
fn summary(loaded: &Loaded, outcome: &Outcome, took: Duration, style: Style) -> String {
    let environment = &loaded.declarations.environment;
    let cluster = &environment.cluster.name;
    let took = ui::duration(took);
    if outcome.is_unchanged() {
        return format!(
            "{cluster} is up to date with {}: nothing to do. ({took})\n{}",
            outcome.commit,
            by_hand(outcome)
        );
    }
    let mut lines = vec![format!(
        "\n{} is ready in {took}.",
        style.strong(cluster.as_str())
    )];
    let mut row = |key: &str, value: String| lines.push(format!("  {key:9} {value}"));
    if let Some(lab) = &environment.lab {
        let lab = if *lab == LabName::standard() {
            String::new()
        } else {
            format!(" {lab}")
        };
        row(
            "kubectl",
            format!("export KUBECONFIG=$(lotse lab kubeconfig{lab})"),
        );
        row("people", format!("lotse lab credentials{lab}"));
        row("logins", outcome.issuer.clone());
        row("next", format!("lotse lab status{lab} · lotse lab down{lab}"));
    } else {
        row("logins", outcome.issuer.clone());
        row(
            "next",
            format!(
                "lotse bootstrap {} (any time: it changes only what differs)",
                environment.name
            ),
        );
    }
    lines.push(by_hand(outcome));
    lines.join("\n")
}

/// What is left to people, a line each.
pub(super) fn by_hand(outcome: &Outcome) -> String {
    let mut lines: Vec<String> = outcome
        .left
        .iter()
        .map(|left| format!("  {:9} {left}", "by hand"))
        .collect();
    lines.push(String::new());
    lines.join("\n")
}
