//! The stage logins: the realm, and what applications need of it in their namespaces.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::cluster::Workload;
use super::preflight::Systems;
use super::rotation::in_words;
use super::{Bootstrap, BootstrapError, Pruning, Scope, Stage, StageError, Surface, drift, preflight};
use crate::config::{Admin, Delivery, sealed_annotation};
use crate::desired::identity::ClientKind;
use crate::desired::{GATEWAY_NAMESPACE, Manifest};
use crate::kubernetes::{Ensure, Look, ObjectReference, Watched};
use crate::plan::{Change, Plan};
use crate::report::{Reporter, Task};
use crate::surface::git::Content;
use crate::surface::keycloak::account::{self, AccountOperation, ServiceAccount};
use crate::surface::keycloak::backup::{self, RealmBackup};
use crate::surface::keycloak::{
    self, Credentials, Fingerprint, KeycloakError, KeycloakOperation, Object, ObservedRealm, Part, Prune,
    Wanted, rotation,
};
use crate::surface::management;
use crate::surface::workload::{ClientCredentials, LoginSecret, SECRET_HASH, is_of_flux};
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
    part: Option<&'bootstrap Part>,
) -> Wanted<'bootstrap> {
    Wanted {
        realm: &bootstrap.desired.realm,
        owner: &bootstrap.environment.name,
        provider_secret: fingerprint,
        part,
    }
}

/// Makes the realm what is declared, or what of it belongs to the applications in `scope`. Gives how many things changed.
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
    let part = scope.part(bootstrap);
    let wanted = wanted(bootstrap, &fingerprint, part.as_ref());
    let (observed, mut plan) = keycloak::look(&systems.keycloak, &wanted, bootstrap.prune()).await?;
    for loophole in keycloak::loopholes(&wanted, &observed) {
        task.warn(loophole);
    }
    let strangers = strangers(systems, &wanted, &observed).await?;
    if bootstrap.prune() == Prune::Keep {
        for change in strangers.changes() {
            task.warn(of_stranger(bootstrap, change));
        }
    }
    let is_published = drift::is_published(bootstrap, systems, "identity.yaml");
    if is_published {
        keycloak::attribute(&systems.keycloak, &observed, &mut plan).await?;
    }
    for (client, end) in rotation::expiring(&wanted, &observed, Timestamp::now()) {
        task.warn(format!(
            "the secret of client {client} ends {}: `lotse identity rotate {} {client}` gives it another one",
            in_words(end),
            bootstrap.environment.name
        ));
    }
    let removed = back_up(bootstrap, &observed, (&plan, &strangers))?;
    keycloak::carry_out(
        &systems.keycloak,
        &wanted,
        secret,
        bootstrap.prune(),
        (&observed, &plan),
    )
    .await?;
    if is_published {
        let is_evicted =
            |operation: &KeycloakOperation| strangers.steps.iter().any(|step| step.operation == *operation);
        let mended = plan
            .steps
            .iter()
            .filter(|step| is_put_back(&step.operation) && !is_evicted(&step.operation));
        drift::tell(&task, mended.map(|step| &step.change));
    }
    if let Some(removed) = removed {
        task.note(removed);
    }
    let established = match &part {
        None => establish(bootstrap, systems, &task).await?,
        Some(_) => 0,
    };
    let parts = match &part {
        Some(part) => format!("{} of {} clients", part.clients.len(), realm.clients.len()),
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

/// Members of our groups whom somebody put there by hand, and who did it as far as Keycloak's record goes.
pub(super) async fn strangers(
    systems: &Systems,
    wanted: &Wanted<'_>,
    observed: &ObservedRealm,
) -> Result<Plan<KeycloakOperation>, KeycloakError> {
    let mut strangers = keycloak::strangers(wanted, observed);
    keycloak::attribute(&systems.keycloak, observed, &mut strangers).await?;
    Ok(strangers)
}

/// `member eve of group scs:web was put there by hand (admin, 2026-11-27 12:40 UTC) and has the rights of the group: …`
pub(super) fn of_stranger(bootstrap: &Bootstrap<'_>, stranger: &Change) -> String {
    let by = stranger.by.as_ref().map(|by| format!(" ({by})"));
    format!(
        "{} was put there by hand{} and has the rights of the group: `lotse apply {} --prune` takes them out; who is to stay \
         is to be declared",
        stranger.object,
        by.unwrap_or_default(),
        bootstrap.environment.name
    )
}

/// Keeps what the plan deletes, and refuses one that deletes more than is allowed. Gives what is to be said when it is done.
fn back_up(
    bootstrap: &Bootstrap<'_>,
    observed: &ObservedRealm,
    (plan, strangers): (&Plan<KeycloakOperation>, &Plan<KeycloakOperation>),
) -> Result<Option<String>, StageError> {
    let deleted = backup::deletions(plan).map(ToString::to_string);
    let evicted = backup::evicted(plan, strangers).map(ToString::to_string);
    let deleted: Vec<String> = deleted.chain(evicted).collect();
    let Some(Pruning { limit, backup: path }) = bootstrap.pruning.as_ref().filter(|_| !deleted.is_empty())
    else {
        return Ok(None);
    };
    if deleted.len() > *limit {
        let limit = *limit;
        let place = "objects of the realm";
        return Err(StageError::TooManyDeletions {
            place,
            deleted,
            limit,
        });
    }
    let kept = RealmBackup::of(observed, plan, strangers);
    let unkept = |source| StageError::Backup {
        path: path.to_string(),
        source,
    };
    let text = serde_json::to_string_pretty(&kept).map_err(|error| unkept(error.into()))?;
    fs_err::create_dir_all(path.parent().unwrap_or(path)).map_err(unkept)?;
    temporary::replace(path, text + "\n", temporary::PRIVATE).map_err(unkept)?;
    Ok(Some(format!(
        "not declared, and removed: {}; kept in {path}",
        deleted.join(", ")
    )))
}

/// What brings back what a backup has and the realm has not.
pub struct Restoration {
    systems: Systems,
    observed: ObservedRealm,
    plan: Plan<KeycloakOperation>,
}

/// Finds out what of `kept` the realm has not.
///
/// # Errors
/// When Keycloak does not answer, or the backup is of another realm.
pub async fn restoration(
    bootstrap: &Bootstrap<'_>,
    kept: &RealmBackup,
    reporter: &dyn Reporter,
) -> Result<Restoration, BootstrapError> {
    let realm = &bootstrap.desired.realm.name;
    if kept.realm != *realm {
        return Err(unrestored(StageError::OtherRealm {
            kept: kept.realm.clone(),
            realm: realm.clone(),
        }));
    }
    let scope = Scope {
        surfaces: BTreeSet::from([Surface::Keycloak]),
        ..Scope::default()
    };
    let systems = preflight::connect(bootstrap, &scope, reporter).await;
    let systems = systems.map_err(unrestored)?;
    let fingerprint = fingerprint(bootstrap);
    let wanted = wanted(bootstrap, &fingerprint, None);
    let looked = keycloak::look(&systems.keycloak, &wanted, Prune::Keep).await;
    let (observed, _) = looked.map_err(|error| unrestored(error.into()))?;
    let plan = kept.restoration(&observed);
    Ok(Restoration {
        systems,
        observed,
        plan,
    })
}

impl Restoration {
    /// What comes back.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plan.changes().map(|change| change.object.as_str())
    }

    /// Brings it back.
    ///
    /// # Errors
    /// When Keycloak does not do it. The same again goes on.
    pub async fn carry_out(
        &self,
        bootstrap: &Bootstrap<'_>,
        reporter: &dyn Reporter,
    ) -> Result<(), BootstrapError> {
        let task = Task::start(reporter, "logins", "the realm");
        let secret = &bootstrap.environment.identity.github.client_secret;
        let applied = keycloak::apply(&self.systems.keycloak, &self.observed, &self.plan, secret).await;
        applied.map_err(|error| unrestored(error.into()))?;
        let (realm, count) = (&bootstrap.desired.realm.name, self.plan.steps.len());
        task.finish(format!("realm {realm}: {count} brought back"));
        Ok(())
    }
}

fn unrestored(source: StageError) -> BootstrapError {
    BootstrapError::at_once(Stage::Logins, source)
}

/// Whether a step puts something back that was as published. The identity provider has settings that are known only at
/// run time, so the published tree does not say whether they were changed by others; what is pruned is told on its own.
const fn is_put_back(operation: &KeycloakOperation) -> bool {
    !matches!(
        operation,
        KeycloakOperation::Delete { .. }
            | KeycloakOperation::Update {
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
            if let Some(warning) = compare_sealed(bootstrap, secret, &credentials) {
                task.warn(warning);
            }
            continue;
        }
        let login = login_secret(bootstrap, namespace, secret);
        wait_for_flux(bootstrap, workload, &login, &task).await?;
        let ensured = login.apply(&workload.cluster, &credentials).await?;
        if ensured == Ensure::Updated {
            let client = client.client_id.as_str();
            let giver = keycloak::secret_giver(&systems.keycloak, &realm.name, client).await?;
            if let Some(giver) = giver {
                task.warn(of_giver(bootstrap, client, &giver));
            }
        }
        changed += usize::from(ensured != Ensure::NotNeeded);
        carried.push(format!("{namespace}/{secret}"));
    }
    if let Some(secret) = zone_key(bootstrap).filter(|_| scope.has(Surface::Workload)) {
        wait_for_namespace(bootstrap, workload, GATEWAY_NAMESPACE, &task).await?;
        let ensured = workload.cluster.apply(&secret).await?;
        changed += usize::from(ensured != Ensure::NotNeeded);
        carried.push(format!("{GATEWAY_NAMESPACE}/{}", secret.name()));
    }
    task.finish(if carried.is_empty() {
        "no application has a login".to_owned()
    } else {
        carried.join(", ")
    });
    Ok(changed)
}

/// The Secret by which cert-manager writes records into the zone, where it is to.
pub(super) fn zone_key(bootstrap: &Bootstrap<'_>) -> Option<Manifest> {
    management::zone_key(bootstrap.environment, bootstrap.desired.zone_key?)
}

/// The Secret `secret` of a login in the namespace `namespace`.
pub(super) const fn login_secret<'declared>(
    bootstrap: &'declared Bootstrap<'_>,
    namespace: &'declared str,
    secret: &'declared str,
) -> LoginSecret<'declared> {
    LoginSecret {
        environment: &bootstrap.environment.name,
        namespace,
        name: secret,
    }
}

/// `client grafana has the secret that admin, 2026-11-27 12:40 UTC, gave it: …`
fn of_giver(bootstrap: &Bootstrap<'_>, client: &str, giver: &str) -> String {
    format!(
        "client {client} has another secret than before, last changed in Keycloak by {giver}: it was carried to the \
         application; where nobody else is to know it, `lotse identity rotate {} {client} --at-once` gives it a new one",
        bootstrap.environment.name
    )
}

/// Says where the Secret that Flux is to bring is not that of the client: only somebody who commits can mend that.
pub(super) fn compare_sealed(
    bootstrap: &Bootstrap<'_>,
    secret: &str,
    credentials: &ClientCredentials,
) -> Option<String> {
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
    (!is_there).then(|| {
        let client = &credentials.client_id;
        format!(
            "the present secret of client {client} is not in Git, so that Flux can't bring Secret {secret}: \
             `lotse identity seal {} {client}` writes it, and you commit it",
            bootstrap.environment.name
        )
    })
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

/// What Git had before goes with its file: Flux would remove what is written over it until then.
async fn wait_for_flux(
    bootstrap: &Bootstrap<'_>,
    workload: &Workload,
    login: &LoginSecret<'_>,
    task: &Task<'_>,
) -> Result<(), StageError> {
    let reference = login.reference();
    let cluster = &workload.cluster;
    let look = || async {
        Ok(match cluster.read(&reference).await? {
            Some(secret) if is_of_flux(&secret) => {
                Look::waiting(&reference, "is the one that was in Git, which Flux removes first")
            }
            _ => Look::Done(()),
        })
    };
    let wait = bootstrap.wait(Stage::Secrets, &reference.to_string(), task);
    Ok(cluster.wait(&wait, &[Watched::from(&reference)], look).await?)
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
