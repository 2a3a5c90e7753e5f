//! The plan of a whole environment: what a bring-up would change in every system, found out without changing any.
//!
//! What can't be known yet, since it depends on something that is not there, is named together with what it waits for.

mod moved;
mod pruned;
mod workload;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use camino::Utf8Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use moved::Moved;

use super::preflight::{self, Systems};
use super::{
    Bootstrap, BootstrapError, Scope, Stage, StageError, cluster, identity, repository, scope, undeclared,
};
use crate::desired::identity::ClientKind;
use crate::desired::{APP_LABEL, Manifest};
use crate::kubernetes::{ApplyOperation, ObjectReference, between_texts};
use crate::names::EnvironmentName;
use crate::plan::{Action, Change, FieldChange, FieldConflict, Plan};
use crate::report::{Reporter, Task};
use crate::surface::git::{self, GitOperation};
use crate::surface::keycloak::{self, KeycloakOperation, Prune};
use crate::surface::management;

/// `apiVersion` of a plan as it is written for programs.
pub const API_VERSION: &str = "lotse/v1";
/// `kind` of a plan as it is written for programs.
pub const KIND: &str = "Plan";

/// One of the five systems that are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Surface {
    /// The Cluster API management cluster.
    Management,
    /// The Keycloak realm.
    Keycloak,
    /// The platform's repository.
    Git,
    /// The workload cluster.
    Workload,
    /// The zone.
    Dns,
}

impl Surface {
    /// All, in the order of a bring-up.
    pub const ALL: [Self; 5] = [
        Self::Management,
        Self::Keycloak,
        Self::Git,
        Self::Workload,
        Self::Dns,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Management => "management",
            Self::Keycloak => "keycloak",
            Self::Git => "git",
            Self::Workload => "workload",
            Self::Dns => "dns",
        }
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A text names no surface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no system: there are management, keycloak, git, workload, dns")]
pub struct UnknownSurface(String);

impl FromStr for Surface {
    type Err = UnknownSurface;

    fn from_str(text: &str) -> Result<Self, UnknownSurface> {
        let found = Self::ALL.into_iter().find(|surface| surface.as_str() == text);
        found.ok_or_else(|| UnknownSurface(text.to_owned()))
    }
}

/// What a bring-up would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentPlan {
    /// `lotse/v1`
    pub api_version: String,
    /// `Plan`
    pub kind: String,
    /// Name of the environment.
    pub environment: String,
    /// Whether it removes what is not declared from the realm.
    #[serde(default)]
    pub prune: bool,
    /// The systems, in the order of a bring-up.
    pub surfaces: Vec<SurfacePlan>,
}

/// What would change in one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SurfacePlan {
    /// Which.
    pub surface: Surface,
    /// Where it is, for people.
    pub place: String,
    /// What changes, in the order in which it is made.
    pub changes: Vec<PlannedChange>,
    /// What is known only once something else is there.
    pub known_after: Vec<KnownAfter>,
    /// Objects that we made, which are no longer declared and stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared: Vec<String>,
    /// What is not as declared and is left as it is, one sentence each with what to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What is worth knowing and is no difference, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedChange {
    /// The application that it belongs to; none for what belongs to the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What happens.
    pub action: Action,
    /// The object in its system's words (`Namespace/monitoring`, `client kubectl`).
    pub object: String,
    /// What differs; empty for what is removed, and for most of what is created.
    pub fields: Vec<FieldChange>,
    /// Fields that other programs look after: it is not changed unless they are taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<FieldConflict>,
    /// Who changed it last and when, where its system keeps a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Something that can't be planned yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownAfter {
    /// What (`62 objects that Flux delivers`).
    pub what: String,
    /// What has to be there first (`Cluster/prod/prod is Available`).
    pub after: String,
}

impl EnvironmentPlan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.surfaces
            .iter()
            .all(|surface| surface.changes.is_empty() && surface.known_after.is_empty())
    }

    /// Whether something is not as declared: it would be changed, or is left to a person.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.is_empty() || self.surfaces.iter().any(|surface| !surface.warnings.is_empty())
    }

    /// How many changes are of `action`.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        let changes = self.surfaces.iter().flat_map(|surface| &surface.changes);
        changes.filter(|change| change.action == action).count()
    }

    /// How many changes others keep from being made.
    #[must_use]
    pub fn contested(&self) -> usize {
        let changes = self.surfaces.iter().flat_map(|surface| &surface.changes);
        changes.filter(|change| !change.conflicts.is_empty()).count()
    }

    /// Records of the zone that would have to be taken over from nobody in particular.
    #[must_use]
    pub fn unmarked(&self) -> Vec<&str> {
        let zones = self
            .surfaces
            .iter()
            .filter(|surface| surface.surface == Surface::Dns);
        let changes = zones.flat_map(|zone| &zone.changes);
        let adopted = changes.filter(|change| change.action == Action::Adopt);
        adopted.map(|change| change.object.as_str()).collect()
    }

    /// The same with what is in `scope` only.
    #[must_use]
    pub fn only(mut self, scope: &Scope) -> Self {
        if scope.is_everything() {
            return self;
        }
        for plan in self.surfaces.iter_mut().filter(|plan| !scope.has(plan.surface)) {
            narrow(&mut plan.changes, scope);
            plan.known_after.clear();
            plan.undeclared.clear();
            plan.warnings.clear();
        }
        self.surfaces
            .retain(|plan| scope.has(plan.surface) || !plan.changes.is_empty());
        self
    }
}

/// Keeps what is of the applications in `scope`, and the lists of files that come or go.
fn narrow(changes: &mut Vec<PlannedChange>, scope: &Scope) {
    let is_ours = |change: &PlannedChange| change.app.as_deref().is_some_and(|app| scope.has_app(app));
    let comes_or_goes: Vec<String> = changes
        .iter()
        .filter(|change| is_ours(change) && matches!(change.action, Action::Create | Action::Delete))
        .map(|change| change.object.clone())
        .collect();
    changes.retain_mut(|change| {
        if is_ours(change) {
            return true;
        }
        let folder = change.object.strip_suffix(scope::LISTING);
        let lists = folder.is_some_and(|folder| comes_or_goes.iter().any(|path| path.starts_with(folder)));
        if lists {
            // Its other fields are of what is left out.
            change.fields.clear();
        }
        lists
    });
}

/// Which application something belongs to.
pub(super) struct Ownership<'bootstrap> {
    apps: BTreeSet<&'bootstrap str>,
    environment: &'bootstrap EnvironmentName,
}

impl<'bootstrap> Ownership<'bootstrap> {
    pub(super) fn of(bootstrap: &'bootstrap Bootstrap<'_>) -> Self {
        let apps = bootstrap.declarations.apps.iter().map(|app| app.name.as_str());
        Self {
            apps: apps.collect(),
            environment: &bootstrap.environment.name,
        }
    }

    /// By its label, or by its namespace.
    fn of_manifest(&self, manifest: &Manifest) -> Option<String> {
        let labels = manifest.value().pointer("/metadata/labels");
        let label = labels.and_then(|labels| labels.get(APP_LABEL)?.as_str());
        let namespace = manifest.namespace().filter(|name| self.apps.contains(name));
        label.or(namespace).map(str::to_owned)
    }

    /// By its place in the repository; applications that are gone are known by it, too.
    pub(super) fn of_path(&self, path: &Utf8Path) -> Option<String> {
        let rendered = format!("clusters/{}/", self.environment);
        let replaced = format!("environments/{}/apps/", self.environment);
        let prefixes = ["apps/", "runbooks/", replaced.as_str()];
        let folder = prefixes
            .into_iter()
            .find_map(|prefix| path.as_str().strip_prefix(prefix));
        let name = match (folder, path.as_str().strip_prefix(&rendered)) {
            (Some(rest), _) => rest.split('/').next(),
            (None, Some(rest)) => {
                let below = ["apps/", "gateway/", "releases/"];
                let rest = below.into_iter().find_map(|prefix| rest.strip_prefix(prefix))?;
                rest.split(['/', '.']).next()
            }
            (None, None) => None,
        };
        let is_platform = |name: &&str| matches!(*name, "platform" | "gateway" | "kustomization");
        name.filter(|name| !is_platform(name)).map(str::to_owned)
    }
}

/// Finds out what a bring-up would change in the systems that `scope` has something in.
///
/// # Errors
/// When a system can't be asked, or something is in the way that a bring-up would not overwrite.
pub async fn plan(
    bootstrap: &Bootstrap<'_>,
    scope: &Scope,
    reporter: &dyn Reporter,
) -> Result<EnvironmentPlan, BootstrapError> {
    let systems = preflight::connect(bootstrap, scope, reporter)
        .await
        .map_err(|source| failed(Stage::Preflight, source))?;
    let task = Task::start(reporter, "plan", "comparing what is there with what is declared");
    let ownership = Ownership::of(bootstrap);
    let touches = |surface| scope.touches(surface);
    let (management, keycloak, git, workload) = tokio::join!(
        asked(touches(Surface::Management), of_management(bootstrap, &systems)),
        asked(
            touches(Surface::Keycloak),
            of_keycloak(bootstrap, (&systems, scope))
        ),
        asked(touches(Surface::Git), of_git(bootstrap, &systems, &ownership)),
        workload::of_workload(bootstrap, (&systems, scope), &ownership),
    );
    let surfaces = [
        management.map_err(|source| failed(Stage::Cluster, source))?,
        keycloak.map_err(|source| failed(Stage::Logins, source))?,
        git.map_err(|source| failed(Stage::Git, source))?,
    ];
    let of_cluster = workload.map_err(|(stage, source)| failed(stage, source))?;
    let plan = EnvironmentPlan {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        environment: bootstrap.environment.name.to_string(),
        prune: bootstrap.pruning.is_some(),
        surfaces: surfaces.into_iter().flatten().chain(of_cluster).collect(),
    };
    task.finish("compared, and nothing changed");
    Ok(plan.only(scope))
}

/// Looks at a system where it is asked for.
async fn asked(
    is_asked: bool,
    look: impl Future<Output = Result<SurfacePlan, StageError>>,
) -> Result<Option<SurfacePlan>, StageError> {
    if is_asked { look.await.map(Some) } else { Ok(None) }
}

fn failed(stage: Stage, source: StageError) -> BootstrapError {
    BootstrapError::at_once(stage, source)
}

async fn of_management(bootstrap: &Bootstrap<'_>, systems: &Systems) -> Result<SurfacePlan, StageError> {
    let served = management::served(&systems.management).await?;
    let mut manifests = management::adapt(&bootstrap.desired.management, &served);
    for manifest in manifests
        .iter_mut()
        .filter(|manifest| manifest.kind() == "Cluster")
    {
        *manifest = cluster::fit(bootstrap, &systems.management, (&served, manifest))
            .await?
            .cluster;
    }
    manifests.extend(management::cluster_secrets(bootstrap.environment));
    let plan = systems.management.plan(&manifests).await?;
    let declared = &bootstrap.environment.management;
    Ok(SurfacePlan {
        surface: Surface::Management,
        place: format!("{}, namespace {}", declared.context, declared.namespace),
        changes: changes(&plan, |_| None),
        known_after: Vec::new(),
        undeclared: named(&undeclared::beside(bootstrap, &systems.management).await?),
        warnings: Vec::new(),
        notes: Vec::new(),
    })
}

fn named(objects: &[ObjectReference]) -> Vec<String> {
    objects.iter().map(ToString::to_string).collect()
}

/// Of the applications in `scope`, what `logins` would do of them: what is of people is of the first of them.
async fn of_keycloak(
    bootstrap: &Bootstrap<'_>,
    (systems, scope): (&Systems, &Scope),
) -> Result<SurfacePlan, StageError> {
    let fingerprint = identity::fingerprint(bootstrap);
    let part = scope.part(bootstrap);
    let wanted = identity::wanted(bootstrap, &fingerprint, part.as_ref());
    let (observed, mut plan) = keycloak::look(&systems.keycloak, &wanted, bootstrap.prune()).await?;
    keycloak::attribute(&systems.keycloak, &observed, &mut plan).await?;
    let app_of = |operation: &KeycloakOperation| {
        let Some(client) = operation.client() else {
            let first = scope.apps.first().filter(|_| part.is_some());
            return first.map(ToString::to_string);
        };
        let clients = &wanted.realm.clients;
        let client = clients.iter().find(|each| each.client_id == client)?;
        match &client.kind {
            ClientKind::Confidential { namespace, .. } => Some(namespace.clone()),
            ClientKind::Public => None,
        }
    };
    let mut warnings = keycloak::loopholes(&wanted, &observed);
    let mut undeclared = Vec::new();
    if bootstrap.prune() == Prune::Keep {
        let strangers = identity::strangers(systems, &wanted, &observed).await?;
        let strangers = strangers.changes();
        warnings.extend(strangers.map(|each| identity::of_stranger(bootstrap, each)));
        let left = keycloak::undeclared(&wanted, &observed);
        undeclared.extend(left.iter().map(ToString::to_string));
    }
    let account = identity::plan_account(bootstrap, systems).await?;
    let mut planned = changes(&plan, app_of);
    planned.extend(changes(&account, |_| None));
    Ok(SurfacePlan {
        surface: Surface::Keycloak,
        place: format!("realm {}", wanted.realm.name),
        changes: planned,
        known_after: Vec::new(),
        undeclared,
        warnings,
        notes: Vec::new(),
    })
}

async fn of_git(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    ownership: &Ownership<'_>,
) -> Result<SurfacePlan, StageError> {
    let files = repository::files(bootstrap)?;
    let owned: Vec<&str> = bootstrap.owned.iter().map(String::as_str).collect();
    let mut plan = git::plan(&files, &owned, &systems.published)?;
    tell_fields(&mut plan, systems).await?;
    let git = &bootstrap.environment.git;
    Ok(SurfacePlan {
        surface: Surface::Git,
        place: format!("branch {} of {}", git.branch, git.url),
        changes: changes(&plan, |operation| ownership.of_path(operation.path())),
        known_after: Vec::new(),
        undeclared: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    })
}

/// Tells which fields of changed files differ.
async fn tell_fields(plan: &mut Plan<GitOperation>, systems: &Systems) -> Result<(), StageError> {
    let changed = |path: &Utf8Path| {
        let mut steps = plan.steps.iter();
        steps.any(|step| step.change.action == Action::Update && step.operation.path() == path)
    };
    let before = systems.branch.texts(&systems.published, changed).await?;
    for step in &mut plan.steps {
        let GitOperation::Write { path, content } = &step.operation else {
            continue;
        };
        if let (Some(before), Ok(after)) = (before.get(path), std::str::from_utf8(content.bytes())) {
            step.change.fields = between_texts(before, after);
        }
    }
    Ok(())
}

/// Changes as they are shown; `app_of` says whose they are.
fn changes<Operation>(
    plan: &Plan<Operation>,
    app_of: impl Fn(&Operation) -> Option<String>,
) -> Vec<PlannedChange> {
    let steps = plan.steps.iter();
    steps
        .map(|step| PlannedChange::new(app_of(&step.operation), step.change.clone()))
        .collect()
}

fn of_objects(plan: &Plan<ApplyOperation>, ownership: &Ownership<'_>) -> Vec<PlannedChange> {
    changes(plan, |operation| ownership.of_manifest(&operation.0))
}

impl PlannedChange {
    fn new(app: Option<String>, change: Change) -> Self {
        Self {
            app,
            action: change.action,
            object: change.object,
            fields: change.fields,
            conflicts: change.conflicts,
            by: change.by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::AppName;

    fn change(app: Option<&str>, object: &str) -> PlannedChange {
        PlannedChange {
            app: app.map(str::to_owned),
            action: Action::Create,
            object: object.to_owned(),
            fields: Vec::new(),
            conflicts: Vec::new(),
            by: None,
        }
    }

    fn some_plan() -> EnvironmentPlan {
        let of = |surface, changes: Vec<PlannedChange>| SurfacePlan {
            surface,
            place: String::new(),
            changes,
            known_after: vec![KnownAfter {
                what: "more".into(),
                after: "then".into(),
            }],
            undeclared: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        EnvironmentPlan {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            environment: "lab".into(),
            prune: false,
            surfaces: vec![
                of(Surface::Git, vec![change(Some("web"), "a"), change(None, "b")]),
                of(Surface::Dns, vec![change(None, "c")]),
                of(Surface::Keycloak, vec![change(Some("db"), "d")]),
            ],
        }
    }

    fn shown(plan: &EnvironmentPlan) -> Vec<String> {
        let surfaces = plan.surfaces.iter();
        surfaces
            .map(|each| {
                let objects: Vec<&str> = each.changes.iter().map(|change| change.object.as_str()).collect();
                format!(
                    "{} {} {}",
                    each.surface,
                    objects.join(","),
                    each.known_after.len()
                )
            })
            .collect()
    }

    #[test]
    fn test_a_plan_can_be_narrowed_to_systems_and_applications() {
        let scope = |surfaces: &[Surface], apps: &[&str]| Scope {
            surfaces: surfaces.iter().copied().collect(),
            apps: apps.iter().map(|app| AppName::new(*app).unwrap()).collect(),
        };
        let only = |surfaces: &[Surface], apps: &[&str]| shown(&some_plan().only(&scope(surfaces, apps)));
        assert_eq!(only(&[], &[]), ["git a,b 1", "dns c 1", "keycloak d 1"]);
        assert_eq!(only(&[], &["web"]), ["git a 0"]);
        assert_eq!(only(&[Surface::Dns], &[]), ["dns c 1"]);
        assert_eq!(only(&[Surface::Dns], &["web"]), ["git a 0", "dns c 1"]);
    }

    #[test]
    fn test_an_application_that_comes_is_listed() {
        let mut plan = some_plan();
        plan.surfaces[0].changes = vec![
            change(Some("web"), "clusters/lab/apps/web.yaml"),
            change(Some("db"), "clusters/lab/gateway/db.yaml"),
            change(None, "clusters/lab/gateway/kustomization.yaml"),
            change(None, "clusters/lab/kustomization.yaml"),
        ];
        let scope = Scope {
            apps: BTreeSet::from([AppName::new("web").unwrap()]),
            ..Scope::default()
        };
        assert_eq!(
            shown(&plan.only(&scope)),
            ["git clusters/lab/apps/web.yaml,clusters/lab/kustomization.yaml 0"]
        );
    }

    #[test]
    fn test_files_belong_to_applications_by_their_place() {
        let environment = EnvironmentName::new("lab").unwrap();
        let ownership = Ownership {
            apps: BTreeSet::new(),
            environment: &environment,
        };
        for (path, app) in [
            ("apps/web/manifests/a.yaml", Some("web")),
            ("runbooks/web/outage.md", Some("web")),
            ("runbooks/platform/bring-up.md", None),
            ("environments/lab/apps/web/app.yaml", Some("web")),
            ("environments/lab/people.yaml", None),
            ("clusters/lab/apps/web.yaml", Some("web")),
            ("clusters/lab/gateway/web.yaml", Some("web")),
            ("clusters/lab/gateway/gateway.yaml", None),
            ("clusters/lab/gateway/kustomization.yaml", None),
            ("clusters/lab/releases/web/release.yaml", Some("web")),
            ("clusters/lab/kustomization.yaml", None),
        ] {
            assert_eq!(ownership.of_path(path.into()).as_deref(), app, "{path}");
        }
    }

    #[test]
    fn test_a_plan_is_read_back_as_written() {
        let text = serde_json::to_string(&some_plan()).unwrap();
        assert_eq!(
            serde_json::from_str::<EnvironmentPlan>(&text).unwrap(),
            some_plan()
        );
    }
}
