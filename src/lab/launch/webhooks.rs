//! Rewrites a controller's webhook configuration from a Service in the cluster to an address on loopback.
//!
//! The manifests are the controller's own; only `clientConfig` and the names of the configurations change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::desired::Manifest;
use crate::lab::LabContext;
use crate::lab::state::StateError;

/// Where a controller serves its webhooks.
#[derive(Clone, Debug)]
pub(super) struct WebhookServer {
    /// `https://127.0.0.1:PORT`.
    pub(super) url: String,
    /// What its certificate is checked against.
    pub(super) ca_pem: String,
    /// Put before the names of webhook configurations, which are the same in every controller's manifests.
    pub(super) name_prefix: &'static str,
}

impl WebhookServer {
    /// The server of a controller on its port called `port`, with a certificate of the lab's own authority.
    pub(super) fn listening(
        context: &LabContext,
        port: &str,
        name_prefix: &'static str,
    ) -> Result<Self, StateError> {
        Ok(Self {
            url: format!("https://127.0.0.1:{}", context.ports.get(port)?),
            ca_pem: context.authority.certificate_pem().to_owned(),
            name_prefix,
        })
    }

    /// `manifest` calling this server: admission webhooks, and the conversion webhook of a definition.
    pub(super) fn rewrite(&self, mut manifest: Manifest) -> Manifest {
        match manifest.kind() {
            "CustomResourceDefinition" => {
                let conversion = manifest
                    .value_mut()
                    .pointer_mut("/spec/conversion/webhook/clientConfig");
                if let Some(client) = conversion {
                    self.point_here(client);
                }
            }
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
                let name = format!("{}-{}", self.name_prefix, manifest.name());
                let value = manifest.value_mut();
                value["metadata"]["name"] = name.into();
                let webhooks = value.get_mut("webhooks").and_then(Value::as_array_mut);
                for webhook in webhooks.into_iter().flatten() {
                    self.point_here(&mut webhook["clientConfig"]);
                }
            }
            _ => {}
        }
        manifest
    }

    fn point_here(&self, client: &mut Value) {
        let path = client
            .pointer("/service/path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        *client = json!({
            "url": format!("{}{path}", self.url),
            "caBundle": STANDARD.encode(&self.ca_pem),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> WebhookServer {
        WebhookServer {
            url: "https://127.0.0.1:4711".into(),
            ca_pem: "PEM".into(),
            name_prefix: "capi",
        }
    }

    fn rewritten(value: Value) -> Value {
        server().rewrite(Manifest::new(value).unwrap()).value().clone()
    }

    #[test]
    fn test_admission_webhooks_are_called_on_loopback() {
        let value = rewritten(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "validating-webhook-configuration"},
            "webhooks": [{"name": "a.b.c", "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/validate-a"}}}],
        }));
        assert_eq!(value["metadata"]["name"], "capi-validating-webhook-configuration");
        assert_eq!(
            value["webhooks"][0]["clientConfig"],
            json!({"url": "https://127.0.0.1:4711/validate-a", "caBundle": "UEVN"})
        );
    }

    #[test]
    fn test_conversion_webhook_is_called_on_loopback() {
        let value = rewritten(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "clusters.cluster.x-k8s.io"},
            "spec": {"conversion": {"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/convert"}}}}},
        }));
        assert_eq!(value["metadata"]["name"], "clusters.cluster.x-k8s.io");
        assert_eq!(
            value["spec"]["conversion"]["webhook"]["clientConfig"]["url"],
            "https://127.0.0.1:4711/convert"
        );
    }

    #[test]
    fn test_definition_without_conversion_stays_as_it_is() {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "a.b"}, "spec": {"group": "b"},
        });
        assert_eq!(rewritten(definition.clone()), definition);
    }
}
