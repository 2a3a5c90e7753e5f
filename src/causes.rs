//! What an error and its causes say, each thing once: the one walk over an error's sources.
//!
//! Messages of this program never repeat their source; those of libraries do, some at every step. So a cause is told
//! only where nothing before it has said the same already.

use std::error::Error;
use std::io;
use std::iter;

/// `error` and everything that caused it, outermost first.
pub fn chain<'error>(
    error: &'error (dyn Error + 'static),
) -> impl Iterator<Item = &'error (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// What each cause of `error` says that neither the error nor a cause before it has said already, outermost first.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    for cause in chain(error).skip(1) {
        let text = cause.to_string();
        if !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
    }
    texts.split_off(1)
}

/// `error` and its causes in one line.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    iter::once(error.to_string())
        .chain(told(error))
        .collect::<Vec<_>>()
        .join(": ")
}

/// `text` in one line, with single spaces: others write lists and several lines into what is told in one.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a connection did not come about, in plain words with what the system said. Libraries wrap this several times
/// over (`client error (Connect)`), so the deepest cause is what counts.
#[must_use]
pub fn of_connection(error: &(dyn Error + 'static)) -> String {
    let deepest = chain(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let why = chain(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .find_map(|cause| in_plain_words(cause.kind()))
        .or_else(|| in_plain_words_by_text(&deepest));
    why.map_or_else(|| deepest.clone(), |why| format!("{why} ({deepest})"))
}

const fn in_plain_words(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("nothing listens at that address"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Some("the connection was cut")
        }
        io::ErrorKind::TimedOut => Some("no answer came in time"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no way to that address from here")
        }
        _ => None,
    }
}

/// Name resolution and TLS have no kind of their own.
fn in_plain_words_by_text(text: &str) -> Option<&'static str> {
    let words = [
        ("lookup address", "its name leads to no address"),
        ("dns error", "its name leads to no address"),
        ("certificate", "its certificate is not trusted here"),
        ("deadline has elapsed", "no answer came in time"),
        ("timed out", "no answer came in time"),
    ];
    words
        .into_iter()
        .find_map(|(part, plain)| text.contains(part).then_some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    }

    fn step(text: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Step {
        Step {
            text,
            source: Some(source.into()),
        }
    }

    #[test]
    fn test_each_cause_is_told_once() {
        let error = step(
            "fetching x",
            step(
                "sending failed: refused",
                step("refused", step("by the wall", "x")),
            ),
        );
        assert_eq!(told(&error), ["sending failed: refused", "by the wall"]);
        assert_eq!(
            in_one_line(&error),
            "fetching x: sending failed: refused: by the wall"
        );
    }

    #[test]
    fn test_a_failed_connection_is_told_in_plain_words() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = step("sending", step("client error (Connect)", refused));
        assert_eq!(
            of_connection(&error),
            "nothing listens at that address (connection refused)"
        );
        let untrusted = step(
            "client error (Connect)",
            "invalid peer certificate: UnknownIssuer",
        );
        assert_eq!(
            of_connection(&untrusted),
            "its certificate is not trusted here (invalid peer certificate: UnknownIssuer)"
        );
        assert_eq!(of_connection(&step("odd", "oddity")), "oddity");
    }
}
