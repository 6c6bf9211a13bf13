//! Records as the wire has them.

use bergulir_chain::{Hash, Record};
use bergulir_domain::Timestamp;
use prost::Message as _;
use prost::encoding::encoded_len_varint;
use uuid::Uuid;

use crate::enums::WireEnum;
use crate::in_order::{BYTES, put_bytes, put_number, put_varint, tag};
use crate::moment::timestamp_to_wire;
use crate::pb;
use crate::wire::Encoded;

/// A record with the fields that are read from its bytes for callers that do not parse the format,
/// or, `verbatim_only`, without them. An event that cannot be decoded is left out: the bytes are
/// what counts.
pub fn record_to_wire(
    bytes: &[u8],
    record: &Record<'_>,
    hash: Hash,
    verbatim_only: bool,
) -> pb::Record {
    let verbatim = pb::Record {
        position: record.position.get(),
        record_hash: hash.as_bytes().to_vec(),
        record: bytes.to_vec(),
        ..pb::Record::default()
    };
    if verbatim_only {
        return verbatim;
    }
    pb::Record {
        previous_hash: record.previous.as_bytes().to_vec(),
        recorded_at: Some(recorded_at_to_wire(record.recorded_at)),
        principal: record.principal.to_owned(),
        authentication: record.authentication.to_wire(),
        request_id: request_id_to_wire(record.request_id),
        following: record.following,
        event: pb::Event::decode(record.event).ok(),
        ..verbatim
    }
}

/// A `ReadRecordsResponse`, made of bytes.
pub type RecordsAnswer = Encoded<pb::ReadRecordsResponse>;

/// Records, each with its bytes and its hash, as one message of the answer to `ReadRecords`.
pub fn records_to_wire<'a>(
    records: impl Iterator<Item = (&'a [u8], Record<'a>, Hash)>,
    verbatim_only: bool,
    log_size: u64,
) -> RecordsAnswer {
    let mut out = Vec::new();
    for (bytes, record, hash) in records {
        if verbatim_only {
            put_verbatim(bytes, &record, hash, &mut out);
        } else {
            let typed = record_to_wire(bytes, &record, hash, verbatim_only);
            prost::encoding::message::encode(RECORDS.into(), &typed, &mut out);
        }
    }
    put_number(LOG_SIZE, log_size, &mut out);
    out.into()
}

/// `ReadRecordsResponse.records` and `.log_size`; `Record.position`, `.record_hash` and `.record`.
const RECORDS: u8 = 1;
const LOG_SIZE: u8 = 2;
const POSITION: u8 = 1;
const RECORD_HASH: u8 = 2;
const RECORD: u8 = 3;

/// Appends a record without the fields that are read from its bytes.
fn put_verbatim(bytes: &[u8], record: &Record<'_>, hash: Hash, out: &mut Vec<u8>) {
    let position = record.position.get();
    // Position 0 is left out, as protobuf has it.
    let position_length = if position == 0 { 0 } else { 1 + encoded_len_varint(position) };
    let bytes_length = 1 + encoded_len_varint(bytes.len() as u64) + bytes.len();
    out.push(tag(RECORDS, BYTES));
    put_varint((position_length + 2 + hash.as_bytes().len() + bytes_length) as u64, out);
    if position > 0 {
        put_number(POSITION, position, out);
    }
    put_bytes(RECORD_HASH, hash.as_bytes(), out);
    put_bytes(RECORD, bytes, out);
}

/// The instant of a record as the wire has it.
pub fn recorded_at_to_wire(at: bergulir_chain::Timestamp) -> pb::Timestamp {
    timestamp_to_wire(Timestamp::from_micros(at.as_micros()))
}

/// A request id as the wire has it: the UUID's text with hyphens, in lower case.
pub fn request_id_to_wire(id: [u8; 16]) -> String {
    Uuid::from_bytes(id).to_string()
}

#[cfg(test)]
mod tests {
    use bergulir_chain::{Authentication, Position};
    use bergulir_domain::Event;

    use super::*;
    use crate::event::{encode_event, event_to_wire};
    use crate::samples::a_disbursement;

    #[test]
    fn a_record_on_the_wire_says_what_its_bytes_say() {
        let event = Event::Disbursed(a_disbursement());
        let mut encoded = Vec::new();
        encode_event(&event, &mut encoded);
        let record = Record {
            position: Position::new(7),
            previous: Hash::from_bytes([1; 32]),
            recorded_at: bergulir_chain::Timestamp::from_micros(1_500_001),
            principal: "maker",
            authentication: Authentication::Stated,
            request_id: [0xab; 16],
            following: 2,
            event: &encoded,
            signature: None,
        };
        let mut bytes = Vec::new();
        let hash = record.encode(&mut bytes).unwrap();

        let short = record_to_wire(&bytes, &record, hash, true);
        assert_eq!((short.position, &short.record, &short.event), (7, &bytes, &None));
        let whole = record_to_wire(&bytes, &record, hash, false);
        assert_eq!(whole.record_hash, hash.as_bytes());
        assert_eq!(whole.previous_hash, [1; 32]);
        assert_eq!(whole.recorded_at, Some(pb::Timestamp { seconds: 1, nanos: 500_001_000 }));
        assert_eq!(whole.principal, "maker");
        assert_eq!(whole.authentication(), pb::Authentication::Stated);
        assert_eq!(whole.request_id, "abababab-abab-abab-abab-abababababab");
        assert_eq!(whole.following, 2);
        assert_eq!(whole.event, Some(event_to_wire(&event)));
    }

    #[test]
    fn many_records_are_written_as_the_typed_message_says_them() {
        for position in [0, 1, 127, 128, 20_000, 1 << 40] {
            for event in [1, 90, 300, 40_000].map(|length| vec![7; length]) {
                let record = Record {
                    position: Position::new(position),
                    previous: Hash::ZERO,
                    recorded_at: bergulir_chain::Timestamp::from_micros(5),
                    principal: "maker",
                    authentication: Authentication::Stated,
                    request_id: [1; 16],
                    following: 0,
                    event: &event,
                    signature: None,
                };
                let mut bytes = Vec::new();
                let hash = record.encode(&mut bytes).unwrap();
                for verbatim_only in [true, false] {
                    let one = || record_to_wire(&bytes, &record, hash, verbatim_only);
                    let expected =
                        pb::ReadRecordsResponse { records: vec![one(), one()], log_size: 300 };
                    let two = [(&bytes[..], record, hash); 2].into_iter();
                    let written = records_to_wire(two, verbatim_only, 300);
                    assert_eq!(written.encode_to_vec(), expected.encode_to_vec());
                }
            }
        }
    }
}
