//! A realm of a test's own, and what is declared of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use lotse::config::{Delivery, Sessions};
use lotse::desired::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use lotse::names::EnvironmentName;
use lotse::plan::Plan;
use lotse::secret::Secret;
use lotse::surface::keycloak::{
    Admin, Conflict, Fingerprint, KeycloakError, KeycloakOperation, OWNER, Prune, Wanted, converge, left_out,
    look, observe,
};
use reqwest::Certificate;
use serde_json::{Value, json};

use super::seen::{BUILT_IN, Seen, text};
use super::way::{Kill, Way};
use crate::kit::Lab;
use crate::systems::{authority, keycloak, secret};

pub(super) const ADMINS: &str = "SovereignCloudStack:monitoring-admin";
pub(super) const VIEWERS: &str = "SovereignCloudStack:monitoring-view";
pub(super) const EDITORS: &str = "SovereignCloudStack:website-edit";
pub(super) const PROVIDER: &str = "github";

/// A realm of a test's own.
pub(super) struct Site<'lab> {
    pub(super) lab: &'lab Lab,
    pub(super) name: &'static str,
    pub(super) admin: Admin,
    pub(super) http: reqwest::Client,
    pub(super) owner: EnvironmentName,
    pub(super) provider_secret: Secret,
    pub(super) fingerprint: Fingerprint,
}

impl<'lab> Site<'lab> {
    /// Removes what an earlier run may have left.
    pub(super) async fn new(lab: &'lab Lab, name: &'static str) -> Self {
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

    pub(super) async fn remove(&self) {
        if self.admin.find(&[self.name], &[]).await.unwrap().is_some() {
            self.admin.delete(&[self.name], None).await.unwrap();
        }
    }

    pub(super) fn wanted<'wanted>(&'wanted self, realm: &'wanted Realm) -> Wanted<'wanted> {
        Wanted {
            realm,
            owner: &self.owner,
            provider_secret: &self.fingerprint,
            part: None,
        }
    }

    pub(super) async fn converge(
        &self,
        admin: &Admin,
        realm: &Realm,
        prune: Prune,
    ) -> Result<Plan<KeycloakOperation>, KeycloakError> {
        converge(admin, &self.wanted(realm), &self.provider_secret, prune).await
    }

    /// Who gets no account, since their name is somebody else's.
    pub(super) async fn left_out(&self, realm: &Realm) -> Vec<Conflict> {
        let wanted = self.wanted(realm);
        let observed = Box::pin(observe(&self.admin, realm)).await.unwrap();
        left_out(&wanted, &observed)
    }

    /// Runs it until it is killed. Gives the request at which that was, or `None` when it came to its end before.
    pub(super) async fn killed(&self, realm: &Realm, prune: Prune, kill: Kill) -> Option<String> {
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
    pub(super) async fn finished(&self, realm: &Realm, prune: Prune, told: &str) -> Seen {
        let admin = keycloak(self.lab);
        if let Err(error) = self.converge(&admin, realm, prune).await {
            panic!("{told}: the next run failed: {error}");
        }
        let (_, rest) = look(&admin, &self.wanted(realm), prune).await.unwrap();
        let rest: Vec<&str> = rest.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(rest, [""; 0], "{told}: something is left to do");
        self.seen().await
    }

    pub(super) fn at<'path>(&'path self, path: &[&'path str]) -> Vec<&'path str> {
        [&[self.name], path].concat()
    }

    pub(super) async fn rows(&self, path: &[&str]) -> Vec<Value> {
        let query = [("briefRepresentation", "false"), ("max", "1000")];
        let rows = self.admin.get(&self.at(path), &query).await.unwrap();
        rows.as_array().unwrap().clone()
    }

    pub(super) async fn seen(&self) -> Seen {
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

    pub(super) async fn see_clients(&self, seen: &mut Seen) {
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

    pub(super) async fn see_people(&self, seen: &mut Seen) {
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

pub(super) fn provider() -> IdentityProvider {
    IdentityProvider {
        alias: PROVIDER.into(),
        client_id: "kit".into(),
        base_url: Some("https://forge.lab.test".into()),
        api_url: None,
    }
}

pub(super) fn group(name: &str) -> Group {
    Group {
        name: name.into(),
        description: format!("Members of {name}"),
    }
}

pub(super) fn member(login: &str, id: u64, groups: &[&str]) -> Member {
    Member {
        login: login.into(),
        id,
        name: "Ada Lovelace".into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

pub(super) fn client(id: &str, redirect: &str, roles: &[(&str, &[&str])]) -> Client {
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

pub(super) fn realm(name: &str, groups: &[&str], members: Vec<Member>, clients: Vec<Client>) -> Realm {
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
pub(super) fn declared(name: &str) -> Realm {
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
pub(super) fn changed(name: &str) -> Realm {
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
pub(super) fn assert_is_declared(seen: &Seen, realm: &Realm, strangers: &[(&str, &str)]) {
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

pub(super) fn assert_client_is_declared(seen: &Seen, client: &Client) {
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
