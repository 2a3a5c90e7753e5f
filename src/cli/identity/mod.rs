//! `lotse identity`: the realm of an environment.

mod clients;
mod restore;
mod rotate;
mod seal;

use clap::{Args, Subcommand};

use super::{CommandError, Exit, Settings};

/// Bring back what was deleted of the realm, and look after the secrets of clients
#[derive(Debug, Args)]
pub(super) struct IdentityArguments {
    #[command(subcommand)]
    command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
enum IdentityCommand {
    Restore(restore::RestoreArguments),
    Rotate(rotate::RotateArguments),
    Seal(seal::SealArguments),
}

/// Carries the command out.
pub(super) async fn run(arguments: &IdentityArguments, settings: &Settings) -> Result<Exit, CommandError> {
    match &arguments.command {
        IdentityCommand::Restore(arguments) => restore::run(arguments, settings).await,
        IdentityCommand::Rotate(arguments) => rotate::run(arguments, settings).await,
        IdentityCommand::Seal(arguments) => seal::run(arguments, settings).await,
    }
}
