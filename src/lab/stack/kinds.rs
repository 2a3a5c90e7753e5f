//! The kinds that every cluster of the lab knows from its beginning, as a cloud's cluster stack would bring them: what
//! is rendered for a gateway and its certificate. They come from the pinned components.

use super::{ChartFile, StackError};
use crate::lab::component::{Acquired, Component};

/// What the addon takes of each component. More kinds would cost every API server memory for nothing.
const TAKEN: [(Component, &[&str]); 2] = [
    (
        Component::GatewayApi,
        &[
            "gateway.networking.k8s.io_gatewayclasses.yaml",
            "gateway.networking.k8s.io_gateways.yaml",
            "gateway.networking.k8s.io_httproutes.yaml",
            "gateway.networking.k8s.io_referencegrants.yaml",
        ],
    ),
    (
        Component::CertManager,
        &[
            "cert-manager.io_certificaterequests.yaml",
            "cert-manager.io_certificates.yaml",
            "cert-manager.io_clusterissuers.yaml",
            "cert-manager.io_issuers.yaml",
        ],
    ),
];

/// The definition of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Below the chart. Helm takes what is in `crds` as it is, braces included.
    path: String,
    text: String,
}

impl Kind {
    fn new(file: &str, text: String) -> Self {
        Self {
            path: format!("crds/{file}"),
            text,
        }
    }

    pub(super) fn chart_file(&self) -> ChartFile<'_> {
        ChartFile {
            path: &self.path,
            text: &self.text,
        }
    }
}

/// The components that [`kinds`] needs.
pub(in crate::lab) fn components() -> impl Iterator<Item = Component> {
    TAKEN.iter().map(|(component, _)| *component)
}

/// The kinds of the addon, from `acquired`: the components that it takes them from, in the order of `components`.
pub fn kinds(acquired: &[Acquired]) -> Result<Vec<Kind>, StackError> {
    let mut kinds = Vec::new();
    for ((component, files), acquired) in TAKEN.iter().zip(acquired) {
        kinds.extend(of_component(*component, files, acquired)?);
    }
    Ok(kinds)
}

fn of_component(component: Component, files: &[&str], acquired: &Acquired) -> Result<Vec<Kind>, StackError> {
    let component = component.name();
    let definitions = acquired
        .definitions()
        .map_err(|source| StackError::Kinds { component, source })?;
    let find = |file: &&str| {
        let found = definitions
            .iter()
            .find(|(path, _)| path.file_name() == Some(file));
        found
            .map(|(_, text)| Kind::new(file, text.clone()))
            .ok_or_else(|| StackError::NoKind {
                component,
                file: (*file).to_owned(),
            })
    };
    files.iter().map(find).collect()
}
