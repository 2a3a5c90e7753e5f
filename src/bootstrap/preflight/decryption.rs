//! The key by which Flux opens what is encrypted in Git: where it is, and that it is the right one.

use super::check::{Check, CheckId};
use crate::age::{Identity, NotAKey};
use crate::config::Encryption;
use crate::config::ResolvedEnvironment;
use crate::kubernetes::Cluster;
use crate::secret::Secret;
use crate::surface::management::{IdentityPlace, ManagementError};

/// Why there is no key to give to Flux.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoIdentity {
    /// What was given is none.
    #[error("secrets.identity can't be used")]
    Malformed(#[source] NotAKey),
    /// The management cluster has none.
    #[error("there is no {secret} on the management cluster")]
    NotKept {
        /// Where it should be.
        secret: String,
    },
    /// The management cluster does not say.
    #[error(transparent)]
    Management(#[from] ManagementError),
    /// It belongs to something else.
    #[error("the key opens what is encrypted to {found}, and secrets.recipient is {declared}")]
    OfAnother {
        /// What it opens.
        found: String,
        /// What is declared.
        declared: String,
    },
}

impl NoIdentity {
    const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "give the text of the identity, which begins with AGE-SECRET-KEY-1",
            Self::NotKept { .. } => {
                "`lotse secrets init ENVIRONMENT --import` takes a copy of it; where none is left, `lotse secrets init \
                 ENVIRONMENT --new` makes another, and somebody who can open the files runs `lotse secrets rekey ENVIRONMENT`"
            }
            Self::Management(ManagementError::NotAnIdentity { .. }) => {
                "delete that Secret; `lotse secrets init ENVIRONMENT --import` takes a copy of the key"
            }
            Self::Management(_) => "use credentials that may read Secrets in management.namespace",
            Self::OfAnother { .. } => {
                "correct secrets.recipient in environment.yaml, or give the key that belongs to it"
            }
        }
    }
}

/// The key of `environment`, as given, or as the management cluster keeps it.
async fn identity(
    environment: &ResolvedEnvironment,
    encryption: &Encryption<Secret>,
    management: &Cluster,
) -> Result<Identity, NoIdentity> {
    let identity = if let Some(text) = &encryption.identity {
        Identity::read(text).map_err(NoIdentity::Malformed)?
    } else {
        let place = IdentityPlace::of(&environment.name, &environment.management.namespace);
        let kept = place.read(management).await?;
        kept.ok_or_else(|| NoIdentity::NotKept {
            secret: place.reference().to_string(),
        })?
    };
    let found = identity.recipient();
    if found == encryption.recipient {
        return Ok(identity);
    }
    Err(NoIdentity::OfAnother {
        found: found.to_string(),
        declared: encryption.recipient.to_string(),
    })
}

/// Looks for the key, where the environment encrypts anything.
pub(super) async fn look(
    environment: &ResolvedEnvironment,
    management: Option<&Cluster>,
) -> (Option<Identity>, Option<Check>) {
    let Some(encryption) = &environment.encryption else {
        return (None, None);
    };
    let Some(management) = management else {
        let check = Check::not_asked(
            CheckId::Decryption,
            "the management cluster can't be asked for the key",
        );
        return (None, Some(check));
    };
    match identity(environment, encryption, management).await {
        Ok(identity) => (Some(identity), Some(Check::passed(CheckId::Decryption))),
        Err(NoIdentity::Management(ManagementError::Kubernetes(error))) if error.is_transient() => {
            let reason = "the management cluster does not answer";
            (None, Some(Check::not_asked(CheckId::Decryption, reason)))
        }
        Err(error) => {
            let check = Check::by_error(CheckId::Decryption, &error, error.remedy());
            (None, Some(check))
        }
    }
}
