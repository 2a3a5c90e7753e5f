//! `lotse lab`: the embedded environment from the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};

use super::bootstrap::LabLogins;
use super::format::Format;
use super::{CommandError, Exit, Kind, Settings, ui};
use crate::bootstrap::PersonLogin;
use crate::lab::Extra;
use crate::lab::component::Sources;
use crate::lab::dns::NameServer;
use crate::lab::launch::{self, LaunchError};
use crate::lab::{
    self, LabError, LabState, LabStatus, LogsOptions, ProcessRow, RunningLab, SuperviseOptions, UpOptions,
};
use crate::names::{LabName, Login};
use crate::report::Reporter;

/// How many lines of a crashed component's log are shown beside the status.
const SHOWN_LINES: usize = 3;

/// Run the embedded lab: real components as processes on this machine
///
/// A lab is a management cluster with Cluster API and the cluster-stack-operator, Keycloak, a forge and a name server;
/// its workload clusters are made by `lotse bootstrap`. Everything listens on loopback addresses only. Labs of different
/// names run side by side.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  lotse lab up                                 without a workload cluster
  export KUBECONFIG=$(lotse lab kubeconfig)    kubectl as administrator
  lotse lab logs --component keycloak --follow read along
  lotse lab down                               end it, remove its state")]
pub(super) struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LabCommand {
    /// Bring a lab up, or find it running; build what is not built yet
    Up(UpArgs),
    /// End a lab and remove its state
    Down(NameArgs),
    /// Show what runs and how much memory it takes
    Status(StatusArgs),
    /// Show what the components wrote
    Logs(LogsArgs),
    /// Print the path of an administrator's kubeconfig of a cluster in the lab
    Kubeconfig(KubeconfigArgs),
    /// Print the passwords of the lab's people and of Keycloak's administrator
    Credentials(StatusArgs),
    /// Log a person of the lab in and print their identity token for the Kubernetes API
    ///
    /// Goes the way a browser goes: Keycloak sends the person to the forge, they log in there and come back. The token is
    /// what kubectl presents in their name.
    #[command(after_help = "Examples:
  lotse lab token --person ada > ada.token
  kubectl config set users.ada.tokenFile $PWD/ada.token")]
    Token(TokenArgs),
    /// Runs a lab until it is asked to stop
    #[command(hide = true)]
    Supervise(SuperviseArgs),
}

#[derive(Clone, Debug, Args)]
struct NameArgs {
    /// Name of the lab
    #[arg(value_name = "NAME", default_value = "default")]
    name: LabName,
}

#[derive(Clone, Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    lab: NameArgs,
    #[command(flatten)]
    parts: LabParts,
}

/// What a lab is made with. One that is there keeps what it was made with.
#[derive(Clone, Debug, Args)]
pub(super) struct LabParts {
    /// Name server of a lab that is made now [default: knot where it is installed, built-in elsewhere]
    #[arg(
        long,
        value_name = "PROGRAM",
        value_enum,
        env = "LOTSE_LAB_NAME_SERVER",
        hide_env_values = true
    )]
    name_server: Option<NameServerProgram>,
    /// Run this as well, where the lab is not running yet; may be given more than once
    #[arg(long, value_name = "PART", value_enum)]
    with: Vec<ExtraPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExtraPart {
    /// OpenStack's DNS service Designate with Keystone, as the cloud `lab`
    Designate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NameServerProgram {
    /// Knot DNS (`knotd`)
    Knot,
    /// The one in lotse
    BuiltIn,
}

impl LabParts {
    /// What was asked for.
    fn name_server(&self) -> Option<NameServer> {
        self.name_server.map(|program| match program {
            NameServerProgram::Knot => NameServer::Knot,
            NameServerProgram::BuiltIn => NameServer::BuiltIn,
        })
    }

    fn extras(&self) -> BTreeSet<Extra> {
        let parts = self.with.iter().map(|part| match part {
            ExtraPart::Designate => Extra::Designate,
        });
        parts.collect()
    }
}

#[derive(Clone, Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    lab: NameArgs,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Debug, Args)]
struct LogsArgs {
    #[command(flatten)]
    lab: NameArgs,
    /// Component as `lotse lab status` names it, such as `moin/kube-apiserver` [default: all]
    #[arg(short, long, value_name = "COMPONENT")]
    component: Option<String>,
    /// Number of lines to show from the end of each log
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    lines: usize,
    /// Go on with what is written from now on, until interrupted
    #[arg(short, long)]
    follow: bool,
}

#[derive(Clone, Debug, Args)]
struct KubeconfigArgs {
    #[command(flatten)]
    lab: NameArgs,
    /// Name of the cluster: `moin` is the management cluster
    #[arg(long, value_name = "CLUSTER", default_value = "prod")]
    cluster: String,
}

#[derive(Clone, Debug, Args)]
struct TokenArgs {
    #[command(flatten)]
    lab: NameArgs,
    /// Login of the person, as `lotse lab credentials` lists it
    #[arg(short, long, value_name = "PERSON")]
    person: Login,
    /// Realm in the lab's Keycloak
    #[arg(long, value_name = "REALM", default_value = launch::REALM)]
    realm: String,
}

#[derive(Clone, Debug, Args)]
struct SuperviseArgs {
    name: LabName,
    #[arg(long)]
    state: Utf8PathBuf,
    #[arg(long)]
    cache: Utf8PathBuf,
    #[arg(long)]
    assets: Option<Utf8PathBuf>,
    #[arg(long)]
    kubebuilder_assets: Option<Utf8PathBuf>,
    #[command(flatten)]
    parts: LabParts,
}

impl LabArgs {
    /// Whether this is the supervisor, which takes signals itself.
    pub(super) const fn is_supervisor(&self) -> bool {
        matches!(self.command, LabCommand::Supervise(_))
    }
}

/// Carries out one `lotse lab` command.
pub(super) async fn run(arguments: &LabArgs, settings: &Settings) -> Result<Exit, CommandError> {
    let reporter = ui::reporter(settings.quiet);
    let output: &mut (dyn Write + Send) = &mut io::stdout();
    let done = match &arguments.command {
        LabCommand::Up(arguments) => {
            return up(&arguments.lab.name, &arguments.parts, settings, reporter.as_ref())
                .await
                .map(|_| Exit::Done);
        }
        LabCommand::Token(token) => return show_token(token, settings).await,
        LabCommand::Supervise(supervise) => Box::pin(self::supervise(supervise, settings)).await,
        LabCommand::Down(down) => lab::down(&settings.state, &down.name, reporter.as_ref()).await,
        LabCommand::Status(status) => show_status(status, settings, output).await,
        LabCommand::Logs(logs) => show_logs(logs, settings, output).await,
        LabCommand::Kubeconfig(kubeconfig) => show_kubeconfig(kubeconfig, settings, output).await,
        LabCommand::Credentials(credentials) => show_credentials(credentials, settings, output).await,
    };
    match done {
        Err(error) if error.is_closed_pipe() => Ok(Exit::Done),
        other => other.map(|()| Exit::Done).map_err(|error| failed(&error)),
    }
}

/// Brings the lab up, or finds it running.
pub(super) async fn up(
    name: &LabName,
    parts: &LabParts,
    settings: &Settings,
    reporter: &dyn Reporter,
) -> Result<RunningLab, CommandError> {
    let options = UpOptions {
        name: name.clone(),
        state_root: settings.state.clone(),
        sources: settings.sources.clone(),
        program: settings.program.clone(),
        name_server: parts.name_server(),
        extras: parts.extras(),
        interrupted: settings.interrupted.clone(),
    };
    lab::up(&options, reporter).await.map_err(|error| failed(&error))
}

fn failed(error: &LabError) -> CommandError {
    let kind = match error {
        LabError::Interrupted { .. } => Kind::Interrupted,
        _ if error.is_usage() => Kind::Usage,
        _ => Kind::Failed,
    };
    let told = CommandError::from_error(kind, error);
    error.remedies().into_iter().fold(told, CommandError::hint)
}

async fn supervise(arguments: &SuperviseArgs, settings: &Settings) -> Result<(), LabError> {
    let options = SuperviseOptions {
        name: arguments.name.clone(),
        state_root: arguments.state.clone(),
        sources: Sources {
            assets: arguments.assets.clone(),
            kubebuilder_assets: arguments.kubebuilder_assets.clone(),
            cache: arguments.cache.clone(),
        },
        surroundings: settings.surroundings(arguments.parts.name_server(), arguments.parts.extras()),
    };
    Box::pin(lab::supervise(&options, async |context| {
        let launched = Box::pin(launch::all(context)).await;
        let endpoints = launched.map_err(LaunchError::into_fault)?;
        Ok(serde_json::to_value(endpoints)?)
    }))
    .await
}

async fn show_kubeconfig(
    arguments: &KubeconfigArgs,
    settings: &Settings,
    output: &mut (dyn Write + Send),
) -> Result<(), LabError> {
    let lab = lab::find(&settings.state, &arguments.lab.name).await?;
    let path = lab.kubeconfig(&arguments.cluster)?;
    writeln!(output, "{path}").map_err(|source| LabError::Output {
        name: lab.name.clone(),
        source,
    })
}

async fn show_token(arguments: &TokenArgs, settings: &Settings) -> Result<Exit, CommandError> {
    let lab = lab::find(&settings.state, &arguments.lab.name)
        .await
        .map_err(|error| failed(&error))?;
    let addresses = lab.addresses().map_err(|error| failed(&error))?;
    let issuer = format!("{}/realms/{}", addresses.keycloak, arguments.realm);
    let login = LabLogins { lab: &lab };
    let token = login.token(&issuer, &arguments.person).await.map_err(|reason| {
        let message = format!("{} could not log in: {reason}", arguments.person);
        CommandError::new(Kind::Authentication, message)
            .hint("`lotse bootstrap` sets the realm up; `lotse lab credentials` lists who has an account")
    })?;
    ui::print(&format!("{}\n", token.expose()));
    Ok(Exit::Done)
}

async fn show_credentials(
    arguments: &StatusArgs,
    settings: &Settings,
    output: &mut (dyn Write + Send),
) -> Result<(), LabError> {
    let lab = lab::find(&settings.state, &arguments.lab.name).await?;
    let passwords: BTreeMap<String, String> = lab
        .passwords()
        .into_iter()
        .map(|(who, password)| (who, password.expose().to_owned()))
        .collect();
    arguments
        .output
        .write(&passwords, lines, output)
        .map_err(|source| LabError::Output {
            name: lab.name.clone(),
            source,
        })
}

fn lines(passwords: &BTreeMap<String, String>) -> String {
    passwords.iter().fold(String::new(), |text, (who, password)| {
        text + &format!("{who:16} {password}\n")
    })
}

async fn show_logs(
    arguments: &LogsArgs,
    settings: &Settings,
    output: &mut (dyn Write + Send),
) -> Result<(), LabError> {
    let options = LogsOptions {
        name: arguments.lab.name.clone(),
        state_root: settings.state.clone(),
        component: arguments.component.clone(),
        lines: arguments.lines,
        follow: arguments.follow,
    };
    tokio::select! {
        outcome = lab::logs(&options, output) => outcome,
        () = settings.interrupted.cancelled() => Ok(()),
    }
}

async fn show_status(
    arguments: &StatusArgs,
    settings: &Settings,
    output: &mut (dyn Write + Send),
) -> Result<(), LabError> {
    let name = &arguments.lab.name;
    let status = lab::status(&settings.state, name).await?;
    arguments
        .output
        .write(&status, text, output)
        .map_err(|source| LabError::Output {
            name: name.clone(),
            source,
        })
}

fn text(status: &LabStatus) -> String {
    let mut text = format!("lab `{}`: {}\n", status.name, in_words(status.state));
    if !status.processes.is_empty() {
        text += &table(&status.processes);
    }
    for row in &status.processes {
        for line in row.log_lines.iter().rev().take(SHOWN_LINES).rev() {
            text.extend([row.name.as_str(), ": ", line, "\n"]);
        }
    }
    text
}

const fn in_words(state: LabState) -> &'static str {
    match state {
        LabState::Starting => "starting",
        LabState::Ready => "ready",
        LabState::Degraded => "up, but a component crashed and starts again",
        LabState::Stopping => "stopping",
        LabState::Stopped => "stopped; `lotse lab up` starts it on its kept state",
        LabState::Unattended => {
            "its supervisor was killed; `lotse lab up` starts it again, `lotse lab down` ends it"
        }
    }
}

fn table(rows: &[ProcessRow]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["component", "state", "pid", "memory", "restarts"]);
    for row in rows {
        let state = match &row.detail {
            None => row.state.clone(),
            Some(detail) => format!("{}: {detail}", row.state),
        };
        let pid = row.pid.map_or_else(String::new, |pid| pid.to_string());
        table.add_row([
            row.name.clone(),
            state,
            pid,
            mebibytes(row.memory_kib),
            row.restarts.to_string(),
        ]);
    }
    let total = rows.iter().filter_map(|row| row.memory_kib).sum();
    table.add_row([
        String::new(),
        String::new(),
        String::new(),
        mebibytes(Some(total)),
    ]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    for index in 2..=4 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

fn mebibytes(kibibytes: Option<u64>) -> String {
    kibibytes.map_or_else(String::new, |kibibytes| format!("{} MiB", kibibytes / 1024))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        lab: LabArgs,
    }

    fn row(name: &str, memory_kib: u64) -> ProcessRow {
        ProcessRow {
            name: name.to_owned(),
            state: "ready".to_owned(),
            detail: None,
            log_lines: Vec::new(),
            pid: Some(4711),
            memory_kib: Some(memory_kib),
            restarts: 0,
            since: None,
            log: "etcd.log".into(),
        }
    }

    #[test]
    fn test_arguments_are_consistent_and_default_to_the_default_lab() {
        Program::command().debug_assert();
        let program = Program::try_parse_from(["lab", "down"]).unwrap();
        let LabCommand::Down(down) = program.lab.command else {
            panic!("not down");
        };
        assert_eq!(down.name.as_str(), "default");
        assert!(Program::try_parse_from(["lab", "up", "No Name"]).is_err());
    }

    #[test]
    fn test_status_as_text() {
        let crashed = ProcessRow {
            state: "crashed".to_owned(),
            detail: Some("ended with signal 9".to_owned()),
            log_lines: vec!["panic: no such luck".to_owned()],
            pid: None,
            memory_kib: None,
            restarts: 2,
            ..row("moin/kube-apiserver", 0)
        };
        let status = LabStatus {
            name: LabName::new("default").unwrap(),
            state: LabState::Degraded,
            lotse: "0.1.0".to_owned(),
            directory: "/state/labs/default".into(),
            processes: vec![row("etcd", 73 << 10), crashed],
            endpoints: None,
        };
        insta::assert_snapshot!(text(&status), @r"
        lab `default`: up, but a component crashed and starts again
        component            state                          pid  memory  restarts
        etcd                 ready                         4711  73 MiB         0
        moin/kube-apiserver  crashed: ended with signal 9                       2
                                                                 73 MiB
        moin/kube-apiserver: panic: no such luck
        ");
    }
}
