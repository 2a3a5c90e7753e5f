//! The contract at Designate: a real one with Keystone, and PowerDNS behind it. It takes half a minute to start, so one serves
//! all parts of the contract, one after the other, each with a zone that has nothing in it.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Child;

use super::backend::{installed, run};
use super::*;
use crate::lab::component::{Component, Components, Sources};
use crate::lab::designate::{CLOUD, DesignateSpec, Passwords, Ports, Programs, clouds, processes};
use crate::report::Silent;
use crate::surface::dns::Designate;
use crate::surface::openstack::{DESIGNATE, Session, cloud};

/// How long a service may take until it answers.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running Designate, and a way past the surface.
struct Cloud {
    spec: DesignateSpec,
    session: Session,
    zone: String,
    _children: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Cloud {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let spec = DesignateSpec {
            zone: DomainName::new("lab.test").unwrap(),
            directory,
            ports: ports().await,
            passwords: Passwords::of(|name| {
                Ok::<_, std::convert::Infallible>(Secret::new(format!("{name}-secret")))
            })
            .unwrap(),
            packages: packages().await,
            programs: Programs {
                python: python(),
                name_server: installed("pdns_server", "pdns-server"),
                sqlite: installed("sqlite3", "sqlite3"),
            },
        };
        let mut children = Vec::new();
        for process in processes(&spec).unwrap() {
            children.push(run(&process).await);
        }
        let text = clouds(&spec);
        let session = Session::log_in(&cloud(text.expose(), CLOUD).unwrap())
            .await
            .unwrap();
        let zone = made(&session).await;
        Self {
            spec,
            session,
            zone,
            _children: children,
            _folder: folder,
        }
    }

    fn zone(&self) -> Designate {
        self.zone_of("lab.test")
    }

    fn zone_of(&self, name: &str) -> Designate {
        let text = clouds(&self.spec);
        let cloud = cloud(text.expose(), CLOUD).unwrap();
        let zone = Designate::new(cloud, CLOUD, DomainName::new(name).unwrap()).unwrap();
        zone.with_name_servers(vec![format!("127.0.0.1:{}", self.spec.ports.name_server)])
    }

    fn path(&self, below: &str) -> String {
        format!("/v2/zones/{}{below}", self.zone)
    }

    async fn record_sets(&self) -> Vec<Value> {
        let found = self
            .session
            .get(&DESIGNATE, &self.path("/recordsets"), &[])
            .await
            .unwrap();
        let all = found["recordsets"].as_array().unwrap().iter();
        let all = all.filter(|set| !matches!(set["type"].as_str(), Some("SOA" | "NS")));
        all.cloned().collect()
    }

    /// Removes all that a part of the contract has left.
    async fn clear(&self) {
        for set in self.record_sets().await {
            let path = self.path(&format!("/recordsets/{}", set["id"].as_str().unwrap()));
            self.session
                .change(&DESIGNATE, Method::DELETE, &path, None)
                .await
                .unwrap();
        }
        let begun = Instant::now();
        while !self.record_sets().await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "what was removed stays");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn made(session: &Session) -> String {
    let begun = Instant::now();
    loop {
        let zones = session.get(&DESIGNATE, "/v2/zones", &[]).await.unwrap();
        let zone = &zones["zones"][0];
        if zone["status"] == "ACTIVE" {
            return zone["id"].as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "{zones}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cache is that of whoever runs the tests"
)]
async fn packages() -> Utf8PathBuf {
    let cache = std::env::var("XDG_CACHE_HOME").map(Utf8PathBuf::from);
    let cache = cache.unwrap_or_else(|_| Utf8PathBuf::from(std::env::var("HOME").unwrap()).join(".cache"));
    let components = Components::new(Sources {
        assets: None,
        kubebuilder_assets: None,
        cache: cache.join("lotse/components"),
    });
    let made = components.acquire(Component::Designate, &Silent).await.unwrap();
    made.program().to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program is the one of whoever runs the tests"
)]
fn python() -> Utf8PathBuf {
    let path = std::env::var("PATH").unwrap();
    crate::lab::component::find_program(&path, "python3").expect("python3 is on the search path")
}

async fn ports() -> Ports {
    let mut listeners = Vec::new();
    for _ in 0..5 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let port = |index: usize| listeners[index].local_addr().unwrap().port();
    Ports {
        keystone: port(0),
        designate: port(1),
        transfers: port(2),
        name_server: port(3),
        name_server_api: port(4),
    }
}

#[tokio::test]
async fn test_designate_keeps_the_contract() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let cloud = Cloud::start().await;
    let zone = cloud.zone();
    zone.check_there().await.unwrap();
    macro_rules! parts {
        ($($part:ident),+ $(,)?) => {
            $(
                eprintln!("{}", stringify!($part));
                Box::pin($part(&zone)).await;
                cloud.clear().await;
            )+
        };
    }
    created_records_are_seen(&zone).await;
    let versions = versions(&cloud).await;
    created_records_are_seen_again(&zone).await;
    assert_eq!(self::versions(&cloud).await, versions, "something was written");
    cloud.clear().await;
    parts! {
        update_swaps_the_whole_set,
        a_concurrent_edit_is_never_overwritten,
        of_two_writers_at_once_one_wins,
        unmarked_records_are_adopted_only_when_allowed,
        only_marked_records_are_deleted,
        foreign_marks_are_respected,
        names_under_a_wildcard_do_not_exist,
        large_sets_arrive_whole,
        records_of_every_type_are_kept,
        names_that_a_wildcard_does_not_cover_are_found,
    }
    an_alias_is_a_conflict(&cloud, &zone).await;
    cloud.clear().await;
    somebody_in_between_is_told(&cloud, &zone).await;
    let error = cloud.zone_of("other.test").check_there().await.unwrap_err();
    assert!(matches!(error, DnsError::NoZone { .. }), "{error}");
    wrong_credentials_are_told(&cloud).await;
}

/// How often each record set was written.
async fn versions(cloud: &Cloud) -> Vec<(String, u64)> {
    let sets = cloud.record_sets().await;
    let version = |set: &Value| (set["id"].to_string(), set["version"].as_u64().unwrap());
    sets.iter().map(version).collect()
}

async fn an_alias_is_a_conflict(cloud: &Cloud, zone: &Designate) {
    let desired = [set("www", RecordType::A, &["127.0.0.20"])];
    let before = plan_for(zone, &desired).await;
    let alias = json!({"name": "www.lab.test.", "type": "CNAME", "ttl": 300, "records": ["web.lab.test."]});
    let path = cloud.path("/recordsets");
    cloud
        .session
        .change(&DESIGNATE, Method::POST, &path, Some(&alias))
        .await
        .unwrap();
    let error = zone.apply(&before, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::Changed { .. }), "{error}");
    let observed = zone.observe(&[RecordKey::of(&desired[0])]).await.unwrap();
    let conflicts = plan(&desired, &observed, &owner()).unwrap_err();
    assert!(matches!(conflicts.0[..], [Conflict::Alias { .. }]));
}

/// The description is the mark: somebody who takes it away has taken the record set over.
async fn somebody_in_between_is_told(cloud: &Cloud, zone: &Designate) {
    bring(zone, &[wildcard(&["127.0.0.20"])]).await;
    let stale = plan_for(zone, &[wildcard(&["127.0.0.21"])]).await;
    let id = cloud.record_sets().await[0]["id"].as_str().unwrap().to_owned();
    let path = cloud.path(&format!("/recordsets/{id}"));
    let theirs = json!({"description": "the old gateway"});
    cloud
        .session
        .change(&DESIGNATE, Method::PUT, &path, Some(&theirs))
        .await
        .unwrap();
    let error = zone.apply(&stale, Adoption::Refused).await.unwrap_err();
    assert!(matches!(error, DnsError::Changed { .. }), "{error}");
    let plan = plan_for(zone, &[wildcard(&["127.0.0.21"])]).await;
    assert_eq!(actions(&plan), [Action::Adopt]);
}

async fn wrong_credentials_are_told(of: &Cloud) {
    let text = clouds(&of.spec);
    let wrong = text.expose().replace(
        "application_credential_secret: ",
        "application_credential_secret: x",
    );
    let wrong = cloud(&wrong, CLOUD).unwrap();
    let zone = Designate::new(wrong, CLOUD, DomainName::new("lab.test").unwrap()).unwrap();
    let told = zone.check_there().await.unwrap_err().to_string();
    assert!(
        told.contains("Keystone refused") && told.contains("401"),
        "{told}"
    );
}
