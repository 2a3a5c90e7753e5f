//! First files of an application: declaration, what runs, runbooks.

use camino::Utf8PathBuf;
use serde_json::json;

use super::SkeletonError;
use super::templates::Filling;
use crate::config::scalar;
use crate::diag::Sources;
use crate::names::{AppName, HostLabel, TeamName};

/// What has to be known of an application before its first file can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppDraft {
    /// Its name: folder, namespace, Service.
    pub name: AppName,
    /// One sentence.
    pub description: String,
    /// Teams that answer for it; each gets the role `edit`.
    pub owners: Vec<TeamName>,
    /// Labels below the environment's domain.
    pub hosts: Vec<HostLabel>,
    /// Whether it logs people in itself, at its first host.
    pub login: bool,
    /// What runs.
    pub source: DraftSource,
}

/// What an application runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftSource {
    /// One image, in a Deployment of its own.
    Image {
        /// With tag or digest.
        image: String,
        /// Where it serves HTTP.
        port: u16,
    },
    /// A Helm chart.
    Chart {
        /// `https://` or `oci://`.
        repository: String,
        /// Name within the repository.
        chart: String,
        /// Exact.
        version: String,
    },
}

impl AppDraft {
    /// The files, by path relative to the repository.
    ///
    /// # Errors
    /// When a template can't be filled in, which is a fault of lotse.
    pub fn files(&self) -> Result<Sources, SkeletonError> {
        let name = &self.name;
        let mut filling = Filling::new(self.values());
        let file = |path: &str| Utf8PathBuf::from(format!("apps/{name}/{path}"));
        filling.add(file("app.yaml"), include_str!("app.yaml.hbs"))?;
        match &self.source {
            DraftSource::Image { .. } => {
                filling.add(
                    file("manifests/deployment.yaml"),
                    include_str!("deployment.yaml.hbs"),
                )?;
                filling.add(file("manifests/service.yaml"), include_str!("service.yaml.hbs"))?;
                filling.add(
                    file("manifests/kustomization.yaml"),
                    include_str!("kustomization.yaml.hbs"),
                )?;
            }
            DraftSource::Chart { .. } => filling.add(file("values.yaml"), include_str!("values.yaml.hbs"))?,
        }
        let runbook = |task: &str| format!("runbooks/{name}/{task}.md");
        filling.add(runbook("deploy"), include_str!("deploy.md.hbs"))?;
        filling.add(runbook("outage"), include_str!("outage.md.hbs"))?;
        Ok(filling.into_files())
    }

    fn values(&self) -> serde_json::Value {
        let teams: Vec<String> = self.owners.iter().map(|team| scalar(team.as_str())).collect();
        let hosts: Vec<String> = self.hosts.iter().map(|host| scalar(host.as_str())).collect();
        let mut values = json!({
            "app": self.name,
            "name": scalar(self.name.as_str()),
            "description": scalar(&self.description),
            "owners": teams.join(", "),
            "teams": teams,
            "hosts": hosts.join(", "),
            "host": self.hosts.first(),
            "login": self.login,
            "chart": null,
            "delivery": "kustomization",
        });
        match &self.source {
            DraftSource::Image { image, port } => {
                values["image"] = scalar(image).into();
                values["port"] = (*port).into();
            }
            DraftSource::Chart {
                repository,
                chart,
                version,
            } => {
                values["repository"] = scalar(repository).into();
                values["chart"] = scalar(chart).into();
                values["version"] = scalar(version).into();
                values["delivery"] = "helmrelease".into();
                values["place"] = match repository.strip_prefix("oci://") {
                    Some(_) => format!("{}/{chart}", repository.trim_end_matches('/')),
                    None => format!("{chart} --repo {}", scalar(repository)),
                }
                .into();
            }
        }
        values
    }
}
