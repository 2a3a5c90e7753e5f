//! SSH as Git uses it: key pairs for reading one repository, and the keys by which its host is known.

use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, verify};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, PrivateKey};
use url::Url;

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

/// Port of SSH (RFC 4253, section 4).
const SSH_PORT: u16 = 22;

/// Lines of `known_hosts` don't tell how a host is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownHost {
    /// A line is something else.
    #[error("line {line} of knownHosts is none that `ssh-keyscan` writes")]
    NotALine {
        /// Counted from 1.
        line: usize,
    },
    /// No line is for the host.
    #[error("no line of knownHosts is for {host}")]
    NoKey {
        /// As `known_hosts` has it: `HOST`, or `[HOST]:PORT` where that is not SSH's own.
        host: String,
    },
    /// There is no host in the address.
    #[error("{url} names no host")]
    NotAnAddress {
        /// The address.
        url: String,
    },
}

/// Whether a client that has `lines` as its `known_hosts` (sshd(8), section on that file) knows a key of the host of
/// `url`, `ssh://git@HOST:PORT/PATH`. Not whether the host has that key.
///
/// # Errors
/// [`UnknownHost`] with the line, or with the host that is missing.
pub fn check_known_hosts<'line>(
    url: &str,
    lines: impl IntoIterator<Item = &'line str>,
) -> Result<(), UnknownHost> {
    let host = known_as(url).ok_or_else(|| UnknownHost::NotAnAddress { url: url.to_owned() })?;
    let mut is_known = false;
    for (index, line) in lines.into_iter().enumerate() {
        let entry: Entry = line
            .trim()
            .parse()
            .map_err(|_| UnknownHost::NotALine { line: index + 1 })?;
        is_known |= entry.marker() != Some(&Marker::Revoked) && is_for(entry.host_patterns(), &host);
    }
    if is_known {
        Ok(())
    } else {
        Err(UnknownHost::NoKey { host })
    }
}

/// What the host of an address is called in `known_hosts`.
fn known_as(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_lowercase();
    match url.port() {
        None | Some(SSH_PORT) => Some(host),
        Some(port) => Some(format!("[{host}]:{port}")),
    }
}

/// A pattern with wildcards is taken to be meant for the host.
fn is_for(patterns: &HostPatterns, host: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => patterns
            .iter()
            .any(|pattern| pattern.eq_ignore_ascii_case(host) || pattern.contains(['*', '?'])),
        HostPatterns::HashedName { salt, hash } => {
            let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            verify(&key, host.as_bytes(), hash).is_ok()
        }
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

    #[test]
    fn test_a_host_is_known_by_its_name_and_port() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let check = |url: &str, hosts: &str| check_known_hosts(url, [format!("{hosts} {KEY}").as_str()]);
        let missing = |host: &str| {
            Err(UnknownHost::NoKey {
                host: host.to_owned(),
            })
        };
        let github = "ssh://git@github.com/scs/platform.git";
        assert_eq!(check(github, "github.com"), Ok(()));
        assert_eq!(check(github, "gitlab.com,GitHub.com"), Ok(()));
        assert_eq!(check(github, "*.com"), Ok(()));
        assert_eq!(check(github, "gitlab.com"), missing("github.com"));
        assert_eq!(check(github, "@revoked github.com"), missing("github.com"));
        let other_port = "ssh://git@127.0.0.1:2222/scs/platform.git";
        assert_eq!(check(other_port, "127.0.0.1"), missing("[127.0.0.1]:2222"));
        assert_eq!(check(other_port, "[127.0.0.1]:2222"), Ok(()));
        // `ssh-keygen -H` made this of github.com.
        let hashed = "|1|KyAmv5wTW+VOaTG7cbNLCwFfXUg=|6bRNE72uf7KaD+Bv07stXjIKkqE=";
        assert_eq!(check(github, hashed), Ok(()));
        assert_eq!(check(other_port, hashed), missing("[127.0.0.1]:2222"));
        assert_eq!(
            check_known_hosts(github, [format!("github.com {KEY}").as_str(), "github.com"]),
            Err(UnknownHost::NotALine { line: 2 })
        );
    }
}
