//! `secrets.json`: passwords and tokens of the lab, mode 0600.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8PathBuf;
use rand::distr::{Alphanumeric, SampleString};

use super::{StateDirectory, StateError};
use crate::lab::files;
use crate::secret::Secret;
use crate::temporary;

/// 190 bits.
const SECRET_LENGTH: usize = 32;

/// The named secrets of one lab. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LabSecrets {
    path: Utf8PathBuf,
    secrets: Arc<Mutex<BTreeMap<String, Secret>>>,
}

impl LabSecrets {
    /// Reads the secrets of the lab in `directory`.
    pub(in crate::lab) fn open(directory: &StateDirectory) -> Result<Self, StateError> {
        let path = directory.secrets();
        let secrets = match fs_err::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            other => serde_json::from_slice(&other?).map_err(|error| StateError::Unreadable {
                path: path.clone(),
                reason: format!(
                    "line {}, column {} is not as expected",
                    error.line(),
                    error.column()
                ),
            })?,
        };
        Ok(Self {
            path,
            secrets: Arc::new(Mutex::new(secrets)),
        })
    }

    /// The secret called `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Secret> {
        self.secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The secret called `name`; made of random letters and digits when it is asked for the first time.
    pub fn get_or_create(&self, name: &str) -> Result<Secret, StateError> {
        if let Some(secret) = self.get(name) {
            return Ok(secret);
        }
        let secret = Secret::new(Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH));
        self.change(|secrets| secrets.entry(name.to_owned()).or_insert(secret).clone())
    }

    /// Keeps `secret`, which another system made, as `name`.
    pub fn set(&self, name: &str, secret: Secret) -> Result<(), StateError> {
        self.change(|secrets| secrets.insert(name.to_owned(), secret))
            .map(drop)
    }

    /// Forgets the secret called `name`.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        self.change(|secrets| secrets.remove(name)).map(drop)
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Secret>) -> T) -> Result<T, StateError> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = secrets.clone();
        let answer = change(&mut changed);
        let exposed: BTreeMap<&str, &str> = changed
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.expose()))
            .collect();
        let text = serde_json::to_vec_pretty(&exposed).map_err(io::Error::other)?;
        temporary::replace(&self.path, &text, files::PRIVATE)?;
        *secrets = changed;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use camino::Utf8Path;

    use super::*;
    use crate::names::LabName;

    #[test]
    fn test_secrets_are_made_once_and_kept_private() {
        let root = tempfile::tempdir().unwrap();
        let name = LabName::new("default").unwrap();
        let directory = StateDirectory::locate(Utf8Path::from_path(root.path()).unwrap(), &name).unwrap();
        directory.create().unwrap();
        let secrets = LabSecrets::open(&directory).unwrap();
        let made = secrets.get_or_create("keycloak-admin").unwrap();
        assert_eq!(made.expose().len(), SECRET_LENGTH);
        secrets.set("forge-token", Secret::new("given")).unwrap();

        let again = LabSecrets::open(&directory).unwrap();
        assert_eq!(
            again.get_or_create("keycloak-admin").unwrap().expose(),
            made.expose()
        );
        assert_eq!(again.get("forge-token").unwrap().expose(), "given");
        assert!(again.get("other").is_none());
        let permissions = fs_err::metadata(directory.secrets()).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        assert!(!format!("{again:?}").contains("given"));
    }
}
