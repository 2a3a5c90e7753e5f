//! A browser without a screen: keeps cookies, follows redirects one by one, sends forms. Knows HTML and HTTP,
//! nothing of logins.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, RequestBuilder, Response};
use url::Url;

use super::LoginError;
use super::page::Page;
use crate::causes;

/// How long one page may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
pub(super) enum Answer {
    /// The browser is sent elsewhere.
    Redirect(Url),
    /// A page.
    Page(Shown),
}

/// A page and where it is.
pub(super) struct Shown {
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) page: Page,
}

pub(super) struct Browser {
    http: reqwest::Client,
}

impl Browser {
    /// A browser that trusts the certificate authority in `authority` (PEM) besides the system's.
    pub(super) fn new(authority: Option<&str>) -> Result<Self, LoginError> {
        let build = || {
            let mut builder = crate::proxy::client()
                .cookie_store(true)
                .timeout(TIMEOUT)
                .redirect(reqwest::redirect::Policy::none());
            if let Some(pem) = authority {
                builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem.as_bytes())?);
            }
            builder.build()
        };
        let http = build().map_err(|source| LoginError::Authority { source })?;
        Ok(Self { http })
    }

    pub(super) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) async fn visit(&self, url: &Url) -> Result<Answer, LoginError> {
        self.answer(url, self.http.get(url.clone())).await
    }

    pub(super) async fn submit(&self, url: &Url, fields: &[(String, String)]) -> Result<Answer, LoginError> {
        self.answer(url, self.http.post(url.clone()).form(fields)).await
    }

    async fn answer(&self, url: &Url, request: RequestBuilder) -> Result<Answer, LoginError> {
        let fault = |error: reqwest::Error| LoginError::Unreachable {
            address: address(url),
            reason: causes::of_connection(&error),
        };
        let response = request.send().await.map_err(fault)?;
        if response.status().is_redirection() {
            return redirect(url, &response);
        }
        let status = response.status().as_u16();
        let is_html = header(&response, CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
        let text = response.text().await.map_err(fault)?;
        let page = if is_html {
            Page::read(&text)
        } else {
            Page::default()
        };
        Ok(Answer::Page(Shown {
            url: url.clone(),
            status,
            page,
        }))
    }
}

fn redirect(from: &Url, response: &Response) -> Result<Answer, LoginError> {
    header(response, LOCATION)
        .and_then(|location| from.join(location).ok())
        .map(Answer::Redirect)
        .ok_or_else(|| LoginError::Answer {
            address: address(from),
            missing: "usable address in its redirect",
        })
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// `url` without what follows the path: queries of logins hold codes and session names.
pub(super) fn address(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
