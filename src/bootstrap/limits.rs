//! How long stages may wait for the systems.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::Stage;

/// How long a stage may wait for the systems before it gives up, where nothing else is said.
pub const STAGE_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long each stage may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    every: Duration,
    of_stages: BTreeMap<Stage, Duration>,
}

/// A limit of one stage, or of all that have none of their own: `cluster=45m`, `20m`, `90` (seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageLimit {
    stage: Option<Stage>,
    limit: Duration,
}

/// A text is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALimit {
    /// What stands before `=` is no stage.
    #[error("there is no stage `{name}`: the stages are {}", in_a_row())]
    Stage {
        /// What was written.
        name: String,
    },
    /// What stands for the time is none.
    #[error("`{0}` is no time: write `90s`, `20m` or `1h30m`")]
    Time(String),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            every: STAGE_LIMIT,
            of_stages: BTreeMap::new(),
        }
    }
}

impl Limits {
    /// Those that are given; later ones count before earlier ones.
    #[must_use]
    pub fn of(given: &[StageLimit]) -> Self {
        let mut limits = Self::default();
        for each in given {
            match each.stage {
                Some(stage) => drop(limits.of_stages.insert(stage, each.limit)),
                None => limits.every = each.limit,
            }
        }
        limits
    }

    /// How long `stage` may wait.
    #[must_use]
    pub fn of_stage(&self, stage: Stage) -> Duration {
        self.of_stages.get(&stage).copied().unwrap_or(self.every)
    }
}

/// As it is given, in seconds.
impl fmt::Display for StageLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.limit.as_secs();
        match self.stage {
            Some(stage) => write!(formatter, "{stage}={seconds}s"),
            None => write!(formatter, "{seconds}s"),
        }
    }
}

impl FromStr for StageLimit {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, NotALimit> {
        let (stage, time) = match text.split_once('=') {
            None => (None, text),
            Some((name, time)) => {
                let found = Stage::ALL.into_iter().find(|stage| stage.to_string() == name);
                (
                    Some(found.ok_or_else(|| NotALimit::Stage {
                        name: name.to_owned(),
                    })?),
                    time,
                )
            }
        };
        let limit = time_of(time).ok_or_else(|| NotALimit::Time(time.to_owned()))?;
        Ok(Self { stage, limit })
    }
}

/// At least one second: nothing comes in less.
fn time_of(text: &str) -> Option<Duration> {
    let limit = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text.parse::<SignedDuration>().ok()?.try_into().ok()?,
    };
    (limit >= Duration::from_secs(1)).then_some(limit)
}

fn in_a_row() -> String {
    Stage::ALL.map(|stage| stage.to_string()).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_limits_are_read_for_one_stage_or_all() {
        let given = ["cluster=45m", "90", "flux=1h30m", "flux=2m"].map(|text| text.parse().unwrap());
        let limits = Limits::of(&given);
        assert_eq!(limits.of_stage(Stage::Cluster), Duration::from_secs(45 * 60));
        assert_eq!(limits.of_stage(Stage::Flux), Duration::from_secs(120));
        assert_eq!(limits.of_stage(Stage::Dns), Duration::from_secs(90));
        assert_eq!(Limits::default().of_stage(Stage::Dns), STAGE_LIMIT);
    }

    #[test]
    fn test_what_is_no_limit_is_told() {
        let told = |text: &str| text.parse::<StageLimit>().unwrap_err().to_string();
        assert!(told("flus=2m").starts_with("there is no stage `flus`: the stages are preflight, stack"));
        for text in ["", "soon", "-3m", "0", "flux=", "flux=0s"] {
            assert!(told(text).contains("is no time: write `90s`"), "{text}");
        }
    }
}
