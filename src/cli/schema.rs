//! `lotse schema`: the form of declarations, for editors.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::exit::Exit;
use crate::config::DeclarationKind;

/// Print the JSON Schema (draft-07) of a kind of declaration, or list all kinds
///
/// An editor with a language server for YAML completes and checks with it. What has to agree between files only
/// `lotse check` can say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  lotse schema                     the kinds, and where their declarations are
  lotse schema App > app.json      for a line on top of an app.yaml:
                                   # yaml-language-server: $schema=app.json")]
pub(super) struct SchemaArguments {
    /// Kind of declaration [default: list all]
    #[arg(value_name = "KIND", ignore_case = true)]
    kind: Option<DeclarationKind>,
}

impl ValueEnum for DeclarationKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}

/// Writes the schema.
pub(super) fn run(arguments: &SchemaArguments, out: &mut dyn Write) -> io::Result<Exit> {
    match arguments.kind {
        Some(kind) => writeln!(out, "{:#}", kind.schema())?,
        None => {
            for kind in DeclarationKind::ALL {
                writeln!(out, "{kind:11}  {}", kind.place())?;
            }
        }
    }
    Ok(Exit::Done)
}
