//! The workload cluster: Flux, what Flux delivers, and the proof that access is as declared.
//!
//! Flux's components and its sync objects are applied in the name of `kustomize-controller`, since they come from Git and
//! are that controller's from its first reconciliation on. What carries its label is left to it: a patch made in Git is
//! never undone from here.

mod address;
mod authentication;
mod break_glass;
mod decryption;
mod error;
mod install;
mod login;
mod proof;
mod put_back;
mod ready;
mod release;
mod revision;
mod source;

pub use address::{addresses, wait_for_addresses};
pub use authentication::refused_since;
pub use break_glass::{
    BreakGlassError, Certificate, Chance, Lasting, NotWanted, Opened, Reason, Wanted, Who, break_glass,
};
pub use decryption::decryption_secret;
pub use error::WorkloadError;
pub use install::{apply_components, apply_sync, plan_components, plan_sync, wait_for_controllers};
pub use login::{ClientCredentials, LoginSecret, SECRET_HASH, is_of_flux, login_secrets, written_by_others};
pub use proof::{Identity, Question, can, may, whoami};
pub use put_back::{have_put_back, plan_delivered};
pub use ready::{Sync, wait_at};
pub use release::FluxRelease;
pub use source::{ObservedSource, SourceSecret, source_secret};

/// Where Flux runs.
pub const FLUX_NAMESPACE: &str = "flux-system";
/// Name of the `GitRepository`, the root Kustomization and the source secret, as `flux bootstrap` names them.
pub const FLUX_SOURCE: &str = "flux-system";
/// Who applies what comes from Git.
const FLUX_MANAGER: &str = "kustomize-controller";
