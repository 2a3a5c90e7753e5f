//! The address that all hosts lead to: that of a load balancer, or of a gateway.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::desired::AddressOf;
use crate::kubernetes::{Cluster, KubernetesError, Look, ObjectReference, Wait, Watched};

/// Waits until `holder` has an address and gives it: an IP address, or a host name where there is only that.
pub async fn wait_for_address(
    cluster: &Cluster,
    holder: &AddressOf,
    wait: &Wait<'_>,
) -> Result<String, KubernetesError> {
    let (reference, look_at) = holder_of(holder);
    let reference = &reference;
    let look = || async move {
        Ok(match cluster.read(reference).await? {
            None => Look::waiting(reference, "is not there yet"),
            Some(object) => look_at(reference, &object),
        })
    };
    cluster.wait(wait, &[Watched::from(reference)], look).await
}

/// The address that `holder` has now; `None` where it has none, or is not there.
pub async fn address(cluster: &Cluster, holder: &AddressOf) -> Result<Option<String>, KubernetesError> {
    let (reference, look_at) = holder_of(holder);
    let object = cluster.read(&reference).await?;
    Ok(object.and_then(|object| match look_at(&reference, &object) {
        Look::Done(address) => Some(address),
        Look::Waiting(_) | Look::Hopeless(_) => None,
    }))
}

/// What an object says of its address.
type LookAt = fn(&ObjectReference, &DynamicObject) -> Look<String>;

fn holder_of(holder: &AddressOf) -> (ObjectReference, LookAt) {
    match holder {
        AddressOf::Service { namespace, name } => (
            ObjectReference::new("v1", "Service", name).in_namespace(namespace),
            look_at_service,
        ),
        AddressOf::Gateway { namespace, name } => (
            ObjectReference::new("gateway.networking.k8s.io/v1", "Gateway", name).in_namespace(namespace),
            look_at_gateway,
        ),
    }
}

/// Takes an IP address where there is one, from `status.addresses` (Gateway API, `GatewayStatus`).
fn look_at_gateway(gateway: &ObjectReference, object: &DynamicObject) -> Look<String> {
    let addresses: Vec<&Value> = list(object, "/status/addresses").collect();
    let is_ip = |address: &&&Value| address["type"] == "IPAddress";
    let chosen = addresses.iter().find(is_ip).or_else(|| addresses.first());
    if let Some(address) = chosen.and_then(|address| address["value"].as_str()) {
        return Look::Done(address.to_owned());
    }
    let refused = list(object, "/status/conditions").find(|condition| condition["status"] == "False");
    let why = refused
        .and_then(|condition| condition["message"].as_str())
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    Look::waiting(gateway, format!("has no address yet{why}"))
}

fn list<'object>(object: &'object DynamicObject, pointer: &str) -> impl Iterator<Item = &'object Value> {
    object
        .data
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn look_at_service(service: &ObjectReference, object: &DynamicObject) -> Look<String> {
    let text = |pointer: &str| {
        object
            .data
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if text("/spec/type").as_deref() != Some("LoadBalancer") {
        return Look::Hopeless(format!("{service} is not of type LoadBalancer"));
    }
    text("/status/loadBalancer/ingress/0/ip")
        .or_else(|| text("/status/loadBalancer/ingress/0/hostname"))
        .map_or_else(
            || Look::waiting(service, "has no address from the load balancer yet"),
            Look::Done,
        )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    fn look(value: Value) -> Look<String> {
        let service = ObjectReference::new("v1", "Service", "gateway").in_namespace("gateway");
        let mut object: DynamicObject = serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gateway"}}),
        )
        .unwrap();
        object.data = value;
        look_at_service(&service, &object)
    }

    #[test]
    fn test_address_is_taken_from_the_status() {
        let service = |status: Value| json!({"spec": {"type": "LoadBalancer"}, "status": status});
        assert!(matches!(look(service(json!({}))), Look::Waiting(_)));
        let status = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.20"}]}});
        assert_eq!(look(service(status)), Look::Done("127.0.0.20".into()));
        let status = json!({"loadBalancer": {"ingress": [{"hostname": "lb.test"}]}});
        assert_eq!(look(service(status)), Look::Done("lb.test".into()));
        assert!(matches!(
            look(json!({"spec": {"type": "ClusterIP"}})),
            Look::Hopeless(_)
        ));
    }

    #[test]
    fn test_a_gateway_has_its_address_in_its_status() {
        let gateway = ObjectReference::new("gateway.networking.k8s.io/v1", "Gateway", "gateway");
        let look = |status: Value| {
            let mut object = DynamicObject::new("gateway", &kube::api::ApiResource::erase::<Service>(&()));
            object.data = json!({ "status": status });
            look_at_gateway(&gateway, &object)
        };
        let name = json!({"type": "Hostname", "value": "lb.test"});
        let address = json!({"type": "IPAddress", "value": "127.0.0.20"});
        let both = json!({"addresses": [name.clone(), address]});
        assert_eq!(look(both), Look::Done("127.0.0.20".into()));
        assert_eq!(look(json!({"addresses": [name]})), Look::Done("lb.test".into()));
        let refused = json!({"conditions": [
            {"type": "Accepted", "status": "True", "message": "fine"},
            {"type": "Programmed", "status": "False", "message": "no load balancer"},
        ]});
        let wanted = "has no address yet: no load balancer";
        assert_eq!(look(refused), Look::waiting(&gateway, wanted));
    }
}
