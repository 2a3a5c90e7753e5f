//! The key by which one cluster reads the repository, at the forge.
//!
//! The private half is only in the cluster. Whoever reads it can read this repository and no other, and write nothing.

use super::GitError;
use super::forge::{Forge, RegisteredKey};
use crate::ssh::DeployKey;

/// What a forge knows of the key of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Whether the key is registered, for reading only.
    pub is_registered: bool,
    /// The key, where somebody has registered it for writing.
    writable: Option<RegisteredKey>,
    /// Keys of earlier clusters of that name, which nothing reads with any more.
    former: Vec<RegisteredKey>,
}

impl Registration {
    /// How many keys of earlier clusters there are.
    #[must_use]
    pub fn former(&self) -> usize {
        self.former.len()
    }

    /// Whether the key may write, which is more than it is for.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable.is_some()
    }

    fn of(registered: Vec<RegisteredKey>, title: &str, public: Option<&str>) -> Self {
        let (ours, others): (Vec<_>, Vec<_>) = registered
            .into_iter()
            .partition(|key| public.is_some_and(|public| is_same(&key.key, public)));
        Self {
            is_registered: ours.iter().any(|key| !key.may_write),
            writable: ours.into_iter().find(|key| key.may_write),
            former: others.into_iter().filter(|key| is_of(key, title)).collect(),
        }
    }
}

/// Beginning of the title of the key of an environment's cluster, by which it is ours.
#[must_use]
pub fn title(environment: &str) -> String {
    format!("lotse: Flux of {environment}")
}

/// What separates the title from the mark of the key.
const BEFORE_MARK: &str = ", key ...";
/// How many characters of a key are its mark.
const MARK_LENGTH: usize = 8;

/// Asks the forge about the key `public` that is called `title`. Changes nothing.
///
/// # Errors
/// When the forge does not answer, or not to these credentials: listing keys takes the right to administer the
/// repository.
pub async fn registration(
    forge: &Forge,
    title: &str,
    public: Option<&str>,
) -> Result<Registration, GitError> {
    Ok(Registration::of(forge.deploy_keys().await?, title, public))
}

/// Registers `key` for reading and takes earlier keys of that title away, in this order. Gives how many keys changed. A
/// forge knows a key only once: one that was registered for writing goes first.
///
/// # Errors
/// As [`registration`]. The same call goes on from there.
pub async fn register(forge: &Forge, title: &str, key: &DeployKey) -> Result<usize, GitError> {
    let found = registration(forge, title, Some(key.public())).await?;
    if let Some(writable) = &found.writable {
        forge.remove_deploy_key(writable).await?;
    }
    if !found.is_registered {
        // Gitea has no two keys of one title, and the former ones go last.
        let title = format!("{title}{BEFORE_MARK}{}", mark(key.public()));
        forge.add_deploy_key(&title, key.public()).await?;
    }
    for former in &found.former {
        forge.remove_deploy_key(former).await?;
    }
    Ok(usize::from(!found.is_registered) + found.former.len())
}

/// Takes all keys of that title away, since Flux reads in another way. Gives how many there were.
///
/// # Errors
/// As [`registration`]. The same call goes on from there.
pub async fn unregister(forge: &Forge, title: &str) -> Result<usize, GitError> {
    let found = registration(forge, title, None).await?;
    for former in &found.former {
        forge.remove_deploy_key(former).await?;
    }
    Ok(found.former.len())
}

/// Whether a key is called `title`, with its own mark: people may call theirs alike.
fn is_of(key: &RegisteredKey, title: &str) -> bool {
    let rest = key.title.strip_prefix(title);
    rest.and_then(|rest| rest.strip_prefix(BEFORE_MARK)) == Some(&mark(&key.key))
}

/// The end of a key, by which people can tell it from others.
fn mark(public: &str) -> String {
    let key = public.split_whitespace().nth(1).unwrap_or_default();
    let from = key.len().saturating_sub(MARK_LENGTH);
    key.get(from..).unwrap_or_default().to_owned()
}

/// Whether two lines are of one key, whatever their comments.
fn is_same(one: &str, other: &str) -> bool {
    one.split_whitespace()
        .take(2)
        .eq(other.split_whitespace().take(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(id: u64, title: &str, key: &str) -> RegisteredKey {
        RegisteredKey {
            id,
            title: title.to_owned(),
            key: key.to_owned(),
            may_write: false,
        }
    }

    #[test]
    fn test_only_keys_of_our_title_are_former_ones() {
        let keys = vec![
            registered(
                1,
                "lotse: Flux of lab, key ...AAAAAold",
                "ssh-ed25519 AAAAAold somebody",
            ),
            registered(2, "lotse: Flux of lab-2, key ...AAAAprod", "ssh-ed25519 AAAAprod"),
            registered(3, "ours under another title", "ssh-ed25519 AAAAnew a@b"),
            registered(4, "lotse: Flux of lab, key ...for Ada", "ssh-ed25519 AAAAAada"),
        ];
        let found = Registration::of(keys.clone(), "lotse: Flux of lab", Some("ssh-ed25519 AAAAnew"));
        assert!(found.is_registered);
        assert_eq!(found.former, [keys[0].clone()]);
        let before = Registration::of(keys, "lotse: Flux of lab", None);
        assert!(!before.is_registered);
        assert_eq!(before.former(), 1);
    }

    #[test]
    fn test_a_key_that_may_write_is_not_registered_for_reading() {
        let writable = RegisteredKey {
            may_write: true,
            ..registered(1, "lotse: Flux of lab, key ...AAAAAnew", "ssh-ed25519 AAAAAnew")
        };
        let found = Registration::of(vec![writable], "lotse: Flux of lab", Some("ssh-ed25519 AAAAAnew"));
        assert!(found.is_writable() && !found.is_registered);
        assert_eq!(found.former(), 0);
    }
}
