//! Realms whose making is killed, and realms that hands were at: from any state the program reaches what is declared, and
//! leaves alone what is not its own.
//!
//! Killed runs reach Keycloak through a way that counts requests and ends at one of them: before Keycloak gets it, while
//! Keycloak is at it, or when Keycloak has carried it out and its answer did not come back. For every day it is enough to do
//! the last at each request that changes something (the others at every eighth of them), and at every fourth that changes
//! nothing in turn the first and the last; `LOTSE_TEST_EVERY_KILL=1` kills at every request at every moment, which takes
//! many minutes more.
//!
//! What hands did is left to chance: a failure says with which `LOTSE_TEST_SEED` it comes again. `LOTSE_TEST_ROUNDS` says
//! how many declarations follow one another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::future::{join_all, pending};
use lotse::config::{Delivery, Sessions};
use lotse::desired::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use lotse::names::EnvironmentName;
use lotse::plan::Plan;
use lotse::secret::Secret;
use lotse::surface::keycloak::{
    Admin, Conflict, Fingerprint, KeycloakError, KeycloakOperation, OWNER, Prune, Wanted, converge, look,
};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, Method};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::kit::{Lab, block_on};
use crate::systems::{authority, keycloak, secret};

const EVERY_KILL: &str = "LOTSE_TEST_EVERY_KILL";
/// So many requests from one kill to the next, where not every one is needed every day: those that change nothing, and
/// those that change something.
const READS: usize = 4;
const WRITES: usize = 8;

const ADMINS: &str = "SovereignCloudStack:monitoring-admin";
const VIEWERS: &str = "SovereignCloudStack:monitoring-view";
const EDITORS: &str = "SovereignCloudStack:website-edit";
const PROVIDER: &str = "github";

/// Fields that are others after an object was made again.
const MADE_ANEW: [&str; 7] = [
    "id",
    "internalId",
    "containerId",
    "secret",
    "createdTimestamp",
    "client.secret.creation.time",
    "client.secret.expiration.time",
];
/// Clients that come with a realm.
const BUILT_IN: [&str; 6] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "realm-management",
    "security-admin-console",
];

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// When a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Keycloak does not get the request.
    Before,
    /// Keycloak has carried it out.
    After,
    /// Keycloak is at it.
    Meanwhile,
}

/// Where a run is killed: at the request of its kind with this number, counted from nought.
#[derive(Clone, Copy, Debug)]
struct Kill {
    kind: Kind,
    number: usize,
    moment: Moment,
}

/// A request on its way.
struct Request {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    async fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines.first()?.split(' ');
        let method = Method::from_bytes(first.next()?.as_bytes()).ok()?;
        let target = first.next()?.to_owned();
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == CONTENT_LENGTH.as_str());
        let length = length.map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self {
            method,
            target,
            headers,
            body,
        })
    }

    /// Asking for a token changes nothing.
    fn kind(&self) -> Kind {
        if self.method == Method::GET || self.target.ends_with("/token") {
            Kind::Read
        } else {
            Kind::Write
        }
    }

    fn told(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What stands between a run and Keycloak.
struct Way {
    server: String,
    http: reqwest::Client,
    kill: Kill,
    passed: Mutex<Passed>,
}

/// How many requests came by, and whom to tell that the run is to be killed: nobody when it is told.
struct Passed {
    reads: usize,
    writes: usize,
    killer: Option<oneshot::Sender<String>>,
}

impl Way {
    /// Opens it. Gives its address, what ends it with all its connections, and the request at which the run is to be killed.
    async fn open(site: &Site<'_>, kill: Kill) -> (String, JoinHandle<()>, oneshot::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (killer, end) = oneshot::channel();
        let way = Arc::new(Self {
            server: site.lab.endpoint("keycloak").to_owned(),
            http: site.http.clone(),
            kill,
            passed: Mutex::new(Passed {
                reads: 0,
                writes: 0,
                killer: Some(killer),
            }),
        });
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(Arc::clone(&way).serve(stream));
            }
        });
        (address, serving, end)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = Request::read(&mut stream).await {
            let told = request.told();
            let moment = self.count(request.kind()).await;
            if moment == Some(Moment::Before) {
                self.end(told).await;
                return;
            }
            let forwarded = tokio::spawn(self.forwarded(request));
            if moment == Some(Moment::Meanwhile) {
                // So that it is on its way.
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
                self.end(told).await;
                return;
            }
            let answer = forwarded.await.unwrap();
            if moment == Some(Moment::After) {
                self.end(told).await;
                return;
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    /// Says when the run is to be killed if that is at this request. A run that was killed sends nothing any more.
    async fn count(&self, kind: Kind) -> Option<Moment> {
        let number = {
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            let Passed {
                reads,
                writes,
                killer,
            } = &mut *passed;
            let counted = if kind == Kind::Read { reads } else { writes };
            *counted += 1;
            killer.is_some().then_some(*counted - 1)
        };
        let Some(number) = number else {
            return pending().await;
        };
        (kind == self.kill.kind && number == self.kill.number).then_some(self.kill.moment)
    }

    /// Lets the run be killed at the request, and waits for that.
    async fn end(&self, request: String) {
        let killer = self.passed.lock().unwrap().killer.take();
        if let Some(killer) = killer {
            drop(killer.send(request));
        }
        pending::<()>().await;
    }

    /// The answer of Keycloak in the form in which it is sent on.
    fn forwarded(&self, request: Request) -> impl Future<Output = Vec<u8>> + Send + use<> {
        let address = format!("{}{}", self.server, request.target);
        let mut forwarded = self.http.request(request.method, address);
        for (name, value) in request.headers {
            if [AUTHORIZATION.as_str(), CONTENT_TYPE.as_str()].contains(&name.as_str()) {
                forwarded = forwarded.header(name, value);
            }
        }
        let forwarded = forwarded.body(request.body);
        async move {
            let answer = forwarded.send().await.unwrap();
            let status = answer.status().as_u16();
            let location = answer
                .headers()
                .get(LOCATION)
                .map(|value| value.to_str().unwrap());
            let location = location.map_or(String::new(), |value| format!("location: {value}\r\n"));
            let body = answer.bytes().await.unwrap();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} -\r\n{location}content-length: {length}\r\n\r\n");
            [head.as_bytes(), &body].concat()
        }
    }
}

/// Everything in a realm that a declaration or a hand may change, by what it is called. Lists are sorted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen(BTreeMap<String, Value>);

impl Seen {
    fn put(&mut self, key: &str, value: &Value) {
        for part in ["protocolMappers", "defaultClientScopes"] {
            let parts = value[part].as_array().into_iter().flatten();
            let names: Vec<&Value> = parts.map(|part| part.get("name").unwrap_or(part)).collect();
            let different: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(
                names.len(),
                different.len(),
                "{part} of {key} are there twice: {names:?}"
            );
        }
        let other = self.0.insert(key.to_owned(), without(value, &[]));
        assert_eq!(other, None, "{key} is there twice");
    }

    fn get(&self, key: &str) -> &Value {
        self.0.get(key).unwrap_or(&Value::Null)
    }

    fn id(&self, key: &str) -> &str {
        self.get(key)["id"].as_str().unwrap_or_else(|| panic!("no {key}"))
    }

    /// Without what is another one in an object that was made anew.
    fn lasting(&self) -> Self {
        let lasting = self.0.iter();
        Self(
            lasting
                .map(|(key, value)| (key.clone(), without(value, &MADE_ANEW)))
                .collect(),
        )
    }

    fn only(&self, keys: &BTreeSet<String>) -> Self {
        let only = self.0.iter().filter(|(key, _)| keys.contains(*key));
        Self(only.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// What is another one in `other`, without saying a secret.
    fn differences(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter()
            .filter(|key| self.get(key) != other.get(key))
            .map(|key| {
                let [before, after] = [self, other].map(|seen| without(seen.get(key), &["secret"]));
                format!("{key} was {before}\n  and is {after}")
            })
            .collect()
    }
}

/// `value` with sorted lists and without these fields.
fn without(value: &Value, left_out: &[&str]) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .filter(|(key, _)| !left_out.contains(&key.as_str()))
                .map(|(key, value)| (key, without(value, left_out)))
                .collect();
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), value))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| without(item, left_out)).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn text<'value>(value: &'value Value, field: &str) -> &'value str {
    value[field].as_str().unwrap_or_default()
}

/// A realm of a test's own.
struct Site<'lab> {
    lab: &'lab Lab,
    name: &'static str,
    admin: Admin,
    http: reqwest::Client,
    owner: EnvironmentName,
    provider_secret: Secret,
    fingerprint: Fingerprint,
}

impl<'lab> Site<'lab> {
    /// Removes what an earlier run may have left.
    async fn new(lab: &'lab Lab, name: &'static str) -> Self {
        let authority = authority(lab);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_merge(Certificate::from_pem_bundle(authority.as_bytes()).unwrap())
            .build()
            .unwrap();
        let owner = EnvironmentName::new("kit").unwrap();
        let provider_secret = Secret::new("an application nobody made");
        let fingerprint = Wanted::fingerprint(&provider_secret, &owner, &provider());
        let site = Self {
            lab,
            name,
            admin: keycloak(lab),
            http,
            owner,
            provider_secret,
            fingerprint,
        };
        site.remove().await;
        site
    }

    async fn remove(&self) {
        if self.admin.find(&[self.name], &[]).await.unwrap().is_some() {
            self.admin.delete(&[self.name], None).await.unwrap();
        }
    }

    fn wanted<'wanted>(&'wanted self, realm: &'wanted Realm) -> Wanted<'wanted> {
        Wanted {
            realm,
            owner: &self.owner,
            provider_secret: &self.fingerprint,
            clients: None,
        }
    }

    async fn converge(
        &self,
        admin: &Admin,
        realm: &Realm,
        prune: Prune,
    ) -> Result<Plan<KeycloakOperation>, KeycloakError> {
        converge(admin, &self.wanted(realm), &self.provider_secret, prune).await
    }

    /// Runs it until it is killed. Gives the request at which that was, or `None` when it came to its end before.
    async fn killed(&self, realm: &Realm, prune: Prune, kill: Kill) -> Option<String> {
        let (address, way, killed) = Way::open(self, kill).await;
        let password = Secret::new(secret(self.lab, "keycloak-admin"));
        let admin = Admin::new(&address, "admin", password, None).unwrap();
        let request = tokio::select! {
            request = killed => Some(request.unwrap()),
            done = self.converge(&admin, realm, prune) => {
                done.unwrap_or_else(|error| panic!("a run that was not killed failed: {error}"));
                None
            }
        };
        way.abort();
        request
    }

    /// Runs it by a process of its own that nobody kills, and looks at what there is then.
    async fn finished(&self, realm: &Realm, prune: Prune, told: &str) -> Seen {
        let admin = keycloak(self.lab);
        if let Err(error) = self.converge(&admin, realm, prune).await {
            panic!("{told}: the next run failed: {error}");
        }
        let (_, rest) = look(&admin, &self.wanted(realm), prune).await.unwrap();
        let rest: Vec<&str> = rest.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(rest, [""; 0], "{told}: something is left to do");
        self.seen().await
    }

    fn at<'path>(&'path self, path: &[&'path str]) -> Vec<&'path str> {
        [&[self.name], path].concat()
    }

    async fn rows(&self, path: &[&str]) -> Vec<Value> {
        let query = [("briefRepresentation", "false"), ("max", "1000")];
        let rows = self.admin.get(&self.at(path), &query).await.unwrap();
        rows.as_array().unwrap().clone()
    }

    async fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        let realm = self.admin.get(&[self.name], &[]).await.unwrap();
        seen.put("realm", &realm);
        let profile = self.admin.get(&self.at(&["users", "profile"]), &[]).await;
        seen.put("profile", &profile.unwrap());
        for scope in self.rows(&["client-scopes"]).await {
            seen.put(&format!("scope {}", text(&scope, "name")), &scope);
        }
        for provider in self.rows(&["identity-provider", "instances"]).await {
            seen.put(&format!("provider {}", text(&provider, "alias")), &provider);
        }
        self.see_clients(&mut seen).await;
        self.see_people(&mut seen).await;
        seen
    }

    async fn see_clients(&self, seen: &mut Seen) {
        let clients = self.rows(&["clients"]).await;
        let roles = clients.iter().map(|client| async {
            if BUILT_IN.contains(&text(client, "clientId")) {
                return Vec::new();
            }
            self.rows(&["clients", text(client, "id"), "roles"]).await
        });
        for (client, roles) in clients.iter().zip(join_all(roles).await) {
            let id = text(client, "clientId");
            seen.put(&format!("client {id}"), client);
            for role in roles {
                seen.put(&format!("role {} of {id}", text(&role, "name")), &role);
            }
        }
    }

    async fn see_people(&self, seen: &mut Seen) {
        let (users, groups) = (self.rows(&["users"]).await, self.rows(&["groups"]).await);
        let links = users.iter().map(|user| async {
            self.rows(&["users", text(user, "id"), "federated-identity"])
                .await
        });
        for (user, links) in users.iter().zip(join_all(links).await) {
            let name = text(user, "username");
            seen.put(&format!("user {name}"), user);
            seen.put(&format!("links of {name}"), &Value::Array(links));
        }
        let members = groups
            .iter()
            .map(|group| async { self.rows(&["groups", text(group, "id"), "members"]).await });
        for (group, members) in groups.iter().zip(join_all(members).await) {
            let name = text(group, "name");
            let members: BTreeSet<&str> = members.iter().map(|user| text(user, "username")).collect();
            seen.put(&format!("group {name}"), group);
            seen.put(&format!("members of {name}"), &json!(members));
        }
    }
}

fn provider() -> IdentityProvider {
    IdentityProvider {
        alias: PROVIDER.into(),
        client_id: "kit".into(),
        base_url: Some("https://forge.lab.test".into()),
        api_url: None,
    }
}

fn group(name: &str) -> Group {
    Group {
        name: name.into(),
        description: format!("Members of {name}"),
    }
}

fn member(login: &str, id: u64, groups: &[&str]) -> Member {
    Member {
        login: login.into(),
        id,
        name: "Ada Lovelace".into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn client(id: &str, redirect: &str, roles: &[(&str, &[&str])]) -> Client {
    let is_public = id == "kubectl";
    let kind = if is_public {
        ClientKind::Public
    } else {
        ClientKind::Confidential {
            namespace: id.into(),
            secret: format!("{id}-oidc"),
            delivery: Delivery::Cluster,
        }
    };
    let names = |groups: &[&str]| groups.iter().map(|&group| group.to_owned()).collect();
    Client {
        client_id: id.into(),
        description: format!("{id} for people"),
        kind,
        redirect_uris: vec![redirect.into(), format!("https://{id}.lab.test/login")],
        roles: roles
            .iter()
            .map(|(role, groups)| ((*role).to_owned(), names(groups)))
            .collect(),
    }
}

fn realm(name: &str, groups: &[&str], members: Vec<Member>, clients: Vec<Client>) -> Realm {
    Realm {
        name: name.to_owned(),
        github: provider(),
        sessions: Sessions {
            token: Some(240),
            ..Sessions::default()
        },
        client_secret_grace: Some(3600),
        required_actions: Some(Vec::new()),
        groups: groups.iter().map(|name| group(name)).collect(),
        members,
        clients,
    }
}

/// What is declared at first.
fn declared(name: &str) -> Realm {
    let roles: [(&str, &[&str]); 2] = [("admin", &[ADMINS]), ("viewer", &[ADMINS, VIEWERS])];
    realm(
        name,
        &[ADMINS, VIEWERS],
        vec![
            member("Ada", 101, &[ADMINS, VIEWERS]),
            member("bo", 102, &[ADMINS, VIEWERS]),
            member("cy", 103, &[VIEWERS]),
        ],
        vec![
            client("grafana", "https://monitoring.lab.test/", &roles),
            client("kubectl", "http://localhost:8000", &[]),
        ],
    )
}

/// What is declared later: somebody left, somebody came, somebody has another name, somebody went from one group to
/// another; a group, a client and a role came; roles and addresses are others. On the way back all that ends.
fn changed(name: &str) -> Realm {
    let roles: [(&str, &[&str]); 2] = [("admin", &[ADMINS]), ("editor", &[EDITORS, VIEWERS])];
    let of_website: [(&str, &[&str]); 1] = [("writer", &[ADMINS, EDITORS])];
    realm(
        name,
        &[ADMINS, VIEWERS, EDITORS],
        vec![
            member("Ada-Renamed", 101, &[ADMINS, VIEWERS, EDITORS]),
            member("cy", 103, &[EDITORS]),
            member("dan", 104, &[VIEWERS]),
        ],
        vec![
            client("grafana", "https://dashboards.lab.test/", &roles),
            client("kubectl", "http://localhost:8000", &[]),
            client("website", "https://website.lab.test/", &of_website),
        ],
    )
}

/// The realm has what is declared, once, and in the declared groups nobody else than `strangers`.
fn assert_is_declared(seen: &Seen, realm: &Realm, strangers: &[(&str, &str)]) {
    for group in &realm.groups {
        let is_in = |member: &&Member| member.groups.contains(&group.name);
        let mut members: BTreeSet<String> = realm
            .members
            .iter()
            .filter(is_in)
            .map(|member| member.login.to_lowercase())
            .collect();
        let others = strangers.iter().filter(|(_, of)| *of == group.name);
        members.extend(others.map(|(stranger, _)| (*stranger).to_owned()));
        assert_eq!(
            seen.get(&format!("members of {}", group.name)),
            &json!(members),
            "members of {}",
            group.name
        );
        let found = seen.get(&format!("group {}", group.name));
        assert_eq!(found["attributes"][OWNER], json!(["kit"]), "{found}");
        let mut roles: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for client in &realm.clients {
            for (role, groups) in &client.roles {
                if groups.contains(&group.name) {
                    roles.entry(&client.client_id).or_default().push(role);
                }
            }
        }
        assert_eq!(found["clientRoles"], json!(roles), "roles of {}", group.name);
    }
    for member in &realm.members {
        let links = seen.get(&format!("links of {}", member.login.to_lowercase()));
        let ids: Vec<&str> = links
            .as_array()
            .into_iter()
            .flatten()
            .filter(|link| link["identityProvider"] == PROVIDER)
            .map(|link| text(link, "userId"))
            .collect();
        assert_eq!(ids, [member.id.to_string()], "links of {}", member.login);
    }
    for client in &realm.clients {
        assert_client_is_declared(seen, client);
    }
}

fn assert_client_is_declared(seen: &Seen, client: &Client) {
    let id = &client.client_id;
    let found = seen.get(&format!("client {id}"));
    let mut redirects = client.redirect_uris.clone();
    redirects.sort_by_key(|redirect| json!(redirect).to_string());
    assert_eq!(found["redirectUris"], json!(redirects), "redirects of {id}");
    assert_eq!(found["attributes"][OWNER], "kit", "{id}");
    assert_eq!(found["publicClient"], client.kind == ClientKind::Public, "{id}");
    for role in client.roles.keys() {
        let role = seen.get(&format!("role {role} of {id}"));
        assert_eq!(role["attributes"][OWNER], json!(["kit"]), "roles of {id}");
    }
    let mappers: Vec<&str> = found["protocolMappers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mapper| text(mapper, "name"))
        .collect();
    if !client.roles.is_empty() {
        assert_eq!(mappers, ["roles"], "mappers of {id}");
    }
}

/// At which requests of a kind runs are killed, and when. Before a request Keycloak is as after the last one that changed
/// something, so that one of both is enough for every day.
fn kills(kind: Kind, moment: Moment) -> impl Iterator<Item = Kill> {
    let (first, step) = match (is_every(), kind, moment) {
        (true, ..) | (_, Kind::Write, Moment::After) => (0, 1),
        (_, Kind::Write, _) => (0, WRITES),
        (_, Kind::Read, Moment::After) => (READS, 2 * READS),
        (_, Kind::Read, _) => (0, 2 * READS),
    };
    (first..)
        .step_by(step)
        .map(move |number| Kill { kind, number, moment })
}

fn is_every() -> bool {
    std::env::var_os(EVERY_KILL).is_some()
}

const POINTS: [(Kind, Moment); 5] = [
    (Kind::Write, Moment::Before),
    (Kind::Write, Moment::After),
    (Kind::Write, Moment::Meanwhile),
    (Kind::Read, Moment::Before),
    (Kind::Read, Moment::After),
];

/// What was done, in a word that a failure can be told with.
fn told(from: &str, kill: Kill, request: Option<&str>) -> String {
    match request {
        Some(request) => format!("{from}, killed {:?} {request} ({})", kill.moment, kill.number),
        None => format!("{from}, not killed"),
    }
}

/// Nothing is there, and then everything.
async fn killed_while_made(lab: &Lab) -> Vec<String> {
    let site = Site::new(lab, "kit-killed-made").await;
    let realm = declared(site.name);
    let wanted = site.finished(&realm, Prune::Keep, "made").await.lasting();
    assert_is_declared(&wanted, &realm, &[]);
    let mut killed = Vec::new();
    for (kind, moment) in POINTS {
        for kill in kills(kind, moment) {
            site.remove().await;
            let Some(request) = site.killed(&realm, Prune::Keep, kill).await else {
                break;
            };
            let told = told("made", kill, Some(&request));
            let seen = site.finished(&realm, Prune::Keep, &told).await.lasting();
            let differences = wanted.differences(&seen);
            assert!(differences.is_empty(), "{told}: {}", differences.join("\n"));
            killed.push(told);
        }
    }
    site.remove().await;
    killed
}

/// Puts objects into the realm that the program must not touch. Gives their names.
async fn put_by_hand(site: &Site<'_>) -> BTreeSet<String> {
    let before: BTreeSet<String> = site.seen().await.0.into_keys().collect();
    let put = [
        (
            vec!["clients"],
            json!({"clientId": "by-hand", "redirectUris": ["https://by-hand.lab.test/"],
            "protocolMappers": [{"name": "by-hand", "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper", "config": {"claim.name": "by-hand"}}]}),
        ),
        (
            vec!["groups"],
            json!({"name": "by-hand", "attributes": {"colour": ["blue", "red"]}}),
        ),
        (
            vec!["client-scopes"],
            json!({"name": "by-hand", "protocol": "openid-connect"}),
        ),
        (
            vec!["identity-provider", "instances"],
            json!({"alias": "by-hand", "providerId": "github",
            "config": {"clientId": "by-hand", "clientSecret": "nobody's"}}),
        ),
    ];
    for (path, object) in put {
        site.admin.post(&site.at(&path), &object).await.unwrap();
    }
    let role = json!({"name": "by-hand", "attributes": {"colour": ["blue"]}});
    let seen = site.seen().await;
    let path = ["clients", seen.id("client grafana"), "roles"];
    site.admin.post(&site.at(&path), &role).await.unwrap();
    for (name, in_group) in [("carol", Some("by-hand")), ("dora", None), ("eve", Some(VIEWERS))] {
        let user = json!({"username": name, "enabled": true, "email": format!("{name}@lab.test")});
        let id = site
            .admin
            .post(&site.at(&["users"]), &user)
            .await
            .unwrap()
            .unwrap();
        if let Some(group) = in_group {
            let group = format!("group {group}");
            let path = ["users", id.as_str(), "groups", seen.id(&group)];
            site.admin.put(&site.at(&path), None).await.unwrap();
        }
    }
    let mut group = seen.get(&format!("group {VIEWERS}")).clone();
    group["attributes"]["colour"] = json!(["green"]);
    let path = ["groups", group["id"].as_str().unwrap()];
    site.admin.put(&site.at(&path), Some(&group)).await.unwrap();
    let after: BTreeSet<String> = site.seen().await.0.into_keys().collect();
    after.difference(&before).cloned().collect()
}

/// A realm that goes from one declaration to another, and back.
struct Change<'lab> {
    site: Site<'lab>,
    first: Realm,
    second: Realm,
    /// The realm as it is with the first and with the second.
    wanted: [Seen; 2],
    /// What others put there.
    by_hand: Seen,
    killed: Vec<String>,
}

impl<'lab> Change<'lab> {
    async fn new(lab: &'lab Lab) -> Self {
        let site = Site::new(lab, "kit-killed-changed").await;
        let (first, second) = (declared(site.name), changed(site.name));
        site.finished(&first, Prune::Keep, "made").await;
        let by_hand = put_by_hand(&site).await;
        assert_eq!(by_hand.len(), 12, "{by_hand:?}");
        let by_hand = site.seen().await.only(&by_hand);
        site.finished(&second, Prune::Keep, "changed").await;
        let strangers = [("eve", VIEWERS)];
        // Who came and left again keeps an account, so the first state is another one than before.
        let back = site.finished(&first, Prune::Delete, "pruned").await;
        assert_is_declared(&back, &first, &strangers);
        for gone in [
            format!("group {EDITORS}"),
            "client website".into(),
            "role editor of grafana".into(),
        ] {
            assert_eq!(back.get(&gone), &Value::Null, "{gone}");
        }
        let there = site.finished(&second, Prune::Keep, "changed").await;
        assert_is_declared(&there, &second, &strangers);
        site.finished(&first, Prune::Delete, "pruned").await;
        Self {
            site,
            first,
            second,
            wanted: [back.lasting(), there.lasting()],
            by_hand,
            killed: Vec::new(),
        }
    }

    /// Goes to the second declaration or back to the first, is killed, and goes on to `end`. Says whether it was killed.
    async fn go(&mut self, is_back: bool, kill: Kill, end: usize) -> bool {
        let (realm, prune, from) = if is_back {
            (&self.first, Prune::Delete, "pruned")
        } else {
            (&self.second, Prune::Keep, "changed")
        };
        let request = self.site.killed(realm, prune, kill).await;
        let told = told(from, kill, request.as_deref());
        let (realm, prune) = [(&self.first, Prune::Delete), (&self.second, Prune::Keep)][end];
        let seen = self.site.finished(realm, prune, &told).await;
        let mut differences = self.wanted[end].differences(&seen.lasting());
        let keys = self.by_hand.0.keys().cloned().collect();
        differences.extend(self.by_hand.differences(&seen.only(&keys)));
        assert!(differences.is_empty(), "{told}: {}", differences.join("\n"));
        let is_killed = request.is_some();
        self.killed.extend(is_killed.then_some(told));
        is_killed
    }
}

/// What is declared changes, and what is no longer declared is pruned.
async fn killed_while_changed(lab: &Lab) -> Vec<String> {
    let mut change = Change::new(lab).await;
    for (kind, moment) in POINTS {
        for kill in kills(kind, moment) {
            let there = change.go(false, kill, 1).await;
            let back = change.go(true, kill, 0).await;
            if !there && !back {
                break;
            }
        }
    }
    // What was begun is not wanted any more before it was done.
    let step = if is_every() { 1 } else { 3 };
    for kill in kills(Kind::Write, Moment::After).step_by(step) {
        if !change.go(false, kill, 0).await {
            break;
        }
    }
    change.site.remove().await;
    change.killed
}

/// Whatever request a run dies at, the next one goes on from there.
pub(crate) fn a_realm_is_killed_at_every_request(lab: &Lab) {
    block_on(async {
        let begun = Instant::now();
        let (made, changed) = tokio::join!(killed_while_made(lab), killed_while_changed(lab));
        eprintln!(
            "killed {} times while a realm was made, {} times while it was changed, {:.0?}",
            made.len(),
            changed.len(),
            begun.elapsed()
        );
        for (killed, kinds) in [
            (
                made,
                &[
                    "POST /admin/realms ",
                    "GET ",
                    "/token",
                    "/users ",
                    "/clients ",
                    "/roles ",
                ][..],
            ),
            (
                changed,
                &[
                    "DELETE ",
                    "PUT ",
                    "pruned",
                    "/groups",
                    "GET ",
                    "/token",
                    "/role-mappings/",
                ],
            ),
        ] {
            for kind in kinds {
                let is_there = killed.iter().any(|told| told.contains(kind));
                assert!(is_there, "never killed at {kind}: {killed:#?}");
            }
        }
    });
}

const SEED: &str = "LOTSE_TEST_SEED";
const ROUNDS: &str = "LOTSE_TEST_ROUNDS";
/// People by their ids at the forge, and the logins they have there in turn. Somebody may want a name that another had.
const PEOPLE: [(u64, [&str; 2]); 5] = [
    (101, ["Ada", "Ada-Renamed"]),
    (102, ["bo", "bo-x"]),
    (103, ["cy", "Cy-2"]),
    (104, ["dan", "ada-renamed"]),
    (105, ["Fay", "bo"]),
];
const GROUPS: [&str; 4] = [ADMINS, VIEWERS, EDITORS, "SovereignCloudStack:statuspage-admin"];
const CLIENTS: [&str; 4] = ["grafana", "kubectl", "website", "statuspage"];

/// A user and a group, by their ids.
type Pair = (String, String);

/// What somebody does in the console.
#[derive(Debug)]
enum Edit {
    Post(Vec<String>, Value),
    Put(Vec<String>, Option<Value>),
    Delete(Vec<String>, Option<Value>),
}

/// Chance, and what it needs.
struct Dice {
    rng: StdRng,
    thrown: usize,
}

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    fn is_so(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one<'items, T>(&mut self, items: &'items [T]) -> Option<&'items T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }

    /// Some of them, in any order.
    fn some<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        items.shuffle(&mut self.rng);
        items.truncate(self.below(items.len() + 1));
        items
    }

    /// A name that nothing has yet.
    fn name(&mut self) -> String {
        self.thrown += 1;
        format!("by-hand-{}", self.thrown)
    }

    fn realm(&mut self, name: &str) -> Realm {
        let groups = self.some(&GROUPS);
        let mut members: Vec<Member> = Vec::new();
        for (id, logins) in self.some(&PEOPLE) {
            let login = logins[self.below(2)];
            let is_taken = |other: &Member| other.login.eq_ignore_ascii_case(login);
            if !members.iter().any(is_taken) {
                members.push(member(login, id, &self.some(&groups)));
            }
        }
        let clients = self
            .some(&CLIENTS)
            .into_iter()
            .map(|id| {
                let roles: Vec<(&str, Vec<&str>)> = self
                    .some(&["admin", "viewer", "editor"])
                    .into_iter()
                    .map(|role| (role, self.some(&groups)))
                    .collect();
                let roles: Vec<(&str, &[&str])> = roles
                    .iter()
                    .map(|(role, groups)| (*role, groups.as_slice()))
                    .collect();
                let redirect = ["https://one.lab.test/", "https://two.lab.test/"][self.below(2)];
                client(id, redirect, &roles)
            })
            .collect();
        realm(name, &groups, members, clients)
    }

    /// The same in another order.
    fn shuffled(&mut self, realm: &Realm) -> Realm {
        let mut realm = realm.clone();
        realm.groups.shuffle(&mut self.rng);
        realm.members.shuffle(&mut self.rng);
        realm.clients.shuffle(&mut self.rng);
        for member in &mut realm.members {
            member.groups.shuffle(&mut self.rng);
        }
        for client in &mut realm.clients {
            client.redirect_uris.shuffle(&mut self.rng);
            for groups in client.roles.values_mut() {
                groups.shuffle(&mut self.rng);
            }
        }
        realm
    }

    /// Something that somebody does, if what it is done to is there.
    fn edit(&mut self, seen: &Seen) -> Option<Edit> {
        match self.below(18) {
            0..=3 => {
                let kinds = ["client ", "group ", "role ", "user ", "scope ", "provider "];
                let kind = kinds[self.below(kinds.len())];
                let key = self.one(&marked(seen, kind))?.clone();
                Some(Edit::Delete(path(seen, &key), None))
            }
            4 => self.without_mapper(seen),
            5..=8 => self.changed_object(seen),
            9..=12 => self.another_relation(seen),
            13 => {
                let setting = [
                    json!({"displayName": self.name()}),
                    json!({"registrationAllowed": true}),
                    json!({"accessTokenLifespan": 77}),
                ];
                Some(Edit::Put(Vec::new(), self.one(&setting).cloned()))
            }
            _ => Some(self.foreign_object()),
        }
    }

    fn without_mapper(&mut self, seen: &Seen) -> Option<Edit> {
        let mut owners = marked(seen, "client ");
        owners.extend(marked(seen, "scope "));
        let key = self.one(&owners)?;
        let mappers = seen.get(key)["protocolMappers"].as_array()?;
        let mapper = self.one(mappers)?;
        let more = ["protocol-mappers", "models", text(mapper, "id")];
        Some(Edit::Delete(below(seen, key, &more), None))
    }

    fn changed_object(&mut self, seen: &Seen) -> Option<Edit> {
        let (kind, field, value) = match self.below(8) {
            0 => ("client ", "/redirectUris", json!(["https://evil.example/"])),
            1 => ("client ", "/enabled", json!(false)),
            2 => ("client ", "/description", json!("changed by hand")),
            3 => ("provider ", "/config/syncMode", json!("FORCE")),
            4 => ("provider ", "/config/clientId", json!("another")),
            5 => ("group ", "/description", json!("changed by hand")),
            6 => ("group ", "/attributes/colour", json!([self.name()])),
            _ => ("user ", "/username", json!(self.name())),
        };
        let key = self.one(&marked(seen, kind))?.clone();
        let mut object = seen.get(&key).clone();
        let (above, field) = field.rsplit_once('/')?;
        object.pointer_mut(above)?[field] = value;
        Some(Edit::Put(path(seen, &key), Some(object)))
    }

    fn another_relation(&mut self, seen: &Seen) -> Option<Edit> {
        let users = named(seen, "user ");
        match self.below(8) {
            0 | 1 => {
                let pairs: Vec<Pair> = memberships(seen).into_iter().collect();
                let (user, group) = self.one(&pairs)?;
                Some(Edit::Delete(owned(&["users", user, "groups", group]), None))
            }
            2 | 3 => {
                let (user, group) = (self.one(&users)?, self.one(&named(seen, "group "))?.clone());
                let more = ["groups", seen.id(&group)];
                Some(Edit::Put(below(seen, user, &more), None))
            }
            4 => {
                let client = self.one(&marked(seen, "client "))?.clone();
                let more = ["default-client-scopes", seen.id("scope profile")];
                Some(Edit::Delete(below(seen, &client, &more), None))
            }
            5 => {
                let role = self.one(&marked(seen, "role "))?.clone();
                let group = self.one(&marked(seen, "group "))?.clone();
                let (_, client) = role.rsplit_once(' ')?;
                let client = seen.id(&format!("client {client}"));
                let path = below(seen, &group, &["role-mappings", "clients", client]);
                let body = json!([{"id": seen.id(&role), "name": seen.get(&role)["name"]}]);
                if self.is_so() {
                    return Some(Edit::Post(path, body));
                }
                Some(Edit::Delete(path, Some(body)))
            }
            6 => {
                let more = ["federated-identity", PROVIDER];
                Some(Edit::Delete(below(seen, self.one(&users)?, &more), None))
            }
            _ => {
                let (id, _) = PEOPLE[self.below(PEOPLE.len())];
                let user = self.one(&users)?;
                if linked(seen, id).is_some() || link_of(seen, user).is_some() {
                    return None;
                }
                let more = ["federated-identity", PROVIDER];
                let body = json!({"userId": id.to_string(), "userName": "linked-by-hand"});
                Some(Edit::Post(below(seen, user, &more), body))
            }
        }
    }

    fn foreign_object(&mut self) -> Edit {
        let name = self.name();
        let (path, object): (&[&str], Value) = match self.below(6) {
            0 => (
                &["clients"],
                json!({"clientId": name, "redirectUris": ["https://a.lab.test/"]}),
            ),
            1 => (
                &["groups"],
                json!({"name": name, "attributes": {"colour": ["blue"]}}),
            ),
            2 => (
                &["client-scopes"],
                json!({"name": name, "protocol": "openid-connect"}),
            ),
            3 => {
                let config = json!({"clientId": name, "clientSecret": "nobody's"});
                let provider = json!({"alias": name, "providerId": "github", "config": config});
                (&["identity-provider", "instances"], provider)
            }
            4 => (&["users"], json!({"username": name, "enabled": true})),
            _ => {
                let (_, logins) = PEOPLE[self.below(PEOPLE.len())];
                (
                    &["users"],
                    json!({"username": logins[self.below(2)], "enabled": true}),
                )
            }
        };
        Edit::Post(owned(path), object)
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|&segment| segment.to_owned()).collect()
}

fn named(seen: &Seen, prefix: &str) -> Vec<String> {
    let keys = seen.0.keys().filter(|key| key.starts_with(prefix));
    keys.cloned().collect()
}

/// What carries the program's mark.
fn marked(seen: &Seen, prefix: &str) -> Vec<String> {
    let mut keys = named(seen, prefix);
    keys.retain(|key| is_marked(seen.get(key)));
    keys
}

fn is_marked(object: &Value) -> bool {
    !object["attributes"][OWNER].is_null() || !object["config"][OWNER].is_null()
}

/// Where an object is.
fn path(seen: &Seen, key: &str) -> Vec<String> {
    let (kind, name) = key.split_once(' ').unwrap();
    match kind {
        "client" => owned(&["clients", seen.id(key)]),
        "scope" => owned(&["client-scopes", seen.id(key)]),
        "group" => owned(&["groups", seen.id(key)]),
        "user" => owned(&["users", seen.id(key)]),
        "provider" => owned(&["identity-provider", "instances", name]),
        "role" => {
            let (role, client) = name.split_once(" of ").unwrap();
            below(seen, &format!("client {client}"), &["roles", role])
        }
        _ => panic!("{key} has no place"),
    }
}

fn below(seen: &Seen, key: &str, more: &[&str]) -> Vec<String> {
    [path(seen, key), owned(more)].concat()
}

fn memberships(seen: &Seen) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for group in named(seen, "group ") {
        let (_, name) = group.split_once(' ').unwrap();
        let members = seen.get(&format!("members of {name}")).as_array().unwrap();
        for user in members.iter().filter_map(Value::as_str) {
            let user = seen.id(&format!("user {user}"));
            pairs.insert((user.to_owned(), seen.id(&group).to_owned()));
        }
    }
    pairs
}

/// The id at the forge that a user (`user ada`) is linked to.
fn link_of<'seen>(seen: &'seen Seen, user: &str) -> Option<&'seen str> {
    let (_, name) = user.split_once(' ')?;
    let links = seen.get(&format!("links of {name}")).as_array()?;
    let link = links.iter().find(|link| link["identityProvider"] == PROVIDER)?;
    link["userId"].as_str()
}

/// The user who is linked to an id at the forge.
fn linked(seen: &Seen, id: u64) -> Option<String> {
    let id = id.to_string();
    let mut users = named(seen, "user ").into_iter();
    users.find(|user| link_of(seen, user) == Some(id.as_str()))
}

/// The account that a member has or gets; an error where it is for a person to decide.
fn account(seen: &Seen, member: &Member) -> Result<Option<String>, ()> {
    let named = format!("user {}", member.login.to_lowercase());
    let is_there = seen.0.contains_key(&named);
    match linked(seen, member.id) {
        Some(linked) if is_there && linked != named => Err(()),
        Some(linked) => Ok(Some(linked)),
        None if is_there && link_of(seen, &named).is_some() => Err(()),
        None => Ok(is_there.then_some(named)),
    }
}

/// Memberships as they are declared.
fn declared_memberships(seen: &Seen, realm: &Realm) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for member in &realm.members {
        let user = seen.id(&format!("user {}", member.login.to_lowercase()));
        let groups = member.groups.iter();
        pairs.extend(groups.map(|group| {
            let group = seen.id(&format!("group {group}"));
            (user.to_owned(), group.to_owned())
        }));
    }
    pairs
}

/// What is nobody's business but that of who put it there.
fn foreign(before: &Seen, realm: &Realm, prune: Prune) -> BTreeSet<String> {
    let accounts: BTreeSet<String> = realm
        .members
        .iter()
        .filter_map(|member| account(before, member).unwrap())
        .collect();
    let is_declared = |id: &str| realm.clients.iter().find(|client| client.client_id == id);
    let is_foreign = |key: &&String| {
        let Some((kind, name)) = key.split_once(' ') else {
            return false;
        };
        let is_marked = is_marked(before.get(key));
        match kind {
            "client" => !is_marked && is_declared(name).is_none(),
            "group" => !is_marked && !realm.groups.iter().any(|group| group.name == name),
            "scope" => name != "groups",
            "provider" => name != PROVIDER,
            "user" => !accounts.contains(*key),
            "links" => !accounts.contains(&key.replacen("links of", "user", 1)),
            "role" => {
                let (role, client) = name.split_once(" of ").unwrap();
                let is_kept = prune == Prune::Keep || !is_marked_client(before, client);
                match is_declared(client) {
                    Some(client) => !is_marked && !client.roles.contains_key(role),
                    None => !is_marked && is_kept,
                }
            }
            _ => false,
        }
    };
    before.0.keys().filter(is_foreign).cloned().collect()
}

fn is_marked_client(seen: &Seen, client: &str) -> bool {
    is_marked(seen.get(&format!("client {client}")))
}

/// A realm that goes from state to state.
struct Walk<'lab> {
    site: Site<'lab>,
    dice: Dice,
    seed: u64,
    /// What happened.
    told: Vec<String>,
    /// Memberships that were declared last.
    ours: BTreeSet<Pair>,
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{SEED}={}\n{}", self.seed, self.told.join("\n"));
        }
    }
}

impl Walk<'_> {
    async fn edit(&mut self) {
        let seen = self.site.seen().await;
        let Some(edit) = self.dice.edit(&seen) else { return };
        let told: String = format!("{edit:?}").chars().take(300).collect();
        let refused = self.carry_out(edit).await.err();
        let refused = refused.map_or(String::new(), |error| format!(": {error}"));
        self.told.push(format!("by hand: {told}{refused}"));
    }

    /// What is refused is refused: somebody in the console would see that, too.
    async fn carry_out(&self, edit: Edit) -> Result<(), KeycloakError> {
        let Site { admin, name, .. } = &self.site;
        let (Edit::Post(path, _) | Edit::Put(path, _) | Edit::Delete(path, _)) = &edit;
        let path: Vec<&str> = [*name]
            .into_iter()
            .chain(path.iter().map(String::as_str))
            .collect();
        match &edit {
            Edit::Post(_, body) => admin.post(&path, body).await.map(drop),
            Edit::Put(_, body) => admin.put(&path, body.as_ref()).await,
            Edit::Delete(_, body) => admin.delete(&path, body.as_ref()).await,
        }
    }

    /// Goes to what is declared. Where people want names of others that is said, and they are left out.
    async fn go(&mut self, mut realm: Realm, prune: Prune) -> Realm {
        let before = self.site.seen().await;
        let (named, others): (Vec<Member>, Vec<Member>) = realm
            .members
            .clone()
            .into_iter()
            .partition(|member| account(&before, member).is_ok());
        if !others.is_empty() {
            let done = self.site.converge(&self.site.admin, &realm, prune).await;
            let Err(KeycloakError::Conflicts { conflicts, .. }) = done else {
                panic!("{others:?} want names of others, and it went: {done:?}");
            };
            let found: BTreeSet<u64> = conflicts
                .iter()
                .filter_map(|conflict| match conflict {
                    Conflict::NameTaken { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            let expected: BTreeSet<u64> = others.iter().map(|member| member.id).collect();
            assert_eq!(found, expected, "{conflicts:?}");
            let differences = before.differences(&self.site.seen().await);
            assert!(differences.is_empty(), "{}", differences.join("\n"));
            self.told.push(format!("conflicts of {expected:?}"));
        }
        realm.members = named;
        let told = realm_told(&realm);
        self.told.push(format!("{prune:?} {told}"));
        let after = self.site.finished(&realm, prune, "declared").await;
        self.assert_arrived(&before, &after, &realm, prune);
        self.ours = declared_memberships(&after, &realm);
        let shuffled = self.dice.shuffled(&realm);
        let done = self
            .site
            .converge(&self.site.admin, &shuffled, prune)
            .await
            .unwrap();
        let done: Vec<&str> = done.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(done, [""; 0], "another order is another realm: {shuffled:?}");
        realm
    }

    fn assert_arrived(&self, before: &Seen, after: &Seen, realm: &Realm, prune: Prune) {
        let keys = foreign(before, realm, prune);
        let differences = before.only(&keys).differences(&after.only(&keys));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert_eq!(
            before.get("realm")["displayName"],
            after.get("realm")["displayName"]
        );
        for (kind, field) in [
            ("client ", "/enabled"),
            ("client ", "/secret"),
            ("group ", "/attributes/colour"),
        ] {
            for key in named(before, kind) {
                let [before, after] = [before, after].map(|seen| seen.get(&key));
                let is_same = before["id"] == after["id"];
                assert!(
                    !is_same || before.pointer(field) == after.pointer(field),
                    "{field} of {key}"
                );
            }
        }
        let there: BTreeSet<&str> = after
            .0
            .values()
            .filter_map(|object| object["id"].as_str())
            .collect();
        let declared = declared_memberships(after, realm);
        let strangers = memberships(before)
            .into_iter()
            .filter(|pair| !self.ours.contains(pair) && !declared.contains(pair))
            .filter(|(_, group)| there.contains(group.as_str()));
        let strangers = names_of(after, strangers);
        let mut expected = names_of(after, declared.into_iter());
        expected.extend(strangers.iter().cloned());
        assert_eq!(names_of(after, memberships(after).into_iter()), expected);
        let strangers: Vec<(&str, &str)> = strangers
            .iter()
            .map(|(user, group)| (user.as_str(), group.as_str()))
            .collect();
        assert_is_declared(after, realm, &strangers);
    }
}

/// Users and groups by their names.
fn names_of(seen: &Seen, pairs: impl Iterator<Item = Pair>) -> BTreeSet<Pair> {
    pairs
        .map(|(user, group)| (name_of(seen, &user), name_of(seen, &group)))
        .collect()
}

/// The name of the object with this id.
fn name_of(seen: &Seen, id: &str) -> String {
    let mut objects = seen.0.iter();
    let (key, _) = objects.find(|(_, object)| object["id"] == id).unwrap();
    key.split_once(' ').unwrap().1.to_owned()
}

/// What is declared, in a line.
fn realm_told(realm: &Realm) -> String {
    let groups: Vec<&str> = realm.groups.iter().map(|group| group.name.as_str()).collect();
    let members: Vec<String> = realm
        .members
        .iter()
        .map(|member| format!("{} {} {:?}", member.id, member.login, member.groups))
        .collect();
    let clients: Vec<String> = realm
        .clients
        .iter()
        .map(|client| format!("{} {:?}", client.client_id, client.roles))
        .collect();
    format!("declared {groups:?}, {members:?}, {clients:?}")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Whatever was declared before and whatever hands did since: what is declared comes true, and nothing else is touched.
pub(crate) fn a_realm_is_reached_from_any_state(lab: &Lab) {
    block_on(async {
        let seed = number(SEED).unwrap_or_else(rand::random);
        let mut walk = Walk {
            site: Site::new(lab, "kit-any-state").await,
            dice: Dice {
                rng: StdRng::seed_from_u64(seed),
                thrown: 0,
            },
            seed,
            told: Vec::new(),
            ours: BTreeSet::new(),
        };
        let by_hand = json!({"realm": walk.site.name, "enabled": true});
        walk.site.admin.post(&[], &by_hand).await.unwrap();
        let mut realm = walk.dice.realm(walk.site.name);
        for _ in 0..number(ROUNDS).unwrap_or(12) {
            for _ in 0..walk.dice.below(5) {
                walk.edit().await;
            }
            if walk.dice.below(4) > 0 {
                realm = walk.dice.realm(walk.site.name);
            }
            let prune = if walk.dice.is_so() {
                Prune::Keep
            } else {
                Prune::Delete
            };
            realm = walk.go(realm, prune).await;
        }
        walk.site.remove().await;
    });
}
