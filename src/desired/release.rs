//! Helm releases: the chart, where it comes from, and its values.

use serde_json::{Map, Value, json};

use super::flux::{FLUX_NAMESPACE, SOURCE};
use super::{APP_LABEL, Manifest, Site, marked};
use crate::config::{App, Chart, Environment, Helm, Upstream};

/// Folder of the tree with a folder for each release.
pub(super) const RELEASES: &str = "releases";
/// The longest name of a release that Helm takes.
const RELEASE_NAME_LIMIT: usize = 53;
const CHART_INTERVAL: &str = "60m";
/// The layer of an OCI artifact that has the chart.
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// The source and the release of `app`, when it is a chart.
pub(super) fn objects<Key>(app: &App, site: &Site<'_, Key>) -> Vec<Manifest> {
    let Some(Upstream::Helm(helm)) = &app.source.upstream else {
        return Vec::new();
    };
    let source = source(app, site, &helm.chart);
    let kind = ("helm.toolkit.fluxcd.io/v2", "HelmRelease");
    let release = of_app(app, site, kind, json!({ "spec": release_spec(app, site, helm) }));
    source.into_iter().chain([release]).collect()
}

fn of_app<Key>(app: &App, site: &Site<'_, Key>, kind: (&str, &str), content: Value) -> Manifest {
    marked(site.environment, kind, app.name.as_str(), content)
        .in_namespace(FLUX_NAMESPACE)
        .with_label(APP_LABEL, app.name.as_str())
}

/// Charts in a folder come with the platform's own source.
fn source<Key>(app: &App, site: &Site<'_, Key>, chart: &Chart) -> Option<Manifest> {
    const API: &str = "source.toolkit.fluxcd.io/v1";
    let Chart::Repository { url, name, version } = chart else {
        return None;
    };
    if !is_registry(url) {
        let spec = json!({ "interval": CHART_INTERVAL, "url": url });
        return Some(of_app(
            app,
            site,
            (API, "HelmRepository"),
            json!({ "spec": spec }),
        ));
    }
    let spec = json!({
        "interval": CHART_INTERVAL,
        "url": format!("{}/{name}", url.trim_end_matches('/')),
        // Tags can't hold the `+` of build metadata; Helm writes `_` in its place.
        "ref": { "tag": version.replace('+', "_") },
        "layerSelector": { "mediaType": CHART_LAYER, "operation": "copy" },
    });
    Some(of_app(app, site, (API, "OCIRepository"), json!({ "spec": spec })))
}

fn is_registry(url: &str) -> bool {
    url.starts_with("oci://")
}

fn release_spec<Key>(app: &App, site: &Site<'_, Key>, helm: &Helm) -> Value {
    // Definitions are cluster-scoped: an application that may not create such things would only fail on them.
    let definitions = if site.is_cluster_wide(&app.name) {
        "CreateReplace"
    } else {
        "Skip"
    };
    let (reference, chart) = chart_reference(app, &helm.chart);
    let mut spec = json!({
        (reference): chart,
        "interval": "30m",
        "timeout": app.timeout,
        "releaseName": release_name(app.name.as_str()),
        "targetNamespace": app.name.as_str(),
        "storageNamespace": app.name.as_str(),
        "serviceAccountName": app.name.as_str(),
        // A first install that fails (a Secret is still to come) is tried again in place: nothing is uninstalled, so no
        // volume is lost.
        "install": { "crds": definitions, "strategy": { "name": "RetryOnFailure", "retryInterval": "1m" } },
        "upgrade": {
            "crds": definitions,
            "remediation": { "retries": 3, "remediateLastFailure": true, "strategy": "rollback" },
        },
        "driftDetection": { "mode": "enabled" },
    });
    if let Some(values) = helm.values.as_ref().filter(|values| !values.content.is_empty()) {
        spec["values"] = filled_in(&values.content, site.environment).into();
    }
    spec
}

fn chart_reference(app: &App, chart: &Chart) -> (&'static str, Value) {
    match chart {
        Chart::Repository { url, .. } if is_registry(url) => (
            "chartRef",
            json!({ "kind": "OCIRepository", "name": app.name.as_str() }),
        ),
        Chart::Repository { name, version, .. } => {
            let source = json!({ "kind": "HelmRepository", "name": app.name.as_str() });
            (
                "chart",
                json!({ "spec": { "chart": name, "version": version, "sourceRef": source } }),
            )
        }
        // Without `Revision` a change of a template would wait for somebody to raise the chart's version.
        Chart::Folder(folder) => {
            let source = json!({ "kind": "GitRepository", "name": SOURCE });
            let spec = json!({
                "chart": format!("./{folder}"),
                "reconcileStrategy": "Revision",
                "sourceRef": source,
            });
            ("chart", json!({ "spec": spec }))
        }
    }
}

/// The application's name as far as Helm takes it. It is the only release of its namespace, so nothing collides.
fn release_name(name: &str) -> &str {
    let end = name.len().min(RELEASE_NAME_LIMIT);
    name[..end].trim_end_matches('-')
}

/// The values with `{{domain}}`, `{{environment}}` and `{{issuer}}` replaced in keys and texts. Other braces belong to
/// Helm, Prometheus and Grafana.
fn filled_in<Key>(values: &Map<String, Value>, environment: &Environment<String, Key>) -> Map<String, Value> {
    let replacements = [
        ("{{domain}}", environment.domain.to_string()),
        ("{{environment}}", environment.name.to_string()),
        ("{{issuer}}", environment.identity.issuer()),
    ];
    fill_map(values, &replacements)
}

type Replacements = [(&'static str, String); 3];

fn fill_map(values: &Map<String, Value>, replacements: &Replacements) -> Map<String, Value> {
    values
        .iter()
        .map(|(key, value)| (fill_text(key, replacements), fill(value, replacements)))
        .collect()
}

fn fill(value: &Value, replacements: &Replacements) -> Value {
    match value {
        Value::String(text) => fill_text(text, replacements).into(),
        Value::Array(items) => items.iter().map(|item| fill(item, replacements)).collect(),
        Value::Object(fields) => fill_map(fields, replacements).into(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, replacements: &Replacements) -> String {
    let mut filled = text.to_owned();
    if text.contains("{{") {
        for (token, replacement) in replacements {
            filled = filled.replace(token, replacement);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_only_our_tokens_are_replaced_in_keys_and_texts() {
        let replacements = [
            ("{{domain}}", "prod.test".to_owned()),
            ("{{environment}}", "prod".to_owned()),
            ("{{issuer}}", "https://auth.test/realms/x".to_owned()),
        ];
        let values = json!({
            "host.{{domain}}": ["{{ domain }}", "{{environment}}-{{issuer}}", 3],
            "expression": "{{ $labels.instance }} {{domain}}{{domain}}",
        });
        let filled = fill_map(values.as_object().unwrap(), &replacements);
        assert_eq!(
            Value::from(filled),
            json!({
                "host.prod.test": ["{{ domain }}", "prod-https://auth.test/realms/x", 3],
                "expression": "{{ $labels.instance }} prod.testprod.test",
            })
        );
    }

    #[test]
    fn test_names_of_releases_are_as_long_as_helm_takes() {
        assert_eq!(release_name("short"), "short");
        let long = format!("{}-{}", "a".repeat(52), "b".repeat(10));
        assert_eq!(release_name(&long), "a".repeat(52));
        assert_eq!(release_name(&"c".repeat(63)).len(), 53);
    }
}
