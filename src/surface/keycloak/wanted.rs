//! The desired realm in Keycloak's words: for each object the fields lotse decides, and nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::mark::{self, CLIENT, FINGERPRINT, Fingerprint, ID, NAME};
use super::object::{KeycloakOperation, Object, Relation};
use super::rotation;
use crate::desired::identity::{self, ClientKind, IdentityProvider, Member, Realm};
use crate::names::EnvironmentName;

/// The client scope that carries the groups, and the claim it makes.
pub const GROUPS_SCOPE: &str = "groups";
/// The claim with the roles a person has in the client that asked.
pub const ROLES_CLAIM: &str = "roles";

/// What the forge, Keycloak and the mapper between them call an address for mail.
const MAIL: &str = "email";

/// Scopes of a program on a person's machine: who it is and its groups.
pub(super) const PUBLIC_SCOPES: [&str; 4] = ["basic", "profile", "email", GROUPS_SCOPE];
/// Scopes of a server: what Keycloak gives every client, and the groups.
const CONFIDENTIAL_SCOPES: [&str; 7] = [
    "web-origins",
    "acr",
    "roles",
    "profile",
    "basic",
    "email",
    GROUPS_SCOPE,
];

/// What should be in a realm, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'desired> {
    /// The desired realm.
    pub realm: &'desired identity::Realm,
    /// The environment whose mark everything carries.
    pub owner: &'desired EnvironmentName,
    /// Fingerprint of the identity provider's client secret, see [`Wanted::fingerprint`].
    pub provider_secret: &'desired Fingerprint,
    /// What alone is looked at; `None` for the whole realm.
    pub part: Option<&'desired Part>,
}

/// A part of a realm: what belongs to some applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Client ids of their clients.
    pub clients: BTreeSet<String>,
    /// Names of groups by which people have grants of their own there.
    pub groups: BTreeSet<String>,
    /// User names of these people.
    pub users: BTreeSet<String>,
}

impl Part {
    /// Whether a step is about the part.
    pub(super) fn has(&self, operation: &KeycloakOperation) -> bool {
        if let Some(client) = operation.client() {
            return self.clients.contains(client);
        }
        match operation {
            KeycloakOperation::Attach(relation) | KeycloakOperation::Detach(relation) => match relation {
                Relation::Membership { group, .. } => self.groups.contains(group),
                Relation::Link { user, .. } => self.users.contains(user),
                _ => false,
            },
            _ => match operation.object() {
                Some(Object::Group(group)) => self.groups.contains(group),
                Some(Object::User(user)) => self.users.contains(user),
                _ => false,
            },
        }
    }
}

impl Wanted<'_> {
    /// The fingerprint of the secret of `provider` in the environment `owner`.
    #[must_use]
    pub fn fingerprint(
        secret: &crate::secret::Secret,
        owner: &EnvironmentName,
        provider: &IdentityProvider,
    ) -> Fingerprint {
        Fingerprint::of(secret, owner, &Object::Provider(provider.alias.clone()))
    }
}

/// User names by the numeric id at the forge: the present ones of existing accounts, otherwise the declared ones.
pub(super) type Accounts = BTreeMap<u64, String>;

/// All wanted objects with the fields lotse decides. `null` means that the field must be absent. The ledger of
/// members is not among the groups' fields: when it is written depends on what was observed.
pub(super) fn objects(wanted: &Wanted<'_>, accounts: &Accounts) -> BTreeMap<Object, Value> {
    let realm = wanted.realm;
    let mut objects = BTreeMap::from([
        (Object::Realm, realm_fields(realm)),
        (Object::UserProfile, user_profile()),
        (Object::ClientPolicies, rotation::policies(realm, wanted.owner)),
        (Object::Scope(GROUPS_SCOPE.into()), groups_scope()),
        (groups_mapper_key(), groups_mapper()),
        (
            Object::Provider(realm.github.alias.clone()),
            provider(&realm.github, wanted.provider_secret),
        ),
        (mail_mapper_key(&realm.github), mail_mapper(&realm.github)),
    ]);
    for group in &realm.groups {
        objects.insert(Object::Group(group.name.clone()), group_fields(group));
    }
    for member in &realm.members {
        if let Some(account) = accounts.get(&member.id) {
            objects.insert(Object::User(account.clone()), user(member));
        }
    }
    for client in &realm.clients {
        objects.extend(client_objects(client));
    }
    objects
        .into_iter()
        .map(|(object, fields)| {
            let marked = mark::marked(&object, fields, wanted.owner);
            (object, marked)
        })
        .collect()
}

/// All relations that should hold, of members who have an account.
pub(super) fn relations(realm: &identity::Realm, accounts: &Accounts) -> BTreeSet<Relation> {
    let mut relations = BTreeSet::new();
    for member in &realm.members {
        let Some(user) = accounts.get(&member.id) else {
            continue;
        };
        relations.insert(Relation::Link {
            user: user.clone(),
            provider: realm.github.alias.clone(),
            id: member.id.to_string(),
        });
        relations.extend(member.groups.iter().map(|group| Relation::Membership {
            user: user.clone(),
            group: group.clone(),
        }));
    }
    for client in &realm.clients {
        relations.extend(default_scopes(client).iter().map(|scope| Relation::DefaultScope {
            client: client.client_id.clone(),
            scope: (*scope).to_owned(),
        }));
        for (role, groups) in &client.roles {
            relations.extend(groups.iter().map(|group| Relation::RoleMapping {
                client: client.client_id.clone(),
                role: role.clone(),
                group: group.clone(),
            }));
        }
    }
    relations
}

/// What is wanted of the required actions: those that are declared are for everybody who is new, and no other is. Which
/// others there are is known from the server; what is not declared at all is left to it.
pub(super) fn required_actions<'seen>(
    realm: &'seen Realm,
    seen: impl Iterator<Item = &'seen Object>,
) -> BTreeMap<Object, Value> {
    let (mut wanted, rest): (BTreeMap<Object, Value>, Vec<&Object>) = closed(seen);
    let Some(declared) = &realm.required_actions else {
        return wanted;
    };
    let others = rest
        .into_iter()
        .filter(|object| matches!(object, Object::RequiredAction(_)));
    wanted.extend(others.map(|object| (object.clone(), json!({ "defaultAction": false }))));
    wanted.extend(declared.iter().map(|alias| {
        let fields = json!({ "enabled": true, "defaultAction": true });
        (Object::RequiredAction(alias.clone()), fields)
    }));
    wanted
}

/// By these, people give themselves a way in past the forge.
const OWN_WAYS_IN: [&str; 2] = ["UPDATE_PASSWORD", "webauthn-register-passwordless"];

/// The actions that are closed, and all other objects.
fn closed<'seen>(seen: impl Iterator<Item = &'seen Object>) -> (BTreeMap<Object, Value>, Vec<&'seen Object>) {
    let is_own_way = |object: &Object| match object {
        Object::RequiredAction(alias) => OWN_WAYS_IN.contains(&alias.as_str()),
        _ => false,
    };
    let (closed, rest): (Vec<&Object>, Vec<&Object>) = seen.partition(|object| is_own_way(object));
    let closed = closed.into_iter().map(|object| {
        let fields = json!({ "enabled": false, "defaultAction": false });
        (object.clone(), fields)
    });
    (closed.collect(), rest)
}

/// User names of the declared members of each declared group, as far as they have an account.
pub(super) fn ledgers<'realm>(
    realm: &'realm identity::Realm,
    accounts: &Accounts,
) -> BTreeMap<&'realm str, BTreeSet<String>> {
    let mut ledgers: BTreeMap<&str, BTreeSet<String>> = realm
        .groups
        .iter()
        .map(|group| (group.name.as_str(), BTreeSet::new()))
        .collect();
    let members = realm.members.iter();
    for member in members.filter(|member| accounts.contains_key(&member.id)) {
        for group in &member.groups {
            ledgers.entry(group).or_default().insert(user_name(member));
        }
    }
    ledgers
}

/// The name of a member's account: Keycloak keeps user names in lower case.
pub(super) fn user_name(member: &Member) -> String {
    member.login.to_lowercase()
}

/// What only the creation of an object says: an administrator may change it later, or it has an endpoint of its own.
pub(super) fn at_creation(object: &Object, realm: &identity::Realm) -> Value {
    match object {
        Object::User(name) => realm
            .members
            .iter()
            .find(|member| user_name(member) == *name)
            .map_or(Value::Null, |member| new_user(member, &realm.github.alias)),
        Object::Client(id) => realm
            .clients
            .iter()
            .find(|client| client.client_id == *id)
            .map_or(
                Value::Null,
                |client| json!({ "enabled": true, "defaultClientScopes": default_scopes(client) }),
            ),
        _ => Value::Null,
    }
}

/// The account is linked in the same request, so that there is no moment in which somebody else could claim it.
fn new_user(member: &Member, provider: &str) -> Value {
    json!({
        "enabled": true,
        "federatedIdentities": [{
            "identityProvider": provider,
            "userId": member.id.to_string(),
            "userName": member.login,
        }],
    })
}

/// People log in by the forge alone: nobody registers, and nobody asks for a password of their own. `editUsernameAllowed` lets administrators follow a login that was renamed at the forge; the user profile keeps
/// users themselves from it.
fn realm_fields(realm: &Realm) -> Value {
    let mut fields = json!({
        "realm": realm.name,
        "enabled": true,
        "sslRequired": "external",
        "registrationAllowed": false,
        "resetPasswordAllowed": false,
        "editUsernameAllowed": true,
        "bruteForceProtected": true,
        "eventsEnabled": true,
        "adminEventsEnabled": true,
        "adminEventsDetailsEnabled": true,
    });
    let sessions = [
        ("accessTokenLifespan", realm.sessions.token),
        ("ssoSessionIdleTimeout", realm.sessions.idle),
        ("ssoSessionMaxLifespan", realm.sessions.longest),
    ];
    for (key, seconds) in sessions {
        if let Some(seconds) = seconds {
            fields[key] = seconds.into();
        }
    }
    fields
}

/// Marks on users persist (attributes the profile does not declare are dropped silently otherwise), short logins
/// are allowed, nobody renames themselves, and a prepared account is complete without an e-mail address: the first
/// login shows no page that asks for one.
fn user_profile() -> Value {
    json!({
        "unmanagedAttributePolicy": "ADMIN_EDIT",
        "attributes": {
            "username": {
                "validations": { "length": { "min": 1 } },
                "permissions": { "edit": ["admin"] },
            },
            "email": { "required": null },
            "firstName": { "required": null },
            "lastName": { "required": null },
        },
    })
}

fn groups_scope() -> Value {
    json!({
        "name": GROUPS_SCOPE,
        "description": "Names of the groups a person is in",
        "protocol": "openid-connect",
        "attributes": { "include.in.token.scope": "true", "display.on.consent.screen": "false" },
    })
}

fn groups_mapper_key() -> Object {
    Object::ScopeMapper {
        scope: GROUPS_SCOPE.into(),
        mapper: GROUPS_SCOPE.into(),
    }
}

/// Without `full.path: false` every group would arrive with a leading slash.
fn groups_mapper() -> Value {
    json!({
        "name": GROUPS_SCOPE,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {
            "claim.name": GROUPS_SCOPE,
            "full.path": "false",
            "multivalued": "true",
            "id.token.claim": "true",
            "access.token.claim": "true",
            "userinfo.token.claim": "true",
            "introspection.token.claim": "true",
        },
    })
}

/// `syncMode: IMPORT` keeps the names that people.yaml gives to the people. An address for mail that a forge shows is no proof
/// of who somebody is (`trustEmail`), and nobody needs the forge's tokens here (`storeToken`).
fn provider(provider: &IdentityProvider, secret: &Fingerprint) -> Value {
    json!({
        "alias": provider.alias,
        "providerId": "github",
        "enabled": true,
        "trustEmail": false,
        "storeToken": false,
        "addReadTokenRoleOnCreate": false,
        "config": {
            "clientId": provider.client_id,
            "baseUrl": provider.base_url,
            "apiUrl": provider.api_url,
            "syncMode": "IMPORT",
            FINGERPRINT: secret.to_string(),
        },
    })
}

fn mail_mapper_key(provider: &IdentityProvider) -> Object {
    Object::ProviderMapper {
        provider: provider.alias.clone(),
        mapper: MAIL.into(),
    }
}

/// Applications ask for an address for mail; people's accounts are made before they log in and have none. It is that
/// which a person shows at the forge, at each login.
fn mail_mapper(provider: &IdentityProvider) -> Value {
    json!({
        "name": MAIL,
        "identityProviderAlias": provider.alias,
        "identityProviderMapper": "github-user-attribute-mapper",
        "config": { "syncMode": "FORCE", "jsonField": MAIL, "userAttribute": MAIL },
    })
}

fn group_fields(group: &identity::Group) -> Value {
    json!({ "name": group.name, "description": group.description })
}

/// What Keycloak takes for no part of a person's name (`PersonNameProhibitedCharactersValidator`).
const NOT_IN_NAMES: &str = "<>&\"$%!#?\u{a7};*~/\\|^=[]{}()";

fn user(member: &Member) -> Value {
    let full_name = member.name.replace(|letter| NOT_IN_NAMES.contains(letter), " ");
    let full_name = full_name.split_whitespace().collect::<Vec<_>>().join(" ");
    let (first, last) = match full_name.rsplit_once(' ') {
        Some((first, last)) => (first, Some(last)),
        None => (full_name.as_str(), None),
    };
    let name = user_name(member);
    let attributes = json!({ NAME: [name], ID: [member.id.to_string()] });
    json!({ "username": name, "firstName": first, "lastName": last, "attributes": attributes })
}

fn client_objects(client: &identity::Client) -> Vec<(Object, Value)> {
    let id = &client.client_id;
    let mut objects = vec![(Object::Client(id.clone()), client_fields(client))];
    objects.extend(client.roles.keys().map(|role| {
        let key = Object::Role {
            client: id.clone(),
            role: role.clone(),
        };
        (key, json!({ "name": role }))
    }));
    if !client.roles.is_empty() {
        let key = Object::ClientMapper {
            client: id.clone(),
            mapper: ROLES_CLAIM.into(),
        };
        objects.push((key, roles_mapper(id)));
    }
    objects
}

/// `fullScopeAllowed: false` keeps the roles a person has elsewhere out of this client's tokens.
fn client_fields(client: &identity::Client) -> Value {
    let is_public = matches!(client.kind, ClientKind::Public);
    let mut fields = json!({
        "clientId": client.client_id,
        "description": client.description,
        "protocol": "openid-connect",
        "publicClient": is_public,
        "standardFlowEnabled": true,
        "implicitFlowEnabled": false,
        "directAccessGrantsEnabled": false,
        "serviceAccountsEnabled": false,
        "fullScopeAllowed": false,
        "redirectUris": client.redirect_uris,
        "webOrigins": ["+"],
        "attributes": { CLIENT: client.client_id },
    });
    if is_public {
        fields["attributes"]["pkce.code.challenge.method"] = json!("S256");
    }
    fields
}

/// The person's roles in this client as a flat list: applications such as Grafana read it.
fn roles_mapper(client_id: &str) -> Value {
    json!({
        "name": ROLES_CLAIM,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-usermodel-client-role-mapper",
        "config": {
            "claim.name": ROLES_CLAIM,
            "jsonType.label": "String",
            "multivalued": "true",
            "usermodel.clientRoleMapping.clientId": client_id,
            "id.token.claim": "true",
            "access.token.claim": "true",
            "userinfo.token.claim": "true",
            "introspection.token.claim": "true",
        },
    })
}

const fn default_scopes(client: &identity::Client) -> &'static [&'static str] {
    match client.kind {
        ClientKind::Public => &PUBLIC_SCOPES,
        ClientKind::Confidential { .. } => &CONFIDENTIAL_SCOPES,
    }
}
