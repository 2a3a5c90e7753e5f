//! Ways to rights that no declaration gives, and that are not lotse's to close: only told. Pure.

use serde_json::Value;

use super::object::{Object, Relation};
use super::observe::ObservedRealm;
use super::plan::left_out;
use super::wanted::{GROUPS_SCOPE, PUBLIC_SCOPES, Wanted};
use crate::desired::KUBECTL_CLIENT;

/// What the API server reads of a token.
const CLAIMS: [&str; 2] = ["preferred_username", GROUPS_SCOPE];
/// The mappers that write these as they should be: scope, mapper.
const OWN_MAPPERS: [(&str, &str); 2] = [("profile", "username"), (GROUPS_SCOPE, GROUPS_SCOPE)];

/// One sentence for each, with what to do about it.
#[must_use]
pub fn loopholes(wanted: &Wanted<'_>, observed: &ObservedRealm) -> Vec<String> {
    let left_out = left_out(wanted, observed);
    let left_out = left_out
        .iter()
        .map(|conflict| format!("{conflict}; until then they have no rights"));
    let namesakes = observed.namesakes.iter().map(|path| {
        format!(
            "the group {path} has the name of one of ours, and tokens don't tell them apart: rename or remove it in Keycloak"
        )
    });
    let mappers = observed
        .objects
        .iter()
        .filter(|(object, fields)| is_foreign_mapper(object, fields));
    let mappers = mappers.map(|(object, _)| {
        format!(
            "{object} is not declared, and changes what tokens for the API server say of people: remove it in Keycloak"
        )
    });
    let scopes = observed
        .relations
        .iter()
        .filter(|relation| is_foreign_scope(relation));
    let scopes = scopes.map(|relation| {
        format!("{relation} is not declared, and adds to tokens for the API server: take it away in Keycloak")
    });
    left_out.chain(namesakes).chain(mappers).chain(scopes).collect()
}

/// A mapper of kubectl's client, of which none is declared, or one in its scopes that writes who somebody is.
fn is_foreign_mapper(object: &Object, fields: &Value) -> bool {
    match object {
        Object::ClientMapper { client, .. } => client == KUBECTL_CLIENT,
        Object::ScopeMapper { scope, mapper } => {
            let claim = fields["config"]["claim.name"].as_str().unwrap_or_default();
            let is_read = PUBLIC_SCOPES.contains(&scope.as_str()) && CLAIMS.contains(&claim);
            is_read && !is_as_it_should_be((scope, mapper), fields)
        }
        _ => false,
    }
}

fn is_as_it_should_be(names: (&str, &str), fields: &Value) -> bool {
    let config = &fields["config"];
    OWN_MAPPERS.contains(&names)
        && (names.0 == GROUPS_SCOPE
            || fields["protocolMapper"] == "oidc-usermodel-attribute-mapper"
                && config["user.attribute"] == "username")
}

fn is_foreign_scope(relation: &Relation) -> bool {
    match relation {
        Relation::DefaultScope { client, scope } => {
            client == KUBECTL_CLIENT && !PUBLIC_SCOPES.contains(&scope.as_str())
        }
        _ => false,
    }
}
