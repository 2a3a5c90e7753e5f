//! The proxy of the surroundings (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`): the same rules for every
//! connection, and none for what listens on this computer.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, Proxy};

/// Through which proxy `address` is asked for; `None` where it is asked itself.
#[must_use]
pub fn of(address: &Uri) -> Option<Uri> {
    if is_own(address) {
        return None;
    }
    let found = Matcher::from_env().intercept(address)?;
    Some(found.uri().clone())
}

/// A client whose requests take the proxy of the surroundings.
pub fn client() -> ClientBuilder {
    let matcher = Matcher::from_env();
    let proxy = Proxy::custom(move |url| {
        let address: Uri = url.as_str().parse().ok()?;
        if is_own(&address) {
            return None;
        }
        let found = matcher.intercept(&address)?;
        Some(found.uri().to_string())
    });
    reqwest::Client::builder().no_proxy().proxy(proxy)
}

/// Whether `address` is of this computer.
#[must_use]
pub fn is_own(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_this_computer_is_never_asked_through_a_proxy() {
        let is_own = |host: &str| is_own(&format!("https://{host}:8443/a").parse().unwrap());
        for host in ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["example.org", "10.0.0.1", "localhost.example.org"] {
            assert!(!is_own(host), "{host}");
        }
    }
}
