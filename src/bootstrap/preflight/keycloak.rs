//! Checks of Keycloak, and who is at hand to administer it.

use super::check::{Check, CheckId};
use super::{Accounts, Looked};
use crate::config::{self, Administrator};
use crate::secret::Secret;
use crate::surface::keycloak::{Admin, Credentials, KeycloakError, rotation};

const REMEDY: &str = "check identity.url and identity.admin in environment.yaml";
const RIGHTS_REMEDY: &str = "give the account of identity.admin the role `admin` of realm master";
const BOOTSTRAP_REMEDY: &str = "set what identity.admin.bootstrap names to an administrator of realm master, who makes the service \
                                account anew: `kc.sh bootstrap-admin user` makes one";

type Identity = config::Identity<String, Secret>;
type Connected = Looked<(Admin, Option<Accounts>)>;

/// Connects as whoever can administer the realm; asks nothing where the realm is not needed.
pub(super) async fn look(identity: &Identity, is_needed: bool) -> Connected {
    let id = CheckId::KeycloakAnswers;
    let authority = match &identity.certificate_authority {
        None => None,
        Some(path) => match fs_err::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                return Looked::without(Check::by_error(
                    id,
                    &error,
                    "put the certificate there, or correct identity.certificateAuthority in environment.yaml",
                ));
            }
        },
    };
    let connect = |credentials| Admin::with(&identity.url, credentials, authority.as_deref());
    if !is_needed {
        let credentials = match &identity.admin {
            config::Admin::User(user) => of_user(user),
            config::Admin::Account {
                client_id,
                client_secret,
                ..
            } => Credentials::Account {
                client_id: client_id.clone(),
                secret: client_secret.clone(),
            },
        };
        return match connect(credentials) {
            Ok(admin) => Looked::with((admin, None), Vec::new()),
            Err(error) => Looked::without(Check::by_error(id, &error, REMEDY)),
        };
    }
    let connected = match &identity.admin {
        config::Admin::User(user) => {
            connect(of_user(user)).map(|admin| Box::pin(as_user(admin, identity, None)))
        }
        config::Admin::Account { .. } => return as_account(identity, &connect).await,
    };
    match connected {
        Ok(looked) => looked.await,
        Err(error) => Looked::without(Check::by_error(id, &error, REMEDY)),
    }
}

fn of_user(user: &Administrator<String, Secret>) -> Credentials {
    Credentials::User {
        name: user.username.clone(),
        password: user.password.clone(),
    }
}

async fn as_user(admin: Admin, identity: &Identity, accounts: Option<Accounts>) -> Connected {
    let id = CheckId::KeycloakAnswers;
    let checks = match admin.check_answers().await {
        Ok(()) => {
            let rights = admin.check_rights(&identity.realm).await;
            let rights = Check::of(CheckId::KeycloakRights, rights, RIGHTS_REMEDY);
            let features = features(&admin, identity).await;
            [Check::passed(id), rights].into_iter().chain(features).collect()
        }
        Err(error) => unanswered(error, REMEDY),
    };
    Looked::with((admin, accounts), checks)
}

/// Whether Keycloak keeps old secrets for a while, where that is declared.
async fn features(admin: &Admin, identity: &Identity) -> Option<Check> {
    identity.client_secret_grace?;
    let id = CheckId::KeycloakFeatures;
    Some(match rotation::is_supported(admin).await {
        Ok(true) => Check::passed(id),
        Ok(false) => Check::failed(
            id,
            "identity.clientSecretGrace is declared, and this Keycloak does not keep old secrets",
            "start it with --features=client-secret-rotation (on by default from 26.8), or leave the key out",
        ),
        Err(error) => Check::by_error(id, &error, REMEDY),
    })
}

fn unanswered(error: KeycloakError, remedy: &str) -> Vec<Check> {
    let reason = "Keycloak's administration does not answer";
    vec![
        Check::by_stage(CheckId::KeycloakAnswers, error, remedy),
        Check::not_asked(CheckId::KeycloakRights, reason),
    ]
}

/// As the service account where it may do what it is for, or else as the administrator who makes it, where that one is at
/// hand.
async fn as_account(
    identity: &Identity,
    connect: &(dyn Fn(Credentials) -> Result<Admin, KeycloakError> + Sync),
) -> Connected {
    let config::Admin::Account {
        client_id,
        client_secret,
        bootstrap,
    } = &identity.admin
    else {
        return Looked::without(Check::not_asked(
            CheckId::KeycloakAnswers,
            "no account is declared",
        ));
    };
    let account = Credentials::Account {
        client_id: client_id.clone(),
        secret: client_secret.clone(),
    };
    let connected = || {
        let user = bootstrap.as_ref().map(|user| connect(of_user(user)));
        Ok::<_, KeycloakError>((connect(account.clone())?, user.transpose()?))
    };
    let ((service, user), (again, user_again)) = match (connected(), connected()) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => {
            return Looked::without(Check::by_error(CheckId::KeycloakAnswers, &error, REMEDY));
        }
    };
    // One whose login is refused has gone, as it should.
    let administrator = match user {
        Some(user) => user.check_answers().await.is_ok().then_some(user),
        None => None,
    };
    let is_at_hand = administrator.is_some();
    let accounts = Some(Accounts {
        service: again,
        administrator,
    });
    let works = async {
        service.check_answers().await?;
        service.check_rights(&identity.realm).await
    };
    match (works.await, user_again) {
        (Ok(()), _) => {
            let checks = [CheckId::KeycloakAnswers, CheckId::KeycloakRights];
            let features = features(&service, identity).await;
            let checks = checks.map(Check::passed).into_iter().chain(features).collect();
            Looked::with((service, accounts), checks)
        }
        (Err(_), Some(user)) if is_at_hand => as_user(user, identity, accounts).await,
        (Err(error @ KeycloakError::Forbidden { .. }), _) => {
            let checks = vec![
                Check::passed(CheckId::KeycloakAnswers),
                Check::by_error(CheckId::KeycloakRights, &error, BOOTSTRAP_REMEDY),
            ];
            Looked::with((service, accounts), checks)
        }
        (Err(error), _) => Looked::with((service, accounts), unanswered(error, BOOTSTRAP_REMEDY)),
    }
}
