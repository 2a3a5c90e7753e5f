//! `lotse render`: the tree under `clusters/<environment>/`.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use clap::Args;

use super::exit::Exit;
use super::workspace::{EnvironmentsError, Workspace, plural};
use crate::config::{Declarations, Loaded};
use crate::desired::Desired;
use crate::names::EnvironmentName;
use crate::render::{self, Difference, Kind, Place, RenderError, Stamp, Tree};

/// Render one environment, or all, into `clusters/`
///
/// Writes everything that bootstrap puts on the clusters, into DNS and into Keycloak, so that a change can be read
/// before it is made. Values known only at run time stay `${NAME}`, secrets are left out. Talks to no system.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  lotse render                write every tree that is not as declared
  lotse render lab --check    show what would be written, as a diff")]
pub struct RenderArgs {
    /// Name of the environment: a directory under `environments/` [default: all]
    #[arg(value_name = "ENVIRONMENT")]
    pub environment: Option<EnvironmentName>,
    /// Write nothing, print what differs as a diff and exit with 7 if anything does
    #[arg(long)]
    pub check: bool,
    /// Write below this directory instead of the repository
    #[arg(long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
}

/// The tree could not be rendered or written.
#[derive(Debug, thiserror::Error)]
pub enum RenderCommandError {
    /// There is no environment to render.
    #[error(transparent)]
    Environments(EnvironmentsError),
    /// The output can't be written.
    #[error("writing the output")]
    Io(#[source] io::Error),
    /// An environment can't be rendered.
    #[error("rendering environment {environment}")]
    Render {
        /// Which.
        environment: EnvironmentName,
        /// Why.
        #[source]
        source: RenderError,
    },
}

/// Renders and writes, or compares.
pub fn run(
    args: &RenderArgs,
    workspace: &Workspace<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, RenderCommandError> {
    let environments = workspace
        .environments(args.environment.as_ref())
        .map_err(RenderCommandError::Environments)?;
    let mut exits = Vec::new();
    for environment in &environments {
        exits.push(render(args, workspace, environment, out, err)?);
    }
    let ended_with = [Exit::Declarations, Exit::Checks];
    let exit = ended_with.into_iter().find(|exit| exits.contains(exit));
    Ok(exit.unwrap_or(Exit::Done))
}

fn render(
    args: &RenderArgs,
    workspace: &Workspace<'_>,
    environment: &EnvironmentName,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, RenderCommandError> {
    let place = Place {
        root: workspace.root,
        output: args.output.as_deref().unwrap_or(workspace.root),
        environment,
    };
    let stamp = workspace.stamps.map(|stamps| {
        let folder = stamps.cache.join("rendered");
        Stamp::take(&folder, place, stamps.program, workspace.today)
    });
    if stamp.as_ref().is_some_and(Stamp::holds) {
        tell(args.check, environment, (&[], None), out, err).map_err(RenderCommandError::Io)?;
        return Ok(Exit::Done);
    }
    let loaded = match workspace.load(environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            workspace
                .show(&problems.diagnostics, &problems.sources, err)
                .map_err(RenderCommandError::Io)?;
            return Ok(Exit::Declarations);
        }
    };
    let Loaded {
        declarations,
        warnings,
        sources,
    } = loaded;
    workspace
        .show(&warnings, &sources, err)
        .map_err(RenderCommandError::Io)?;
    // The texts of a large platform take as much memory as a good part of its tree.
    drop(sources);
    let has_warnings = !warnings.is_empty();
    let failed = |source| RenderCommandError::Render {
        environment: environment.clone(),
        source,
    };
    let tree = tree(&declarations, workspace).map_err(failed)?;
    let apply = if args.check {
        render::compare
    } else {
        render::write
    };
    let differences = apply(&tree, place.output).map_err(failed)?;
    tell(args.check, environment, (&differences, Some(&tree)), out, err).map_err(RenderCommandError::Io)?;
    if args.check && !differences.is_empty() {
        return Ok(Exit::Checks);
    }
    // Warnings are told each time, and what was just written is too young to be noted.
    if let Some(stamp) = stamp.filter(|_| !has_warnings && differences.is_empty()) {
        stamp.keep();
    }
    Ok(Exit::Done)
}

fn tree(declarations: &Declarations, workspace: &Workspace<'_>) -> Result<Tree, RenderError> {
    let environment = declarations.environment.outline();
    render::tree(&Desired::build(declarations, &environment, workspace.today))
}

fn tell(
    is_check: bool,
    environment: &EnvironmentName,
    (differences, tree): (&[Difference], Option<&Tree>),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    if differences.is_empty() {
        return writeln!(err, "clusters/{environment} is up to date");
    }
    if !is_check {
        let lines: Vec<String> = differences.iter().map(line).collect();
        err.write_all(lines.concat().as_bytes())?;
        return tell_losses(differences, tree, err);
    }
    for difference in differences {
        write!(out, "{}", difference.unified())?;
    }
    tell_losses(differences, tree, err)?;
    let files = plural(differences.len(), "file");
    writeln!(
        err,
        "clusters/{environment}: {files} not as declared; `lotse render {environment}` writes them"
    )
}

fn line(difference: &Difference<'_>) -> String {
    let verb = if difference.kind == Kind::Stale {
        "removed"
    } else {
        "wrote"
    };
    format!("{verb} {}\n", difference.path)
}

/// Names what is gone once Flux has applied the tree; a diff of files does not say it.
fn tell_losses(differences: &[Difference], tree: Option<&Tree>, err: &mut dyn Write) -> io::Result<()> {
    for loss in tree
        .map(|tree| render::losses(differences, tree))
        .unwrap_or_default()
    {
        writeln!(err, "warning: lost when Flux applies this: {loss}")?;
    }
    Ok(())
}
