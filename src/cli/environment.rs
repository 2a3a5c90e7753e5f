//! An environment whose systems a command talks to: its declarations, its settings, and the lab that stands in for
//! them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde_json::Map;

use super::workspace::Workspace;
use super::{CommandError, Kind, Settings};
use crate::bootstrap::{Bootstrap, Chosen, Limits, PersonLogin, Pruning};
use crate::config::{Declarations, EnvName, Environment, Identity, Loaded, LoginPlace, MissingSettings};
use crate::desired::cluster::Authorities;
use crate::desired::{Desired, Manifest};
use crate::kubernetes::{Cluster, KubernetesError};
use crate::lab::{RunningLab, launch};
use crate::names::EnvironmentName;
use crate::report::Reporter;
use crate::secret::Secret;
use crate::surface::dns::Adoption;
use crate::surface::{self, management::ManagementError, openstack};

/// Looks for the settings that declarations name before anything is started. Those that a lab gives are there once it
/// is up.
pub(super) fn check_settings(loaded: &Loaded, settings: &Settings) -> Result<(), CommandError> {
    let environment = &loaded.declarations.environment;
    let mut values = settings.variables.clone();
    if environment.lab.is_some() {
        let given = launch::variable_names().map(|name| (name, "known once the lab is up".to_owned()));
        values.extend(given);
    }
    environment
        .resolve(&values)
        .map(drop)
        .map_err(|missing| missing_settings(&missing, settings, &environment.name))
}

/// People could not log in to another realm of a lab, which would only be seen at the very end.
pub(super) fn check_realm(loaded: &Loaded) -> Result<(), CommandError> {
    let environment = &loaded.declarations.environment;
    let realm = &environment.identity.realm;
    if environment.lab.is_none() || realm == launch::REALM {
        return Ok(());
    }
    let message = format!("a lab has the realm `{}` only, not `{realm}`", launch::REALM);
    Err(CommandError::new(Kind::Usage, message).hint(format!(
        "write `realm: {}` in environments/{}/environment.yaml",
        launch::REALM,
        environment.name
    )))
}

fn missing_settings(
    missing: &MissingSettings,
    settings: &Settings,
    environment: &EnvironmentName,
) -> CommandError {
    let file = format!("environments/{environment}/environment.yaml");
    let unreadable = missing.names.iter().map(EnvName::as_str);
    let unreadable = unreadable.filter(|name| settings.unreadable.contains(*name));
    let told = unreadable.fold(CommandError::from_error(Kind::Usage, missing), |told, name| {
        told.hint(format!(
            "{name} is set, and its value is not UTF-8: that can't be used"
        ))
    });
    let extra = missing
        .names
        .iter()
        .find_map(|name| launch::extra_of(name.as_str()));
    if let Some(extra) = extra {
        return told.hint(format!(
            "a lab with {extra} gives it: `lotse lab down`, then `lotse bootstrap {environment} --with {extra}`"
        ));
    }
    told.hint(format!(
        "{file} names them: set them (`export NAME=...`) and run the command again, or correct the file"
    ))
}

/// The lab of an environment that has one, which must be up.
pub(super) async fn find_lab(
    environment: &Environment,
    settings: &Settings,
) -> Result<Option<RunningLab>, CommandError> {
    let Some(name) = &environment.lab else {
        return Ok(None);
    };
    match crate::lab::find(&settings.state, name).await {
        Ok(lab) => Ok(Some(lab)),
        Err(failed) => Err(CommandError::from_error(Kind::Failed, &failed)
            .hint("`lotse lab up` starts it; nothing of the platform is changed by that")),
    }
}

/// How a bring-up is to be done.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// Which checks count.
    pub(super) checks: Chosen,
    /// How long stages may wait.
    pub(super) limits: Limits,
    /// How many objects of the realm may be deleted that are no longer declared; none without it.
    pub(super) prune: Option<usize>,
    /// Whether fields are taken over from other programs.
    pub(super) force_conflicts: bool,
    /// Whether records without a mark are taken over.
    pub(super) adopt: bool,
}

/// Gives `work` everything that a bring-up needs to know.
pub(super) async fn with_bootstrap<T>(
    (workspace, settings): (&Workspace<'_>, &Settings),
    declarations: &Declarations,
    (lab, login): (Option<&RunningLab>, Option<&dyn PersonLogin>),
    (choices, reporter): (Choices, &dyn Reporter),
    work: impl AsyncFnOnce(&Bootstrap<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let values = values(settings, lab)?;
    let environment = declarations
        .environment
        .resolve(&values)
        .map_err(|missing| missing_settings(&missing, settings, &declarations.environment.name))?;
    let desired = Desired::build(declarations, &environment, workspace.today);
    let (files, owned) = workspace.publication(declarations, &desired)?;
    let flux = super::flux::release(settings, &environment, reporter).await?;
    let bootstrap = Bootstrap {
        declarations,
        environment: &environment,
        desired: &desired,
        files,
        owned,
        flux,
        cache: settings.cache.clone(),
        today: workspace.today,
        login,
        who: settings.who.clone(),
        checks: choices.checks,
        authorities: authorities(&environment.identity),
        clouds: clouds(settings, lab),
        pruning: choices.prune.map(|limit| Pruning {
            limit,
            backup: backup_file(settings, &declarations.environment.name),
        }),
        adoption: if choices.adopt {
            Adoption::Allowed
        } else {
            Adoption::Refused
        },
        force_conflicts: choices.force_conflicts,
        limits: choices.limits,
    };
    work(&bootstrap).await
}

/// `clouds.yaml`: that of the lab where it has one, or from where OpenStack's own tools look for it (openstacksdk, "Configuring OpenStack SDK Applications"). Preflight
/// says when it is needed and not there.
fn clouds(settings: &Settings, lab: Option<&RunningLab>) -> Option<Secret> {
    let of_lab = lab
        .and_then(|lab| lab.addresses().ok()?.clouds_file)
        .and_then(|path| fs_err::read_to_string(path).ok());
    if of_lab.is_some() {
        return of_lab.map(Secret::new);
    }
    let variable = |name: &str| {
        let value = settings.variables.get(name)?;
        (!value.is_empty()).then(|| Utf8PathBuf::from(value))
    };
    let of_home = || variable("HOME").map(|home| home.join(".config"));
    let of_user = variable("XDG_CONFIG_HOME").or_else(of_home);
    let places = [
        variable("OS_CLIENT_CONFIG_FILE"),
        of_user.map(|folder| folder.join("openstack/clouds.yaml")),
        Some("/etc/openstack/clouds.yaml".into()),
    ];
    let mut files = places.into_iter().flatten().filter(|path| path.is_file());
    let file = files.next();
    let beside = file.as_ref().map(|path| path.with_file_name("secure.yaml"));
    let secure = variable("OS_CLIENT_SECURE_FILE").or(beside);
    let read = |path: Option<Utf8PathBuf>| fs_err::read_to_string(path?).ok();
    openstack::merged(
        read(file).as_deref(),
        read(secure).as_deref(),
        &settings.variables,
    )
}

/// Preflight says what is wrong with a file that can't be read.
fn authorities(identity: &Identity<String, Secret>) -> Authorities {
    let read = |path: &Option<String>| {
        let path = path.as_ref()?;
        fs_err::read_to_string(path).ok()
    };
    let others = identity.other_issuers.iter();
    Authorities {
        realm: read(&identity.certificate_authority),
        other_issuers: others.map(|other| read(&other.certificate_authority)).collect(),
    }
}

/// A file for what is deleted now.
fn backup_file(settings: &Settings, environment: &EnvironmentName) -> Utf8PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    backups(settings, environment).join(format!("keycloak-{now}.json"))
}

/// The folder of what was deleted before.
pub(super) fn backups(settings: &Settings, environment: &EnvironmentName) -> Utf8PathBuf {
    settings.state.join("backups").join(environment.as_str())
}

/// The management cluster of an environment.
pub(super) async fn management(
    loaded: &Loaded,
    settings: &Settings,
    lab: Option<&RunningLab>,
) -> Result<Cluster, CommandError> {
    let environment = &loaded.declarations.environment;
    let resolved = environment
        .resolve_management(&values(settings, lab)?)
        .map_err(|missing| missing_settings(&missing, settings, &environment.name))?;
    let path = resolved.kubeconfig.as_deref().map(Into::into);
    Cluster::from_settings(path, Some(&resolved.context))
        .await
        .map_err(|error| {
            CommandError::from_error(Kind::Failed, &error)
                .hint("management.kubeconfig and management.context in environment.yaml say where it is")
        })
}

/// Where people of an environment log in.
pub(super) fn login_place(
    loaded: &Loaded,
    settings: &Settings,
    lab: Option<&RunningLab>,
) -> Result<LoginPlace, CommandError> {
    let environment = &loaded.declarations.environment;
    environment
        .resolve_login(&values(settings, lab)?)
        .map_err(|missing| missing_settings(&missing, settings, &environment.name))
}

/// Where the API is of the forge that people log in at, where that is declared.
pub(super) fn forge_api(
    environment: &Environment,
    settings: &Settings,
    lab: Option<&RunningLab>,
) -> Result<Option<String>, CommandError> {
    environment
        .resolve_forge_api(&values(settings, lab)?)
        .map_err(|missing| missing_settings(&missing, settings, &environment.name))
}

/// The administrator's kubeconfig of a workload cluster.
pub(super) struct Administrator {
    pub(super) text: Secret,
    /// Where it came from, as errors tell it.
    pub(super) origin: String,
}

/// The administrator's kubeconfig of the workload cluster, from its Secret on the management cluster.
///
/// # Errors
/// Says which right it takes, where it is refused.
pub(super) async fn administrator(
    loaded: &Loaded,
    settings: &Settings,
    lab: Option<&RunningLab>,
) -> Result<Administrator, CommandError> {
    let management = management(loaded, settings, lab).await?;
    let environment = &loaded.declarations.environment;
    let namespace = environment.management.namespace.as_str();
    let cluster = Manifest::build("v1", "Cluster", environment.cluster.name.as_str(), Map::new());
    let cluster = cluster.in_namespace(namespace);
    let text = surface::management::kubeconfig(&management, &cluster)
        .await
        .map_err(|error| match &error {
            ManagementError::Kubernetes(KubernetesError::Request {
                status: Some(401 | 403),
                ..
            }) => CommandError::from_error(Kind::Authentication, &error).hint(format!(
                "it takes the right to `get` that Secret in the namespace {namespace} of the management cluster"
            )),
            _ => CommandError::from_error(Kind::Failed, &error),
        })?;
    Ok(Administrator {
        text,
        origin: format!("of {cluster}"),
    })
}

/// Values of the settings that declarations name: the program's environment, and what the lab adds.
fn values(settings: &Settings, lab: Option<&RunningLab>) -> Result<BTreeMap<String, String>, CommandError> {
    let mut values = settings.variables.clone();
    if let Some(lab) = lab {
        let variables = lab
            .variables()
            .map_err(|failed| CommandError::from_error(Kind::Failed, &failed))?;
        values.extend(
            variables
                .into_iter()
                .map(|(name, value)| (name, value.expose().to_owned())),
        );
    }
    Ok(values)
}
