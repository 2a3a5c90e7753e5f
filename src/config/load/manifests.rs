//! The manifests of the environment's applications, held to what is declared.

use camino::{Utf8Path, Utf8PathBuf};

use super::Loader;
use super::extends::overriding;
use crate::age::Recipient;
use crate::config::app::{App, Delivery};
use crate::config::environment::Environment;
use crate::config::manifests::{Backend, SealedLogin, Subject, check_all};
use crate::config::read::{Mention, Mentioned};
use crate::diag::{Label, Span};

impl Loader<'_> {
    /// Checks the manifests of `apps`. `folders`, that of the environment and of those it extends, may
    /// hold more of them.
    pub(super) fn check_manifests_of(
        &mut self,
        environment: &Environment,
        folders: &[Utf8PathBuf],
        (apps, readers): (&[App], Option<&[Recipient]>),
    ) {
        let subjects: Vec<Subject<'_>> = apps
            .iter()
            .filter_map(|app| {
                let is_folder = |path: &Utf8Path| self.files.is_folder(path);
                let folder = overriding(folders, app.name.as_str(), is_folder);
                self.subject(app, environment, (folder, readers))
            })
            .collect();
        for checked in check_all(&subjects) {
            self.diagnostics.extend(checked.diagnostics);
            self.sources.extend(checked.sources);
        }
    }

    fn subject(
        &self,
        app: &App,
        environment: &Environment,
        (environment_folder, readers): (&Utf8Path, Option<&[Recipient]>),
    ) -> Option<Subject<'_>> {
        let mentions = |what: Mentioned| {
            let claims = self.claims.iter().filter(|claim| claim.app == app.name);
            claims
                .map(|claim| &claim.mention)
                .filter(move |mention| mention.what == what)
        };
        let declared = mentions(Mentioned::Manifests).next()?;
        // A chart or somebody else's folder may bring the Services.
        let hosts = match app.source.upstream {
            Some(_) => &[],
            None => app.hosts.as_slice(),
        };
        let backends = hosts.iter().filter_map(|host| {
            let (service, port) = host.backend()?;
            let mention = mentions(Mentioned::Host).find(|mention| mention.name == host.name.as_str())?;
            Some(Backend {
                service: service.to_owned(),
                port,
                declared: label(&mention.path, mention.span),
            })
        });
        let name = app.name.as_str();
        Some(Subject {
            repository: self.files,
            folder: app.source.manifests.clone()?,
            homes: vec![
                Utf8Path::new("apps").join(name),
                environment_folder.join("apps").join(name),
            ],
            declared: label(&declared.path, declared.span),
            app: name.to_owned(),
            is_cluster_wide: environment.cluster_wide.contains(&app.name),
            kubernetes: environment.cluster.version.clone(),
            flux: environment.flux.version.clone(),
            pod_security: app.pod_security,
            is_whole: app.source.upstream.is_none(),
            backends: backends.collect(),
            login_secrets: app
                .login
                .iter()
                .filter(|client| client.delivery == Delivery::Cluster)
                .map(|client| client.secret.clone())
                .collect(),
            sealed_logins: sealed_logins(app, mentions(Mentioned::Client)),
            readers: readers.map(<[_]>::to_vec),
            own_folder: super::folder_of(&environment.name),
        })
    }
}

/// The clients whose secrets are kept in Git.
fn sealed_logins<'read>(app: &App, mentions: impl Iterator<Item = &'read Mention>) -> Vec<SealedLogin> {
    let mentions: Vec<&Mention> = mentions.collect();
    let in_git = app.login.iter().filter(|client| client.delivery == Delivery::Git);
    in_git
        .filter_map(|client| {
            let mention = mentions.iter().find(|mention| mention.name == client.client)?;
            Some(SealedLogin {
                client: client.client.clone(),
                secret: client.secret.clone(),
                declared: label(&mention.path, mention.span),
            })
        })
        .collect()
}

fn label(path: &Utf8Path, span: Span) -> Label {
    Label {
        path: path.to_owned(),
        span,
        text: String::new(),
    }
}
