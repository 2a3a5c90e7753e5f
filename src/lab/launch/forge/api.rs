//! The forge's HTTP API, as much of it as preparing the lab's content takes.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::lab::launch::error::ForgeError;
use crate::secret::Secret;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that speaks as the owner of a token, or as nobody.
pub(super) struct ForgeApi {
    client: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

impl ForgeApi {
    /// A client for the forge at `url` (without `/api/v1`). Sends nothing yet.
    pub(super) fn new(url: &str, token: Option<Secret>) -> Result<Self, ForgeError> {
        let client = crate::proxy::client()
            .timeout(REQUEST_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| ForgeError::request("preparing the HTTP client", error.to_string()))?;
        Ok(Self {
            client,
            url: url.to_owned(),
            token,
        })
    }

    /// What is at `path`, `None` when nothing is.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, ForgeError> {
        self.send(Method::GET, path, None).await
    }

    /// Creates something below `path`.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, ForgeError> {
        self.change(Method::POST, path, body).await
    }

    /// Changes what is at `path`.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, ForgeError> {
        self.change(Method::PATCH, path, body).await
    }

    async fn change(&self, method: Method, path: &str, body: &Value) -> Result<Value, ForgeError> {
        let action = format!("{method} {path}");
        self.send(method, path, Some(body))
            .await?
            .ok_or_else(|| ForgeError::request(action, "there is no such thing"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, ForgeError> {
        let action = format!("{method} {path}");
        let fault = |error: reqwest::Error| ForgeError::request(&action, error.without_url().to_string());
        let mut request = self.client.request(method, format!("{}/api/v1/{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("token {}", token.expose()));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(fault)?;
        let status = answer.status();
        let text = answer.text().await.map_err(fault)?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ if status.is_success() => parse(&text)
                .map(Some)
                .map_err(|reason| ForgeError::request(&action, reason)),
            _ => Err(ForgeError::request(
                &action,
                format!("{status}: {}", message(&text)),
            )),
        }
    }
}

fn parse(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| format!("the answer is not JSON: {error}"))
}

/// The message of an error answer, or the answer itself.
fn message(text: &str) -> String {
    let message = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|answer| answer.get("message").and_then(Value::as_str).map(str::to_owned));
    message.unwrap_or_else(|| text.trim().to_owned())
}
