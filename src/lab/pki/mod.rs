//! The lab's own certificate authority: server and client certificates, keys that sign service account tokens.
//!
//! Everything is valid for a year, kept in files of mode 0600, and made anew when less than 30 days are left.

mod issued;
mod kubeconfig;

use std::io;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use sha2::{Digest, Sha256};

use self::issued::Subject;
use super::files;
use crate::secret::Secret;
use crate::temporary;

pub use issued::Issued;
pub use kubeconfig::kubeconfig;

/// The authority's certificate, below the lab's directory for keys and certificates.
pub(super) const AUTHORITY_FILE: &str = "ca.crt";
/// How long a certificate is valid.
const VALID_DAYS: i64 = 365;
/// With fewer days left, a certificate is issued anew.
const RENEW_DAYS: i64 = 30;

/// Why keys or certificates can't be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file can't be read or written.
    #[error("keeping the lab's keys and certificates")]
    Io {
        /// What the system says, with the path.
        #[source]
        source: io::Error,
    },
    /// A key or certificate can't be made or read.
    #[error("making the certificate or key `{name}`")]
    Certificate {
        /// Which one.
        name: String,
        /// What the library says.
        #[source]
        source: rcgen::Error,
    },
    /// A kubeconfig can't be written.
    #[error("writing the kubeconfig for {server}: {reason}")]
    Kubeconfig {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
}

impl From<io::Error> for PkiError {
    fn from(source: io::Error) -> Self {
        Self::Io { source }
    }
}

fn fault(name: &str) -> impl Fn(rcgen::Error) -> PkiError + '_ {
    move |source| PkiError::Certificate {
        name: name.to_owned(),
        source,
    }
}

/// A pair of keys that signs tokens of service accounts (ECDSA P-256).
#[derive(Clone, Debug)]
pub struct ServiceAccountKeys {
    /// The private key's file.
    pub private_path: Utf8PathBuf,
    /// The public key's file.
    pub public_path: Utf8PathBuf,
}

/// The lab's certificate authority (ECDSA P-256).
pub struct CertificateAuthority {
    directory: Utf8PathBuf,
    certificate: String,
    fingerprint: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// Reads the authority kept in `directory`, or makes one. What an authority issued before it was made anew is
    /// issued anew too, when it is next asked for.
    pub fn open(directory: &Utf8Path) -> Result<Self, PkiError> {
        files::create_private_directory(directory)?;
        let subject = Subject::Authority;
        let kept = issued::read(directory, "ca", &subject, "")?;
        let kept = match kept {
            Some(kept) => kept,
            None => issued::write(directory, "ca", &subject, "", make_authority()?)?,
        };
        let key = KeyPair::from_pem(kept.key_pem.expose()).map_err(fault("ca"))?;
        Ok(Self {
            directory: directory.to_owned(),
            fingerprint: fingerprint(&kept.certificate_pem),
            issuer: Issuer::from_ca_cert_pem(&kept.certificate_pem, key).map_err(fault("ca"))?,
            certificate: kept.certificate_pem,
        })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn certificate_path(&self) -> Utf8PathBuf {
        self.directory.join(AUTHORITY_FILE)
    }

    /// The file with the authority's private key, for a component that signs in its name
    /// (kube-controller-manager's `--cluster-signing-key-file`).
    #[must_use]
    pub fn key_path(&self) -> Utf8PathBuf {
        self.directory.join("ca.key")
    }

    /// A certificate for a server, kept as `name` (`moin/kube-apiserver`). The kept one is given as long as it is for
    /// the same host names and addresses.
    pub fn issue_server(
        &self,
        name: &str,
        hosts: &[String],
        addresses: &[IpAddr],
    ) -> Result<Issued, PkiError> {
        let subject = Subject::Server {
            hosts: hosts.to_vec(),
            addresses: addresses.to_vec(),
        };
        self.issue(name, &subject)
    }

    /// A certificate for a client, kept as `name` (`moin/admin`). For Kubernetes, the common name is the user and the
    /// organisation is its group. The kept one is given as long as it is for the same.
    pub fn issue_client(
        &self,
        name: &str,
        common_name: &str,
        organisation: Option<&str>,
    ) -> Result<Issued, PkiError> {
        let subject = Subject::Client {
            common_name: common_name.to_owned(),
            organisation: organisation.map(str::to_owned),
        };
        self.issue(name, &subject)
    }

    /// Keys that sign service account tokens, kept as `name` (`moin/service-account`).
    pub fn service_account_keys(&self, name: &str) -> Result<ServiceAccountKeys, PkiError> {
        let keys = ServiceAccountKeys {
            private_path: self.directory.join(format!("{name}.key")),
            public_path: self.directory.join(format!("{name}.pub")),
        };
        // The public key is written last, so where it is, both are.
        if !keys.public_path.exists() {
            let pair = KeyPair::generate().map_err(fault(name))?;
            if let Some(parent) = keys.private_path.parent() {
                files::create_private_directory(parent)?;
            }
            temporary::replace(
                &keys.private_path,
                pair.serialize_pem().as_bytes(),
                files::PRIVATE,
            )?;
            temporary::replace(
                &keys.public_path,
                pair.public_key_pem().as_bytes(),
                files::PRIVATE,
            )?;
        }
        Ok(keys)
    }

    fn issue(&self, name: &str, subject: &Subject) -> Result<Issued, PkiError> {
        if let Some(kept) = issued::read(&self.directory, name, subject, &self.fingerprint)? {
            return Ok(kept);
        }
        let key = KeyPair::generate().map_err(fault(name))?;
        let certificate = parameters(subject)
            .and_then(|parameters| parameters.signed_by(&key, &self.issuer))
            .map_err(fault(name))?;
        let pair = Pair {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem()),
        };
        issued::write(&self.directory, name, subject, &self.fingerprint, pair)
    }
}

/// A certificate and its key, both PEM.
struct Pair {
    certificate: String,
    key: Secret,
}

fn make_authority() -> Result<Pair, PkiError> {
    let key = KeyPair::generate().map_err(fault("ca"))?;
    let certificate = parameters(&Subject::Authority)
        .and_then(|parameters| parameters.self_signed(&key))
        .map_err(fault("ca"))?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

fn parameters(subject: &Subject) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    let today = Timestamp::now().to_zoned(TimeZone::UTC);
    let (year, month, day) = date(&today.saturating_sub(1.day()));
    parameters.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(&today.saturating_add(VALID_DAYS.days()));
    parameters.not_after = date_time_ymd(year, month, day);
    match subject {
        Subject::Authority => authority_parameters(&mut parameters),
        Subject::Server { hosts, addresses } => server_parameters(&mut parameters, hosts, addresses)?,
        Subject::Client {
            common_name,
            organisation,
        } => client_parameters(&mut parameters, common_name, organisation.as_deref()),
    }
    Ok(parameters)
}

fn authority_parameters(parameters: &mut CertificateParams) {
    parameters
        .distinguished_name
        .push(DnType::CommonName, "lotse lab authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
}

fn server_parameters(
    parameters: &mut CertificateParams,
    hosts: &[String],
    addresses: &[IpAddr],
) -> Result<(), rcgen::Error> {
    parameters
        .distinguished_name
        .push(DnType::CommonName, "lotse lab server");
    for host in hosts {
        parameters
            .subject_alt_names
            .push(SanType::DnsName(host.as_str().try_into()?));
    }
    let addresses = addresses.iter().copied().map(SanType::IpAddress);
    parameters.subject_alt_names.extend(addresses);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(())
}

fn client_parameters(parameters: &mut CertificateParams, common_name: &str, organisation: Option<&str>) {
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
}

/// Year, month and day of `moment`.
fn date(moment: &Zoned) -> (i32, u8, u8) {
    (
        moment.year().into(),
        moment.month().cast_unsigned(),
        moment.day().cast_unsigned(),
    )
}

fn fingerprint(text: &str) -> String {
    use std::fmt::Write;
    let mut hexadecimal = String::new();
    for byte in Sha256::digest(text) {
        // Writing to a String can't fail.
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    hexadecimal
}

#[cfg(test)]
mod tests;
