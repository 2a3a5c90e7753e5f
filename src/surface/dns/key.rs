//! The key that signs updates (TSIG, RFC 8945).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::dnssec::DnsSecError;
use hickory_proto::rr::rdata::tsig;
use hickory_proto::rr::{Name, TSigner};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// How far the clocks of client and server may be apart, seconds (RFC 8945, section 10).
pub(super) const FUDGE_SECONDS: u16 = 300;
/// The shortest key that is made, octets: the output of HMAC-SHA256 (RFC 2104, section 3).
const GENERATED_OCTETS: usize = 32;

/// A TSIG key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsigKey {
    /// Its name, as the server knows it: a domain name, mostly a short one (`lotse`).
    pub name: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: TsigAlgorithm,
    /// The key in base64, as BIND, Knot and PowerDNS write it.
    pub secret: Secret,
}

/// How a TSIG key signs. Older algorithms are left out: RFC 8945 advises against them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256, which every server knows.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// Why a TSIG key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No such algorithm.
    #[error(
        "`{algorithm}` is no TSIG algorithm lotse signs with: use hmac-sha256, hmac-sha384 or hmac-sha512"
    )]
    Algorithm {
        /// What was given.
        algorithm: String,
    },
    /// The name is no domain name.
    #[error("`{name}` can't be the name of a TSIG key")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: hickory_proto::ProtoError,
    },
    /// The secret is empty.
    #[error("the TSIG key `{name}` has an empty secret")]
    Empty {
        /// The key's name.
        name: String,
    },
    /// The secret is not in base64. What it is instead is not told: it is a secret.
    #[error("the secret of the TSIG key `{name}` is not in base64 (`tsig-keygen` and `keymgr` print it so)")]
    Encoding {
        /// The key's name.
        name: String,
    },
    /// The key does not sign.
    #[error("the TSIG key `{name}` can't sign")]
    Signer {
        /// The key's name.
        name: String,
        /// Why.
        #[source]
        source: Box<DnsSecError>,
    },
}

impl TsigKey {
    /// Makes a new key named `name` for HMAC-SHA256 out of the system's randomness.
    #[must_use]
    pub fn generate(name: impl Into<String>) -> Self {
        let octets: [u8; GENERATED_OCTETS] = rand::random();
        Self {
            name: name.into(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: Secret::new(STANDARD.encode(octets)),
        }
    }

    /// What signs and verifies messages with this key.
    pub(crate) fn signer(&self) -> Result<TSigner, KeyError> {
        let name = self.name.clone();
        let signer_name = Name::from_ascii(&self.name).map_err(|source| KeyError::Name {
            name: name.clone(),
            source,
        })?;
        if self.secret.is_empty() {
            return Err(KeyError::Empty { name });
        }
        let octets = STANDARD
            .decode(self.secret.expose().trim())
            .map_err(|_| KeyError::Encoding { name: name.clone() })?;
        TSigner::new(octets, self.algorithm.into(), signer_name, FUDGE_SECONDS).map_err(|source| {
            KeyError::Signer {
                name,
                source: Box::new(source),
            }
        })
    }
}

impl From<TsigAlgorithm> for tsig::TsigAlgorithm {
    fn from(algorithm: TsigAlgorithm) -> Self {
        match algorithm {
            TsigAlgorithm::HmacSha256 => Self::HmacSha256,
            TsigAlgorithm::HmacSha384 => Self::HmacSha384,
            TsigAlgorithm::HmacSha512 => Self::HmacSha512,
        }
    }
}

impl fmt::Display for TsigAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        })
    }
}

impl FromStr for TsigAlgorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512]
            .into_iter()
            .find(|algorithm| algorithm.to_string() == text)
            .ok_or_else(|| KeyError::Algorithm {
                algorithm: text.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_errors_never_show_the_secret() {
        let key = TsigKey {
            name: "lotse".to_owned(),
            algorithm: TsigAlgorithm::HmacSha512,
            secret: Secret::new("not base64, but secret"),
        };
        let error = key.signer().err().unwrap();
        assert!(matches!(error, KeyError::Encoding { .. }));
        assert!(!format!("{error} {error:?} {key:?}").contains("but secret"));
    }

    #[test]
    fn test_generated_key_signs() {
        let key = TsigKey::generate("lotse");
        assert!(key.signer().is_ok());
        assert_ne!(key.secret.expose(), TsigKey::generate("lotse").secret.expose());
    }

    #[test]
    fn test_algorithm_names_are_read_as_written() {
        let algorithm: TsigAlgorithm = "hmac-sha384".parse().unwrap();
        assert_eq!(algorithm, TsigAlgorithm::HmacSha384);
        assert!("hmac-md5".parse::<TsigAlgorithm>().is_err());
    }
}
