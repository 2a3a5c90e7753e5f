//! `lotse kubeconfig`: the way into a workload cluster, for a person.

mod break_glass;
mod place;

use std::io::{self, IsTerminal};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde_json::Value;
use url::Url;

use self::break_glass::BreakGlassArguments;
use self::place::Place;
use super::environment::{administrator, find_lab, login_place};
use super::workspace::Workspace;
use super::{CommandError, Exit, Kind, Settings};
use crate::config::Loaded;
use crate::desired::login_plugin;
use crate::kubernetes::{ApiServer, kubeconfig};
use crate::lab::RunningLab;
use crate::names::EnvironmentName;

/// Write a kubeconfig for people: kubectl logs them in at Keycloak by the browser
///
/// There is no secret in it: the token comes from kubelogin (`kubectl oidc-login`), which has to be installed, and who logs
/// in may do what app.yaml grants. Its context is named after the environment. Address and authority of the API server come
/// from the Secret `<cluster>-kubeconfig` on the management cluster; who may not read it is told them by somebody who
/// may, or gets the file from there.
///
/// When logins don't work, `--break-glass` lets in who may read that Secret: for an hour, by a certificate of their own,
/// and with a record in the cluster of who, when, until when and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lotse kubeconfig scs-prod --merge                  into the file that kubectl reads, as its current context
  lotse kubeconfig scs-prod --out prod.kubeconfig    into a file of its own, mode 0600
  lotse kubeconfig scs-prod --server https://api.prod.scs.community:6443 --certificate-authority ca.crt
  lotse kubeconfig scs-prod --break-glass --reason \"Keycloak is down, issue 42\" --out glass.kubeconfig")]
pub(super) struct KubeconfigArguments {
    /// Name of the environment: a directory under `environments/`
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Write it to FILE with mode 0600; `-` is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    out: Option<Utf8PathBuf>,
    /// Add it to the file that kubectl reads, the first of KUBECONFIG or ~/.kube/config, and make it the current context
    #[arg(long)]
    merge: bool,
    /// Address of the API server [default: that on the management cluster]
    #[arg(long, value_name = "URL", value_parser = https)]
    server: Option<String>,
    /// PEM file with the authority of the API server's certificate; with --server, nobody is asked
    #[arg(long, value_name = "FILE", requires = "server")]
    certificate_authority: Option<Utf8PathBuf>,
    #[command(flatten)]
    glass: BreakGlassArguments,
}

/// Carries the command out.
pub(super) async fn run(arguments: &KubeconfigArguments, settings: &Settings) -> Result<Exit, CommandError> {
    let wanted = arguments.glass.wanted(settings)?;
    let workspace = Workspace::new(settings);
    let loaded = workspace.open_declared(&arguments.environment)?;
    let place = match &arguments.out {
        Some(path) if path == "-" => Place::Output,
        Some(path) => Place::File(path.clone()),
        None if arguments.merge => Place::of_kubectl(settings)?,
        None if wanted.is_some() && io::stdout().is_terminal() => return Err(key_on_a_terminal()),
        None => Place::Output,
    };
    if let Some(wanted) = wanted {
        return break_glass::run(&wanted, &place, &loaded, settings).await;
    }
    let name = arguments.environment.as_str();
    place.check(name)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let user = login(&loaded, settings, lab.as_ref())?;
    let server = server(arguments, &loaded, settings, lab.as_ref()).await?;
    place.write(&kubeconfig(name, &server, &user), name)?;
    Ok(Exit::Done)
}

fn key_on_a_terminal() -> CommandError {
    let message = "a private key is not written to a terminal";
    CommandError::new(Kind::Usage, message)
        .hint("`--out FILE` writes it to a file of mode 0600, `--out -` here all the same")
}

fn login(loaded: &Loaded, settings: &Settings, lab: Option<&RunningLab>) -> Result<Value, CommandError> {
    let place = login_place(loaded, settings, lab)?;
    let authority = place.certificate_authority.as_deref().map(Utf8Path::new);
    let authority = authority.map(pem).transpose()?;
    let authority = authority.map(|pem| STANDARD.encode(pem));
    Ok(login_plugin(&place.issuer, authority.as_deref()))
}

async fn server(
    arguments: &KubeconfigArguments,
    loaded: &Loaded,
    settings: &Settings,
    lab: Option<&RunningLab>,
) -> Result<ApiServer, CommandError> {
    if let (Some(server), Some(authority)) = (&arguments.server, &arguments.certificate_authority) {
        return Ok(ApiServer::new(server, &pem(authority)?));
    }
    let administrator = administrator(loaded, settings, lab).await.map_err(|error| {
        error.hint(
            "`--server URL --certificate-authority FILE` asks nobody: who may read that Secret can tell both, or write the \
             file for others, since no secret is in it",
        )
    })?;
    let found = ApiServer::read(administrator.text.expose(), &administrator.origin)
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
    Ok(ApiServer {
        address: arguments.server.clone().unwrap_or(found.address),
        ..found
    })
}

/// The text of a file with certificates.
fn pem(path: &Utf8Path) -> Result<String, CommandError> {
    let text = fs_err::read_to_string(path).map_err(|error| CommandError::from_error(Kind::Usage, &error))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(text);
    }
    Err(
        CommandError::new(Kind::Usage, format!("{path} has no certificate in it"))
            .hint("a PEM file has a line `-----BEGIN CERTIFICATE-----`"),
    )
}

fn https(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("it has to be an address like https://api.prod.scs.community:6443".to_owned()),
    }
}
