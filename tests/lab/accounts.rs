//! The service account of Keycloak's administration, and the administrator who is only there for a beginning.

use lotse::secret::Secret;
use lotse::surface::keycloak::{Admin, Credentials, KeycloakError};
use serde_json::{Value, json};

use crate::kit::{Lab, Ran, block_on, run};
use crate::systems::{Checkout, authority, keycloak, settled};

const ENVIRONMENT: &str = "environments/lab/environment.yaml";
const USER: &str = "    username: {env: LOTSE_LAB_KEYCLOAK_ADMIN_USERNAME}\n    password: {env: \
                    LOTSE_LAB_KEYCLOAK_ADMIN_PASSWORD}\n";
const ACCOUNT: &str = "    clientId: lotse\n    clientSecret: {env: ACCOUNT_SECRET}\n    bootstrap: {username: starter, \
                       password: {env: STARTER_PASSWORD}}\n";
const SECRET: &str = "the-account-of-lotse-1";
const PASSWORD: &str = "starts-the-realm-1";
const ROLES: [&str; 5] = [
    "manage-clients",
    "manage-identity-providers",
    "manage-realm",
    "manage-users",
    "view-events",
];

pub(crate) fn an_account_takes_the_place_of_the_administrator(lab: &Lab) {
    let admin = keycloak(lab);
    let scope = block_on(make_scope(&admin));
    block_on(make_starter(&admin));
    let checkout = Checkout::copy(lab);
    checkout.replace(ENVIRONMENT, USER, ACCOUNT);
    let lotse = |arguments: &[&str], variables: &[(&str, &str)]| -> Ran {
        let mut command = lab.world.command(arguments);
        let ran = run(checkout.enter(&mut command).envs(variables.iter().copied()));
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(SECRET) && !text.contains(PASSWORD), "{text}");
        }
        ran
    };
    let both = [("ACCOUNT_SECRET", SECRET), ("STARTER_PASSWORD", PASSWORD)];
    let alone = [("ACCOUNT_SECRET", SECRET)];
    let drift = ["plan", "lab", "--detailed-exitcode"];

    let plan = lotse(&["plan", "lab"], &both).success();
    for change in [
        "+ service account lotse of realm master",
        "+ scope kc-admin-api of service account lotse of realm master",
        "~ roles of service account lotse of realm master in realm scs",
        "- temporary administrator starter of realm master",
    ] {
        assert!(plan.contains(change), "{change}\n{plan}");
    }
    let told = lotse(&["bootstrap", "lab"], &both);
    assert!(
        told.stderr
            .contains("temporary administrator starter of realm master removed"),
        "{}",
        told.stderr
    );
    told.success();
    assert!(block_on(find_user(&admin, "starter")).is_none());
    assert_eq!(block_on(roles(&admin)), ROLES);
    let client = block_on(find_client(&admin, "lotse"));
    let scopes = client["defaultClientScopes"].as_array().unwrap();
    assert!(scopes.contains(&json!("kc-admin-api")), "{scopes:?}");
    // What names the administrator need not be set any more, and may as well stay.
    for variables in [&alone[..], &both] {
        lotse(&drift, variables).success();
    }
    block_on(may_no_more_than_it_needs(lab));

    // By its own rights it puts back what others change.
    let edited = json!({"bruteForceProtected": false});
    block_on(admin.put(&["scs"], Some(&edited))).unwrap();
    assert_eq!(lotse(&drift, &alone).code, Some(5));
    lotse(&["bootstrap", "lab"], &alone).success();
    lotse(&drift, &alone).success();

    let wrong = lotse(
        &["preflight", "lab", "--only", "keycloak-answers"],
        &[("ACCOUNT_SECRET", "wrong")],
    );
    assert_eq!(wrong.code, Some(7), "{}", wrong.stdout);
    assert!(
        wrong.stdout.contains("identity.admin.bootstrap"),
        "{}",
        wrong.stdout
    );

    // More rights than it needs are told, and taken away by an administrator; so is another secret.
    block_on(assign(&admin, "impersonation"));
    let told = lotse(&["bootstrap", "lab"], &alone);
    assert!(
        told.stderr
            .contains("may do more than it needs (scs-realm/impersonation)"),
        "{}",
        told.stderr
    );
    block_on(make_starter(&admin));
    let rotated = [("ACCOUNT_SECRET", "the-next-account-of-lotse-2"), both[1]];
    lotse(&["bootstrap", "lab"], &rotated).success();
    assert_eq!(block_on(roles(&admin)), ROLES);
    lotse(&drift, &rotated[..1]).success();

    block_on(async {
        make_starter(&admin).await;
        let client = find_client(&admin, "lotse").await;
        let path = ["master", "clients", text(&client, "id")];
        let foreign = json!({"clientId": "lotse", "attributes": {"lotse.owner": "another"}});
        admin.put(&path, Some(&foreign)).await.unwrap();
    });
    let refused = lotse(&["plan", "lab"], &rotated);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(
        refused
            .stderr
            .contains("was not made by lotse for this environment"),
        "{}",
        refused.stderr
    );

    block_on(forget(&admin, &scope));
    settled(lab);
}

async fn forget(admin: &Admin, scope: &str) {
    let client = find_client(admin, "lotse").await;
    admin
        .delete(&["master", "clients", text(&client, "id")], None)
        .await
        .unwrap();
    admin
        .delete(&["master", "client-scopes", scope], None)
        .await
        .unwrap();
    let starter = find_user(admin, "starter").await.unwrap();
    admin
        .delete(&["master", "users", text(&starter, "id")], None)
        .await
        .unwrap();
}

/// An administrator as Keycloak makes one at its first start: an import takes its mark, which the form of users leaves out.
async fn make_starter(admin: &Admin) {
    let user = json!({
        "username": "starter", "enabled": true, "realmRoles": ["admin"],
        "email": "starter@lab.test", "firstName": "S", "lastName": "T",
        "attributes": {"is_temporary_admin": ["true"]},
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": false}],
    });
    let import = json!({"ifResourceExists": "FAIL", "users": [user]});
    admin.post(&["master", "partialImport"], &import).await.unwrap();
}

/// The scope that newer versions of Keycloak want in every token for their administration.
async fn make_scope(admin: &Admin) -> String {
    let scope = json!({"name": "kc-admin-api", "protocol": "openid-connect"});
    let path = ["master", "client-scopes"];
    admin.post(&path, &scope).await.unwrap().unwrap()
}

async fn may_no_more_than_it_needs(lab: &Lab) {
    let credentials = Credentials::Account {
        client_id: "lotse".into(),
        secret: Secret::new(SECRET),
    };
    let account = Admin::with(lab.endpoint("keycloak"), credentials, Some(&authority(lab))).unwrap();
    account.get(&["scs", "users"], &[("max", "1")]).await.unwrap();
    let is_refused =
        |error: KeycloakError| assert!(matches!(error, KeycloakError::Forbidden { .. }), "{error}");
    is_refused(account.get(&["master", "users"], &[]).await.unwrap_err());
    is_refused(account.post(&[], &json!({"realm": "more"})).await.unwrap_err());
    let starter = find_user(&keycloak(lab), "admin").await.unwrap();
    let path = ["master", "users", text(&starter, "id")];
    is_refused(account.delete(&path, None).await.unwrap_err());
}

async fn find_user(admin: &Admin, name: &str) -> Option<Value> {
    let filter = [("username", name), ("exact", "true")];
    let found = admin.get(&["master", "users"], &filter).await.unwrap();
    found.as_array().unwrap().first().cloned()
}

async fn find_client(admin: &Admin, client_id: &str) -> Value {
    let found = admin
        .get(&["master", "clients"], &[("clientId", client_id)])
        .await
        .unwrap();
    found[0].clone()
}

fn text<'value>(value: &'value Value, key: &str) -> &'value str {
    value[key].as_str().unwrap()
}

/// Ids of the user behind the account, and of the client whose roles are rights in the realm.
async fn places(admin: &Admin) -> (String, String) {
    let account = find_client(admin, "lotse").await;
    let path = ["master", "clients", text(&account, "id"), "service-account-user"];
    let user = admin.get(&path, &[]).await.unwrap();
    let rights = find_client(admin, "scs-realm").await;
    (text(&user, "id").to_owned(), text(&rights, "id").to_owned())
}

async fn roles(admin: &Admin) -> Vec<String> {
    let (user, rights) = places(admin).await;
    let path = ["master", "users", &user, "role-mappings", "clients", &rights];
    let mapped = admin.get(&path, &[]).await.unwrap();
    let mut names: Vec<String> = mapped
        .as_array()
        .unwrap()
        .iter()
        .map(|role| text(role, "name").to_owned())
        .collect();
    names.sort();
    names
}

async fn assign(admin: &Admin, role: &str) {
    let (user, rights) = places(admin).await;
    let found = admin
        .get(&["master", "clients", &rights, "roles", role], &[])
        .await
        .unwrap();
    let path = ["master", "users", &user, "role-mappings", "clients", &rights];
    admin.post(&path, &json!([found])).await.unwrap();
}
