//! Certificates in files: `<name>.crt`, `<name>.key`, and `<name>.json`, which says for whom they are.

use std::io;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{Pair, PkiError, RENEW_DAYS, VALID_DAYS};
use crate::lab::files;
use crate::secret::Secret;
use crate::temporary;

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM (PKCS 8).
    pub key_pem: Secret,
    /// The certificate's file.
    pub certificate_path: Utf8PathBuf,
    /// The key's file, mode 0600.
    pub key_path: Utf8PathBuf,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    Authority,
    Server {
        hosts: Vec<String>,
        addresses: Vec<IpAddr>,
    },
    Client {
        common_name: String,
        organisation: Option<String>,
    },
}

/// What is written beside a certificate.
#[derive(Serialize, Deserialize)]
struct Note {
    subject: Subject,
    /// The fingerprint of the authority's certificate; empty for the authority itself.
    issuer: String,
    renew_after: Timestamp,
}

struct Paths {
    certificate: Utf8PathBuf,
    key: Utf8PathBuf,
    note: Utf8PathBuf,
}

impl Paths {
    fn new(directory: &Utf8Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
            note: directory.join(format!("{name}.json")),
        }
    }
}

/// The kept certificate called `name`, if it is for `subject`, from `issuer`, and valid for long enough.
pub(super) fn read(
    directory: &Utf8Path,
    name: &str,
    subject: &Subject,
    issuer: &str,
) -> Result<Option<Issued>, PkiError> {
    let paths = Paths::new(directory, name);
    let note = match fs_err::read(&paths.note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => serde_json::from_slice::<Note>(&other?),
    };
    let is_good = note.is_ok_and(|note| {
        note.subject == *subject && note.issuer == issuer && Timestamp::now() < note.renew_after
    });
    if !is_good {
        return Ok(None);
    }
    Ok(Some(Issued {
        certificate_pem: fs_err::read_to_string(&paths.certificate)?,
        key_pem: Secret::new(fs_err::read_to_string(&paths.key)?),
        certificate_path: paths.certificate,
        key_path: paths.key,
    }))
}

/// Keeps a certificate. The note goes first and comes last, so that it never stands beside half a pair.
pub(super) fn write(
    directory: &Utf8Path,
    name: &str,
    subject: &Subject,
    issuer: &str,
    pair: Pair,
) -> Result<Issued, PkiError> {
    let paths = Paths::new(directory, name);
    if let Some(parent) = paths.note.parent() {
        files::create_private_directory(parent)?;
    }
    match fs_err::remove_file(&paths.note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    temporary::replace(&paths.key, pair.key.expose().as_bytes(), files::PRIVATE)?;
    temporary::replace(&paths.certificate, pair.certificate.as_bytes(), files::PRIVATE)?;
    let note = Note {
        subject: subject.clone(),
        issuer: issuer.to_owned(),
        renew_after: renewal(),
    };
    let note = serde_json::to_vec_pretty(&note).map_err(io::Error::other)?;
    temporary::replace(&paths.note, &note, files::PRIVATE)?;
    Ok(Issued {
        certificate_pem: pair.certificate,
        key_pem: pair.key,
        certificate_path: paths.certificate,
        key_path: paths.key,
    })
}

fn renewal() -> Timestamp {
    Timestamp::now()
        .to_zoned(TimeZone::UTC)
        .saturating_add((VALID_DAYS - RENEW_DAYS).days())
        .timestamp()
}
