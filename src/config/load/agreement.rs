//! Whether the applications of one environment agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Claim;
use super::apps::at;
use crate::config::app::{App, Delivery};
use crate::config::environment::Environment;
use crate::config::mend::suggest;
use crate::config::network::{NetworkPeer, NetworkRule};
use crate::config::read::{Mentioned, suggestion};
use crate::diag::{Certainty, Code, Diagnostic};
use crate::names::AppName;

/// Everything in which `apps` disagree, by what they claim.
pub(super) fn check(claims: &[Claim], environment: &Environment, apps: &[App]) -> Vec<Diagnostic> {
    let mut diagnostics = taken_names(claims);
    diagnostics.extend(claims.iter().filter_map(|claim| unknown_app(claim, environment)));
    diagnostics.extend(cycle(apps).map(|circle| cyclic(&circle, claims)));
    let by_name: BTreeMap<&AppName, &App> = apps.iter().map(|app| (&app.name, app)).collect();
    diagnostics.extend(
        claims
            .iter()
            .filter_map(|claim| redirect_elsewhere(claim, claims, environment, &by_name)),
    );
    diagnostics.extend(without_gateway(claims, environment, &by_name));
    diagnostics.extend(claims.iter().filter_map(|claim| one_sided(claim, &by_name)));
    diagnostics.extend(claims.iter().filter_map(|claim| delivery_taken(claim, &by_name)));
    let kept_nowhere = |claim| kept_nowhere(claim, environment, &by_name);
    diagnostics.extend(claims.iter().filter_map(kept_nowhere));
    diagnostics
}

/// Hosts and client ids that two applications claim, or an application twice.
fn taken_names(claims: &[Claim]) -> Vec<Diagnostic> {
    let mut firsts: BTreeMap<(Mentioned, &str), &Claim> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for claim in claims {
        let what = claim.mention.what;
        if !matches!(what, Mentioned::Host | Mentioned::Client) {
            continue;
        }
        match firsts.get(&(what, claim.mention.name.as_str())) {
            // The list itself says that a host is repeated.
            Some(first) if what == Mentioned::Host && first.app == claim.app => {}
            Some(first) => diagnostics.push(taken(claim, first)),
            None => {
                firsts.insert((what, &claim.mention.name), claim);
            }
        }
    }
    diagnostics
}

fn taken(claim: &Claim, first: &Claim) -> Diagnostic {
    let (code, noun) = match claim.mention.what {
        Mentioned::Client => (Code::ClientTaken, "client id"),
        _ => (Code::HostTaken, "host"),
    };
    let message = format!("{noun} `{}` is claimed twice", claim.mention.name);
    at(&claim.mention, code, message).at(&first.mention.path, first.mention.span, "first here")
}

fn unknown_app(claim: &Claim, environment: &Environment) -> Option<Diagnostic> {
    let is_app = matches!(
        claim.mention.what,
        Mentioned::Dependency | Mentioned::PeerFrom | Mentioned::PeerTo
    );
    let names = environment.apps.iter().map(AppName::as_str);
    if !is_app || names.clone().any(|name| name == claim.mention.name) {
        return None;
    }
    let message = format!(
        "application `{}` does not run in this environment",
        claim.mention.name
    );
    let words = NetworkPeer::WORDS.iter().map(|(word, _)| *word);
    let words = words.filter(|_| claim.mention.what != Mentioned::Dependency);
    let known: Vec<&str> = names.chain(words).collect();
    let mut diagnostic = at(&claim.mention, Code::UnknownApp, message);
    suggest(&mut diagnostic, &claim.mention.name, known, Certainty::Guess);
    Some(diagnostic)
}

/// The host that a login returns to, when it is none of the application's.
fn redirect_elsewhere(
    claim: &Claim,
    claims: &[Claim],
    environment: &Environment,
    apps: &BTreeMap<&AppName, &App>,
) -> Option<Diagnostic> {
    if claim.mention.what != Mentioned::Redirect {
        return None;
    }
    let app = apps.get(&claim.app)?;
    let hosts: Vec<String> = app
        .hosts
        .iter()
        .map(|host| format!("{}.{}", host.name, environment.domain))
        .collect();
    if hosts.contains(&claim.mention.name) {
        return None;
    }
    let message = format!("`{}` is not a host of `{}`", claim.mention.name, app.name);
    let mut diagnostic = at(&claim.mention, Code::RedirectElsewhere, message);
    let replacing = claims.iter().find(|other| {
        let is_host = other.app == claim.app && other.mention.what == Mentioned::Host;
        is_host && other.mention.path != claim.mention.path
    });
    if let Some(host) = replacing {
        let place = &host.mention.path;
        return Some(
            diagnostic
                .at(place, host.mention.span, "its hosts there")
                .with_help(format!(
                    "repeat `login` in {place}, with redirects to the hosts there"
                )),
        );
    }
    diagnostic.help = suggestion(&claim.mention.name, hosts.iter().map(String::as_str))
        .or_else(|| Some(format!("`{}` has no `hosts`", app.name)));
    Some(diagnostic)
}

/// A secret that is to be in Git, where no manifests could have it that are of this environment alone.
fn kept_nowhere(
    claim: &Claim,
    environment: &Environment,
    apps: &BTreeMap<&AppName, &App>,
) -> Option<Diagnostic> {
    let app = apps.get(&claim.app)?;
    let is_client = claim.mention.what == Mentioned::Client;
    let mut logins = app.login.iter();
    let is_in_git = logins.any(|login| login.client == claim.mention.name && login.delivery == Delivery::Git);
    let own = super::folder_of(&environment.name);
    let manifests = app.source.manifests.as_ref();
    if !is_client || !is_in_git || manifests.is_some_and(|folder| folder.starts_with(&own)) {
        return None;
    }
    let message = format!(
        "the secret of `{}` can't be in Git: `{}` has no manifests that are of `{}` alone",
        claim.mention.name, app.name, environment.name
    );
    Some(at(&claim.mention, Code::NotSealed, message).with_help(format!(
        "leave `delivery` out, or declare `source: {{manifests: manifests}}` in {own}/apps/{}/app.yaml",
        app.name
    )))
}

/// Hosts that nothing routes, one problem for all of an application.
fn without_gateway(
    claims: &[Claim],
    environment: &Environment,
    apps: &BTreeMap<&AppName, &App>,
) -> Vec<Diagnostic> {
    if environment.gateway.is_some() {
        return Vec::new();
    }
    let mut told = BTreeSet::new();
    let is_routed = |claim: &&Claim| {
        let app = apps.get(&claim.app);
        let mut hosts = app.into_iter().flat_map(|app| &app.hosts);
        claim.mention.what == Mentioned::Host
            && hosts.any(|host| host.name.as_str() == claim.mention.name && host.backend().is_some())
    };
    let hosts = claims.iter().filter(is_routed);
    hosts
        .filter(|claim| told.insert(&claim.app))
        .map(|claim| {
            let message = format!(
                "no route leads to `{}`: the environment has no `gateway`",
                claim.mention.name
            );
            at(&claim.mention, Code::NoGateway, message).with_help(format!(
                "add `gateway: {{class: ..., issuer: ...}}` to environments/{}/environment.yaml",
                environment.name
            ))
        })
        .collect()
}

/// A connection that only one of its sides allows.
fn one_sided(claim: &Claim, apps: &BTreeMap<&AppName, &App>) -> Option<Diagnostic> {
    let other = AppName::new(claim.mention.name.as_str()).ok()?;
    let other = apps.get(&other)?;
    let (rules, key) = match claim.mention.what {
        Mentioned::PeerFrom => (&other.network.allow_to, "allowTo"),
        Mentioned::PeerTo => (&other.network.allow_from, "allowFrom"),
        _ => return None,
    };
    let is_peer = |rule: &NetworkRule| rule.peer == NetworkPeer::App(claim.app.clone());
    if rules.iter().any(is_peer) || other.name == claim.app {
        return None;
    }
    let message = format!("`{}` does not allow this connection", other.name);
    let help = format!("add `{}` to `network.{key}` of `{}`", claim.app, other.name);
    Some(at(&claim.mention, Code::OneSidedNetwork, message).with_help(help))
}

/// An application with the name of the Kustomization that delivers the upstream of another one.
fn delivery_taken(claim: &Claim, apps: &BTreeMap<&AppName, &App>) -> Option<Diagnostic> {
    if claim.mention.what != Mentioned::App {
        return None;
    }
    let other = AppName::new(claim.mention.name.strip_suffix("-upstream")?).ok()?;
    let other = apps.get(&other)?;
    let has_both = other.source.manifests.is_some() && other.source.upstream.is_some();
    let message = format!(
        "what delivers the upstream of `{}` is called `{}`",
        other.name, claim.mention.name
    );
    has_both.then(|| at(&claim.mention, Code::ReservedName, message))
}

fn cyclic(circle: &[&AppName], claims: &[Claim]) -> Diagnostic {
    let names: Vec<&str> = circle.iter().map(|name| name.as_str()).collect();
    let message = format!(
        "applications depend on each other in a circle: {}",
        names.join(" → ")
    );
    let mut diagnostic = Diagnostic::new(Code::DependencyCycle, message);
    for pair in circle.windows(2) {
        let is_link = |claim: &&Claim| {
            claim.mention.what == Mentioned::Dependency
                && claim.app == *pair[0]
                && claim.mention.name == pair[1].as_str()
        };
        if let Some(link) = claims.iter().find(is_link) {
            diagnostic = diagnostic.at(&link.mention.path, link.mention.span, "");
        }
    }
    diagnostic
}

/// The first circle of dependencies, its first member repeated at the end.
fn cycle(apps: &[App]) -> Option<Vec<&AppName>> {
    let dependencies: BTreeMap<&AppName, &[AppName]> = apps
        .iter()
        .map(|app| (&app.name, app.depends_on.as_slice()))
        .collect();
    let mut finished = BTreeSet::new();
    dependencies
        .keys()
        .find_map(|start| circle_from(start, &dependencies, &mut Vec::new(), &mut finished))
}

fn circle_from<'app>(
    app: &'app AppName,
    dependencies: &BTreeMap<&'app AppName, &'app [AppName]>,
    path: &mut Vec<&'app AppName>,
    finished: &mut BTreeSet<&'app AppName>,
) -> Option<Vec<&'app AppName>> {
    if let Some(start) = path.iter().position(|earlier| *earlier == app) {
        let mut circle = path.split_off(start);
        circle.push(app);
        return Some(circle);
    }
    if !finished.insert(app) {
        return None;
    }
    path.push(app);
    let next = dependencies.get(app).copied().unwrap_or_default();
    let circle = next
        .iter()
        .find_map(|dependency| circle_from(dependency, dependencies, path, finished));
    path.pop();
    circle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ContainerDefaults, Network, PodSecurity, Source};

    fn app(name: &str, depends_on: &[&str]) -> App {
        App {
            name: AppName::new(name).unwrap(),
            description: String::new(),
            owners: Vec::new(),
            hosts: Vec::new(),
            source: Source {
                manifests: Some("apps/web/manifests".into()),
                upstream: None,
            },
            access: Vec::new(),
            login: Vec::new(),
            quota: None,
            container_defaults: ContainerDefaults::default(),
            network: Network::default(),
            pod_security: PodSecurity::Restricted,
            depends_on: depends_on
                .iter()
                .map(|name| AppName::new(*name).unwrap())
                .collect(),
            timeout: "5m".to_owned(),
        }
    }

    #[test]
    fn test_circles_are_found_wherever_they_begin() {
        let apps = [
            app("a", &["b"]),
            app("b", &["c", "d"]),
            app("c", &[]),
            app("d", &["b"]),
        ];
        let circle = cycle(&apps).unwrap();
        assert_eq!(
            circle.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["b", "d", "b"]
        );
        assert_eq!(
            cycle(&[app("a", &["b", "c"]), app("b", &["c"]), app("c", &[])]),
            None
        );
        assert!(cycle(&[app("a", &["a"])]).is_some());
    }
}
