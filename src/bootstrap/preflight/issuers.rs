//! Issuers beside the realm: an API server takes none of them up where it can't take one.

use std::collections::BTreeSet;

use super::check::{Check, CheckId};
use crate::bootstrap::Bootstrap;
use crate::causes;
use crate::surface::issuer;

/// Whether all declared issuers can be taken up, where any are declared.
pub(super) async fn look(bootstrap: &Bootstrap<'_>) -> Option<Check> {
    let identity = &bootstrap.environment.identity;
    if identity.other_issuers.is_empty() {
        return None;
    }
    let mut problems = Vec::new();
    let mut seen = BTreeSet::from([identity.issuer()]);
    for other in &identity.other_issuers {
        if !seen.insert(other.url.clone()) {
            problems.push(format!("the issuer `{}` is declared twice", other.url));
            continue;
        }
        let authority = match other.certificate_authority.as_deref().map(fs_err::read_to_string) {
            Some(Err(error)) => {
                problems.push(error.to_string());
                continue;
            }
            Some(Ok(pem)) => Some(pem),
            None => None,
        };
        if let Err(error) = issuer::check(&other.url, authority.as_deref()).await {
            problems.push(causes::in_one_line(&error));
        }
    }
    let id = CheckId::OtherIssuers;
    if problems.is_empty() {
        return Some(Check::passed(id));
    }
    Some(Check::failed(
        id,
        problems.join("; "),
        "correct identity.otherIssuers in environment.yaml, or take it out: with one issuer that does not answer an API server \
         takes up none of a new list. Where only the API server reaches it, leave this check out with --skip other-issuers",
    ))
}
