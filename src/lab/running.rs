//! A lab that is up, as the terminal uses it: where everything is, and who may get in.

use std::collections::BTreeMap;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::control::{Connection, LabPhase, Message, Request};
use super::control_plane;
use super::error::LabError;
use super::launch::{self, Endpoints};
use super::state::{LabSecrets, StateDirectory};
use super::status::status;
use crate::names::{LabName, Login};
use crate::secret::Secret;

/// A lab that is up.
#[derive(Clone, Debug)]
pub struct RunningLab {
    /// Its name.
    pub name: LabName,
    /// Its directory.
    pub state: StateDirectory,
    /// Where everything is, as the supervisor told it.
    pub endpoints: Value,
    /// Its passwords and tokens.
    pub secrets: LabSecrets,
}

impl RunningLab {
    /// Where everything is. Fails when the lab was brought up by a version of lotse that tells it otherwise.
    pub fn addresses(&self) -> Result<Endpoints, LabError> {
        serde_json::from_value(self.endpoints.clone()).map_err(|source| LabError::Endpoints {
            name: self.name.clone(),
            source,
        })
    }

    /// What declarations may name as `{env: LOTSE_LAB_...}`.
    pub fn variables(&self) -> Result<BTreeMap<String, Secret>, LabError> {
        Ok(launch::variables(&self.addresses()?, &self.secrets))
    }

    /// Passwords at the forge by login, and that of Keycloak's administrator as `keycloak admin`.
    #[must_use]
    pub fn passwords(&self) -> BTreeMap<String, Secret> {
        launch::passwords(&self.secrets)
    }

    /// The password of `person` at the forge, if they have an account there.
    #[must_use]
    pub fn password(&self, person: &Login) -> Option<Secret> {
        self.passwords().remove(&person.folded())
    }

    /// Waits until somebody stops the lab. For ever when its supervisor is killed: what runs goes on then.
    pub async fn stopped(&self) {
        if !self.is_being_stopped().await {
            std::future::pending::<()>().await;
        }
    }

    async fn is_being_stopped(&self) -> bool {
        let Ok(Some(mut connection)) = Connection::open(&self.state, Request::Watch).await else {
            return false;
        };
        while let Ok(Some(message)) = connection.next().await {
            if matches!(message, Message::Snapshot(snapshot) if snapshot.phase != LabPhase::Ready) {
                return true;
            }
        }
        false
    }

    /// The lab's certificate authority, PEM.
    pub fn authority(&self) -> io::Result<String> {
        fs_err::read_to_string(self.state.pki().join(super::pki::AUTHORITY_FILE))
    }

    /// Path of a kubeconfig with an administrator's rights on `cluster`: `moin`, `<namespace>/<name>`, or the name
    /// alone.
    pub fn kubeconfig(&self, cluster: &str) -> Result<Utf8PathBuf, LabError> {
        let known = control_plane::kubeconfigs(&self.state);
        let is_wanted = |name: &str| name == cluster || name.rsplit('/').next() == Some(cluster);
        match known.iter().find(|(name, _)| is_wanted(name)) {
            Some((_, path)) => Ok(path.clone()),
            None => Err(LabError::NoCluster {
                name: self.name.clone(),
                cluster: cluster.to_owned(),
                known: known.into_keys().collect(),
            }),
        }
    }
}

/// The lab `name`, which must be up.
///
/// # Errors
/// [`LabError::Unknown`] when there is none, [`LabError::NotReady`] when it is not up.
pub async fn find(state_root: &Utf8Path, name: &LabName) -> Result<RunningLab, LabError> {
    let status = status(state_root, name).await?;
    let state = |source| LabError::State {
        name: name.clone(),
        source,
    };
    let directory = StateDirectory::locate(state_root, name).map_err(state)?;
    Ok(RunningLab {
        name: name.clone(),
        endpoints: status
            .endpoints
            .ok_or_else(|| LabError::NotReady { name: name.clone() })?,
        secrets: LabSecrets::open(&directory).map_err(state)?,
        state: directory,
    })
}
