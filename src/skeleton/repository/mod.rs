//! First files of a platform's repository.

use serde_json::json;

use super::templates::Filling;
use super::{AppDraft, DraftSource, SkeletonError};
use crate::config::scalar;
use crate::diag::Sources;
use crate::names::{AppName, DomainName, EnvironmentName, HostLabel, LabName, TeamName};

/// What has to be known of a platform before its first file can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryDraft {
    /// What people call it.
    pub name: String,
    /// The embedded lab that stands in for its cluster.
    pub lab: LabName,
    /// Release of Flux, without `v`.
    pub flux: String,
    /// Release of lotse.
    pub version: String,
    /// A cluster besides the lab.
    pub environment: Option<EnvironmentDraft>,
}

/// A cluster on OpenStack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentDraft {
    /// Its name.
    pub name: EnvironmentName,
    /// Hosts of applications are labels under this domain.
    pub domain: DomainName,
    /// Organisation at GitHub whose members log in.
    pub organisation: String,
}

/// The environment that every repository begins with.
pub const LAB: &str = "lab";

/// Organisation at the lab's forge where none is named.
const ORGANISATION: &str = "example";

/// The platform's own runbooks: those of this repository.
const PLATFORM_RUNBOOKS: [(&str, &str); 5] = [
    (
        "bring-up.md",
        include_str!("../../../runbooks/platform/bring-up.md"),
    ),
    (
        "cluster-not-ready.md",
        include_str!("../../../runbooks/platform/cluster-not-ready.md"),
    ),
    (
        "flux-not-ready.md",
        include_str!("../../../runbooks/platform/flux-not-ready.md"),
    ),
    (
        "logins-down.md",
        include_str!("../../../runbooks/platform/logins-down.md"),
    ),
    (
        "no-address.md",
        include_str!("../../../runbooks/platform/no-address.md"),
    ),
];

/// A small server of pages that runs as anybody.
const WELCOME_IMAGE: &str = "docker.io/nginxinc/nginx-unprivileged:1.29.1-alpine";

impl RepositoryDraft {
    /// The files, by path relative to the repository.
    ///
    /// # Errors
    /// When a template can't be filled in, which is a fault of lotse.
    pub fn files(&self) -> Result<Sources, SkeletonError> {
        let mut filling = Filling::new(self.values());
        filling.add("README.md", include_str!("README.md.hbs"))?;
        filling.add(".github/workflows/lotse.yml", include_str!("workflow.yaml.hbs"))?;
        filling.add("environments/lab/environment.yaml", include_str!("lab.yaml.hbs"))?;
        filling.add(
            "environments/lab/people.yaml",
            include_str!("lab-people.yaml.hbs"),
        )?;
        filling.add("apps/issuer/app.yaml", include_str!("issuer-app.yaml.hbs"))?;
        filling.add(
            "apps/issuer/manifests/issuer.yaml",
            include_str!("issuer.yaml.hbs"),
        )?;
        filling.add("runbooks/issuer/outage.md", include_str!("issuer-outage.md.hbs"))?;
        let mut files = filling.into_files();
        files.extend(self.environment_files()?);
        for (name, text) in PLATFORM_RUNBOOKS {
            files.insert(format!("runbooks/platform/{name}").into(), text.to_owned());
        }
        files.extend(welcome()?);
        Ok(files)
    }

    /// Those of the cluster besides the lab alone; none without one.
    ///
    /// # Errors
    /// When a template can't be filled in, which is a fault of lotse.
    pub fn environment_files(&self) -> Result<Sources, SkeletonError> {
        let mut filling = Filling::new(self.values());
        if let Some(environment) = &self.environment {
            let folder = format!("environments/{}", environment.name);
            filling.add(
                format!("{folder}/environment.yaml"),
                include_str!("environment.yaml.hbs"),
            )?;
            filling.add(format!("{folder}/people.yaml"), include_str!("people.yaml.hbs"))?;
        }
        Ok(filling.into_files())
    }

    /// The environments that the files declare.
    #[must_use]
    pub fn environments(&self) -> Vec<EnvironmentName> {
        let lab = EnvironmentName::new(LAB).ok();
        let other = self.environment.as_ref().map(|each| each.name.clone());
        lab.into_iter().chain(other).collect()
    }

    fn values(&self) -> serde_json::Value {
        let environment = self.environment.as_ref();
        let organisation = environment.map_or(ORGANISATION, |each| &each.organisation);
        json!({
            "name": self.name,
            "lab": scalar(self.lab.as_str()),
            "flux": scalar(&self.flux),
            "version": self.version,
            "organisation": scalar(organisation),
            "environment": environment.map(|each| scalar(each.name.as_str())),
            "folder": environment.map(|each| each.name.as_str()),
            "zone": environment.map(|each| scalar(each.domain.as_str())),
            "domain": environment.map(|each| each.domain.as_str()),
            "prefix": environment.map(|each| variable_prefix(&each.name)),
        })
    }
}

/// Names of variables can't begin with a digit.
fn variable_prefix(name: &EnvironmentName) -> String {
    let prefix = name.as_str().to_uppercase().replace('-', "_");
    if prefix.starts_with(|first: char| first.is_ascii_digit()) {
        format!("CLUSTER_{prefix}")
    } else {
        prefix
    }
}

/// An application to look at.
fn welcome() -> Result<Sources, SkeletonError> {
    const LABEL: &str = "these are labels";
    let draft = AppDraft {
        name: AppName::new("welcome").expect(LABEL),
        description: "The first page of the platform".to_owned(),
        owners: vec![TeamName::new("website").expect(LABEL)],
        hosts: vec![HostLabel::new("welcome").expect(LABEL)],
        login: false,
        source: DraftSource::Image {
            image: WELCOME_IMAGE.to_owned(),
            port: 8080,
        },
    };
    draft.files()
}
