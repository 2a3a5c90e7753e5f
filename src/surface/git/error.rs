//! What can go wrong with the platform's repository.

use super::forge::ForgeError;
use super::program::Failure;

/// A repository that can't be read, planned or written.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The address carries a password.
    #[error("the address of the repository carries credentials; give user name and password separately")]
    CredentialsInAddress,
    /// The `git` program can't be started.
    #[error("git can't be started: is it installed? (`apt-get install git`)")]
    Program {
        /// What the system said.
        source: std::io::Error,
    },
    /// The cache directory can't be used.
    #[error("using the cache of the repository in {directory}")]
    Cache {
        /// Which directory.
        directory: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server wants other credentials.
    #[error("{url} does not accept these credentials: check user name and password or token ({said})")]
    Authentication {
        /// Which repository.
        url: String,
        /// What git said.
        said: String,
    },
    /// The credentials are good but not for this.
    #[error(
        "{action} is not allowed with these credentials at {url}: give their user the right to it ({said})"
    )]
    Forbidden {
        /// Which repository.
        url: String,
        /// What was tried.
        action: String,
        /// What git said.
        said: String,
    },
    /// No repository at this address, or none that these credentials may see.
    #[error("there is no repository at {url}, or these credentials may not see it ({said})")]
    NoSuchRepository {
        /// Which repository.
        url: String,
        /// What git said.
        said: String,
    },
    /// The server refuses pushes to the branch.
    #[error(
        "the branch {branch} of {url} is protected: allow this user to push, or use `mode: pull-request` ({said})"
    )]
    Protected {
        /// Which repository.
        url: String,
        /// Which branch.
        branch: String,
        /// What git said.
        said: String,
    },
    /// A hook of the server does not take the commit.
    #[error(
        "a hook of the server declines what was pushed to the branch {branch} of {url}: mend what it says, or have it let \
         this user push ({said})"
    )]
    Hook {
        /// Which repository.
        url: String,
        /// Which branch.
        branch: String,
        /// What the hook and git said.
        said: String,
    },
    /// The server answers that something is wrong with itself.
    #[error("the server of {url} has a fault of its own: its log says which ({said})")]
    Server {
        /// Which repository.
        url: String,
        /// What git said.
        said: String,
    },
    /// The server can't be reached.
    #[error("{url} can't be reached ({said})")]
    Network {
        /// Which repository.
        url: String,
        /// What git said.
        said: String,
    },
    /// The branch got new commits since it was looked at.
    #[error("the branch {branch} of {url} got new commits meanwhile: plan again")]
    Moved {
        /// Which repository.
        url: String,
        /// Which branch.
        branch: String,
    },
    /// Requests can only be made at a forge.
    #[error("{url} is not the address of a repository at a forge, such as https://HOST/OWNER/NAME.git")]
    NoForge {
        /// The address.
        url: String,
    },
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// There is nothing to bring a request to.
    #[error("there is no branch {branch} yet: push a first commit to it, a README for example")]
    NoBase {
        /// The branch.
        branch: String,
    },
    /// Somebody decided against what was proposed.
    #[error("{request} was closed without being merged")]
    Declined {
        /// The request and where it is.
        request: String,
    },
    /// Nobody merged it.
    #[error("{request} was not merged in time; the same command goes on waiting")]
    Unmerged {
        /// The request and where it is.
        request: String,
    },
    /// git failed in another way.
    #[error("{action} failed: {said}")]
    Git {
        /// What was being done.
        action: String,
        /// What git said.
        said: String,
    },
    /// The local copy can't be read or written.
    #[error("{action} in the local copy of the repository")]
    Local {
        /// What was being done.
        action: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// A file of the checkout can't be read.
    #[error("reading {path}")]
    ReadFile {
        /// Which file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A symbolic link would point out of the repository.
    #[error(
        "{path} is a symbolic link to {target}, which is not in the repository: put the file itself there"
    )]
    LinkOutside {
        /// Which link.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A path that can't be in a repository.
    #[error("`{path}` can't be a path in the repository: {reason}")]
    BadPath {
        /// The path.
        path: String,
        /// Why not.
        reason: &'static str,
    },
}

impl GitError {
    pub(super) fn local(action: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let action = action.into();
        move |source| Self::Local { action, source }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Server { .. } | Self::Moved { .. } => true,
            Self::Forge(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Puts what git said about `url` into words. git has no exit codes for these cases; the texts are those of
    /// `LC_ALL=C` and of the servers' answers that it passes on.
    pub(super) fn from_failure(url: &str, branch: &str, failure: &Failure) -> Self {
        let said = failure.said();
        let (url, branch, action) = (url.to_owned(), branch.to_owned(), failure.action.clone());
        match Fault::of(&said) {
            Fault::Authentication => Self::Authentication { url, said },
            Fault::Forbidden => Self::Forbidden { url, action, said },
            Fault::NoSuchRepository => Self::NoSuchRepository { url, said },
            Fault::Protected => Self::Protected { url, branch, said },
            Fault::Hook => Self::Hook { url, branch, said },
            Fault::Server => Self::Server { url, said },
            Fault::Moved => Self::Moved { url, branch },
            Fault::Network => Self::Network { url, said },
            Fault::Other => Self::Git { action, said },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Authentication,
    Forbidden,
    NoSuchRepository,
    Protected,
    Hook,
    Moved,
    Server,
    Network,
    Other,
}

/// First match wins: a protected branch is also one where a hook declines, a failed login also "unable to access".
const SIGNS: [(Fault, &[&str]); 8] = [
    (
        Fault::Moved,
        &[
            "non-fast-forward",
            "fetch first",
            "stale info",
            "but expected",
            "reference already exists",
            "failed to update ref",
        ],
    ),
    (
        Fault::Protected,
        &[
            "protected branch",
            "GH006",
            "GH013",
            "not allowed to push code to protected",
            "not allowed to push to",
        ],
    ),
    (Fault::Hook, &["hook declined"]),
    (
        Fault::Authentication,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied (publickey",
            "returned error: 401",
            "HTTP Basic: Access denied",
        ],
    ),
    (
        Fault::Forbidden,
        &["returned error: 403", "denied to", "Permission to"],
    ),
    (
        Fault::NoSuchRepository,
        &[
            "Repository not found",
            "repository not found",
            "' not found",
            "does not appear to be a git repository",
            "returned error: 404",
            "Cannot find repository",
            "is this a git repository",
        ],
    ),
    (Fault::Server, &["returned error: 5"]),
    (
        Fault::Network,
        &[
            "Could not resolve host",
            "Failed to connect",
            "Couldn't connect",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Operation timed out",
            "unable to access",
            "early EOF",
            "the remote end hung up unexpectedly",
            "Network is unreachable",
        ],
    ),
];

impl Fault {
    fn of(said: &str) -> Self {
        SIGNS
            .iter()
            .find(|(_, signs)| signs.iter().any(|sign| said.contains(sign)))
            .map_or(Self::Other, |(fault, _)| *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_faults_are_told_apart() {
        for (said, fault) in [
            (
                "fatal: Authentication failed for 'https://a/b.git/'",
                Fault::Authentication,
            ),
            (
                "fatal: unable to access 'http://a/': The requested URL returned error: 403",
                Fault::Forbidden,
            ),
            (
                "fatal: repository 'http://a/b/' not found",
                Fault::NoSuchRepository,
            ),
            (
                "Gitea: Not allowed to push to protected branch main; ! [remote rejected] x -> main (pre-receive hook declined)",
                Fault::Protected,
            ),
            (
                "! [remote rejected] x -> main (update hook declined)",
                Fault::Hook,
            ),
            (
                "fatal: unable to access 'http://a/': The requested URL returned error: 502",
                Fault::Server,
            ),
            ("! [rejected] x -> main (fetch first)", Fault::Moved),
            (
                "fatal: unable to access 'http://a/': Failed to connect to a port 1",
                Fault::Network,
            ),
            ("fatal: something new", Fault::Other),
        ] {
            assert_eq!(Fault::of(said), fault, "{said}");
        }
    }
}
