//! `lotse schema`: the form of declarations, for editors, and of plans, for programs.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use schemars::generate::SchemaSettings;

use super::exit::Exit;
use crate::bootstrap::EnvironmentPlan;
use crate::config::DeclarationKind;

/// Print the JSON Schema (draft-07) of a kind of declaration or of plans, or list all kinds
///
/// An editor with a language server for YAML completes and checks with it. What has to agree between files only
/// `lotse check` can say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  lotse schema                     the kinds, and where their declarations are
  lotse schema App > app.json      for a line on top of an app.yaml:
                                   # yaml-language-server: $schema=app.json")]
pub(super) struct SchemaArguments {
    /// Kind [default: list all]
    #[arg(value_name = "KIND", ignore_case = true)]
    kind: Option<Described>,
}

/// What there is a schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Described {
    Declaration(DeclarationKind),
    Plan,
}

impl ValueEnum for Described {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Declaration(DeclarationKind::App),
            Self::Declaration(DeclarationKind::AppOverride),
            Self::Declaration(DeclarationKind::Environment),
            Self::Declaration(DeclarationKind::People),
            Self::Plan,
        ]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Declaration(kind) => kind.as_str(),
            Self::Plan => "Plan",
        }))
    }
}

/// The schema of a plan as `lotse plan -o json` writes it.
#[must_use]
pub fn of_plan() -> serde_json::Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<EnvironmentPlan>().to_value()
}

/// Writes the schema.
pub(super) fn run(arguments: &SchemaArguments, out: &mut dyn Write) -> io::Result<Exit> {
    match arguments.kind {
        Some(Described::Declaration(kind)) => writeln!(out, "{:#}", kind.schema())?,
        Some(Described::Plan) => writeln!(out, "{:#}", of_plan())?,
        None => {
            for kind in DeclarationKind::ALL {
                writeln!(out, "{kind:11}  {}", kind.place())?;
            }
            writeln!(out, "{:11}  lotse plan -o json, lotse plan --out FILE", "Plan")?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_every_declaration_can_be_asked_for() {
        for kind in DeclarationKind::ALL {
            assert!(Described::value_variants().contains(&Described::Declaration(kind)));
        }
    }
}
