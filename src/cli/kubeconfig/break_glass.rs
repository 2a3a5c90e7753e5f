//! `lotse kubeconfig --break-glass`: a way in for a short time, when logins don't work.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::place::Place;
use crate::cli::environment::{administrator, find_lab};
use crate::cli::{CommandError, Exit, Kind, Settings, ui};
use crate::config::Loaded;
use crate::kubernetes::{ApiServer, Cluster, kubeconfig};
use crate::surface::git;
use crate::surface::workload::{self, BreakGlassError, Chance, Lasting, Opened, Reason, Wanted, Who};

/// The role of who fights a fire.
const ROLE: &str = "cluster-admin";

/// When logins don't work.
#[derive(Debug, Args)]
pub(super) struct BreakGlassArguments {
    /// Get in without Keycloak: a certificate of your own, for a short time and with a record; needs --reason
    #[arg(long, requires = "reason", conflicts_with_all = ["merge", "server"])]
    break_glass: bool,
    /// What for, in one line that others read later
    #[arg(long, value_name = "TEXT", requires = "break_glass")]
    reason: Option<Reason>,
    /// For how long, 10m to 24h [default: 1h]
    #[arg(long = "for", value_name = "TIME", requires = "break_glass")]
    lasting: Option<Lasting>,
    /// Who gets in, up to 39 letters [default: user.email of Git, or the login in an address of GitHub's]
    #[arg(long = "as", value_name = "NAME", requires = "break_glass")]
    who: Option<Who>,
    /// Role to have in the whole cluster [default: cluster-admin]; `view` is enough to look
    #[arg(long, value_name = "ROLE", requires = "break_glass")]
    role: Option<String>,
}

impl BreakGlassArguments {
    /// What is asked for; nothing where the glass stays whole.
    pub(super) fn wanted(&self, settings: &Settings) -> Result<Option<Wanted>, CommandError> {
        let Some(reason) = self.reason.clone().filter(|_| self.break_glass) else {
            return Ok(None);
        };
        let who = match &self.who {
            Some(who) => who.clone(),
            None => who(settings)?,
        };
        Ok(Some(Wanted {
            who,
            reason,
            lasting: self.lasting.unwrap_or_default(),
            role: self.role.clone().unwrap_or_else(|| ROLE.to_owned()),
            // Without the place of its state, which tells nobody anything later.
            by: settings.who.split(" (").next().unwrap_or_default().to_owned(),
            chance: Chance::new(),
        }))
    }
}

fn who(settings: &Settings) -> Result<Who, CommandError> {
    let say = "say who gets in: `--as NAME`";
    let email = git::email(&settings.root).ok_or_else(|| {
        CommandError::new(
            Kind::Usage,
            "Git does not know who you are: user.email is not set",
        )
        .hint(say)
    })?;
    name_of(&email).parse().map_err(|error| {
        CommandError::from_error(Kind::Usage, &error).hint(format!("Git's user.email is `{email}`; {say}"))
    })
}

/// The login of an address that GitHub gives to those who show none (`4711+ada@users.noreply.github.com`): as a whole, many
/// of these are too long for a certificate. Any other address as it is.
fn name_of(email: &str) -> &str {
    match email.strip_suffix("@users.noreply.github.com") {
        Some(local) => local.split_once('+').map_or(local, |(_, login)| login),
        None => email,
    }
}

/// Lets somebody in, and writes how.
pub(super) async fn run(
    wanted: &Wanted,
    place: &Place,
    loaded: &Loaded,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let environment = &loaded.declarations.environment.name;
    let name = format!("{environment}-break-glass");
    place.check(&name)?;
    let lab = find_lab(&loaded.declarations.environment, settings).await?;
    let administrator = administrator(loaded, settings, lab.as_ref()).await?;
    let failed = |error: &(dyn std::error::Error + 'static)| CommandError::from_error(Kind::Failed, error);
    let (text, origin) = (administrator.text.expose(), administrator.origin.as_str());
    let server = ApiServer::read(text, origin).map_err(|error| failed(&error))?;
    let cluster = Cluster::from_text(text, origin)
        .await
        .map_err(|error| failed(&error))?;
    let opened = workload::break_glass(&cluster, wanted, Timestamp::now())
        .await
        .map_err(|error| refused(&error))?;
    let user = json!({
        "client-certificate-data": STANDARD.encode(&opened.certificate.certificate),
        "client-key-data": STANDARD.encode(opened.certificate.key.expose()),
    });
    place.write(&kubeconfig(&name, &server, &user), &name)?;
    tell(&opened, wanted, environment.as_str());
    Ok(Exit::Done)
}

fn refused(error: &BreakGlassError) -> CommandError {
    let told = CommandError::from_error(Kind::Failed, error);
    match error {
        BreakGlassError::NoRole { .. } => CommandError {
            kind: Kind::Usage,
            ..told
        }
        .hint("`--role view` is enough to look, `--role cluster-admin` may do everything; nothing was changed"),
        BreakGlassError::TooLong { .. } => told.hint(
            "the certificate was thrown away and nobody was let in: this cluster does not end certificates in time",
        ),
        _ => told.hint("nobody was let in; the record in kube-system, where it is there already, says who tried"),
    }
}

fn tell(opened: &Opened, wanted: &Wanted, environment: &str) {
    let removed = opened.removed.iter();
    let mut lines: Vec<String> = removed
        .map(|name| format!("removed ClusterRoleBinding/{name}, which had ended\n"))
        .collect();
    lines.extend([
        format!(
            "{} is {} of {environment} until {}\n",
            opened.user, wanted.role, opened.certificate.until
        ),
        format!("recorded as {}: {}\n", opened.record, wanted.reason),
        format!(
            "`kubectl delete clusterrolebinding {}` ends it before\n",
            opened.binding
        ),
    ]);
    ui::eprint(&lines.concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_who_hides_their_address_is_known_by_their_login() {
        let long = "12345678+a-login-of-as-many-letters-as-can-be-12@users.noreply.github.com";
        assert_eq!(name_of(long), "a-login-of-as-many-letters-as-can-be-12");
        assert!(name_of(long).parse::<Who>().is_ok());
        assert_eq!(name_of("ada@users.noreply.github.com"), "ada");
        assert_eq!(name_of("ada+work@lab.test"), "ada+work@lab.test");
    }
}
