//! The client of a forge's API.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{Place, PullRequest, PullRequestState, RegisteredKey, pull_request, registered_key};
use crate::causes;
use crate::report;
use crate::secret::Secret;
use crate::surface::git::{GitError, Repository};
use crate::surface::patience::{Answer, Patience, Patient, Repeat};

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// How much of a list is asked for at once: as much as either forge gives.
const PAGE: &str = "50";

/// A forge does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// No answer.
    #[error("no answer from the forge to {request}: {reason}")]
    Unreachable {
        /// Method and address.
        request: String,
        /// Why, in plain words.
        reason: String,
    },
    /// The credentials are not good, or no more.
    #[error(
        "the forge does not accept the credentials for {request}: check git.username and git.password, whose token may \
         have run out ({message})"
    )]
    Authentication {
        /// Method and address.
        request: String,
        /// What it said.
        message: String,
    },
    /// It was asked too often.
    #[error("the forge wants to be left alone{} and refused {request}: {message}", Span(*.wait))]
    Busy {
        /// Method and address.
        request: String,
        /// For how long, where it says so.
        wait: Option<Duration>,
        /// What it said.
        message: String,
    },
    /// A refusal.
    #[error("the forge refused {request} with status {status}: {message}")]
    Refused {
        /// Method and address.
        request: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// An answer that is none.
    #[error("the forge's answer to {request} can't be read")]
    Answer {
        /// Method and address.
        request: String,
    },
}

impl ForgeError {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Answer { .. } | Self::Authentication { .. } => false,
        }
    }
}

/// For how long, in words, where that is known.
struct Span(Option<Duration>);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(time) => write!(formatter, " for {} s", time.as_secs()),
        }
    }
}

/// A repository at a forge, asked in somebody's name.
#[derive(Clone, Debug)]
pub struct Forge {
    place: Place,
    http: reqwest::Client,
    patient: Patient,
    username: String,
    password: Secret,
}

impl Forge {
    /// The forge that keeps `repository`. Nothing is sent.
    ///
    /// # Errors
    /// When its address is not one of a forge.
    pub fn of(repository: &Repository) -> Result<Self, GitError> {
        let http = crate::proxy::client()
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST_LIMIT)
            .build()
            .map_err(|error| {
                GitError::Forge(ForgeError::Unreachable {
                    request: repository.url.clone(),
                    reason: causes::in_one_line(&error),
                })
            })?;
        Ok(Self {
            place: Place::of(&repository.url)?,
            http,
            patient: Patient::new(Patience::USUAL),
            username: repository.username.clone(),
            password: repository.password.clone(),
        })
    }

    /// Waits so long for the forge where it is busy or away.
    #[cfg(test)]
    fn with_patience(mut self, patience: Patience) -> Self {
        self.patient = Patient::new(patience);
        self
    }

    /// Whether the credentials may push to the repository at all; `None` where the forge does not say.
    pub async fn may_push(&self) -> Result<Option<bool>, ForgeError> {
        let answer = self.send(Method::GET, "", &[], None).await?;
        Ok(answer["permissions"]["push"].as_bool())
    }

    /// Whether the credentials may administer the repository; `None` where the forge does not say.
    pub async fn may_administer(&self) -> Result<Option<bool>, ForgeError> {
        let answer = self.send(Method::GET, "", &[], None).await?;
        Ok(answer["permissions"]["admin"].as_bool())
    }

    /// All keys that may read the repository.
    pub async fn deploy_keys(&self) -> Result<Vec<RegisteredKey>, ForgeError> {
        let mut keys = Vec::new();
        for page in 1.. {
            let page = page.to_string();
            // The one is GitHub's word for it, the other Gitea's.
            let query = [("page", page.as_str()), ("per_page", PAGE), ("limit", PAGE)];
            let answer = self.send(Method::GET, "keys", &query, None).await?;
            let listed = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            if listed.is_empty() {
                break;
            }
            keys.extend(listed.iter().filter_map(registered_key));
        }
        Ok(keys)
    }

    /// Lets whoever has the private half of `key` read the repository.
    pub async fn add_deploy_key(&self, title: &str, key: &str) -> Result<(), ForgeError> {
        let content = json!({"title": title, "key": key, "read_only": true});
        self.send(Method::POST, "keys", &[], Some(&content))
            .await
            .map(drop)
    }

    /// Takes a key away.
    pub async fn remove_deploy_key(&self, key: &RegisteredKey) -> Result<(), ForgeError> {
        let path = format!("keys/{}", key.id);
        self.send(Method::DELETE, &path, &[], None).await.map(drop)
    }

    /// Whether the credentials may push to `branch`, as far as its protection goes; `None` where the forge does not say,
    /// or there is no such branch.
    pub async fn may_push_to(&self, branch: &str) -> Result<Option<bool>, ForgeError> {
        match self
            .send(Method::GET, &format!("branches/{branch}"), &[], None)
            .await
        {
            Ok(answer) => Ok(answer["user_can_push"].as_bool()),
            Err(ForgeError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The open request to bring `head`, a branch of the same repository, to `base`.
    pub async fn open_request(&self, head: &str, base: &str) -> Result<Option<PullRequest>, ForgeError> {
        let from = format!("{}:{head}", self.place.owner);
        let query = [("state", "open"), ("base", base), ("head", from.as_str())];
        let answer = self.send(Method::GET, "pulls", &query, None).await?;
        // Gitea lists the requests of all branches.
        let is_ours = |each: &&Value| each["head"]["ref"] == head && each["base"]["ref"] == base;
        let found = answer.as_array().into_iter().flatten().find(is_ours);
        Ok(found.and_then(pull_request))
    }

    /// Opens a request to bring `head` to `base`.
    pub async fn request(
        &self,
        head: &str,
        base: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, ForgeError> {
        let content = json!({"title": title, "body": body, "head": head, "base": base});
        let answer = self.send(Method::POST, "pulls", &[], Some(&content)).await?;
        pull_request(&answer).ok_or_else(|| self.unreadable(&Method::POST, "pulls"))
    }

    /// Gives an open request this title and body; sends nothing when it has them.
    pub async fn describe(&self, request: &PullRequest, title: &str, body: &str) -> Result<(), ForgeError> {
        if request.title == title && request.body.trim() == body.trim() {
            return Ok(());
        }
        let path = format!("pulls/{}", request.number);
        let content = json!({"title": title, "body": body});
        self.send(Method::PATCH, &path, &[], Some(&content))
            .await
            .map(drop)
    }

    /// How a request is now.
    pub async fn state(&self, request: &PullRequest) -> Result<PullRequestState, ForgeError> {
        let path = format!("pulls/{}", request.number);
        let answer = self.send(Method::GET, &path, &[], None).await?;
        let found = pull_request(&answer).ok_or_else(|| self.unreadable(&Method::GET, &path))?;
        Ok(found.state)
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.place.api.clone();
        let repository = ["repos", &self.place.owner, &self.place.name];
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(repository);
            parts.extend(path.split('/').filter(|part| !part.is_empty()));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn unreadable(&self, method: &Method, path: &str) -> ForgeError {
        ForgeError::Answer {
            request: format!("{method} {}", self.url(path, &[])),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ForgeError> {
        let request = format!("{method} {}", self.url(path, &[]));
        if method != Method::GET {
            report::sends(&request);
        }
        let mut sent = self.http.request(method.clone(), self.url(path, query));
        sent = self.place.kind.authorise(sent, &self.username, &self.password);
        if let Some(body) = body {
            sent = sent.json(body);
        }
        // A request that was opened may be there already when it is sent again.
        let repeat = if method == Method::POST {
            Repeat::Unbegun
        } else {
            Repeat::Always
        };
        let answer = self.patient.send(sent, &request, repeat).await;
        let answer = answer.map_err(|error| ForgeError::Unreachable {
            request: request.clone(),
            reason: causes::of_connection(&error.without_url()),
        })?;
        if !answer.status.is_success() {
            return Err(refused(request, &answer));
        }
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer.text).map_err(|_| self.unreadable(&method, path))
    }
}

fn refused(request: String, answer: &Answer) -> ForgeError {
    let told = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
    let reason = answer.status.canonical_reason().unwrap_or_default();
    let message = told["message"].as_str().unwrap_or(reason).to_owned();
    match (answer.status, answer.wait()) {
        (StatusCode::UNAUTHORIZED, _) => ForgeError::Authentication { request, message },
        (StatusCode::TOO_MANY_REQUESTS, wait) | (StatusCode::FORBIDDEN, wait @ Some(_)) => ForgeError::Busy {
            request,
            wait,
            message,
        },
        (status, _) => ForgeError::Refused {
            request,
            status: status.as_u16(),
            message,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::patience::played::{Act, Requests, scripted};

    const OPEN: &str =
        r#"{"number": 3, "html_url": "http://forge/3", "state": "open", "title": "a", "body": "b"}"#;
    const MERGED: &str = r#"{"number": 3, "html_url": "http://forge/3", "state": "closed", "merged": true}"#;

    /// A forge that plays `acts`, the last of them again and again.
    async fn played(acts: Vec<Act>) -> (Forge, Requests) {
        let (address, requests) = scripted(acts).await;
        let repository = Repository {
            url: format!("{address}/lotse/platform.git"),
            branch: "main".into(),
            username: "ada".into(),
            password: Secret::new("hunter2"),
        };
        let forge = Forge::of(&repository).unwrap();
        (forge.with_patience(Patience::OF_TESTS), requests)
    }

    fn open() -> PullRequest {
        pull_request(&serde_json::from_str(OPEN).unwrap()).unwrap()
    }

    fn refusal(status: u16) -> Act {
        Act::say(status, r#"{"message": "no such luck"}"#)
    }

    #[tokio::test]
    async fn test_a_forge_that_is_busy_for_a_while_is_asked_again() {
        let acts = vec![
            Act::Say(429, "retry-after: 1\r\n", String::new()),
            Act::say(502, ""),
            Act::Cut,
            Act::say(200, MERGED),
        ];
        let (forge, requests) = played(acts).await;
        assert_eq!(forge.state(&open()).await.unwrap(), PullRequestState::Merged);
        assert_eq!(requests.lock().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn test_a_request_is_never_opened_twice() {
        let (forge, requests) = played(vec![Act::say(500, ""), Act::say(201, OPEN)]).await;
        let error = forge.request("lotse/lab", "main", "a", "b").await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 1);
        let (forge, requests) = played(vec![Act::say(503, ""), Act::say(201, OPEN)]).await;
        let made = forge.request("lotse/lab", "main", "a", "b").await.unwrap();
        assert_eq!(made, open());
        assert_eq!(requests.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn test_a_token_that_runs_out_is_told_at_once() {
        let (forge, requests) = played(vec![Act::say(200, OPEN), refusal(401)]).await;
        assert_eq!(forge.state(&open()).await.unwrap(), PullRequestState::Open);
        let error = forge.state(&open()).await.unwrap_err();
        assert!(matches!(error, ForgeError::Authentication { .. }), "{error}");
        assert!(!error.is_transient());
        let told = error.to_string();
        assert!(
            told.ends_with("whose token may have run out (no such luck)"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(requests.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn test_a_forge_that_was_asked_too_often_says_for_how_long() {
        let body = r#"{"message": "secondary rate limit"}"#;
        let act = Act::Say(403, "retry-after: 3600\r\n", body.to_owned());
        let (forge, requests) = played(vec![act]).await;
        let error = forge.may_push().await.unwrap_err();
        assert!(error.is_transient());
        let told = error.to_string();
        assert!(
            told.starts_with("the forge wants to be left alone for 3600 s and refused GET http://"),
            "{told}"
        );
        assert!(told.ends_with(": secondary rate limit"), "{told}");
        assert_eq!(requests.lock().unwrap().len(), 1);

        let (forge, _) = played(vec![refusal(429)]).await;
        let error = forge.may_push().await.unwrap_err();
        assert!(matches!(error, ForgeError::Busy { wait: None, .. }), "{error}");
        let (forge, requests) = played(vec![refusal(403)]).await;
        let error = forge.may_push().await.unwrap_err();
        assert!(
            matches!(error, ForgeError::Refused { status: 403, .. }),
            "{error}"
        );
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn test_what_is_no_forge_is_told() {
        let (forge, _) = played(vec![Act::say(200, "<html>It works!</html>")]).await;
        let error = forge.may_push().await.unwrap_err();
        assert!(matches!(error, ForgeError::Answer { .. }), "{error}");
        let (forge, _) = played(vec![Act::Hang]).await;
        let error = forge.may_push().await.unwrap_err();
        assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
    }
}
