//! The lab's authoritative name server: what the user asked for when the lab was made; otherwise Knot DNS where it is
//! installed, and our own where it is not.

use std::net::SocketAddr;

use camino::Utf8PathBuf;

use super::LaunchError;
use crate::lab::LabContext;
use crate::lab::dns::{self, DnsSpec, NameServer, knot};
use crate::names::DomainName;
use crate::secret::Secret;
use crate::surface::dns::{TsigAlgorithm, TsigKey};

/// The zone it is authoritative for; `.test` is never delegated (RFC 6761, section 6.2).
const ZONE: &str = "lab.test";
/// Name of the key that may update the zone.
pub(super) const KEY_NAME: &str = "lotse";
/// Under which the lab keeps the key.
pub(super) const KEY_SECRET: &str = "tsig";
/// Where Debian and others install Knot DNS, which is often not on a user's `PATH`.
const SERVER_DIRECTORIES: &str = "/usr/sbin:/usr/local/sbin";

/// The zone of every lab.
pub(super) fn zone() -> DomainName {
    DomainName::new(ZONE).expect("lab.test is a domain name")
}

/// Starts it and gives its address.
pub(super) async fn start(context: &LabContext) -> Result<String, LaunchError> {
    let address = SocketAddr::from(([127, 0, 0, 1], context.ports.get_tcp_and_udp("dns")?));
    let spec = DnsSpec {
        zone: zone(),
        address,
        key: TsigKey {
            name: KEY_NAME.to_owned(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: key(context)?,
        },
        directory: context.state.data("dns")?,
    };
    match choose(context)? {
        Chosen::Knot(program) => context.supervisor.start(knot::process(&spec, program)?).await?,
        Chosen::BuiltIn => serve(context, spec).await?,
    }
    Ok(address.to_string())
}

/// Checks that the name server that is wanted is there.
pub(super) fn check(context: &LabContext) -> Result<(), LaunchError> {
    let installed = installed_knot(&context.surroundings.path);
    choice(wanted(context), installed).map(drop)
}

/// What answers, and how to start it.
#[derive(Debug, PartialEq, Eq)]
enum Chosen {
    Knot(Utf8PathBuf),
    BuiltIn,
}

/// Chooses, and has the lab remember it: each keeps the zone in files that the other does not read.
fn choose(context: &LabContext) -> Result<Chosen, LaunchError> {
    let chosen = choice(wanted(context), installed_knot(&context.surroundings.path))?;
    let name_server = match chosen {
        Chosen::Knot(_) => NameServer::Knot,
        Chosen::BuiltIn => NameServer::BuiltIn,
    };
    if context.record.current().name_server != Some(name_server) {
        context
            .record
            .change(|record| record.name_server = Some(name_server))?;
    }
    Ok(chosen)
}

/// What the lab was made with; in a new one, what the user asked for.
fn wanted(context: &LabContext) -> Option<NameServer> {
    let recorded = context.record.current().name_server;
    recorded.or(context.surroundings.name_server)
}

fn choice(wanted: Option<NameServer>, knot: Option<Utf8PathBuf>) -> Result<Chosen, LaunchError> {
    match (wanted, knot) {
        (Some(NameServer::Knot) | None, Some(program)) => Ok(Chosen::Knot(program)),
        (Some(NameServer::BuiltIn), _) | (None, None) => Ok(Chosen::BuiltIn),
        (Some(NameServer::Knot), None) => Err(LaunchError::KnotMissing),
    }
}

async fn serve(context: &LabContext, spec: DnsSpec) -> Result<(), LaunchError> {
    let server = dns::serve(spec).await?;
    let stopping = context.stopping.clone();
    context.tasks.spawn(async move {
        stopping.cancelled().await;
        if let Err(error) = server.shutdown().await {
            tracing::warn!(%error, "the name server did not end in order");
        }
    });
    Ok(())
}

/// The key, made when it is asked for the first time.
fn key(context: &LabContext) -> Result<Secret, LaunchError> {
    if let Some(secret) = context.secrets.get(KEY_SECRET) {
        return Ok(secret);
    }
    let secret = TsigKey::generate(KEY_NAME).secret;
    context.secrets.set(KEY_SECRET, secret.clone())?;
    Ok(secret)
}

fn installed_knot(path: &str) -> Option<Utf8PathBuf> {
    let directories = path
        .split(':')
        .chain(SERVER_DIRECTORIES.split(':'))
        .filter(|directory| !directory.is_empty());
    directories
        .map(|directory| Utf8PathBuf::from(directory).join("knotd"))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use camino::Utf8Path;

    use super::*;
    use crate::desired::dns::{RecordSet, RecordType};
    use crate::lab::Surroundings;
    use crate::lab::component::{Components, Sources};
    use crate::lab::state::StateDirectory;
    use crate::names::EnvironmentName;
    use crate::report::Silent;
    use crate::surface::dns::{Adoption, DnsZone as _, RecordKey, Rfc2136, plan};

    /// A lab with `asked` as the name server that the user asked for; a search path on which nothing is.
    fn lab(root: &Utf8Path, asked: Option<NameServer>) -> LabContext {
        let name = "default".parse().unwrap();
        let sources = Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: root.join("cache"),
        };
        let surroundings = Surroundings {
            path: String::new(),
            home: String::new(),
            has_compiler: false,
            name_server: asked,
            extras: std::collections::BTreeSet::new(),
        };
        let state = StateDirectory::locate(root, &name).unwrap();
        LabContext::open(
            &name,
            state,
            Components::new(sources),
            surroundings,
            Arc::new(Silent),
        )
        .unwrap()
    }

    fn processes(context: &LabContext) -> Vec<String> {
        context.record.current().processes.into_keys().collect()
    }

    fn zone(context: &LabContext, address: &str) -> Rfc2136 {
        let key = TsigKey {
            name: KEY_NAME.to_owned(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: key(context).unwrap(),
        };
        Rfc2136::new(address, DomainName::new(ZONE).unwrap(), key).unwrap()
    }

    fn record() -> RecordSet {
        RecordSet::leading("*.prod.lab.test.", &[[127, 0, 0, 20].into()], 300).remove(0)
    }

    async fn write(zone: &Rfc2136) {
        let keys = [RecordType::A, RecordType::Aaaa].map(|kind| RecordKey::new(record().name, kind));
        let observed = zone.observe(&keys).await.unwrap();
        let owner = EnvironmentName::new("lab").unwrap();
        let plan = plan(&[record()], &observed, &owner).unwrap();
        zone.apply(&plan, Adoption::Refused).await.unwrap();
    }

    /// Each name server is started where it is asked for, and again with its zone when the other one is asked for
    /// later. Knot comes from the Debian package `knot`; where it is missing this fails and says so.
    #[tokio::test]
    async fn test_a_lab_keeps_the_name_server_it_was_made_with() {
        for (asked, other, running) in [
            (NameServer::Knot, NameServer::BuiltIn, &["dns"][..]),
            (NameServer::BuiltIn, NameServer::Knot, &[]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let root = Utf8Path::from_path(folder.path()).unwrap();
            let context = lab(root, Some(asked));
            let address = start(&context).await.unwrap();
            assert_eq!(processes(&context), running, "{asked}");
            write(&zone(&context, &address)).await;
            context.stop().await;

            let context = lab(root, Some(other));
            assert_eq!(context.record.current().name_server, Some(asked));
            check(&context).unwrap();
            let address = start(&context).await.unwrap();
            assert_eq!(processes(&context), running, "{asked}, later {other}");
            zone(&context, &address).verify(&[record()]).await.unwrap();
            context.stop().await;
        }
    }

    #[test]
    fn test_what_is_installed_decides_where_nothing_is_asked_for() {
        let knot = || Some(Utf8PathBuf::from("/usr/sbin/knotd"));
        let there = || Chosen::Knot("/usr/sbin/knotd".into());
        assert_eq!(choice(None, knot()).unwrap(), there());
        assert_eq!(choice(None, None).unwrap(), Chosen::BuiltIn);
        assert_eq!(
            choice(Some(NameServer::BuiltIn), knot()).unwrap(),
            Chosen::BuiltIn
        );
        assert_eq!(choice(Some(NameServer::Knot), knot()).unwrap(), there());
        let missing = choice(Some(NameServer::Knot), None).unwrap_err();
        assert!(missing.remedy().is_some(), "{missing}");
    }
}
