//! Makes Keycloak: its distribution, augmented once, and a database that already has its schema and master realm.
//!
//! Both take most of Keycloak's first start (about 25 and 20 processor seconds); labs then share the
//! installation read-only and begin with a copy of the database.

mod distribution;
mod run;

use camino::{Utf8Path, Utf8PathBuf};
use rand::distr::{Alphanumeric, SampleString as _};

use crate::report::Task;
use crate::secret::Secret;

use super::claim::Scaffold;
use super::tool::{Call, Toolbox};
use super::{Component, ComponentError};

pub(super) use distribution::{COORDINATES, ZIP_NAME};
pub use run::{java_arguments, prepare_home};

/// Fixed when Keycloak is augmented; what may differ from lab to lab is given at its start.
const BUILD_OPTIONS: [&str; 3] = [
    "--db=dev-file",
    "--health-enabled=true",
    // On by default from 26.8.
    "--features=client-secret-rotation",
];

const JAVA_REMEDY: &str = "`apt-get install openjdk-17-jre-headless` (or openjdk-21-jre-headless)";

/// Name of the environment variable that carries the password to the one command that needs it.
const PASSWORD_VARIABLE: &str = "LOTSE_KEYCLOAK_ADMIN_PASSWORD";

/// What makes one augmented Keycloak another than the next.
pub(super) fn fingerprint() -> String {
    format!("{}\0{}", distribution::ZIP_SHA256, BUILD_OPTIONS.join("\0"))
}

/// Makes Keycloak in `scaffold`, from `zip` or from the distribution that Maven gives.
pub(super) async fn make(
    tools: &Toolbox,
    scaffold: &Scaffold<'_>,
    zip: Option<Utf8PathBuf>,
    task: &Task<'_>,
) -> Result<(), ComponentError> {
    let java = find_java(tools).await?;
    let zip = match zip {
        Some(zip) => zip,
        None => distribution::download(tools, scaffold, task).await?,
    };
    let installation = scaffold.home().join("share/keycloak");
    distribution::check(zip.clone(), task).await?;
    distribution::unpack(zip, installation.clone(), task).await?;
    let work = scaffold.work();
    let keycloak = Keycloak {
        tools,
        java: &java,
        installation: &installation,
        work: &work,
    };
    task.waiting("the augmentation of Keycloak for H2 and health checks");
    keycloak.augment().await?;
    task.waiting("Keycloak's first database");
    let password = Secret::new(Alphanumeric.sample_string(&mut rand::rng(), 32));
    keycloak.fill_database(&password).await?;
    run::keep_database(&work, &scaffold.home(), &password).map_err(|error| scaffold.failed(error))
}

/// The Java on the search path, checked for its version.
pub(super) async fn find_java(tools: &Toolbox) -> Result<Utf8PathBuf, ComponentError> {
    let arguments = ["-XshowSettings:properties", "-version"]
        .map(str::to_owned)
        .to_vec();
    let call = Call {
        component: Component::Keycloak,
        program: "java",
        remedy: JAVA_REMEDY,
        arguments,
        environment: Vec::new(),
        directory: Utf8Path::new("/"),
    };
    let mut settings = Vec::new();
    let output = tools
        .run(&call, |line| {
            settings.push(line.trim().to_owned());
            true
        })
        .await?;
    let value = |name: &str| {
        settings
            .iter()
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("= "))
    };
    let Some(found) = value("java.version") else {
        return Err(ComponentError::JavaSilent {
            status: output.status.to_string(),
            said: settings
                .into_iter()
                .next()
                .unwrap_or_else(|| "nothing".to_owned()),
        });
    };
    match (major(found), value("java.home")) {
        (17 | 21.., Some(home)) => Ok(Utf8Path::new(home).join("bin/java")),
        _ => Err(ComponentError::JavaUnsuited {
            found: found.to_owned(),
        }),
    }
}

/// 17 of `17.0.15`, 25 of `25`, 1 of `1.8.0_402`, 0 of anything else.
fn major(version: &str) -> u32 {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// An unpacked Keycloak that is being prepared.
struct Keycloak<'keycloak> {
    tools: &'keycloak Toolbox,
    java: &'keycloak Utf8Path,
    installation: &'keycloak Utf8Path,
    work: &'keycloak Utf8Path,
}

impl Keycloak<'_> {
    /// Rewrites the installation for [`BUILD_OPTIONS`].
    async fn augment(&self) -> Result<(), ComponentError> {
        let options = ["build"].iter().chain(&BUILD_OPTIONS).map(ToString::to_string);
        self.run(self.installation, options.collect(), Vec::new()).await
    }

    /// Makes a database with schema, master realm and administrator in the working directory.
    async fn fill_database(&self, password: &Secret) -> Result<(), ComponentError> {
        run::lay_out_home(self.installation, self.work)
            .map_err(|error| ComponentError::from_io(Component::Keycloak, self.work, error))?;
        let arguments = [
            "bootstrap-admin",
            "user",
            "--optimized",
            "--username",
            run::ADMINISTRATOR,
            "--password:env",
            PASSWORD_VARIABLE,
        ];
        let environment = vec![(PASSWORD_VARIABLE, password.expose().to_owned())];
        self.run(self.work, arguments.map(str::to_owned).to_vec(), environment)
            .await
    }

    async fn run(
        &self,
        home: &Utf8Path,
        command: Vec<String>,
        environment: Vec<(&'static str, String)>,
    ) -> Result<(), ComponentError> {
        let mut arguments = run::machine_arguments(self.installation, home);
        arguments.extend(command);
        let call = Call {
            component: Component::Keycloak,
            program: self.java.as_str(),
            remedy: JAVA_REMEDY,
            arguments,
            environment,
            directory: self.work,
        };
        self.tools
            .succeed(&call, |_| true, distribution::explain)
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_java_versions_are_read() {
        assert_eq!(major("17.0.15"), 17);
        assert_eq!(major("25"), 25);
        assert_eq!(major("1.8.0_402"), 1);
        assert_eq!(major("of an unknown version"), 0);
    }
}
