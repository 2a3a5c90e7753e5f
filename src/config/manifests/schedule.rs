//! Schedules in the manner of cron, as `github.com/robfig/cron/v3` reads them, which Kubernetes and `CloudNativePG` use.

use super::Reading;
use super::node::{at, text};
use super::object::Object;
use crate::diag::Code;

/// A field: its name, its least and greatest number, and names for numbers from the least on.
struct Field {
    name: &'static str,
    least: u32,
    greatest: u32,
    names: &'static [&'static str],
}

const SECOND: Field = numbers("second", 0, 59);

/// The five fields of cron.
const FIELDS: [Field; 5] = [
    numbers("minute", 0, 59),
    numbers("hour", 0, 23),
    numbers("day of the month", 1, 31),
    Field {
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
        ..numbers("month", 1, 12)
    },
    Field {
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ..numbers("day of the week", 0, 6)
    },
];

const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

const fn numbers(name: &'static str, least: u32, greatest: u32) -> Field {
    Field {
        name,
        least,
        greatest,
        names: &[],
    }
}

impl Reading<'_> {
    /// Looks at the schedule of an object that has one.
    pub(super) fn check_schedule(&mut self, object: &Object) {
        let has_seconds = match (object.group(), object.kind()) {
            ("batch", "CronJob") => false,
            ("postgresql.cnpg.io", "ScheduledBackup") => true,
            _ => return,
        };
        let Some(node) = at(&object.node, &["spec", "schedule"]) else {
            return;
        };
        let Some(written) = text(node) else { return };
        let Some(fault) = fault(written, has_seconds) else {
            return;
        };
        let (message, span) = (format!("`{written}` is no schedule: {fault}"), node.span);
        let help = if has_seconds {
            "write six fields: second, minute, hour, day of the month, month, day of the week; `0 30 2 * * *` is at half past two"
        } else {
            "write five fields: minute, hour, day of the month, month, day of the week; `30 2 * * *` is at half past two"
        };
        self.report(Code::BadSchedule, span, message).help = Some(help.into());
    }
}

/// What is wrong with a schedule.
fn fault(written: &str, has_seconds: bool) -> Option<String> {
    if written.starts_with("TZ=") || written.starts_with("CRON_TZ=") {
        return Some("a time zone belongs into `timeZone`".to_owned());
    }
    if let Some(every) = written.strip_prefix("@every ") {
        let is_duration = every.starts_with(|first: char| first.is_ascii_digit())
            && every.ends_with(['h', 'm', 's'])
            && every
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b".hmsnu".contains(&byte));
        return (!is_duration).then(|| format!("`{every}` is no duration"));
    }
    if written.starts_with('@') {
        return (!WORDS.contains(&written)).then(|| format!("it knows {}", WORDS.join(", ")));
    }
    let parts: Vec<&str> = written.split_whitespace().collect();
    let fields: Vec<&Field> = has_seconds
        .then_some(&SECOND)
        .into_iter()
        .chain(&FIELDS)
        .collect();
    if parts.len() != fields.len() {
        return Some(format!("it has {} fields, not {}", parts.len(), fields.len()));
    }
    let mut both = fields.into_iter().zip(parts);
    both.find_map(|(field, part)| part.split(',').find_map(|range| field.fault(range)))
}

impl Field {
    /// What is wrong with `*`, `?`, a number or a range, each perhaps with a step.
    fn fault(&self, written: &str) -> Option<String> {
        let (range, step) = match written.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (written, None),
        };
        if step.is_some_and(|step| !step.parse::<u32>().is_ok_and(|step| step > 0)) {
            return Some(format!(
                "the step of {} `{written}` is no number above 0",
                self.name
            ));
        }
        if matches!(range, "*" | "?") {
            return None;
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (self.number(first), self.number(last)) {
            (Some(first), Some(last)) if first <= last => None,
            (Some(_), Some(_)) => Some(format!("{} `{range}` ends before it begins", self.name)),
            _ => Some(format!(
                "{} `{range}` is not from {} to {}",
                self.name, self.least, self.greatest
            )),
        }
    }

    fn number(&self, written: &str) -> Option<u32> {
        let folded = written.to_ascii_lowercase();
        let named = self.names.iter().position(|name| *name == folded);
        let number = match named {
            Some(index) => u32::try_from(index).ok()?.checked_add(self.least)?,
            None if written.bytes().all(|byte| byte.is_ascii_digit()) => written.parse().ok()?,
            None => return None,
        };
        (self.least..=self.greatest).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_schedules_are_those_that_kubernetes_takes() {
        let right = [
            "30 2 * * 0",
            "*/5 0-6,22 1 jan-MAR ?",
            "5/15 * * * sun",
            "@daily",
            "@every 1h30m",
        ];
        for written in right {
            assert_eq!(fault(written, false), None, "{written}");
        }
        let wrong = [
            ("60 * * * *", "minute `60` is not from 0 to 59"),
            ("* * 0 * *", "day of the month `0` is not from 1 to 31"),
            ("* * * * 7", "day of the week `7` is not from 0 to 6"),
            (
                "* * * * fri-mon",
                "day of the week `fri-mon` ends before it begins",
            ),
            ("*/0 * * * *", "the step of minute `*/0` is no number above 0"),
            ("* * * *", "it has 4 fields, not 5"),
            ("0 0 2 * * *", "it has 6 fields, not 5"),
            ("+1 * * * *", "minute `+1` is not from 0 to 59"),
            ("@every day", "`day` is no duration"),
            ("TZ=UTC 0 2 * * *", "a time zone belongs into `timeZone`"),
        ];
        for (written, told) in wrong {
            assert_eq!(fault(written, false).as_deref(), Some(told), "{written}");
        }
        assert!(fault("@nightly", false).is_some_and(|told| told.contains("@midnight")));
    }

    #[test]
    fn test_schedules_of_backups_begin_with_seconds() {
        assert_eq!(fault("0 30 2 * * *", true), None);
        assert_eq!(
            fault("30 2 * * *", true).as_deref(),
            Some("it has 5 fields, not 6")
        );
    }
}
