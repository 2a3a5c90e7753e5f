//! What stands in the way of something that is waited for, as a person reads it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What stands in the way, told from what is waited for down to the deepest cause that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Objects from what is waited for down to the deepest that is not ready; empty where none is known.
    pub path: Vec<String>,
    /// What the last of them says, or what is waited for, in one line.
    pub reason: String,
    /// How long it has been so.
    pub lasts: Option<Duration>,
    /// The newest warning that the cluster gives about the last of them.
    pub event: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The runbook that treats it: a path in the platform's repository.
    pub runbook: Option<String>,
}

impl Explanation {
    /// Whether another one tells the same, however long it has lasted.
    #[must_use]
    pub fn tells_the_same(&self, other: &Self) -> bool {
        (&self.path, &self.reason, &self.event) == (&other.path, &other.reason, &other.event)
    }

    /// What is known beyond the first line, one line each: event, remedy, runbook.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let labelled =
            |label: &str, text: &Option<String>| text.as_ref().map(|text| format!("{label}: {text}"));
        [
            labelled("event", &self.event),
            labelled("help", &self.remedy),
            labelled("runbook", &self.runbook),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// `4m 12s`, without fractions; empty where it is not known or has only begun.
    #[must_use]
    pub fn age(&self) -> String {
        let seconds = self.lasts.map_or(0, |lasts| lasts.as_secs());
        if seconds == 0 {
            return String::new();
        }
        format!(
            "{:#}",
            jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
        )
    }
}

/// Nothing is known but one sentence.
impl From<String> for Explanation {
    fn from(reason: String) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }
}

impl From<&str> for Explanation {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// In one line: `Cluster/prod > Machine/prod-x: no valid flavor (for 3m 12s)`.
impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path.join(" > "))?;
        }
        formatter.write_str(&self.reason)?;
        match self.age() {
            age if age.is_empty() => Ok(()),
            age => write!(formatter, " (for {age})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_an_explanation_is_told_in_one_line_and_its_advice_below() {
        let plain = Explanation::from("its turn");
        assert_eq!(plain.to_string(), "its turn");
        assert!(plain.advice().is_empty());
        let deep = Explanation {
            path: vec!["Cluster/prod/prod".into(), "Machine/prod/x".into()],
            reason: "no valid flavor".into(),
            lasts: Some(Duration::from_millis(192_900)),
            event: None,
            remedy: Some("take another".into()),
            runbook: Some("runbooks/platform/cluster-not-ready.md".into()),
        };
        assert_eq!(
            deep.to_string(),
            "Cluster/prod/prod > Machine/prod/x: no valid flavor (for 3m 12s)"
        );
        assert_eq!(
            deep.advice(),
            [
                "help: take another",
                "runbook: runbooks/platform/cluster-not-ready.md"
            ]
        );
        let later = Explanation {
            lasts: None,
            ..deep.clone()
        };
        assert!(deep.tells_the_same(&later) && !deep.tells_the_same(&plain));
    }
}
