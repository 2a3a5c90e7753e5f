//! The proof asked of every system. Where somebody can be logged in from here, with their own token; else with what
//! Keycloak says a token of theirs would hold, and the API server about whoever has such a token.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::strangers::strangers;
use super::{
    Asked, CLIENT, Chain, Claimant, Hop, Step, StepOutcome, binds, broken, claimants, holds, not_asked,
};
use crate::bootstrap::cluster::{self, Workload};
use crate::bootstrap::preflight::{self, Systems};
use crate::bootstrap::proof::{Probe, accepted};
use crate::bootstrap::{Bootstrap, BootstrapError, Scope, Stage, StageError};
use crate::desired::OIDC_PREFIX;
use crate::kubernetes::Cluster;
use crate::names::Login;
use crate::report::{Reporter, Task};
use crate::secret::Secret;
use crate::surface::keycloak::{self, Standing};
use crate::surface::workload::{self, Identity, Question};

/// Follows every chain through the systems as they are. Who has access by a group that somebody put them into by hand has a
/// chain too, which is broken at its first hop.
///
/// # Errors
/// When a system can't be asked at all; a hop that is broken is none.
pub async fn prove_access(
    bootstrap: &Bootstrap<'_>,
    asked: &Asked,
    reporter: &dyn Reporter,
) -> Result<Vec<Chain>, BootstrapError> {
    let failed = |source: StageError| BootstrapError::at_once(Stage::Proof, source);
    let systems = preflight::connect(bootstrap, &Scope::default(), reporter)
        .await
        .map_err(failed)?;
    let workload = cluster::connect(bootstrap, &systems).await.map_err(failed)?;
    let task = Task::start(reporter, "proof", "what people may do");
    let mut proof = Proof {
        bootstrap,
        systems: &systems,
        workload: &workload,
        task: &task,
        people: BTreeMap::new(),
    };
    let mut chains = Vec::new();
    for claimant in claimants(bootstrap.declarations, asked) {
        chains.push(proof.follow(&claimant).await.map_err(failed)?);
    }
    chains.extend(strangers(bootstrap, &systems, asked).await.map_err(failed)?);
    task.finish(match chains.len() {
        1 => "1 chain followed".to_owned(),
        many => format!("{many} chains followed"),
    });
    Ok(chains)
}

/// So long the API server is asked again. Nothing was changed here that it could still be about to take up.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// What is known of a person, asked once.
#[derive(Clone)]
struct Known {
    standing: Option<Standing>,
    /// What a token says, and the token itself where they could be logged in.
    token: Option<Result<Token, String>>,
    /// As whom the API server knows the bearer.
    identity: Option<Result<Identity, String>>,
}

#[derive(Clone)]
struct Token {
    claims: Value,
    real: Option<Secret>,
}

struct Proof<'work> {
    bootstrap: &'work Bootstrap<'work>,
    systems: &'work Systems,
    workload: &'work Workload,
    task: &'work Task<'work>,
    people: BTreeMap<String, Known>,
}

impl Proof<'_> {
    async fn follow(&mut self, claimant: &Claimant<'_>) -> Result<Chain, StageError> {
        let mut chain = claimant.chain();
        for hop in Hop::ALL {
            let outcome = self.look(claimant, hop).await?;
            let is_broken = matches!(outcome, StepOutcome::Broken { .. });
            chain.steps.push(Step { hop, outcome });
            if is_broken {
                break;
            }
        }
        Ok(chain)
    }

    async fn look(&mut self, claimant: &Claimant<'_>, hop: Hop) -> Result<StepOutcome, StageError> {
        let organisation = &self.bootstrap.environment.identity.github.organisation;
        let group = claimant.group(organisation);
        Ok(match hop {
            Hop::Grant => claimant.granted(self.bootstrap.today),
            Hop::Link => self.link(claimant).await?,
            Hop::User => self.user(claimant).await?,
            Hop::Group => self.group(claimant, &group).await?,
            Hop::Claim => self.claim(claimant, &group).await?,
            Hop::Prefix => self.prefix(claimant, &group).await?,
            Hop::Binding => self.binding(claimant).await?,
            Hop::Allowed => self.allowed(claimant).await?,
            Hop::Forbidden => self.forbidden(claimant).await?,
        })
    }

    async fn link(&mut self, claimant: &Claimant<'_>) -> Result<StepOutcome, StageError> {
        let known = claimant.known();
        if matches!(known, StepOutcome::Broken { .. }) {
            return Ok(known);
        }
        Ok(match &self.known(claimant).await?.standing {
            Some(_) => known,
            None => broken(
                format!(
                    "no user of the realm is linked to the account of {} at the forge",
                    claimant.login
                ),
                self.apply("keycloak"),
            ),
        })
    }

    async fn user(&mut self, claimant: &Claimant<'_>) -> Result<StepOutcome, StageError> {
        let known = self.known(claimant).await?;
        let wanted = claimant.login.folded();
        Ok(match &known.standing {
            Some(user) if !user.is_enabled => broken(
                format!("the user {} is disabled", user.username),
                "somebody disabled them in Keycloak's console: enable them there, or take them out of people.yaml",
            ),
            Some(user) if user.has_own_way_in => broken(
                format!(
                    "the user {} has a password or a key of their own, and can log in without the forge",
                    user.username
                ),
                "delete it in Keycloak's console (the user's credentials), and look who set it",
            ),
            Some(user) if user.username != wanted => broken(
                format!("the linked user is called {}, not {wanted}", user.username),
                "a login was renamed at the forge: correct it in people.yaml",
            ),
            Some(user) => holds(user.username.clone()),
            None => not_asked("there is no user"),
        })
    }

    async fn group(&mut self, claimant: &Claimant<'_>, group: &str) -> Result<StepOutcome, StageError> {
        let remedy = self.apply("keycloak");
        let known = self.known(claimant).await?;
        let is_in = known
            .standing
            .as_ref()
            .is_some_and(|user| user.groups.iter().any(|name| name == group));
        Ok(if is_in {
            holds(group)
        } else {
            broken(format!("{} is not in the group {group}", claimant.login), remedy)
        })
    }

    async fn claim(&mut self, claimant: &Claimant<'_>, group: &str) -> Result<StepOutcome, StageError> {
        let remedy = self.apply("keycloak");
        let token = match self.token(claimant).await? {
            Ok(token) => token,
            Err(reason) => {
                let problem = format!("{} can't log in: {reason}", claimant.login);
                return Ok(broken(problem, remedy));
            }
        };
        let user = claimant.login.folded();
        let groups = token.claims["groups"].as_array().cloned().unwrap_or_default();
        if token.claims["preferred_username"] != user.as_str() {
            let problem = format!("tokens for {CLIENT} do not say preferred_username {user}");
            return Ok(broken(problem, remedy));
        }
        let how = if token.real.is_some() {
            "in their token"
        } else {
            "in a token of theirs"
        };
        Ok(if groups.iter().any(|name| name == group) {
            holds(format!("{group} {how}"))
        } else {
            broken(
                format!("the claim groups of tokens for {CLIENT} has no {group}"),
                remedy,
            )
        })
    }

    async fn prefix(&mut self, claimant: &Claimant<'_>, group: &str) -> Result<StepOutcome, StageError> {
        let remedy = "the API server was told otherwise: `lotse apply ENVIRONMENT --target management`"
            .replace("ENVIRONMENT", self.bootstrap.environment.name.as_str());
        let identity = match self.identity(claimant).await? {
            None => return Ok(not_asked("nobody can be logged in from here")),
            Some(Ok(identity)) => identity,
            Some(Err(reason)) => {
                return Ok(broken(
                    format!("the API server does not accept the token: {reason}"),
                    remedy,
                ));
            }
        };
        let user = format!("{OIDC_PREFIX}{}", claimant.login.folded());
        let wanted = format!("{OIDC_PREFIX}{group}");
        if identity.username != user {
            let problem = format!("the API server knows them as {}, not {user}", identity.username);
            return Ok(broken(problem, remedy));
        }
        Ok(if identity.groups.contains(&wanted) {
            holds(format!("{user}, {wanted}"))
        } else {
            broken(format!("the API server does not see the group {wanted}"), remedy)
        })
    }

    async fn binding(&self, claimant: &Claimant<'_>) -> Result<StepOutcome, StageError> {
        let organisation = &self.bootstrap.environment.identity.github.organisation;
        let name = claimant.subject(organisation);
        let app = claimant.app.name.as_str();
        let bindings = self
            .workload
            .cluster
            .list("rbac.authorization.k8s.io/v1", "RoleBinding", Some(app), "")
            .await?;
        let found = bindings
            .iter()
            .find(|binding| binds(&binding.data, &claimant.grant.role, &name));
        Ok(match found {
            Some(binding) => {
                let binding = binding.metadata.name.clone().unwrap_or_default();
                holds(format!("RoleBinding/{app}/{binding}"))
            }
            None => broken(
                format!("no RoleBinding in {app} gives {} to {name}", claimant.grant.role),
                self.apply("workload"),
            ),
        })
    }

    async fn allowed(&mut self, claimant: &Claimant<'_>) -> Result<StepOutcome, StageError> {
        let Some(question) = self
            .question(&claimant.grant.role, claimant.app.name.as_str())
            .await?
        else {
            return Ok(not_asked(format!(
                "the role {} allows nothing",
                claimant.grant.role
            )));
        };
        let what = told(&question);
        Ok(if self.may(claimant, &question).await? {
            holds(what)
        } else {
            broken(
                format!("they may not {what}"),
                format!(
                    "look at ClusterRole/{}: does it have the rules that it should?",
                    claimant.grant.role
                ),
            )
        })
    }

    /// In the first application where they hold nothing; where there is none, Flux's Secrets.
    async fn forbidden(&mut self, claimant: &Claimant<'_>) -> Result<StepOutcome, StageError> {
        let elsewhere = self.bootstrap.declarations.apps.iter().find(|app| {
            let people = &self.bootstrap.declarations.people;
            let mut grants = app
                .access
                .iter()
                .filter(|grant| grant.holds_on(self.bootstrap.today));
            grants.all(|grant| !grant.subject.includes(claimant.login, people))
        });
        let question = match elsewhere {
            Some(app) => self.question(&claimant.grant.role, app.name.as_str()).await?,
            None => None,
        };
        let question = question.unwrap_or_else(|| Question {
            verb: "get".to_owned(),
            group: String::new(),
            resource: "secrets".to_owned(),
            namespace: Some(workload::FLUX_NAMESPACE.to_owned()),
        });
        let what = told(&question);
        Ok(if self.may(claimant, &question).await? {
            let namespace = question.namespace.unwrap_or_default();
            broken(
                format!("they may {what}, which nothing declares"),
                format!(
                    "`kubectl get rolebindings -n {namespace} -o wide` and `kubectl get clusterrolebindings -o wide` show by \
                     what: remove it, or declare it"
                ),
            )
        } else {
            holds(format!("may not {what}"))
        })
    }

    /// Something that the role allows.
    async fn question(&self, role: &str, namespace: &str) -> Result<Option<Question>, StageError> {
        if let Some(probe) = Probe::of_role(role) {
            return Ok(Some(probe.question(namespace)));
        }
        let reference =
            crate::kubernetes::ObjectReference::new("rbac.authorization.k8s.io/v1", "ClusterRole", role);
        let found = self.workload.cluster.read(&reference).await?;
        let first_rule = found
            .map(|role| role.data["rules"][0].clone())
            .unwrap_or_default();
        let first = |key: &str| first_rule[key][0].as_str().map(str::to_owned);
        let (Some(verb), Some(resource)) = (first("verbs"), first("resources")) else {
            return Ok(None);
        };
        let group = first("apiGroups").unwrap_or_default();
        Ok(Some(Question {
            verb,
            group,
            resource,
            namespace: Some(namespace.to_owned()),
        }))
    }

    /// By their own token where there is one; else as Kubernetes sees whoever has their name and groups.
    async fn may(&mut self, claimant: &Claimant<'_>, question: &Question) -> Result<bool, StageError> {
        let token = self.token(claimant).await?.ok();
        if let Some(token) = token.and_then(|token| token.real) {
            let cluster = self.as_bearer(&token).await?;
            return Ok(workload::can(&cluster, claimant.login.as_str(), question).await?);
        }
        let known = self.known(claimant).await?;
        let groups = known
            .standing
            .as_ref()
            .map(|user| user.groups.clone())
            .unwrap_or_default();
        let identity = Identity {
            username: format!("{OIDC_PREFIX}{}", claimant.login.folded()),
            groups: groups
                .iter()
                .map(|group| format!("{OIDC_PREFIX}{group}"))
                .collect(),
        };
        Ok(workload::may(&self.workload.cluster, &identity, question).await?)
    }

    async fn as_bearer(&self, token: &Secret) -> Result<Cluster, StageError> {
        let kubeconfig = self.workload.kubeconfig.expose();
        Ok(Cluster::as_bearer(kubeconfig, "the cluster's kubeconfig", token).await?)
    }

    async fn known(&mut self, claimant: &Claimant<'_>) -> Result<&mut Known, StageError> {
        let vacant = match self.people.entry(claimant.login.folded()) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let realm = &self.bootstrap.desired.realm;
        let standing = match claimant.person.and_then(|person| person.id) {
            Some(id) => {
                keycloak::standing(&self.systems.keycloak, &realm.name, (&realm.github.alias, id)).await?
            }
            None => None,
        };
        Ok(vacant.insert(Known {
            standing,
            token: None,
            identity: None,
        }))
    }

    /// A token of theirs, or why they could not be logged in.
    async fn token(&mut self, claimant: &Claimant<'_>) -> Result<Result<Token, String>, StageError> {
        if let Some(token) = &self.known(claimant).await?.token {
            return Ok(token.clone());
        }
        let token = match self.logged_in(claimant.login).await {
            Some(Ok(real)) => Ok(Token {
                claims: claims(&real),
                real: Some(real),
            }),
            Some(Err(reason)) => Err(reason),
            None => {
                let realm = &self.bootstrap.desired.realm.name;
                let claims = match self.known(claimant).await?.standing.clone() {
                    Some(user) => {
                        keycloak::example_token(&self.systems.keycloak, realm, CLIENT, &user).await?
                    }
                    None => Value::Null,
                };
                Ok(Token { claims, real: None })
            }
        };
        self.known(claimant).await?.token = Some(token.clone());
        Ok(token)
    }

    /// Nothing where nobody can be logged in from here.
    async fn logged_in(&self, person: &Login) -> Option<Result<Secret, String>> {
        let login = self.bootstrap.login?;
        self.task.waiting(format!("{person} logs in"));
        let issuer = self.bootstrap.environment.identity.issuer();
        Some(login.token(&issuer, person).await)
    }

    /// As whom the API server knows them; nothing where nobody can be logged in.
    async fn identity(
        &mut self,
        claimant: &Claimant<'_>,
    ) -> Result<Option<Result<Identity, String>>, StageError> {
        if let Some(identity) = &self.known(claimant).await?.identity {
            return Ok(Some(identity.clone()));
        }
        let Some(token) = self.token(claimant).await?.ok().and_then(|token| token.real) else {
            return Ok(None);
        };
        let cluster = self.as_bearer(&token).await?;
        let identity = match accepted(&cluster, claimant.login, ASKED_WITHIN, self.task).await {
            Ok(identity) => Ok(identity),
            Err(StageError::Workload(refused)) => Err(refused.to_string()),
            Err(other) => return Err(other),
        };
        self.known(claimant).await?.identity = Some(identity.clone());
        Ok(Some(identity))
    }

    fn apply(&self, surface: &str) -> String {
        let environment = &self.bootstrap.environment.name;
        format!("`lotse apply {environment} --target {surface}` puts it right")
    }
}

/// `create rolebindings in monitoring`
fn told(question: &Question) -> String {
    let namespace = question.namespace.as_deref().unwrap_or("any namespace");
    format!("{} {} in {namespace}", question.verb, question.resource)
}

/// What a token says. It is not checked here: the API server does that.
fn claims(token: &Secret) -> Value {
    let payload = token.expose().split('.').nth(1).unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&decoded).unwrap_or_default()
}
