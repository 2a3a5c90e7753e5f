//! OIDC clients of an application.

use std::collections::{BTreeMap, BTreeSet};

use handlebars::Handlebars;
use serde_json::json;
use url::Url;

use super::access::team;
use super::app::Context;
use super::fields::{Findings, Mentioned, list, mapping, not_empty, unique};
use super::scalar::{LONGEST_IN_KEYCLOAK, choice, formed, malformed, name, text};
use crate::config::app::{Delivery, LoginClient, RoleHolders};
use crate::config::tree::{Node, Value};
use crate::diag::Code;
use crate::names::{DomainName, is_hidden};

/// The client that people log in to the cluster with, and Keycloak's own.
const RESERVED_CLIENTS: [&str; 7] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "kubectl",
    "realm-management",
    "security-admin-console",
];

pub(super) fn login(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
) -> Option<Vec<LoginClient>> {
    let clients = list(node, findings, |item, findings| {
        Some((item.span, client(item, findings, context)?))
    })?;
    let mut secrets = BTreeSet::new();
    for (span, client) in &clients {
        if !secrets.insert(&client.secret) {
            let message = format!("Secret `{}` receives another client already", client.secret);
            findings.report(Code::SecretTaken, *span, message);
        }
    }
    Some(clients.into_iter().map(|(_, client)| client).collect())
}

fn client(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<LoginClient> {
    mapping(node, findings, |fields| {
        let client = fields.required("client", client_id);
        let redirect_uris = fields.required("redirectUris", |node, findings| {
            let uris = unique(node, findings, |item, findings| {
                redirect_uri(item, findings, context)
            })?;
            not_empty(node, findings, &uris);
            Some(uris)
        });
        let secret = fields.required("secret", name::<DomainName>);
        let delivery = fields.optional("delivery", |node, findings| {
            choice(
                node,
                findings,
                &[("cluster", Delivery::Cluster), ("git", Delivery::Git)],
            )
        });
        let roles = fields.optional("roles", |node, findings| client_roles(node, findings, context));
        Some(LoginClient {
            client: client?,
            redirect_uris: redirect_uris?,
            secret: secret?.to_string(),
            delivery: delivery.unwrap_or_default(),
            roles: roles.unwrap_or_default(),
        })
    })
}

fn client_id(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let is_right = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let client = formed(
        node,
        findings,
        is_right,
        "a client id of letters, digits, dots, hyphens, underscores",
    )?;
    if RESERVED_CLIENTS.contains(&client.as_str()) {
        let message = format!("client id `{client}` belongs to the platform or to Keycloak");
        findings.report(Code::ClientTaken, node.span, message);
    }
    findings.mention(Mentioned::Client, &client, node.span);
    Some(client)
}

fn redirect_uri(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<String> {
    let written = text(node, findings)?;
    let domain = context
        .platform
        .map_or("unknown.invalid", |platform| platform.environment.domain.as_str());
    let uri = match fill_in(&written, domain) {
        Ok(uri) => uri,
        Err(reason) => {
            findings.report(
                Code::BadTemplate,
                node.span,
                format!("`{written}` can't be filled in: {reason}"),
            );
            return None;
        }
    };
    if is_redirect_uri(&uri) {
        mention_host(&uri, node, findings);
        return Some(uri);
    }
    malformed(
        node,
        findings,
        &format!("`{uri}` is not an address with https:// (or http:// at localhost)"),
    )
}

/// Fills `{{domain}}` in; anything else in braces is refused.
fn fill_in(template: &str, domain: &str) -> Result<String, String> {
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.register_escape_fn(handlebars::no_escape);
    handlebars
        .render_template(template, &json!({ "domain": domain }))
        .map_err(|error| match error.reason() {
            handlebars::RenderErrorReason::MissingVariable(Some(name)) => {
                format!("`{name}` is not known, only `domain` is")
            }
            _ => "the braces do not match `{{domain}}`".to_owned(),
        })
}

/// A login that returns to another machine must return to a host of the application.
fn mention_host(uri: &str, node: &Node, findings: &mut Findings<'_>) {
    if let Ok(url) = Url::parse(uri)
        && let Some(host) = url.host_str().filter(|_| !is_local(&url))
    {
        findings.mention(Mentioned::Redirect, host, node.span);
    }
}

fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn is_redirect_uri(uri: &str) -> bool {
    let is_plain = uri.starts_with("https://") || uri.starts_with("http://");
    let fits = uri.chars().count() <= LONGEST_IN_KEYCLOAK;
    let is_taken = |character: char| !character.is_whitespace() && character != '\\' && !is_hidden(character);
    if !is_plain || !fits || !uri.chars().all(is_taken) || !is_well_escaped(uri) {
        return false;
    }
    Url::parse(uri).is_ok_and(|url| {
        url.has_host()
            && url.fragment().is_none()
            && (url.scheme() == "https" || url.scheme() == "http" && is_local(&url))
    })
}

/// Whether each `%` begins an octet.
fn is_well_escaped(uri: &str) -> bool {
    uri.split('%').skip(1).all(|rest| {
        let octet = rest.as_bytes().get(..2);
        octet.is_some_and(|octet| octet.iter().all(u8::is_ascii_hexdigit))
    })
}

/// What is a part of an address at Keycloak, and of a claim.
fn is_role(name: &str) -> bool {
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    begins_well
        && name.len() <= LONGEST_ROLE
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

const LONGEST_ROLE: usize = 64;

fn client_roles(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
) -> Option<BTreeMap<String, RoleHolders>> {
    let Value::Map(fields) = &node.value else {
        findings.wrong_type(node, "a mapping");
        return None;
    };
    let mut roles = BTreeMap::new();
    for (key, value) in fields {
        let Some(holders) = role_holders(value, findings, context) else {
            continue;
        };
        if !is_role(&key.name) {
            let message = format!(
                "`{}` is not a role: up to {LONGEST_ROLE} letters, digits, dots, hyphens, underscores",
                key.name
            );
            findings.report(Code::Malformed, key.span, message);
            continue;
        }
        if roles.insert(key.name.clone(), holders).is_some() {
            findings.report(
                Code::DuplicateKey,
                key.span,
                format!("`{}` is written twice", key.name),
            );
        }
    }
    Some(roles)
}

fn role_holders(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<RoleHolders> {
    let is_every_team = |item: &Node| item.value == Value::Text("*".into());
    match &node.value {
        Value::List(items) if items.len() == 1 && is_every_team(&items[0]) => Some(RoleHolders::EveryTeam),
        _ => unique(node, findings, |item, findings| team(item, findings, context)).map(RoleHolders::Teams),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_templates_know_the_domain_only() {
        assert_eq!(
            fill_in("https://a.{{domain}}/b", "x.test").unwrap(),
            "https://a.x.test/b"
        );
        assert_eq!(
            fill_in("{{dmain}}", "x").unwrap_err(),
            "`dmain` is not known, only `domain` is"
        );
        assert!(fill_in("{{domain", "x").is_err());
    }

    #[test]
    fn test_roles_are_parts_of_addresses() {
        for right in ["admin", "Admin", "a.b-c_d", "1"] {
            assert!(is_role(right), "{right}");
        }
        for wrong in ["", ".", "..", "x;y", "a/b", "a b", "-a", &"x".repeat(65)] {
            assert!(!is_role(wrong), "{wrong}");
        }
    }

    #[test]
    fn test_redirects_are_https_or_local() {
        for right in ["https://a.b/c", "http://localhost:8000", "http://127.0.0.1/x"] {
            assert!(is_redirect_uri(right), "{right}");
        }
        for wrong in [
            "http://a.b/c",
            "https://a.b/#x",
            "ftp://a.b",
            "a.b",
            "javascript:alert(1)",
            "https:a.b/c",
            "https://a.b/c d",
            " https://a.b",
            "https://a.b/\\c",
            "https://a.b/%zz",
            "https://a.b/\u{202e}",
            &format!("https://a.b/{}", "c".repeat(244)),
        ] {
            assert!(!is_redirect_uri(wrong), "{wrong}");
        }
    }
}
