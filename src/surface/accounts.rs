//! Accounts of people at the forge that they log in at: GitHub's API, or Gitea's and Forgejo's.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::patience::{Answer, Patience, Patient, Repeat};
use crate::causes;
use crate::config::identities::Account;
use crate::names::is_hidden;
use crate::secret::Secret;

/// Where GitHub's own API is.
pub const GITHUB: &str = "https://api.github.com";
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How many more requests a forge answers for now, and since when again, in seconds since 1970 (docs.github.com, "Rate limits
/// for the REST API").
const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";

/// The forge does not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The address is none.
    #[error("`{0}` is no address of an API")]
    Address(String),
    /// No answer.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why, in plain words.
        reason: String,
    },
    /// It was asked too often.
    #[error("the forge has been asked too often by now and refused {url}{}", Until(.until.as_ref()))]
    Busy {
        /// What was asked for.
        url: String,
        /// Until when, where it says so.
        until: Option<jiff::Timestamp>,
    },
    /// It does not answer to these credentials, or to none.
    #[error("the forge does not answer {url} to {}: {status}", if *.has_token { "this token" } else { "strangers" })]
    Authentication {
        /// What was asked for.
        url: String,
        /// Whether a token was sent.
        has_token: bool,
        /// What it said.
        status: StatusCode,
    },
    /// Another answer than is understood.
    #[error("{url} answers {status}, which says nothing of an account")]
    Answer {
        /// What was asked for.
        url: String,
        /// With which status.
        status: StatusCode,
    },
}

struct Until<'time>(Option<&'time jiff::Timestamp>);

impl std::fmt::Display for Until<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(time) => write!(formatter, " until {time:.0}"),
            None => Ok(()),
        }
    }
}

/// A forge that is asked for accounts.
#[derive(Debug)]
pub struct Accounts {
    http: reqwest::Client,
    patient: Patient,
    api: Url,
    token: Option<Secret>,
}

impl Accounts {
    /// The forge whose API is at `api` (`https://api.github.com`, `https://HOST/api/v1`), asked with `token` where there is
    /// one. Nothing is sent.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(api: &str, token: Option<Secret>) -> Result<Self, AccountsError> {
        let fault = || AccountsError::Address(api.to_owned());
        let url = Url::parse(api).map_err(|_| fault())?;
        if !matches!(url.scheme(), "https" | "http") || url.cannot_be_a_base() {
            return Err(fault());
        }
        let http = crate::proxy::client()
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            .timeout(LIMIT)
            .build()
            .map_err(|_| fault())?;
        Ok(Self {
            http,
            patient: Patient::new(Patience::USUAL),
            api: url,
            token,
        })
    }

    /// The account that has `login` now.
    ///
    /// # Errors
    /// When the forge does not say.
    pub async fn of_login(&self, login: &str) -> Result<Option<Account>, AccountsError> {
        let found = self.get(&self.url(&["users", login], None)).await?;
        let found = found.as_ref().and_then(account);
        // Gitea leads on to whoever had the login before.
        Ok(found.filter(|account| account.login.eq_ignore_ascii_case(login)))
    }

    /// The account with the number `id`, whatever it is called now.
    ///
    /// # Errors
    /// When the forge does not say.
    pub async fn of_id(&self, id: u64) -> Result<Option<Account>, AccountsError> {
        let id = id.to_string();
        if self.is_gitea() {
            let found = self
                .get(&self.url(&["users", "search"], Some(("uid", &id))))
                .await?;
            let found = found.and_then(|found| account(found["data"].get(0)?));
            return Ok(found.filter(|account| account.id.to_string() == id));
        }
        // Not in the reference, and long there: gh and Keycloak's provider know people by it.
        let found = self.get(&self.url(&["user", &id], None)).await?;
        Ok(found.as_ref().and_then(account))
    }

    fn is_gitea(&self) -> bool {
        self.api.path().trim_end_matches('/').ends_with("/api/v1")
    }

    fn url(&self, path: &[&str], query: Option<(&str, &str)>) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if let Some((key, value)) = query {
            url.query_pairs_mut().append_pair(key, value);
        }
        url
    }

    async fn get(&self, url: &Url) -> Result<Option<Value>, AccountsError> {
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let answer = self.patient.send(request, url.as_str(), Repeat::Always).await;
        let answer = answer.map_err(|error| AccountsError::Unreachable {
            url: url.to_string(),
            reason: causes::of_connection(&error.without_url()),
        })?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if is_busy(&answer) {
            return Err(AccountsError::Busy {
                url: url.to_string(),
                until: reset(&answer),
            });
        }
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(AccountsError::Authentication {
                url: url.to_string(),
                has_token: self.token.is_some(),
                status: answer.status,
            });
        }
        let said: Option<Value> = serde_json::from_str(&answer.text).ok();
        let said = said.filter(|_| answer.status.is_success());
        said.map(Some).ok_or_else(|| AccountsError::Answer {
            url: url.to_string(),
            status: answer.status,
        })
    }
}

/// Whether the forge has been asked too often.
fn is_busy(answer: &Answer) -> bool {
    let is_used_up = answer.headers.get(REMAINING).is_some_and(|left| left == "0");
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => is_used_up || answer.wait().is_some(),
        _ => false,
    }
}

/// Until when the forge wants to be left alone, where it says so.
fn reset(answer: &Answer) -> Option<jiff::Timestamp> {
    let seconds = answer.headers.get(RESET)?.to_str().ok()?.parse().ok()?;
    jiff::Timestamp::from_second(seconds).ok()
}

/// Nobody logs in as an organisation.
fn account(answer: &Value) -> Option<Account> {
    if answer["type"] == "Organization" {
        return None;
    }
    let name = ["name", "full_name"].into_iter();
    let name = name
        .filter_map(|key| answer[key].as_str())
        .find(|name| !name.is_empty());
    Some(Account {
        id: answer["id"].as_u64()?,
        login: answer["login"].as_str()?.to_owned(),
        name: name.map(shown),
    })
}

/// What somebody writes as their name, without what would change how the text around it is shown.
fn shown(name: &str) -> String {
    name.chars().filter(|character| !is_hidden(*character)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::surface::patience::played::{Act, Requests, scripted};

    const ADA: &str = r#"{"id": 2, "login": "ada", "name": "Ada Berg"}"#;

    async fn played(path: &str, acts: Vec<Act>) -> (Accounts, Requests) {
        let (address, requests) = scripted(acts).await;
        let mut accounts = Accounts::new(&format!("{address}{path}"), Some(Secret::new("hunter2"))).unwrap();
        accounts.patient = Patient::new(Patience::OF_TESTS);
        (accounts, requests)
    }

    fn lines(requests: &Requests) -> Vec<String> {
        let requests = requests.lock().unwrap();
        requests.iter().map(|request| request.line.clone()).collect()
    }

    #[test]
    fn test_a_name_can_not_wipe_the_line_that_shows_it() {
        let answer = json!({"id": 1, "login": "pilot", "full_name": "Paul\u{1b}[2K\r\u{202e}Pilot"});
        assert_eq!(account(&answer).unwrap().name.as_deref(), Some("Paul[2KPilot"));
    }

    #[tokio::test]
    async fn test_each_forge_is_asked_in_its_own_way() {
        let ada = Account {
            id: 2,
            login: "ada".into(),
            name: Some("Ada Berg".into()),
        };
        let (github, asked) = played("", vec![Act::say(200, ADA)]).await;
        assert_eq!(github.of_login("ada").await.unwrap(), Some(ada.clone()));
        assert_eq!(github.of_id(2).await.unwrap(), Some(ada.clone()));
        assert_eq!(lines(&asked), ["GET /users/ada", "GET /user/2"]);
        let found = r#"{"ok": true, "data": [{"id": 2, "login": "ada", "full_name": "Ada Berg"}]}"#;
        let (gitea, asked) = played("/api/v1/", vec![Act::say(200, found)]).await;
        assert_eq!(gitea.of_id(2).await.unwrap(), Some(ada));
        assert_eq!(gitea.of_id(3).await.unwrap(), None);
        assert_eq!(
            lines(&asked),
            ["GET /api/v1/users/search?uid=2", "GET /api/v1/users/search?uid=3"]
        );
    }

    #[tokio::test]
    async fn test_faults_are_waited_out_or_told() {
        let acts = vec![Act::say(502, ""), Act::Cut, Act::say(404, "")];
        let (accounts, asked) = played("", acts).await;
        assert_eq!(accounts.of_login("ada").await.unwrap(), None);
        assert_eq!(lines(&asked).len(), 3);
        for (act, wanted) in [
            (
                Act::Say(
                    403,
                    "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1795803000\r\n",
                    String::new(),
                ),
                "asked too often by now and refused http://127.0.0.1",
            ),
            (Act::say(401, ""), "to this token: 401"),
            (Act::say(200, "<html>"), "says nothing of an account"),
            (Act::Hang, "no answer from http://127.0.0.1"),
        ] {
            let (accounts, _) = played("", vec![act]).await;
            let told = accounts.of_login("ada").await.unwrap_err().to_string();
            assert!(told.contains(wanted) && !told.contains("hunter2"), "{told}");
        }
        assert!(Accounts::new("forge", None).is_err());
    }
}
