//! What can go wrong at a name server, in plain words.

use std::fmt;
use std::time::Duration;

use super::key::KeyError;
use super::record::{RecordError, RecordKey};
use crate::surface::openstack::OpenStackError;

/// A zone can't be read, changed or verified.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The key is not usable.
    #[error("the key for the zone {zone} can't be used")]
    Key {
        /// The zone.
        zone: String,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A record set has no wire format.
    #[error("{record} can't be sent to a name server")]
    Record {
        /// The record set.
        record: String,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// The name server has no address.
    #[error("the name server {server} can't be found: check its name and port (`host:port`)")]
    Address {
        /// As it was given.
        server: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection failed.
    #[error("{action} at the name server {server} failed")]
    Connection {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No answer came.
    #[error(
        "{action}: no answer from the name server {server} within {} s: is it running, and are its UDP and TCP port open?",
        after.as_secs_f32()
    )]
    Timeout {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not one.
    #[error("{action}: the answer of the name server {server} can't be read")]
    Malformed {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: hickory_proto::ProtoError,
    },
    /// TSIG BADKEY.
    #[error(
        "the name server {server} does not know the TSIG key `{key}`: compare the key's name and algorithm with the \
         server's configuration"
    )]
    UnknownKey {
        /// Where.
        server: String,
        /// The key's name.
        key: String,
    },
    /// TSIG BADSIG.
    #[error(
        "the name server {server} rejects the secret of the TSIG key `{key}`: it holds another one under that name"
    )]
    WrongSecret {
        /// Where.
        server: String,
        /// The key's name.
        key: String,
    },
    /// TSIG BADTIME.
    #[error("the clock here and that of the name server {server} are more than {allowed} s apart{}: set it (NTP)", Skew(*skew))]
    ClockSkew {
        /// Where.
        server: String,
        /// What the server allows, seconds.
        allowed: u16,
        /// How many seconds the server is ahead, where it says so.
        skew: Option<i64>,
    },
    /// The answer to an update does not carry a valid signature, so it may come from anybody.
    #[error("{action}: the answer of the name server {server} is not signed with the TSIG key `{key}`")]
    Unauthenticated {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// The key's name.
        key: String,
    },
    /// NOTAUTH, or an answer without the authoritative bit.
    #[error("the name server {server} is not authoritative for the zone {zone}: check `zone` and `server`")]
    NotAuthoritative {
        /// Where.
        server: String,
        /// The zone.
        zone: String,
    },
    /// One of the zone's own name servers does not serve it.
    #[error(
        "the zone {zone} names {server} among its name servers (NS), and that is not authoritative for it (lame delegation): \
         whoever asks there gets no answer; have it serve the zone, or take it out of the NS records"
    )]
    Lame {
        /// Where.
        server: String,
        /// The zone.
        zone: String,
    },
    /// REFUSED.
    #[error(
        "{action}: the name server {server} refuses: the key `{key}` needs permission for it in the zone {zone} (some servers say the same of an unknown key, of \
         another secret, and of a clock that is off)"
    )]
    Refused {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// The zone.
        zone: String,
        /// The key's name.
        key: String,
    },
    /// SERVFAIL.
    #[error("{action}: the name server {server} has a fault of its own (SERVFAIL): its log says which")]
    ServerFailure {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
    },
    /// The cloud does not do what it is asked for.
    #[error(transparent)]
    OpenStack(#[from] OpenStackError),
    /// The project has no such zone.
    #[error(
        "the project of cloud {cloud} has no zone {zone}: make it there, or name another cloud or zone under `dns`"
    )]
    NoZone {
        /// Name of the cloud.
        cloud: String,
        /// The zone.
        zone: String,
    },
    /// Designate has given up.
    #[error("Designate could not bring {what} to its name servers (status ERROR): its worker's log says why")]
    NotBrought {
        /// The zone or the record set.
        what: String,
    },
    /// A prerequisite did not hold: compare-and-swap missed.
    #[error("{record} was changed by somebody else since it was looked at; nothing was written: plan again")]
    Changed {
        /// The record set.
        record: String,
    },
    /// Somebody else wrote in the same moment, where nothing keeps them from it.
    #[error(
        "{record} was changed by somebody else in the moment in which it was written: look at it, and plan again"
    )]
    Raced {
        /// The record set.
        record: String,
    },
    /// Another response code.
    #[error("{action}: the name server {server} answers {code}")]
    Unexpected {
        /// What was being done.
        action: String,
        /// Where.
        server: String,
        /// The code in its words.
        code: String,
    },
    /// Records that are in the way and not ours would have to be taken over.
    #[error(
        "{} without lotse's mark: `--adopt` takes over what is there; or remove it by hand",
        Exist(records)
    )]
    AdoptionNeeded {
        /// The record sets.
        records: Vec<String>,
    },
    /// A name server does not answer what it should.
    #[error(
        "{server} answers {} for {record} by {transport} where {} was written",
        Values(seen),
        Values(expected)
    )]
    NotSeen {
        /// The record set, or the random name under it.
        record: String,
        /// The name server.
        server: String,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// What should be there.
        expected: Vec<String>,
        /// What is there.
        seen: Vec<String>,
    },
}

impl DnsError {
    pub(super) fn record(key: &RecordKey, source: RecordError) -> Self {
        Self::Record {
            record: key.to_string(),
            source,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything. A record that is not seen yet is
    /// among these: secondaries follow their primary after a while.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::Connection { .. }
                | Self::ServerFailure { .. }
                | Self::NotSeen { .. }
                | Self::OpenStack(OpenStackError::Unreachable { .. })
        )
    }
}

struct Values<'values>(&'values [String]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => formatter.write_str("nothing"),
            values => formatter.write_str(&values.join(", ")),
        }
    }
}

struct Exist<'records>(&'records [String]);

impl fmt::Display for Exist<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.0.len() == 1 { "exists" } else { "exist" };
        write!(formatter, "{} {verb}", self.0.join(", "))
    }
}

struct Skew(Option<i64>);

impl fmt::Display for Skew {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(seconds) if seconds < 0 => write!(formatter, " (here {} s ahead)", seconds.unsigned_abs()),
            Some(seconds) => write!(formatter, " (here {seconds} s behind)"),
        }
    }
}
