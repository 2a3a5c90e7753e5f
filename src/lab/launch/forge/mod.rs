//! Gitea as the lab's forge: Git over HTTP, pull requests, and the logins that GitHub gives elsewhere.

mod api;
mod content;
mod settings;

use std::collections::BTreeMap;
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use rand::distr::{Alphanumeric, SampleString};
use tokio::process::Command;

use super::error::ForgeError;
use super::{LaunchError, acquire, write_private};
use crate::lab::LabContext;
use crate::lab::component::{Acquired, Component};
use crate::lab::process::{ProcessSpec, READY_WITHIN, http_ready};
use crate::secret::Secret;
use crate::ssh::DeployKey;
use api::ForgeApi;
use content::{ADMINISTRATOR, PERSONS};
use settings::Settings;

const NAME: &str = "forge";
const SSH_NAME: &str = "forge-ssh";
/// Names of the forge's secrets in [`crate::lab::state::LabSecrets`].
const TOKEN: &str = "forge-token";
/// Hexadecimal digits of a token of Gitea's (20 bytes).
const TOKEN_LENGTH: usize = 40;
pub(super) const OAUTH_CLIENT_ID: &str = "forge-oauth-client-id";
pub(super) const OAUTH_CLIENT_SECRET: &str = "forge-oauth-client-secret";

/// The realm whose users may log in here: the forge takes them back to one address only.
pub const REALM: &str = "scs";
/// The login that pushes to the platform's repository.
pub(super) const GIT_USERNAME: &str = ADMINISTRATOR;
/// The access token it pushes with.
pub(super) const GIT_TOKEN: &str = TOKEN;

/// Where the forge and its one repository are.
pub(super) struct RunningForge {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    /// The platform's repository.
    pub(super) git: String,
    /// The same for SSH.
    pub(super) git_ssh: String,
    /// A line of `known_hosts` for its SSH server.
    pub(super) known_host: String,
}

/// The name under which the lab keeps the password of `login` at the forge.
pub(super) fn password_name(login: &str) -> String {
    format!("forge-password-{login}")
}

/// Logins of everybody with an account.
pub(super) fn logins() -> impl Iterator<Item = &'static str> {
    PERSONS.iter().map(|person| person.login).chain([ADMINISTRATOR])
}

/// Starts the forge and gives it its content: persons, repository, and the application that lets Keycloak at
/// `keycloak_url` log its users in here.
pub(super) async fn start(context: &LabContext, keycloak_url: &str) -> Result<RunningForge, LaunchError> {
    let component = acquire(context, Component::Gitea).await?;
    let forge = Forge::prepare(context, component)?;
    context.supervisor.start(forge.process()).await?;
    let redirect = format!("{keycloak_url}/realms/{REALM}/broker/github/endpoint");
    let repository = forge.fill(&redirect).await?;
    Ok(RunningForge {
        git: format!("{}/{repository}.git", forge.url),
        git_ssh: format!("ssh://git@127.0.0.1:{}/{repository}.git", forge.ssh_port),
        known_host: format!("[127.0.0.1]:{} {}", forge.ssh_port, forge.host_key.public()),
        url: forge.url,
    })
}

struct Forge<'a> {
    context: &'a LabContext,
    component: Acquired,
    directory: Utf8PathBuf,
    url: String,
    ssh_port: u16,
    host_key: DeployKey,
}

impl<'a> Forge<'a> {
    fn prepare(context: &'a LabContext, component: Acquired) -> Result<Self, LaunchError> {
        let port = context.ports.get(NAME)?;
        let ssh_port = context.ports.get(SSH_NAME)?;
        let directory = context.state.data(NAME)?;
        let host_key_file = directory.join("ssh-host-key");
        let host_key = host_key(&host_key_file)?;
        let settings = Settings {
            data: &directory,
            static_root: &component.share("static"),
            port,
            ssh_port,
            host_key: &host_key_file,
            secret_key: &context.secrets.get_or_create("forge-secret-key")?,
            internal_token: &context.secrets.get_or_create("forge-internal-token")?,
            oauth_key: &context.secrets.get_or_create("forge-oauth-key")?,
        };
        write_private(&settings_file(&directory), settings.text().expose())?;
        Ok(Self {
            context,
            component,
            directory,
            url: format!("http://127.0.0.1:{port}"),
            ssh_port,
            host_key,
        })
    }

    fn process(&self) -> ProcessSpec {
        ProcessSpec {
            name: NAME.to_owned(),
            program: self.component.program().to_owned(),
            arguments: vec![
                format!("--config={}", settings_file(&self.directory)),
                "web".to_owned(),
            ],
            environment: self.environment(),
            directory: self.directory.clone(),
            ready: http_ready(format!("{}/api/healthz", self.url), None),
            ready_within: READY_WITHIN,
        }
    }

    /// Its own HOME, so that nobody's Git settings play a part.
    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("HOME".to_owned(), self.directory.to_string()),
            ("GITEA_WORK_DIR".to_owned(), self.directory.to_string()),
        ])
    }

    /// Makes what is missing; the path of the repository.
    async fn fill(&self, redirect: &str) -> Result<String, LaunchError> {
        let (api, is_new) = self.log_in().await?;
        if is_new {
            let password = self.password(ADMINISTRATOR)?;
            self.told(content::set_administrator_password(&api, &password).await)?;
        }
        self.told(content::check_administrator(&api).await)?;
        for person in &PERSONS {
            let password = self.password(person.login)?;
            self.told(content::ensure_person(&api, person, &password).await)?;
        }
        let repository = self.told(content::ensure_repository(&api).await)?;
        self.register_keycloak(&api, redirect).await?;
        Ok(repository)
    }

    fn password(&self, login: &str) -> Result<Secret, LaunchError> {
        Ok(self.context.secrets.get_or_create(&password_name(login))?)
    }

    async fn register_keycloak(&self, api: &ForgeApi, redirect: &str) -> Result<(), LaunchError> {
        let secrets = &self.context.secrets;
        let is_known = secrets.get(OAUTH_CLIENT_SECRET).is_some();
        let application = self.told(content::ensure_application(api, redirect, is_known).await)?;
        if let Some(secret) = application.client_secret {
            secrets.set(OAUTH_CLIENT_SECRET, secret)?;
        }
        if secrets
            .get(OAUTH_CLIENT_ID)
            .is_none_or(|known| known.expose() != application.client_id)
        {
            secrets.set(OAUTH_CLIENT_ID, Secret::new(application.client_id))?;
        }
        Ok(())
    }

    /// A client with the administrator's token, and whether that was made just now.
    async fn log_in(&self) -> Result<(ForgeApi, bool), LaunchError> {
        if let Some(token) = self.context.secrets.get(TOKEN) {
            return Ok((self.told(ForgeApi::new(&self.url, Some(token)))?, false));
        }
        let token = self.told(self.make_token().await)?;
        self.context.secrets.set(TOKEN, token.clone())?;
        Ok((self.told(ForgeApi::new(&self.url, Some(token)))?, true))
    }

    /// Makes the administrator, if need be, and an access token. Both take the forge's own program: its API lets
    /// nobody in before.
    async fn make_token(&self) -> Result<Secret, ForgeError> {
        let anonymous = ForgeApi::new(&self.url, None)?;
        if anonymous.get(&format!("users/{ADMINISTRATOR}")).await?.is_none() {
            // The random password is written to its output, which goes nowhere; the API sets another one.
            let mail = format!("--email={ADMINISTRATOR}@lab.test");
            let name = format!("--username={ADMINISTRATOR}");
            self.administer(&[
                "create",
                &name,
                &mail,
                "--admin",
                "--random-password",
                "--must-change-password=false",
            ])
            .await?;
        }
        // A token whose making was cut short is unknown to us and its name taken: each has a name of its own.
        let suffix = Alphanumeric.sample_string(&mut rand::rng(), 8);
        let username = format!("--username={ADMINISTRATOR}");
        let token_name = format!("--token-name=lotse-{suffix}");
        let output = self
            .administer(&[
                "generate-access-token",
                &username,
                &token_name,
                "--scopes=all",
                "--raw",
            ])
            .await?;
        token_in(&output).ok_or_else(|| {
            let lines = output.expose().lines().count();
            let complaint = format!("it wrote no token in {lines} lines");
            ForgeError::request("gitea admin user generate-access-token", complaint)
        })
    }

    /// Runs `gitea admin user <arguments>`; what it writes, which may be secret.
    async fn administer(&self, arguments: &[&str]) -> Result<Secret, ForgeError> {
        let action = format!(
            "gitea admin user {}",
            arguments.first().copied().unwrap_or_default()
        );
        let output = Command::new(self.component.program())
            .arg(format!("--config={}", settings_file(&self.directory)))
            .args(["admin", "user"])
            .args(arguments)
            .envs(self.environment())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| ForgeError::request(&action, error.to_string()))?;
        if output.status.success() {
            return Ok(Secret::new(String::from_utf8_lossy(&output.stdout)));
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(ForgeError::request(
            action,
            format!("{}: {}", output.status, complaint.trim()),
        ))
    }

    fn told<T>(&self, answer: Result<T, ForgeError>) -> Result<T, LaunchError> {
        answer.map_err(|source| LaunchError::Forge {
            log: self.context.state.log(NAME),
            source,
        })
    }
}

/// The token in the program's output: a line of its own, with warnings around it.
fn token_in(output: &Secret) -> Option<Secret> {
    let is_token =
        |line: &&str| line.len() >= TOKEN_LENGTH && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut lines = output.expose().lines().map(str::trim).rev();
    lines.find(is_token).map(Secret::new)
}

/// The key in `file`, made when there is none: clients have pinned it.
fn host_key(file: &Utf8Path) -> Result<DeployKey, LaunchError> {
    let kept = fs_err::read_to_string(file).ok();
    if let Some(key) = kept.and_then(|text| DeployKey::read(&Secret::new(text))) {
        return Ok(key);
    }
    let key = DeployKey::generate()?;
    write_private(file, key.private().expose())?;
    Ok(key)
}

fn settings_file(directory: &camino::Utf8Path) -> Utf8PathBuf {
    directory.join("app.ini")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_token_is_found_below_warnings() {
        let output = Secret::new(
            "2026/11/23 16:46:00 [W] You have been warned.\n0123456789abcdef0123456789abcdef01234567\n",
        );
        assert_eq!(
            token_in(&output).unwrap().expose(),
            "0123456789abcdef0123456789abcdef01234567"
        );
        assert!(token_in(&Secret::new("2026/11/23 [E] no such user\n")).is_none());
        assert!(token_in(&Secret::new("")).is_none());
    }
}
