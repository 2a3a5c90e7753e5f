//! The embedded environment: real components as processes on loopback.
//!
//! Top floor, beside the terminal: nothing below knows that it talks to a lab.

pub mod component;
pub mod control;
pub mod control_plane;
pub mod designate;
pub mod dns;
pub mod files;
pub mod gateway;
pub mod launch;
pub mod load_balancer;
pub mod login;
pub mod pki;
pub mod process;
pub mod provider;
pub mod runner;
pub mod stack;
pub mod state;

mod conditions;
mod context;
mod down;
mod error;
mod extra;
mod logs;
mod running;
mod status;
mod supervise;
mod up;

pub use context::{ContextError, LabContext, Surroundings};
pub use down::down;
pub use error::LabError;
pub use extra::Extra;
pub use logs::{LogsOptions, logs};
pub use running::{RunningLab, find};
pub use status::{LabState, LabStatus, ProcessRow, status};
pub use supervise::{LaunchFault, SuperviseOptions, supervise};
pub use up::{UpOptions, up};
