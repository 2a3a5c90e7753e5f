//! Trees to declarations: every problem is reported, and reading goes on after it.

mod access;
mod app;
mod cluster;
mod environment;
mod fields;
mod git;
mod identity;
mod limits;
mod login;
mod network;
mod people;
mod scalar;
mod source;

pub(super) use app::{Context, Parts, Platform, app, app_override, keys};
pub(super) use environment::environment;
pub(super) use fields::{Findings, Mention, Mentioned, suggestion};
pub(super) use people::people;

use fields::Fields;

/// `apiVersion` of everything lotse reads.
pub(super) const API_VERSION: &str = "lotse/v1";

/// Takes `apiVersion` and `kind` and says when they are others.
fn check_kind(fields: &mut Fields<'_, '_, '_>, kind: &str) {
    for (key, wanted) in [("apiVersion", API_VERSION), ("kind", kind)] {
        fields.required(key, |node, findings| {
            let found = scalar::text(node, findings)?;
            if found != wanted {
                let message = format!("`{key}` is `{found}` where `{wanted}` belongs");
                findings.report(crate::diag::Code::WrongKind, node.span, message);
            }
            Some(())
        });
    }
}
