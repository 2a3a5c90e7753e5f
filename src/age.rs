//! Keys of age (age-encryption.org/v1, "X25519 recipient stanza"): whom a file is encrypted to, and who opens it.
//!
//! A recipient is the public half, `age1...`, an identity the secret one, `AGE-SECRET-KEY-1...`; both are Bech32
//! (BIP 173) of 32 bytes. Files themselves are encrypted and decrypted by the program `sops`.

use std::fmt;

use bech32::{Bech32, Hrp};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use crate::secret::Secret;

const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");
/// How a recipient begins; in a file of sops, each stands after this.
const RECIPIENT_START: &str = "age1";
const RECIPIENT_LENGTH: usize = 62;

/// Whom something is encrypted to: `age1` and 58 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient(String);

/// Opens what is encrypted to its recipient.
pub struct Identity(Secret);

/// A text is no key of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It should be a recipient.
    #[error("it is not an age recipient, which is age1 and 58 characters more, without a mistake in them")]
    Recipient,
    /// It should be an identity. The text itself is not told.
    #[error("it is not an age identity, which begins with AGE-SECRET-KEY-1")]
    Identity,
}

impl Recipient {
    /// Takes `text` when it is one, checksum included.
    ///
    /// # Errors
    /// [`NotAKey::Recipient`].
    pub fn new(text: &str) -> Result<Self, NotAKey> {
        match bech32::decode(text) {
            Ok((prefix, bytes)) if prefix == RECIPIENT && bytes.len() == 32 && is_lower(text) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotAKey::Recipient),
        }
    }

    /// The recipient as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Identity {
    /// A new one, from the random numbers of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::random();
        let text = bech32::encode::<Bech32>(IDENTITY, &bytes).unwrap_or_default();
        Self(Secret::new(text.to_ascii_uppercase()))
    }

    /// Reads a file of identities as age writes it: comments, empty lines and one identity.
    ///
    /// # Errors
    /// [`NotAKey::Identity`] when there is none, or more than one.
    pub fn read(text: &Secret) -> Result<Self, NotAKey> {
        let lines = text.expose().lines().map(str::trim);
        let mut keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(NotAKey::Identity);
        };
        let identity = Self(Secret::new(key));
        identity.bytes().map(|_| identity)
    }

    /// Whom others encrypt to, for this one to open.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        let public = x25519(self.bytes().unwrap_or_default(), X25519_BASEPOINT_BYTES);
        Recipient(bech32::encode::<Bech32>(RECIPIENT, &public).unwrap_or_default())
    }

    /// `AGE-SECRET-KEY-1...`
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    fn bytes(&self) -> Result<[u8; 32], NotAKey> {
        let (prefix, bytes) = bech32::decode(self.0.expose()).map_err(|_| NotAKey::Identity)?;
        let is_identity = prefix.to_lowercase() == IDENTITY.to_lowercase();
        let bytes = bytes.try_into().ok().filter(|_| is_identity);
        bytes.ok_or(NotAKey::Identity)
    }
}

/// Bech32 may be written in capitals, which age and sops don't take for a recipient.
fn is_lower(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// All recipients that stand in a text, each once and sorted: those of a file that sops encrypted, whatever its format.
#[must_use]
pub fn recipients_in(text: &str) -> Vec<Recipient> {
    let mut found: Vec<Recipient> = text
        .match_indices(RECIPIENT_START)
        .filter_map(|(start, _)| text.get(start..start + RECIPIENT_LENGTH))
        .filter_map(|candidate| Recipient::new(candidate).ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair of age's own specification tests (`testdata/testkit`, C2SP/CCTV).
    const SECRET: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

    #[test]
    fn test_a_recipient_is_made_from_its_identity() {
        let identity = Identity::read(&Secret::new(format!("# created: today\n\n{SECRET}\n"))).unwrap();
        let recipient = identity.recipient();
        assert_eq!(Recipient::new(recipient.as_str()), Ok(recipient));
        let other = Identity::generate();
        let again = Identity::read(other.secret()).unwrap();
        assert_eq!(other.recipient(), again.recipient());
        assert_ne!(other.recipient(), identity.recipient());
        assert!(other.secret().expose().starts_with("AGE-SECRET-KEY-1"));
    }

    #[test]
    fn test_a_mistyped_key_is_refused() {
        let right = Identity::generate().recipient();
        let wrong = if right.as_str().ends_with('q') { "p" } else { "q" };
        let wrong = format!("{}{wrong}", &right.as_str()[..61]);
        assert_eq!(Recipient::new(&wrong), Err(NotAKey::Recipient));
        assert_eq!(Recipient::new(SECRET), Err(NotAKey::Recipient));
        assert!(Recipient::new(&right.as_str().to_uppercase()).is_err());
        for text in ["", "# nothing", right.as_str(), &format!("{SECRET}\n{SECRET}")] {
            assert_eq!(Identity::read(&Secret::new(text)).err(), Some(NotAKey::Identity));
        }
    }

    #[test]
    fn test_recipients_are_found_in_every_format_of_sops() {
        let [one, other] = [0, 1].map(|_| Identity::generate().recipient());
        let text = format!(
            "sops:\n  age:\n    - recipient: {one}\nsops_age__list_0__map_recipient={other}\n\"{one}\" age1 age1x"
        );
        let mut wanted = vec![one, other];
        wanted.sort();
        assert_eq!(recipients_in(&text), wanted);
        assert!(recipients_in("age1 and nothing").is_empty());
    }
}
