//! What can go wrong at a cloud.

/// A cloud does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum OpenStackError {
    /// The certificate authority of the cloud can't be used.
    #[error("the cloud's `cacert` can't be read")]
    Authority(#[source] std::io::Error),
    /// It is no certificate, or the connection can't be prepared.
    #[error("the connection to the cloud can't be prepared")]
    Connection(#[source] reqwest::Error),
    /// No answer.
    #[error("no answer from {service} to {request}: {reason}")]
    Unreachable {
        /// Which service.
        service: &'static str,
        /// Method and address.
        request: String,
        /// Why, in plain words.
        reason: String,
    },
    /// A refusal.
    #[error("{service} refused {request} with status {status}{}", said(message))]
    Refused {
        /// Which service.
        service: &'static str,
        /// Method and address.
        request: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// An answer that is none.
    #[error("the answer of {service} to {request} can't be read")]
    Answer {
        /// Which service.
        service: &'static str,
        /// Method and address.
        request: String,
    },
    /// The catalog has no such service.
    #[error("the cloud's catalog has no {service} for this region")]
    NoService {
        /// Which service.
        service: &'static str,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        return String::new();
    }
    format!(": {message}")
}
