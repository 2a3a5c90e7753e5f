//! Requests to Keycloak's administration interface: tokens and pages. Knows nothing of what is in a realm.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::LOCATION;
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::error::KeycloakError;
use crate::report;
use crate::secret::Secret;
use crate::surface::patience::{Answer, Patience, Patient, Repeat};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a creation may take: it is not sent again, and a realm with its keys takes a busy server half a minute.
const CREATION_TIMEOUT: Duration = Duration::from_secs(120);
/// A token is renewed when less than this is left of it.
const TOKEN_RESERVE: Duration = Duration::from_secs(10);
/// Rows of one page.
const PAGE: usize = 200;

/// A Keycloak server, as its administrator sees it.
pub struct Admin {
    http: reqwest::Client,
    patient: Patient,
    base: Url,
    credentials: std::sync::Mutex<Credentials>,
    token: Mutex<Option<Token>>,
    requests: AtomicUsize,
}

/// As whom Keycloak is asked.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A user of realm master.
    User {
        /// Its name.
        name: String,
        /// Its password.
        password: Secret,
    },
    /// A service account of realm master.
    Account {
        /// Its client id.
        client_id: String,
        /// Its secret.
        secret: Secret,
    },
}

impl Credentials {
    /// As it is called in messages.
    fn name(&self) -> &str {
        match self {
            Self::User { name, .. } => name,
            Self::Account { client_id, .. } => client_id,
        }
    }

    /// The request for a token (RFC 6749, sections 4.3 and 4.4).
    fn form(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::User { name, password } => vec![
                ("grant_type", "password".to_owned()),
                ("client_id", "admin-cli".to_owned()),
                ("username", name.clone()),
                ("password", password.expose().to_owned()),
            ],
            Self::Account { client_id, secret } => vec![
                ("grant_type", "client_credentials".to_owned()),
                ("client_id", client_id.clone()),
                ("client_secret", secret.expose().to_owned()),
            ],
        }
    }
}

struct Token {
    value: Secret,
    renew_at: Instant,
}

impl Admin {
    /// Prepares access to the server at `address` (`https://auth.example.org`) for an administrator of the realm
    /// master. `authority` is the PEM of a certificate authority to trust besides the system's. Does not send a
    /// request yet.
    pub fn new(
        address: &str,
        user: &str,
        password: Secret,
        authority: Option<&str>,
    ) -> Result<Self, KeycloakError> {
        let name = user.to_owned();
        Self::with(address, Credentials::User { name, password }, authority)
    }

    /// The same with whatever credentials.
    ///
    /// # Errors
    /// When the address is none, or the authority can't be used.
    pub fn with(
        address: &str,
        credentials: Credentials,
        authority: Option<&str>,
    ) -> Result<Self, KeycloakError> {
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && !url.cannot_be_a_base())
            .ok_or_else(|| KeycloakError::Address {
                address: address.to_owned(),
            })?;
        let http = http_client(authority).map_err(|source| KeycloakError::Authority {
            address: address.to_owned(),
            source,
        })?;
        Ok(Self {
            http,
            patient: Patient::new(Patience::USUAL),
            base,
            credentials: std::sync::Mutex::new(credentials),
            token: Mutex::new(None),
            requests: AtomicUsize::new(0),
        })
    }

    /// Goes on with other credentials.
    pub async fn go_on_as(&self, credentials: Credentials) {
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
        *self.token.lock().await = None;
    }

    fn credentials(&self) -> Credentials {
        let credentials = self.credentials.lock();
        credentials.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As whom it is asked, for messages.
    #[must_use]
    pub fn user(&self) -> String {
        self.credentials().name().to_owned()
    }

    /// What the account's own token says.
    pub(super) async fn claims(&self) -> Result<Value, KeycloakError> {
        let token = self.token().await?;
        let payload = token.expose().split('.').nth(1).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(payload).ok();
        let claims = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        claims.ok_or_else(|| KeycloakError::Answer {
            request: "POST token".to_owned(),
            missing: "claims",
        })
    }

    /// How many requests were sent to the administration interface so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The id of the account, by which the record of changes names it; `None` where that can't be found out. Tokens of
    /// `admin-cli` don't have it (lightweight access tokens, Keycloak 26).
    pub(super) async fn own_id(&self) -> Result<Option<String>, KeycloakError> {
        if let Some(id) = self.claims().await?["sub"].as_str() {
            return Ok(Some(id.to_owned()));
        }
        let user = self.user();
        let filter = [("username", user.as_str()), ("exact", "true")];
        match self.get(&["master", "users"], &filter).await {
            Err(KeycloakError::Forbidden { .. }) => Ok(None),
            found => Ok(found?[0]["id"].as_str().map(str::to_owned)),
        }
    }

    /// Waits so long for the server where it is busy or away.
    #[cfg(test)]
    pub(super) fn with_patience(mut self, patience: Patience) -> Self {
        self.patient = Patient::new(patience);
        self
    }

    /// Logs in and asks the administration interface for something that every administrator may see.
    pub async fn check_answers(&self) -> Result<(), KeycloakError> {
        self.server_info().await.map(|_| ())
    }

    /// What the server says of itself to every administrator.
    pub(super) async fn server_info(&self) -> Result<Value, KeycloakError> {
        let url = self.url(&["admin", "serverinfo"], &[]);
        let request = described(&Method::GET, &url);
        let info = self.json(Method::GET, url, None).await?;
        let is_keycloak = info["profileInfo"].is_object();
        is_keycloak.then_some(info).ok_or(KeycloakError::Answer {
            request,
            missing: "profileInfo",
        })
    }

    /// Whether the administrator may make `realm` what is declared: read all of it where it is there, make it where it is
    /// not.
    pub async fn check_rights(&self, realm: &str) -> Result<(), KeycloakError> {
        if self.find(&[realm], &[]).await?.is_none() {
            return self.check_may_create().await;
        }
        for path in ["clients", "users", "client-scopes", "identity-provider/instances"] {
            let parts: Vec<&str> = std::iter::once(realm).chain(path.split('/')).collect();
            self.get(&parts, &[("max", "1")]).await?;
        }
        Ok(())
    }

    /// Whether one of the administrator's roles is to make realms.
    async fn check_may_create(&self) -> Result<(), KeycloakError> {
        let user = self.user();
        let filter = [("username", user.as_str()), ("exact", "true")];
        let found = self.get(&["master", "users"], &filter).await?;
        let id = found[0]["id"].as_str().unwrap_or_default();
        let path = ["master", "users", id, "role-mappings", "realm", "composite"];
        let roles = self.get(&path, &[]).await?;
        let mut roles = roles.as_array().into_iter().flatten();
        if roles.any(|role| role["name"] == "create-realm") {
            return Ok(());
        }
        Err(KeycloakError::Forbidden {
            request: "POST /admin/realms".to_owned(),
            user,
            status: 403,
        })
    }

    /// What identity tokens of `realm` name as their issuer when the server is reached at this address.
    #[must_use]
    pub fn issuer(&self, realm: &str) -> String {
        issuer(self.base.as_str(), realm)
    }

    /// Reads `path` below `/admin/realms`.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, KeycloakError> {
        self.json(Method::GET, self.realms(path, query), None).await
    }

    /// Reads `path`, or `None` when it does not exist.
    pub async fn find(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, KeycloakError> {
        match self.get(path, query).await {
            Err(KeycloakError::Refused { status: 404, .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads a whole listing page by page.
    pub async fn pages(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, KeycloakError> {
        let mut rows = Vec::new();
        let max = PAGE.to_string();
        loop {
            let first = rows.len().to_string();
            let mut query = query.to_vec();
            query.extend([("first", first.as_str()), ("max", &max)]);
            let Value::Array(page) = self.get(path, &query).await? else {
                return Ok(rows);
            };
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// Creates something and returns the last segment of its address: its id, where it has one.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Option<String>, KeycloakError> {
        let answer = self
            .send(Method::POST, self.realms(path, &[]), Some(body))
            .await?;
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        Ok(location
            .and_then(|address| address.rsplit('/').next())
            .map(str::to_owned))
    }

    /// Replaces something, or with `None` makes a relation hold.
    pub async fn put(&self, path: &[&str], body: Option<&Value>) -> Result<(), KeycloakError> {
        self.send(Method::PUT, self.realms(path, &[]), body)
            .await
            .map(|_| ())
    }

    /// Removes something.
    pub async fn delete(&self, path: &[&str], body: Option<&Value>) -> Result<(), KeycloakError> {
        self.send(Method::DELETE, self.realms(path, &[]), body)
            .await
            .map(|_| ())
    }

    fn realms(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let whole: Vec<&str> = ["admin", "realms"].iter().chain(path).copied().collect();
        self.url(&whole, query)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn json(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, KeycloakError> {
        let request = described(&method, &url);
        let answer = self.send(method, url, body).await?;
        parse(request, &answer)
    }

    /// Sends a request with a token. A token that was made before a realm has no rights in it, so a refusal is
    /// tried once more with a new one.
    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, KeycloakError> {
        let request = described(&method, &url);
        if method != Method::GET {
            report::sends(&request);
        }
        let mut answer = self.send_with_token(&method, &url, body).await?;
        if is_token_refused(answer.status) {
            *self.token.lock().await = None;
            answer = self.send_with_token(&method, &url, body).await?;
        }
        let status = answer.status;
        if status.is_success() {
            Ok(answer)
        } else if is_token_refused(status) {
            Err(KeycloakError::Forbidden {
                request,
                user: self.user(),
                status: status.as_u16(),
            })
        } else {
            Err(KeycloakError::Refused {
                request,
                status: status.as_u16(),
                message: message(&answer),
            })
        }
    }

    async fn send_with_token(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, KeycloakError> {
        let token = self.token().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = self
            .http
            .request(method.clone(), url.clone())
            .bearer_auth(token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        // A creation that was begun may be there already when it is sent again.
        let repeat = if method == Method::POST {
            request = request.timeout(CREATION_TIMEOUT);
            Repeat::Unbegun
        } else {
            Repeat::Always
        };
        self.patiently(described(method, url), request, repeat).await
    }

    async fn patiently(
        &self,
        described: String,
        request: reqwest::RequestBuilder,
        repeat: Repeat,
    ) -> Result<Answer, KeycloakError> {
        tracing::debug!(request = described, "asking Keycloak");
        let answer = self.patient.send(request, &described, repeat).await;
        answer.map_err(|error| KeycloakError::unreachable(described, &error))
    }

    async fn token(&self) -> Result<Secret, KeycloakError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.value.clone());
        }
        let token = self.log_in().await?;
        let value = token.value.clone();
        *kept = Some(token);
        Ok(value)
    }

    async fn log_in(&self) -> Result<Token, KeycloakError> {
        let url = self.url(&["realms", "master", "protocol", "openid-connect", "token"], &[]);
        let form = self.credentials().form();
        let asked_at = Instant::now();
        let described = described(&Method::POST, &url);
        // Asking for a token changes nothing, so it may be repeated like a GET.
        let request = self.http.post(url).form(&form);
        let answer = self.patiently(described.clone(), request, Repeat::Always).await?;
        let status = answer.status;
        if is_token_refused(status) || status == StatusCode::BAD_REQUEST {
            return Err(KeycloakError::Login {
                address: self.base.to_string(),
                user: self.user(),
                message: message(&answer),
            });
        }
        if !status.is_success() {
            return Err(KeycloakError::Refused {
                request: described,
                status: status.as_u16(),
                message: message(&answer),
            });
        }
        let body = parse(described.clone(), &answer)?;
        let value = body["access_token"].as_str().ok_or(KeycloakError::Answer {
            request: described,
            missing: "access_token",
        })?;
        let lifetime = Duration::from_secs(body["expires_in"].as_u64().unwrap_or(0));
        Ok(Token {
            value: Secret::new(value),
            renew_at: asked_at + lifetime.saturating_sub(TOKEN_RESERVE),
        })
    }
}

/// What identity tokens of `realm` name as their issuer when the server's address is `address`.
#[must_use]
pub fn issuer(address: &str, realm: &str) -> String {
    format!("{}/realms/{realm}", address.trim_end_matches('/'))
}

fn http_client(authority: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = crate::proxy::client()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = authority {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    builder.build()
}

fn described(method: &Method, url: &Url) -> String {
    format!("{method} {url}")
}

const fn is_token_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The document in an answer; what is none comes of something else that answers in the server's place.
fn parse(request: String, answer: &Answer) -> Result<Value, KeycloakError> {
    serde_json::from_str(&answer.text).map_err(|_| KeycloakError::Answer {
        request,
        missing: "JSON in it; is there a Keycloak at this address?",
    })
}

/// What a refusal says, in one line: Keycloak uses several fields for it.
fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let said: Vec<&str> = ["error_description", "errorMessage", "error"]
        .iter()
        .filter_map(|field| body[*field].as_str())
        .collect();
    let field = body["field"].as_str();
    match (said.first(), field) {
        (Some(said), Some(field)) => format!("{field}: {said}"),
        (Some(said), None) => (*said).to_owned(),
        (None, _) => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::patience::played::{self, Act, Requests};

    const TOKEN: &str = r#"{"access_token":"t","expires_in":60}"#;

    async fn scripted(answers: Vec<(u16, &'static str)>) -> (Admin, Requests) {
        let acts = answers
            .into_iter()
            .map(|(status, body)| Act::say(status, body))
            .collect();
        let (address, requests) = played::scripted(acts).await;
        let admin = Admin::new(&address, "admin", Secret::new("pw"), None).unwrap();
        (admin.with_patience(Patience::OF_TESTS), requests)
    }

    #[tokio::test]
    async fn test_a_busy_server_is_asked_again() {
        let (admin, requests) = scripted(vec![(200, TOKEN), (503, ""), (429, ""), (200, "[]")]).await;
        assert_eq!(admin.get(&["scs"], &[]).await.unwrap(), serde_json::json!([]));
        assert_eq!(requests.lock().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn test_a_refused_token_is_renewed_once() {
        let script = vec![(200, TOKEN), (403, ""), (200, TOKEN), (200, "{}")];
        let (admin, requests) = scripted(script).await;
        admin.get(&["scs"], &[]).await.unwrap();
        assert!(
            requests.lock().unwrap()[2]
                .line
                .starts_with("POST /realms/master/")
        );

        let (admin, _) = scripted(vec![(200, TOKEN), (401, ""), (200, TOKEN), (401, "")]).await;
        let error = admin.get(&["scs"], &[]).await.unwrap_err();
        assert!(
            matches!(error, KeycloakError::Forbidden { status: 401, .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn test_a_creation_that_may_have_begun_is_not_repeated() {
        let (admin, requests) = scripted(vec![(200, TOKEN), (500, r#"{"errorMessage":"broken"}"#)]).await;
        let error = admin.post(&["scs", "groups"], &Value::Null).await.unwrap_err();
        assert!(error.to_string().ends_with("with status 500: broken"), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn test_a_listing_is_read_to_its_last_page() {
        let full: &'static str = Box::leak(format!("[{}]", vec!["1"; PAGE].join(",")).into_boxed_str());
        let (admin, requests) = scripted(vec![(200, TOKEN), (200, full), (200, "[1]")]).await;
        assert_eq!(
            admin.pages(&["scs", "groups"], &[]).await.unwrap().len(),
            PAGE + 1
        );
        assert!(requests.lock().unwrap()[2].line.contains("first=200&max=200"));
    }

    #[test]
    fn test_addresses_keep_a_path_and_escape_segments() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let admin = Admin::new("https://auth.example/auth/", "admin", Secret::new("pw"), None).unwrap();
        let url = admin.realms(&["scs", "clients", "1", "roles", "a/b c"], &[]);
        assert_eq!(
            url.as_str(),
            "https://auth.example/auth/admin/realms/scs/clients/1/roles/a%2Fb%20c"
        );
        assert_eq!(admin.issuer("scs"), "https://auth.example/auth/realms/scs");
    }

    #[test]
    fn test_what_is_no_address_is_refused_with_an_example() {
        let error = Admin::new("auth.example.org", "admin", Secret::new("pw"), None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("https://"), "{error}");
    }
}
