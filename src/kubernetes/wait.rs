//! Waiting by watching: look, and look again as soon as something that matters has changed.
//!
//! A wait knows what it waits for, and says so while it waits and when it gives up.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use kube::runtime::{WatchStreamExt, watcher};

use super::{Cluster, KubernetesError, ObjectReference};
use crate::report::Task;

/// A look is repeated at least this often, since what it explains lies deeper than what it watches.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// The server ends a watch after this long, so that an idle one never meets the read timeout of the connection.
const WATCH_SECONDS: u32 = 25;
/// Events are taken together up to this number.
const EVENTS: usize = 256;

/// What one look at a system said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is as wanted.
    Done(T),
    /// Not yet; the deepest thing that is not ready, and its message.
    Waiting(String),
    /// It won't be as wanted without somebody doing something; what, and why.
    Hopeless(String),
}

/// What is waited for, how long, and who is told.
pub struct Wait<'task> {
    /// As it reads in `... was not reached within 5m` (`Cluster/prod/prod Available`).
    pub what: String,
    /// When to give up.
    pub limit: Duration,
    /// Who is told.
    pub task: &'task Task<'task>,
}

/// Objects whose changes call for a new look.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Looks until it is done. Between two looks it sleeps until one of `watched` changes, or a few seconds.
    /// While the server does not answer it waits on and says so.
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
        let mut state = String::from("nothing was heard yet");
        let looking = async {
            let mut changes: Option<BoxStream<'_, ()>> = None;
            loop {
                match look().await {
                    Ok(Look::Done(reached)) => return Ok(reached),
                    Ok(Look::Hopeless(reason)) => return Err(wait.hopeless(reason)),
                    Ok(Look::Waiting(now)) => wait.tell(&mut state, now),
                    Err(error) if error.is_transient() => wait.tell(&mut state, error.to_string()),
                    Err(error) => return Err(error),
                }
                // Nothing is watched for a wait that has nothing to wait for.
                if changes.is_none() {
                    changes = Some(self.changes(watched).await?);
                }
                if let Some(changes) = &mut changes {
                    // Both outcomes, a change and the time being up, lead to the next look.
                    tokio::time::timeout(LOOK_AGAIN, changes.next()).await.ok();
                }
            }
        };
        match tokio::time::timeout(wait.limit, looking).await {
            Ok(result) => result,
            Err(_) => Err(KubernetesError::NotInTime {
                what: wait.what.clone(),
                limit: wait.limit,
                state,
            }),
        }
    }

    /// One item for each bundle of changes; never ends. A kind that is not served yet brings none.
    async fn changes(&self, watched: &[Watched]) -> Result<BoxStream<'static, ()>, KubernetesError> {
        let mut streams: Vec<BoxStream<'static, ()>> = vec![futures::stream::pending().boxed()];
        for target in watched {
            let namespace = target.namespace.as_deref();
            let api = match self.api_for(&target.api_version, &target.kind, namespace).await {
                Ok(api) => api,
                Err(KubernetesError::NotServed { .. }) => continue,
                Err(error) if error.is_transient() => continue,
                Err(error) => return Err(error),
            };
            let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
            if let Some(name) = &target.name {
                config = config.fields(&format!("metadata.name={name}"));
            }
            // Errors of a watch show up in the look, which asks the same server.
            let events = watcher(api, config).default_backoff();
            streams.push(events.ready_chunks(EVENTS).map(|_| ()).boxed());
        }
        Ok(futures::stream::select_all(streams).boxed())
    }
}

impl Wait<'_> {
    fn tell(&self, state: &mut String, now: String) {
        if *state != now {
            self.task.waiting(&now);
            *state = now;
        }
    }

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
        };
        let look = || async {
            Ok(Look::<()>::Waiting(
                cluster.read(namespace).await?.is_none().to_string(),
            ))
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
