//! The proof: the token of a person who logged in may do what the declarations grant, and nothing elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::civil::Date;

use super::cluster::Workload;
use super::{Bootstrap, Stage, StageError};
use crate::causes;
use crate::config::{Declarations, Subject};
use crate::desired::OIDC_PREFIX;
use crate::kubernetes::Cluster;
use crate::names::{AppName, Login};
use crate::report::{Reporter, Task};
use crate::surface::workload::{self, Identity};

/// Between two questions whether the API server accepts a token.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// So long an API server may go by an earlier configuration of its authentication: it looks once a minute, and asks new
/// issuers before it takes them up.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(120);

/// One thing the API server is asked in the name of a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    person: Login,
    namespace: AppName,
    probe: Probe,
    expected: bool,
}

/// A request that tells roles apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Probe {
    /// Needs `view`.
    ReadPods,
    /// Needs `edit`.
    CreateDeployments,
    /// Needs `admin`.
    CreateRoleBindings,
}

impl Probe {
    /// Each with the least of Kubernetes' user-facing roles that allows it
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles>).
    const ALL: [(Self, &'static str); 3] = [
        (Self::ReadPods, "view"),
        (Self::CreateDeployments, "edit"),
        (Self::CreateRoleBindings, "admin"),
    ];

    /// The one that the role just allows; nothing for a role that only the environment knows.
    pub(super) fn of_role(role: &str) -> Option<Self> {
        rank(role).map(|place| Self::ALL[place].0)
    }

    pub(super) fn question(self, namespace: &str) -> workload::Question {
        let (verb, group, resource) = self.request();
        workload::Question {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: Some(namespace.to_owned()),
        }
    }

    const fn request(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ReadPods => ("get", "", "pods"),
            Self::CreateDeployments => ("create", "apps", "deployments"),
            Self::CreateRoleBindings => ("create", "rbac.authorization.k8s.io", "rolebindings"),
        }
    }
}

/// Logs one member of each team with access in, asks what they may do, and compares. Gives what is left to do by
/// hand.
pub(super) async fn prove(
    bootstrap: &Bootstrap<'_>,
    workload: &Workload,
    reporter: &dyn Reporter,
) -> Result<Vec<String>, StageError> {
    let questions = questions(bootstrap.declarations, bootstrap.today);
    let Some(login) = bootstrap.login.filter(|_| !questions.is_empty()) else {
        return Ok(vec![format!(
            "nobody could be logged in from here: log in once at {} and run `kubectl auth whoami`",
            bootstrap.environment.identity.issuer()
        )]);
    };
    let task = Task::start(reporter, "proof", "what people may do");
    let mut wrong = Vec::new();
    let people: BTreeSet<&Login> = questions.iter().map(|question| &question.person).collect();
    for person in &people {
        task.waiting(format!("{person} logs in"));
        let token = login
            .token(&bootstrap.environment.identity.issuer(), person)
            .await
            .map_err(|reason| StageError::Login {
                person: person.to_string(),
                reason,
            })?;
        let cluster =
            Cluster::as_bearer(workload.kubeconfig.expose(), "the cluster's kubeconfig", &token).await?;
        let limit = bootstrap.limits.of_stage(Stage::Proof);
        let expected = expected(bootstrap, person);
        let identity = recognised(&cluster, (person, &expected), limit, &task).await?;
        if identity.username != expected.username {
            wrong.push(format!(
                "the API server takes {person} for `{}`, not `{}`",
                identity.username, expected.username
            ));
        }
        for question in questions.iter().filter(|question| question.person == **person) {
            if workload::can(&cluster, person.as_str(), &question.request()).await? != question.expected {
                wrong.push(question.contradiction());
            }
        }
    }
    if !wrong.is_empty() {
        return Err(StageError::Access { wrong });
    }
    let people: Vec<String> = people.iter().map(ToString::to_string).collect();
    task.finish(format!(
        "{}: {} questions answered as declared",
        people.join(", "),
        questions.len()
    ));
    Ok(Vec::new())
}

/// What is left to do where the API server has refused the list of issuers, which shows in none of the realm's logins.
pub(super) async fn refused_issuers(bootstrap: &Bootstrap<'_>, workload: &Workload) -> Option<String> {
    if bootstrap.environment.identity.other_issuers.is_empty() {
        return None;
    }
    match workload::refused_since(&workload.cluster).await {
        Ok(since) => since.map(|since| {
            format!(
                "the API server refused its list of issuers at {since:.0} and goes on with the one before: \
                 `lotse preflight {} --only other-issuers` tells why, or its log",
                bootstrap.environment.name
            )
        }),
        Err(error) => {
            tracing::info!(error = causes::in_one_line(&error), "the metrics can't be read");
            None
        }
    }
}

/// As whom the API server should know a person.
fn expected(bootstrap: &Bootstrap<'_>, person: &Login) -> Identity {
    let members = bootstrap.desired.realm.members.iter();
    let groups = members
        .filter(|member| member.login.to_lowercase() == person.folded())
        .flat_map(|member| &member.groups);
    Identity {
        username: format!("{OIDC_PREFIX}{}", person.folded()),
        groups: groups.map(|group| format!("{OIDC_PREFIX}{group}")).collect(),
    }
}

/// As whom the API server knows the bearer, once that is as expected or could be by now: it reads a new configuration
/// within a minute, and goes by the one before until then.
async fn recognised(
    cluster: &Cluster,
    (person, expected): (&Login, &Identity),
    limit: Duration,
    task: &Task<'_>,
) -> Result<Identity, StageError> {
    let deadline = Instant::now() + limit.min(TAKEN_UP_WITHIN);
    loop {
        let identity = accepted(cluster, person, limit, task).await?;
        let is_expected = identity.username == expected.username
            && expected
                .groups
                .iter()
                .all(|group| identity.groups.contains(group));
        if is_expected || Instant::now() > deadline {
            return Ok(identity);
        }
        task.waiting(format!(
            "the API server knows {person} as {}, with other groups than declared",
            identity.username
        ));
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// As whom the API server knows the bearer. It takes up an issuer only some seconds after the issuer is there, and
/// refuses its tokens until then.
pub(super) async fn accepted(
    cluster: &Cluster,
    person: &Login,
    limit: Duration,
    task: &Task<'_>,
) -> Result<Identity, StageError> {
    let deadline = Instant::now() + limit.min(TAKEN_UP_WITHIN);
    loop {
        match workload::whoami(cluster, person.as_str()).await {
            Ok(identity) => return Ok(identity),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(error) => task.waiting(error.to_string()),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

impl Question {
    fn request(&self) -> workload::Question {
        self.probe.question(self.namespace.as_str())
    }

    fn contradiction(&self) -> String {
        let (verb, _, resource) = self.probe.request();
        let is = if self.expected { "may not" } else { "may" };
        format!("{} {is} {verb} {resource} in {}", self.person, self.namespace)
    }
}

/// Every probe for one member of each team that has access, in every application: allowed where a role of theirs
/// allows it, forbidden everywhere else. People with access by a role that only the environment knows are asked
/// nothing about that application, since what such a role allows is not known here.
fn questions(declarations: &Declarations, today: Date) -> BTreeSet<Question> {
    let roles = roles_by_person(declarations, today);
    let mut questions = BTreeSet::new();
    for person in representatives(declarations, today) {
        for app in &declarations.apps {
            let none = BTreeSet::new();
            let held = roles.get(&(person.folded(), &app.name)).unwrap_or(&none);
            if !held.iter().all(|role| rank(role).is_some()) {
                continue;
            }
            let highest = held.iter().filter_map(|role| rank(role)).max();
            for (place, (probe, _)) in Probe::ALL.into_iter().enumerate() {
                let expected = highest.is_some_and(|highest| highest >= place);
                let (person, namespace) = (person.clone(), app.name.clone());
                questions.insert(Question {
                    person,
                    namespace,
                    probe,
                    expected,
                });
            }
        }
    }
    questions
}

fn rank(role: &str) -> Option<usize> {
    Probe::ALL.iter().position(|(_, needed)| *needed == role)
}

/// The first member of each team that a grant names.
fn representatives(declarations: &Declarations, today: Date) -> BTreeSet<Login> {
    let holding = declarations
        .apps
        .iter()
        .flat_map(|app| &app.access)
        .filter(|grant| grant.holds_on(today));
    holding
        .filter_map(|grant| match &grant.subject {
            Subject::Team(team) => declarations.people.team(team),
            Subject::Person(_) => None,
        })
        .filter_map(|team| team.maintainers.iter().chain(&team.members).next().cloned())
        .collect()
}

/// Roles that each person (in lower case) holds in each application.
fn roles_by_person(declarations: &Declarations, today: Date) -> BTreeMap<(String, &AppName), BTreeSet<&str>> {
    let mut roles: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for app in &declarations.apps {
        for grant in app.access.iter().filter(|grant| grant.holds_on(today)) {
            let people = match &grant.subject {
                Subject::Team(team) => declarations
                    .people
                    .team(team)
                    .map(crate::config::Team::everybody)
                    .unwrap_or_default(),
                Subject::Person(login) => BTreeSet::from([login.folded()]),
            };
            for person in people {
                roles.entry((person, &app.name)).or_default().insert(&grant.role);
            }
        }
    }
    roles
}
