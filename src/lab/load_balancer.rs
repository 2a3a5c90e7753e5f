//! Addresses for Services of type `LoadBalancer` in a workload cluster.
//!
//! What a cloud's load balancer would announce is here an address of 127.0.0.0/8, different for each lab and
//! cluster. Nothing listens there, for the lab runs no containers, but DNS records can point to it. The only memory
//! is the Service's own status, so addresses stay over restarts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::kubernetes::KubernetesError;

/// The class by which a Service asks for the lab's load balancer by name.
pub const LOAD_BALANCER_CLASS: &str = "lotse.dev/lab";

/// The server ends each watch after this long, in seconds, before the client takes its silence for a fault.
pub(super) const WATCH_SECONDS: u32 = 25;
/// How long to wait before a refused status is written again.
const RETRY: Duration = Duration::from_secs(2);
/// First and last value of an address's last byte.
const HOSTS: std::ops::RangeInclusive<u8> = 10..=250;

/// The addresses one cluster may give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    network: u8,
}

impl Pool {
    /// The pool of `cluster` in `lab`: the same each time, and another for another lab or cluster in all
    /// likelihood (254 pools). Two clusters that share one disturb each other's names, not each other.
    #[must_use]
    pub fn of(lab: &str, cluster: &str) -> Self {
        let digest = Sha256::digest(format!("{lab}/{cluster}"));
        Self {
            network: 1 + digest[0] % 254,
        }
    }

    fn addresses(self) -> impl Iterator<Item = IpAddr> {
        HOSTS.map(move |host| IpAddr::V4(Ipv4Addr::new(127, 0, self.network, host)))
    }

    fn contains(self, address: IpAddr) -> bool {
        self.addresses().any(|known| known == address)
    }
}

/// What has to change at one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Give(IpAddr),
    TakeBack,
}

/// Gives addresses to the Services of a cluster until `stop`.
pub async fn run(client: Client, pool: Pool, stop: CancellationToken) {
    let (services, writer) = reflector::store();
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher(Api::<Service>::all(client.clone()), config)
        .default_backoff()
        .reflect(writer);
    let mut events = std::pin::pin!(events);
    let mut retry = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(_)) => {}
                Some(Err(error)) => warn!(%error, "watching Services"),
                None => return,
            },
            () = tokio::time::sleep(RETRY), if retry => {}
        }
        retry = apply_all(&client, pool, &services.state()).await;
    }
}

/// Applies what is missing; tells whether something has to be tried again.
async fn apply_all(client: &Client, pool: Pool, services: &[Arc<Service>]) -> bool {
    let mut failed = false;
    for (service, change) in changes(pool, services) {
        match apply(client, service, &change).await {
            Ok(()) => info!(service = %full_name(service), ?change, "load balancer"),
            Err(error) => {
                failed = true;
                warn!(%error, "load balancer");
            }
        }
    }
    failed
}

async fn apply(client: &Client, service: &Service, change: &Change) -> Result<(), KubernetesError> {
    let namespace = service.namespace().unwrap_or_default();
    let api: Api<Service> = Api::namespaced(client.clone(), &namespace);
    api.patch_status(
        &service.name_any(),
        &PatchParams::default(),
        &Patch::Merge(status(change)),
    )
    .await
    .map(drop)
    .or_else(|error| match error {
        kube::Error::Api(gone) if gone.code == 404 => Ok(()),
        other => Err(KubernetesError::request(
            format!("writing the address of Service/{}", full_name(service)),
            &other,
        )),
    })
}

fn status(change: &Change) -> Value {
    let ingress = match change {
        Change::Give(address) => json!([{"ip": address, "ipMode": "VIP"}]),
        Change::TakeBack => Value::Null,
    };
    json!({"status": {"loadBalancer": {"ingress": ingress}}})
}

fn full_name(service: &Service) -> String {
    format!(
        "{}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    )
}

/// What separates the Services from what they should be: oldest first, an address asked for before any other.
fn changes(pool: Pool, services: &[Arc<Service>]) -> Vec<(&Service, Change)> {
    let mut services: Vec<&Service> = services.iter().map(AsRef::as_ref).collect();
    services.sort_by_key(|service| (service.creation_timestamp(), full_name(service)));
    let (ours, others): (Vec<&Service>, Vec<&Service>) =
        services.iter().partition(|service| is_ours(service));
    let mut used: BTreeSet<IpAddr> = ours.iter().filter_map(|service| kept(pool, service)).collect();
    let mut changes: Vec<(&Service, Change)> = others
        .into_iter()
        .filter(|service| given(service).is_some_and(|address| pool.contains(address)))
        .map(|service| (service, Change::TakeBack))
        .collect();
    let (asking, any): (Vec<&Service>, Vec<&Service>) = ours
        .into_iter()
        .filter(|service| kept(pool, service).is_none())
        .partition(|service| requested(service).is_some());
    for service in asking.into_iter().chain(any) {
        if let Some(address) = choose(pool, service, &used) {
            used.insert(address);
            changes.push((service, Change::Give(address)));
        }
    }
    changes
}

/// The address for a Service that has none; `None` when the one it asks for, or every one, is taken.
fn choose(pool: Pool, service: &Service, used: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    match requested(service) {
        Some(address) => (!used.contains(&address)).then_some(address),
        None => pool.addresses().find(|address| !used.contains(address)),
    }
}

fn is_ours(service: &Service) -> bool {
    let Some(spec) = &service.spec else {
        return false;
    };
    let class = spec.load_balancer_class.as_deref();
    spec.type_.as_deref() == Some("LoadBalancer")
        && class.is_none_or(|class| class == LOAD_BALANCER_CLASS)
        && service.metadata.deletion_timestamp.is_none()
}

/// The address a Service asks for.
fn requested(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.load_balancer_ip.as_ref()?.parse().ok()
}

/// The address in its status.
fn given(service: &Service) -> Option<IpAddr> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?;
    ingress.first()?.ip.as_ref()?.parse().ok()
}

/// The address in its status, when it is one it may keep.
fn kept(pool: Pool, service: &Service) -> Option<IpAddr> {
    given(service).filter(|address| match requested(service) {
        Some(wanted) => wanted == *address,
        None => pool.contains(*address),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: Pool = Pool { network: 7 };

    fn service(name: &str, content: &Value) -> Arc<Service> {
        let mut object = json!({"metadata": {"name": name, "namespace": "web"}});
        object
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn balanced(name: &str) -> Arc<Service> {
        service(name, &json!({"spec": {"type": "LoadBalancer"}}))
    }

    fn with_address(name: &str, kind: &str, address: &str) -> Arc<Service> {
        service(
            name,
            &json!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [{"ip": address}]}}}),
        )
    }

    fn shown(services: &[Arc<Service>]) -> Vec<(String, Change)> {
        changes(POOL, services)
            .into_iter()
            .map(|(service, change)| (service.name_any(), change))
            .collect()
    }

    fn give(address: &str) -> Change {
        Change::Give(address.parse().unwrap())
    }

    #[test]
    fn test_each_service_gets_its_own_address() {
        let services = [balanced("b"), balanced("a")];
        assert_eq!(
            shown(&services),
            [("a".into(), give("127.0.7.10")), ("b".into(), give("127.0.7.11"))]
        );
    }

    #[test]
    fn test_addresses_given_before_are_kept_and_not_given_twice() {
        let services = [balanced("a"), with_address("b", "LoadBalancer", "127.0.7.10")];
        assert_eq!(shown(&services), [("a".into(), give("127.0.7.11"))]);
    }

    #[test]
    fn test_address_asked_for_is_respected_before_others_choose() {
        let asking = service(
            "z",
            &json!({"spec": {"type": "LoadBalancer", "loadBalancerIP": "127.0.7.10"}}),
        );
        assert_eq!(
            shown(&[balanced("a"), asking]),
            [("z".into(), give("127.0.7.10")), ("a".into(), give("127.0.7.11"))]
        );
    }

    #[test]
    fn test_address_asked_for_and_taken_is_not_given() {
        let asking = service(
            "z",
            &json!({"spec": {"type": "LoadBalancer", "loadBalancerIP": "127.0.7.10"}}),
        );
        assert_eq!(
            shown(&[with_address("a", "LoadBalancer", "127.0.7.10"), asking]),
            []
        );
    }

    #[test]
    fn test_other_kinds_and_classes_are_left_alone() {
        let class = |class: &str| {
            service(
                class,
                &json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": class}}),
            )
        };
        let services = [
            service("c", &json!({"spec": {"type": "ClusterIP"}})),
            class("example.com/other"),
        ];
        assert_eq!(shown(&services), []);
        assert_eq!(shown(&[class(LOAD_BALANCER_CLASS)]).len(), 1);
    }

    #[test]
    fn test_address_is_taken_back_when_the_type_changes() {
        assert_eq!(
            shown(&[with_address("a", "ClusterIP", "127.0.7.10")]),
            [("a".into(), Change::TakeBack)]
        );
    }

    #[test]
    fn test_full_pool_gives_nothing() {
        let mut services: Vec<_> = POOL
            .addresses()
            .enumerate()
            .map(|(index, address)| with_address(&format!("s{index}"), "LoadBalancer", &address.to_string()))
            .collect();
        services.push(balanced("late"));
        assert_eq!(shown(&services), []);
    }

    #[test]
    fn test_pools_differ_between_labs_and_clusters() {
        assert_eq!(Pool::of("default", "prod/prod"), Pool::of("default", "prod/prod"));
        assert_ne!(Pool::of("default", "prod/prod"), Pool::of("other", "prod/prod"));
        assert_ne!(Pool::of("default", "prod/prod"), Pool::of("default", "prod/next"));
    }
}
