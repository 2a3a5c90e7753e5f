//! What the platform puts into every cluster besides its applications.

mod policies;
mod priorities;
mod roles;

pub(super) use policies::policies;
pub(super) use priorities::priorities;
pub(super) use roles::roles;
