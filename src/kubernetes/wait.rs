//! Waiting by watching: look, and look again as soon as something that matters has changed.
//!
//! A wait knows what it waits for, and says so while it waits and when it gives up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, SelectAll, StreamExt};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};

use super::{Cluster, KubernetesError, ObjectReference, Trail};
use crate::report::{Explanation, Task};

/// A look is repeated at least this often: some of what is in the way can't be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The same first words are not followed down again before this time has passed.
const DEEPEN_AGAIN: Duration = Duration::from_secs(2);
/// The server ends a watch after this long, so that an idle one never meets the read timeout of the connection.
const WATCH_SECONDS: u32 = 25;
/// Events are taken together up to this number.
const EVENTS: usize = 256;
/// Objects on the way to causes that are watched at most, beside what was to be watched.
const MOST_WATCHED: usize = 32;

/// What one look at a system said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is as wanted.
    Done(T),
    /// Not yet, and what is known to be in the way; the wait goes on down from there.
    Waiting(Trail),
    /// It won't be as wanted without somebody doing something; what, and why.
    Hopeless(String),
}

impl<T> Look<T> {
    /// Not yet, because `object` is not ready for `reason`.
    #[must_use]
    pub fn waiting(object: &ObjectReference, reason: impl Into<String>) -> Self {
        Self::Waiting(Trail::of(object.clone(), reason))
    }
}

/// What is waited for, how long, and who is told.
pub struct Wait<'task> {
    /// As it reads in `... was not reached within 5m` (`Cluster/prod/prod Available`).
    pub what: String,
    /// When to give up.
    pub limit: Duration,
    /// Who is told.
    pub task: &'task Task<'task>,
    /// Knows which runbook treats what is in the way.
    pub runbooks: &'task (dyn Runbooks + Sync),
}

/// Who knows which runbook treats a trouble.
pub trait Runbooks {
    /// The path of the runbook for what is at the end of `trail`, if there is one.
    fn treating(&self, trail: &[ObjectReference]) -> Option<String>;
}

/// There are none.
impl Runbooks for () {
    fn treating(&self, _trail: &[ObjectReference]) -> Option<String> {
        None
    }
}

/// Objects whose changes call for a new look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Watched {
    /// All objects of one kind; in `namespace`, where one is given.
    #[must_use]
    pub fn kind(api_version: &str, kind: &str, namespace: Option<&str>) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: None,
        }
    }
}

impl From<&ObjectReference> for Watched {
    fn from(object: &ObjectReference) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: Some(object.name.clone()),
        }
    }
}

impl Cluster {
    /// Looks until it is done. Between two looks it sleeps until one of `watched`, or an object on the way to what is in
    /// the way, changes, or a few seconds. While the server does not answer it waits on and says so.
    ///
    /// # Errors
    /// [`KubernetesError::NotInTime`] with what the last look said; [`KubernetesError::Hopeless`]; and whatever
    /// the look itself fails with, unless that is transient.
    pub async fn wait<T, Looking>(
        &self,
        wait: &Wait<'_>,
        watched: &[Watched],
        mut look: impl FnMut() -> Looking,
    ) -> Result<T, KubernetesError>
    where
        Looking: Future<Output = Result<Look<T>, KubernetesError>>,
    {
        let mut state = Said::default();
        let mut changes = Changes::new(watched);
        let looking = async {
            loop {
                let trail = match look().await {
                    Ok(Look::Done(reached)) => return Ok(reached),
                    Ok(Look::Hopeless(reason)) => return Err(wait.hopeless(reason)),
                    Ok(Look::Waiting(trail)) => trail,
                    Err(error) if error.is_transient() => Trail::from(error.to_string()),
                    Err(error) => return Err(error),
                };
                if state.is_news(&trail) {
                    let deepened = self.deepen(trail).await;
                    changes.follow(deepened.objects());
                    state.say(wait, &deepened);
                }
                changes.connect(self).await?;
                // Both outcomes, a change and the time being up, lead to the next look.
                tokio::time::timeout(LOOK_AGAIN, changes.streams.next())
                    .await
                    .ok();
            }
        };
        let outcome = tokio::time::timeout(wait.limit, looking).await;
        outcome.unwrap_or_else(|_| {
            Err(KubernetesError::NotInTime {
                what: wait.what.clone(),
                limit: wait.limit,
                state: Box::new(state.last),
            })
        })
    }
}

/// What was said last, and since when it has been the same.
struct Said {
    shallow: Option<Trail>,
    deepened_at: Instant,
    since: Instant,
    last: Explanation,
}

impl Default for Said {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            shallow: None,
            deepened_at: now,
            since: now,
            last: "nothing was heard yet".into(),
        }
    }
}

impl Said {
    /// Whether it is worth going down from `trail`: it is another than before, or some time has passed.
    fn is_news(&mut self, trail: &Trail) -> bool {
        let is_same = self.shallow.as_ref() == Some(trail);
        if is_same && self.deepened_at.elapsed() < DEEPEN_AGAIN {
            return false;
        }
        self.shallow = Some(trail.clone());
        self.deepened_at = Instant::now();
        true
    }

    fn say(&mut self, wait: &Wait<'_>, trail: &Trail) {
        let now = Timestamp::now();
        let mut explanation = trail.explanation(now, self.since.elapsed());
        if !explanation.tells_the_same(&self.last) {
            self.since = Instant::now();
            explanation = trail.explanation(now, Duration::ZERO);
        }
        explanation.runbook = wait.runbooks.treating(trail.objects());
        self.last = explanation.clone();
        wait.task.waiting(explanation);
    }
}

/// Changes of what is watched. A kind that is not served brings none until it is.
struct Changes {
    wanted: BTreeSet<Watched>,
    connected: BTreeSet<Watched>,
    streams: SelectAll<BoxStream<'static, ()>>,
}

impl Changes {
    fn new(watched: &[Watched]) -> Self {
        let mut streams = SelectAll::new();
        // It never ends, whatever else does.
        streams.push(futures::stream::pending().boxed());
        Self {
            wanted: watched.iter().cloned().collect(),
            connected: BTreeSet::new(),
            streams,
        }
    }

    /// Watches `objects` as well.
    fn follow(&mut self, objects: &[ObjectReference]) {
        for object in objects {
            if self.wanted.len() + self.connected.len() < MOST_WATCHED {
                let watched = Watched::from(object);
                if !self.connected.contains(&watched) {
                    self.wanted.insert(watched);
                }
            }
        }
    }

    /// Begins the watches that are wanted and not begun. Nothing is watched for a wait that has nothing to wait for.
    async fn connect(&mut self, cluster: &Cluster) -> Result<(), KubernetesError> {
        for target in std::mem::take(&mut self.wanted) {
            let namespace = target.namespace.as_deref();
            let api = match cluster
                .api_for(&target.api_version, &target.kind, namespace)
                .await
            {
                Ok(api) => api,
                Err(error) if error.is_transient() || matches!(error, KubernetesError::NotServed { .. }) => {
                    self.wanted.insert(target);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
            if let Some(name) = &target.name {
                config = config.fields(&format!("metadata.name={name}"));
            }
            // Errors of a watch show up in the look, which asks the same server.
            let events = watcher(api, config).default_backoff();
            self.streams.push(events.ready_chunks(EVENTS).map(|_| ()).boxed());
            self.connected.insert(target);
        }
        Ok(())
    }
}

impl Wait<'_> {
    fn hopeless(&self, reason: String) -> KubernetesError {
        KubernetesError::Hopeless {
            what: self.what.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;

    /// A server that goes away is waited for; when it does not come back, the last words say so plainly.
    #[tokio::test]
    async fn test_a_wait_for_a_server_that_is_away_says_so() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
            contexts: [{name: a, context: {cluster: a, user: a}}]\n\
            clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {}}]\n";
        let cluster = Cluster::from_text(text, "here").await.unwrap();
        let namespace = &ObjectReference::new("v1", "Namespace", "prod");
        let wait = Wait {
            what: "the namespace".to_owned(),
            limit: Duration::from_millis(300),
            task: &Task::start(&Silent, "test", "waits"),
            runbooks: &(),
        };
        let look = || async {
            cluster.read(namespace).await?;
            Ok(Look::<()>::waiting(namespace, "is not there"))
        };
        let error = cluster
            .wait(&wait, &[Watched::from(namespace)], look)
            .await
            .unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("was not reached within")
                && told.contains("the API server can't be reached: nothing listens at that address"),
            "{told}"
        );
    }
}
