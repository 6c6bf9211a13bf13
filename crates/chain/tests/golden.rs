//! Golden vectors: the bytes and hashes of format version 1. They change only with the version.
//!
//! They were computed from `docs/format.md` by another program (Python's `struct`, `hashlib` and
//! `zlib`), not by this code.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

use std::fmt::Write;

use bergulir_chain::{
    Authentication, Frame, FrameBuilder, Hash, Position, Record, SegmentHeader, Timestamp, body,
    record,
};

const FIRST_RECORD: &str = "\
    0101060001000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000004020464847060001941f297c007000\
    80000000000000010600000073797374656d6f70656e6564";
const FIRST_HASH: &str = "ed3900f0e4780b94751beb7f41a2a8112af02f086c4da9609879e2f6095711b6";
const SECOND_RECORD: &str = "\
    01020e00000000000100000000000000ed3900f0e4780b94751beb7f41a2a811\
    2af02f086c4da9609879e2f6095711b6014020464847060001941f297c007000\
    8000000000000002040000006d616b6572406b61622d333630330001feff";
const SECOND_HASH: &str = "addbdd4e6e978a9bf3f6e823052e23c4762e1a9c46f0abf47f77a6110cc608f3";
const FRAME: &str = "\
    4247465201000000000000000000000002000000ba000000cdc6dd43de4124f6\
    0058010106000100000000000000000000000000000000000000000000000000\
    000000000000000000000000000000000000004020464847060001941f297c00\
    700080000000000000010600000073797374656d6f70656e6564005e01020e00\
    000000000100000000000000ed3900f0e4780b94751beb7f41a2a8112af02f08\
    6c4da9609879e2f6095711b6014020464847060001941f297c00700080000000\
    00000002040000006d616b6572406b61622d333630330001feff45";
const SEGMENT_HEADER: &str = "\
    42475347010000000200000000000000addbdd4e6e978a9bf3f6e823052e23c4\
    762e1a9c46f0abf47f77a6110cc608f3000000000000000000000000a44518c4";

fn first() -> Record<'static> {
    Record {
        position: Position::ZERO,
        previous: Hash::ZERO,
        recorded_at: Timestamp::from_micros(1_767_225_600_000_000),
        principal: "system",
        authentication: Authentication::System,
        request_id: *b"\x01\x94\x1f\x29\x7c\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x01",
        following: 1,
        event: b"opened",
        signature: None,
    }
}

fn second() -> Record<'static> {
    Record {
        position: Position::new(1),
        previous: FIRST_HASH.parse().unwrap(),
        recorded_at: Timestamp::from_micros(1_767_225_600_000_001),
        principal: "maker@kab-3603",
        authentication: Authentication::MutualTls,
        request_id: *b"\x01\x94\x1f\x29\x7c\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x02",
        following: 0,
        event: b"\x00\x01\xfe\xff",
        signature: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn records_and_their_hashes() {
    for (golden, bytes, hash) in
        [(first(), FIRST_RECORD, FIRST_HASH), (second(), SECOND_RECORD, SECOND_HASH)]
    {
        let mut encoded = Vec::new();
        assert_eq!(golden.encode(&mut encoded).unwrap().to_string(), hash);
        assert_eq!(hex(&encoded), bytes);
        assert_eq!(record::hash(&encoded).to_string(), hash);
        assert_eq!(Record::parse(&encoded), Ok(golden));
    }
}

#[test]
fn a_frame() {
    let mut records = Vec::new();
    body::push_record(&mut records, &first()).unwrap();
    body::push_record(&mut records, &second()).unwrap();
    let mut builder = FrameBuilder::new();
    let frame = builder.build(Position::ZERO, 2, &records, 64).unwrap();
    assert_eq!(hex(frame), FRAME);
    assert_eq!(Frame::parse(frame, 64).unwrap().records().count(), 2);
}

#[test]
fn a_segment_header() {
    let header = SegmentHeader { first: Position::new(2), previous: SECOND_HASH.parse().unwrap() };
    assert_eq!(hex(&header.encode()), SEGMENT_HEADER);
    assert_eq!(SegmentHeader::parse(&header.encode()), Ok(header));
}
