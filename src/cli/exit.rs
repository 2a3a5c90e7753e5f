//! Exit codes: part of the stable interface (`docs/reference/exit-codes.md`).

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line can't be carried out as it is.
    Usage = 2,
    /// Declarations have errors.
    Declarations = 3,
    /// A system wants credentials it did not get.
    Authentication = 4,
    /// Changes are pending (with `--detailed-exitcode`).
    Pending = 5,
    /// Some of the changes were made.
    Partly = 6,
    /// A check failed.
    Checks = 7,
    /// A fault of lotse itself.
    Internal = 70,
    /// Interrupted by the user.
    Interrupted = 130,
}

impl Exit {
    /// All exit codes, for the reference.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Declarations,
        Self::Authentication,
        Self::Pending,
        Self::Partly,
        Self::Checks,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the reference.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => "failed",
            Self::Usage => "the command line can't be carried out as it is",
            Self::Declarations => "declarations have errors",
            Self::Authentication => "a system wants credentials it did not get",
            Self::Pending => "changes are pending (with --detailed-exitcode)",
            Self::Partly => "some of the changes were made",
            Self::Checks => "a check failed",
            Self::Internal => "a fault of lotse itself",
            Self::Interrupted => "interrupted; the same command goes on from there",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_the_reference_is_generated_from_the_codes() {
        let row = |exit: &Exit| format!("| {} | {} |\n", exit.code(), exit.meaning());
        let rows = Exit::ALL.iter().map(row).collect::<Vec<_>>().concat();
        let wanted = format!("# Exit codes\n\n| code | meaning |\n|---|---|\n{rows}");
        assert_eq!(include_str!("../../docs/reference/exit-codes.md"), wanted);
    }
}
