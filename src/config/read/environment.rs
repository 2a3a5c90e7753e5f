//! `environment.yaml`.

use std::collections::BTreeSet;

use super::access::known_team;
use super::check_kind;
use super::cluster::{cluster, is_version};
use super::fields::{Findings, list, mapping, unique};
use super::git::git;
use super::identity::identity;
use super::scalar::{
    address, age_recipient, check_url, choice, formed, inner_path, malformed, name, number, secret, setting,
    text, word,
};
use crate::config::environment::{
    Acme, Challenge, Dns, DnsProvider, Encryption, Environment, Flux, FluxInstall, Gateway, Management,
    Rfc2136, Signer, TsigAlgorithm, TsigKey,
};
use crate::config::mend::{scalar, suggest};
use crate::config::people::Team;
use crate::config::tree::Node;
use crate::diag::{Certainty, Code, Span, did_you_mean};
use crate::names::{AppName, DomainName, EnvironmentName, NamespaceName};

/// Time to live of records that say nothing of it, seconds: short enough to move a load balancer within minutes.
const STANDARD_TTL: u32 = 300;
/// Directory of Let's Encrypt (letsencrypt.org/docs/acme-protocol-updates).
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Longest time to live, seconds.
const LONGEST_TTL: u32 = 86_400;

/// Reads the file of the environment in `folder`. `apps` are the applications that there are, `teams` those of people.yaml
/// where that can be read.
pub(in crate::config) fn environment(
    node: &Node,
    findings: &mut Findings<'_>,
    folder: &EnvironmentName,
    (apps, teams): (&BTreeSet<String>, Option<&[Team]>),
) -> Option<Environment> {
    mapping(node, findings, |fields| {
        check_kind(fields, "Environment");
        let own_name = fields.required("name", |node, findings| {
            same_as_folder(node, findings, folder.as_str())
        });
        fields.optional("extends", text);
        let lab = fields.optional("lab", name);
        let domain = fields.required("domain", |node, findings| {
            Some((node.span, name::<DomainName>(node, findings)?))
        });
        let management = fields.required("management", management);
        let cluster = fields.required("cluster", cluster);
        let git = fields.required("git", |node, findings| git(node, findings, folder));
        let flux = fields.required("flux", flux);
        let identity = fields.required("identity", identity);
        let dns = fields.required("dns", dns);
        let roles = fields.optional("roles", |node, findings| unique(node, findings, text));
        let gateway = fields.optional("gateway", |node, findings| {
            Some((node.span, gateway(node, findings)?))
        });
        let encryption = fields.optional("secrets", |node, findings| encryption(node, findings, teams));
        let listed = fields.required("apps", |node, findings| listed_apps(node, findings, apps));
        let cluster_wide = fields.optional("clusterWide", |node, findings| {
            cluster_wide(node, findings, listed.as_deref().unwrap_or_default())
        });
        let ((span, domain), dns) = (domain?, dns?);
        check_zone(fields.findings, span, &domain, &dns.zone);
        if let Some((span, gateway)) = &gateway {
            check_challenge(fields.findings, *span, gateway, &dns.provider);
        }
        let mut cluster = cluster?;
        let mut own = dns.api_server.iter().map(ToString::to_string);
        if let Some(own) = own.find(|own| !cluster.cert_sans.contains(own)) {
            cluster.cert_sans.insert(0, own);
        }
        own_name?;
        Some(Environment {
            name: folder.clone(),
            lab,
            domain,
            management: management?,
            cluster,
            git: git?,
            flux: flux?,
            identity: identity?,
            dns,
            roles: roles.unwrap_or_default(),
            gateway: gateway.map(|(_, gateway)| gateway),
            encryption,
            cluster_wide: cluster_wide.unwrap_or_default(),
            apps: listed?,
        })
    })
}

/// Says when `name` is not the name of the folder.
pub(super) fn same_as_folder(node: &Node, findings: &mut Findings<'_>, folder: &str) -> Option<()> {
    let written = text(node, findings)?;
    if written != folder {
        let message = format!("`{written}` is declared in the folder `{folder}`");
        let diagnostic = findings.report(Code::WrongFolder, node.span, message);
        diagnostic.help = Some(format!("write `name: {folder}`"));
        diagnostic.mend(scalar(folder), Certainty::Certain);
    }
    Some(())
}

fn check_zone(findings: &mut Findings<'_>, span: crate::diag::Span, domain: &DomainName, zone: &DomainName) {
    let is_inside = domain == zone
        || domain
            .as_str()
            .strip_suffix(zone.as_str())
            .is_some_and(|rest| rest.ends_with('.'));
    if !is_inside {
        let message = format!("`{domain}` is not in the zone `{zone}` of `dns.zone`");
        findings.report(Code::DomainOutsideZone, span, message);
    }
}

fn listed_apps(node: &Node, findings: &mut Findings<'_>, apps: &BTreeSet<String>) -> Option<Vec<AppName>> {
    unique(node, findings, |item, findings| {
        let app = name::<AppName>(item, findings)?;
        if apps.contains(app.as_str()) {
            return Some(app);
        }
        let message = format!("application `{app}` has no folder under apps/");
        let diagnostic = findings.report(Code::UnknownApp, item.span, message);
        let known = apps.iter().map(String::as_str);
        suggest(diagnostic, app.as_str(), known.clone(), Certainty::Guess);
        if did_you_mean(app.as_str(), known).is_none() {
            diagnostic.help = Some(format!(
                "`lotse app new {app}` begins it; remove the line if the application is gone"
            ));
        }
        None
    })
}

/// Applications of the environment.
fn cluster_wide(node: &Node, findings: &mut Findings<'_>, listed: &[AppName]) -> Option<Vec<AppName>> {
    unique(node, findings, |item, findings| {
        let app = name::<AppName>(item, findings)?;
        if listed.contains(&app) {
            return Some(app);
        }
        let message = format!("application `{app}` does not run in this environment");
        let diagnostic = findings.report(Code::UnknownApp, item.span, message);
        let known = listed.iter().map(AppName::as_str);
        suggest(diagnostic, app.as_str(), known, Certainty::Guess);
        None
    })
}

fn gateway(node: &Node, findings: &mut Findings<'_>) -> Option<Gateway> {
    mapping(node, findings, |fields| {
        let class = fields.required("class", word);
        let signer = if fields.has("acme") {
            fields.refuse("issuer", "`acme` has an issuer of its own");
            fields.required("acme", acme).map(Signer::Acme)
        } else {
            fields.required("issuer", word).map(Signer::ClusterIssuer)
        };
        Some(Gateway {
            class: class?,
            signer: signer?,
        })
    })
}

/// What cert-manager can do at a provider without help (cert-manager.io, "ACME DNS01").
fn check_challenge(findings: &mut Findings<'_>, span: Span, gateway: &Gateway, provider: &DnsProvider) {
    let Signer::Acme(Acme {
        challenge: Challenge::Dns01,
        ..
    }) = &gateway.signer
    else {
        return;
    };
    let message = match provider {
        DnsProvider::Designate { .. } => "cert-manager writes records at Designate by a webhook only",
        DnsProvider::Rfc2136(rfc2136) if rfc2136.key.algorithm == TsigAlgorithm::HmacSha384 => {
            "cert-manager signs with hmac-sha256 and hmac-sha512, and not with hmac-sha384"
        }
        DnsProvider::Rfc2136(_) => return,
    };
    findings.report(Code::UnfitChallenge, span, message).help = Some(
        "name `acme.webhook: {groupName: ..., solverName: ...}`, or take `challenge: http-01`".to_owned(),
    );
}

fn acme(node: &Node, findings: &mut Findings<'_>) -> Option<Acme> {
    mapping(node, findings, |fields| {
        let server = fields.optional("server", |node, findings| {
            let server = text(node, findings)?;
            check_url(&server, node, findings, &["https"]);
            Some(server)
        });
        let email = fields.optional("email", text);
        let choices = [("dns-01", Challenge::Dns01), ("http-01", Challenge::Http01)];
        let challenge = fields.required("challenge", |node, findings| choice(node, findings, &choices));
        let webhook = fields.optional("webhook", webhook);
        Some(Acme {
            server: server.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
            email,
            challenge: webhook.or(challenge)?,
        })
    })
}

fn webhook(node: &Node, findings: &mut Findings<'_>) -> Option<Challenge> {
    mapping(node, findings, |fields| {
        let group_name = fields.required("groupName", word);
        let solver_name = fields.required("solverName", word);
        Some(Challenge::Webhook {
            group_name: group_name?,
            solver_name: solver_name?,
        })
    })
}

fn encryption(node: &Node, findings: &mut Findings<'_>, teams: Option<&[Team]>) -> Option<Encryption> {
    mapping(node, findings, |fields| {
        let recipient = fields.required("recipient", age_recipient);
        let identity = fields.optional("identity", secret);
        let teams = fields.optional("teams", |node, findings| {
            unique(node, findings, |item, findings| known_team(item, findings, teams))
        });
        Some(Encryption {
            recipient: recipient?,
            identity,
            teams: teams.unwrap_or_default(),
        })
    })
}

fn management(node: &Node, findings: &mut Findings<'_>) -> Option<Management> {
    mapping(node, findings, |fields| {
        let kubeconfig = fields.optional("kubeconfig", setting);
        let context = fields.required("context", text);
        let namespace = fields.required("namespace", name::<NamespaceName>);
        Some(Management {
            kubeconfig,
            context: context?,
            namespace: namespace?,
        })
    })
}

fn flux(node: &Node, findings: &mut Findings<'_>) -> Option<Flux> {
    mapping(node, findings, |fields| {
        let version = fields.required("version", |node, findings| {
            formed(
                node,
                findings,
                |text| is_version(text, 3),
                "a version such as 2.9.4",
            )
        });
        let install = fields.optional("install", flux_install);
        Some(Flux {
            version: version?,
            install,
        })
    })
}

fn flux_install(node: &Node, findings: &mut Findings<'_>) -> Option<FluxInstall> {
    mapping(node, findings, |fields| {
        if fields.has("path") {
            return fields.required("path", inner_path).map(FluxInstall::Path);
        }
        let url = fields.required("url", |node, findings| {
            let url = text(node, findings)?;
            check_url(&url, node, findings, &["https"]);
            Some(url)
        });
        let sha256 = fields.required("sha256", |node, findings| {
            let is_digest =
                |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            formed(node, findings, is_digest, "a SHA-256 of 64 hexadecimal digits")
        });
        Some(FluxInstall::Url {
            url: url?,
            sha256: sha256?.to_ascii_lowercase(),
        })
    })
}

fn dns(node: &Node, findings: &mut Findings<'_>) -> Option<Dns> {
    mapping(node, findings, |fields| {
        let zone = fields.required("zone", name::<DomainName>);
        let ttl = fields.optional("ttl", ttl);
        let addresses = fields.optional("addresses", |node, findings| unique(node, findings, address));
        let api_server = fields.optional("apiServer", |node, findings| {
            let server = name::<DomainName>(node, findings)?;
            if let Some(zone) = &zone {
                check_zone(findings, node.span, &server, zone);
            }
            Some(server)
        });
        let authorities = fields.optional("certificateAuthorities", |node, findings| {
            unique(node, findings, name::<DomainName>)
        });
        let name_servers = fields.optional("nameServers", |node, findings| list(node, findings, setting));
        let provider = if fields.has("designate") {
            fields.required("designate", designate)
        } else {
            fields.required("rfc2136", rfc2136).map(DnsProvider::Rfc2136)
        };
        Some(Dns {
            zone: zone?,
            ttl: ttl.unwrap_or(STANDARD_TTL),
            addresses: addresses.unwrap_or_default(),
            api_server,
            certificate_authorities: authorities.unwrap_or_default(),
            name_servers: name_servers.unwrap_or_default(),
            provider: provider?,
        })
    })
}

/// As long as a day at most: longer ones make every change of an address an outage.
fn ttl(node: &Node, findings: &mut Findings<'_>) -> Option<u32> {
    let seconds = number::<u32>(node, findings)?;
    if (1..=LONGEST_TTL).contains(&seconds) {
        return Some(seconds);
    }
    malformed(
        node,
        findings,
        &format!("a time to live is 1 to {LONGEST_TTL} seconds"),
    )
}

fn designate(node: &Node, findings: &mut Findings<'_>) -> Option<DnsProvider> {
    mapping(node, findings, |fields| {
        let cloud = fields.required("cloud", text);
        Some(DnsProvider::Designate { cloud: cloud? })
    })
}

fn rfc2136(node: &Node, findings: &mut Findings<'_>) -> Option<Rfc2136> {
    mapping(node, findings, |fields| {
        let server = fields.required("server", setting);
        let key = fields.required("key", tsig_key);
        Some(Rfc2136 {
            server: server?,
            key: key?,
        })
    })
}

fn tsig_key(node: &Node, findings: &mut Findings<'_>) -> Option<TsigKey> {
    let algorithms = [
        ("hmac-sha256", TsigAlgorithm::HmacSha256),
        ("hmac-sha384", TsigAlgorithm::HmacSha384),
        ("hmac-sha512", TsigAlgorithm::HmacSha512),
    ];
    mapping(node, findings, |fields| {
        let key_name = fields.required("name", setting);
        let algorithm = fields.required("algorithm", |node, findings| choice(node, findings, &algorithms));
        let secret = fields.required("secret", secret);
        Some(TsigKey {
            name: key_name?,
            algorithm: algorithm?,
            secret: secret?,
        })
    })
}
