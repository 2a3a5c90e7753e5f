//! The Secret of a client as an encrypted manifest of its application.

use camino::{Utf8Path, Utf8PathBuf};

use super::super::workspace::Workspace;
use super::super::{CommandError, Kind, Settings};
use super::write::{escaped, tell};
use super::{check_sealed, no_secrets, of_sops, program};
use crate::age::Recipient;
use crate::config::file::{Creation, Replacement};
use crate::config::{Declarations, LoginClient, Reader, readers, scalar, sealed_annotation};
use crate::names::AppName;
use crate::secret::Secret;
use crate::surface::sops::Sops;
use crate::surface::workload::{ClientCredentials, SECRET_HASH};

/// Where the secret of a client is to be kept in Git, and whom it is encrypted to.
#[derive(Debug)]
pub(in crate::cli) struct Sealing {
    /// Relative to the repository.
    path: Utf8PathBuf,
    /// Name of the Secret.
    secret: String,
    recipients: Vec<Recipient>,
    sops: Sops,
}

impl Sealing {
    /// Finds out whether and where it can be kept.
    ///
    /// # Errors
    /// When the application has no manifests of its own in the environment, or something else is in the way.
    pub(in crate::cli) fn prepare(
        declarations: &Declarations,
        (app, login): (&AppName, &LoginClient),
        (workspace, settings): (&Workspace<'_>, &Settings),
    ) -> Result<Self, CommandError> {
        let environment = &declarations.environment;
        let own = Utf8Path::new("environments").join(environment.name.as_str());
        let manifests = declarations.apps.iter().find(|each| each.name == *app);
        let manifests = manifests.and_then(|app| app.source.manifests.as_deref());
        let Some(folder) = manifests.filter(|folder| folder.starts_with(&own)) else {
            let message = format!("{app} has no manifests that are of {} alone", environment.name);
            return Err(CommandError::new(Kind::Usage, message).hint(format!(
                "declare `source: {{manifests: {own}/apps/{app}/manifests}}` in {own}/apps/{app}/app.yaml: a secret is of one environment"
            )));
        };
        let readers = readers(environment, &declarations.people);
        if readers.is_empty() {
            return Err(no_secrets(&environment.name));
        }
        let sealing = Self {
            path: folder.join(format!("{}.yaml", login.secret)),
            secret: login.secret.clone(),
            recipients: readers
                .into_iter()
                .map(|reader: Reader| reader.recipient)
                .collect(),
            sops: Sops {
                program: program(settings)?,
                key: None,
            },
        };
        sealing.before(workspace.root)?;
        Ok(sealing)
    }

    /// Writes the manifest, where the one that is there does not have the present secret.
    ///
    /// # Errors
    /// When sops can't encrypt it, or the file can't be written.
    pub(in crate::cli) async fn write(
        &self,
        credentials: &ClientCredentials,
        workspace: &Workspace<'_>,
    ) -> Result<(), CommandError> {
        let before = self.before(workspace.root)?;
        let hash = credentials.fingerprint().to_string();
        if let Some(before) = &before
            && sealed_annotation(before, SECRET_HASH).as_deref() == Some(hash.as_str())
        {
            tell("has the present secret already:", &self.path, workspace);
            return Ok(());
        }
        let plain = self.plain(credentials, &hash);
        let text = self.sops.encrypt(&plain, &self.path, &self.recipients).await;
        let text = text.map_err(|error| of_sops(&error))?;
        check_sealed(&self.path, &text)?;
        match &before {
            Some(before) => {
                Replacement::prepare(workspace.root, &self.path, before, &text).and_then(Replacement::finish)
            }
            None => Creation::make(workspace.root, &self.path, &text).map(drop),
        }
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
        let verb = if before.is_some() { "changed" } else { "wrote" };
        tell(verb, &self.path, workspace);
        Ok(())
    }

    /// The text of the file; `None` where there is none. What somebody else wrote there stays.
    fn before(&self, root: &Utf8Path) -> Result<Option<String>, CommandError> {
        let text = match fs_err::read_to_string(root.join(&self.path)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::from_error(Kind::Failed, &error)),
        };
        if sealed_annotation(&text, SECRET_HASH).is_some() {
            return Ok(Some(text));
        }
        let message = format!(
            "{} is there and was not written by `lotse identity seal`",
            self.path
        );
        Err(CommandError::new(Kind::Failed, message)
            .hint("move it away; the Secret of the client has that name"))
    }

    fn plain(&self, credentials: &ClientCredentials, hash: &str) -> Secret {
        let ClientCredentials {
            issuer,
            client_id,
            client_secret,
        } = credentials;
        Secret::new(format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  annotations:\n    {SECRET_HASH}: {hash}\nstringData:\n  \
             issuer: {}\n  clientId: {}\n  clientSecret: {}\n",
            scalar(&self.secret),
            escaped(issuer),
            escaped(client_id),
            escaped(client_secret.expose()),
        ))
    }
}
