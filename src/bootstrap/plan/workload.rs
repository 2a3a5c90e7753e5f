//! The plan of the workload cluster, and of the zone, which needs the address of its gateway.

use super::super::names::Records;
use super::super::preflight::Systems;
use super::super::{Bootstrap, Scope, Stage, StageError, identity, names, undeclared};
use super::pruned::pruned;
use super::{KnownAfter, Ownership, PlannedChange, Surface, SurfacePlan, changes, named, of_objects};
use crate::config::{Delivery, FluxCredentials};
use crate::desired::Manifest;
use crate::desired::identity::ClientKind;
use crate::kubernetes::{Cluster, KubernetesError, ObjectReference};
use crate::plan::{Action, Change, FieldChange};
use crate::ssh::DeployKey;
use crate::surface::git::deploy_key::{self, Registration};
use crate::surface::keycloak::{self, KeycloakError};
use crate::surface::management::{self, ManagementError};
use crate::surface::workload::{self, ClientCredentials, LoginSecret, ObservedSource};

/// A part of the plan, or the stage that could not be planned.
type Planned<T> = Result<T, (Stage, StageError)>;

/// Plans the workload cluster and the zone.
pub(super) async fn of_workload(
    bootstrap: &Bootstrap<'_>,
    (systems, scope): (&Systems, &Scope),
    ownership: &Ownership<'_>,
) -> Planned<Vec<SurfacePlan>> {
    let (is_of_workload, is_of_zone) = (scope.touches(Surface::Workload), scope.touches(Surface::Dns));
    if !is_of_workload && !is_of_zone {
        return Ok(Vec::new());
    }
    let in_flux = |source| (Stage::Flux, source);
    let in_dns = |source| (Stage::Dns, source);
    let plan = |changes, known_after| SurfacePlan {
        surface: Surface::Workload,
        place: format!("cluster {}", bootstrap.environment.cluster.name),
        changes,
        known_after,
        undeclared: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let zone = |changes, known_after| SurfacePlan {
        surface: Surface::Dns,
        place: format!("zone {}", bootstrap.environment.dns.zone),
        changes,
        known_after,
        undeclared: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let cluster = match connect(bootstrap, systems).await.map_err(in_flux)? {
        Connection::Made(cluster) => cluster,
        Connection::Later(after) => {
            let later = |what| KnownAfter {
                what,
                after: after.clone(),
            };
            let objects = later(format!(
                "{} objects that Flux delivers",
                bootstrap.desired.delivered().count()
            ));
            return Ok(vec![
                plan(Vec::new(), vec![objects]),
                zone(Vec::new(), vec![later(names::wildcard(bootstrap))]),
            ]);
        }
    };
    let mut plans = Vec::new();
    if is_of_workload {
        let (objects, warnings) = objects(bootstrap, systems, &cluster, ownership)
            .await
            .map_err(in_flux)?;
        let undeclared = undeclared::inside(bootstrap, &cluster).await;
        let undeclared = undeclared.map_err(|error| in_flux(error.into()))?;
        plans.push(SurfacePlan {
            undeclared: named(&undeclared),
            warnings,
            ..plan(objects, Vec::new())
        });
    }
    if is_of_zone {
        let records = records(bootstrap, systems, &cluster).await.map_err(in_dns)?;
        let later = records.later.into_iter().map(|(name, after)| KnownAfter {
            what: name.trim_end_matches('.').to_owned(),
            after,
        });
        plans.push(SurfacePlan {
            warnings: records.warnings,
            undeclared: records.undeclared,
            notes: [records.moves, records.notes].concat(),
            ..zone(changes(&records.plan, |_| None), later.collect())
        });
    }
    Ok(plans)
}

/// Whether the workload cluster can be asked.
enum Connection {
    Made(Box<Cluster>),
    /// What has to be there first.
    Later(String),
}

async fn connect(bootstrap: &Bootstrap<'_>, systems: &Systems) -> Result<Connection, StageError> {
    let declared = bootstrap.desired.management.iter();
    let mut declared = declared.filter(|manifest| manifest.kind() == "Cluster");
    let Some(manifest) = declared.next() else {
        return Ok(Connection::Later("a Cluster is declared".to_owned()));
    };
    let later = || Connection::Later(format!("{manifest} is Available"));
    let kubeconfig = match management::kubeconfig(&systems.management, manifest).await {
        Err(ManagementError::NoKubeconfig { .. }) => return Ok(later()),
        other => other?,
    };
    let cluster = Cluster::from_text(kubeconfig.expose(), &format!("of {manifest}"))
        .await?
        .overruling(bootstrap.force_conflicts);
    match cluster.served_versions("").await {
        Err(error) if error.is_transient() && !is_available(systems, manifest).await? => Ok(later()),
        other => other
            .map(|_| Connection::Made(Box::new(cluster)))
            .map_err(StageError::from),
    }
}

/// Whether the management cluster says that the Cluster can be reached: then an API server that does not answer is a
/// fault, and not one that is still to come.
async fn is_available(systems: &Systems, manifest: &Manifest) -> Result<bool, KubernetesError> {
    let cluster = systems.management.get(manifest).await?;
    Ok(cluster.is_some_and(|cluster| crate::kubernetes::is_true(&cluster, "Available")))
}

async fn objects(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    cluster: &Cluster,
    ownership: &Ownership<'_>,
) -> Result<(Vec<PlannedChange>, Vec<String>), StageError> {
    let delivered: Vec<Manifest> = bootstrap.desired.delivered().collect();
    let (components, sync, objects, removed, secrets) = tokio::try_join!(
        async { Ok(workload::plan_components(cluster, &bootstrap.flux).await?) },
        async { Ok(workload::plan_sync(cluster, &bootstrap.desired.sync).await?) },
        async { Ok(workload::plan_delivered(cluster, &delivered).await?) },
        pruned(bootstrap, systems, cluster, (&delivered, ownership)),
        secrets(bootstrap, systems, cluster),
    )?;
    let (secrets, warnings) = secrets;
    let is_planned = |change: &PlannedChange, earlier: &[PlannedChange]| {
        earlier.iter().any(|other| other.object == change.object)
    };
    let mut planned = of_objects(&components, ownership);
    planned.extend(of_objects(&sync, ownership));
    for change in of_objects(&objects, ownership) {
        if !is_planned(&change, &planned) {
            planned.push(change);
        }
    }
    planned.extend(removed);
    planned.extend(secrets);
    Ok((planned, warnings))
}

/// Secrets that are not there, or are not those of their clients; values are masked. With what only somebody who commits
/// can mend.
async fn secrets(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    cluster: &Cluster,
) -> Result<(Vec<PlannedChange>, Vec<String>), StageError> {
    let given = management::workload_secrets(bootstrap.environment);
    let plan = cluster.clone().overruling(true).plan(&given).await?;
    let mut planned = changes(&plan, |_| None);
    planned.extend(source(bootstrap, systems, cluster).await?);
    if let Some(identity) = &systems.identity {
        let secret = workload::decryption_secret(&bootstrap.environment.name, identity);
        let plan = cluster.plan(&[secret]).await?;
        planned.extend(changes(&plan, |_| None));
    }
    if let Some(secret) = identity::zone_key(bootstrap) {
        let plan = cluster.plan(&[secret]).await?;
        planned.extend(changes(&plan, |_| None));
    }
    let mut warnings = Vec::new();
    for client in &bootstrap.desired.realm.clients {
        let ClientKind::Confidential {
            namespace,
            secret,
            delivery,
        } = &client.kind
        else {
            continue;
        };
        let credentials = match identity::credentials(bootstrap, systems, &client.client_id).await {
            Ok(credentials) => Some(credentials),
            // The client is made first, with another secret than that of an earlier one.
            Err(StageError::Keycloak(KeycloakError::Absent { .. })) => None,
            Err(other) => return Err(other),
        };
        match (delivery, credentials) {
            (Delivery::Git, None) => {}
            (Delivery::Git, Some(credentials)) => {
                warnings.extend(identity::compare_sealed(bootstrap, secret, &credentials));
            }
            (Delivery::Cluster, credentials) => {
                let login = identity::login_secret(bootstrap, namespace, secret);
                let changes = carried(
                    systems,
                    cluster,
                    &login,
                    (&bootstrap.desired.realm.name, credentials),
                );
                let app = Some(namespace.clone());
                let changes = changes.await?.into_iter();
                planned.extend(changes.map(|change| PlannedChange::new(app.clone(), change)));
            }
        }
    }
    Ok((planned, warnings))
}

/// What would be done about the Secret of one login; `credentials` are none where the client is still to be made.
async fn carried(
    systems: &Systems,
    cluster: &Cluster,
    login: &LoginSecret<'_>,
    (realm, credentials): (&str, Option<ClientCredentials>),
) -> Result<Vec<Change>, StageError> {
    let reference = login.reference();
    let Some(observed) = cluster.read(&reference).await? else {
        return Ok(vec![changed(Action::Create, &reference)]);
    };
    let conflicts = workload::written_by_others(&observed);
    if !conflicts.is_empty() && !workload::is_of_flux(&observed) && !cluster.overrules() {
        return Ok(vec![Change {
            conflicts,
            ..changed(Action::Adopt, &reference)
        }]);
    }
    let Some(credentials) = credentials else {
        return Ok(vec![changed(Action::Update, &reference)]);
    };
    if workload::is_of_flux(&observed) {
        let field = FieldChange {
            path: "delivery".to_owned(),
            before: Some("git".to_owned()),
            after: Some("cluster".to_owned()),
        };
        return Ok(vec![Change {
            fields: vec![field],
            ..changed(Action::Update, &reference)
        }]);
    }
    let plan = login.plan(cluster, &credentials).await?;
    let mut changes: Vec<Change> = plan.changes().cloned().collect();
    for change in &mut changes {
        let has_another = |field: &FieldChange| field.path.ends_with("clientSecret");
        if change.by.is_none() && change.fields.iter().any(has_another) {
            change.by = keycloak::secret_giver(&systems.keycloak, realm, &credentials.client_id).await?;
        }
    }
    Ok(changes)
}

/// The secret by which Flux reads the repository; where it is a deploy key, its registration at the forge too.
async fn source(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    cluster: &Cluster,
) -> Result<Vec<PlannedChange>, StageError> {
    let Some(credentials) = bootstrap.environment.git.for_flux() else {
        return Ok(Vec::new());
    };
    let observed = ObservedSource::look(cluster).await?;
    let is_as_declared = match credentials {
        FluxCredentials::Password(..) => observed.has_password(),
        FluxCredentials::DeployKey(hosts) => observed.deploy_key().is_some() && observed.knows(hosts),
    };
    let action = match (is_as_declared, observed.is_missing()) {
        (true, _) => None,
        (false, true) => Some(Action::Create),
        (false, false) => Some(Action::Update),
    };
    let changed = action.map(|action| changed(action, &workload::source_secret()));
    let mut planned: Vec<_> = changed
        .map(|change| PlannedChange::new(None, change))
        .into_iter()
        .collect();
    let key = observed.deploy_key();
    let title = deploy_key::title(bootstrap.environment.name.as_str());
    match credentials {
        FluxCredentials::DeployKey(_) => {
            let forge = systems.branch.forge()?;
            let found = deploy_key::registration(&forge, &title, key.as_ref().map(DeployKey::public)).await?;
            planned.extend(key_changes(&found, &title));
        }
        FluxCredentials::Password(..) if key.is_some() => {
            let forge = systems.branch.forge()?;
            let found = deploy_key::registration(&forge, &title, None).await?;
            planned.extend(former_keys(&found, &title));
        }
        FluxCredentials::Password(..) => {}
    }
    Ok(planned)
}

fn key_changes(found: &Registration, title: &str) -> Vec<PlannedChange> {
    let object = format!("deploy key `{title}`");
    let registered = match (found.is_registered, found.is_writable()) {
        (true, _) => None,
        (false, true) => {
            let field = FieldChange {
                path: "read_only".to_owned(),
                before: Some("false".to_owned()),
                after: Some("true".to_owned()),
            };
            Some(Change {
                fields: vec![field],
                ..Change::whole(Action::Update, object)
            })
        }
        (false, false) => Some(Change::whole(Action::Create, object)),
    };
    let registered = registered.map(|change| PlannedChange::new(None, change));
    registered.into_iter().chain(former_keys(found, title)).collect()
}

fn former_keys(found: &Registration, title: &str) -> impl Iterator<Item = PlannedChange> {
    (1..=found.former()).map(move |number| {
        let object = format!("former deploy key {number} `{title}`");
        PlannedChange::new(None, Change::whole(Action::Delete, object))
    })
}

fn changed(action: Action, reference: &ObjectReference) -> Change {
    Change::whole(action, reference.to_string())
}

/// A record that belongs to somebody else is left to a person; the other systems are planned all the same.
async fn records(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    cluster: &Cluster,
) -> Result<Records, StageError> {
    match names::plan_records(bootstrap, systems, cluster).await {
        Err(StageError::Records(conflicts)) => Ok(Records {
            warnings: conflicts.0.iter().map(ToString::to_string).collect(),
            ..Records::default()
        }),
        other => other,
    }
}
