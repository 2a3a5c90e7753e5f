//! Where names lead at this moment.

use std::net::IpAddr;

use super::super::preflight::Systems;
use super::super::{Bootstrap, StageError};
use crate::desired::{PointedName, PointsAt};
use crate::kubernetes::Cluster;
use crate::surface::workload;

/// The addresses of a name.
pub(super) enum Found {
    /// These.
    At(Vec<IpAddr>),
    /// What has to be there first.
    Later(String),
}

/// Looks up where `pointed` leads.
pub(super) async fn find(
    bootstrap: &Bootstrap<'_>,
    systems: &Systems,
    workload: &Cluster,
    pointed: &PointedName,
) -> Result<Found, StageError> {
    let (texts, later) = match &pointed.at {
        PointsAt::Addresses(addresses) => return Ok(Found::At(addresses.clone())),
        PointsAt::Holder(holder) => (
            workload::addresses(workload, holder).await?,
            format!("{holder} has an address"),
        ),
        PointsAt::ApiServer(cluster) => (
            endpoint(bootstrap, systems).await?,
            format!("Cluster {cluster} has the endpoint of its control plane"),
        ),
    };
    if texts.is_empty() {
        return Ok(Found::Later(later));
    }
    let parsed: Vec<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    if parsed.is_empty() {
        return Err(StageError::NamedAddress {
            name: pointed.name.clone(),
            at: pointed.at.to_string(),
            address: texts.join(", "),
        });
    }
    Ok(Found::At(parsed))
}

/// `spec.controlPlaneEndpoint.host` of the Cluster (Cluster API, `cluster.x-k8s.io`).
async fn endpoint(bootstrap: &Bootstrap<'_>, systems: &Systems) -> Result<Vec<String>, StageError> {
    let declared = bootstrap.desired.management.iter();
    let mut clusters = declared.filter(|manifest| manifest.kind() == "Cluster");
    let Some(manifest) = clusters.next() else {
        return Ok(Vec::new());
    };
    let observed = systems.management.get(manifest).await?;
    let host = observed.as_ref().and_then(|cluster| {
        let host = cluster.data.pointer("/spec/controlPlaneEndpoint/host")?;
        host.as_str().filter(|host| !host.is_empty())
    });
    Ok(host.map(str::to_owned).into_iter().collect())
}
