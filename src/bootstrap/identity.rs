//! The stage logins: the realm, and what applications need of it in their namespaces.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::cluster::Workload;
use super::preflight::Systems;
use super::rotation::in_words;
use super::{Bootstrap, BootstrapError, Pruning, Scope, Stage, StageError, Surface, drift, preflight};
use crate::config::{Admin, Delivery, sealed_annotation};
use crate::desired::identity::ClientKind;
use crate::kubernetes::{Ensure, Look, ObjectReference, Watched};
use crate::plan::Plan;
use crate::report::{Reporter, Task};
use crate::surface::git::Content;
use crate::surface::keycloak::account::{self, AccountOperation, ServiceAccount};
use crate::surface::keycloak::backup::{self, RealmBackup};
use crate::surface::keycloak::{
    self, Credentials, Fingerprint, KeycloakError, KeycloakOperation, Object, ObservedRealm, Prune, Wanted,
    rotation,
};
use crate::surface::workload::{ClientCredentials, SECRET_HASH, apply_client_secret};
use crate::temporary;

/// What the provider's secret is recognised by without being read.
pub(super) fn fingerprint(bootstrap: &Bootstrap<'_>) -> Fingerprint {
    let secret = &bootstrap.environment.identity.github.client_secret;
    Wanted::fingerprint(
        secret,
        &bootstrap.environment.name,
        &bootstrap.desired.realm.github,
    )
}

/// What the realm should be.
pub(super) fn wanted<'bootstrap>(
    bootstrap: &'bootstrap Bootstrap<'_>,
    fingerprint: &'bootstrap Fingerprint,
    clients: Option<&'bootstrap BTreeSet<String>>,
) -> Wanted<'bootstrap> {
    Wanted {
        realm: &bootstrap.desired.realm,
        owner: &bootstrap.environment.name,
        provider_secret: fingerprint,
        clients,
    }
}

/// Makes the realm what is declared, or the clients of the applications in `scope`. Gives how many things changed.
pub(super) async fn set_up(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "logins", "the realm");
    let realm = &bootstrap.desired.realm;
    let secret = &bootstrap.environment.identity.github.client_secret;
    let fingerprint = fingerprint(bootstrap);
    let clients = scope.clients(bootstrap);
    let wanted = wanted(bootstrap, &fingerprint, clients.as_ref());
    let (observed, mut plan) = keycloak::look(&systems.keycloak, &wanted, bootstrap.prune()).await?;
    for stranger in keycloak::strangers(&wanted, &observed) {
        task.warn(format!(
            "{stranger} was put there by hand and has the rights of the group: add them to people.yaml, or take them \
             out of the group in Keycloak"
        ));
    }
    if drift::is_published(bootstrap, systems, "identity.yaml") {
        keycloak::attribute(&systems.keycloak, &observed, &mut plan).await?;
        let mended = plan.steps.iter().filter(|step| !is_of_provider(&step.operation));
        drift::tell(&task, mended.map(|step| &step.change));
    }
    for (client, end) in rotation::expiring(&wanted, &observed, Timestamp::now()) {
        task.warn(format!(
            "the secret of client {client} ends {}: `lotse identity rotate {} {client}` gives it another one",
            in_words(end),
            bootstrap.environment.name
        ));
    }
    back_up(bootstrap, &observed, (&plan, &task))?;
    keycloak::carry_out(
        &systems.keycloak,
        &wanted,
        secret,
        bootstrap.prune(),
        (&observed, &plan),
    )
    .await?;
    let established = match &clients {
        None => establish(bootstrap, systems, &task).await?,
        Some(_) => 0,
    };
    let parts = match &clients {
        Some(clients) => format!("{} of {} clients", clients.len(), realm.clients.len()),
        None => format!(
            "{} groups, {} members, {} clients",
            realm.groups.len(),
            realm.members.len(),
            realm.clients.len()
        ),
    };
    task.finish(format!("realm {}: {parts}", realm.name));
    Ok(plan.steps.len() + established)
}

/// The service account as it is declared; nothing where an administrator is.
fn service_account<'bootstrap>(bootstrap: &'bootstrap Bootstrap<'_>) -> Option<ServiceAccount<'bootstrap>> {
    let environment = bootstrap.environment;
    match &environment.identity.admin {
        Admin::User(_) => None,
        Admin::Account {
            client_id,
            client_secret,
            ..
        } => Some(ServiceAccount {
            client_id,
            secret: client_secret,
            realm: &environment.identity.realm,
            owner: &environment.name,
        }),
    }
}

/// What would be done about the service account, where an administrator is at hand who may.
pub(super) async fn plan_account(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
) -> Result<Plan<AccountOperation>, StageError> {
    let administrator = systems.accounts.as_ref();
    let administrator = administrator.and_then(|accounts| accounts.administrator.as_ref());
    match (administrator, service_account(bootstrap)) {
        (Some(administrator), Some(wanted)) => Ok(account::plan(administrator, &wanted).await?),
        _ => Ok(Plan::empty()),
    }
}

/// Sees to it that the service account is as declared, and goes on as it. Gives how many things changed.
async fn establish(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    task: &Task<'_>,
) -> Result<usize, StageError> {
    let (Some(accounts), Some(wanted)) = (&systems.accounts, service_account(bootstrap)) else {
        return Ok(0);
    };
    let mut changes = 0;
    if let Some(administrator) = &accounts.administrator {
        let plan = account::establish(administrator, &accounts.service, &wanted).await?;
        let told: Vec<String> = account::in_words(&plan).collect();
        if !told.is_empty() {
            task.note(told.join(", "));
        }
        changes = plan.steps.len();
        let credentials = Credentials::Account {
            client_id: wanted.client_id.to_owned(),
            secret: wanted.secret.clone(),
        };
        systems.keycloak.go_on_as(credentials).await;
    }
    let surplus = account::surplus(&accounts.service, wanted.realm).await?;
    if !surplus.is_empty() {
        task.warn(format!(
            "the service account {} may do more than it needs ({}): take that from it in realm master",
            wanted.client_id,
            surplus.join(", ")
        ));
    }
    Ok(changes)
}

/// Keeps what the plan deletes, and refuses one that deletes more than is allowed.
fn back_up(
    bootstrap: &Bootstrap<'_>,
    observed: &ObservedRealm,
    (plan, task): (&Plan<KeycloakOperation>, &Task<'_>),
) -> Result<(), StageError> {
    let deleted = backup::deletions(plan).count();
    let Some(Pruning { limit, backup: path }) = bootstrap.pruning.as_ref().filter(|_| deleted > 0) else {
        return Ok(());
    };
    if deleted > *limit {
        return Err(StageError::TooManyDeletions {
            deleted: backup::deletions(plan).map(ToString::to_string).collect(),
            limit: *limit,
        });
    }
    let kept = RealmBackup::of(observed, plan);
    let unkept = |source| StageError::Backup {
        path: path.to_string(),
        source,
    };
    let text = serde_json::to_string_pretty(&kept).map_err(|error| unkept(error.into()))?;
    fs_err::create_dir_all(path.parent().unwrap_or(path)).map_err(unkept)?;
    temporary::replace(path, text + "\n", temporary::PRIVATE).map_err(unkept)?;
    let names: Vec<String> = kept.names().collect();
    task.note(format!(
        "no longer declared and deleted: {}; kept in {path}",
        names.join(", ")
    ));
    Ok(())
}

/// Brings back what `kept` has and the realm has not. Gives what was brought back.
///
/// # Errors
/// When Keycloak does not do it, or the backup is of another realm.
pub async fn restore(
    bootstrap: &Bootstrap<'_>,
    kept: &RealmBackup,
    reporter: &dyn Reporter,
) -> Result<Vec<String>, BootstrapError> {
    let failed = |source: StageError| BootstrapError {
        stage: Stage::Logins,
        done: Vec::new(),
        source: Box::new(source),
    };
    let realm = &bootstrap.desired.realm.name;
    if kept.realm != *realm {
        return Err(failed(StageError::OtherRealm {
            kept: kept.realm.clone(),
            realm: realm.clone(),
        }));
    }
    let systems = preflight::connect(bootstrap, reporter).await.map_err(failed)?;
    let task = Task::start(reporter, "logins", "the realm");
    let fingerprint = fingerprint(bootstrap);
    let wanted = wanted(bootstrap, &fingerprint, None);
    let restored = async {
        let (observed, _) = keycloak::look(&systems.keycloak, &wanted, Prune::Keep).await?;
        let plan = kept.restoration(&observed);
        let secret = &bootstrap.environment.identity.github.client_secret;
        keycloak::apply(&systems.keycloak, &observed, &plan, secret).await?;
        Ok::<_, KeycloakError>(plan)
    };
    let plan = restored.await.map_err(|error| failed(error.into()))?;
    task.finish(format!("realm {realm}: {} brought back", plan.steps.len()));
    Ok(plan.changes().map(|change| change.object.clone()).collect())
}

/// The identity provider has settings that are known only at run time, so the published tree does not say whether they
/// were changed by others.
const fn is_of_provider(operation: &KeycloakOperation) -> bool {
    matches!(
        operation,
        KeycloakOperation::Update {
            object: Object::Provider(_),
            ..
        }
    )
}

/// Carries the secrets of confidential clients into the namespaces of their applications, each as soon as Flux has made
/// the namespace. Gives how many Secrets changed.
pub(super) async fn carry_secrets(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Workload,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<usize, StageError> {
    let task = Task::start(reporter, "secrets", "client secrets into namespaces");
    let realm = &bootstrap.desired.realm;
    let mut carried = Vec::new();
    let mut changed = 0;
    for client in &realm.clients {
        let ClientKind::Confidential {
            namespace,
            secret,
            delivery,
        } = &client.kind
        else {
            continue;
        };
        if !scope.has(Surface::Workload) && !scope.has_app(namespace) {
            continue;
        }
        wait_for_namespace(bootstrap, workload, namespace, &task).await?;
        let credentials = credentials(bootstrap, systems, &client.client_id).await?;
        if *delivery == Delivery::Git {
            compare_sealed(bootstrap, (secret, &credentials), &task);
            continue;
        }
        let ensured = apply_client_secret(&workload.cluster, namespace, secret, &credentials).await?;
        changed += usize::from(ensured != Ensure::NotNeeded);
        carried.push(format!("{namespace}/{secret}"));
    }
    task.finish(if carried.is_empty() {
        "no application has a login".to_owned()
    } else {
        carried.join(", ")
    });
    Ok(changed)
}

/// Tells where the Secret that Flux is to bring is not that of the client: only somebody who commits can mend that.
fn compare_sealed(
    bootstrap: &Bootstrap<'_>,
    (secret, credentials): (&str, &ClientCredentials),
    task: &Task<'_>,
) {
    let hash = credentials.fingerprint().to_string();
    let mut files = bootstrap.files.values();
    let is_there = files.any(|file| {
        let Content::File { bytes, .. } = &file.content else {
            return false;
        };
        let text = std::str::from_utf8(bytes).ok();
        text.and_then(|text| sealed_annotation(text, SECRET_HASH))
            .as_deref()
            == Some(hash.as_str())
    });
    if !is_there {
        task.warn(format!(
            "the present secret of client {} is not in Git, so that Flux can't bring Secret {secret}: \
             `lotse identity seal {} {}` writes it, and you commit it",
            credentials.client_id, bootstrap.environment.name, credentials.client_id
        ));
    }
}

/// What an application needs to know of its client.
pub(super) async fn credentials(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    client_id: &str,
) -> Result<ClientCredentials, StageError> {
    let realm = &bootstrap.desired.realm.name;
    Ok(ClientCredentials {
        issuer: bootstrap.environment.identity.issuer(),
        client_id: client_id.to_owned(),
        client_secret: keycloak::client_secret(&systems.keycloak, realm, client_id).await?,
    })
}

async fn wait_for_namespace(
    bootstrap: &Bootstrap<'_>,
    workload: &Workload,
    namespace: &str,
    task: &Task<'_>,
) -> Result<(), StageError> {
    let reference = ObjectReference::new("v1", "Namespace", namespace);
    let cluster = &workload.cluster;
    let look = || async {
        Ok(match cluster.read(&reference).await? {
            Some(_) => Look::Done(()),
            None => Look::waiting(&reference, "is not there yet"),
        })
    };
    let wait = bootstrap.wait(Stage::Secrets, &reference.to_string(), task);
    Ok(cluster.wait(&wait, &[Watched::from(&reference)], look).await?)
}
