//! The zone: its RRsets and what it answers (RFC 1034 section 4.3.2, RFC 4592 for wildcards). Pure; knows neither
//! sockets nor files.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};

/// Longest chain of CNAMEs that is followed, so that a loop ends.
const ALIAS_LIMIT: usize = 8;

/// One RRset: what all records of one name and type share, and their values.
#[derive(Clone, Debug)]
pub(super) struct Rrset {
    /// Time to live, seconds.
    pub(super) ttl: u32,
    /// The values, in the order of their arrival.
    pub(super) values: Vec<RData>,
}

impl PartialEq for Rrset {
    fn eq(&self, other: &Self) -> bool {
        self.ttl == other.ttl && same_values(&self.values, &other.values)
    }
}

/// Whether two lists hold the same values in any order. Neither holds a value twice.
pub(super) fn same_values(left: &[RData], right: &[RData]) -> bool {
    left.len() == right.len() && left.iter().all(|value| right.contains(value))
}

/// The RRsets of one name.
pub(super) type Node = BTreeMap<RecordType, Rrset>;

/// What to say to a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    /// The SOA record where there is nothing of the kind (RFC 2308).
    pub(super) authority: Vec<Record>,
}

impl Answer {
    const fn empty(code: ResponseCode) -> Self {
        Self {
            code,
            answers: Vec::new(),
            authority: Vec::new(),
        }
    }
}

/// A zone without delegations and signatures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone {
    origin: LowerName,
    nodes: BTreeMap<LowerName, Node>,
}

impl Zone {
    /// A zone without any record.
    pub(super) const fn empty(origin: LowerName) -> Self {
        Self {
            origin,
            nodes: BTreeMap::new(),
        }
    }

    pub(super) const fn origin(&self) -> &LowerName {
        &self.origin
    }

    /// Whether `name` is the zone's own name or below it.
    pub(super) fn holds(&self, name: &LowerName) -> bool {
        self.origin.zone_of(name)
    }

    pub(super) fn node(&self, name: &LowerName) -> Option<&Node> {
        self.nodes.get(name)
    }

    pub(super) fn rrset(&self, name: &LowerName, record_type: RecordType) -> Option<&Rrset> {
        self.nodes.get(name)?.get(&record_type)
    }

    /// The serial of the SOA record; 0 while there is none.
    pub(super) fn serial(&self) -> u32 {
        self.soa().map_or(0, |soa| soa.serial)
    }

    /// Counts the serial up (RFC 1982: it wraps, and 0 is left out since some servers treat it as unset).
    pub(super) fn advance_serial(&mut self) {
        let next = self.serial().checked_add(1).unwrap_or(1);
        let apex = self.nodes.get_mut(&self.origin);
        let values = apex.and_then(|node| node.get_mut(&RecordType::SOA));
        if let Some(RData::SOA(soa)) = values.and_then(|rrset| rrset.values.first_mut()) {
            soa.serial = next;
        }
    }

    /// Adds one value; the TTL of the newest record holds for the whole RRset (RFC 2181, section 5.2).
    /// A name has at most one CNAME and the zone one SOA, so those replace.
    pub(super) fn add(&mut self, name: LowerName, ttl: u32, value: RData) {
        let record_type = value.record_type();
        let rrset = self
            .nodes
            .entry(name)
            .or_default()
            .entry(record_type)
            .or_insert_with(|| Rrset {
                ttl,
                values: Vec::new(),
            });
        rrset.ttl = ttl;
        if matches!(record_type, RecordType::CNAME | RecordType::SOA) {
            rrset.values.clear();
        }
        if !rrset.values.contains(&value) {
            rrset.values.push(value);
        }
    }

    /// Keeps of `name` what `keep` says, and forgets what is left empty.
    pub(super) fn retain(&mut self, name: &LowerName, mut keep: impl FnMut(RecordType, &RData) -> bool) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        for (record_type, rrset) in node.iter_mut() {
            rrset.values.retain(|value| keep(*record_type, value));
        }
        node.retain(|_, rrset| !rrset.values.is_empty());
        if node.is_empty() {
            self.nodes.remove(name);
        }
    }

    /// Every record, the SOA among them.
    pub(super) fn records(&self) -> Vec<Record> {
        self.nodes
            .iter()
            .flat_map(|(name, node)| node.values().flat_map(move |rrset| records_of(name, rrset)))
            .collect()
    }

    /// Answers a query.
    pub(super) fn answer(&self, name: &LowerName, record_type: RecordType) -> Answer {
        if !self.holds(name) {
            return Answer::empty(ResponseCode::Refused);
        }
        let mut answer = Answer::empty(ResponseCode::NoError);
        let mut asked = name.clone();
        for _ in 0..ALIAS_LIMIT {
            match self.step(&asked, record_type, &mut answer) {
                Some(target) if self.holds(&target) => asked = target,
                _ => break,
            }
        }
        answer
    }

    /// Answers for one name; gives the target when that name is an alias.
    fn step(&self, asked: &LowerName, record_type: RecordType, answer: &mut Answer) -> Option<LowerName> {
        let Some(node) = self.node_for(asked) else {
            answer.code = ResponseCode::NXDomain;
            answer.authority = self.negative();
            return None;
        };
        let before = answer.answers.len();
        let wanted = node
            .iter()
            .filter(|(present, _)| answers_for(**present, record_type));
        answer
            .answers
            .extend(wanted.flat_map(|(_, rrset)| records_of(asked, rrset)));
        if answer.answers.len() == before {
            answer.authority = self.negative();
        }
        match (record_type, node.get(&RecordType::CNAME)?.values.first()) {
            (RecordType::CNAME | RecordType::ANY, _) => None,
            (_, Some(RData::CNAME(target))) => Some(LowerName::new(&target.0)),
            _ => None,
        }
    }

    /// The node that answers for `name`: its own, none of its own but an empty one because something exists below, or
    /// the wildcard of its closest encloser. `None` means that the name does not exist.
    fn node_for(&self, name: &LowerName) -> Option<Node> {
        if self.exists(name) {
            return Some(self.node(name).cloned().unwrap_or_default());
        }
        let mut encloser = name.base_name();
        while !self.exists(&encloser) && encloser != self.origin {
            encloser = encloser.base_name();
        }
        let wildcard = Name::from(&encloser).prepend_label("*").ok()?;
        self.node(&LowerName::new(&wildcard)).cloned()
    }

    /// Whether the name has records or names below it have (RFC 4592, section 2.2.2).
    fn exists(&self, name: &LowerName) -> bool {
        self.nodes.contains_key(name) || self.nodes.keys().any(|present| name.zone_of(present))
    }

    /// The SOA record as negative answers carry it (RFC 2308, section 3).
    fn negative(&self) -> Vec<Record> {
        let Some(soa) = self.soa() else {
            return Vec::new();
        };
        let ttl = self
            .rrset(&self.origin, RecordType::SOA)
            .map_or(soa.minimum, |rrset| rrset.ttl.min(soa.minimum));
        vec![Record::from_rdata(
            Name::from(&self.origin),
            ttl,
            RData::SOA(soa.clone()),
        )]
    }

    fn soa(&self) -> Option<&hickory_proto::rr::rdata::SOA> {
        match self.rrset(&self.origin, RecordType::SOA)?.values.first()? {
            RData::SOA(soa) => Some(soa),
            _ => None,
        }
    }
}

/// Whether an RRset of type `present` belongs in the answer to a query for `asked`.
fn answers_for(present: RecordType, asked: RecordType) -> bool {
    present == asked || asked == RecordType::ANY || present == RecordType::CNAME
}

fn records_of(name: &LowerName, rrset: &Rrset) -> Vec<Record> {
    rrset
        .values
        .iter()
        .map(|value| Record::from_rdata(Name::from(name), rrset.ttl, value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> LowerName {
        LowerName::new(&Name::from_ascii(text).unwrap())
    }

    fn zone(records: &[(&str, RecordType, &str)]) -> Zone {
        let mut zone = Zone::empty(name("lab.test."));
        for (owner, record_type, value) in records {
            zone.add(name(owner), 60, RData::try_from_str(*record_type, value).unwrap());
        }
        zone
    }

    fn summary(answer: &Answer) -> (ResponseCode, Vec<String>) {
        let values = answer
            .answers
            .iter()
            .map(|record| format!("{} {}", record.name, record.data));
        (answer.code, values.collect())
    }

    #[test]
    fn test_wildcard_covers_only_what_does_not_exist() {
        let zone = zone(&[
            (
                "lab.test.",
                RecordType::SOA,
                "ns.lab.test. root.lab.test. 1 60 60 3600 60",
            ),
            ("*.lab.test.", RecordType::A, "127.0.0.20"),
            ("text.lab.test.", RecordType::TXT, "hello"),
            ("deep.below.lab.test.", RecordType::A, "127.0.0.21"),
        ]);
        let ask = |asked: &str, record_type| summary(&zone.answer(&name(asked), record_type));
        assert_eq!(
            ask("Random.lab.test.", RecordType::A),
            (
                ResponseCode::NoError,
                vec!["random.lab.test. 127.0.0.20".to_owned()]
            )
        );
        assert_eq!(
            ask("a.b.lab.test.", RecordType::A).1,
            ["a.b.lab.test. 127.0.0.20"]
        );
        assert_eq!(
            ask("random.lab.test.", RecordType::TXT),
            (ResponseCode::NoError, vec![])
        );
        assert_eq!(
            ask("text.lab.test.", RecordType::A),
            (ResponseCode::NoError, vec![])
        );
        assert_eq!(
            ask("below.lab.test.", RecordType::A),
            (ResponseCode::NoError, vec![])
        );
        assert_eq!(
            ask("x.below.lab.test.", RecordType::A),
            (ResponseCode::NXDomain, vec![])
        );
        assert_eq!(
            ask("x.text.lab.test.", RecordType::A),
            (ResponseCode::NXDomain, vec![])
        );
        assert_eq!(ask("other.test.", RecordType::A), (ResponseCode::Refused, vec![]));
    }

    #[test]
    fn test_aliases_are_followed_and_loops_end() {
        let zone = zone(&[
            ("www.lab.test.", RecordType::CNAME, "web.lab.test."),
            ("web.lab.test.", RecordType::A, "127.0.0.20"),
            ("round.lab.test.", RecordType::CNAME, "round.lab.test."),
        ]);
        let answer = zone.answer(&name("www.lab.test."), RecordType::A);
        assert_eq!(
            summary(&answer).1,
            ["www.lab.test. web.lab.test.", "web.lab.test. 127.0.0.20"]
        );
        assert_eq!(
            zone.answer(&name("round.lab.test."), RecordType::A).answers.len(),
            ALIAS_LIMIT
        );
    }
}
