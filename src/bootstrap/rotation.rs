//! New secrets for clients of applications, and the secrets of those that are kept in Git.

use jiff::Timestamp;

use super::cluster::{self, Workload};
use super::identity::{credentials, fingerprint, login_secret, wanted};
use super::preflight::{self, Systems};
use super::{Bootstrap, BootstrapError, Scope, Stage, StageError};
use crate::config::Delivery;
use crate::desired::identity::{Client, ClientKind};
use crate::kubernetes::ObjectReference;
use crate::plan::Plan;
use crate::report::{Reporter, Task};
use crate::surface::keycloak::{self, KeycloakOperation, Object, ObservedRealm, Prune, rotation};
use crate::surface::workload::ClientCredentials;

/// A client that has another secret now.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Client id.
    pub client: String,
    /// Where the new secret is; `None` where it is to be kept in Git, see [`Rotated::credentials`].
    pub secret: Option<ObjectReference>,
    /// Until when the secret before holds; `None` where it ended.
    pub until: Option<Timestamp>,
    /// What is to be kept in Git.
    pub credentials: Option<ClientCredentials>,
}

/// Gives each of `clients` another secret, and carries it to its application. The one before holds for
/// `identity.clientSecretGrace`; with `at_once` it ends.
///
/// # Errors
/// Before anything changes: all reasons why it can't be done as asked. A secret that could not be carried is carried by the
/// next bring-up.
pub async fn rotate(
    bootstrap: &Bootstrap<'_>,
    (clients, at_once): (&[&Client], bool),
    reporter: &dyn Reporter,
) -> Result<Vec<Rotated>, BootstrapError> {
    let systems = preflight::connect(bootstrap, &Scope::default(), reporter)
        .await
        .map_err(failed)?;
    let workload = cluster::connect(bootstrap, &systems).await.map_err(failed)?;
    // Two at once would each take the other's new secret for the one to keep.
    let turn = cluster::take_turn(bootstrap, &systems, reporter).await;
    let turn = turn.map_err(failed)?;
    let task = Task::start(reporter, "logins", "secrets of clients");
    let rotating = Rotating {
        bootstrap,
        systems: &systems,
        workload: &workload,
    };
    let rotated = tokio::select! {
        rotated = Box::pin(rotating.all(clients, at_once)) => rotated,
        () = turn.lost() => Err(StageError::TurnLost),
    };
    turn.give_back().await;
    let rotated = rotated.map_err(failed)?;
    task.finish(match rotated.len() {
        1 => "1 client has another secret".to_owned(),
        many => format!("{many} clients have other secrets"),
    });
    Ok(rotated)
}

/// What applications have to know of `clients`, for keeping it in Git.
///
/// # Errors
/// When Keycloak does not say it.
pub async fn client_credentials(
    bootstrap: &Bootstrap<'_>,
    clients: &[&Client],
    reporter: &dyn Reporter,
) -> Result<Vec<ClientCredentials>, BootstrapError> {
    let systems = preflight::connect(bootstrap, &Scope::default(), reporter)
        .await
        .map_err(failed)?;
    let mut found = Vec::new();
    for client in clients {
        let credentials = credentials(bootstrap, &systems, &client.client_id).await;
        found.push(credentials.map_err(failed)?);
    }
    Ok(found)
}

fn failed(source: StageError) -> BootstrapError {
    BootstrapError::at_once(Stage::Logins, source)
}

struct Rotating<'work> {
    bootstrap: &'work Bootstrap<'work>,
    systems: &'work Systems,
    workload: &'work Workload,
}

impl Rotating<'_> {
    async fn all(&self, clients: &[&Client], at_once: bool) -> Result<Vec<Rotated>, StageError> {
        let fingerprint = fingerprint(self.bootstrap);
        let wanted = wanted(self.bootstrap, &fingerprint, None);
        let looked = keycloak::look(&self.systems.keycloak, &wanted, Prune::Keep).await?;
        let in_the_way: Vec<String> = clients
            .iter()
            .filter_map(|client| self.in_the_way(client, &looked, at_once))
            .collect();
        if !in_the_way.is_empty() {
            return Err(StageError::NotRotated { reasons: in_the_way });
        }
        let mut rotated = Vec::new();
        for client in clients {
            let id = &client.client_id;
            rotated.push(
                self.one(client, at_once)
                    .await
                    .map_err(|source| StageError::Uncarried {
                        client: id.clone(),
                        source: Box::new(source),
                    })?,
            );
        }
        Ok(rotated)
    }

    /// Why the old secret of a client would not hold as it should, in one sentence.
    fn in_the_way(
        &self,
        client: &Client,
        (observed, plan): &(ObservedRealm, Plan<KeycloakOperation>),
        at_once: bool,
    ) -> Option<String> {
        let id = &client.client_id;
        let differs = |object: &Object| {
            let mut steps = plan.steps.iter();
            steps.any(|step| step.operation.object() == Some(object))
        };
        if !observed.has(&Object::Client(id.clone())) {
            return Some(format!("the client {id} is not in the realm yet"));
        }
        if at_once {
            return None;
        }
        if let Some(end) = rotation::grace(observed, id, Timestamp::now()) {
            let end = in_words(end);
            return Some(format!(
                "the secret of {id} before the present one holds until {end}, and another rotation would end it"
            ));
        }
        if self.bootstrap.desired.realm.client_secret_grace.is_none() {
            return Some(format!(
                "the present secret of {id} would end at once: identity.clientSecretGrace is not declared"
            ));
        }
        (differs(&Object::ClientPolicies) || differs(&Object::Client(id.clone()))).then(|| {
            format!(
                "the realm does not keep the present secret of {id} yet: bring in what is declared before"
            )
        })
    }

    async fn one(&self, client: &Client, at_once: bool) -> Result<Rotated, StageError> {
        let realm = &self.bootstrap.desired.realm.name;
        let id = &client.client_id;
        let until = rotation::rotate(&self.systems.keycloak, (realm, id), at_once).await?;
        let credentials = credentials(self.bootstrap, self.systems, id).await?;
        let mut rotated = Rotated {
            client: id.clone(),
            secret: None,
            until,
            credentials: None,
        };
        match &client.kind {
            ClientKind::Confidential {
                namespace,
                secret,
                delivery: Delivery::Cluster,
            } => {
                let login = login_secret(self.bootstrap, namespace, secret);
                login.apply(&self.workload.cluster, &credentials).await?;
                rotated.secret = Some(login.reference());
            }
            ClientKind::Confidential { .. } => rotated.credentials = Some(credentials),
            ClientKind::Public => {}
        }
        Ok(rotated)
    }
}

/// `2026-12-01 12:40 UTC`
#[must_use]
pub fn in_words(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
