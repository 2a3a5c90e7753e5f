//! Updates as messages (RFC 2136, section 2) and what the answers to them mean. Pure but for the clock of the signature.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TSIG, TsigError};
use hickory_proto::rr::{self, DNSClass, Name, Record};

use super::super::error::DnsError;
use super::super::key::FUDGE_SECONDS;
use super::super::plan::{DnsOperation, SetChange};
use super::super::record::{wire_name, wire_type, wire_values};
use super::Rfc2136;

/// The update of `zone` that carries out one operation.
pub(super) fn message_for(zone: &Name, operation: &DnsOperation) -> Result<Message, DnsError> {
    let mut message = empty(zone);
    for change in [&operation.record, &operation.mark] {
        require(&mut message, change)?;
        write(&mut message, change)?;
    }
    Ok(message)
}

/// An update that changes nothing and fails unless the zone itself holds an RRset of this name and type.
pub(super) fn probe(zone: &Name, name: &Name, record_type: rr::RecordType) -> Message {
    let mut message = empty(zone);
    message.add_answer(bare(name, DNSClass::ANY, record_type));
    message
}

fn empty(zone: &Name) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), rr::RecordType::SOA));
    message
}

/// The prerequisite: the zone is as it was observed. A new record also requires that its name is no alias, because
/// servers pass over records beside an alias without an error.
fn require(message: &mut Message, change: &SetChange) -> Result<(), DnsError> {
    let name = wire_name(&change.key.name).map_err(|source| DnsError::record(&change.key, source))?;
    let Some(before) = &change.before else {
        message.add_answer(bare(&name, DNSClass::NONE, wire_type(change.key.record_type)));
        if change.after.is_some() {
            message.add_answer(bare(&name, DNSClass::NONE, rr::RecordType::CNAME));
        }
        return Ok(());
    };
    let values = wire_values(before).map_err(|source| DnsError::record(&change.key, source))?;
    message.add_answers(
        values
            .into_iter()
            .map(|value| Record::from_rdata(name.clone(), 0, value)),
    );
    Ok(())
}

fn write(message: &mut Message, change: &SetChange) -> Result<(), DnsError> {
    if change.before == change.after {
        return Ok(());
    }
    let failed = |source| DnsError::record(&change.key, source);
    let name = wire_name(&change.key.name).map_err(failed)?;
    if change.before.is_some() {
        message.add_authority(bare(&name, DNSClass::ANY, wire_type(change.key.record_type)));
    }
    if let Some(after) = &change.after {
        let values = wire_values(after).map_err(failed)?;
        message.add_authorities(
            values
                .into_iter()
                .map(|value| Record::from_rdata(name.clone(), after.ttl, value)),
        );
    }
    Ok(())
}

fn bare(name: &Name, class: DNSClass, record_type: rr::RecordType) -> Record {
    let mut record = Record::update0(name.clone(), 0, record_type);
    record.dns_class = class;
    record
}

/// What an answer says about the signature of the question (RFC 8945, section 5.3.2).
pub(super) fn signature_fault(zone: &Rfc2136, answer: &Message) -> Option<DnsError> {
    let signature = &answer.signature()?.data;
    let server = zone.server.name.clone();
    let key = zone.key.name.clone();
    Some(match signature.error? {
        TsigError::BadKey => DnsError::UnknownKey { server, key },
        TsigError::BadSig | TsigError::BadTrunc => DnsError::WrongSecret { server, key },
        TsigError::BadTime => DnsError::ClockSkew {
            server,
            allowed: FUDGE_SECONDS,
            skew: skew(signature),
        },
        TsigError::Unknown(0) => return None,
        TsigError::Unknown(code) => DnsError::Unexpected {
            action: "signing".to_owned(),
            server,
            code: format!("TSIG error {code}"),
        },
    })
}

/// How far the server's clock is ahead of the signature's, where it says so: six octets of "other data".
fn skew(signature: &TSIG) -> Option<i64> {
    let octets: [u8; 6] = signature.other.as_slice().try_into().ok()?;
    let theirs = octets
        .iter()
        .fold(0_u64, |seconds, octet| (seconds << 8) | u64::from(*octet));
    i64::try_from(theirs)
        .ok()?
        .checked_sub(i64::try_from(signature.time).ok()?)
}

/// Whether a code says that a prerequisite did not hold.
pub(super) const fn is_missed(code: ResponseCode) -> bool {
    matches!(
        code,
        ResponseCode::YXRRSet | ResponseCode::NXRRSet | ResponseCode::YXDomain | ResponseCode::NXDomain
    )
}
