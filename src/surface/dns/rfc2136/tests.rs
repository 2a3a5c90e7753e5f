//! What can go wrong without a name server that helps: silence, refusal, and signatures that say why not.

use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, TsigError, make_tsig_record};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::plan::Plan;
use crate::surface::dns::Adoption;

fn zone(server: &str) -> Rfc2136 {
    Rfc2136::new(
        server,
        DomainName::new("lab.test").unwrap(),
        TsigKey::generate("lotse"),
    )
    .unwrap()
    .with_patience(Duration::from_millis(90))
}

fn answer_with(error: TsigError, other: Vec<u8>) -> Message {
    let mut message = Message::response(1, hickory_proto::op::OpCode::Update);
    message.metadata.response_code = ResponseCode::NotAuth;
    let signature = TSIG::new(
        TsigAlgorithm::HmacSha256,
        1000,
        300,
        Vec::new(),
        1,
        Some(error),
        other,
    );
    let name = Name::from_ascii("lotse.").unwrap();
    message.set_signature(Box::new(make_tsig_record(name, signature)));
    message
}

#[test]
fn test_signature_errors_say_what_to_do() {
    let zone = zone("ns.example:5353");
    let text = |error, other| {
        let fault = update::signature_fault(&zone, &answer_with(error, other)).unwrap();
        fault.to_string()
    };
    insta::assert_snapshot!(text(TsigError::BadKey, vec![]), @"the name server ns.example:5353 does not know the TSIG key `lotse`: compare the key's name and algorithm with the server's configuration");
    insta::assert_snapshot!(text(TsigError::BadSig, vec![]), @"the name server ns.example:5353 rejects the secret of the TSIG key `lotse`: it holds another one under that name");
    insta::assert_snapshot!(text(TsigError::BadTime, vec![]), @"the clock here and that of the name server ns.example:5353 are more than 300 s apart: set it (NTP)");
    let theirs = 4600_u64.to_be_bytes()[2..].to_vec();
    insta::assert_snapshot!(text(TsigError::BadTime, theirs), @"the clock here and that of the name server ns.example:5353 are more than 300 s apart (here 3600 s behind): set it (NTP)");
}

/// A name server that takes everything by UDP and TCP on one port and never answers; it lives as long as what is given.
async fn silent() -> (String, UdpSocket, TcpListener) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Somebody else may have the same port by UDP.
        if let Ok(socket) = UdpSocket::bind(address).await {
            return (address.to_string(), socket, listener);
        }
    }
}

fn assert_silence(error: &DnsError, address: &str) {
    assert!(matches!(error, DnsError::Timeout { .. }), "{error}");
    assert!(error.is_transient());
    let told = error.to_string();
    let wanted = format!("no answer from the name server {address} within 0.09 s: is it running");
    assert!(told.contains(&wanted), "{told}");
}

#[tokio::test]
async fn test_silence_is_a_timeout_whatever_is_asked() {
    let (address, _socket, _listener) = silent().await;
    let zone = zone(&address);
    let set = RecordSet {
        name: "web.lab.test.".into(),
        record_type: crate::desired::dns::RecordType::A,
        ttl: 300,
        records: vec!["127.0.0.20".into()],
    };
    let key = RecordKey::of(&set);
    let change = |key: RecordKey, after| super::super::plan::SetChange {
        key,
        before: None,
        after,
    };
    let mut plan = Plan::empty();
    let operation = DnsOperation {
        mark: change(mark_key(&key), None),
        record: change(key.clone(), Some(set.clone())),
    };
    plan.push(crate::plan::Action::Create, "web", Vec::new(), operation);
    assert_silence(&zone.serial().await.unwrap_err(), &address);
    assert_silence(&zone.check_writable().await.unwrap_err(), &address);
    assert_silence(&zone.observe(&[key]).await.unwrap_err(), &address);
    assert_silence(&zone.apply(&plan, Adoption::Refused).await.unwrap_err(), &address);
    let verifying = zone.clone().with_name_servers(vec![address.clone()]);
    assert_silence(&verifying.verify(&[set]).await.unwrap_err(), &address);
}

/// Whoever begins an answer and does not end it is as silent as one that never began.
#[tokio::test]
async fn test_half_an_answer_is_a_timeout_and_a_cut_one_is_told() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    for is_cut in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
            stream.write_all(&[0, 100, 1, 2, 3]).await.unwrap();
            if !is_cut {
                std::future::pending::<()>().await;
            }
        });
        let error = zone(&address).check_writable().await.unwrap_err();
        if is_cut {
            assert!(matches!(error, DnsError::Connection { .. }), "{error}");
            assert!(error.to_string().contains(&address), "{error}");
        } else {
            assert_silence(&error, &address);
        }
    }
}

/// A server that answers every question with nothing, as `change` makes it.
async fn answering(change: fn(&mut Message)) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let answer = move |question: &[u8]| {
        let question = Message::from_vec(question).unwrap();
        let mut answer = Message::response(question.id, question.metadata.op_code);
        answer.metadata.authoritative = true;
        change(&mut answer);
        answer.to_vec().unwrap()
    };
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&answer(&buffer[..length]), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            let answer = answer(&question);
            stream
                .write_u16(u16::try_from(answer.len()).unwrap())
                .await
                .unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address.to_string()
}

/// Each fault of a server has an error of its own, which names the server and what was asked.
#[tokio::test]
async fn test_faults_of_servers_are_told_apart() {
    type Change = fn(&mut Message);
    let faults: [(Change, &str); 5] = [
        (
            |answer| answer.metadata.response_code = ResponseCode::ServFail,
            "has a fault of its own (SERVFAIL)",
        ),
        (
            |answer| answer.metadata.response_code = ResponseCode::Refused,
            "is not authoritative for the zone lab.test",
        ),
        (
            |answer| answer.metadata.authoritative = false,
            "is not authoritative for the zone lab.test",
        ),
        (
            |answer| answer.metadata.response_code = ResponseCode::FormErr,
            "reading lab.test. SOA: the name server",
        ),
        (|answer| answer.metadata.truncation = true, "can't be read"),
    ];
    for (change, wanted) in faults {
        let address = answering(change).await;
        let zone = zone(&address).with_patience(Duration::from_secs(5));
        let error = zone.serial().await.unwrap_err();
        let told = crate::causes::in_one_line(&error);
        assert!(told.contains(wanted) && told.contains(&address), "{told}");
        assert_eq!(
            error.is_transient(),
            matches!(error, DnsError::ServerFailure { .. }),
            "{told}"
        );
    }
}

/// One of the zone's own name servers that does not serve it is something else than a server that was declared wrongly.
#[tokio::test]
async fn test_lame_delegations_are_told() {
    let address = answering(|answer| answer.metadata.authoritative = false).await;
    let zone = zone(&address).with_patience(Duration::from_secs(5));
    let of_zone = Servers::OfZone(vec![address.clone()]);
    let error = zone.authority.verify(of_zone, &[]).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("(lame delegation)") && told.contains(&address),
        "{told}"
    );
    let declared = zone.with_name_servers(vec![address]);
    let error = declared.verify(&[]).await.unwrap_err();
    assert!(matches!(error, DnsError::NotAuthoritative { .. }), "{error}");
}

#[tokio::test]
async fn test_closed_port_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = zone(&address).check_writable().await.unwrap_err();
    assert!(matches!(error, DnsError::Connection { .. }), "{error}");
}

#[test]
fn test_wildcards_over_a_name_stay_in_the_zone() {
    let name = |text| Name::from_ascii(text).unwrap();
    let zone = zone("127.0.0.1");
    let over = |text| {
        let names = zone.wildcards_over(&name(text));
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(over("web.prod.lab.test."), ["*.prod.lab.test.", "*.lab.test."]);
    assert_eq!(over("*.prod.lab.test."), ["*.lab.test."]);
    assert!(over("*.lab.test.").is_empty());
    assert!(over("lab.test.").is_empty());
}

#[test]
fn test_debug_and_errors_never_show_the_key() {
    let key = TsigKey {
        secret: crate::secret::Secret::new("%%% not base64"),
        ..TsigKey::generate("lotse")
    };
    let made = Rfc2136::new("127.0.0.1", DomainName::new("lab.test").unwrap(), key);
    let error = made.err().unwrap();
    assert!(!format!("{error:?}").contains("%%%"));
}
