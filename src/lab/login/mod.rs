//! Logs a person in as their browser would: authorization code flow with PKCE at Keycloak, by way of the forge's
//! login and consent pages. The lab proves with it that the whole chain works; no test account is privileged.

mod browser;
mod page;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::causes;
use crate::secret::Secret;
use browser::{Answer, Browser, Shown, address};

/// Redirects and pages after which something goes round in circles.
const LONGEST_WAY: usize = 25;
/// How Keycloak is told to go straight to the identity provider.
const PROVIDER_HINT: &str = "kc_idp_hint";

/// Who logs in where.
#[derive(Clone, Debug)]
pub struct LoginRequest {
    /// Issuer (`https://auth.example.org/realms/scs`).
    pub issuer: String,
    /// A public client with PKCE.
    pub client_id: String,
    /// One of its redirect addresses. Nobody needs to listen there.
    pub redirect_uri: String,
    /// Alias of the identity provider that the login goes by.
    pub provider: String,
    /// Address of the forge: the only place that is given the password.
    pub forge: String,
    /// Login at the forge.
    pub person: String,
    /// Password at the forge.
    pub password: Secret,
    /// PEM of a certificate authority to trust besides the system's.
    pub authority: Option<String>,
}

/// What a login yields.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The identity token: what kube-apiserver accepts.
    pub id_token: Secret,
    /// The access token.
    pub access_token: Secret,
    /// Renews both, where the client may have one.
    pub refresh_token: Option<Secret>,
    /// How long the access token lasts.
    pub expires_in: Duration,
}

impl Tokens {
    /// The claims of the identity token, **not** verified: for showing what it says, never for deciding.
    pub fn claims(&self) -> Result<Value, LoginError> {
        let payload = self.id_token.expose().split('.').nth(1).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|_| LoginError::Answer {
            address: "the token endpoint".into(),
            missing: "readable identity token",
        })
    }
}

/// Why a login did not work.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The certificate authority can't be used.
    #[error("the certificate authority for the login can't be used")]
    Authority {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// One of the addresses in the request is none.
    #[error("`{text}` is not a web address")]
    Address {
        /// The text.
        text: String,
    },
    /// No answer.
    #[error("no answer from {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why, in plain words.
        reason: String,
    },
    /// The forge did not take name and password.
    #[error("the forge at {address} refused the login of `{person}`: {said}")]
    Password {
        /// Where.
        address: String,
        /// Who.
        person: String,
        /// What the page said.
        said: String,
    },
    /// A page that is neither the forge's login nor its consent.
    #[error(
        "the login came to a page it does not know: {address} answered {status} with \"{title}\": {said}"
    )]
    Page {
        /// Where.
        address: String,
        /// HTTP status.
        status: u16,
        /// Title of the page.
        title: String,
        /// What the page said.
        said: String,
    },
    /// Keycloak ended the login with an error, or refused to exchange the code.
    #[error("Keycloak refused the login: {error}: {description}")]
    Refused {
        /// The code (`access_denied`).
        error: String,
        /// What it said besides.
        description: String,
    },
    /// An answer without something that must be in it.
    #[error("the answer of {address} has no {missing}")]
    Answer {
        /// Where.
        address: String,
        /// What is missing.
        missing: &'static str,
    },
    /// Redirects without an end.
    #[error("the login was redirected {LONGEST_WAY} times and is still at {address}")]
    Circle {
        /// Where it was last.
        address: String,
    },
}

/// Logs in. Does not listen anywhere: it stops at the redirect that carries the code.
pub async fn login(request: &LoginRequest) -> Result<Tokens, LoginError> {
    let browser = Browser::new(request.authority.as_deref())?;
    let endpoints = discover(&browser, &request.issuer).await?;
    let verifier = random_text();
    let state = random_text();
    let start = authorization_address(request, &endpoints.authorization, &verifier, &state)?;
    let arrived = walk(&browser, request, start).await?;
    let code = code(&arrived, &state)?;
    exchange(&browser, request, &endpoints.token, &code, &verifier).await
}

struct Endpoints {
    authorization: Url,
    token: Url,
}

async fn discover(browser: &Browser, issuer: &str) -> Result<Endpoints, LoginError> {
    let url = parse(&format!("{issuer}/.well-known/openid-configuration"))?;
    let document = json(browser.http().get(url.clone()), &url).await?;
    let endpoint = |name: &'static str| {
        let text = document[name].as_str().ok_or_else(|| LoginError::Answer {
            address: address(&url),
            missing: name,
        })?;
        parse(text)
    };
    Ok(Endpoints {
        authorization: endpoint("authorization_endpoint")?,
        token: endpoint("token_endpoint")?,
    })
}

fn authorization_address(
    request: &LoginRequest,
    endpoint: &Url,
    verifier: &str,
    state: &str,
) -> Result<Url, LoginError> {
    parse(&request.redirect_uri)?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let mut url = endpoint.clone();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("scope", "openid"),
        ("state", state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        (PROVIDER_HINT, &request.provider),
    ]);
    Ok(url)
}

/// Goes from page to page until the redirect address is reached, which is returned with what it carries.
async fn walk(browser: &Browser, request: &LoginRequest, start: Url) -> Result<Url, LoginError> {
    let mut visit = Visit {
        browser,
        request,
        forge: parse(&request.forge)?,
        password_sent: false,
    };
    let mut last = start.clone();
    let mut answer = browser.visit(&start).await?;
    for _ in 0..LONGEST_WAY {
        answer = match answer {
            Answer::Redirect(to) if is_arrival(&to, &request.redirect_uri) => return Ok(to),
            Answer::Redirect(to) => {
                last = to;
                browser.visit(&last).await?
            }
            Answer::Page(shown) => visit.answer_page(&shown).await?,
        };
    }
    Err(LoginError::Circle {
        address: address(&last),
    })
}

/// A login on its way.
struct Visit<'parts> {
    browser: &'parts Browser,
    request: &'parts LoginRequest,
    forge: Url,
    password_sent: bool,
}

impl Visit<'_> {
    /// Does what a person would do on the forge's login or consent page.
    async fn answer_page(&mut self, shown: &Shown) -> Result<Answer, LoginError> {
        let is_forge = shown.url.origin() == self.forge.origin();
        let forms = shown.page.forms.iter().filter(|_| is_forge);
        for form in forms {
            let target = shown.url.join(&form.action).ok();
            let target = target.filter(|target| target.origin() == self.forge.origin());
            let Some(target) = target else { continue };
            if form.asks_password() {
                return self.log_in(shown, &target, form).await;
            }
            if let Some(fields) = form.pressed("granted", "true") {
                return self.browser.submit(&target, &fields).await;
            }
        }
        Err(LoginError::Page {
            address: address(&shown.url),
            status: shown.status,
            title: shown.page.title.clone(),
            said: said(shown),
        })
    }

    async fn log_in(&mut self, shown: &Shown, target: &Url, form: &page::Form) -> Result<Answer, LoginError> {
        if self.password_sent {
            return Err(LoginError::Password {
                address: address(&shown.url),
                person: self.request.person.clone(),
                said: said(shown),
            });
        }
        self.password_sent = true;
        let fields = form.filled(&self.request.person, self.request.password.expose());
        self.browser.submit(target, &fields).await
    }
}

fn said(shown: &Shown) -> String {
    if shown.page.messages.is_empty() {
        "it says nothing more".to_owned()
    } else {
        shown.page.messages.join("; ")
    }
}

/// Whether `url` is the redirect address, whatever it carries.
fn is_arrival(url: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|wanted| address(url) == address(&wanted))
}

fn code(arrived: &Url, state: &str) -> Result<Secret, LoginError> {
    let carried: BTreeMap<String, String> = arrived.query_pairs().into_owned().collect();
    if let Some(error) = carried.get("error") {
        let description = carried.get("error_description").cloned().unwrap_or_default();
        return Err(LoginError::Refused {
            error: error.clone(),
            description,
        });
    }
    let missing = |missing| LoginError::Answer {
        address: address(arrived),
        missing,
    };
    if carried.get("state").map(String::as_str) != Some(state) {
        return Err(missing("state of this login"));
    }
    carried
        .get("code")
        .map(Secret::new)
        .ok_or_else(|| missing("code"))
}

async fn exchange(
    browser: &Browser,
    request: &LoginRequest,
    endpoint: &Url,
    code: &Secret,
    verifier: &str,
) -> Result<Tokens, LoginError> {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("code", code.expose()),
        ("code_verifier", verifier),
    ];
    let body = json(browser.http().post(endpoint.clone()).form(&form), endpoint).await?;
    let token = |name: &str| body[name].as_str().map(Secret::new);
    let missing = |missing| LoginError::Answer {
        address: address(endpoint),
        missing,
    };
    Ok(Tokens {
        id_token: token("id_token").ok_or_else(|| missing("id_token"))?,
        access_token: token("access_token").ok_or_else(|| missing("access_token"))?,
        refresh_token: token("refresh_token"),
        expires_in: Duration::from_secs(body["expires_in"].as_u64().unwrap_or(0)),
    })
}

/// Sends `request` and reads JSON; an OAuth error in it becomes an error here.
async fn json(request: reqwest::RequestBuilder, url: &Url) -> Result<Value, LoginError> {
    let fault = |error: reqwest::Error| LoginError::Unreachable {
        address: address(url),
        reason: causes::of_connection(&error),
    };
    let answer = request.send().await.map_err(fault)?;
    let status = answer.status();
    let text = answer.text().await.map_err(fault)?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let field = |name: &str| body[name].as_str().map(str::to_owned);
    Err(LoginError::Refused {
        error: field("error").unwrap_or_else(|| status.to_string()),
        description: field("error_description").unwrap_or_else(|| address(url)),
    })
}

fn parse(text: &str) -> Result<Url, LoginError> {
    Url::parse(text).map_err(|_| LoginError::Address {
        text: text.to_owned(),
    })
}

/// 256 random bits as text: state, and the verifier of PKCE (RFC 7636, section 4.1).
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_arrival_is_told_by_address_not_by_what_it_carries() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(is_arrival(
            &url("http://localhost:8000/?code=x"),
            "http://localhost:8000"
        ));
        assert!(!is_arrival(
            &url("http://localhost:8001/?code=x"),
            "http://localhost:8000"
        ));
        assert!(!is_arrival(
            &url("http://127.0.0.1:1/a?redirect_uri=http://localhost:8000"),
            "http://localhost:8000"
        ));
    }

    #[test]
    fn test_a_code_is_taken_only_with_the_state_of_this_login() {
        let url = |query: &str| Url::parse(&format!("http://localhost:8000/?{query}")).unwrap();
        assert_eq!(code(&url("code=c&state=s"), "s").unwrap().expose(), "c");
        assert!(matches!(
            code(&url("code=c&state=other"), "s"),
            Err(LoginError::Answer { .. })
        ));
        let refused = code(&url("error=access_denied&error_description=no"), "s").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Keycloak refused the login: access_denied: no"
        );
    }

    #[test]
    fn test_claims_of_a_broken_token_are_an_error() {
        let tokens = Tokens {
            id_token: Secret::new("a.b"),
            access_token: Secret::default(),
            refresh_token: None,
            expires_in: Duration::ZERO,
        };
        assert!(tokens.claims().is_err());
    }
}
