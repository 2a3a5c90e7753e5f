//! Requests by HTTP that are sent again while a server is busy, away or cuts the connection. Knows nothing of who is
//! asked for what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The first pause between two attempts; it doubles each time.
    pub(super) first_pause: Duration,
    /// The longest pause, where the server does not ask for another.
    pub(super) longest_pause: Duration,
    /// How long it is tried with a server that has never answered: most likely it is not there.
    pub(super) unheard: Duration,
    /// How long with one that has answered before: it is busy, or starts anew.
    pub(super) heard: Duration,
    /// How long with one that says itself when it wants to be asked again.
    pub(super) asked: Duration,
}

impl Patience {
    /// For systems that people run themselves, which are back from a new start within half a minute.
    pub(super) const USUAL: Self = Self {
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(5),
        unheard: Duration::from_secs(3),
        heard: Duration::from_secs(45),
        asked: Duration::from_secs(90),
    };
    /// Enough attempts, and no time for them.
    #[cfg(test)]
    pub(super) const OF_TESTS: Self = Self {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
        unheard: Duration::from_millis(200),
        heard: Duration::from_millis(500),
        asked: Duration::from_secs(10),
    };
}

/// Whether a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Always: sent twice, it comes to the same.
    Always,
    /// Only where the server did not begin with it.
    Unbegun,
}

/// An answer that arrived as a whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// How long the server wants not to be asked, where it says so: in seconds, or by when it counts anew what it allows
    /// (docs.github.com, "Rate limits for the REST API").
    pub(super) fn wait(&self) -> Option<Duration> {
        let seconds = self
            .header(RETRY_AFTER.as_str())
            .and_then(|text| text.parse().ok());
        seconds.map(Duration::from_secs).or_else(|| self.until_reset())
    }

    /// The time until requests are counted anew, where none is left and this one was refused for it.
    fn until_reset(&self) -> Option<Duration> {
        let is_refusal = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN);
        if !is_refusal || self.header("x-ratelimit-remaining")? != "0" {
            return None;
        }
        let reset: i64 = self.header("x-ratelimit-reset")?.parse().ok()?;
        // By the server's own clock, where it shows it.
        let now = self
            .header(DATE.as_str())
            .and_then(|text| rfc2822::parse(text).ok());
        let now = now.map_or_else(Timestamp::now, |now| now.timestamp());
        let left = reset.saturating_sub(now.as_second()).max(0);
        u64::try_from(left).ok().map(|left| Duration::from_secs(left + 1))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the server says that it did not begin with the request. A forge that has been asked too often may say so
    /// as a refusal.
    fn is_turned_away(&self) -> bool {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
            StatusCode::FORBIDDEN => self.wait().is_some(),
            _ => false,
        }
    }
}

/// What became of a request.
type Outcome = Result<Answer, reqwest::Error>;

/// Sends requests to one server, and remembers whether it has ever answered.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    patience: Patience,
    was_heard: Arc<AtomicBool>,
}

impl Patient {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            was_heard: Arc::default(),
        }
    }

    /// Sends `request`, which is told as `told`, until there is an answer that will not be another one soon.
    ///
    /// # Errors
    /// When no whole answer came, at last.
    pub(super) async fn send(&self, request: RequestBuilder, told: &str, repeat: Repeat) -> Outcome {
        let begun = Instant::now();
        // What the server asked for is no sign that it will never be well.
        let mut granted = Duration::ZERO;
        let mut pause = self.patience.first_pause;
        loop {
            let Some(copy) = request.try_clone() else {
                return self.once(request).await;
            };
            let outcome = self.once(copy).await;
            if !may_be_another(&outcome, repeat) {
                return outcome;
            }
            let wanted = outcome.as_ref().ok().and_then(Answer::wait);
            let next = wanted.unwrap_or(pause);
            let (spent, limit) = match wanted {
                Some(_) => (begun.elapsed(), self.patience.asked),
                None => (begun.elapsed().saturating_sub(granted), self.limit()),
            };
            if spent + next > limit {
                return outcome;
            }
            tracing::info!(request = told, pause = ?next, "trying again");
            tokio::time::sleep(next).await;
            granted += wanted.unwrap_or_default();
            pause = (pause * 2).min(self.patience.longest_pause);
        }
    }

    async fn once(&self, request: RequestBuilder) -> Outcome {
        let answer = request.send().await?;
        self.was_heard.store(true, Ordering::Relaxed);
        Ok(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            text: answer.text().await?,
        })
    }

    fn limit(&self) -> Duration {
        if self.was_heard.load(Ordering::Relaxed) {
            self.patience.heard
        } else {
            self.patience.unheard
        }
    }
}

/// Whether the same request may get another answer soon, and may be sent again for it.
fn may_be_another(outcome: &Outcome, repeat: Repeat) -> bool {
    let is_repeatable = repeat == Repeat::Always;
    match outcome {
        Ok(answer) => answer.is_turned_away() || is_repeatable && answer.status.is_server_error(),
        Err(error) if error.is_builder() => false,
        Err(error) => error.is_connect() || is_repeatable,
    }
}

#[cfg(test)]
pub(super) mod played {
    //! A server that plays a script: it stands in for whatever speaks HTTP.

    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// What the server does with one request.
    #[derive(Clone, Debug)]
    pub(in crate::surface) enum Act {
        /// Answers with status, more headers (each with its end of line) and body.
        Say(u16, &'static str, String),
        /// Says that the answer is long, sends its beginning, and closes.
        Cut,
        /// Closes without a word.
        Hang,
        /// Says nothing, and does not close.
        Wait,
    }

    impl Act {
        pub(in crate::surface) fn say(status: u16, body: impl Into<String>) -> Self {
            Self::Say(status, "", body.into())
        }
    }

    /// A request as it arrived.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(in crate::surface) struct Request {
        /// Method and target, `GET /path?query`.
        pub(in crate::surface) line: String,
        pub(in crate::surface) body: String,
    }

    /// Requests in the order in which they came.
    pub(in crate::surface) type Requests = Arc<Mutex<Vec<Request>>>;

    /// Serves `act` for each request, which is told to it; gives the server's address without a slash at the end.
    pub(in crate::surface) async fn serve(
        mut act: impl FnMut(&Request) -> Act + Send + 'static,
    ) -> (String, Requests) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read(&mut stream).await else {
                    continue;
                };
                seen.lock().unwrap().push(request.clone());
                match act(&request) {
                    Act::Wait => kept.push(stream),
                    act => answer(stream, act).await,
                }
            }
        });
        (address, requests)
    }

    /// Serves `acts` in turn, the last of them again and again.
    pub(in crate::surface) async fn scripted(mut acts: Vec<Act>) -> (String, Requests) {
        serve(move |_| {
            if acts.len() > 1 {
                acts.remove(0)
            } else {
                acts[0].clone()
            }
        })
        .await
    }

    async fn read(stream: &mut TcpStream) -> Option<Request> {
        let mut octets = Vec::new();
        let mut part = vec![0; 8192];
        loop {
            let length = stream.read(&mut part).await.ok()?;
            octets.extend(&part[..length]);
            let text = String::from_utf8_lossy(&octets).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() >= content_length(head)
            {
                let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
                let body = body.to_owned();
                return Some(Request { line, body });
            }
            if length == 0 {
                return None;
            }
        }
    }

    fn content_length(head: &str) -> usize {
        head.to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0)
    }

    async fn answer(mut stream: TcpStream, act: Act) {
        let head = |status: u16, headers: &str, length: usize| {
            format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n")
        };
        let sent = match act {
            Act::Say(status, headers, body) => head(status, headers, body.len()) + &body,
            Act::Cut => head(200, "", 10_000) + "{\"a\": ",
            Act::Hang | Act::Wait => String::new(),
        };
        stream.write_all(sent.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::played::{Act, Requests, scripted};
    use super::*;

    async fn sent(acts: Vec<Act>, repeat: Repeat) -> (Outcome, Requests) {
        let (address, requests) = scripted(acts).await;
        let http = reqwest::Client::new();
        let patient = Patient::new(Patience::OF_TESTS);
        (patient.send(http.get(address), "GET /", repeat).await, requests)
    }

    fn ok() -> Act {
        Act::say(200, "{}")
    }

    #[tokio::test]
    async fn test_what_may_be_repeated_outlives_every_passing_fault() {
        let acts = vec![
            Act::say(503, ""),
            Act::Hang,
            Act::say(429, ""),
            Act::Cut,
            Act::say(500, ""),
            Act::say(502, ""),
            ok(),
        ];
        let (outcome, requests) = sent(acts, Repeat::Always).await;
        assert_eq!(outcome.unwrap().text, "{}");
        assert_eq!(requests.lock().unwrap().len(), 7);
    }

    #[tokio::test]
    async fn test_what_may_have_begun_is_not_repeated() {
        for act in [Act::say(500, ""), Act::Cut, Act::Hang] {
            let (outcome, requests) = sent(vec![act, ok()], Repeat::Unbegun).await;
            assert!(outcome.map_or(true, |answer| answer.status == 500));
            assert_eq!(requests.lock().unwrap().len(), 1);
        }
        let turned_away = vec![
            Act::say(503, ""),
            Act::say(429, ""),
            Act::Say(403, "retry-after: 0\r\n", String::new()),
            ok(),
        ];
        let (outcome, requests) = sent(turned_away, Repeat::Unbegun).await;
        assert_eq!(outcome.unwrap().status, 200);
        assert_eq!(requests.lock().unwrap().len(), 4);
    }

    /// The wish is longer than every pause of its own, so one attempt too early would be a third request.
    #[tokio::test]
    async fn test_a_server_is_asked_again_when_it_wants_to_be() {
        let busy = || Act::Say(429, "retry-after: 1\r\n", String::new());
        let (outcome, requests) = sent(vec![busy(), ok()], Repeat::Always).await;
        assert_eq!(outcome.unwrap().status, 200);
        assert_eq!(requests.lock().unwrap().len(), 2);

        let hours = Act::Say(429, "retry-after: 7200\r\n", String::new());
        let (outcome, requests) = sent(vec![hours, ok()], Repeat::Always).await;
        assert_eq!(outcome.unwrap().wait(), Some(Duration::from_secs(7200)));
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn test_a_server_that_counts_requests_says_when_it_begins_anew() {
        const SOON: &str = "date: Fri, 27 Nov 2026 19:00:00 GMT\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1795806000\r\n";
        const LATE: &str = "date: Fri, 27 Nov 2026 19:00:00 GMT\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1795809600\r\n";
        const SOME_LEFT: &str = "x-ratelimit-remaining: 9\r\nx-ratelimit-reset: 1795809600\r\n";
        let act = |status, headers| Act::Say(status, headers, String::new());
        for status in [403, 429] {
            let (outcome, requests) = sent(vec![act(status, SOON), ok()], Repeat::Always).await;
            assert_eq!(outcome.unwrap().status, 200);
            assert_eq!(requests.lock().unwrap().len(), 2);
            let (outcome, requests) = sent(vec![act(status, LATE), ok()], Repeat::Always).await;
            assert_eq!(outcome.unwrap().wait(), Some(Duration::from_secs(3601)));
            assert_eq!(requests.lock().unwrap().len(), 1);
        }
        let (outcome, _) = sent(vec![act(403, SOME_LEFT), ok()], Repeat::Always).await;
        assert_eq!(outcome.unwrap().wait(), None);
    }

    #[tokio::test]
    async fn test_patience_comes_to_an_end() {
        let (outcome, requests) = sent(vec![Act::say(503, "")], Repeat::Always).await;
        assert_eq!(outcome.unwrap().status, 503);
        assert!(requests.lock().unwrap().len() > 3);
        let (outcome, _) = sent(vec![Act::Cut], Repeat::Always).await;
        outcome.unwrap_err();
    }
}
