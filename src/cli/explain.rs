//! `lotse explain`: what a code means.

use std::io::{self, Write};

use clap::Args;

use super::exit::Exit;
use crate::diag::Code;

/// Explain a code of `lotse check`, or list all codes
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Code to explain, such as E0204 [default: list all]
    #[arg(value_name = "CODE")]
    pub code: Option<Code>,
}

/// Writes the explanation.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> io::Result<Exit> {
    match args.code {
        Some(code) => writeln!(out, "{code}: {}\n\n{}", code.title(), code.explanation())?,
        None => {
            for code in Code::ALL {
                writeln!(out, "{code}  {}", code.title())?;
            }
        }
    }
    Ok(Exit::Done)
}
