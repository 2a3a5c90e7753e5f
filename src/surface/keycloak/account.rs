//! The service account by which lotse administers one realm: a client of the realm master that may do what that realm
//! needs, and no more. It is made by an administrator of realm master, for whom there is nothing to do afterwards: one
//! that is only there for a beginning goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Admin, KeycloakError, OWNER, Object};
use crate::names::EnvironmentName;
use crate::plan::{Action, Change, FieldChange, Plan};
use crate::secret::Secret;

/// The realm whose accounts administer others.
const MASTER: &str = "master";
/// What a realm takes of its administrator (Keycloak, `AdminRoles`): no rights to act for persons, none in other realms.
const ROLES: [&str; 5] = [
    "manage-realm",
    "manage-clients",
    "manage-users",
    "manage-identity-providers",
    "view-events",
];
/// Scope of tokens for the administration interface, where Keycloak has it (26.8.2 and newer; its `MigrateTo26_8_2`).
const ADMINISTRATION: &str = "kc-admin-api";
/// User attribute of an administrator that Keycloak made at its first start (Keycloak 26, `IS_TEMP_ADMIN_ATTR_NAME`).
const TEMPORARY: &str = "is_temporary_admin";

/// The account as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct ServiceAccount<'declared> {
    /// Its client id.
    pub client_id: &'declared str,
    /// Its secret.
    pub secret: &'declared Secret,
    /// The realm that it administers.
    pub realm: &'declared str,
    /// The environment whose mark it carries.
    pub owner: &'declared EnvironmentName,
}

/// One thing that an administrator does for the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountOperation {
    /// Makes the client.
    Make,
    /// Gives the client with this id the declared secret and settings.
    Mend(String),
    /// Gives the client's tokens the scope with this id, without which the administration interface takes none of them.
    Scope(String),
    /// Gives the client these roles of the realm, and takes others away.
    Assign {
        /// Roles that it lacks.
        missing: BTreeSet<String>,
        /// Roles that it has beyond what it needs.
        surplus: BTreeSet<String>,
    },
    /// Removes the temporary administrator with this id, who is oneself.
    Leave(String),
}

/// Finds out what an administrator would do for the account. Changes nothing.
///
/// # Errors
/// [`KeycloakError::NotOurs`] where a client of that name is somebody else's.
pub async fn plan(
    administrator: &Admin,
    wanted: &ServiceAccount<'_>,
) -> Result<Plan<AccountOperation>, KeycloakError> {
    let object = format!("service account {} of realm {MASTER}", wanted.client_id);
    let mut plan = Plan::empty();
    let found = client(administrator, wanted.client_id).await?;
    let id = found.as_ref().and_then(|client| client["id"].as_str());
    match (&found, id) {
        (Some(client), Some(id)) => {
            if client["attributes"][OWNER] != wanted.owner.as_str() {
                return Err(KeycloakError::NotOurs {
                    client: wanted.client_id.to_owned(),
                });
            }
            let fields = differences(administrator, (client, id), wanted).await?;
            if !fields.is_empty() {
                plan.push(
                    Action::Update,
                    &object,
                    fields,
                    AccountOperation::Mend(id.to_owned()),
                );
            }
        }
        _ => plan.push(Action::Create, &object, Vec::new(), AccountOperation::Make),
    }
    if let Some(scope) = scope(administrator).await? {
        let given = found
            .as_ref()
            .and_then(|client| client["defaultClientScopes"].as_array());
        if !given.is_some_and(|scopes| scopes.iter().any(|scope| scope == ADMINISTRATION)) {
            let object = format!("scope {ADMINISTRATION} of {object}");
            plan.push(Action::Create, object, Vec::new(), AccountOperation::Scope(scope));
        }
    }
    let has = match id {
        Some(id) => roles(administrator, id, wanted.realm).await?,
        None => BTreeSet::new(),
    };
    let needs: BTreeSet<String> = ROLES.map(str::to_owned).into();
    if has != needs {
        let listed = |roles: &BTreeSet<String>| roles.iter().cloned().collect::<Vec<_>>().join(", ");
        let field = FieldChange {
            path: "roles".to_owned(),
            before: (!has.is_empty()).then(|| listed(&has)),
            after: Some(listed(&needs)),
        };
        let operation = AccountOperation::Assign {
            missing: &needs - &has,
            surplus: &has - &needs,
        };
        let object = format!("roles of {object} in realm {}", wanted.realm);
        plan.push(Action::Update, object, vec![field], operation);
    }
    if let Some((id, name)) = temporary(administrator).await? {
        let object = format!("temporary administrator {name} of realm {MASTER}");
        plan.push(Action::Delete, object, Vec::new(), AccountOperation::Leave(id));
    }
    Ok(plan)
}

/// Carries the plan out, for a realm that is there. The temporary administrator goes last, and only when the account has
/// shown that it may do all that it is for.
///
/// # Errors
/// When Keycloak does not do it. The same call goes on from there.
pub async fn establish(
    administrator: &Admin,
    account: &Admin,
    wanted: &ServiceAccount<'_>,
) -> Result<Plan<AccountOperation>, KeycloakError> {
    let plan = plan(administrator, wanted).await?;
    for step in &plan.steps {
        match &step.operation {
            AccountOperation::Make => {
                administrator
                    .post(&[MASTER, "clients"], &representation(wanted))
                    .await?;
            }
            AccountOperation::Mend(id) => {
                let path = [MASTER, "clients", id];
                administrator.put(&path, Some(&representation(wanted))).await?;
            }
            AccountOperation::Scope(scope) => {
                let id = id_of(administrator, wanted.client_id).await?;
                let path = [MASTER, "clients", &id, "default-client-scopes", scope];
                administrator.put(&path, None).await?;
            }
            AccountOperation::Assign { missing, surplus } => {
                assign(administrator, wanted, (missing, surplus)).await?;
            }
            AccountOperation::Leave(id) => {
                account.check_rights(wanted.realm).await?;
                administrator.delete(&[MASTER, "users", id], None).await?;
            }
        }
    }
    account.check_rights(wanted.realm).await?;
    Ok(plan)
}

/// What the account may do beyond what `realm` needs of it, by what its own token says.
///
/// # Errors
/// When there is no token.
pub async fn surplus(account: &Admin, realm: &str) -> Result<Vec<String>, KeycloakError> {
    let claims = account.claims().await?;
    let names = |roles: &Value| -> Vec<String> {
        let roles = roles.as_array().into_iter().flatten();
        roles
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect()
    };
    let of_master = names(&claims["realm_access"]["roles"]);
    // What every account of realm master has.
    let usual = ["default-roles-master", "offline_access", "uma_authorization"];
    let of_master = of_master
        .into_iter()
        .filter(|role| !usual.contains(&role.as_str()));
    let clients = claims["resource_access"].as_object().into_iter().flatten();
    let of_clients = clients
        .filter(|(client, _)| *client != "account")
        .flat_map(|(client, access)| {
            let is_own = *client == administration(realm);
            let roles = names(&access["roles"]).into_iter();
            let more = roles.filter(move |role| !is_own || !ROLES.contains(&role.as_str()));
            more.map(move |role| format!("{client}/{role}"))
        });
    Ok(of_master.chain(of_clients).collect())
}

/// The client of realm master whose roles are rights in another realm.
fn administration(realm: &str) -> String {
    format!("{realm}-realm")
}

fn representation(wanted: &ServiceAccount<'_>) -> Value {
    json!({
        "clientId": wanted.client_id,
        "name": "lotse",
        "description": format!("Administers the realm {}", wanted.realm),
        "secret": wanted.secret.expose(),
        "enabled": true,
        "publicClient": false,
        "bearerOnly": false,
        "serviceAccountsEnabled": true,
        "standardFlowEnabled": false,
        "implicitFlowEnabled": false,
        "directAccessGrantsEnabled": false,
        "attributes": { OWNER: wanted.owner.as_str() },
    })
}

async fn client(administrator: &Admin, client_id: &str) -> Result<Option<Value>, KeycloakError> {
    let found = administrator
        .get(&[MASTER, "clients"], &[("clientId", client_id)])
        .await?;
    let found = found.as_array().and_then(|clients| clients.first());
    Ok(found.cloned())
}

async fn id_of(administrator: &Admin, client_id: &str) -> Result<String, KeycloakError> {
    let found = client(administrator, client_id).await?;
    let id = found.and_then(|client| client["id"].as_str().map(str::to_owned));
    id.ok_or_else(|| KeycloakError::Absent {
        object: Object::Client(client_id.to_owned()),
    })
}

/// Id of the scope of tokens for the administration interface, where there is one.
async fn scope(administrator: &Admin) -> Result<Option<String>, KeycloakError> {
    let scopes = administrator.get(&[MASTER, "client-scopes"], &[]).await?;
    let mut scopes = scopes.as_array().into_iter().flatten();
    let found = scopes.find(|scope| scope["name"] == ADMINISTRATION);
    Ok(found.and_then(|scope| scope["id"].as_str().map(str::to_owned)))
}

/// Settings that differ; the secret only says that it does.
async fn differences(
    administrator: &Admin,
    (client, id): (&Value, &str),
    wanted: &ServiceAccount<'_>,
) -> Result<Vec<FieldChange>, KeycloakError> {
    let desired = representation(wanted);
    let desired = desired.as_object().into_iter().flatten();
    let differing = desired.filter(|(key, value)| {
        !matches!(key.as_str(), "secret" | "attributes") && client[key.as_str()] != **value
    });
    let mut fields: Vec<FieldChange> = differing
        .map(|(key, value)| FieldChange {
            path: key.clone(),
            before: Some(client[key.as_str()].to_string()),
            after: Some(value.to_string()),
        })
        .collect();
    let path = [MASTER, "clients", id, "client-secret"];
    let kept = administrator.get(&path, &[]).await?;
    if kept["value"] != wanted.secret.expose() {
        let masked = || Some("***".to_owned());
        fields.push(FieldChange {
            path: "secret".to_owned(),
            before: masked(),
            after: masked(),
        });
    }
    Ok(fields)
}

/// The roles of `realm` that the service account of a client has.
async fn roles(administrator: &Admin, id: &str, realm: &str) -> Result<BTreeSet<String>, KeycloakError> {
    let Some(of_realm) = client(administrator, &administration(realm)).await? else {
        return Ok(BTreeSet::new());
    };
    let (Some(of_realm), user) = (of_realm["id"].as_str(), user(administrator, id).await?) else {
        return Ok(BTreeSet::new());
    };
    let path = [MASTER, "users", &user, "role-mappings", "clients", of_realm];
    let mapped = administrator.get(&path, &[]).await?;
    let mapped = mapped.as_array().into_iter().flatten();
    Ok(mapped
        .filter_map(|role| role["name"].as_str().map(str::to_owned))
        .collect())
}

/// The id of the user behind a service account.
async fn user(administrator: &Admin, id: &str) -> Result<String, KeycloakError> {
    let user = administrator
        .get(&[MASTER, "clients", id, "service-account-user"], &[])
        .await?;
    let user = user["id"].as_str().map(str::to_owned);
    user.ok_or_else(|| KeycloakError::Answer {
        request: "GET service-account-user".to_owned(),
        missing: "id",
    })
}

async fn assign(
    administrator: &Admin,
    wanted: &ServiceAccount<'_>,
    (missing, surplus): (&BTreeSet<String>, &BTreeSet<String>),
) -> Result<(), KeycloakError> {
    let account = id_of(administrator, wanted.client_id).await?;
    let of_realm = id_of(administrator, &administration(wanted.realm)).await?;
    let user = user(administrator, &account).await?;
    let all = administrator
        .get(&[MASTER, "clients", &of_realm, "roles"], &[])
        .await?;
    let chosen = |names: &BTreeSet<String>| -> Value {
        let all = all.as_array().into_iter().flatten();
        all.filter(|role| role["name"].as_str().is_some_and(|name| names.contains(name)))
            .cloned()
            .collect()
    };
    let path = [MASTER, "users", &user, "role-mappings", "clients", &of_realm];
    if !missing.is_empty() {
        administrator.post(&path, &chosen(missing)).await?;
    }
    if !surplus.is_empty() {
        administrator.delete(&path, Some(&chosen(surplus))).await?;
    }
    Ok(())
}

/// Id and name of the administrator, where Keycloak says that it is only there for a beginning.
async fn temporary(administrator: &Admin) -> Result<Option<(String, String)>, KeycloakError> {
    let name = administrator.user();
    let filter = [("username", name.as_str()), ("exact", "true")];
    let found = administrator.get(&[MASTER, "users"], &filter).await?;
    let is_temporary = found[0]["attributes"][TEMPORARY][0] == "true";
    let id = found[0]["id"].as_str().filter(|_| is_temporary);
    Ok(id.map(|id| (id.to_owned(), name)))
}

/// What the plan says, for people.
pub fn in_words(plan: &Plan<AccountOperation>) -> impl Iterator<Item = String> {
    plan.changes().map(|change: &Change| {
        let verb = match change.action {
            Action::Create => "made",
            Action::Update | Action::Adopt => "mended",
            Action::Delete => "removed",
        };
        format!("{} {verb}", change.object)
    })
}
