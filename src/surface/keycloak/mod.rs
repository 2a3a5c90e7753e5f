//! Keycloak: realm, identity provider, groups, members, clients. Same four doors as every surface:
//! [`Wanted`] (from the pure desired realm) → [`observe()`] → [`plan()`] → [`apply()`]; [`converge`] walks through
//! all of them and looks again.
//!
//! Nothing is written that does not differ, nothing is removed that lotse did not make, and no secret is in a plan.

pub mod account;
mod apply;
mod attribution;
pub mod backup;
mod client;
mod error;
mod fields;
mod keyed;
mod loopholes;
mod mark;
mod object;
mod observe;
mod plan;
pub mod rotation;
mod standing;
mod wanted;

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod plan_tests;

use std::time::Duration;

use serde_json::Value;

pub use apply::apply;
pub use attribution::{attribute, secret_giver};
pub use client::{Admin, Credentials, issuer};
pub use error::{Conflict, KeycloakError};
pub use fields::Difference;
pub use loopholes::loopholes;
pub use mark::{CLIENT, FINGERPRINT, Fingerprint, ID, MEMBERS, NAME, OWNER};
pub use object::{KeycloakOperation, Object, Relation};
pub use observe::{ObservedRealm, observe};
pub use plan::{Prune, left_out, plan, strangers, undeclared};
pub use standing::{Standing, example_token, standing};
pub use wanted::{GROUPS_SCOPE, Part, ROLES_CLAIM, Wanted};

use crate::plan::{Change, Plan};
use crate::secret::Secret;

/// Makes the realm what is wanted and makes sure that it stayed so. Returns what was done: an empty plan when
/// nothing was to be done, in which case nothing but reading happened.
pub async fn converge(
    admin: &Admin,
    wanted: &Wanted<'_>,
    provider_secret: &Secret,
    prune: Prune,
) -> Result<Plan<KeycloakOperation>, KeycloakError> {
    let (observed, plan) = look(admin, wanted, prune).await?;
    carry_out(admin, wanted, provider_secret, prune, (&observed, &plan)).await?;
    Ok(plan)
}

/// How often a plan is made anew since somebody else made an object at the same time. It may be oneself: Keycloak goes on
/// with a request whose sender was killed, and a realm takes it some seconds.
const RACES: usize = 5;
const AFTER_A_RACE: Duration = Duration::from_secs(1);

/// Carries out a plan that [`look`] gave together with what it saw, and makes sure that the realm stayed so. Does
/// nothing where the plan is empty. Plans anew where an object came to be meanwhile.
pub async fn carry_out(
    admin: &Admin,
    wanted: &Wanted<'_>,
    provider_secret: &Secret,
    prune: Prune,
    (observed, plan): (&ObservedRealm, &Plan<KeycloakOperation>),
) -> Result<(), KeycloakError> {
    if plan.is_empty() {
        return Ok(());
    }
    let mut outcome = apply(admin, observed, plan, provider_secret).await;
    for _ in 0..RACES {
        match &outcome {
            Err(error) if error.is_race() => {
                tracing::info!(%error, "somebody else was at it: looking again");
                tokio::time::sleep(AFTER_A_RACE).await;
                let (observed, plan) = look(admin, wanted, prune).await?;
                outcome = apply(admin, &observed, &plan, provider_secret).await;
            }
            _ => break,
        }
    }
    outcome?;
    let (seen, mut rest) = look(admin, wanted, prune).await?;
    if !observed.exists() && !rest.is_empty() {
        // What a new realm brings with it was not there to be planned for.
        apply(admin, &seen, &rest, provider_secret).await?;
        (_, rest) = look(admin, wanted, prune).await?;
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(KeycloakError::NotKept {
        realm: wanted.realm.name.clone(),
        objects: rest.changes().map(with_fields).collect(),
    })
}

/// `client grafana (redirectUris)`
fn with_fields(change: &Change) -> String {
    let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
    if fields.is_empty() {
        return change.object.clone();
    }
    format!("{} ({})", change.object, fields.join(", "))
}

/// Observes the realm and plans, without changing anything.
pub async fn look(
    admin: &Admin,
    wanted: &Wanted<'_>,
    prune: Prune,
) -> Result<(ObservedRealm, Plan<KeycloakOperation>), KeycloakError> {
    let before = admin.requests();
    let observed = Box::pin(observe(admin, wanted.realm)).await?;
    let mut plan = plan(wanted, &observed, prune).map_err(|conflicts| KeycloakError::Conflicts {
        realm: wanted.realm.name.clone(),
        conflicts,
    })?;
    if let Some(part) = wanted.part {
        plan.steps.retain(|step| part.has(&step.operation));
    }
    let objects = observed.objects.len();
    let requests = admin.requests() - before;
    tracing::info!(
        realm = wanted.realm.name,
        objects,
        requests,
        "compared with Keycloak"
    );
    plan.log();
    Ok((observed, plan))
}

/// Reads the secret of a confidential client, for carrying it to the application.
pub async fn client_secret(admin: &Admin, realm: &str, client_id: &str) -> Result<Secret, KeycloakError> {
    let absent = || KeycloakError::Absent {
        object: Object::Client(client_id.to_owned()),
    };
    let found = admin.get(&[realm, "clients"], &[("clientId", client_id)]).await?;
    let id = found[0]["id"].as_str().ok_or_else(absent)?;
    let path = [realm, "clients", id, "client-secret"];
    let answer = admin.get(&path, &[]).await?;
    match &answer["value"] {
        Value::String(value) => Ok(Secret::new(value.as_str())),
        _ => Err(KeycloakError::Answer {
            request: format!("GET client secret of {client_id}"),
            missing: "value; is it a confidential client?",
        }),
    }
}
