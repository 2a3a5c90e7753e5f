//! SSH key pairs for reading one repository.

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, PrivateKey};

use crate::secret::Secret;

/// An Ed25519 key pair in the formats of OpenSSH.
#[derive(Clone, Debug)]
pub struct DeployKey {
    private: Secret,
    public: String,
}

/// The system gives no random numbers, or a key can't be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key pair could be made: the system gave no random numbers")]
pub struct NoKeyPair;

impl DeployKey {
    /// A new one.
    ///
    /// # Errors
    /// [`NoKeyPair`] when the system has no random numbers.
    pub fn generate() -> Result<Self, NoKeyPair> {
        let mut seed = [0; Ed25519PrivateKey::BYTE_SIZE];
        SystemRandom::new().fill(&mut seed).map_err(|_| NoKeyPair)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NoKeyPair)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoKeyPair)?;
        let pair = Ed25519Keypair {
            public: Ed25519PublicKey(public),
            private: Ed25519PrivateKey::from_bytes(&seed),
        };
        let key = PrivateKey::new(KeypairData::Ed25519(pair), "").map_err(|_| NoKeyPair)?;
        Self::of(&key).ok_or(NoKeyPair)
    }

    /// The pair whose private half is `text`, as in a file of OpenSSH; `None` where it is something else, or is
    /// protected by a passphrase.
    #[must_use]
    pub fn read(text: &Secret) -> Option<Self> {
        let key = PrivateKey::from_openssh(text.expose()).ok()?;
        Self::of(&key).filter(|_| !key.is_encrypted())
    }

    fn of(key: &PrivateKey) -> Option<Self> {
        Some(Self {
            private: Secret::new(key.to_openssh(LineEnding::LF).ok()?.as_str()),
            public: key.public_key().to_openssh().ok()?,
        })
    }

    /// The private half, as in a file of OpenSSH.
    #[must_use]
    pub const fn private(&self) -> &Secret {
        &self.private
    }

    /// The public half in one line (`ssh-ed25519 AAAA...`).
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_key_is_read_back_as_it_was_made() {
        let key = DeployKey::generate().unwrap();
        let read = DeployKey::read(key.private()).unwrap();
        assert_eq!(read.public(), key.public());
        assert!(key.public().starts_with("ssh-ed25519 AAAA"), "{}", key.public());
        assert_eq!(key.public().split_whitespace().count(), 2);
        assert_ne!(DeployKey::generate().unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains("PRIVATE"));
        assert!(DeployKey::read(&Secret::new("no key")).is_none());
    }
}
