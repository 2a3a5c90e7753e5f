//! The whole zone, as a secondary server gets it (AXFR, RFC 5936).

use std::collections::BTreeMap;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{self, Record};

use super::super::error::DnsError;
use super::super::listing::{Held, with_owners};
use super::super::record::text_of;
use super::Rfc2136;

/// As many records as are taken: more are not looked through.
const MOST_RECORDS: usize = 200_000;

impl Rfc2136 {
    /// Everything that the zone holds; `None` where the server does not give it away for this key.
    pub(super) async fn transfer(&self) -> Result<Option<Vec<Held>>, DnsError> {
        let origin = &self.authority.origin;
        let action = format!("listing the zone {}", self.authority.zone);
        let mut question = Message::query();
        question.metadata.recursion_desired = false;
        question.add_query(Query::query(origin.clone(), rr::RecordType::AXFR));
        let mut verifier = question
            .finalize(&self.signer, (self.clock)())
            .map_err(|source| self.server.malformed(&action, source))?;
        let octets = question
            .to_vec()
            .map_err(|source| self.server.malformed(&action, source))?;
        let mut records: Vec<Record> = Vec::new();
        let mut was_refused = false;
        let take = |octets: &[u8]| {
            let answer = self.server.parse(&action, octets)?;
            self.server.check_id(&action, question.id, &answer)?;
            let is_signed = verifier
                .as_mut()
                .is_some_and(|verifier| verifier.verify(octets).is_ok());
            if answer.response_code != ResponseCode::NoError || !is_signed {
                was_refused = true;
                return Ok(true);
            }
            records.extend(answer.answers);
            let ends = records
                .iter()
                .filter(|record| record.record_type() == rr::RecordType::SOA);
            was_refused = records.is_empty() || records.len() > MOST_RECORDS;
            Ok(was_refused || ends.count() > 1)
        };
        self.server.many_by_tcp(&action, &octets, take).await?;
        Ok((!was_refused).then(|| with_owners(gathered(&records))))
    }
}

/// Records gathered to sets; the first SOA record stands for both.
fn gathered(records: &[Record]) -> Vec<Held> {
    let mut sets: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for record in records {
        let name = record.name.to_lowercase().to_string();
        let values = sets.entry((name, record.record_type().to_string())).or_default();
        values.extend(text_of(&record.data));
    }
    let held = sets.into_iter().map(|((name, kind), values)| Held {
        name,
        kind,
        values,
        owner: None,
    });
    held.collect()
}
