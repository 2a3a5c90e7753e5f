//! What a command says when it can't do what it was asked for.

use std::error::Error;
use std::io;

use super::Exit;
use super::workspace::EnvironmentsError;
use crate::bootstrap::{BootstrapError, Check, CheckOutcome, Stage, StageError};
use crate::causes;
use crate::surface::git::{ForgeError, GitError};

/// What the system says where a file has no room.
const NO_ROOM: [io::ErrorKind; 3] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::FileTooLarge,
];

/// Whose fault it is, which decides prefix and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something outside went wrong.
    Failed,
    /// The command line or the surroundings don't fit.
    Usage,
    /// Declarations have errors; they were shown already.
    Declarations,
    /// Credentials are missing or refused.
    Authentication,
    /// Something was changed before it failed.
    Partly,
    /// A check failed.
    Checks,
    /// A fault of lotse.
    Internal,
    /// The user interrupted.
    Interrupted,
}

impl Kind {
    /// The exit code of this kind.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Failed => Exit::Failed,
            Self::Usage => Exit::Usage,
            Self::Declarations => Exit::Declarations,
            Self::Authentication => Exit::Authentication,
            Self::Partly => Exit::Partly,
            Self::Checks => Exit::Checks,
            Self::Internal => Exit::Internal,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// A failed command: one sentence, its causes, and what to do about it.
#[derive(Debug)]
pub struct CommandError {
    /// Whose fault.
    pub kind: Kind,
    /// One sentence: what was being done. Empty when all was shown already.
    pub message: String,
    /// What each cause said, outermost first.
    pub causes: Vec<String>,
    /// What to do, one sentence each.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error of `kind` that says `message`.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// An error of `kind` about which all was shown already.
    #[must_use]
    pub fn shown(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// An error of `kind` from a room's error: its message and the messages of its causes, each once.
    pub fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        let has_no_room = causes::chain(error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| NO_ROOM.contains(&cause.kind()));
        let told = Self {
            causes: causes::told(error),
            ..Self::new(kind, error.to_string())
        };
        if has_no_room {
            return told.hint("make room there; the same command goes on from where this one stopped");
        }
        told
    }

    /// A fault of lotse itself.
    pub fn internal(message: &str, source: impl Error) -> Self {
        Self {
            causes: vec![source.to_string()],
            ..Self::new(Kind::Internal, message)
        }
    }

    /// The user pressed Ctrl-C.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
            .hint("the same command goes on from where this one stopped")
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// There is nothing to work on: most likely the wrong directory.
pub(super) fn of_environments(error: &EnvironmentsError) -> CommandError {
    let kind = match error {
        EnvironmentsError::Missing { .. } | EnvironmentsError::Empty { .. } => Kind::Usage,
        EnvironmentsError::Unreadable { .. } => Kind::Failed,
    };
    CommandError::from_error(kind, error)
        .hint("run lotse in the repository of the platform, or name it with `-C DIR`")
}

/// A bring-up that could not go on: what was done, what was not, and the next command.
pub(super) fn of_bootstrap(error: &BootstrapError, command: &str) -> CommandError {
    let kind = match kind(&error.source) {
        Kind::Failed if error.changes > 0 => Kind::Partly,
        kind => kind,
    };
    let told = CommandError::from_error(kind, error);
    let told = match error.source.as_ref() {
        StageError::Preflight { failed, .. } => failed.iter().fold(told, with_check),
        other => other.advice().into_iter().fold(told, CommandError::hint),
    };
    let not_done = std::iter::once(format!("{} (failed)", error.stage))
        .chain(error.not_done().iter().map(ToString::to_string))
        .collect::<Vec<_>>()
        .join(", ");
    let done = if error.done.is_empty() {
        "nothing".to_owned()
    } else {
        list(&error.done)
    };
    told.hint(format!("done: {done}; not done: {not_done}"))
        .hint(format!("`{command}` goes on from here"))
}

/// A plan that could not be made: which system could not be compared, and why.
pub(super) fn of_plan(error: &BootstrapError) -> CommandError {
    let told = CommandError::from_error(kind(&error.source), error.source.as_ref());
    let told = match error.source.as_ref() {
        StageError::Preflight { failed, .. } => failed.iter().fold(told, with_check),
        other => other.advice().into_iter().fold(told, CommandError::hint),
    };
    told.hint("nothing was changed")
}

fn with_check(mut told: CommandError, check: &Check) -> CommandError {
    let CheckOutcome::Failed { problem, remedy } = &check.outcome else {
        return told;
    };
    told.causes
        .push(format!("not so: {} ({}): {problem}", check.name, check.id));
    if told.hints.contains(remedy) {
        return told;
    }
    told.hint(remedy.clone())
}

const fn kind(error: &StageError) -> Kind {
    match error {
        StageError::Preflight { .. } | StageError::Access { .. } => Kind::Checks,
        StageError::Login { .. }
        | StageError::Git(
            GitError::Authentication { .. } | GitError::Forge(ForgeError::Authentication { .. }),
        ) => Kind::Authentication,
        _ => Kind::Failed,
    }
}

fn list(stages: &[Stage]) -> String {
    stages
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::keycloak::KeycloakError;

    #[test]
    fn test_the_last_stage_leaves_nothing_undone_but_itself() {
        let error = BootstrapError {
            stage: Stage::Proof,
            done: Stage::ALL[..8].to_vec(),
            changes: 0,
            source: Box::new(StageError::Access {
                wrong: vec!["ada may not read".to_owned()],
            }),
        };
        let told = of_bootstrap(&error, "lotse bootstrap lab");
        assert_eq!(told.kind.exit(), Exit::Checks);
        assert_eq!(
            told.hints,
            [
                "done: preflight, stack, cluster, logins, git, flux, secrets, dns; not done: proof (failed)",
                "`lotse bootstrap lab` goes on from here",
            ]
        );
    }

    fn told(stage: Stage, source: StageError) -> CommandError {
        let position = Stage::ALL.iter().position(|each| *each == stage).unwrap();
        let error = BootstrapError {
            stage,
            done: Stage::ALL[..position].to_vec(),
            changes: 0,
            source: Box::new(source),
        };
        of_bootstrap(&error, "lotse bootstrap lab")
    }

    #[test]
    fn test_a_keycloak_that_stays_busy_is_told_with_what_was_done_and_the_next_command() {
        let busy = KeycloakError::Refused {
            request: "POST https://auth.example/admin/realms/scs/groups".to_owned(),
            status: 503,
            message: "no reason given".to_owned(),
        };
        let told = told(Stage::Logins, busy.into());
        assert_eq!(told.kind.exit(), Exit::Failed);
        assert_eq!(
            told.hints,
            [
                "Keycloak's log says why; it may be starting, or its database may be away",
                "done: preflight, stack, cluster; not done: logins (failed), git, flux, secrets, dns, proof",
                "`lotse bootstrap lab` goes on from here",
            ]
        );
    }

    #[test]
    fn test_a_token_of_the_forge_that_ran_out_is_a_matter_of_credentials() {
        let refused = ForgeError::Authentication {
            request: "GET https://forge.example/api/v1/repos/a/b/pulls/3".to_owned(),
            message: "token is expired".to_owned(),
        };
        let told = told(Stage::Git, GitError::Forge(refused).into());
        assert_eq!(told.kind.exit(), Exit::Authentication);
    }
}
