//! A zone in OpenStack's DNS service (API v2, docs.openstack.org/api-ref/dns). The mark of a record set is its description,
//! so that there is no record beside it.
//!
//! Designate has no compare-and-swap. A record set is read right before it is written, and its version, which counts its
//! writes, tells afterwards whether somebody else wrote in between.

mod recordset;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use self::recordset::Found;
use super::authority::{Authority, Servers};
use super::error::DnsError;
use super::listing::{Held, ours, uncovered};
use super::mark::{foreign_mark_keys, owner_from};
use super::plan::{DnsOperation, Observed, SetChange};
use super::record::{RecordKey, canonical};
use super::{Beneath, DnsZone, Search, Seen};
use crate::desired::dns::{RecordSet, RecordType};
use crate::names::DomainName;
use crate::surface::openstack::{Cloud, DESIGNATE, OpenStackError, Session};

/// How long Designate may take to bring a change to its name servers before these are asked all the same: its status may
/// lag behind what they answer.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at the status.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Before the same is tried again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// As many record sets as one answer has at most.
const PAGE: &str = "500";

/// A zone, and the project that it belongs to.
pub struct Designate {
    cloud: Cloud,
    cloud_name: String,
    authority: Authority,
    name_servers: Vec<String>,
    connected: Mutex<Option<Arc<Connected>>>,
}

/// A project that is logged in, and the id of its zone.
struct Connected {
    session: Session,
    zone: String,
}

impl Designate {
    /// The zone `zone` of the project that `cloud` logs in to, which errors call `cloud_name`. Sends nothing yet.
    ///
    /// # Errors
    /// When the name of the zone can't be asked for.
    pub fn new(cloud: Cloud, cloud_name: impl Into<String>, zone: DomainName) -> Result<Self, DnsError> {
        Ok(Self {
            cloud,
            cloud_name: cloud_name.into(),
            authority: Authority::new(zone)?,
            name_servers: Vec::new(),
            connected: Mutex::default(),
        })
    }

    /// Verifies at these servers (`host:port`) in place of those that Designate names for the zone.
    #[must_use]
    pub fn with_name_servers(mut self, name_servers: Vec<String>) -> Self {
        self.name_servers = name_servers;
        self
    }

    /// Checks that the project has the zone and Designate has brought it to its name servers once.
    ///
    /// # Errors
    /// [`DnsError::NoZone`], [`DnsError::NotBrought`], or a refusal of the cloud.
    pub async fn check_there(&self) -> Result<(), DnsError> {
        let zone = self.get("", &[]).await?;
        if zone["status"] == "ERROR" {
            return Err(DnsError::NotBrought {
                what: format!("the zone {}", self.authority.zone),
            });
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Arc<Connected>, DnsError> {
        let mut connected = self.connected.lock().await;
        if let Some(connected) = connected.as_ref() {
            return Ok(Arc::clone(connected));
        }
        let session = Session::log_in(&self.cloud).await?;
        let name = format!("{}.", self.authority.zone);
        let found = session.get(&DESIGNATE, "/v2/zones", &[("name", &name)]).await?;
        let mut zones = found["zones"].as_array().into_iter().flatten();
        // The filter is a pattern.
        let zone = zones.find(|zone| zone["name"] == name.as_str());
        let zone = zone
            .and_then(|zone| zone["id"].as_str())
            .ok_or_else(|| DnsError::NoZone {
                cloud: self.cloud_name.clone(),
                zone: self.authority.zone.to_string(),
            })?;
        let new = Arc::new(Connected {
            zone: zone.to_owned(),
            session,
        });
        *connected = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Reads what is below the zone; logs in again where the token has ended.
    async fn get(&self, below: &str, query: &[(&str, &str)]) -> Result<Value, DnsError> {
        let connected = self.connect().await?;
        match connected.get(below, query).await {
            Err(error) if has_token_ended(&error) => {
                self.log_out().await;
                Ok(self.connect().await?.get(below, query).await?)
            }
            other => Ok(other?),
        }
    }

    /// Changes what is below the zone. A token that has ended is told before anything is done.
    async fn change(&self, method: Method, below: &str, body: Option<&Value>) -> Result<Value, DnsError> {
        let connected = self.connect().await?;
        match connected.change(method.clone(), below, body).await {
            Err(error) if has_token_ended(&error) => {
                self.log_out().await;
                Ok(self.connect().await?.change(method, below, body).await?)
            }
            other => Ok(other?),
        }
    }

    async fn log_out(&self) {
        *self.connected.lock().await = None;
    }

    /// All record sets of one name. The filter is a pattern, in which `*` stands for anything, so names are compared.
    async fn named(&self, name: &str) -> Result<Vec<Found>, DnsError> {
        let query = [("name", name), ("limit", PAGE)];
        let answer = self.get("/recordsets", &query).await?;
        let rows = answer["recordsets"].as_array().into_iter().flatten();
        Ok(rows
            .filter(|row| row["name"] == name)
            .filter_map(Found::read)
            .collect())
    }

    async fn find(&self, key: &RecordKey) -> Result<Option<Found>, DnsError> {
        let found = self.named(&key.name).await?;
        Ok(found.into_iter().find(|found| found.is_of(key.record_type)))
    }

    async fn try_one(&self, operation: &DnsOperation) -> Result<(), DnsError> {
        let DnsOperation { record, mark } = operation;
        let there = self.find(&record.key).await?;
        if is(there.as_ref(), &record.key, (&record.after, &mark.after)) {
            return match there {
                Some(there) => self.settle(&there.id, &record.key).await,
                None => Ok(()),
            };
        }
        if !is(there.as_ref(), &record.key, (&record.before, &mark.before)) {
            return Err(changed(&record.key));
        }
        let id = match (&there, &record.after) {
            (None, None) => return Ok(()),
            (Some(there), None) => {
                self.change(Method::DELETE, &there.path(), None).await?;
                there.id.clone()
            }
            (None, Some(after)) => self.create(after, mark).await?,
            (Some(there), Some(after)) => self.update(there, after, mark).await?,
        };
        self.settle(&id, &record.key).await
    }

    async fn create(&self, after: &RecordSet, mark: &SetChange) -> Result<String, DnsError> {
        let mut body = recordset::body(after, mark.after.as_ref());
        body["name"] = json!(after.name);
        body["type"] = json!(after.record_type.to_string());
        match self.change(Method::POST, "/recordsets", Some(&body)).await {
            Ok(made) => Ok(made["id"].as_str().unwrap_or_default().to_owned()),
            Err(DnsError::OpenStack(OpenStackError::Refused { status: 409, .. })) => {
                Err(changed(&RecordKey::of(after)))
            }
            Err(error) if is_beside_an_alias(&error) => Err(changed(&RecordKey::of(after))),
            Err(error) => Err(error),
        }
    }

    async fn update(&self, there: &Found, after: &RecordSet, mark: &SetChange) -> Result<String, DnsError> {
        let body = recordset::body(after, mark.after.as_ref());
        let written = self.change(Method::PUT, &there.path(), Some(&body)).await?;
        let version = written["version"].as_u64();
        if version.is_some_and(|version| version != there.version + 1) {
            return Err(DnsError::Raced {
                record: RecordKey::of(after).to_string(),
            });
        }
        Ok(there.id.clone())
    }

    /// Waits until Designate has brought a record set to its name servers, or has given up.
    async fn settle(&self, id: &str, key: &RecordKey) -> Result<(), DnsError> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        while Instant::now() < deadline {
            let found = match self.get(&format!("/recordsets/{id}"), &[]).await {
                Err(DnsError::OpenStack(OpenStackError::Refused { status: 404, .. })) => return Ok(()),
                other => other?,
            };
            match found["status"].as_str() {
                Some("ACTIVE") => return Ok(()),
                Some("ERROR") => {
                    return Err(DnsError::NotBrought {
                        what: key.to_string(),
                    });
                }
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        tracing::info!(record = %key, "is still pending: the name servers are asked");
        Ok(())
    }

    /// Everything that the zone holds, page by page.
    async fn list(&self) -> Result<Vec<Held>, DnsError> {
        let mut held = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE), ("sort_key", "id")];
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let answer = self.get("/recordsets", &query).await?;
            let rows = answer["recordsets"].as_array().into_iter().flatten();
            held.extend(rows.clone().filter_map(recordset::held));
            let last = rows.last().and_then(|row| row["id"].as_str());
            let last = last.map(str::to_owned);
            if answer["links"]["next"].is_null() || last.is_none() || last == marker {
                return Ok(held);
            }
            marker = last;
        }
    }

    async fn servers(&self) -> Result<Servers, DnsError> {
        if !self.name_servers.is_empty() {
            return Ok(Servers::Declared(self.name_servers.clone()));
        }
        let answer = self.get("/nameservers", &[]).await?;
        let servers = answer["nameservers"].as_array().into_iter().flatten();
        let names = servers.filter_map(|server| server["hostname"].as_str());
        Ok(Servers::OfZone(
            names.map(|name| name.trim_end_matches('.').to_owned()).collect(),
        ))
    }
}

impl Connected {
    fn path(&self, below: &str) -> String {
        format!("/v2/zones/{}{below}", self.zone)
    }

    async fn get(&self, below: &str, query: &[(&str, &str)]) -> Result<Value, OpenStackError> {
        self.session.get(&DESIGNATE, &self.path(below), query).await
    }

    async fn change(
        &self,
        method: Method,
        below: &str,
        body: Option<&Value>,
    ) -> Result<Value, OpenStackError> {
        let path = self.path(below);
        self.session.change(&DESIGNATE, method, &path, body).await
    }
}

impl DnsZone for Designate {
    async fn observe_one(&self, key: &RecordKey) -> Result<Observed, DnsError> {
        let named = self.named(&key.name).await?;
        let found = named.iter().find(|found| found.is_of(key.record_type));
        let mark = found.and_then(|found| found.mark(key));
        let mut foreign = Vec::new();
        for key in foreign_mark_keys(key) {
            let texts = self.find(&key).await?;
            foreign.extend(texts.into_iter().flat_map(|found| found.set(&key).records));
        }
        Ok(Observed {
            key: key.clone(),
            set: found.map(|found| found.set(key)),
            owner: owner_from(mark.as_ref(), foreign.iter().map(String::as_str)),
            mark,
            alias: named.iter().find_map(Found::alias),
        })
    }

    /// Where Designate has a fault of its own, or does not answer, it may have done its work: it is looked at before the same is
    /// tried again.
    async fn apply_one(&self, operation: &DnsOperation) -> Result<(), DnsError> {
        for pause in PAUSES {
            match self.try_one(operation).await {
                Err(error) if is_of_server(&error) => {
                    tracing::info!(%error, "is tried again");
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
        self.try_one(operation).await
    }

    async fn beneath(&self, search: &Search<'_>) -> Result<Beneath, DnsError> {
        let held = self.list().await?;
        Ok(Beneath {
            uncovered: uncovered(search.wildcard, &held, &search.declared),
            ours: ours(&held, search.owner),
            is_whole: true,
        })
    }

    async fn verify(&self, desired: &[RecordSet]) -> Result<Vec<Seen>, DnsError> {
        self.authority.verify(self.servers().await?, desired).await
    }
}

/// Whether what is there has this value and this mark.
fn is(
    there: Option<&Found>,
    key: &RecordKey,
    (record, marked): (&Option<RecordSet>, &Option<RecordSet>),
) -> bool {
    let set = there.map(|found| canonical(&found.set(key)));
    let mark = there.and_then(|found| found.mark(key));
    let text = |mark: Option<&RecordSet>| mark.and_then(|mark| mark.records.first().cloned());
    set == record.as_ref().map(canonical) && text(mark.as_ref()) == text(marked.as_ref())
}

/// Whether it is Designate's own trouble, which may pass.
const fn is_of_server(error: &DnsError) -> bool {
    matches!(
        error,
        DnsError::OpenStack(
            OpenStackError::Unreachable { .. }
                | OpenStackError::Refused {
                    status: 429 | 500..,
                    ..
                }
        )
    )
}

fn changed(key: &RecordKey) -> DnsError {
    DnsError::Changed {
        record: key.to_string(),
    }
}

const fn has_token_ended(error: &OpenStackError) -> bool {
    matches!(error, OpenStackError::Refused { status: 401, .. })
}

/// Designate's own refusal of a record set beside an alias, which came to be since it was looked at.
fn is_beside_an_alias(error: &DnsError) -> bool {
    match error {
        DnsError::OpenStack(OpenStackError::Refused { status, message, .. }) => {
            *status == 400 && message.contains("CNAME")
        }
        _ => false,
    }
}

impl Found {
    fn is_of(&self, record_type: RecordType) -> bool {
        self.kind == record_type.to_string()
    }
}
