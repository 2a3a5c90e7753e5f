//! The kinds that the clusters of an environment know beside Kubernetes' own.

use camino::{Utf8Path, Utf8PathBuf};
use lotse::kubernetes::Cluster;
use lotse::lab::component::{Component, FLUX_VERSION};
use lotse::surface::workload::FluxRelease;

use super::house::House;

/// Brought by applications, or by the lab's cluster addon.
const OF_APPLICATIONS: [Component; 6] = [
    Component::GatewayApi,
    Component::CertManager,
    Component::CloudnativePg,
    Component::BarmanCloud,
    Component::PrometheusOperator,
    Component::EnvoyGateway,
];
/// Those of the management cluster. They have kinds of other names, so one server may know both. Nothing converts
/// between their versions, so objects have to be in the version in which they are kept.
const OF_MANAGEMENT: [Component; 2] = [Component::ClusterApi, Component::ClusterStackOperator];

/// Makes all kinds known to the server behind `kubeconfig`, and puts Flux's namespace and roles where bootstrap puts them.
pub(crate) async fn establish(house: &House, kubeconfig: &Utf8Path, administrator: &Cluster) {
    let mut files: Vec<Utf8PathBuf> = Vec::new();
    for component in OF_APPLICATIONS {
        files.push(house.component(component).await.program().to_owned());
    }
    for component in OF_MANAGEMENT {
        files.push(house.component(component).await.share("crds.yaml"));
    }
    // kubectl reads their megabytes many times faster than an unoptimised test does.
    let mut apply = vec!["apply", "--server-side", "--filename"];
    let files: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
    let files = files.join(",");
    apply.push(&files);
    kubectl(house, kubeconfig, &apply).await;
    let flux = house.component(Component::FluxManifests).await;
    let flux = FluxRelease::from_path(FLUX_VERSION.trim_start_matches('v'), &flux.share("flux")).unwrap();
    for object in flux
        .objects()
        .iter()
        .filter(|object| object.kind() != "Deployment")
    {
        administrator.apply(object).await.unwrap();
    }
    kubectl(
        house,
        kubeconfig,
        &["wait", "--for=condition=Established", "crd", "--all"],
    )
    .await;
}

async fn kubectl(house: &House, kubeconfig: &Utf8Path, arguments: &[&str]) {
    let arguments = [&["--kubeconfig", kubeconfig.as_str()], arguments].concat();
    house.output(Component::Kubectl, &arguments).await.unwrap();
}
