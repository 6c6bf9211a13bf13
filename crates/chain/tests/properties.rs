//! Properties of records, frames and chains: what goes in comes out, and what is touched is found.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

use bergulir_chain::frame::{BuildError, FrameError, HEADER_BYTES, PIECE_BYTES};
use bergulir_chain::record::{FIXED_BYTES, MAX_PRINCIPAL_BYTES, RecordError};
use bergulir_chain::tail::{self, Tail, Tear};
use bergulir_chain::{
    Authentication, ChainCursor, ChainFault, Frame, FrameBuilder, Hash, MAX_RECORD_BYTES, Position,
    Record, Timestamp, body,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// The parts of a record that own their memory.
#[derive(Clone, Debug)]
struct Parts {
    position: u64,
    previous: [u8; 32],
    recorded_at: i64,
    principal: String,
    authentication: u8,
    request_id: [u8; 16],
    following: u32,
    event: Vec<u8>,
}

impl Parts {
    fn record(&self) -> Record<'_> {
        Record {
            position: Position::new(self.position),
            previous: Hash::from_bytes(self.previous),
            recorded_at: Timestamp::from_micros(self.recorded_at),
            principal: &self.principal,
            authentication: Authentication::from_byte(self.authentication).unwrap(),
            request_id: self.request_id,
            following: self.following,
            event: &self.event,
            signature: None,
        }
    }
}

prop_compose! {
    fn parts()(
        position in any::<u64>(),
        previous in any::<[u8; 32]>(),
        recorded_at in any::<i64>(),
        principal in "[a-zé]{1,40}",
        authentication in 0_u8..4,
        request_id in any::<[u8; 16]>(),
        following in any::<u32>(),
        event in vec(any::<u8>(), 1..300),
    ) -> Parts {
        Parts {
            position, previous, recorded_at, principal, authentication, request_id, following,
            event,
        }
    }
}

fn encoded(record: &Record<'_>) -> (Vec<u8>, Hash) {
    let mut bytes = Vec::new();
    let hash = record.encode(&mut bytes).unwrap();
    (bytes, hash)
}

/// A chain of records with these events, as the body of a frame.
fn chained(first: u64, events: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut previous = Hash::from_bytes([7; 32]);
    for (position, event) in (first..).zip(events) {
        let record = Record {
            position: Position::new(position),
            previous,
            recorded_at: Timestamp::from_micros(1_767_225_600_000_000),
            principal: "maker",
            authentication: Authentication::Stated,
            request_id: [9; 16],
            following: 0,
            event,
            signature: None,
        };
        previous = body::push_record(&mut records, &record).unwrap();
    }
    records
}

fn framed(first: u64, events: &[Vec<u8>], offset: u64) -> Vec<u8> {
    let records = chained(first, events);
    let count = u32::try_from(events.len()).unwrap();
    FrameBuilder::new().build(Position::new(first), count, &records, offset).unwrap().to_vec()
}

fn events() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 1..300), 1..12)
}

proptest! {
    #[test]
    fn a_record_reads_back(parts in parts()) {
        let record = parts.record();
        let (bytes, hash) = encoded(&record);
        prop_assert_eq!(bytes.len(), FIXED_BYTES + parts.principal.len() + parts.event.len());
        let read = Record::parse(&bytes).unwrap();
        prop_assert_eq!(read, record);
        prop_assert_eq!(bergulir_chain::record::request_id(&bytes), Some(parts.request_id));
        let authentication = bergulir_chain::record::authentication(&bytes);
        prop_assert_eq!(authentication, Some(read.authentication));
        prop_assert_eq!(encoded(&read), (bytes, hash));
    }

    #[test]
    fn what_parses_has_no_other_bytes(parts in parts(), at in any::<prop::sample::Index>(), to: u8) {
        let (mut bytes, _) = encoded(&parts.record());
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = Record::parse(&bytes) {
            prop_assert_eq!(encoded(&read).0, bytes);
        }
    }

    #[test]
    fn a_record_cut_or_lengthened_is_refused(parts in parts(), extra in vec(any::<u8>(), 1..9)) {
        let (mut bytes, _) = encoded(&parts.record());
        for length in 0..bytes.len() {
            let is_short = matches!(Record::parse(&bytes[..length]), Err(RecordError::Short { .. }));
            prop_assert!(is_short);
        }
        bytes.extend(extra);
        let is_trailing = matches!(Record::parse(&bytes), Err(RecordError::Trailing { .. }));
        prop_assert!(is_trailing);
    }

    #[test]
    fn any_bytes_parse_without_panic(bytes in vec(any::<u8>(), 0..400), offset in 0_u64..4096) {
        let _ = Record::parse(&bytes);
        let _ = Frame::parse(&bytes, offset);
        let _ = tail::judge(&bytes, offset);
        let mut versioned = bytes;
        if let Some(version) = versioned.first_mut() {
            *version = 1;
        }
        let _ = Record::parse(&versioned);
    }

    #[test]
    fn a_flipped_bit_changes_the_hash_or_is_refused(parts in parts(), bit in any::<prop::sample::Index>()) {
        let (mut bytes, hash) = encoded(&parts.record());
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(bergulir_chain::record::hash(&bytes), hash);
    }

    #[test]
    fn a_chain_walks_and_a_touched_one_does_not(
        events in events(),
        record in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let records = chained(40, &events);
        let walk = |records: &[Vec<u8>]| {
            let mut cursor = ChainCursor::resume(Position::new(40), Hash::from_bytes([7; 32]));
            for bytes in records {
                cursor.check(bytes)?;
            }
            Ok::<_, bergulir_chain::ChainError>(cursor)
        };
        let mut records: Vec<Vec<u8>> =
            bergulir_chain::RecordSlices::new(&records).map(<[u8]>::to_vec).collect();
        let whole = walk(&records).unwrap();
        prop_assert_eq!(whole.next().get(), 40 + events.len() as u64);

        let touched = record.index(records.len());
        let bit = bit.index(records[touched].len() * 8);
        records[touched][bit / 8] ^= 1 << (bit % 8);
        match walk(&records) {
            // A change in the last record shows in the head's hash only.
            Ok(cursor) => {
                prop_assert_eq!(touched, records.len() - 1);
                prop_assert_ne!(cursor.previous(), whole.previous());
            }
            Err(error) => {
                let position = usize::try_from(error.position.get() - 40).unwrap();
                prop_assert!(position == touched || position == touched + 1);
            }
        }
    }

    #[test]
    fn a_frame_reads_back(events in events(), offset in 0_u64..2048, after in vec(any::<u8>(), 0..50)) {
        let records = chained(5, &events);
        let mut bytes = framed(5, &events, offset);
        let length = bytes.len();
        bytes.extend(after);
        let frame = Frame::parse(&bytes, offset).unwrap();
        prop_assert_eq!(frame.first(), Position::new(5));
        prop_assert_eq!(frame.next(), Position::new(5 + events.len() as u64));
        prop_assert_eq!(frame.length(), length);
        let mut read = Vec::new();
        frame.records().for_each(|record| body::push_encoded(&mut read, record));
        prop_assert_eq!(read, records);
    }

    #[test]
    fn a_flipped_bit_of_a_frame_is_damage(
        events in events(),
        offset in 0_u64..2048,
        bit in any::<prop::sample::Index>(),
    ) {
        let mut bytes = framed(5, &events, offset);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = Frame::parse(&bytes, offset);
        prop_assert!(matches!(found, Err(FrameError::Corrupt(_))), "{:?}", found);
        prop_assert!(tail::judge(&bytes, offset).is_err());
    }

    #[test]
    fn a_cut_frame_is_incomplete_and_torn(events in events(), offset in 0_u64..2048) {
        let bytes = framed(5, &events, offset);
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            match Frame::parse(cut, offset) {
                Err(FrameError::Incomplete { needed }) => {
                    let expected = if length < HEADER_BYTES { HEADER_BYTES } else { bytes.len() };
                    prop_assert_eq!(needed, expected);
                }
                other => prop_assert!(false, "{} bytes: {:?}", length, other),
            }
            let expected = if length == 0 { Tail::Clean } else { Tail::Torn(Tear::EndsInside) };
            prop_assert_eq!(tail::judge(cut, offset), Ok(expected));
        }
    }

    /// Whichever pieces of a frame a crash left unwritten, with or without zeros written ahead.
    #[test]
    fn a_frame_with_unwritten_pieces_is_torn(
        events in events(),
        offset in 0_u64..2048,
        lost in any::<u64>(),
        ahead in prop_oneof![Just(0_usize), 1_usize..2000],
    ) {
        let mut bytes = framed(5, &events, offset);
        let mut lost_any = false;
        for (at, byte) in (offset..).zip(bytes.iter_mut()) {
            let piece = at / PIECE_BYTES as u64 - offset / PIECE_BYTES as u64;
            if lost >> (piece % 64) & 1 == 1 {
                *byte = 0;
                lost_any = true;
            }
        }
        bytes.resize(bytes.len() + ahead, 0);
        prop_assume!(lost_any);
        match tail::judge(&bytes, offset) {
            Ok(Tail::Clean) => prop_assert!(bytes.iter().all(|&byte| byte == 0)),
            Ok(Tail::Torn(Tear::ZeroPiece { .. })) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// The same tear is damage once another frame follows: it was durable before that was written.
    #[test]
    fn a_torn_frame_before_another_is_damage(
        events in events(),
        offset in 0_u64..2048,
        piece in any::<prop::sample::Index>(),
    ) {
        let mut bytes = framed(5, &events, offset);
        let end = offset + bytes.len() as u64;
        let first_piece = offset / PIECE_BYTES as u64;
        let pieces = usize::try_from((end - 1) / PIECE_BYTES as u64 - first_piece + 1).unwrap();
        let lost = first_piece + piece.index(pieces) as u64;
        for (at, byte) in (offset..).zip(bytes.iter_mut()) {
            if at / PIECE_BYTES as u64 == lost {
                *byte = 0;
            }
        }
        bytes.extend(framed(5 + events.len() as u64, &[b"next".to_vec()], end));
        prop_assert!(tail::judge(&bytes, offset).is_err());
    }
}

#[test]
fn a_record_has_limits() {
    let parts = Parts {
        position: 0,
        previous: [0; 32],
        recorded_at: 0,
        principal: "p".repeat(MAX_PRINCIPAL_BYTES),
        authentication: 0,
        request_id: [0; 16],
        following: 0,
        event: vec![1; MAX_RECORD_BYTES - FIXED_BYTES - MAX_PRINCIPAL_BYTES],
    };
    let (bytes, _) = encoded(&parts.record());
    assert_eq!(bytes.len(), MAX_RECORD_BYTES);
    assert_eq!(Record::parse(&bytes), Ok(parts.record()));

    let refused = |change: fn(&mut Parts)| {
        let mut parts = parts.clone();
        change(&mut parts);
        let mut out = vec![1, 2, 3];
        let error = parts.record().encode(&mut out).unwrap_err();
        assert_eq!(out, [1, 2, 3], "nothing is left behind");
        error
    };
    assert_eq!(refused(|parts| parts.event.push(1)), RecordError::TooLong(MAX_RECORD_BYTES + 1));
    assert_eq!(refused(|parts| parts.event.clear()), RecordError::EventMissing);
    assert_eq!(refused(|parts| parts.principal.clear()), RecordError::PrincipalLength(0));
    assert_eq!(refused(|parts| parts.principal.push('p')), RecordError::PrincipalLength(256));
    assert_eq!(
        Record { signature: Some(&[]), ..parts.record() }.encode(&mut Vec::new()),
        Err(RecordError::SignatureReserved)
    );
}

#[test]
fn bytes_that_no_record_has_are_refused() {
    let parts = Parts {
        position: 3,
        previous: [1; 32],
        recorded_at: 4,
        principal: "maker".to_owned(),
        authentication: 0,
        request_id: [2; 16],
        following: 0,
        event: b"event".to_vec(),
    };
    let with = |at: usize, byte: u8| {
        let (mut bytes, _) = encoded(&parts.record());
        bytes[at] = byte;
        Record::parse(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 2), RecordError::UnknownVersion(2));
    assert_eq!(with(1, 4), RecordError::UnknownAuthentication(4));
    assert_eq!(with(2, 0), RecordError::PrincipalLength(0));
    assert_eq!(with(3, 1), RecordError::Reserved(1));
    assert_eq!(with(72, 0), RecordError::EventMissing);
    assert_eq!(with(74, 1), RecordError::SignatureReserved);
    assert_eq!(with(76, 0xff), RecordError::PrincipalNotUtf8);
}

#[test]
fn a_frame_with_an_all_zero_piece_is_not_built() {
    let zeros = |length| vec![vec![1], vec![0; length]];
    let build = |length, offset| {
        let records = chained(0, &zeros(length));
        let mut builder = FrameBuilder::new();
        builder.build(Position::ZERO, 2, &records, offset).map(<[u8]>::len)
    };
    // 1,023 zeros in a row hold a whole aligned piece wherever they begin; 511 never do.
    for offset in 0..PIECE_BYTES as u64 {
        assert!(matches!(build(1023, offset), Err(BuildError::ZeroPiece(_))), "at {offset}");
        assert!(build(511, offset).is_ok(), "at {offset}");
    }
    // In between it depends on where the frame lies.
    let fits = (0..PIECE_BYTES as u64).filter(|&offset| build(600, offset).is_ok()).count();
    assert!(fits > 0 && fits < PIECE_BYTES);
}

#[test]
fn a_body_of_other_records_than_counted_is_not_built() {
    let records = chained(0, &[vec![1], vec![2]]);
    let mut builder = FrameBuilder::new();
    for (count, body) in [(0, &records[..0]), (1, &records), (3, &records), (2, &records[1..])] {
        let built = builder.build(Position::ZERO, count, body, 0);
        assert_eq!(built, Err(BuildError::Records(count)));
    }
}

#[test]
fn a_walk_names_what_is_wrong() {
    let parts = Parts {
        position: 1,
        previous: [5; 32],
        recorded_at: 100,
        principal: "maker".to_owned(),
        authentication: 0,
        request_id: [2; 16],
        following: 2,
        event: b"event".to_vec(),
    };
    let mut cursor = ChainCursor::resume(Position::new(1), Hash::from_bytes([5; 32]));
    let (first, hash) = encoded(&parts.record());
    let (read, walked) = cursor.check(&first).unwrap();
    assert_eq!((read, walked), (parts.record(), hash));
    assert_eq!(cursor.ends_batch().unwrap_err().fault, ChainFault::BatchUnfinished { missing: 2 });

    let next =
        Record { position: Position::new(2), previous: hash, following: 1, ..parts.record() };
    let fault = |record: Record<'_>| {
        let mut cursor = cursor;
        let error = cursor.check(&encoded(&record).0).unwrap_err();
        assert_eq!(error.position, Position::new(2));
        error.fault
    };
    let stated = Position::new(3);
    assert_eq!(fault(Record { position: stated, ..next }), ChainFault::Position { stated });
    assert_eq!(
        fault(Record { previous: Hash::ZERO, ..next }),
        ChainFault::Previous { expected: hash, stated: Hash::ZERO }
    );
    let earlier = Timestamp::from_micros(99);
    assert_eq!(
        fault(Record { recorded_at: earlier, ..next }),
        ChainFault::Time { last: Timestamp::from_micros(100), stated: earlier }
    );
    assert_eq!(
        fault(Record { following: 0, ..next }),
        ChainFault::Following { expected: 1, stated: 0 }
    );
    cursor.check(&encoded(&next).0).unwrap();
    assert_eq!(cursor.following(), 1);
}
