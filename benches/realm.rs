//! What it costs to see that nothing is to be done in a large realm.
//!
//! `cargo bench --bench realm` fills a realm of a lab's Keycloak with 2,000 clients, 500 groups and 5,000 users, of which a
//! part is declared, and has lotse look at it: what it reads, and how long that takes. Beside it stands Keycloak's own export
//! of the realm's clients, groups and roles, in one request: what a program reads that compares with exports. Prints one
//! table; asserts that nothing is to be done and how many requests that took, never how long.
//!
//! `LOTSE_BENCH_KEYCLOAK=http://USER:PASSWORD@HOST:PORT` takes a Keycloak of yours in place of a lab's: filling it takes ten
//! minutes, and a realm that is full already stays so.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use futures::stream::{self, StreamExt};
use lotse::config::{Delivery, Sessions};
use lotse::desired::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use lotse::names::EnvironmentName;
use lotse::secret::Secret;
use lotse::surface::keycloak::{Admin, Prune, Wanted, converge, look};
use serde_json::{Value, json};

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");
const REALM: &str = "lotse-bench";
const CLIENTS: usize = 2000;
const GROUPS: usize = 500;
const USERS: usize = 5000;
/// As many of them are declared.
const DECLARED: usize = 40;
/// Rows of one page, as lotse asks for them.
const PAGE: usize = 200;
/// What is asked besides pages, for each thing that is declared, and for the rest: realm, profile, policies and the like.
const EACH: usize = 3;
const FIXED: usize = 20;
const ROUNDS: usize = 3;
const AT_ONCE: usize = 4;

fn main() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Some(server) = Server::own() {
        runtime.block_on(measure(&server));
        return;
    }
    let state = tempfile::Builder::new()
        .prefix("lotse-bench-")
        .tempdir_in("/tmp")
        .expect("a temporary directory");
    let folder = Utf8Path::from_path(state.path()).expect("a path of UTF-8");
    lotse(folder, &["lab", "up"]);
    runtime.block_on(measure(&Server::of_lab(folder)));
    lotse(folder, &["lab", "down"]);
}

/// A Keycloak, and who administers it.
struct Server {
    address: String,
    user: String,
    password: String,
    authority: Option<String>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no settings")]
    fn own() -> Option<Self> {
        let written = std::env::var("LOTSE_BENCH_KEYCLOAK").ok()?;
        let mut url: url::Url = written.parse().expect("an address");
        let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
        url.set_username("").expect("an address of the web");
        url.set_password(None).expect("an address of the web");
        Some(Self {
            address: url.as_str().trim_end_matches('/').to_owned(),
            user,
            password: password.unwrap_or_default(),
            authority: None,
        })
    }

    fn of_lab(state: &Utf8Path) -> Self {
        let status = lotse(state, &["lab", "status", "-o", "json"]);
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let endpoint = |name: &str| {
            status["endpoints"][name]
                .as_str()
                .expect("an endpoint")
                .to_owned()
        };
        let secrets = fs_err::read_to_string(state.join("lotse/labs/default/secrets.json")).expect("secrets");
        let secrets: Value = serde_json::from_str(&secrets).expect("JSON");
        Self {
            address: endpoint("keycloak"),
            user: "admin".into(),
            password: secrets["keycloak-admin"].as_str().expect("a password").to_owned(),
            authority: Some(fs_err::read_to_string(endpoint("ca_file")).expect("an authority")),
        }
    }

    fn admin(&self) -> Admin {
        let password = Secret::new(self.password.as_str());
        Admin::new(&self.address, &self.user, password, self.authority.as_deref()).expect("an address")
    }

    /// How long Keycloak takes to export clients, groups and roles of the realm.
    async fn export(&self) -> Duration {
        let mut http = reqwest::Client::builder();
        if let Some(authority) = &self.authority {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes()).expect("an authority");
            http = http.tls_certs_merge([authority]);
        }
        let http = http.build().expect("a client");
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", self.user.as_str()),
            ("password", self.password.as_str()),
        ];
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.address);
        let answer = http.post(url).form(&form).send().await.expect("an answer");
        let token: Value = answer.json().await.expect("a token");
        let url = format!("{}/admin/realms/{REALM}/partial-export", self.address);
        let started = Instant::now();
        let answer = http
            .post(url)
            .query(&[("exportClients", "true"), ("exportGroupsAndRoles", "true")])
            .bearer_auth(token["access_token"].as_str().expect("a token"))
            .send()
            .await
            .expect("an answer");
        let exported: Value = answer.json().await.expect("an export");
        let took = started.elapsed();
        let clients = exported["clients"].as_array().map_or(0, Vec::len);
        assert!(clients >= CLIENTS, "{clients} clients");
        took
    }
}

fn lotse(state: &Utf8Path, arguments: &[&str]) -> String {
    let output = Command::new(LOTSE)
        .args(arguments)
        .env("XDG_STATE_HOME", state)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("lotse can be started");
    assert!(output.status.success(), "lotse {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).expect("text")
}

/// What is declared: the first of everything.
fn declared() -> Realm {
    let group = |index: usize| format!("scs:group-{index}");
    Realm {
        name: REALM.into(),
        github: IdentityProvider {
            alias: "github".into(),
            client_id: "bench".into(),
            base_url: None,
            api_url: None,
        },
        sessions: Sessions::default(),
        client_secret_grace: None,
        required_actions: None,
        groups: (0..DECLARED)
            .map(|index| Group {
                name: group(index),
                description: "Declared".into(),
            })
            .collect(),
        members: (0..DECLARED)
            .map(|index| Member {
                login: format!("person-{index}"),
                id: u64::try_from(index).expect("a small number") + 1,
                name: "Ada Berg".into(),
                groups: vec![group(index)],
            })
            .collect(),
        clients: (0..DECLARED)
            .map(|index| Client {
                client_id: format!("app-{index}"),
                description: "Declared".into(),
                kind: ClientKind::Confidential {
                    namespace: format!("app-{index}"),
                    secret: "oidc".into(),
                    delivery: Delivery::Cluster,
                },
                redirect_uris: vec!["https://app.example/".into()],
                roles: BTreeMap::from([("admin".to_owned(), vec![group(index)])]),
            })
            .collect(),
    }
}

/// Makes what is not there yet, a few at a time.
async fn fill(admin: &Admin) {
    let rows = |path: &'static str, field: &'static str| async move {
        let listed = admin.pages(&[REALM, path], &[]).await.expect("a listing");
        let names = listed.iter().filter_map(|row| row[field].as_str());
        names.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let (clients, groups, users) = (
        rows("clients", "clientId").await,
        rows("groups", "name").await,
        rows("users", "username").await,
    );
    let named =
        |kind: &'static str, count: usize| (DECLARED..count).map(move |index| format!("{kind}-{index}"));
    let clients = named("client", CLIENTS)
        .filter(|name| !clients.contains(name))
        .map(|name| {
            (
                "clients",
                json!({"clientId": name, "redirectUris": ["https://client.example/"]}),
            )
        });
    let groups = named("group", GROUPS)
        .filter(|name| !groups.contains(name))
        .map(|name| ("groups", json!({ "name": name })));
    let users = named("user", USERS)
        .filter(|name| !users.contains(name))
        .map(|name| ("users", json!({"username": name, "enabled": true})));
    stream::iter(clients.chain(groups).chain(users))
        .for_each_concurrent(AT_ONCE, |(path, body)| async move {
            admin.post(&[REALM, path], &body).await.expect("it is made");
        })
        .await;
}

async fn measure(server: &Server) {
    let admin = &server.admin();
    let owner = EnvironmentName::new("bench").expect("a name");
    let secret = Secret::new("a secret of nobody");
    let realm = declared();
    let fingerprint = Wanted::fingerprint(&secret, &owner, &realm.github);
    let wanted = Wanted {
        realm: &realm,
        owner: &owner,
        provider_secret: &fingerprint,
        part: None,
    };
    converge(admin, &wanted, &secret, Prune::Keep)
        .await
        .expect("the realm is made");
    fill(admin).await;
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let (before, started) = (admin.requests(), Instant::now());
        let (_, plan) = look(admin, &wanted, Prune::Keep)
            .await
            .expect("the realm can be read");
        let ours = started.elapsed();
        assert!(plan.is_empty(), "something is to be done");
        pairs.push((ours, admin.requests() - before, server.export().await));
    }
    print(&pairs);
}

fn print(pairs: &[(Duration, usize, Duration)]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = median(pairs.iter().map(|(our, ..)| our.as_secs_f64()).collect());
    let theirs = median(pairs.iter().map(|(.., their)| their.as_secs_f64()).collect());
    let ratio = median(
        pairs
            .iter()
            .map(|(our, _, their)| their.as_secs_f64() / our.as_secs_f64())
            .collect(),
    );
    let requests = pairs[0].1;
    let pages = [CLIENTS, GROUPS]
        .map(|count| count.div_ceil(PAGE) + 1)
        .iter()
        .sum::<usize>();
    assert!(
        requests <= pages + 3 * EACH * DECLARED + FIXED,
        "{requests} requests for {pages} pages"
    );
    let text = format!(
        "{ROUNDS} rounds; each figure is a median\n\n| what | lotse | requests | export of the realm | ratio |\n|---|---|---|---|---|\n\
         | {CLIENTS} clients, {GROUPS} groups, {USERS} users, {DECLARED} of each declared: nothing to do | {ours:.2} s | {requests} | \
         {theirs:.1} s | {ratio:.1}× |\n"
    );
    std::io::stdout()
        .write_all(text.as_bytes())
        .expect("stdout can be written");
}
