//! What the Keycloak surface and the login by the forge promise, at the lab's own servers: each test takes a realm of
//! its own and removes it again.

use std::collections::BTreeMap;

use lotse::config::{Delivery, Sessions};
use lotse::desired::identity::{Client, ClientKind, Group, IdentityProvider, Member, Realm};
use lotse::lab::login::{LoginError, LoginRequest, Tokens, login};
use lotse::names::EnvironmentName;
use lotse::plan::Action;
use lotse::secret::Secret;
use lotse::surface::keycloak::{
    Admin, KeycloakError, Prune, Wanted, client_secret, converge, look, loopholes, strangers,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{Lab, block_on};
use crate::systems::{authority, forge, keycloak, secret};

/// The lab's Keycloak, and the `OAuth2` application that its forge has for a realm.
struct Servers<'lab> {
    lab: &'lab Lab,
    application: String,
    application_secret: Secret,
}

/// Where the forge keeps `OAuth2` applications.
const APPLICATIONS: &str = "user/applications/oauth2";
/// Somebody whom the realm in which people log in knows, and somebody with an account at the forge alone.
const DECLARED: &str = "ada";
const DECLARED_ID: u64 = 2;
const UNKNOWN: &str = "pilot";
/// The realm in which people log in.
const LOGIN_REALM: &str = "kit-login";

const ADMINS: &str = "SovereignCloudStack:monitoring-admin";
const VIEWERS: &str = "SovereignCloudStack:monitoring-view";
const REDIRECT: &str = "http://localhost:18000";

impl<'lab> Servers<'lab> {
    /// For realms in which nobody logs in: Keycloak does not ask the forge about an application.
    fn without_logins(lab: &'lab Lab) -> Self {
        Self {
            lab,
            application: "kit".into(),
            application_secret: Secret::new("an application nobody made"),
        }
    }

    /// With an application of its own at the forge, and the id it has there.
    async fn with_logins(lab: &'lab Lab) -> (u64, Self) {
        let redirect = format!(
            "{}/realms/{LOGIN_REALM}/broker/github/endpoint",
            lab.endpoint("keycloak")
        );
        let wanted = json!({"name": LOGIN_REALM, "confidential_client": true, "redirect_uris": [redirect]});
        let made = forge(lab, Method::POST, APPLICATIONS, &wanted).await;
        let servers = Self {
            lab,
            application: made["client_id"].as_str().unwrap().to_owned(),
            application_secret: Secret::new(made["client_secret"].as_str().unwrap()),
        };
        (made["id"].as_u64().unwrap(), servers)
    }

    fn admin(&self) -> Admin {
        keycloak(self.lab)
    }

    fn realm(&self, name: &str) -> Realm {
        let address = self.lab.endpoint("forge");
        Realm {
            name: name.to_owned(),
            github: IdentityProvider {
                alias: "github".into(),
                client_id: self.application.clone(),
                base_url: Some(address.to_owned()),
                api_url: Some(format!("{address}/api/v1")),
            },
            sessions: Sessions {
                token: Some(240),
                idle: Some(1200),
                longest: Some(28_800),
            },
            client_secret_grace: Some(3600),
            required_actions: Some(Vec::new()),
            groups: vec![group(ADMINS), group(VIEWERS)],
            members: vec![
                member("Ada", 101, &[ADMINS, VIEWERS]),
                member("bo", 102, &[VIEWERS]),
            ],
            clients: vec![grafana(), kubectl()],
        }
    }

    fn fingerprint(&self, realm: &Realm) -> lotse::surface::keycloak::Fingerprint {
        Wanted::fingerprint(&self.application_secret, &owner(), &realm.github)
    }
}

fn owner() -> EnvironmentName {
    EnvironmentName::new("kit").unwrap()
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

fn grafana() -> Client {
    Client {
        client_id: "grafana".into(),
        description: "Dashboards".into(),
        kind: ClientKind::Confidential {
            namespace: "monitoring".into(),
            secret: "grafana-oidc".into(),
            delivery: Delivery::Cluster,
        },
        redirect_uris: vec!["https://monitoring.prod.lab.test/login/generic_oauth".into()],
        roles: BTreeMap::from([
            ("admin".to_owned(), vec![ADMINS.to_owned()]),
            ("viewer".to_owned(), vec![ADMINS.to_owned(), VIEWERS.to_owned()]),
        ]),
    }
}

fn kubectl() -> Client {
    Client {
        client_id: "kubectl".into(),
        description: "kubectl with kubelogin".into(),
        kind: ClientKind::Public,
        redirect_uris: vec!["http://localhost:8000".into(), REDIRECT.into()],
        roles: BTreeMap::new(),
    }
}

/// Removes what an earlier run may have left.
async fn fresh(servers: &Servers<'_>, realm: &str) -> Admin {
    let admin = servers.admin();
    if admin.find(&[realm], &[]).await.unwrap().is_some() {
        admin.delete(&[realm], None).await.unwrap();
    }
    admin
}

/// Makes `realm` so and returns what was done.
async fn make(servers: &Servers<'_>, admin: &Admin, realm: &Realm) -> Vec<String> {
    make_with(servers, admin, realm, Prune::Keep).await
}

async fn make_with(servers: &Servers<'_>, admin: &Admin, realm: &Realm, prune: Prune) -> Vec<String> {
    let (owner, fingerprint) = (owner(), servers.fingerprint(realm));
    let wanted = Wanted {
        realm,
        owner: &owner,
        provider_secret: &fingerprint,
        part: None,
    };
    let plan = converge(admin, &wanted, &servers.application_secret, prune)
        .await
        .unwrap();
    plan.changes()
        .map(|change| format!("{:?} {}", change.action, change.object))
        .collect()
}

async fn events(admin: &Admin, realm: &str) -> usize {
    let events = admin
        .get(&[realm, "admin-events"], &[("max", "10000")])
        .await
        .unwrap();
    events.as_array().unwrap().len()
}

async fn client(admin: &Admin, realm: &str, client_id: &str) -> Value {
    let found = admin
        .get(&[realm, "clients"], &[("clientId", client_id)])
        .await
        .unwrap();
    found[0].clone()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// An empty server becomes what is declared; a second run finds nothing to do and leaves no admin event.
pub(crate) fn a_second_run_has_nothing_to_do(lab: &Lab) {
    block_on(async {
        let servers = &Servers::without_logins(lab);
        let admin = fresh(servers, "kit-twice").await;
        let realm = servers.realm("kit-twice");
        let done = make(servers, &admin, &realm).await;
        assert!(done.contains(&format!("Create group {ADMINS}")), "{done:?}");
        let before = events(&admin, "kit-twice").await;
        assert!(before > 0, "admin events are not kept");
        assert_eq!(make(servers, &admin, &realm).await, Vec::<String>::new());
        assert_eq!(
            make(servers, &servers.admin(), &realm).await,
            Vec::<String>::new()
        );
        assert_eq!(events(&admin, "kit-twice").await, before);
        admin.delete(&["kit-twice"], None).await.unwrap();
    });
}

/// What somebody changes in the console comes back, field by field, and everything else stays as it is.
pub(crate) fn drift_is_repaired_and_the_rest_is_kept(lab: &Lab) {
    block_on(async {
        let servers = &Servers::without_logins(lab);
        let name = "kit-drift";
        let admin = fresh(servers, name).await;
        let realm = servers.realm(name);
        make(servers, &admin, &realm).await;
        let secret = client_secret(&admin, name, "grafana").await.unwrap();
        assert!(!secret.is_empty());

        let mut grafana = client(&admin, name, "grafana").await;
        grafana["redirectUris"] = json!(["https://evil.example/"]);
        grafana["baseUrl"] = json!("https://monitoring.prod.lab.test/");
        let path = [name, "clients", id(&grafana)];
        admin.put(&path, Some(&grafana)).await.unwrap();
        let path = [name, "client-scopes"];
        let scopes = admin.get(&path, &[]).await.unwrap();
        let scope = scopes
            .as_array()
            .unwrap()
            .iter()
            .find(|scope| scope["name"] == "groups")
            .unwrap();
        let mut mapper = scope["protocolMappers"][0].clone();
        mapper["config"]["full.path"] = json!("true");
        let path = [
            name,
            "client-scopes",
            id(scope),
            "protocol-mappers",
            "models",
            id(&mapper),
        ];
        admin.put(&path, Some(&mapper)).await.unwrap();
        let path = [name, "identity-provider", "instances", "github"];
        let mut provider = admin.get(&path, &[]).await.unwrap();
        provider["config"]["syncMode"] = json!("FORCE");
        admin.put(&path, Some(&provider)).await.unwrap();
        let groups = admin
            .get(&[name, "groups"], &[("briefRepresentation", "false")])
            .await
            .unwrap();
        let mut group = groups[0].clone();
        group["description"] = json!("changed by hand");
        group["attributes"]["colour"] = json!(["blue"]);
        admin
            .put(&[name, "groups", id(&group)], Some(&group))
            .await
            .unwrap();

        let done = make(servers, &admin, &realm).await;
        assert_eq!(
            done,
            [
                "Update mapper groups of client scope groups",
                "Update identity provider github",
                "Update client grafana",
                &format!("Update group {ADMINS}")
            ]
        );
        let after = client(&admin, name, "grafana").await;
        assert_eq!(after["baseUrl"], "https://monitoring.prod.lab.test/");
        assert_eq!(
            client_secret(&admin, name, "grafana").await.unwrap().expose(),
            secret.expose()
        );
        let after = admin.get(&[name, "groups", id(&group)], &[]).await.unwrap();
        assert_eq!(after["attributes"]["colour"], json!(["blue"]));
        admin.delete(&[name], None).await.unwrap();
    });
}

/// Leaving, renaming, strangers, marks on users, pruning.
pub(crate) fn members_come_and_go(lab: &Lab) {
    block_on(async {
        let servers = &Servers::without_logins(lab);
        let name = "kit-members";
        let admin = fresh(servers, name).await;
        let mut realm = servers.realm(name);
        make(servers, &admin, &realm).await;
        let eve = json!({"username": "eve", "enabled": true});
        let eve = admin.post(&[name, "users"], &eve).await.unwrap().unwrap();
        let groups = admin.get(&[name, "groups"], &[]).await.unwrap();
        let viewers = groups
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["name"] == VIEWERS)
            .unwrap();
        admin
            .put(&[name, "users", &eve, "groups", id(viewers)], None)
            .await
            .unwrap();

        realm.members[0] = member("Ada-Renamed", 101, &[VIEWERS]);
        realm.members.truncate(1);
        let done = make(servers, &admin, &realm).await;
        assert!(done.contains(&"Update user ada".to_owned()), "{done:?}");
        assert!(
            done.contains(&format!("Delete member ada of group {ADMINS}")),
            "{done:?}"
        );
        assert!(
            done.contains(&format!("Delete member bo of group {VIEWERS}")),
            "{done:?}"
        );
        let path = [name, "groups", id(viewers), "members"];
        let members = admin.get(&path, &[]).await.unwrap();
        let names: Vec<&str> = members
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|user| user["username"].as_str())
            .collect();
        assert_eq!(names, ["ada-renamed", "eve"]);

        let (owner, fingerprint) = (owner(), servers.fingerprint(&realm));
        let wanted = Wanted {
            realm: &realm,
            owner: &owner,
            provider_secret: &fingerprint,
            part: None,
        };
        let (observed, plan) = look(&admin, &wanted, Prune::Keep).await.unwrap();
        assert!(plan.is_empty());
        let strangers = strangers(&wanted, &observed);
        let by_hand: Vec<&str> = strangers.changes().map(|change| change.object.as_str()).collect();
        assert_eq!(by_hand, [format!("member eve of group {VIEWERS}")]);
        conflicts_need_a_person(servers, &admin, &realm).await;

        admin
            .post(&[name, "groups"], &json!({"name": "by-hand"}))
            .await
            .unwrap();
        realm.groups.remove(0);
        realm.clients.remove(0);
        let done = make_with(servers, &admin, &realm, Prune::Delete).await;
        assert_eq!(
            done,
            [
                format!("Delete role admin of client grafana for group {ADMINS}"),
                format!("Delete role viewer of client grafana for group {ADMINS}"),
                format!("Delete role viewer of client grafana for group {VIEWERS}"),
                format!("Delete member eve of group {VIEWERS}"),
                format!("Delete group {ADMINS}"),
                "Delete client grafana".to_owned()
            ]
        );
        admin.delete(&[name], None).await.unwrap();
    });
}

/// A login that somebody else registered again inherits nothing, and two environments don't share an object.
async fn conflicts_need_a_person(servers: &Servers<'_>, admin: &Admin, realm: &Realm) {
    let fingerprint = servers.fingerprint(realm);
    let mut stolen = realm.clone();
    stolen.members[0].id = 999;
    let owner = owner();
    let wanted = Wanted {
        realm: &stolen,
        owner: &owner,
        provider_secret: &fingerprint,
        part: None,
    };
    let (observed, _) = look(admin, &wanted, Prune::Keep).await.unwrap();
    let told = loopholes(&wanted, &observed);
    assert!(told.len() == 1 && told[0].contains("ada-renamed"), "{told:?}");
    let other = EnvironmentName::new("other").unwrap();
    let wanted = Wanted {
        realm,
        owner: &other,
        provider_secret: &fingerprint,
        part: None,
    };
    let error = look(admin, &wanted, Prune::Keep).await.unwrap_err();
    let KeycloakError::Conflicts { conflicts, .. } = error else {
        panic!("{error}")
    };
    assert!(conflicts.len() > 5, "{conflicts:?}");
}

/// An object that was made by hand is adopted, and its optional scope becomes a default one.
pub(crate) fn what_is_in_the_way_is_adopted(lab: &Lab) {
    block_on(async {
        let servers = &Servers::without_logins(lab);
        let name = "kit-adopt";
        let admin = fresh(servers, name).await;
        admin
            .post(&[], &json!({"realm": name, "enabled": true}))
            .await
            .unwrap();
        admin
            .post(
                &[name, "client-scopes"],
                &json!({"name": "groups", "protocol": "openid-connect"}),
            )
            .await
            .unwrap();
        let by_hand =
            json!({"clientId": "kubectl", "publicClient": true, "optionalClientScopes": ["groups"]});
        admin.post(&[name, "clients"], &by_hand).await.unwrap();
        let realm = servers.realm(name);
        let (owner, fingerprint) = (owner(), servers.fingerprint(&realm));
        let wanted = Wanted {
            realm: &realm,
            owner: &owner,
            provider_secret: &fingerprint,
            part: None,
        };
        let (_, plan) = look(&admin, &wanted, Prune::Keep).await.unwrap();
        let adopted = plan.changes().filter(|change| change.action == Action::Adopt);
        let adopted: Vec<&str> = adopted.map(|change| change.object.as_str()).collect();
        assert_eq!(adopted, ["realm", "client scope groups", "client kubectl"]);
        make(servers, &admin, &realm).await;
        let scopes = client(&admin, name, "kubectl").await["defaultClientScopes"].clone();
        assert!(scopes.as_array().unwrap().contains(&json!("groups")), "{scopes}");
        admin.delete(&[name], None).await.unwrap();
    });
}

/// A wrong password is told as such.
pub(crate) fn a_wrong_administrator_password_is_named(lab: &Lab) {
    block_on(async {
        let servers = &Servers::without_logins(lab);
        let wrong = Admin::new(
            lab.endpoint("keycloak"),
            "admin",
            Secret::new("wrong"),
            Some(&authority(lab)),
        )
        .unwrap();
        let error = wrong.check_answers().await.unwrap_err();
        assert!(matches!(error, KeycloakError::Login { .. }), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
        servers.admin().check_answers().await.unwrap();
    });
}

/// A declared person logs in at the forge and arrives with groups and without any further page; somebody unknown
/// gets no group; a wrong password is refused by the forge and told so.
pub(crate) fn people_log_in_by_the_forge(lab: &Lab) {
    block_on(async {
        let (application, servers) = Servers::with_logins(lab).await;
        let servers = &servers;
        let admin = fresh(servers, LOGIN_REALM).await;
        let mut realm = servers.realm(LOGIN_REALM);
        realm.members = vec![member(DECLARED, DECLARED_ID, &[ADMINS])];
        make(servers, &admin, &realm).await;

        let tokens = log_in(servers, DECLARED, None).await.unwrap();
        let claims = tokens.claims().unwrap();
        assert_eq!(claims["preferred_username"], DECLARED);
        assert_eq!(claims["groups"], json!([ADMINS]));
        assert_eq!(claims["iss"], admin.issuer(LOGIN_REALM));
        assert_eq!(claims["aud"], "kubectl");
        assert_eq!(
            make(servers, &admin, &realm).await,
            Vec::<String>::new(),
            "a login is no drift"
        );

        let tokens = log_in(servers, UNKNOWN, None).await.unwrap();
        assert_eq!(tokens.claims().unwrap().get("groups"), None);
        let error = log_in(servers, DECLARED, Some("wrong")).await.unwrap_err();
        assert!(matches!(error, LoginError::Password { .. }), "{error}");

        // A changed field of the provider must not lose its secret, which nobody can read: only a login shows it.
        let path = [LOGIN_REALM, "identity-provider", "instances", "github"];
        let mut provider = admin.get(&path, &[]).await.unwrap();
        provider["config"]["syncMode"] = json!("FORCE");
        admin.put(&path, Some(&provider)).await.unwrap();
        assert_eq!(
            make(servers, &admin, &realm).await,
            ["Update identity provider github"]
        );
        log_in(servers, DECLARED, None).await.unwrap();
        somebody_else_changes_the_secret(servers, &admin, &realm).await;
        admin.delete(&[LOGIN_REALM], None).await.unwrap();
        forge(
            lab,
            Method::DELETE,
            &format!("{APPLICATIONS}/{application}"),
            &Value::Null,
        )
        .await;
    });
}

/// Nobody can read the secret, so that one is written again where another administrator changed the provider last.
async fn somebody_else_changes_the_secret(servers: &Servers<'_>, admin: &Admin, realm: &Realm) {
    let password = json!([{"type": "password", "value": "of another administrator", "temporary": false}]);
    let user = json!({"username": "another", "enabled": true, "credentials": password});
    let id = admin.post(&["master", "users"], &user).await.unwrap().unwrap();
    let role = admin.get(&["master", "roles", "admin"], &[]).await.unwrap();
    let path = ["master", "users", &id, "role-mappings", "realm"];
    admin.post(&path, &json!([role])).await.unwrap();
    let another = Admin::new(
        servers.lab.endpoint("keycloak"),
        "another",
        Secret::new("of another administrator"),
        Some(&authority(servers.lab)),
    )
    .unwrap();
    let path = [LOGIN_REALM, "identity-provider", "instances", "github"];
    let mut provider = another.get(&path, &[]).await.unwrap();
    provider["config"]["clientSecret"] = json!("a guess");
    another.put(&path, Some(&provider)).await.unwrap();
    log_in(servers, DECLARED, None).await.unwrap_err();

    assert_eq!(
        make(servers, admin, realm).await,
        ["Update identity provider github"]
    );
    log_in(servers, DECLARED, None).await.unwrap();
    assert_eq!(make(servers, admin, realm).await, Vec::<String>::new());
    admin.delete(&["master", "users", &id], None).await.unwrap();
}

async fn log_in(servers: &Servers<'_>, person: &str, password: Option<&str>) -> Result<Tokens, LoginError> {
    let lab = servers.lab;
    let password = password.map_or_else(|| secret(lab, &format!("forge-password-{person}")), str::to_owned);
    login(&LoginRequest {
        issuer: servers.admin().issuer(LOGIN_REALM),
        client_id: "kubectl".into(),
        redirect_uri: REDIRECT.into(),
        provider: "github".into(),
        forge: lab.endpoint("forge").to_owned(),
        person: person.to_owned(),
        password: Secret::new(password),
        authority: Some(authority(lab)),
    })
    .await
}
