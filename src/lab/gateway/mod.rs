//! The lab's gateway controller: what Envoy Gateway or another one would answer for the Gateway API's objects.
//!
//! Every Gateway of class `lab` gets a Service of type `LoadBalancer`, the address of that Service, and the conditions
//! that the Gateway API asks for; every `HTTPRoute` is told whether it is attached and whether its Services exist.
//! Nothing listens at the address, for the lab runs no containers. The only memory is the objects' own status.

mod changes;
mod listeners;
mod objects;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{FutureExt, StreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::changes::{Change, changes};
use self::objects::{GROUP, Key, World, read};
use super::load_balancer::WATCH_SECONDS;
use crate::kubernetes::KubernetesError;

/// The class of the lab's Gateways. The lab makes it known itself.
pub const CLASS: &str = "lab";
/// By this name classes ask for the lab's controller.
pub const CONTROLLER: &str = "lotse.dev/lab-gateway";

/// Our field manager.
const FIELD_MANAGER: &str = "lotse-lab-gateway";
/// How long to wait before what was refused is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// The definitions that come with the cluster addon.
const DEFINITIONS: [&str; 4] = ["gatewayclasses", "gateways", "httproutes", "referencegrants"];

/// A kind that the controller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Class,
    Gateway,
    Route,
    Service,
}

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Self::Class => of_gateway_api("v1", "GatewayClass"),
            Self::Gateway => of_gateway_api("v1", "Gateway"),
            Self::Route => of_gateway_api("v1", "HTTPRoute"),
            Self::Service => of_kubernetes("Service"),
        }
    }

    /// The objects of this kind beside the one with `key`.
    fn api(self, client: &Client, (namespace, _): &Key) -> Api<DynamicObject> {
        let resource = self.resource();
        if namespace.is_empty() {
            Api::all_with(client.clone(), &resource)
        } else {
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    }
}

fn of_gateway_api(version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, version, kind))
}

fn of_kubernetes(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

/// Answers for the Gateway API's objects of a cluster until `stop`, from when the cluster knows them.
pub async fn run(client: Client, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = control(client) => {}
    }
}

async fn control(client: Client) {
    wait_for_definitions(&client).await;
    let (stores, mut events) = Stores::watch(&client);
    let mut retry = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(())) => {}
                Some(Err(error)) => warn!(%error, "watching for the gateway"),
                None => return,
            },
            () = tokio::time::sleep(RETRY), if retry => {}
        }
        // What is not seen yet would be told as missing.
        if stores.are_filled() {
            retry = make_all(&client, changes(&stores.world(), Timestamp::now())).await;
        }
    }
}

/// Returns when the API server serves the Gateway API.
async fn wait_for_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for plural in DEFINITIONS {
        let name = format!("{plural}.{GROUP}");
        while let Err(error) = await_condition(api.clone(), &name, is_crd_established()).await {
            tracing::debug!(%error, name, "waiting for a definition");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Everything that was seen.
struct Stores {
    classes: Store<DynamicObject>,
    gateways: Store<DynamicObject>,
    routes: Store<DynamicObject>,
    grants: Store<DynamicObject>,
    services: Store<DynamicObject>,
    certificates: Store<DynamicObject>,
    namespaces: Store<DynamicObject>,
}

type Events = BoxStream<'static, Result<(), watcher::Error>>;

impl Stores {
    /// Begins to watch; the stream tells each time that something was seen.
    fn watch(
        client: &Client,
    ) -> (
        Self,
        impl futures::Stream<Item = Result<(), watcher::Error>> + use<>,
    ) {
        let mut events = Vec::new();
        let mut watch = |resource: ApiResource, selector: Option<&str>| {
            let (store, seen) = observe(client, &resource, selector);
            events.push(seen);
            store
        };
        let stores = Self {
            classes: watch(Kind::Class.resource(), None),
            gateways: watch(Kind::Gateway.resource(), None),
            routes: watch(Kind::Route.resource(), None),
            grants: watch(of_gateway_api("v1beta1", "ReferenceGrant"), None),
            services: watch(Kind::Service.resource(), None),
            certificates: watch(of_kubernetes("Secret"), Some("type=kubernetes.io/tls")),
            namespaces: watch(of_kubernetes("Namespace"), None),
        };
        (stores, select_all(events))
    }

    fn all(&self) -> [&Store<DynamicObject>; 7] {
        [
            &self.classes,
            &self.gateways,
            &self.routes,
            &self.grants,
            &self.services,
            &self.certificates,
            &self.namespaces,
        ]
    }

    fn are_filled(&self) -> bool {
        let mut stores = self.all().into_iter();
        stores.all(|store| {
            store
                .wait_until_ready()
                .now_or_never()
                .is_some_and(|seen| seen.is_ok())
        })
    }

    fn world(&self) -> World {
        World {
            classes: read(self.classes.state()),
            gateways: read(self.gateways.state()),
            routes: read(self.routes.state()),
            grants: read(self.grants.state()),
            services: read(self.services.state()),
            certificates: self.certificates.state(),
            namespaces: self.namespaces.state(),
        }
    }
}

fn observe(
    client: &Client,
    resource: &ApiResource,
    selector: Option<&str>,
) -> (Store<DynamicObject>, Events) {
    let writer = Writer::new(resource.clone());
    let store = writer.as_reader();
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if let Some(selector) = selector {
        config = config.fields(selector);
    }
    let forgets = resource.kind == "Secret";
    let events = watcher(Api::<DynamicObject>::all_with(client.clone(), resource), config)
        .default_backoff()
        .modify(move |object| {
            object.managed_fields_mut().clear();
            if forgets {
                object.data = Value::Null;
            }
        })
        .reflect(writer)
        .map(|event| event.map(drop));
    (store, events.boxed())
}

/// Makes all changes; tells whether something has to be tried again.
async fn make_all(client: &Client, changes: Vec<Change>) -> bool {
    let mut failed = false;
    for change in changes {
        if let Err(error) = make(client, &change).await {
            failed = true;
            warn!(%error, "gateway");
        }
    }
    failed
}

async fn make(client: &Client, change: &Change) -> Result<(), KubernetesError> {
    let (kind, key) = match change {
        Change::Apply { kind, key, .. } | Change::Status { kind, key, .. } => (*kind, key),
    };
    let shown = format!("{kind:?} {}/{}", key.0, key.1);
    let api = kind.api(client, key);
    let made = match change {
        Change::Apply { object, .. } => {
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            api.patch(&key.1, &parameters, &Patch::Apply(object)).await
        }
        Change::Status { version, status, .. } => {
            let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            api.patch_status(&key.1, &parameters, &Patch::Merge(patch)).await
        }
    };
    match made {
        Ok(_) => {
            info!(object = shown, "gateway");
            Ok(())
        }
        // Gone, or seen in an older version than it has: the next event brings what is to be done.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(KubernetesError::request(format!("writing {shown}"), &error)),
    }
}
