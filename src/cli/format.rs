//! How commands write what they found: for people, or for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::config::yaml;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Yaml,
}

impl Format {
    /// Writes `value` to `output`; `as_text` is for people.
    pub(super) fn write<T: Serialize>(
        self,
        value: &T,
        as_text: impl FnOnce(&T) -> String,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        let text = match self {
            Self::Text => as_text(value),
            Self::Json => serde_json::to_string_pretty(value)? + "\n",
            Self::Yaml => yaml::to_text(value).map_err(io::Error::other)?,
        };
        output.write_all(text.as_bytes())
    }
}
