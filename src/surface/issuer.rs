//! Issuers of tokens that are not ours, as an API server looks at them: by `OpenID` Connect Discovery 1.0.

use std::time::Duration;

use reqwest::{Certificate, StatusCode};
use serde_json::Value;
use url::Url;

use crate::report;

/// How long an issuer may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Below the issuer's address (`OpenID` Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// An issuer that an API server would not take.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The address has what none may have, or lacks what it must have.
    #[error("`{url}` is no issuer: {reason}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The certificate authority can't be used.
    #[error("the certificate authority of {url} can't be used")]
    Authority {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It does not answer.
    #[error("no answer from {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answers something else than what an issuer has there.
    #[error("{url} answers {status}, which is no description of an issuer")]
    Answer {
        /// What was asked for.
        url: String,
        /// With which status.
        status: StatusCode,
    },
    /// It calls itself something else, and so do its tokens.
    #[error("{url} says that it is `{says}`: it has to be declared exactly so")]
    Other {
        /// The address.
        url: String,
        /// What it calls itself.
        says: String,
    },
}

/// Whether `url` can be an issuer of an API server (Kubernetes, `AuthenticationConfiguration`, `issuer.url`).
///
/// # Errors
/// [`IssuerError::Address`]
pub fn check_address(url: &str) -> Result<Url, IssuerError> {
    let fault = |reason| IssuerError::Address {
        url: url.to_owned(),
        reason,
    };
    let parsed = Url::parse(url).map_err(|_| fault("that is no address"))?;
    if parsed.scheme() != "https" {
        return Err(fault("its address has to begin with https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(fault("its address may have no user in it"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(fault("its address may have neither ? nor # in it"));
    }
    Ok(parsed)
}

/// Asks the issuer at `url` how it calls itself. `authority` is the PEM of the authority of its certificate where it is
/// not a public one.
///
/// # Errors
/// Whatever would keep an API server from taking its tokens, as far as it can be seen from here.
pub async fn check(url: &str, authority: Option<&str>) -> Result<(), IssuerError> {
    check_address(url)?;
    let fault = |source| IssuerError::Authority {
        url: url.to_owned(),
        source,
    };
    let client = client(authority).map_err(fault)?;
    let place = format!("{}{DISCOVERY}", url.trim_end_matches('/'));
    report::sends(format_args!("GET {place}"));
    let unreachable = |source: reqwest::Error| IssuerError::Unreachable {
        url: place.clone(),
        source: source.without_url(),
    };
    let answer = client.get(&place).send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let described: Option<Value> = serde_json::from_str(&text).ok().filter(|_| status.is_success());
    let says = described.and_then(|described| described["issuer"].as_str().map(str::to_owned));
    match says {
        None => Err(IssuerError::Answer { url: place, status }),
        Some(says) if says != url => Err(IssuerError::Other {
            url: url.to_owned(),
            says,
        }),
        Some(_) => Ok(()),
    }
}

fn client(authority: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    let builder = crate::proxy::client().timeout(LIMIT);
    let builder = match authority {
        Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?),
        None => builder,
    };
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_addresses_are_as_an_api_server_takes_them() {
        assert!(check_address("https://dex.example.org/dex").is_ok());
        for (url, wanted) in [
            ("dex", "no address"),
            ("http://dex.example.org", "https://"),
            ("https://a@dex.example.org", "no user"),
            ("https://dex.example.org/?a=b", "neither"),
            ("https://dex.example.org/#a", "neither"),
        ] {
            let error = check_address(url).unwrap_err().to_string();
            assert!(error.contains(wanted), "{url}: {error}");
        }
    }
}
