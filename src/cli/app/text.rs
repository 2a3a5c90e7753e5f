//! Applications as people read them.

use comfy_table::{Table, presets};

use super::AppList;
use super::outline::{AppOutline, ClientOutline, GrantOutline};

/// A row for each application and environment.
pub(super) fn list(list: &AppList) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["environment", "application", "owners", "hosts", "source"]);
    for app in &list.items {
        let hosts: Vec<&str> = app.hosts.iter().map(|host| host.name.as_str()).collect();
        table.add_row([
            app.environment.clone(),
            app.name.clone(),
            app.owners.join(", "),
            hosts.join(", "),
            short_source(app),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    if list.items.is_empty() {
        return "no application runs there\n".to_owned();
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    if !list.switched_off.is_empty() {
        let switched_off = list.switched_off.join(", ");
        lines.extend([String::new(), format!("in no environment: {switched_off}")]);
    }
    lines.join("\n") + "\n"
}

/// `chart harbor 1.18.0, manifests`
fn short_source(app: &AppOutline) -> String {
    let upstream = app.source.upstream.as_deref();
    let upstream = upstream.map(|one| one.split(" from ").next().unwrap_or(one).to_owned());
    let manifests = app.source.manifests.as_ref().map(|_| "manifests".to_owned());
    upstream
        .into_iter()
        .chain(manifests)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A paragraph for each application and environment.
pub(super) fn details(list: &AppList) -> String {
    list.items.iter().map(detail).collect::<Vec<_>>().join("\n")
}

fn detail(app: &AppOutline) -> String {
    let mut lines = vec![format!("{} in {}", app.name, app.environment)];
    let mut rows = |key: &str, values: &[String]| {
        for (place, value) in values.iter().enumerate() {
            let key = if place == 0 { key } else { "" };
            lines.push(format!("  {key:13} {value}"));
        }
    };
    let from = |values: &[String]| (!values.is_empty()).then(|| format!("from {}", values.join(", ")));
    let to = |values: &[String]| (!values.is_empty()).then(|| format!("to {}", values.join(", ")));
    let network = [from(&app.network.allow_from), to(&app.network.allow_to)];
    let hosts = app.hosts.iter();
    let hosts: Vec<String> = hosts
        .map(|host| {
            let name = &host.name;
            match (&host.service, host.port) {
                (Some(service), Some(port)) if host.is_routed => {
                    format!("https://{name} leads to Service {service}:{port}")
                }
                (Some(_), Some(_)) => format!("{name} leads nowhere: the environment has no `gateway`"),
                (Some(service), None) => format!("{name} leads to the load balancer of Service {service}"),
                (None, _) => {
                    let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
                    format!("{name} leads to {}", addresses.join(", "))
                }
            }
        })
        .collect();
    let source = [&app.source.upstream, &app.source.manifests];
    let quota = app.quota.iter().map(|(key, value)| format!("{key} {value}"));
    let quota = quota.collect::<Vec<_>>().join(", ");
    rows("description", std::slice::from_ref(&app.description));
    rows("owners", &[app.owners.join(", ")]);
    rows("hosts", &hosts);
    rows(
        "source",
        &source.into_iter().flatten().cloned().collect::<Vec<_>>(),
    );
    rows("access", &app.access.iter().map(grant).collect::<Vec<_>>());
    rows("login", &app.login.iter().map(client).collect::<Vec<_>>());
    rows(
        "quota",
        &(!quota.is_empty())
            .then_some(quota)
            .into_iter()
            .collect::<Vec<_>>(),
    );
    rows("network", &network.into_iter().flatten().collect::<Vec<_>>());
    rows("pod security", &[app.pod_security.to_owned()]);
    if !app.depends_on.is_empty() {
        rows("depends on", &[app.depends_on.join(", ")]);
    }
    lines.join("\n") + "\n"
}

/// `team monitoring: admin until 2027-03-31 (ada, grace); moves the page`
fn grant(grant: &GrantOutline) -> String {
    let until = grant.until.map(|day| format!(" until {day}")).unwrap_or_default();
    let reason = grant
        .reason
        .as_ref()
        .map(|reason| format!("; {reason}"))
        .unwrap_or_default();
    let people = if grant.subject.starts_with("team ") {
        format!(" ({})", grant.people.join(", "))
    } else {
        String::new()
    };
    format!("{}: {}{until}{people}{reason}", grant.subject, grant.role)
}

/// `grafana, in Secret grafana-oidc; admin: monitoring`
fn client(client: &ClientOutline) -> String {
    let role = |(role, teams): (&String, &Vec<String>)| {
        let teams = teams
            .iter()
            .map(|team| if team == "*" { "every team" } else { team.as_str() });
        format!("; {role}: {}", teams.collect::<Vec<_>>().join(", "))
    };
    let roles: String = client.roles.iter().map(role).collect();
    format!("{}, in Secret {}{roles}", client.client, client.secret)
}
