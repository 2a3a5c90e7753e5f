//! Who has a port, for the error that says that it is taken.

use std::fmt;

use super::identity::process_numbers;

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Listener {
    pid: i32,
    command: String,
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} ({})", self.pid, self.command)
    }
}

/// The process that listens on or is bound to `port` of 127.0.0.1, as far as the system tells: it does not for
/// processes of other users.
pub(in crate::lab) fn listener_on(port: u16) -> Option<Listener> {
    let inode = socket_inode(port)?;
    let wanted = format!("socket:[{inode}]");
    let pid = process_numbers()
        .into_iter()
        .find(|pid| has_open(*pid, &wanted))?;
    let command = fs_err::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Listener {
        pid,
        command: command.trim_end().to_owned(),
    })
}

fn socket_inode(port: u16) -> Option<String> {
    ["tcp", "tcp6", "udp", "udp6"].iter().find_map(|protocol| {
        let table = fs_err::read_to_string(format!("/proc/net/{protocol}")).ok()?;
        table.lines().skip(1).find_map(|line| inode_of(line, port))
    })
}

/// The inode in a line of `/proc/net/tcp` when it is about a socket bound to `port` without a peer.
fn inode_of(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let (_, peer_port) = fields.get(2)?.rsplit_once(':')?;
    let is_wanted = u16::from_str_radix(local_port, 16).ok()? == port && peer_port == "0000";
    is_wanted.then(|| fields.get(9).map(|&inode| inode.to_owned()))?
}

fn has_open(pid: i32, wanted: &str) -> bool {
    let Ok(descriptors) = fs_err::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .filter_map(|descriptor| fs_err::read_link(descriptor.ok()?.path()).ok())
        .any(|target| target.as_os_str() == wanted)
}
