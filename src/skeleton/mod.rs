//! First files: of an application, and of a platform's repository. They are complete and pass every check as they are,
//! and belong to whoever asked for them from then on. Pure: nothing is read or written here.

mod app;
mod repository;
mod templates;

pub use app::{AppDraft, DraftSource};
pub use repository::{EnvironmentDraft, LAB, RepositoryDraft};
pub use templates::SkeletonError;
