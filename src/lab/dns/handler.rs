//! Requests to the name server: who signed them, what they ask, what is answered.

use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{DNSClass, LowerName, Record, RecordType, TSigResponseContext, TSigner};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponseBuilder, UpdateRequest as _};
use tokio::sync::Mutex;

use super::file::ZoneFile;
use super::update;
use super::zone::{Answer, Zone};

/// What is offered by UDP: no fragments on any common network (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// The zone, its file and the key that may change it. One update is worked on at a time.
pub(super) struct Authority {
    zone: Mutex<Zone>,
    file: ZoneFile,
    signer: TSigner,
}

/// How the answer to an update is signed, and whether the update may go on.
struct Authentication {
    outcome: Result<(), ResponseCode>,
    response: Option<TSigResponseContext>,
}

impl Authority {
    pub(super) fn new(zone: Zone, file: ZoneFile, signer: TSigner) -> Self {
        Self {
            zone: Mutex::new(zone),
            file,
            signer,
        }
    }

    async fn query(&self, request: &Request) -> Answer {
        let refused = |code| Answer {
            code,
            answers: Vec::new(),
            authority: Vec::new(),
        };
        let [query] = request.queries.queries() else {
            return refused(ResponseCode::FormErr);
        };
        let is_transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
        if is_transfer || query.query_class() != DNSClass::IN {
            return refused(ResponseCode::Refused);
        }
        self.zone.lock().await.answer(query.name(), query.query_type())
    }

    /// Section 3 of RFC 2136, the signature first: who may not write learns nothing about the zone.
    async fn update(&self, request: &Request, now: u64) -> (ResponseCode, Option<TSigResponseContext>) {
        let Authentication { outcome, response } = self.authenticate(request, now);
        let code = match outcome {
            Ok(()) => self.change(request).await.err().unwrap_or(ResponseCode::NoError),
            Err(code) => code,
        };
        (code, response)
    }

    async fn change(&self, request: &Request) -> Result<(), ResponseCode> {
        let [section] = request.queries.queries() else {
            return Err(ResponseCode::FormErr);
        };
        if section.query_type() != RecordType::SOA {
            return Err(ResponseCode::FormErr);
        }
        let mut zone = self.zone.lock().await;
        if section.name() != zone.origin() || section.query_class() != DNSClass::IN {
            return Err(ResponseCode::NotAuth);
        }
        let Some(after) = update::updated(&zone, request.prerequisites(), request.updates())? else {
            return Ok(());
        };
        if let Err(error) = self.file.store(&after) {
            tracing::error!(error = &error as &dyn std::error::Error, "update not kept");
            return Err(ResponseCode::ServFail);
        }
        *zone = after;
        Ok(())
    }

    /// RFC 8945, section 5.2.
    fn authenticate(&self, request: &Request, now: u64) -> Authentication {
        let Some(signature) = request.signature() else {
            return Authentication {
                outcome: Err(ResponseCode::Refused),
                response: None,
            };
        };
        let id = request.id();
        let denied = |response| Authentication {
            outcome: Err(ResponseCode::NotAuth),
            response: Some(response),
        };
        if LowerName::new(&signature.name) != LowerName::new(self.signer.signer_name())
            || signature.data.algorithm != *self.signer.algorithm()
        {
            return denied(TSigResponseContext::unknown_key(id, now, signature.name.clone()));
        }
        let verified = self.signer.verify_message_byte(request.as_slice(), None, true);
        let Ok((mac, _, validity)) = verified else {
            return denied(TSigResponseContext::bad_signature(id, now, self.signer.clone()));
        };
        let error = (!validity.contains(&now)).then_some(TsigError::BadTime);
        Authentication {
            outcome: error.map_or(Ok(()), |_| Err(ResponseCode::NotAuth)),
            response: Some(TSigResponseContext::new(id, now, self.signer.clone(), mac, error)),
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Authority {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        responder: R,
    ) -> ResponseInfo {
        let mut answer = Answer {
            code: ResponseCode::NotImp,
            answers: Vec::new(),
            authority: Vec::new(),
        };
        let mut signing = None;
        match request.metadata.op_code {
            OpCode::Query => answer = self.query(request).await,
            OpCode::Update => (answer.code, signing) = self.update(request, T::current_time()).await,
            _ => {}
        }
        respond(request, &answer, signing, responder).await
    }
}

/// Sends the answer. An answer that can't be sent is the client's time-out; it is logged here.
async fn respond<R: ResponseHandler>(
    request: &Request,
    answer: &Answer,
    signing: Option<TSigResponseContext>,
    mut responder: R,
) -> ResponseInfo {
    let metadata = metadata_of(request, answer.code);
    let edns = request.edns.as_ref().map(edns_for);
    let none: [Record; 0] = [];
    let build = || {
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        builder.build(metadata, &answer.answers, &answer.authority, &none, &none)
    };
    let mut response = build();
    if let Some(signing) = signing {
        let mut octets = Vec::with_capacity(512);
        let signature = build()
            .destructive_emit(&mut BinEncoder::new(&mut octets))
            .and_then(|_| signing.sign(&octets));
        match signature {
            Ok(signature) => response.set_signature(signature),
            Err(error) => tracing::error!(%error, "answer not signed"),
        }
    }
    let sent = responder.send_response(response).await;
    sent.unwrap_or_else(|error| {
        tracing::warn!(%error, "answer not sent");
        ResponseInfo::from(hickory_proto::op::Header {
            metadata,
            counts: hickory_proto::op::HeaderCounts::default(),
        })
    })
}

fn metadata_of(request: &Request, code: ResponseCode) -> Metadata {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    let has_authority = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
    metadata.authoritative = request.metadata.op_code == OpCode::Query && has_authority;
    metadata.recursion_available = false;
    metadata.response_code = code;
    metadata
}

/// The EDNS of the answer; its payload bounds what is sent by UDP, so it never exceeds what the client takes.
fn edns_for(request: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(request.max_payload().clamp(512, UDP_PAYLOAD));
    edns
}
