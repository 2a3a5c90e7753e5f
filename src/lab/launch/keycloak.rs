//! Keycloak: started first, because it takes longest.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use camino::Utf8PathBuf;

use super::{LaunchError, acquire};
use crate::lab::LabContext;
use crate::lab::component::{self, Acquired, Component};
use crate::lab::process::{ProcessSpec, READY_WITHIN, http_ready};

const NAME: &str = "keycloak";
const MANAGEMENT: &str = "keycloak-management";

/// The administrator of the master realm.
pub(super) const ADMINISTRATOR: &str = "admin";
/// Name of the administrator's password in [`crate::lab::state::LabSecrets`].
pub(super) const ADMINISTRATOR_PASSWORD: &str = "keycloak-admin";

/// Keycloak's address, which stays the same whether it runs or not.
pub(super) fn url(context: &LabContext) -> Result<String, LaunchError> {
    Ok(format!("https://127.0.0.1:{}", context.ports.get(NAME)?))
}

/// Starts Keycloak and returns its address when it answers.
pub(super) async fn start(context: &LabContext) -> Result<String, LaunchError> {
    let keycloak = acquire(context, Component::Keycloak).await?;
    let java = context.components.java().await?;
    let home = context.state.data(NAME)?;
    let password = component::prepare_keycloak_home(&keycloak, &home).map_err(LaunchError::File)?;
    context.secrets.set(ADMINISTRATOR_PASSWORD, password)?;
    context
        .supervisor
        .start(process(context, &keycloak, java, home)?)
        .await?;
    url(context)
}

fn process(
    context: &LabContext,
    keycloak: &Acquired,
    java: Utf8PathBuf,
    home: Utf8PathBuf,
) -> Result<ProcessSpec, LaunchError> {
    let server =
        context
            .authority
            .issue_server(NAME, &["localhost".to_owned()], &[Ipv4Addr::LOCALHOST.into()])?;
    let management = context.ports.get(MANAGEMENT)?;
    let mut arguments = component::keycloak_java_arguments(keycloak, &home);
    arguments.extend([
        format!("--hostname={}", url(context)?),
        format!("--https-port={}", context.ports.get(NAME)?),
        format!("--https-certificate-file={}", server.certificate_path),
        format!("--https-certificate-key-file={}", server.key_path),
        "--http-management-host=127.0.0.1".into(),
        format!("--http-management-port={management}"),
        "--http-management-scheme=http".into(),
        "--log-level=warn".into(),
    ]);
    Ok(ProcessSpec {
        name: NAME.to_owned(),
        program: java,
        arguments,
        environment: BTreeMap::new(),
        directory: home,
        ready: http_ready(format!("http://127.0.0.1:{management}/health/ready"), None),
        ready_within: READY_WITHIN,
    })
}
