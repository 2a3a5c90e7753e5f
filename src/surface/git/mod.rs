//! Git: the platform's repository and its branch.
//!
//! The local copy is a cache: bare, without a work tree, and made anew when it is damaged. Reading and building trees
//! is done in the program; talking to the server and committing by the `git` program, which brings the user's proxies,
//! certificates, SSH and signing.

mod branch;
mod cache;
pub mod deploy_key;
mod error;
mod files;
mod forge;
mod person;
mod plan;
mod program;
mod proposal;

use std::fmt;

pub use branch::{Branch, Published, Repository};
pub use cache::Edited;
pub use error::GitError;
pub use files::{Content, DesiredFile, DesiredFiles, read_checkout};
pub use forge::{Forge, ForgeError};
pub use person::email;
pub use plan::{GitOperation, ObservedBranch, plan};
pub use proposal::Proposal;

/// A commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitId(git2::Oid);

impl CommitId {
    /// The first seven characters, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(7).collect()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
