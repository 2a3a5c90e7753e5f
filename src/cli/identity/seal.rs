//! `lotse identity seal`: secrets of clients that are kept in Git.

use clap::Args;

use super::super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::super::secrets::Sealing;
use super::super::workspace::Workspace;
use super::super::{CommandError, Exit, Settings, error, ui};
use super::clients::{chosen, declared};
use crate::bootstrap;
use crate::names::EnvironmentName;

/// Write the secrets of clients into encrypted manifests
///
/// For clients with `delivery: git`: Flux brings their Secret, and a bring-up leaves it alone. Keycloak makes the client first
/// (`lotse apply`); then this writes `SECRET.yaml` into the manifests of the application, encrypted to the cluster and to those of
/// `secrets.teams`. You commit it. A file that has the present secret stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse identity seal lab              all clients whose secret is kept in Git
  lotse identity seal lab grafana")]
pub(super) struct SealArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Client ids, as app.yaml has them; without any, all that are kept in Git
    #[arg(value_name = "CLIENT")]
    clients: Vec<String>,
}

/// Carries the command out.
pub(super) async fn run(arguments: &SealArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    check_settings(&loaded, settings)?;
    check_realm(&loaded)?;
    let declarations = &loaded.declarations;
    let lab = find_lab(&declarations.environment, settings).await?;
    let reporter = ui::reporter(settings.quiet);
    let sealed = with_bootstrap(
        (&workspace, settings),
        declarations,
        (lab.as_ref(), None),
        (Choices::default(), reporter.as_ref()),
        async |bootstrap| {
            let clients = chosen(&bootstrap.desired.realm, &arguments.clients, |client| {
                client.kind.is_in_git()
            })?;
            let sealing: Vec<Sealing> = clients
                .iter()
                .filter_map(|client| declared(declarations, &client.client_id))
                .map(|declared| Sealing::prepare(declarations, declared, (&workspace, settings)))
                .collect::<Result<_, _>>()?;
            if sealing.is_empty() {
                return Ok(0);
            }
            let credentials = bootstrap::client_credentials(bootstrap, &clients, reporter.as_ref());
            let credentials = Box::pin(credentials).await;
            let credentials = credentials.map_err(|failed| error::of_plan(&failed))?;
            for (sealing, credentials) in sealing.iter().zip(&credentials) {
                sealing.write(credentials, &workspace).await?;
            }
            Ok(sealing.len())
        },
    );
    let sealed = tokio::select! {
        sealed = sealed => sealed?,
        () = settings.interrupted.cancelled() => return Err(CommandError::interrupted()),
    };
    drop(reporter);
    if sealed == 0 {
        ui::print("No client's secret is kept in Git: `delivery: git` under `login` in app.yaml says so.\n");
    }
    Ok(Exit::Done)
}
