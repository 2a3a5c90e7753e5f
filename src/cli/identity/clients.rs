//! Clients of applications, as they are named on the command line.

use super::super::{CommandError, Kind};
use crate::config::{Declarations, LoginClient};
use crate::desired::identity::{Client, ClientKind, Realm};
use crate::diag::did_you_mean;
use crate::names::AppName;

/// The clients that are `named`; all confidential ones that `are_meant` where none is.
///
/// # Errors
/// A name that no application has.
pub(super) fn chosen<'realm>(
    realm: &'realm Realm,
    named: &[String],
    are_meant: impl Fn(&Client) -> bool,
) -> Result<Vec<&'realm Client>, CommandError> {
    let confidential: Vec<&Client> = realm
        .clients
        .iter()
        .filter(|client| !matches!(client.kind, ClientKind::Public))
        .collect();
    if named.is_empty() {
        return Ok(confidential
            .into_iter()
            .filter(|client| are_meant(client))
            .collect());
    }
    let mut chosen = Vec::new();
    for name in named {
        let Some(client) = confidential.iter().find(|client| client.client_id == *name) else {
            return Err(unknown(name, &confidential));
        };
        chosen.push(*client);
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

fn unknown(name: &str, there: &[&Client]) -> CommandError {
    let known: Vec<&str> = there.iter().map(|client| client.client_id.as_str()).collect();
    let message = format!("no application has a client `{name}` with a secret");
    let told = CommandError::new(Kind::Usage, message);
    match did_you_mean(name, known.iter().copied()) {
        Some(near) => told.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => told.hint("`login` in app.yaml declares one"),
        None => told.hint(format!("there are: {}", known.join(", "))),
    }
}

/// The application that declares `client`, and the declaration.
pub(super) fn declared<'declarations>(
    declarations: &'declarations Declarations,
    client: &str,
) -> Option<(&'declarations AppName, &'declarations LoginClient)> {
    declarations.apps.iter().find_map(|app| {
        let login = app.login.iter().find(|login| login.client == client)?;
        Some((&app.name, login))
    })
}
