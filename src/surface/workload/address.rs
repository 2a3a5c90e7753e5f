//! The address that all hosts lead to: that of a load balancer, or of a gateway.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::desired::AddressOf;
use crate::kubernetes::{Cluster, KubernetesError, Look, ObjectReference, Wait, Watched};

/// Waits until `holder` has addresses and gives them: IP addresses, or host names where there are only those.
pub async fn wait_for_addresses(
    cluster: &Cluster,
    holder: &AddressOf,
    wait: &Wait<'_>,
) -> Result<Vec<String>, KubernetesError> {
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

/// The addresses that `holder` has now; none where it has none yet, or is not there.
pub async fn addresses(cluster: &Cluster, holder: &AddressOf) -> Result<Vec<String>, KubernetesError> {
    let (reference, look_at) = holder_of(holder);
    let object = cluster.read(&reference).await?;
    let looked = object.map(|object| look_at(&reference, &object));
    Ok(match looked {
        Some(Look::Done(addresses)) => addresses,
        Some(Look::Waiting(_) | Look::Hopeless(_)) | None => Vec::new(),
    })
}

/// What an object says of its addresses.
type LookAt = fn(&ObjectReference, &DynamicObject) -> Look<Vec<String>>;

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

/// Takes IP addresses where there are any, from `status.addresses` (Gateway API, `GatewayStatus`).
fn look_at_gateway(gateway: &ObjectReference, object: &DynamicObject) -> Look<Vec<String>> {
    let given = list(object, "/status/addresses").filter_map(|address| {
        let value = address["value"].as_str()?;
        Some((address["type"] == "IPAddress", value))
    });
    let found = preferred(given);
    if !found.is_empty() {
        return Look::Done(found);
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

/// The IP addresses, or what there is where there are none.
fn preferred<'value>(given: impl Iterator<Item = (bool, &'value str)>) -> Vec<String> {
    let (addresses, names): (Vec<_>, Vec<_>) = given.partition(|(is_address, _)| *is_address);
    let chosen = if addresses.is_empty() { names } else { addresses };
    chosen.into_iter().map(|(_, value)| value.to_owned()).collect()
}

fn look_at_service(service: &ObjectReference, object: &DynamicObject) -> Look<Vec<String>> {
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
    let found = preferred(
        list(object, "/status/loadBalancer/ingress").filter_map(|ingress| {
            let address = ingress["ip"].as_str().map(|address| (true, address));
            address.or_else(|| Some((false, ingress["hostname"].as_str()?)))
        }),
    );
    if found.is_empty() {
        return Look::waiting(service, "has no address from the load balancer yet");
    }
    Look::Done(found)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    fn done(addresses: &[&str]) -> Look<Vec<String>> {
        Look::Done(addresses.iter().map(ToString::to_string).collect())
    }

    fn look(value: Value) -> Look<Vec<String>> {
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
        let status = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.20"}, {"ip": "::1"}, {"hostname": "lb.test"}]}});
        assert_eq!(look(service(status)), done(&["127.0.0.20", "::1"]));
        let status = json!({"loadBalancer": {"ingress": [{"hostname": "lb.test"}]}});
        assert_eq!(look(service(status)), done(&["lb.test"]));
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
        assert_eq!(look(both), done(&["127.0.0.20"]));
        assert_eq!(look(json!({"addresses": [name]})), done(&["lb.test"]));
        let refused = json!({"conditions": [
            {"type": "Accepted", "status": "True", "message": "fine"},
            {"type": "Programmed", "status": "False", "message": "no load balancer"},
        ]});
        let wanted = "has no address yet: no load balancer";
        assert_eq!(look(refused), Look::waiting(&gateway, wanted));
    }
}
