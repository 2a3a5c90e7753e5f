//! lotse brings up a productive Kubernetes cluster from a Cluster API management cluster, hands it to
//! Flux, and keeps what surrounds its applications in one Git repository.
//!
//! The rooms, lowest floor first; a room uses only rooms of lower floors (`tests/floors.rs` holds that):
//!
//! | floor | rooms | what they know |
//! |---|---|---|
//! | 0 | [`names`], [`secret`], [`age`], [`ssh`], [`diag`], [`report`], [`causes`], [`parallel`], [`temporary`], [`proxy`] | words, secrets, keys, diagnostics, progress, errors, threads, which way connections go; no I/O but files that are written as a whole |
//! | 1 | [`config`] | YAML, spans, validated declarations |
//! | 2 | [`desired`], [`render`], [`skeleton`] | what should be, and how it is written down; first files |
//! | 3 | [`plan`] | what separates the desired from the observed |
//! | 4 | [`kubernetes`], [`surface`] | the systems themselves |
//! | 5 | [`bootstrap`] | the ordered stages |
//! | 6 | [`lab`], [`cli`] | the embedded environment; the terminal |

pub mod age;
pub mod bootstrap;
pub mod causes;
pub mod cli;
pub mod config;
pub mod desired;
pub mod diag;
pub mod kubernetes;
pub mod lab;
pub mod names;
pub mod parallel;
pub mod plan;
pub mod proxy;
pub mod render;
pub mod report;
pub mod secret;
pub mod skeleton;
pub mod ssh;
pub mod surface;
pub mod temporary;
