//! What somebody asks for who breaks the glass. Pure.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use rand::RngExt as _;

/// Before the name of a person in the cluster.
const USER_PREFIX: &str = "lotse:break-glass:";
/// After it: what tells one use from another, `:3fa9c1`. Else the certificate of one use would have the rights of the others.
const USE_LENGTH: usize = 1 + 6;
/// The common name of a certificate has at most so many characters (RFC 5280).
const LONGEST_USER: usize = 64;
/// Signers give nothing shorter.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Less is no reason.
const SHORTEST_REASON: usize = 10;
const LONGEST_REASON: usize = 300;

/// Why something can't be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWanted {
    /// No name.
    #[error("a name has letters, digits and `@._+-`, at most {} of them", LONGEST_USER - USER_PREFIX.len() - USE_LENGTH)]
    Who,
    /// No reason.
    #[error(
        "say in one line of {SHORTEST_REASON} to {LONGEST_REASON} characters what it is for: others read it later"
    )]
    Reason,
    /// No time.
    #[error("write a time from {SHORTEST:#} to {LONGEST:#}, such as `30m` or `2h`")]
    Lasting,
}

/// Who wants in, a person: an e-mail address or a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who(String);

impl FromStr for Who {
    type Err = NotWanted;

    fn from_str(text: &str) -> Result<Self, NotWanted> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._+-".contains(&byte);
        let fits = !text.is_empty() && USER_PREFIX.len() + text.len() + USE_LENGTH <= LONGEST_USER;
        if fits && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotWanted::Who)
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What for: one line that others read later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl FromStr for Reason {
    type Err = NotWanted;

    fn from_str(text: &str) -> Result<Self, NotWanted> {
        let text = text.trim();
        let length = text.chars().count();
        let is_said = (SHORTEST_REASON..=LONGEST_REASON).contains(&length);
        if is_said && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotWanted::Reason)
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// For how long: ten minutes to a day, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting(SignedDuration);

impl Lasting {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> i32 {
        i32::try_from(self.0.as_secs()).unwrap_or(i32::MAX)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> SignedDuration {
        self.0
    }
}

/// One hour.
impl Default for Lasting {
    fn default() -> Self {
        Self(SignedDuration::from_hours(1))
    }
}

impl FromStr for Lasting {
    type Err = NotWanted;

    fn from_str(text: &str) -> Result<Self, NotWanted> {
        let asked: SignedDuration = text.parse().map_err(|_| NotWanted::Lasting)?;
        let asked = SignedDuration::from_secs(asked.as_secs());
        if (SHORTEST..=LONGEST).contains(&asked) {
            Ok(Self(asked))
        } else {
            Err(NotWanted::Lasting)
        }
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

/// Who wants in, for how long, why, and to do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The person.
    pub who: Who,
    /// What for.
    pub reason: Reason,
    /// How long.
    pub lasting: Lasting,
    /// The `ClusterRole` that the person gets in the whole cluster.
    pub role: String,
    /// Account and machine where the command runs.
    pub by: String,
    /// What tells this use from others.
    pub chance: Chance,
}

/// Six hexadecimal digits that are another each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chance(String);

impl Chance {
    /// Another one.
    #[must_use]
    pub fn new() -> Self {
        let number: u32 = rand::rng().random_range(0..1 << 24);
        Self(format!("{number:06x}"))
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Wanted {
    /// As whom the cluster knows the person by this one certificate.
    #[must_use]
    pub fn user(&self) -> String {
        format!("{USER_PREFIX}{}:{}", self.who, self.chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_names_are_those_that_a_certificate_can_have() {
        let longest = "a".repeat(39);
        for text in ["ada", "ada+oncall@lab.test", longest.as_str()] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "ada berg",
            "ada,O=system:masters",
            "a/b",
            "ä",
            &"a".repeat(40),
        ] {
            assert_eq!(text.parse::<Who>(), Err(NotWanted::Who), "{text}");
        }
    }

    #[test]
    fn test_a_reason_is_one_line_that_says_something() {
        assert_eq!(
            " Keycloak is down ".parse::<Reason>().unwrap().to_string(),
            "Keycloak is down"
        );
        for text in ["", "         test", "two\nwhole lines", &"x".repeat(301)] {
            assert_eq!(text.parse::<Reason>(), Err(NotWanted::Reason), "{text}");
        }
    }

    #[test]
    fn test_times_are_ten_minutes_to_a_day() {
        let seconds = |text: &str| text.parse::<Lasting>().map(Lasting::seconds);
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("24h"), Ok(86400));
        assert_eq!(Lasting::default().to_string(), "1h");
        for text in ["9m59s", "24h1s", "1d", "-1h", "soon", "600", ""] {
            assert_eq!(seconds(text), Err(NotWanted::Lasting), "{text}");
        }
        assert_eq!(
            NotWanted::Lasting.to_string(),
            "write a time from 10m to 24h, such as `30m` or `2h`"
        );
    }
}
