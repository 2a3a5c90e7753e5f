//! `lotse access`: who may do what, and why.

use std::io;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::bootstrap::LabLogins;
use super::environment::{Choices, check_realm, check_settings, find_lab, with_bootstrap};
use super::format::Format;
use super::ui::{self, Style};
use super::workspace::{Workspace, plural};
use super::{CommandError, Exit, Kind, Settings, error, written};
use crate::bootstrap::PersonLogin;
use crate::bootstrap::access::{self, Asked, Chain, Hop, StepOutcome};
use crate::config::Loaded;
use crate::diag::did_you_mean;
use crate::names::{AppName, EnvironmentName, Login};

/// Who may do what, and why
#[derive(Debug, Args)]
pub(super) struct AccessArguments {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Debug, Subcommand)]
enum AccessCommand {
    Prove(ProveArguments),
}

/// Follow access hop by hop, from the account at the forge to what the API server allows
///
/// For each grant: does it hold, is the account linked to a user of the realm, may the user log in, are they in the group, is
/// the group in their tokens, does the API server see it, does a binding give the role, is what it allows allowed, and is the
/// same forbidden elsewhere? The first hop that is broken is named, with what to do about it. Changes nothing. Where somebody
/// can be logged in from here (in a lab), their own token is shown to the API server; otherwise Keycloak says what a token
/// of theirs would hold. Ends with exit code 7 when a hop is broken.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse access prove lab                      one member of each team that has access, and all grants of persons
  lotse access prove lab --person ada         everything that ada holds, also who is in no list of people
  lotse access prove lab --app monitoring --everybody
  lotse access prove lab --offline            what would hold by Git alone; no system is asked")]
struct ProveArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only of this application; may be given more than once
    #[arg(long, value_name = "APP")]
    app: Vec<AppName>,
    /// Only of this person, by login; may be given more than once
    #[arg(long, value_name = "LOGIN")]
    person: Vec<Login>,
    /// Every member of each team, not only the first
    #[arg(long)]
    everybody: bool,
    /// From Git alone
    #[arg(long)]
    offline: bool,
    /// How to write the outcome
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// All chains, as programs get them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessProof {
    api_version: &'static str,
    kind: &'static str,
    environment: EnvironmentName,
    chains: Vec<Chain>,
}

/// Carries the command out.
pub(super) async fn run(arguments: &AccessArguments, settings: &Settings) -> Result<Exit, CommandError> {
    match &arguments.command {
        AccessCommand::Prove(arguments) => prove(arguments, settings).await,
    }
}

async fn prove(arguments: &ProveArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let workspace = Workspace::new(settings);
    let loaded = workspace.open(&arguments.environment)?;
    let asked = asked(arguments, &loaded)?;
    let chains = if arguments.offline {
        let outline = loaded.declarations.environment.outline();
        access::prove_offline(&loaded.declarations, &outline, &asked, workspace.today)
    } else {
        tokio::select! {
            chains = online((&workspace, settings), &loaded, &asked) => chains?,
            () = settings.interrupted.cancelled() => return Err(ui::unanswered()),
        }
    };
    let exit = if chains.iter().any(|chain| chain.broken().is_some()) {
        Exit::Checks
    } else {
        Exit::Done
    };
    let proof = AccessProof {
        api_version: "lotse/v1",
        kind: "AccessProof",
        environment: arguments.environment.clone(),
        chains,
    };
    let style = Style::of_stdout();
    let outside = outside(arguments, &loaded);
    let shown = |proof: &AccessProof| outside.concat() + text(&proof.chains, style).as_str();
    written(
        arguments
            .output
            .write(&proof, shown, &mut io::stdout())
            .map(|()| exit),
    )
}

/// What is asked about, as far as it is declared.
fn asked(arguments: &ProveArguments, loaded: &Loaded) -> Result<Asked, CommandError> {
    let declarations = &loaded.declarations;
    let usage = |message: String, hint: &str| CommandError::new(Kind::Usage, message).hint(hint);
    for app in &arguments.app {
        if declarations.apps.iter().all(|each| each.name != *app) {
            let message = format!("there is no application `{app}` in {}", arguments.environment);
            return Err(usage(message, "`lotse app list` shows which there are"));
        }
    }
    Ok(Asked {
        apps: arguments.app.iter().cloned().collect(),
        people: arguments.person.iter().cloned().collect(),
        everybody: arguments.everybody,
    })
}

/// A line for everybody who is asked about and in no list of people.
fn outside(arguments: &ProveArguments, loaded: &Loaded) -> Vec<String> {
    let members = &loaded.declarations.people.members;
    let is_outside = |login: &&Login| {
        members
            .iter()
            .all(|member| member.login.folded() != login.folded())
    };
    let outside = arguments.person.iter().filter(is_outside);
    let told = outside.map(|login| {
        let logins = members.iter().map(|member| member.login.as_str());
        let near = did_you_mean(login.as_str(), logins).map(|near| format!("; did you mean {near}?"));
        format!(
            "{login} is not in people.yaml of {}{}\n",
            arguments.environment,
            near.unwrap_or_default()
        )
    });
    told.collect()
}

async fn online(
    (workspace, settings): (&Workspace<'_>, &Settings),
    loaded: &Loaded,
    asked: &Asked,
) -> Result<Vec<Chain>, CommandError> {
    check_settings(loaded, settings)?;
    check_realm(loaded)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let logins = lab.as_ref().map(|lab| LabLogins { lab });
    let login = logins.as_ref().map(|logins| logins as &dyn PersonLogin);
    let reporter = ui::reporter(settings.quiet);
    let chains = with_bootstrap(
        (workspace, settings),
        &loaded.declarations,
        (lab.as_ref(), login),
        (Choices::default(), reporter.as_ref()),
        async |bootstrap| {
            let proved = Box::pin(access::prove_access(bootstrap, asked, reporter.as_ref())).await;
            proved.map_err(|failed| error::of_plan(&failed))
        },
    )
    .await;
    drop(reporter);
    chains
}

/// A line for each chain, and one for all.
fn text(chains: &[Chain], style: Style) -> String {
    let mut lines: Vec<String> = chains.iter().flat_map(|chain| of_chain(chain, style)).collect();
    let broken = chains.iter().filter(|chain| chain.broken().is_some()).count();
    lines.push(match (chains.len(), broken) {
        (0, _) => "Nobody has access by a grant that is asked about.".to_owned(),
        (all, 0) => format!("{} of access, none broken.", plural(all, "chain")),
        (all, broken) => format!("{} of access, {broken} broken.", plural(all, "chain")),
    });
    lines.join("\n") + "\n"
}

/// `ok      ada: admin of monitoring  account 2 → ada → ...`
fn of_chain(chain: &Chain, style: Style) -> Vec<String> {
    let Chain {
        person, app, role, ..
    } = chain;
    let way: Vec<String> = chain
        .steps
        .iter()
        .filter_map(|step| match &step.outcome {
            StepOutcome::Holds { seen } => Some(seen.clone()),
            _ => None,
        })
        .collect();
    let mut lines = match chain.broken() {
        None => vec![format!("{}      {person}: {role} of {app}", style.added("ok"))],
        Some((hop, ..)) => vec![format!(
            "{}  {person}: {role} of {app}, at the hop {hop}",
            style.removed("broken")
        )],
    };
    lines.extend(wrapped(&way).into_iter().map(|line| format!("        {line}")));
    if let Some((_, problem, remedy)) = chain.broken() {
        lines.push(format!("        {problem}"));
        lines.push(format!("        {}{remedy}", style.help("help: ")));
    }
    let open = chain.steps.iter().filter_map(|step| match &step.outcome {
        StepOutcome::NotAsked { reason } => Some((step.hop, reason)),
        _ => None,
    });
    lines.extend(open.map(|(hop, reason): (Hop, &String)| format!("        {hop}: not asked, {reason}")));
    lines
}

/// Hops in lines that are short enough to be read.
fn wrapped(way: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for seen in way {
        match lines.last_mut() {
            Some(line) if line.chars().count() + seen.chars().count() + 3 <= LINE => {
                line.push_str(" → ");
                line.push_str(seen);
            }
            Some(_) => lines.push(format!("→ {seen}")),
            None => lines.push(seen.clone()),
        }
    }
    lines
}

/// So many letters of a way are in one line.
const LINE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::access::Step;

    #[test]
    fn test_a_broken_hop_is_told_after_the_way_to_it() {
        let step = |hop, outcome| Step { hop, outcome };
        let holds = |seen: &str| StepOutcome::Holds {
            seen: seen.to_owned(),
        };
        let mut chain = Chain {
            person: "ada".into(),
            app: "monitoring".into(),
            role: "admin".into(),
            team: Some("monitoring".into()),
            steps: vec![step(Hop::Link, holds("account 2")), step(Hop::User, holds("ada"))],
        };
        let all = [chain.clone()];
        assert_eq!(
            text(&all, Style::plain()),
            "ok      ada: admin of monitoring\n        account 2 → ada\n1 chain of access, none broken.\n"
        );
        let broken = StepOutcome::Broken {
            problem: "ada is not in the group".into(),
            remedy: "`lotse apply lab` puts it right".into(),
        };
        chain.steps.push(step(Hop::Group, broken));
        assert_eq!(
            text(&[chain], Style::plain()),
            "broken  ada: admin of monitoring, at the hop group\n        account 2 → ada\n        ada is not in the group\n        \
             help: `lotse apply lab` puts it right\n1 chain of access, 1 broken.\n"
        );
    }
}
