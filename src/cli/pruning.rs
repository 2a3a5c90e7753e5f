//! `--prune`: whether what is no longer declared is deleted.

use clap::Args;

/// Whether what is no longer declared is deleted
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PruningArguments {
    /// Delete groups, clients and roles of the realm and records of the zone that lotse made and that are no longer declared,
    /// and take members out of its groups whom somebody put there by hand; all is kept in a file before
    #[arg(long)]
    prune: bool,
    /// Refuse to remove more than so many, in either system
    #[arg(long, value_name = "NUMBER", default_value_t = 5, requires = "prune")]
    prune_limit: usize,
}

impl PruningArguments {
    /// As it was given on the command line.
    pub(super) fn words(self) -> Option<String> {
        self.limit()
            .map(|limit| format!(" --prune --prune-limit {limit}"))
    }

    /// How many may be deleted; none without `--prune`.
    pub(super) fn limit(self) -> Option<usize> {
        self.prune.then_some(self.prune_limit)
    }
}
