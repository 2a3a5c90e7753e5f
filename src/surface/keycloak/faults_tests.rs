//! Faults that a real Keycloak does not produce on demand, by a server that plays them in the midst of an apply.

use serde_json::json;

use super::observe::ObservedRealm;
use super::plan_tests::{planned, realm};
use super::{Admin, KeycloakError, apply};
use crate::secret::Secret;
use crate::surface::patience::Patience;
use crate::surface::patience::played::{Act, Request, serve};

/// Lives for less than any test takes, so that a token runs out in the midst of it.
const TOKEN: &str = r#"{"access_token":"t","expires_in":0}"#;

/// What Keycloak answers to a request of an apply into an empty server.
fn keycloak(request: &Request) -> Act {
    let (method, target) = request.line.split_once(' ').unwrap();
    if target.ends_with("/openid-connect/token") {
        return Act::say(200, TOKEN);
    }
    match method {
        "GET" if target.ends_with("/users/profile") => {
            Act::say(200, json!({"attributes": [{"name": "username"}]}).to_string())
        }
        "GET" => Act::say(200, json!({"id": "a", "name": "admin"}).to_string()),
        "POST" => Act::Say(201, "location: http://keycloak/made\r\n", String::new()),
        _ => Act::say(204, ""),
    }
}

/// Makes the realm on an empty server that does `disturbance` in place of answering, where that is something. Gives
/// what came of it, and what the server was changed by.
async fn applied(
    mut disturbance: impl FnMut(usize, &Request) -> Option<Act> + Send + 'static,
) -> (Result<(), KeycloakError>, Vec<Request>) {
    let changes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let made = std::sync::Arc::clone(&changes);
    let mut count = 0;
    let (address, _) = serve(move |request| {
        count += 1;
        if let Some(fault) = disturbance(count, request) {
            return fault;
        }
        if !request.line.starts_with("GET") && !request.line.ends_with("/token") {
            made.lock().unwrap().push(request.clone());
        }
        keycloak(request)
    })
    .await;
    let admin = Admin::new(&address, "admin", Secret::new("pw"), None)
        .unwrap()
        .with_patience(Patience::OF_TESTS);
    let observed = ObservedRealm::absent("scs");
    let plan = planned(&realm(), &observed);
    let outcome = apply(&admin, &observed, &plan, &Secret::new("s3cret")).await;
    let changes = changes.lock().unwrap().clone();
    (outcome, changes)
}

fn busy() -> Act {
    Act::say(503, "")
}

#[tokio::test]
async fn test_an_apply_through_a_new_start_comes_to_the_same() {
    let (outcome, undisturbed) = applied(|_, _| None).await;
    outcome.unwrap();
    assert!(undisturbed.len() > 10, "{undisturbed:?}");

    let (outcome, disturbed) = applied(|count, _| (15..22).contains(&count).then(busy)).await;
    outcome.unwrap();
    assert_eq!(disturbed, undisturbed);
    // Every second answer is lost on its way, of requests that may be sent twice; all others are turned away once.
    let (outcome, disturbed) = applied(|count, request| {
        let is_first = count % 2 == 1;
        let is_creation = request.line.starts_with("POST") && !request.line.ends_with("/token");
        let lost = if count % 4 == 1 { Act::Cut } else { Act::Hang };
        is_first.then(|| if is_creation { busy() } else { lost })
    })
    .await;
    outcome.unwrap();
    assert_eq!(disturbed, undisturbed);
}

#[tokio::test]
async fn test_a_keycloak_that_stays_busy_is_told_in_the_end() {
    let (outcome, changes) = applied(|count, _| (count > 12).then(busy)).await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, KeycloakError::Refused { status: 503, .. }),
        "{error}"
    );
    assert!(!changes.is_empty(), "it was busy from the beginning");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

/// A creation whose answer was lost may be there: only looking again tells, and the next run does that.
#[tokio::test]
async fn test_a_creation_with_a_lost_answer_ends_the_run() {
    let mut lost = 0;
    let (outcome, _) = applied(move |_, request| {
        let is_group = request.line == "POST /admin/realms/scs/groups";
        lost += usize::from(is_group);
        assert!(lost < 2, "it was sent again");
        is_group.then_some(Act::Hang)
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, KeycloakError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn test_what_is_no_keycloak_is_told() {
    let page = |request: &Request| {
        let is_token = request.line.ends_with("/token");
        is_token.then(|| Act::say(200, "<html>It works!</html>"))
    };
    let (outcome, changes) = applied(move |_, request| page(request)).await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("is there a Keycloak"), "{error}");
    assert_eq!(changes, []);
}
