//! Way to Keycloak that counts requests and ends at one of them.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::pending;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::site::Site;

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// When a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Keycloak does not get the request.
    Before,
    /// Keycloak has carried it out.
    After,
    /// Keycloak is at it.
    Meanwhile,
}

/// Where a run is killed: at the request of its kind with this number, counted from nought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    pub(super) kind: Kind,
    pub(super) number: usize,
    pub(super) moment: Moment,
}

/// A request on its way.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines.first()?.split(' ');
        let method = Method::from_bytes(first.next()?.as_bytes()).ok()?;
        let target = first.next()?.to_owned();
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == CONTENT_LENGTH.as_str());
        let length = length.map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self {
            method,
            target,
            headers,
            body,
        })
    }

    /// Asking for a token changes nothing.
    pub(super) fn kind(&self) -> Kind {
        if self.method == Method::GET || self.target.ends_with("/token") {
            Kind::Read
        } else {
            Kind::Write
        }
    }

    pub(super) fn told(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What stands between a run and Keycloak.
pub(super) struct Way {
    pub(super) server: String,
    pub(super) http: reqwest::Client,
    pub(super) kill: Kill,
    pub(super) passed: Mutex<Passed>,
}

/// How many requests came by, and whom to tell that the run is to be killed: nobody when it is told.
pub(super) struct Passed {
    pub(super) reads: usize,
    pub(super) writes: usize,
    pub(super) killer: Option<oneshot::Sender<String>>,
}

impl Way {
    /// Opens it. Gives its address, what ends it with all its connections, and the request at which the run is to be killed.
    pub(super) async fn open(
        site: &Site<'_>,
        kill: Kill,
    ) -> (String, JoinHandle<()>, oneshot::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (killer, end) = oneshot::channel();
        let way = Arc::new(Self {
            server: site.lab.endpoint("keycloak").to_owned(),
            http: site.http.clone(),
            kill,
            passed: Mutex::new(Passed {
                reads: 0,
                writes: 0,
                killer: Some(killer),
            }),
        });
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(Arc::clone(&way).serve(stream));
            }
        });
        (address, serving, end)
    }

    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = Request::read(&mut stream).await {
            let told = request.told();
            let moment = self.count(request.kind()).await;
            if moment == Some(Moment::Before) {
                self.end(told).await;
                return;
            }
            let forwarded = tokio::spawn(self.forwarded(request));
            if moment == Some(Moment::Meanwhile) {
                // So that it is on its way.
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
                self.end(told).await;
                return;
            }
            let answer = forwarded.await.unwrap();
            if moment == Some(Moment::After) {
                self.end(told).await;
                return;
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    /// Says when the run is to be killed if that is at this request. A run that was killed sends nothing any more.
    pub(super) async fn count(&self, kind: Kind) -> Option<Moment> {
        let number = {
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            let Passed {
                reads,
                writes,
                killer,
            } = &mut *passed;
            let counted = if kind == Kind::Read { reads } else { writes };
            *counted += 1;
            killer.is_some().then_some(*counted - 1)
        };
        let Some(number) = number else {
            return pending().await;
        };
        (kind == self.kill.kind && number == self.kill.number).then_some(self.kill.moment)
    }

    /// Lets the run be killed at the request, and waits for that.
    pub(super) async fn end(&self, request: String) {
        let killer = self.passed.lock().unwrap().killer.take();
        if let Some(killer) = killer {
            drop(killer.send(request));
        }
        pending::<()>().await;
    }

    /// The answer of Keycloak in the form in which it is sent on.
    pub(super) fn forwarded(&self, request: Request) -> impl Future<Output = Vec<u8>> + Send + use<> {
        let address = format!("{}{}", self.server, request.target);
        let mut forwarded = self.http.request(request.method, address);
        for (name, value) in request.headers {
            if [AUTHORIZATION.as_str(), CONTENT_TYPE.as_str()].contains(&name.as_str()) {
                forwarded = forwarded.header(name, value);
            }
        }
        let forwarded = forwarded.body(request.body);
        async move {
            let answer = forwarded.send().await.unwrap();
            let status = answer.status().as_u16();
            let location = answer
                .headers()
                .get(LOCATION)
                .map(|value| value.to_str().unwrap());
            let location = location.map_or(String::new(), |value| format!("location: {value}\r\n"));
            let body = answer.bytes().await.unwrap();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} -\r\n{location}content-length: {length}\r\n\r\n");
            [head.as_bytes(), &body].concat()
        }
    }
}
