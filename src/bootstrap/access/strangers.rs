//! People whom somebody put into a group of the realm by hand: they have what the group has, and nothing declares it.

use super::{Asked, Chain, Hop, Step, broken};
use crate::bootstrap::preflight::Systems;
use crate::bootstrap::{Bootstrap, StageError, identity};
use crate::config::Subject;
use crate::desired::group_of;
use crate::names::Login;
use crate::surface::keycloak::{self, KeycloakOperation, Relation};

/// A chain for each grant that they have by a group, broken at its first hop.
pub(super) async fn strangers(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    asked: &Asked,
) -> Result<Vec<Chain>, StageError> {
    let fingerprint = identity::fingerprint(bootstrap);
    let wanted = identity::wanted(bootstrap, &fingerprint, None);
    let observed = Box::pin(keycloak::observe(&systems.keycloak, wanted.realm)).await?;
    let strangers = identity::strangers(systems, &wanted, &observed).await?;
    let mut chains = Vec::new();
    for step in &strangers.steps {
        if let KeycloakOperation::Detach(Relation::Membership { user, group }) = &step.operation
            && asked.is_about(user)
        {
            let by = step.change.by.as_ref().map(|by| format!(" ({by})"));
            let by = by.unwrap_or_default();
            chains.extend(of_group(bootstrap, asked, (user, group), &by));
        }
    }
    Ok(chains)
}

/// What the members of a group have.
fn of_group(bootstrap: &Bootstrap<'_>, asked: &Asked, (user, group): (&str, &str), by: &str) -> Vec<Chain> {
    let organisation = &bootstrap.environment.identity.github.organisation;
    let environment = &bootstrap.environment.name;
    let mut chains = Vec::new();
    for app in bootstrap
        .declarations
        .apps
        .iter()
        .filter(|app| asked.has(&app.name))
    {
        for grant in app.access.iter().filter(|grant| grant.holds_on(bootstrap.today)) {
            if group_of(organisation, &grant.subject) != group {
                continue;
            }
            let team = match &grant.subject {
                Subject::Team(team) => Some(team.to_string()),
                Subject::Person(_) => None,
            };
            let outcome = broken(
                format!("nothing declares it: {user} was put into the group {group} by hand{by}"),
                format!(
                    "`lotse apply {environment} --prune` takes them out; who is to stay is to be declared"
                ),
            );
            chains.push(Chain {
                person: user.to_owned(),
                app: app.name.to_string(),
                role: grant.role.clone(),
                team,
                steps: vec![Step {
                    hop: Hop::Grant,
                    outcome,
                }],
            });
        }
    }
    chains
}

impl Asked {
    fn is_about(&self, user: &str) -> bool {
        let mut people = self.people.iter().map(Login::folded);
        self.people.is_empty() || people.any(|login| login == user)
    }
}
