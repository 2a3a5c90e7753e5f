//! What a lab runs only when it is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a lab that not every lab has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// OpenStack's DNS service with Keystone, and PowerDNS as its name server.
    Designate,
}

impl Extra {
    /// As it is asked for on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Designate => "designate",
        }
    }
}

impl fmt::Display for Extra {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
