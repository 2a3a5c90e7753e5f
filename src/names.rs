//! Names that the systems behind them restrict: ground floor, no I/O.
//!
//! Each kind of name is a type of its own, so that a team can't be passed where a namespace is meant.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Whether a character shows as nothing and changes how others are shown: control characters, and those that turn the
/// direction of writing (Unicode Standard Annex 9, "Explicit Directional Embedding, Override, Isolate and Mark Characters").
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Why a text is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name can't be empty")]
    Empty,
    /// Longer than the system behind it takes.
    #[error("`{name}` has {length} characters; at most {limit} are allowed")]
    TooLong {
        /// The text.
        name: String,
        /// Its length in characters.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A character that is not allowed where it stands.
    #[error("`{name}` has {character:?} at position {position}; allowed are {allowed}")]
    Character {
        /// The text.
        name: String,
        /// The character.
        character: char,
        /// Counted from 1.
        position: usize,
        /// What would be allowed.
        allowed: &'static str,
    },
}

/// Longest DNS label in octets (RFC 1035, section 2.3.4).
pub const LABEL_LIMIT: usize = 63;
/// Longest domain name in text form without the trailing dot (RFC 1035, section 2.3.4: 255 octets on the wire).
pub const DOMAIN_LIMIT: usize = 253;
/// Longest GitHub login (GitHub's sign-up form).
pub const LOGIN_LIMIT: usize = 39;

const LABEL_ALLOWED: &str = "lower-case letters, digits and, not first or last, hyphens";

/// Checks an RFC 1123 label as Kubernetes does (`k8s.io/apimachinery/pkg/util/validation`, `IsDNS1123Label`).
fn check_label(text: &str) -> Result<(), NameError> {
    check_length(text, LABEL_LIMIT)?;
    let last = text.chars().count() - 1;
    check_characters(text, LABEL_ALLOWED, |position, character| {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || (character == '-' && position != 0 && position != last)
    })
}

/// Checks a fully qualified domain name without trailing dot: labels joined by dots.
fn check_domain(text: &str) -> Result<(), NameError> {
    check_length(text, DOMAIN_LIMIT)?;
    text.split('.').try_for_each(check_label)
}

/// Checks a GitHub login: letters, digits, single hyphens inside.
fn check_login(text: &str) -> Result<(), NameError> {
    check_length(text, LOGIN_LIMIT)?;
    let last = text.chars().count() - 1;
    check_characters(
        text,
        "letters, digits and, not first or last, hyphens",
        |position, character| {
            character.is_ascii_alphanumeric() || (character == '-' && position != 0 && position != last)
        },
    )
}

fn check_length(text: &str, limit: usize) -> Result<(), NameError> {
    let length = text.chars().count();
    if length == 0 {
        return Err(NameError::Empty);
    }
    if length > limit {
        return Err(NameError::TooLong {
            name: text.to_owned(),
            length,
            limit,
        });
    }
    Ok(())
}

fn check_characters(
    text: &str,
    allowed: &'static str,
    is_allowed: impl Fn(usize, char) -> bool,
) -> Result<(), NameError> {
    match text
        .chars()
        .enumerate()
        .find(|(position, character)| !is_allowed(*position, *character))
    {
        None => Ok(()),
        Some((position, character)) => Err(NameError::Character {
            name: text.to_owned(),
            character,
            position: position + 1,
            allowed,
        }),
    }
}

macro_rules! name_type {
    ($(#[$docs:meta])* $name:ident, $check:path) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and wraps it.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// An application: folder under `apps/`, namespace, service account. An RFC 1123 label.
    AppName, check_label
}
name_type! {
    /// An environment: folder under `environments/` and `clusters/`. An RFC 1123 label.
    EnvironmentName, check_label
}
name_type! {
    /// A workload cluster: the name of the `Cluster` object. An RFC 1123 label.
    ClusterName, check_label
}
name_type! {
    /// A Kubernetes namespace. An RFC 1123 label.
    NamespaceName, check_label
}
name_type! {
    /// A team of `people.yaml`: the slug of the GitHub team. An RFC 1123 label.
    TeamName, check_label
}
name_type! {
    /// One label of a host name, completed by the environment's domain. An RFC 1123 label.
    HostLabel, check_label
}
name_type! {
    /// An embedded lab. An RFC 1123 label.
    LabName, check_label
}
name_type! {
    /// A domain name, lower case, without trailing dot.
    DomainName, check_domain
}
name_type! {
    /// A GitHub login as its owner writes it. Compare with [`Login::is_same`], since GitHub ignores case.
    Login, check_login
}

impl LabName {
    /// The lab that is meant when none is named.
    #[must_use]
    pub fn standard() -> Self {
        Self("default".to_owned())
    }
}

impl Login {
    /// The login in lower case: what Keycloak stores as user name, and what to compare by.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether both name the same account.
    #[must_use]
    pub const fn is_same(&self, other: &Self) -> bool {
        self.0.as_str().eq_ignore_ascii_case(other.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn test_label_errors_name_the_character() {
        let error = AppName::new("Web_site").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`Web_site` has 'W' at position 1; allowed are {LABEL_ALLOWED}")
        );
        assert_eq!(AppName::new("").unwrap_err(), NameError::Empty);
        assert!(AppName::new("a".repeat(63)).is_ok());
        assert!(matches!(
            AppName::new("a".repeat(64)),
            Err(NameError::TooLong { length: 64, .. })
        ));
        assert!(AppName::new("-a").is_err());
        assert!(AppName::new("a-").is_err());
    }

    #[test]
    fn test_domain_rejects_empty_labels() {
        assert!(DomainName::new("prod.scs.community").is_ok());
        assert!(DomainName::new("prod..community").is_err());
        assert!(DomainName::new("prod.").is_err());
    }

    proptest! {
        #[test]
        fn test_label_accepts_exactly_rfc_1123(text in "[a-c0-1.A-]{0,66}") {
            let wanted = !text.is_empty()
                && text.len() <= 63
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !text.starts_with('-')
                && !text.ends_with('-');
            prop_assert_eq!(AppName::new(text).is_ok(), wanted);
        }
    }
}
