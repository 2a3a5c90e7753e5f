//! `identity` in `environment.yaml`.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::fields::{Fields, Findings, list, mapping};
use super::scalar::{malformed, name, secret, setting, text, url_setting, word};
use crate::config::environment::{Admin, Administrator, GitHub, Identity, OtherIssuer, Sessions};
use crate::config::setting::Setting;
use crate::config::tree::Node;
use crate::diag::Code;

/// Schemes of an address that a program talks to.
const WEB: &[&str] = &["https", "http"];
/// Shortest and longest times that make sense for a login, in seconds.
const MINUTE: u32 = 60;
const YEAR: u32 = 365 * 24 * 60 * 60;

pub(super) fn identity(node: &Node, findings: &mut Findings<'_>) -> Option<Identity> {
    mapping(node, findings, |fields| {
        let url = fields.required("url", |node, findings| url_setting(node, findings, &["https"]));
        let realm = fields.required("realm", realm);
        let certificate_authority = fields.optional("certificateAuthority", setting);
        let admin = fields.required("admin", admin);
        let github = fields.required("github", github);
        let sessions = fields.optional("sessions", sessions);
        let client_secret_grace = fields.optional("clientSecretGrace", span);
        let required_actions =
            fields.optional("requiredActions", |node, findings| list(node, findings, text));
        let own = match (&url, &realm) {
            (Some(Setting::Literal(url)), Some(realm)) => {
                Some(format!("{}/realms/{realm}", url.trim_end_matches('/')))
            }
            _ => None,
        };
        let other_issuers = fields.optional("otherIssuers", |node, findings| {
            other_issuers(node, findings, own.as_deref())
        });
        Some(Identity {
            url: url?,
            realm: realm?,
            certificate_authority,
            admin: admin?,
            github: github?,
            sessions: sessions.unwrap_or_default(),
            client_secret_grace,
            required_actions,
            other_issuers: other_issuers.unwrap_or_default(),
        })
    })
}

/// Everything of the realm is declared, and `master` is whose accounts administer all others.
fn realm(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let realm = word(node, findings)?;
    if realm == "master" {
        let message = "the realm `master` is Keycloak's own";
        findings.report(Code::ReservedName, node.span, message).help =
            Some("name a realm of its own: it is made where it is not there".into());
    }
    Some(realm)
}

/// Each shorter than the next: what is longer would never come to its end.
fn sessions(node: &Node, findings: &mut Findings<'_>) -> Option<Sessions> {
    let sessions = mapping(node, findings, |fields| {
        Some(Sessions {
            token: fields.optional("token", span),
            idle: fields.optional("idle", span),
            longest: fields.optional("longest", span),
        })
    })?;
    let declared = [
        ("token", sessions.token),
        ("idle", sessions.idle),
        ("longest", sessions.longest),
    ];
    let declared: Vec<(&str, u32)> = declared
        .into_iter()
        .filter_map(|(name, seconds)| Some((name, seconds?)))
        .collect();
    for pair in declared.windows(2) {
        let [(shorter, before), (longer, after)] = pair else {
            continue;
        };
        if before > after {
            let message = format!("`{shorter}` is longer than `{longer}`, which ends it before");
            return malformed(node, findings, &message);
        }
    }
    Some(sessions)
}

/// A time in seconds, written as `5m`.
fn span(node: &Node, findings: &mut Findings<'_>) -> Option<u32> {
    let written = text(node, findings)?;
    let seconds = written.parse::<SignedDuration>().ok();
    let seconds = seconds.and_then(|span| u32::try_from(span.as_secs()).ok());
    let seconds = seconds.filter(|seconds| (MINUTE..=YEAR).contains(seconds));
    if seconds.is_none() {
        return malformed(
            node,
            findings,
            "a time between a minute and a year belongs here, such as 5m, 30m or 10h",
        );
    }
    seconds
}

/// The API server takes each issuer once.
fn other_issuers(node: &Node, findings: &mut Findings<'_>, realm: Option<&str>) -> Option<Vec<OtherIssuer>> {
    let issuers = list(node, findings, other_issuer)?;
    let mut seen: BTreeSet<&str> = realm.into_iter().collect();
    for issuer in &issuers {
        if let Setting::Literal(url) = &issuer.url
            && !seen.insert(url)
        {
            let message = format!("the issuer `{url}` is accepted already");
            findings.report(Code::Repeated, node.span, message);
        }
    }
    Some(issuers)
}

fn other_issuer(node: &Node, findings: &mut Findings<'_>) -> Option<OtherIssuer> {
    mapping(node, findings, |fields| {
        let url = fields.required("url", issuer_url);
        let certificate_authority = fields.optional("certificateAuthority", setting);
        let client_id = fields.required("clientId", setting);
        let username_claim = fields.optional("usernameClaim", text);
        let groups_claim = fields.optional("groupsClaim", text);
        let prefix = fields.optional("prefix", prefix);
        Some(OtherIssuer {
            url: url?,
            certificate_authority,
            client_id: client_id?,
            username_claim: username_claim.unwrap_or_else(|| "preferred_username".to_owned()),
            groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()),
            prefix,
        })
    })
}

fn issuer_url(node: &Node, findings: &mut Findings<'_>) -> Option<Setting> {
    let url = url_setting(node, findings, &["https"])?;
    if let Setting::Literal(written) = &url
        && written.contains(['?', '#'])
    {
        return malformed(
            node,
            findings,
            "the address of an issuer has neither ? nor # in it",
        );
    }
    Some(url)
}

/// What is put before names: with `system:` it would make Kubernetes' own ones.
fn prefix(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let prefix = text(node, findings)?;
    if "system:".starts_with(&prefix) || prefix.starts_with("system:") {
        let message =
            format!("with `{prefix}` an issuer could give Kubernetes' own names, which begin with system:");
        return malformed(node, findings, &message);
    }
    Some(prefix)
}

fn admin(node: &Node, findings: &mut Findings<'_>) -> Option<Admin> {
    mapping(node, findings, |fields| {
        if !fields.has("clientId") {
            return administrator_fields(fields).map(Admin::User);
        }
        let client_id = fields.required("clientId", setting);
        let client_secret = fields.required("clientSecret", secret);
        let bootstrap = fields.optional("bootstrap", |node, findings| {
            mapping(node, findings, administrator_fields)
        });
        Some(Admin::Account {
            client_id: client_id?,
            client_secret: client_secret?,
            bootstrap,
        })
    })
}

fn administrator_fields(fields: &mut Fields<'_, '_, '_>) -> Option<Administrator> {
    let username = fields.required("username", setting);
    let password = fields.required("password", secret);
    Some(Administrator {
        username: username?,
        password: password?,
    })
}

fn github(node: &Node, findings: &mut Findings<'_>) -> Option<GitHub> {
    mapping(node, findings, |fields| {
        let organisation = fields.required("organisation", name);
        let client_id = fields.required("clientId", setting);
        let client_secret = fields.required("clientSecret", secret);
        let url = optional_url(fields, "url");
        let api_url = optional_url(fields, "apiUrl");
        Some(GitHub {
            organisation: organisation?,
            client_id: client_id?,
            client_secret: client_secret?,
            url,
            api_url,
        })
    })
}

fn optional_url(fields: &mut Fields<'_, '_, '_>, key: &'static str) -> Option<Setting> {
    fields.optional(key, |node, findings| url_setting(node, findings, WEB))
}
