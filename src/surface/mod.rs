//! The five surfaces, each with the same four doors: desired (pure) → observe → plan (pure) → apply. Beside them the
//! cloud that machines are made in, the accounts of people at their forge and the issuers of others, which are only read, and the
//! program that encrypts files.

pub mod accounts;
pub mod dns;
pub mod git;
pub mod issuer;
pub mod keycloak;
pub mod management;
pub mod openstack;
mod patience;
pub mod sops;
pub mod workload;
