//! How much an application may use: its quota, and what containers get that say nothing.

use serde_json::{Map, Value, json};

use super::around;
use crate::config::{App, Resources};
use crate::desired::{Manifest, Site};

/// The `ResourceQuota` (not for cluster-wide applications without one) and the `LimitRange`.
pub(super) fn objects<Key>(app: &App, site: &Site<'_, Key>) -> Vec<Manifest> {
    let quota = hard(app, site.is_cluster_wide(&app.name));
    let quota = (!quota.is_empty()).then(|| {
        let spec = json!({ "spec": { "hard": quota } });
        around(app, site.environment, ("v1", "ResourceQuota"), "quota", spec)
    });
    quota.into_iter().chain([limit_range(app, site)]).collect()
}

/// Applications are reached through the gateway. Load balancers and node ports are refused by the admission policy with
/// a remedy; the quota holds even where that policy was taken away.
fn hard(app: &App, is_cluster_wide: bool) -> Map<String, Value> {
    let mut hard = Map::new();
    if let Some(quota) = &app.quota {
        let limits = [
            ("requests.cpu", &quota.cpu),
            ("requests.memory", &quota.memory),
            ("requests.storage", &quota.storage),
        ];
        for (name, limit) in limits {
            hard.extend(limit.clone().map(|limit| (name.to_owned(), limit.into())));
        }
    }
    if !is_cluster_wide {
        hard.insert("services.loadbalancers".to_owned(), "0".into());
        hard.insert("services.nodeports".to_owned(), "0".into());
    }
    hard
}

/// A quota refuses containers that say nothing about what they need; with this they need not.
fn limit_range<Key>(app: &App, site: &Site<'_, Key>) -> Manifest {
    let mut limits = json!({ "type": "Container" });
    let defaults = [
        ("defaultRequest", &app.container_defaults.request),
        ("default", &app.container_defaults.limit),
    ];
    for (key, resources) in defaults {
        let amounts = amounts(resources);
        if !amounts.is_empty() {
            limits[key] = amounts.into();
        }
    }
    let spec = json!({ "spec": { "limits": [limits] } });
    around(app, site.environment, ("v1", "LimitRange"), "defaults", spec)
}

fn amounts(resources: &Resources) -> Map<String, Value> {
    [("cpu", &resources.cpu), ("memory", &resources.memory)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), amount.clone()?.into())))
        .collect()
}
