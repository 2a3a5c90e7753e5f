//! `lotse preflight`: whether every system can do its part in a bring-up.

use std::collections::BTreeSet;
use std::io;

use clap::Args;
use serde::Serialize;

use super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::format::Format;
use super::ui::{self, Style};
use super::workspace::Workspace;
use super::{CommandError, Exit, Settings, written};
use crate::bootstrap::{self, Check, CheckId, CheckOutcome, Chosen};
use crate::names::EnvironmentName;

/// Ask every system whether it can do its part in a bring-up, and change nothing
///
/// All checks are made, each with its outcome and, where it failed, with what to do about it. `lotse bootstrap` makes the same
/// checks first. Ends with exit code 7 when one failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse preflight lab
  lotse preflight lab --only repository-readable --only repository-writable
  lotse preflight lab --skip zone-writable -o json")]
pub(super) struct PreflightArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only this check; may be given more than once
    #[arg(long, value_name = "CHECK")]
    only: Vec<CheckId>,
    /// Not this check; may be given more than once
    #[arg(long, value_name = "CHECK")]
    skip: Vec<CheckId>,
    /// How to write the outcome
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// All checks, as programs get them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Preflight {
    api_version: &'static str,
    kind: &'static str,
    environment: EnvironmentName,
    checks: Vec<Check>,
}

/// Carries the command out.
pub(super) async fn run(arguments: &PreflightArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let reporter = ui::reporter(settings.quiet);
    let chosen = Chosen {
        only: arguments.only.iter().copied().collect::<BTreeSet<_>>(),
        skip: arguments.skip.iter().copied().collect(),
    };
    let choices = Choices {
        checks: chosen,
        ..Choices::default()
    };
    let checks = with_bootstrap(
        (&workspace, settings),
        &loaded.declarations,
        (lab.as_ref(), None),
        (choices, reporter.as_ref()),
        async |bootstrap| Ok(Box::pin(bootstrap::preflight(bootstrap, reporter.as_ref())).await),
    );
    let checks = tokio::select! {
        checks = checks => checks?,
        () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
    };
    drop(reporter);
    let exit = if checks.iter().any(Check::has_failed) {
        Exit::Checks
    } else {
        Exit::Done
    };
    let outcome = Preflight {
        api_version: "lotse/v1",
        kind: "Preflight",
        environment: arguments.environment.clone(),
        checks,
    };
    let style = Style::of_stdout();
    let shown = |outcome: &Preflight| outcome.checks.iter().map(|check| line(check, style)).collect();
    written(
        arguments
            .output
            .write(&outcome, shown, &mut io::stdout())
            .map(|()| exit),
    )
}

/// `ok      zone-writable           the zone takes signed updates`
fn line(check: &Check, style: Style) -> String {
    let (id, name) = (check.id, check.name);
    match &check.outcome {
        CheckOutcome::Passed => format!("{}      {id:23} {name}\n", style.added("ok")),
        CheckOutcome::NotAsked { reason } => format!("-       {id:23} {name}: not asked, {reason}\n"),
        CheckOutcome::Failed { problem, remedy } => {
            let told = format!("{}  {id:23} not so: {name}\n", style.removed("failed"));
            let indent = " ".repeat(32);
            format!(
                "{told}{indent}{problem}\n{indent}{}{remedy}\n",
                style.help("help: ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_each_check_has_its_line() {
        let check = |id: CheckId, outcome| Check {
            id,
            name: id.name(),
            outcome,
        };
        let failed = CheckOutcome::Failed {
            problem: "no answer".into(),
            remedy: "start it".into(),
        };
        let shown: String = [
            check(CheckId::ZoneWritable, CheckOutcome::Passed),
            check(CheckId::KeycloakAnswers, failed),
            check(
                CheckId::ClusterAccepted,
                CheckOutcome::NotAsked {
                    reason: "known later".into(),
                },
            ),
        ]
        .iter()
        .map(|check| line(check, Style::plain()))
        .collect();
        assert_eq!(
            shown,
            "ok      zone-writable           the zone takes signed updates\n\
             failed  keycloak-answers        not so: Keycloak's administration answers\n                                no answer\n\
            \x20                               help: start it\n\
             -       cluster-accepted        the management cluster takes the Cluster with its variables: not asked, known later\n"
        );
    }
}
