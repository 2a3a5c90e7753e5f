//! The lab's name server against Knot DNS: the same updates and questions, the same answers.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::backend::{Backend, Kind, address_update, empty_update, record_update};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn bare(text: &str, class: DNSClass, record_type: RecordType) -> Record {
    let mut record = Record::update0(name(text), 0, record_type);
    record.dns_class = class;
    record
}

fn address(text: &str, class: DNSClass, ttl: u32, value: &str) -> Record {
    let value = RData::try_from_str(RecordType::A, value).unwrap();
    let mut record = Record::from_rdata(name(text), ttl, value);
    record.dns_class = class;
    record
}

fn requires(record: Record) -> Message {
    let mut message = empty_update();
    message.add_answer(record);
    message
}

fn writes(record: Record) -> Message {
    let mut message = empty_update();
    message.add_authority(record);
    message
}

/// Updates in their order, each told by what it tries.
fn updates() -> Vec<(&'static str, Message)> {
    const WILD: &str = "*.lab.test.";
    const RANDOM: &str = "random.lab.test.";
    vec![
        ("wildcard", address_update(WILD, "127.0.0.20")),
        ("second value", address_update(WILD, "127.0.0.21")),
        ("text", record_update("text.lab.test.", RecordType::TXT, "hello")),
        ("deep", address_update("deep.below.lab.test.", "127.0.0.22")),
        (
            "alias",
            record_update("alias.lab.test.", RecordType::CNAME, "text.lab.test."),
        ),
        (
            "no wildcard in use",
            requires(bare(RANDOM, DNSClass::NONE, RecordType::ANY)),
        ),
        (
            "no wildcard is in use",
            requires(bare(RANDOM, DNSClass::ANY, RecordType::ANY)),
        ),
        (
            "no wildcard set",
            requires(bare(RANDOM, DNSClass::ANY, RecordType::A)),
        ),
        (
            "name is in use",
            requires(bare(WILD, DNSClass::ANY, RecordType::ANY)),
        ),
        (
            "name is not in use",
            requires(bare(WILD, DNSClass::NONE, RecordType::ANY)),
        ),
        ("set exists", requires(bare(WILD, DNSClass::ANY, RecordType::A))),
        (
            "set exists not",
            requires(bare(WILD, DNSClass::NONE, RecordType::A)),
        ),
        (
            "part of a set",
            requires(address(WILD, DNSClass::IN, 0, "127.0.0.20")),
        ),
        (
            "outside",
            requires(bare("web.example.", DNSClass::NONE, RecordType::A)),
        ),
        ("outside written", address_update("web.example.", "127.0.0.20")),
        (
            "alias joins",
            record_update(WILD, RecordType::CNAME, "text.lab.test."),
        ),
        ("joins an alias", address_update("alias.lab.test.", "127.0.0.20")),
        (
            "apex emptied",
            writes(bare("lab.test.", DNSClass::ANY, RecordType::ANY)),
        ),
        (
            "one value less",
            writes(address(WILD, DNSClass::NONE, 0, "127.0.0.21")),
        ),
        (
            "value not there",
            writes(address(WILD, DNSClass::NONE, 0, "127.0.0.99")),
        ),
        ("same again", address_update(WILD, "127.0.0.20")),
        (
            "gone",
            writes(bare("text.lab.test.", DNSClass::ANY, RecordType::TXT)),
        ),
        (
            "text again",
            record_update("text.lab.test.", RecordType::TXT, "hello"),
        ),
    ]
}

/// What a client sees of an answer: code, authority, answers in any order, whether a negative answer has its SOA.
type Sight = (ResponseCode, bool, Vec<String>, bool);

async fn ask(backend: &Backend, asked: &str, record_type: RecordType) -> Sight {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name(asked), record_type));
    let answer = backend.exchange(&message).await;
    let text = |record: &Record| format!("{} {} {}", record.name.to_lowercase(), record.ttl, record.data);
    let mut answers: Vec<_> = answer.answers.iter().map(text).collect();
    answers.sort_unstable();
    let has_soa = answer
        .authorities
        .iter()
        .any(|record| record.record_type() == RecordType::SOA);
    (answer.response_code, answer.authoritative, answers, has_soa)
}

#[tokio::test]
async fn test_updates_and_answers_agree_with_knot() {
    let (own, knot) = (Backend::start(Kind::Own).await, Backend::start(Kind::Knot).await);
    for (what, message) in updates() {
        let codes = (
            own.send(message.clone(), Some(0)).await.0,
            knot.send(message, Some(0)).await.0,
        );
        assert_eq!(codes.0, codes.1, "{what}");
        let serials = (own.zone().serial().await, knot.zone().serial().await);
        assert_eq!(serials.0.unwrap(), serials.1.unwrap(), "{what}");
    }
    for asked in [
        "lab.test.",
        "*.lab.test.",
        "random.lab.test.",
        "a.b.lab.test.",
        "text.lab.test.",
        "x.text.lab.test.",
        "below.lab.test.",
        "x.below.lab.test.",
        "deep.below.lab.test.",
        "alias.lab.test.",
        "RaNdOm.lab.test.",
        "elsewhere.example.",
    ] {
        for record_type in [
            RecordType::A,
            RecordType::TXT,
            RecordType::CNAME,
            RecordType::SOA,
            RecordType::NS,
        ] {
            let sights = (
                ask(&own, asked, record_type).await,
                ask(&knot, asked, record_type).await,
            );
            assert_eq!(sights.0, sights.1, "{asked} {record_type}");
        }
    }
}
