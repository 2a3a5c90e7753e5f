//! `lotse identity rotate`: another secret for a client.

use clap::Args;
use jiff::SignedDuration;

use super::super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::super::secrets::Sealing;
use super::super::turn::Turn;
use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Kind, Settings, error, ui};
use super::clients::{chosen, declared};
use crate::bootstrap::{self, Rotated};
use crate::config::Declarations;
use crate::desired::identity::Client;
use crate::names::EnvironmentName;

/// Give clients of applications another secret
///
/// Keycloak makes the new secret, and it is carried to the application at once. The one before holds beside it for
/// `identity.clientSecretGrace`, so that nobody is locked out while the application takes the new one up. A secret that is kept in
/// Git (`delivery: git`) is written into its encrypted manifest, which you commit. Refused where the present secret would end
/// at once, or a grace period of an earlier rotation: `--at-once` does it all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse identity rotate lab grafana              the secret before holds for its grace period
  lotse identity rotate lab grafana --at-once    a secret that others may know ends now")]
pub(super) struct RotateArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Client ids, as app.yaml has them
    #[arg(value_name = "CLIENT", required = true)]
    clients: Vec<String>,
    /// End the present secret, and a grace period that goes on
    #[arg(long)]
    at_once: bool,
    /// Go ahead without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Carries the command out.
pub(super) async fn run(arguments: &RotateArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let declarations = &loaded.declarations;
    let lab = find_lab(&declarations.environment, settings).await?;
    let reporter = ui::reporter(settings.quiet);
    let _turn = Turn::take(&arguments.environment, settings, reporter.as_ref()).await?;
    let rotated = with_bootstrap(
        (&workspace, settings),
        declarations,
        (lab.as_ref(), None),
        (Choices::default(), reporter.as_ref()),
        async |bootstrap| {
            let clients = chosen(&bootstrap.desired.realm, &arguments.clients, |_| true)?;
            // Whatever keeps a secret from getting into Git is to be known before there is one.
            let sealing = clients.iter().filter(|client| client.kind.is_in_git());
            let sealing: Vec<Sealing> = sealing
                .map(|client| sealing_of(client, declarations, &workspace, settings))
                .collect::<Result<_, _>>()?;
            confirm(arguments, &clients, bootstrap.desired.realm.client_secret_grace).await?;
            let rotation = bootstrap::rotate(bootstrap, (&clients, arguments.at_once), reporter.as_ref());
            let rotated = Box::pin(rotation).await;
            let rotated = rotated.map_err(|failed| error::of_plan(&failed))?;
            let for_git = rotated.iter().filter_map(|rotated| rotated.credentials.as_ref());
            for (sealing, credentials) in sealing.iter().zip(for_git) {
                let written = sealing.write(credentials, &workspace).await;
                written.map_err(|error| {
                    error.hint(format!(
                        "{} has its new secret: `lotse identity seal {}` writes it",
                        credentials.client_id, arguments.environment
                    ))
                })?;
            }
            Ok(rotated)
        },
    );
    let rotated = tokio::select! {
        rotated = rotated => rotated?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
    };
    drop(reporter);
    for client in &rotated {
        ui::print(&in_words(client));
    }
    Ok(Exit::Done)
}

async fn confirm(
    arguments: &RotateArguments,
    clients: &[&Client],
    grace: Option<u32>,
) -> Result<(), CommandError> {
    let names: Vec<&str> = clients.iter().map(|client| client.client_id.as_str()).collect();
    let what = match grace.filter(|_| !arguments.at_once) {
        Some(seconds) => format!(
            "The present one holds for {:#} more",
            SignedDuration::from_secs(seconds.into())
        ),
        None if clients.iter().any(|client| client.kind.is_in_git()) => {
            "The present one ends at once: nobody logs in there until the new one is committed and delivered"
                .to_owned()
        }
        None => "The present one ends at once".to_owned(),
    };
    let question = format!("{what}. Give {} another secret?", names.join(", "));
    if arguments.yes || ui::confirm(&question).await? {
        return Ok(());
    }
    Err(CommandError::new(Kind::Usage, "nothing was changed"))
}

fn sealing_of(
    client: &Client,
    declarations: &Declarations,
    workspace: &Workspace<'_>,
    settings: &Settings,
) -> Result<Sealing, CommandError> {
    let declared = declared(declarations, &client.client_id);
    let (app, login) = declared.ok_or_else(|| {
        let message = format!("no application declares the client {}", client.client_id);
        CommandError::new(Kind::Usage, message)
    })?;
    Sealing::prepare(declarations, (app, login), (workspace, settings))
}

fn in_words(rotated: &Rotated) -> String {
    let Rotated {
        client,
        secret,
        until,
        ..
    } = rotated;
    let place = match secret {
        Some(secret) => format!("in {secret}"),
        None => "in Git once you have committed it".to_owned(),
    };
    let before = match until {
        Some(until) => format!("the one before holds until {}", bootstrap::in_words(*until)),
        None => "the one before has ended".to_owned(),
    };
    let next = match secret {
        Some(_) => "Have the application read it again.",
        None => "Commit it, and `lotse apply` brings it there; then have the application read it again.",
    };
    format!("{client}: a new secret is {place}; {before}. {next}\n")
}
