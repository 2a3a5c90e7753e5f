//! Dynamic updates (RFC 2136, section 3): prerequisites, then the update, all or nothing. Pure.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, LowerName, RData, Record, RecordType};

use super::zone::{Zone, same_values};

/// The zone after `updates`, its serial advanced, or `None` when they change nothing.
pub(super) fn updated(
    zone: &Zone,
    prerequisites: &[Record],
    updates: &[Record],
) -> Result<Option<Zone>, ResponseCode> {
    check_prerequisites(zone, prerequisites)?;
    updates.iter().try_for_each(|record| prescan(zone, record))?;
    let mut after = zone.clone();
    for record in updates {
        apply(&mut after, record);
    }
    if after == *zone {
        return Ok(None);
    }
    if after.serial() == zone.serial() {
        after.advance_serial();
    }
    Ok(Some(after))
}

/// Section 3.2. The records of the zone's own class are gathered first: an RRset must be matched entirely, no value more
/// and no value less.
fn check_prerequisites(zone: &Zone, prerequisites: &[Record]) -> Result<(), ResponseCode> {
    let mut wanted: BTreeMap<(LowerName, RecordType), Vec<RData>> = BTreeMap::new();
    for record in prerequisites {
        let name = LowerName::new(&record.name);
        if record.ttl != 0 {
            return Err(ResponseCode::FormErr);
        }
        if !zone.holds(&name) {
            return Err(ResponseCode::NotZone);
        }
        match record.dns_class {
            DNSClass::IN => wanted
                .entry((name, record.record_type()))
                .or_default()
                .push(record.data.clone()),
            DNSClass::ANY if is_bare(record) => check_presence(zone, &name, record.record_type(), true)?,
            DNSClass::NONE if is_bare(record) => check_presence(zone, &name, record.record_type(), false)?,
            _ => return Err(ResponseCode::FormErr),
        }
    }
    let matches = |((name, record_type), values): (&(LowerName, RecordType), &Vec<RData>)| {
        zone.rrset(name, *record_type)
            .is_some_and(|rrset| same_values(&rrset.values, values))
    };
    if wanted.iter().all(matches) {
        Ok(())
    } else {
        Err(ResponseCode::NXRRSet)
    }
}

/// "Name is (not) in use" for type ANY, "RRset exists (does not exist)" for others. Wildcards do not count.
fn check_presence(
    zone: &Zone,
    name: &LowerName,
    record_type: RecordType,
    wanted: bool,
) -> Result<(), ResponseCode> {
    let whole_name = record_type == RecordType::ANY;
    let present = if whole_name {
        zone.node(name).is_some()
    } else {
        zone.rrset(name, record_type).is_some()
    };
    match (present == wanted, whole_name, wanted) {
        (true, ..) => Ok(()),
        (false, true, true) => Err(ResponseCode::NXDomain),
        (false, true, false) => Err(ResponseCode::YXDomain),
        (false, false, true) => Err(ResponseCode::NXRRSet),
        (false, false, false) => Err(ResponseCode::YXRRSet),
    }
}

/// Section 3.4.1: nothing is changed unless all of the update can be. Delegations are refused: the lab's zone has none.
fn prescan(zone: &Zone, record: &Record) -> Result<(), ResponseCode> {
    let name = LowerName::new(&record.name);
    let record_type = record.record_type();
    if !zone.holds(&name) {
        return Err(ResponseCode::NotZone);
    }
    let well_formed = match record.dns_class {
        DNSClass::IN => !is_bare(record) && is_stored(record_type),
        DNSClass::ANY => {
            record.ttl == 0 && is_bare(record) && (record_type == RecordType::ANY || is_stored(record_type))
        }
        DNSClass::NONE => record.ttl == 0 && !is_bare(record) && is_stored(record_type),
        _ => false,
    };
    if !well_formed {
        return Err(ResponseCode::FormErr);
    }
    let adds = record.dns_class == DNSClass::IN;
    if adds && record_type == RecordType::NS && name != *zone.origin() {
        return Err(ResponseCode::Refused);
    }
    Ok(())
}

/// Section 3.4.2.
fn apply(zone: &mut Zone, record: &Record) {
    let name = LowerName::new(&record.name);
    match record.dns_class {
        DNSClass::IN => add(zone, name, record),
        DNSClass::ANY => remove_rrsets(zone, &name, record.record_type()),
        _ => remove_value(zone, &name, &record.data),
    }
}

/// An alias beside other records, a second SOA and an SOA that does not advance the serial are passed over in silence.
fn add(zone: &mut Zone, name: LowerName, record: &Record) {
    let record_type = record.record_type();
    let others = |node: &super::zone::Node| {
        node.keys()
            .any(|present| (*present == RecordType::CNAME) != (record_type == RecordType::CNAME))
    };
    if zone.node(&name).is_some_and(others) {
        return;
    }
    if let RData::SOA(soa) = &record.data
        && (name != *zone.origin() || !is_later(soa.serial, zone.serial()))
    {
        return;
    }
    zone.add(name, record.ttl, record.data.clone());
}

/// At the zone's own name SOA and NS stay.
fn remove_rrsets(zone: &mut Zone, name: &LowerName, record_type: RecordType) {
    let is_apex = name == zone.origin();
    zone.retain(name, |present, _| {
        let stays = is_apex && matches!(present, RecordType::SOA | RecordType::NS);
        stays || (record_type != RecordType::ANY && record_type != present)
    });
}

/// The SOA and the last name server stay.
fn remove_value(zone: &mut Zone, name: &LowerName, value: &RData) {
    let record_type = value.record_type();
    let count = zone
        .rrset(name, record_type)
        .map_or(0, |rrset| rrset.values.len());
    let is_last_server = record_type == RecordType::NS && name == zone.origin() && count == 1;
    if record_type != RecordType::SOA && !is_last_server {
        zone.retain(name, |_, present| present != value);
    }
}

/// Whether the record has no value (RDLENGTH 0).
const fn is_bare(record: &Record) -> bool {
    matches!(record.data, RData::Update0(_))
}

/// Whether a zone can hold records of this type: no type that exists only in queries, and none unknown to the parser.
fn is_stored(record_type: RecordType) -> bool {
    let code = u16::from(record_type);
    !matches!(
        record_type,
        RecordType::Unknown(_) | RecordType::OPT | RecordType::ZERO
    ) && !(128..=255).contains(&code)
}

/// RFC 1982: whether `next` comes after `current` in serial number arithmetic.
const fn is_later(next: u32, current: u32) -> bool {
    let distance = next.wrapping_sub(current);
    distance != 0 && distance < 1 << 31
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;

    fn named(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn zone() -> Zone {
        let mut zone = Zone::empty(LowerName::new(&named("lab.test.")));
        let soa =
            RData::try_from_str(RecordType::SOA, "ns.lab.test. root.lab.test. 7 60 60 3600 60").unwrap();
        zone.add(zone.origin().clone(), 60, soa);
        let server = RData::try_from_str(RecordType::NS, "ns.lab.test.").unwrap();
        zone.add(zone.origin().clone(), 60, server);
        for value in ["127.0.0.1", "127.0.0.2"] {
            zone.add(LowerName::new(&named("*.lab.test.")), 60, address(value));
        }
        zone
    }

    fn address(text: &str) -> RData {
        RData::try_from_str(RecordType::A, text).unwrap()
    }

    fn record(name: &str, class: DNSClass, ttl: u32, data: RData) -> Record {
        let mut record = Record::from_rdata(named(name), ttl, data);
        record.dns_class = class;
        record
    }

    fn bare(name: &str, class: DNSClass, record_type: RecordType) -> Record {
        record(name, class, 0, RData::Update0(record_type))
    }

    fn require(prerequisites: &[Record]) -> ResponseCode {
        updated(&zone(), prerequisites, &[])
            .err()
            .unwrap_or(ResponseCode::NoError)
    }

    #[test]
    fn test_prerequisites_see_no_wildcard() {
        let absent = bare("random.lab.test.", DNSClass::NONE, RecordType::ANY);
        assert_eq!(require(&[absent]), ResponseCode::NoError);
        let present = bare("random.lab.test.", DNSClass::ANY, RecordType::A);
        assert_eq!(require(&[present]), ResponseCode::NXRRSet);
        let wildcard = bare("*.lab.test.", DNSClass::NONE, RecordType::ANY);
        assert_eq!(require(&[wildcard]), ResponseCode::YXDomain);
    }

    #[test]
    fn test_prerequisites_match_whole_rrsets() {
        let value = |text| record("*.lab.test.", DNSClass::IN, 0, address(text));
        assert_eq!(require(&[value("127.0.0.1")]), ResponseCode::NXRRSet);
        let both = [value("127.0.0.2"), value("127.0.0.1")];
        assert_eq!(require(&both), ResponseCode::NoError);
        let more = [value("127.0.0.2"), value("127.0.0.1"), value("127.0.0.3")];
        assert_eq!(require(&more), ResponseCode::NXRRSet);
        let timed = record("*.lab.test.", DNSClass::IN, 60, address("127.0.0.1"));
        assert_eq!(require(&[timed]), ResponseCode::FormErr);
        let outside = bare("lab.example.", DNSClass::NONE, RecordType::A);
        assert_eq!(require(&[outside]), ResponseCode::NotZone);
    }

    #[test]
    fn test_serial_advances_only_on_change() {
        let again = record("*.lab.test.", DNSClass::IN, 60, address("127.0.0.1"));
        assert!(
            updated(&zone(), &[], std::slice::from_ref(&again))
                .unwrap()
                .is_none()
        );
        let swapped = [
            bare("*.lab.test.", DNSClass::ANY, RecordType::A),
            record("*.lab.test.", DNSClass::IN, 60, address("127.0.0.2")),
            again,
        ];
        assert!(updated(&zone(), &[], &swapped).unwrap().is_none());
        let new = record("web.lab.test.", DNSClass::IN, 60, address("127.0.0.1"));
        assert_eq!(updated(&zone(), &[], &[new]).unwrap().unwrap().serial(), 8);
    }

    #[test]
    fn test_apex_keeps_its_soa_and_name_server() {
        let all = bare("lab.test.", DNSClass::ANY, RecordType::ANY);
        let server = RData::try_from_str(RecordType::NS, "ns.lab.test.").unwrap();
        let last = record("lab.test.", DNSClass::NONE, 0, server);
        assert!(updated(&zone(), &[], &[all, last]).unwrap().is_none());
    }

    #[test]
    fn test_update_is_all_or_nothing() {
        let fine = record("web.lab.test.", DNSClass::IN, 60, address("127.0.0.1"));
        let outside = record("web.example.", DNSClass::IN, 60, address("127.0.0.1"));
        let outcome = updated(&zone(), &[], &[fine, outside]);
        assert_eq!(outcome.unwrap_err(), ResponseCode::NotZone);
    }

    #[test]
    fn test_alias_never_joins_other_records() {
        let target = RData::try_from_str(RecordType::CNAME, "elsewhere.test.").unwrap();
        let alias = record("*.lab.test.", DNSClass::IN, 60, target);
        assert!(updated(&zone(), &[], &[alias]).unwrap().is_none());
    }

    #[test]
    fn test_serial_arithmetic_wraps() {
        assert!(is_later(1, u32::MAX));
        assert!(!is_later(7, 7));
        assert!(!is_later(6, 7));
    }
}
