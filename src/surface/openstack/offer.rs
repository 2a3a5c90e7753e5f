//! What a project finds at its cloud.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::OpenStackError;
use super::session::{GLANCE, NEUTRON, NOVA, OCTAVIA, Service, Session};

/// Flavors come in pages of at most this many.
const PAGE: usize = 500;

/// A size of machines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flavor {
    /// Its name.
    pub name: String,
    /// Virtual processors.
    pub vcpus: u64,
    /// Memory in MiB.
    pub ram: u64,
}

/// What the project may have, and has (`-1` is without limit).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    max_total_instances: i64,
    total_instances_used: i64,
    max_total_cores: i64,
    total_cores_used: i64,
    #[serde(rename = "maxTotalRAMSize")]
    max_total_ram: i64,
    #[serde(rename = "totalRAMUsed")]
    total_ram_used: i64,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

impl Limits {
    /// What `machines` take more than is left, one phrase each.
    #[must_use]
    pub fn missing(&self, machines: &[&Flavor]) -> Vec<String> {
        let sum = |of: fn(&Flavor) -> u64| machines.iter().map(|flavor| of(flavor)).sum::<u64>();
        let wanted = [
            (
                "machines",
                machines.len() as u64,
                self.max_total_instances,
                self.total_instances_used,
            ),
            (
                "processors",
                sum(|flavor| flavor.vcpus),
                self.max_total_cores,
                self.total_cores_used,
            ),
            (
                "MiB of memory",
                sum(|flavor| flavor.ram),
                self.max_total_ram,
                self.total_ram_used,
            ),
        ];
        wanted
            .into_iter()
            .filter_map(|(what, wanted, most, used)| {
                let left = u64::try_from(most - used).unwrap_or(0);
                let is_short = most >= 0 && wanted > left;
                is_short.then(|| format!("{wanted} {what} are needed and {left} of {most} are left"))
            })
            .collect()
    }
}

impl Session {
    /// All flavors that the project may take, by name.
    pub async fn flavors(&self) -> Result<BTreeMap<String, Flavor>, OpenStackError> {
        let mut flavors = BTreeMap::new();
        let mut marker: Option<String> = None;
        let page = PAGE.to_string();
        loop {
            let mut query = vec![("limit", page.as_str())];
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let answer = self.get(&NOVA, "/flavors/detail", &query).await?;
            let rows = rows(&answer, "flavors");
            for row in rows {
                if let Ok(flavor) = Flavor::deserialize(row) {
                    flavors.insert(flavor.name.clone(), flavor);
                }
            }
            let last = rows.last().and_then(|row| row["id"].as_str()).map(str::to_owned);
            let is_whole = answer["flavors_links"].as_array().is_none_or(Vec::is_empty);
            if is_whole || last.is_none() || last == marker {
                return Ok(flavors);
            }
            marker = last;
        }
    }

    /// What the project may have, and has.
    pub async fn limits(&self) -> Result<Limits, OpenStackError> {
        let answer = self.get(&NOVA, "/limits", &[]).await?;
        Limits::deserialize(&answer["limits"]["absolute"]).map_err(|_| OpenStackError::Answer {
            service: NOVA.name,
            request: "GET /limits".to_owned(),
        })
    }

    /// Whether there is an active image of that name.
    pub async fn has_image(&self, name: &str) -> Result<bool, OpenStackError> {
        let query = [("name", name), ("status", "active")];
        let answer = self.get(&GLANCE, "/v2/images", &query).await?;
        Ok(rows(&answer, "images").iter().any(|image| image["name"] == name))
    }

    /// Networks that lead out of the cloud.
    pub async fn external_networks(&self) -> Result<Vec<Network>, OpenStackError> {
        let answer = self
            .get(&NEUTRON, "/v2.0/networks", &[("router:external", "True")])
            .await?;
        let networks = rows(&answer, "networks").iter();
        Ok(networks
            .filter_map(|network| Network::deserialize(network).ok())
            .collect())
    }

    /// Names of the providers of load balancers; `None` where the cloud has no Octavia.
    pub async fn load_balancer_providers(&self) -> Result<Option<Vec<String>>, OpenStackError> {
        const SERVICE: &Service = &OCTAVIA;
        if !self.has(SERVICE) {
            return Ok(None);
        }
        let answer = self.get(SERVICE, "/v2/lbaas/providers", &[]).await?;
        let names = rows(&answer, "providers").iter();
        Ok(Some(
            names
                .filter_map(|provider| Some(provider["name"].as_str()?.to_owned()))
                .collect(),
        ))
    }
}

fn rows<'answer>(answer: &'answer Value, key: &str) -> &'answer [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_what_the_quota_lacks_is_told() {
        let limits = |instances: i64, cores: i64, ram: i64| {
            Limits::deserialize(&json!({
                "maxTotalInstances": instances, "totalInstancesUsed": 1, "maxTotalCores": cores, "totalCoresUsed": 4,
                "maxTotalRAMSize": ram, "totalRAMUsed": 0,
            }))
            .unwrap()
        };
        let flavor = Flavor {
            name: "a".into(),
            vcpus: 4,
            ram: 16384,
        };
        let machines = [&flavor, &flavor];
        assert_eq!(limits(3, 12, 32768).missing(&machines), Vec::<String>::new());
        assert_eq!(limits(-1, -1, -1).missing(&machines), Vec::<String>::new());
        assert_eq!(
            limits(2, 8, 32768).missing(&machines),
            [
                "2 machines are needed and 1 of 2 are left",
                "8 processors are needed and 4 of 8 are left"
            ]
        );
    }
}
