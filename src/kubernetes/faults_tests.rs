//! Faults that a real API server does not produce on demand, by a server that plays them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::desired::Manifest;
use crate::report::{Silent, Task};

/// What the server does with one request.
#[derive(Clone)]
enum Answer {
    Json(u16, Value),
    /// Says that the answer is long, sends its beginning, and closes.
    Cut,
    /// Sends one line of a watch, and closes.
    Line(Value),
}

/// Answers to requests by method and path, in turn; the last of them again and again.
type Script = BTreeMap<(&'static str, &'static str), Vec<Answer>>;

const CONFIG_MAP: &str = "/api/v1/namespaces/web/configmaps/settings";

fn discovery() -> Value {
    json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "configmaps", "singularName": "configmap", "namespaced": true, "kind": "ConfigMap",
         "verbs": ["get", "list", "watch", "patch"]},
    ]})
}

fn settings(version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "web", "resourceVersion": version}, "data": {"a": "1"}})
}

fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message}),
    )
}

/// A cluster whose API server plays `script`, and the requests it has seen.
async fn played(mut script: Script) -> (Cluster, Arc<Mutex<Vec<String>>>) {
    drop(rustls::crypto::ring::default_provider().install_default());
    script
        .entry(("GET", "/api/v1"))
        .or_insert_with(|| vec![Answer::Json(200, discovery())]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, &mut script, &requests).await;
        }
    });
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: 'http://{address}'}}}}]\nusers: [{{name: a, user: {{}}}}]\n"
    );
    (Cluster::from_text(&text, "played").await.unwrap(), seen)
}

async fn serve(mut stream: TcpStream, script: &mut Script, seen: &Mutex<Vec<String>>) {
    let mut request = vec![0; 16384];
    let length = stream.read(&mut request).await.unwrap();
    let text = String::from_utf8_lossy(&request[..length]).into_owned();
    let mut words = text.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    seen.lock().unwrap().push(format!("{method} {path}"));
    let found = script
        .iter_mut()
        .find(|((for_method, for_path), _)| (*for_method, *for_path) == (method, path));
    let answer = match found {
        None => refusal(404, "NotFound", "not there"),
        Some((_, answers)) if answers.len() > 1 => answers.remove(0),
        Some((_, answers)) => answers[0].clone(),
    };
    let head = |status: u16, length: usize| {
        format!(
            "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let sent = match answer {
        Answer::Json(status, body) => {
            let body = body.to_string();
            head(status, body.len()) + &body
        }
        Answer::Cut => head(200, 10_000) + "{\"apiVersion\": \"v1\", ",
        Answer::Line(event) => {
            let line = format!("{event}\n");
            head(200, line.len()) + &line
        }
    };
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

fn manifest() -> Manifest {
    Manifest::new(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "web"}, "data": {"a": "1"}}))
    .unwrap()
}

fn patches(seen: &Mutex<Vec<String>>) -> usize {
    let seen = seen.lock().unwrap();
    seen.iter().filter(|request| request.starts_with("PATCH")).count()
}

#[tokio::test]
async fn test_an_apply_outlives_a_busy_server_and_a_cut_connection() {
    let script = Script::from([
        (("GET", CONFIG_MAP), vec![refusal(404, "NotFound", "not there")]),
        (
            ("PATCH", CONFIG_MAP),
            vec![
                refusal(429, "TooManyRequests", "the server is busy"),
                Answer::Cut,
                refusal(500, "InternalError", "etcdserver: leader changed"),
                Answer::Json(200, settings("2")),
            ],
        ),
    ]);
    let (cluster, seen) = played(script).await;
    assert_eq!(cluster.apply(&manifest()).await.unwrap(), Ensure::Added);
    assert_eq!(patches(&seen), 4);
}

#[tokio::test]
async fn test_a_webhook_that_stays_away_is_told_in_the_end() {
    let told = "Internal error occurred: failed calling webhook \"a.b\": connection refused";
    let script = Script::from([(("PATCH", CONFIG_MAP), vec![refusal(500, "InternalError", told)])]);
    let (cluster, seen) = played(script).await;
    let error = cluster.apply(&manifest()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("applying ConfigMap/web/settings: {told}")
    );
    assert_eq!(patches(&seen), 4);
}

#[tokio::test]
async fn test_what_another_program_looks_after_is_named_and_taken_over_only_when_told_to() {
    let conflict = |manager: &str| {
        let message = format!("conflict with \"{manager}\" using v1");
        Answer::Json(
            409,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409, "reason": "Conflict",
                "message": "Apply failed with 1 conflict",
                "details": {"causes": [{"reason": "FieldManagerConflict", "message": message, "field": ".data.a"}]}}),
        )
    };
    let script = |manager: &str| {
        Script::from([
            (("GET", CONFIG_MAP), vec![Answer::Json(200, settings("1"))]),
            (
                ("PATCH", CONFIG_MAP),
                vec![conflict(manager), Answer::Json(200, settings("2"))],
            ),
        ])
    };
    let (cluster, seen) = played(script("other-operator")).await;
    let error = cluster.apply(&manifest()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ConfigMap/web/settings: another program looks after .data.a (other-operator)"
    );
    assert_eq!(patches(&seen), 1);
    let (cluster, seen) = played(script("kubectl-edit")).await;
    assert_eq!(cluster.apply(&manifest()).await.unwrap(), Ensure::Updated);
    assert_eq!(patches(&seen), 2);
}

#[tokio::test]
async fn test_an_expired_token_ends_a_wait_at_once() {
    let script = Script::from([(
        ("GET", CONFIG_MAP),
        vec![refusal(401, "Unauthorized", "Unauthorized")],
    )]);
    let (cluster, _) = played(script).await;
    let error = waited(&cluster).await.unwrap_err();
    assert_eq!(error.to_string(), "reading ConfigMap/web/settings: Unauthorized");
}

#[tokio::test]
async fn test_a_wait_outlives_a_server_that_starts_anew_and_a_watch_that_is_gone() {
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": 410, "reason": "Expired", "message": "too old resource version"}});
    let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
    let script = Script::from([
        (
            ("GET", CONFIG_MAP),
            vec![
                refusal(404, "NotFound", "not there"),
                refusal(500, "InternalError", "apiserver is shutting down"),
                Answer::Cut,
                Answer::Json(200, settings("1")),
            ],
        ),
        (
            ("GET", "/api/v1/namespaces/web/configmaps"),
            vec![Answer::Json(200, list), Answer::Line(gone)],
        ),
    ]);
    let (cluster, _) = played(script).await;
    waited(&cluster).await.unwrap();
}

/// Waits until the `ConfigMap` is there.
async fn waited(cluster: &Cluster) -> Result<(), KubernetesError> {
    let reference = &ObjectReference::from(&manifest());
    let wait = Wait {
        what: "the settings".into(),
        limit: Duration::from_secs(60),
        task: &Task::start(&Silent, "test", "waits"),
        runbooks: &(),
    };
    let look = || async {
        Ok(match cluster.read(reference).await? {
            Some(_) => Look::Done(()),
            None => Look::waiting(reference, "is not there yet"),
        })
    };
    cluster.wait(&wait, &[Watched::from(reference)], look).await
}
