//! The terminal: arguments, settings, one file per command, and how things are shown.

mod access;
mod app;
mod apply;
mod bootstrap;
pub mod check;
mod environment;
mod error;
pub mod exit;
pub mod explain;
mod files;
mod fix;
mod flux;
mod format;
mod identity;
mod init;
mod kubeconfig;
mod lab;
mod people;
mod plan;
mod preflight;
mod pruning;
pub mod render;
pub mod schema;
mod secrets;
mod settings;
mod turn;
mod ui;
pub mod workspace;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use check::CheckError;
pub use error::{CommandError, Kind};
pub use exit::Exit;
use render::RenderCommandError;
pub use settings::Settings;
use workspace::Workspace;

/// Bring up a productive Kubernetes cluster from a Cluster API management cluster and hand it to Flux
///
/// lotse keeps everything around the cluster's applications in one Git repository: namespaces, access grants, wildcard
/// DNS, Keycloak logins and runbooks.
#[derive(Debug, Parser)]
#[command(name = "lotse", version, arg_required_else_help = true)]
#[command(after_help = "Examples:
  lotse init platform    the repository of a platform of your own
  lotse bootstrap lab    a whole cluster on this machine, no cloud account needed
  lotse plan lab         what would change there, in every system
  lotse check            every mistake in the declarations, with line and help
  lotse lab down         end the lab and remove its state

Exit codes:
  0 done or nothing to do    1 failed            2 wrong usage
  3 mistakes in declarations 4 not logged in     5 changes pending
  7 a check failed           70 internal fault   130 interrupted")]
struct Arguments {
    #[command(flatten)]
    global: settings::GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArguments),
    Bootstrap(bootstrap::BootstrapArguments),
    Preflight(preflight::PreflightArguments),
    Plan(plan::PlanArguments),
    Apply(apply::ApplyArguments),
    Access(access::AccessArguments),
    Identity(identity::IdentityArguments),
    Kubeconfig(kubeconfig::KubeconfigArguments),
    App(app::AppArguments),
    People(people::PeopleArguments),
    Secrets(secrets::SecretsArguments),
    Check(check::CheckArgs),
    Render(render::RenderArgs),
    Explain(explain::ExplainArgs),
    Schema(schema::SchemaArguments),
    Lab(lab::LabArgs),
}

/// The command line as it is understood, for the reference and for checking documents.
#[must_use]
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Reads the arguments, runs the command, prints what went wrong, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match Settings::resolve(&arguments.global) {
        Ok(settings) => settings,
        Err(error) => return ui::fail(&error),
    };
    settings.start_logging();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed already");
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => {
            return ui::fail(&CommandError::internal(
                "the asynchronous runtime could not start",
                source,
            ));
        }
    };
    let ended = runtime.block_on(interruptible(arguments.command, &settings));
    // A thread that still waits for an answer on stdin must not keep the program.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => ui::fail(&error),
    }
}

/// Runs the command until it ends. The first signal that asks for the end (Ctrl-C or SIGTERM) asks it to come to an end in good order, the second drops it where it stands; everything lotse does can be gone on
/// with by the same command.
async fn interruptible(command: Command, settings: &Settings) -> Result<Exit, CommandError> {
    if matches!(&command, Command::Lab(arguments) if arguments.is_supervisor()) {
        return run(command, settings).await;
    }
    let mut signals = Signals::listen()?;
    let running = run(command, settings);
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        () = signals.next() => settings.interrupted.cancel(),
    }
    tokio::select! {
        ended = running => ended,
        () = signals.next() => Err(CommandError::interrupted()),
    }
}

/// The signals that ask for the end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|source| CommandError::internal("signals can't be listened for", source))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn run(command: Command, settings: &Settings) -> Result<Exit, CommandError> {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let workspace = Workspace::new(settings);
    match command {
        Command::Bootstrap(arguments) => bootstrap::run(&arguments, settings).await,
        Command::Preflight(arguments) => preflight::run(&arguments, settings).await,
        Command::Plan(arguments) => plan::run(&arguments, settings).await,
        Command::Apply(arguments) => apply::run(&arguments, settings).await,
        Command::Access(arguments) => access::run(&arguments, settings).await,
        Command::Identity(arguments) => identity::run(&arguments, settings).await,
        Command::Kubeconfig(arguments) => tokio::select! {
            ended = kubeconfig::run(&arguments, settings) => ended,
            () = settings.interrupted.cancelled() => Err(CommandError::interrupted()),
        },
        Command::Check(arguments) => match check::run(&arguments, &workspace, &mut out, &mut err) {
            Err(CheckError::Environments(error)) => Err(error::of_environments(&error)),
            Err(CheckError::Output(error)) => written(Err(error)),
            Err(error @ CheckError::Write { .. }) => Err(CommandError::from_error(Kind::Failed, &error)),
            Ok(exit) => Ok(exit),
        },
        Command::Render(arguments) => match render::run(&arguments, &workspace, &mut out, &mut err) {
            Err(RenderCommandError::Environments(error)) => Err(error::of_environments(&error)),
            Err(RenderCommandError::Io(error)) => written(Err(error)),
            other => other.map_err(|error| CommandError::from_error(Kind::Failed, &error)),
        },
        Command::People(arguments) => people::run(&arguments, &workspace, settings).await,
        Command::Secrets(arguments) if arguments.ends_itself() => secrets::run(&arguments, settings).await,
        Command::Secrets(arguments) => tokio::select! {
            ended = secrets::run(&arguments, settings) => ended,
            () = settings.interrupted.cancelled() => Err(CommandError::interrupted()),
        },
        Command::Init(arguments) => init::run(&arguments, settings),
        Command::App(arguments) => tokio::select! {
            ended = app::run(&arguments, &workspace) => ended,
            () = settings.interrupted.cancelled() => Err(ui::unanswered()),
        },
        Command::Explain(arguments) => written(explain::run(&arguments, &mut out)),
        Command::Schema(arguments) => written(schema::run(&arguments, &mut out)),
        Command::Lab(arguments) => lab::run(&arguments, settings).await,
    }
}

/// A closed pipe ends a command quietly: whoever reads has seen enough.
fn written(result: io::Result<Exit>) -> Result<Exit, CommandError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        other => other.map_err(|error| {
            CommandError::new(Kind::Failed, format!("the output can't be written: {error}"))
        }),
    }
}
