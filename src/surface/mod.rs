//! The five surfaces, and the program that encrypts files for them. Each has the same four doors: desired (pure) → observe → plan (pure) → apply.

pub mod dns;
pub mod git;
pub mod keycloak;
pub mod management;
pub mod sops;
pub mod workload;
