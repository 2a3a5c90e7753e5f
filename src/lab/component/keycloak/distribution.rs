//! Keycloak's distribution: downloaded by Maven, checked against the pinned hash, unpacked.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::lab::component::cache::sha256;
use crate::lab::component::claim::Scaffold;
use crate::lab::component::tool::{Call, Toolbox};
use crate::lab::component::{Component, ComponentError};
use crate::report::{Task, Unit};

/// The distribution's Maven coordinates.
pub(crate) const COORDINATES: &str = "org.keycloak:keycloak-quarkus-dist:26.7.5:zip";
/// The file name that Maven gives it.
pub(crate) const ZIP_NAME: &str = "keycloak-quarkus-dist-26.7.5.zip";
/// The pinned hash.
pub(super) const ZIP_SHA256: &str = "30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a";
/// The directory inside the zip.
const ZIP_ROOT: &str = "keycloak-26.7.5";
/// The Maven plugin that copies an artifact to a directory.
const COPY_GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy";

/// Fetches the zip by its coordinates. Mirrors, proxies and the local repository are those of the user's
/// Maven settings.
pub(super) async fn download(
    tools: &Toolbox,
    scaffold: &Scaffold<'_>,
    task: &Task<'_>,
) -> Result<Utf8PathBuf, ComponentError> {
    task.waiting("Maven");
    let directory = scaffold.work();
    let call = Call {
        component: Component::Keycloak,
        program: "mvn",
        remedy: "`apt-get install maven`",
        arguments: vec![
            COPY_GOAL.to_owned(),
            format!("-Dartifact={COORDINATES}"),
            format!("-DoutputDirectory={directory}"),
            "-Dstyle.color=never".to_owned(),
        ],
        environment: Vec::new(),
        directory: &directory,
    };
    let observe = |line: &str| match transferred(line) {
        Some((done, total)) => {
            task.progress(done, Some(total), Unit::Bytes);
            false
        }
        None => true,
    };
    tools.succeed(&call, observe, explain).await?;
    Ok(directory.join(ZIP_NAME))
}

/// Bytes done and in all, of Maven's `Progress (1): 12/174 MB`. Small files, told in kB, don't count.
fn transferred(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.split_once("Progress (")?;
    let (_, numbers) = rest.split_once(": ")?;
    let (done, total) = numbers.trim().strip_suffix(" MB")?.rsplit_once(' ').map_or_else(
        || numbers.trim().trim_end_matches(" MB").split_once('/'),
        |(_, numbers)| numbers.split_once('/'),
    )?;
    Some((megabytes(done)?, megabytes(total)?))
}

/// `1.2` as 1 200 000.
fn megabytes(text: &str) -> Option<u64> {
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().ok()?;
    let tenth: u64 = tenth.get(..1)?.parse().ok()?;
    Some(whole * 1_000_000 + tenth * 100_000)
}

/// Compares the zip with the pinned hash.
pub(super) async fn check(zip: Utf8PathBuf, task: &Task<'_>) -> Result<(), ComponentError> {
    task.waiting("the check of Keycloak's zip");
    let component = Component::Keycloak;
    let path = zip.clone();
    let found = tokio::task::spawn_blocking(move || sha256(&path))
        .await
        .map_err(|source| ComponentError::Interrupted { component, source })?
        .map_err(|error| ComponentError::from_io(component, &zip, error))?;
    if found == ZIP_SHA256 {
        return Ok(());
    }
    Err(ComponentError::ChecksumMismatch {
        component,
        message: format!("{zip} has SHA-256 {found}, not {ZIP_SHA256}"),
    })
}

/// Unpacks the zip's one directory as `target`. Ends soon when the future is dropped.
pub(super) async fn unpack(
    zip: Utf8PathBuf,
    target: Utf8PathBuf,
    task: &Task<'_>,
) -> Result<(), ComponentError> {
    let component = Component::Keycloak;
    let progress = Arc::new(Progress::default());
    let _abandon = Abandon(Arc::clone(&progress));
    let mut unpacking = tokio::task::spawn_blocking({
        let (zip, progress) = (zip.clone(), Arc::clone(&progress));
        move || unpack_all(&zip, &target, &progress)
    });
    let result = loop {
        match tokio::time::timeout(Duration::from_millis(250), &mut unpacking).await {
            Ok(result) => break result,
            Err(_) => progress.tell(task),
        }
    };
    result
        .map_err(|source| ComponentError::Interrupted { component, source })?
        .map_err(|error| match error {
            ZipError::Io(error) => ComponentError::from_io(component, &zip, error),
            source => ComponentError::Unpack { path: zip, source },
        })
}

/// How far the unpacking thread is, and whether anybody still wants the result.
#[derive(Default)]
struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    abandoned: AtomicBool,
}

impl Progress {
    fn tell(&self, task: &Task<'_>) {
        let total = self.total.load(Ordering::Relaxed);
        task.progress(self.done.load(Ordering::Relaxed), Some(total), Unit::Files);
    }
}

struct Abandon(Arc<Progress>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

fn unpack_all(zip: &Utf8Path, target: &Utf8Path, progress: &Progress) -> Result<(), ZipError> {
    let mut archive = ZipArchive::new(io::BufReader::new(fs_err::File::open(zip)?))?;
    progress.total.store(
        u64::try_from(archive.len()).unwrap_or(u64::MAX),
        Ordering::Relaxed,
    );
    for index in 0..archive.len() {
        if progress.abandoned.load(Ordering::Relaxed) {
            return Err(ZipError::Io(io::ErrorKind::Interrupted.into()));
        }
        unpack_one(&mut archive.by_index(index)?, target)?;
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Unpacks one member; those that would leave `target` are refused.
fn unpack_one(member: &mut zip::read::ZipFile<'_, impl io::Read>, target: &Utf8Path) -> Result<(), ZipError> {
    let name = member
        .enclosed_name()
        .and_then(|name| Utf8PathBuf::try_from(name).ok())
        .ok_or_else(|| ZipError::InvalidArchive("a member leaves the directory".into()))?;
    let path = target.join(name.strip_prefix(ZIP_ROOT).unwrap_or(&name));
    if member.is_dir() {
        return Ok(fs_err::create_dir_all(&path)?);
    }
    fs_err::create_dir_all(path.parent().unwrap_or(target))?;
    let mut file = fs_err::File::create(&path)?;
    io::copy(member, &mut file)?;
    if let Some(mode) = member.unix_mode() {
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o777))?;
    }
    Ok(())
}

/// What Maven's or Keycloak's last words mean for the user, where it is one of the things that happen.
pub(super) fn explain(component: Component, last: &str) -> Option<ComponentError> {
    let says = |words: &[&str]| words.iter().any(|word| last.contains(word));
    let message = last
        .lines()
        .find(|line| line.contains("[ERROR]"))
        .unwrap_or_default()
        .replace("[ERROR] ", "");
    if says(&["No space left on device"]) {
        let path = Utf8PathBuf::from("the directory of the cache or of Maven's local repository");
        return Some(ComponentError::DiskFull { component, path });
    }
    if says(&["Checksum validation failed"]) {
        return Some(ComponentError::ChecksumMismatch { component, message });
    }
    let network = [
        "Could not transfer",
        "Unknown host",
        "Connect to",
        "Connection refused",
        "offline mode",
    ];
    if says(&network) || says(&["Could not find artifact", "status code: 403", "No plugin found"]) {
        return Some(ComponentError::Network { component, message });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_maven_progress_is_read() {
        assert_eq!(
            transferred("Progress (1): 12/174 MB"),
            Some((12_000_000, 174_000_000))
        );
        assert_eq!(
            transferred("Progress (1): 1.2/174 MB"),
            Some((1_200_000, 174_000_000))
        );
        assert_eq!(transferred("Progress (1): 4.1/12 kB"), None);
        assert_eq!(transferred("Downloading from x: y"), None);
    }

    #[test]
    fn test_zip_name_and_coordinates_agree_with_the_version() {
        let version = Component::Keycloak.version();
        assert_eq!(ZIP_NAME, format!("keycloak-quarkus-dist-{version}.zip"));
        assert_eq!(
            COORDINATES,
            format!("org.keycloak:keycloak-quarkus-dist:{version}:zip")
        );
        assert_eq!(ZIP_ROOT, format!("keycloak-{version}"));
    }
}
