//! The proof from Git alone: what would hold, were every system as declared.

use jiff::civil::Date;

use super::{Asked, Chain, Claimant, Hop, Step, StepOutcome, binds, broken, claimants, holds};
use crate::config::{Declarations, EnvironmentOutline};
use crate::desired::{Desired, Manifest};

/// What Git has to say about.
const HOPS: [Hop; 4] = [Hop::Grant, Hop::Link, Hop::Group, Hop::Binding];

/// Follows every chain through what is declared and rendered. Asks no system.
#[must_use]
pub fn prove_offline(
    declarations: &Declarations,
    environment: &EnvironmentOutline,
    asked: &Asked,
    today: Date,
) -> Vec<Chain> {
    let desired = Desired::build(declarations, environment, today);
    let bindings: Vec<Manifest> = desired
        .delivered()
        .filter(|manifest| manifest.kind() == "RoleBinding")
        .collect();
    let organisation = &environment.identity.github.organisation;
    let look = |claimant: &Claimant<'_>, hop| match hop {
        Hop::Grant => claimant.granted(today),
        Hop::Link => claimant.known(),
        Hop::Group => {
            let group = claimant.group(organisation);
            let members = desired.realm.members.iter();
            let is_in = members
                .filter(|member| Some(member.id) == claimant.person.and_then(|person| person.id))
                .any(|member| member.groups.contains(&group));
            if is_in {
                holds(group)
            } else {
                broken(
                    format!("{} is not in {group}", claimant.login),
                    "add them to the team in people.yaml",
                )
            }
        }
        _ => {
            let name = claimant.subject(organisation);
            let app = &claimant.app.name;
            let found = bindings.iter().find(|binding| {
                binding.namespace() == Some(app.as_str())
                    && binds(binding.value(), &claimant.grant.role, &name)
            });
            match found {
                Some(binding) => holds(binding.to_string()),
                None => broken(
                    format!("nothing that is rendered binds {name} in {app}"),
                    format!("`lotse render {}` writes it", environment.name),
                ),
            }
        }
    };
    let claimants = claimants(declarations, asked);
    claimants
        .iter()
        .map(|claimant| {
            let mut chain = claimant.chain();
            for hop in HOPS {
                let outcome = look(claimant, hop);
                let is_broken = matches!(outcome, StepOutcome::Broken { .. });
                chain.steps.push(Step { hop, outcome });
                if is_broken {
                    break;
                }
            }
            chain
        })
        .collect()
}
