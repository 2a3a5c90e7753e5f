//! Asking a component whether it is ready.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::causes;

/// The answer of a component that was asked whether it is ready: `Ok(())`, or what it still waits for.
pub type ReadinessAnswer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Asks a component whether it is ready.
pub type ReadinessCheck = Arc<dyn Fn() -> ReadinessAnswer + Send + Sync>;

/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Ready when a GET of `url` answers 200. With `ca_pem`, only certificates issued by that authority count.
#[must_use]
pub fn http_ready(url: String, ca_pem: Option<String>) -> ReadinessCheck {
    let client = client(ca_pem).map_err(|error| causes::in_one_line(&error));
    Arc::new(move || {
        let (client, url) = (client.clone(), url.clone());
        Box::pin(async move { ask(&client?, &url).await })
    })
}

fn client(ca_pem: Option<String>) -> reqwest::Result<Client> {
    let builder = Client::builder().timeout(ANSWER_WITHIN).no_proxy();
    match ca_pem {
        None => builder,
        Some(pem) => builder.tls_certs_only([Certificate::from_pem(pem.as_bytes())?]),
    }
    .build()
}

async fn ask(client: &Client, url: &str) -> Result<(), String> {
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| complaint(url, &error))?;
    match answer.status() {
        reqwest::StatusCode::OK => Ok(()),
        status => Err(format!("{url} answers {status}")),
    }
}

/// That nobody listens yet, or listens and is silent, is how every component begins: it needs no cause.
fn complaint(url: &str, error: &reqwest::Error) -> String {
    if error.is_connect() || error.is_timeout() {
        format!("{url} does not answer yet")
    } else {
        // What reqwest itself says does not tell why.
        format!("{url}: {}", causes::of_connection(error))
    }
}

/// Ready when `address` accepts a connection.
#[must_use]
pub fn tcp_ready(address: SocketAddr) -> ReadinessCheck {
    Arc::new(move || {
        Box::pin(async move {
            tokio::net::TcpStream::connect(address)
                .await
                .map(drop)
                .map_err(|_| format!("{address} does not answer yet"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn test_a_component_that_does_not_listen_does_not_answer_yet() {
        drop(rustls::crypto::ring::default_provider().install_default());
        // Bound and closed again: nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let url = format!("http://{address}/readyz");
        assert_eq!(
            http_ready(url.clone(), None)().await,
            Err(format!("{url} does not answer yet"))
        );
        assert_eq!(
            tcp_ready(address)().await,
            Err(format!("{address} does not answer yet"))
        );
    }
}
