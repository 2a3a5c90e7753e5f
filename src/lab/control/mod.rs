//! How the supervisor of a lab and the commands talk: JSON lines over a Unix socket in the lab's directory.
//!
//! A command sends one request; the supervisor answers with messages until it has nothing more to tell.

mod board;
pub(super) mod build;
mod client;
mod server;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::process::{self, ProcessIdentity, ProcessStatus};
use crate::names::LabName;
use crate::report::Event;

pub(super) use board::Board;
pub(super) use client::Connection;
pub(super) use server::{Desk, StopReason, serve};

/// Raised when messages change so that an older program would misread them.
const PROTOCOL: u32 = 1;

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// Everything that happened and happens, until the lab has ended or the command ends its half of the
    /// connection. A lab that is starting lives as long as somebody watches.
    Watch,
    /// One snapshot.
    Status,
    /// To stop everything. Answered as `Watch` is, until nothing runs any more.
    Stop,
}

/// What the supervisor tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Message {
    /// Something happened.
    Event(Event),
    /// How things are now.
    Snapshot(Box<Snapshot>),
    /// The answer to a command that stopped watching: how many others still do.
    Left {
        /// The others.
        others: usize,
    },
}

/// How a lab is, as its supervisor tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    protocol: u32,
    /// The lab.
    pub name: LabName,
    /// The version of the program that runs it.
    pub lotse: String,
    /// Which build of that version; nothing where the system does not tell.
    #[serde(default)]
    pub build: Option<String>,
    /// Its supervisor.
    pub supervisor: Option<ProcessIdentity>,
    /// When that was started.
    pub since: Timestamp,
    /// How far the lab is.
    pub phase: LabPhase,
    /// Its processes, in the order in which they were started.
    pub processes: Vec<ProcessStatus>,
    /// Where everything is, once it is ready. No secret is in it.
    pub endpoints: Option<Value>,
}

impl Snapshot {
    /// Whether the program that wrote this is the very one that reads it.
    pub(super) fn is_of_this_build(&self) -> bool {
        self.lotse == env!("CARGO_PKG_VERSION") && self.build == build::ours()
    }

    pub(super) fn new(name: LabName) -> Self {
        Self {
            protocol: PROTOCOL,
            name,
            lotse: env!("CARGO_PKG_VERSION").to_owned(),
            build: build::ours(),
            supervisor: ProcessIdentity::of(std::process::id().cast_signed()),
            since: Timestamp::now(),
            phase: LabPhase::Starting,
            processes: Vec::new(),
            endpoints: None,
        }
    }
}

/// How far a lab is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum LabPhase {
    /// Not everything is ready.
    Starting,
    /// Everything is ready.
    Ready,
    /// Everything is being stopped.
    Stopping,
    /// Everything was stopped because somebody asked for it.
    Stopped,
    /// It did not start; everything that was started for it was stopped again.
    Failed(Failure),
}

/// Why a lab did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}{}", process::shown(log.as_ref(), lines))]
pub struct Failure {
    /// The fault with its causes.
    pub message: String,
    /// What to do about it, where the message does not say.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The log of the component whose fault it was.
    pub log: Option<Utf8PathBuf>,
    /// The last lines of that.
    pub lines: Vec<String>,
}
