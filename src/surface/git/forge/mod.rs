//! Requests at the forge that keeps the repository: GitHub's API, and Gitea's and Forgejo's, which is nearly the same.
//! What differs between them is in this file; `client` speaks to either.

mod client;

use std::fmt;

use serde_json::Value;
use url::Url;

pub use client::{Forge, ForgeError};

use super::GitError;
use crate::secret::Secret;

/// Whose API a forge has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ForgeKind {
    /// GitHub (docs.github.com, REST API 2022-11-28).
    GitHub,
    /// Gitea or Forgejo (`/api/swagger` of the server; Gitea 1.26).
    Gitea,
}

impl ForgeKind {
    /// github.com has GitHub's API; every other host is taken for a Gitea.
    fn of(url: &Url) -> Self {
        match url.host_str() {
            Some("github.com") => Self::GitHub,
            _ => Self::Gitea,
        }
    }

    fn api(self, url: &Url) -> Option<Url> {
        match self {
            Self::GitHub => Url::parse("https://api.github.com/").ok(),
            Self::Gitea => url.join("/api/v1/").ok(),
        }
    }

    /// A token is enough for GitHub; Gitea takes user names with passwords or tokens.
    fn authorise(
        self,
        request: reqwest::RequestBuilder,
        username: &str,
        password: &Secret,
    ) -> reqwest::RequestBuilder {
        match self {
            Self::GitHub => request
                .bearer_auth(password.expose())
                .header("X-GitHub-Api-Version", "2022-11-28"),
            Self::Gitea => request.basic_auth(username, Some(password.expose())),
        }
    }
}

/// A repository at a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    kind: ForgeKind,
    /// Where its API begins, with a slash at the end.
    api: Url,
    owner: String,
    name: String,
}

impl Place {
    /// The forge behind the address of a repository, `https://HOST/OWNER/NAME.git`.
    pub(super) fn of(address: &str) -> Result<Self, GitError> {
        let fault = || GitError::NoForge {
            url: address.to_owned(),
        };
        let url = Url::parse(address).map_err(|_| fault())?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(fault());
        }
        let mut parts = url
            .path_segments()
            .ok_or_else(fault)?
            .filter(|part| !part.is_empty());
        let (Some(owner), Some(name), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(fault());
        };
        let kind = ForgeKind::of(&url);
        Ok(Self {
            kind,
            api: kind.api(&url).ok_or_else(fault)?,
            owner: owner.to_owned(),
            name: name.trim_end_matches(".git").to_owned(),
        })
    }
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Where people look at it.
    pub page: String,
    /// How it is.
    pub state: PullRequestState,
    title: String,
    body: String,
}

#[cfg(test)]
impl PullRequest {
    /// An open one of this number.
    pub(super) fn open(number: u64) -> Self {
        Self {
            number,
            page: format!("https://forge.example/pulls/{number}"),
            state: PullRequestState::Open,
            title: "a".into(),
            body: "b".into(),
        }
    }
}

/// How a pull request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    /// Nobody has decided.
    Open,
    /// It is on the branch.
    Merged,
    /// Somebody decided against it.
    Closed,
}

impl fmt::Display for PullRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "pull request #{} ({})", self.number, self.page)
    }
}

/// A key that may read a repository, as the forge lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Its number at the forge.
    pub(super) id: u64,
    /// What it is called.
    pub(super) title: String,
    /// Its public half in one line.
    pub(super) key: String,
    /// Whether it may write, too.
    pub(super) may_write: bool,
}

/// What both forges answer of a deploy key.
fn registered_key(answer: &Value) -> Option<RegisteredKey> {
    Some(RegisteredKey {
        id: answer["id"].as_u64()?,
        title: answer["title"].as_str()?.to_owned(),
        key: answer["key"].as_str()?.to_owned(),
        may_write: answer["read_only"] == Value::Bool(false),
    })
}

/// What both forges answer of a pull request.
fn pull_request(answer: &Value) -> Option<PullRequest> {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let is_merged = answer["merged"] == Value::Bool(true) || answer["merged_at"].is_string();
    let state = match (is_merged, answer["state"].as_str()) {
        (true, _) => PullRequestState::Merged,
        (false, Some("open")) => PullRequestState::Open,
        (false, _) => PullRequestState::Closed,
    };
    Some(PullRequest {
        number: answer["number"].as_u64()?,
        page: text("html_url"),
        state,
        title: text("title"),
        body: text("body"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_a_repository_is_found_at_its_forge() {
        let place = |address: &str| {
            let place = Place::of(address).unwrap();
            format!("{:?} {} {}/{}", place.kind, place.api, place.owner, place.name)
        };
        assert_eq!(
            place("https://github.com/SovereignCloudStack/platform.git"),
            "GitHub https://api.github.com/ SovereignCloudStack/platform"
        );
        assert_eq!(
            place("http://127.0.0.1:3000/lotse/platform"),
            "Gitea http://127.0.0.1:3000/api/v1/ lotse/platform"
        );
        for address in [
            "ssh://git@host/a/b",
            "https://host/a",
            "https://host/a/b/c",
            "/tmp/platform.git",
        ] {
            assert!(Place::of(address).is_err(), "{address}");
        }
    }

    #[test]
    fn test_both_forges_say_whether_it_is_merged() {
        let answer = |rest: Value| {
            let mut answer = json!({"number": 3, "html_url": "https://forge/3", "title": "a", "body": null});
            answer
                .as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            pull_request(&answer).unwrap().state
        };
        assert_eq!(
            answer(json!({"state": "open", "merged": false})),
            PullRequestState::Open
        );
        assert_eq!(
            answer(json!({"state": "closed", "merged": true})),
            PullRequestState::Merged
        );
        assert_eq!(
            answer(json!({"state": "closed", "merged": false})),
            PullRequestState::Closed
        );
        let listed = json!({"state": "closed", "merged_at": "2026-11-26T12:00:00Z"});
        assert_eq!(answer(listed), PullRequestState::Merged);
        assert_eq!(pull_request(&json!({"state": "open"})), None);
    }
}
