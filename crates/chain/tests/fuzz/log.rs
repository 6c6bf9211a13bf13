//! Records, frames, segments and what the end of a file is.

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES, MAX_BODY_BYTES, PIECE_BYTES};
use bergulir_chain::tail::{self, Tail};
use bergulir_chain::{
    Authentication, ChainCursor, Frame, FrameBuilder, FrameError, FrameHeader, Hash, Position,
    Record, SegmentHeader, Timestamp, body, record, segment,
};
use bergulir_fuzz::{Target, fuzz, outcome};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

/// Records of a chain, an atomic batch among them.
fn records() -> Vec<Vec<u8>> {
    let mut previous = Hash::ZERO;
    let mut records = Vec::new();
    for (position, following) in [0, 2, 1, 0, 0].into_iter().enumerate() {
        let position = position as u64;
        let record = Record {
            position: Position::new(position),
            previous,
            recorded_at: Timestamp::from_micros(1_767_225_600_000_000),
            principal: "maker@kab-3603",
            authentication: Authentication::from_byte(u8::try_from(position.min(3)).unwrap())
                .unwrap(),
            request_id: [7; 16],
            following,
            event: b"an event, opaque here",
            signature: None,
        };
        let mut bytes = Vec::new();
        previous = record.encode(&mut bytes).unwrap();
        records.push(bytes);
    }
    records
}

fn frame(records: &[Vec<u8>], file_offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        body::push_encoded(&mut bytes, record);
    }
    let count = u32::try_from(records.len()).unwrap();
    FrameBuilder::new().build(Position::ZERO, count, &bytes, file_offset).unwrap().to_vec()
}

fn put_crc(bytes: &mut [u8], summed: core::ops::Range<usize>) {
    let crc = crc32fast::hash(&bytes[summed.clone()]);
    bytes[summed.end..summed.end + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn records_are_read_strictly() {
    fuzz!(target("record").samples(records()), |input| {
        let _ = (record::request_id(input), record::authentication(input), record::event(input));
        match Record::parse(input) {
            Ok(read) => {
                let mut again = Vec::new();
                let hash = read.encode(&mut again).unwrap();
                assert_eq!((again.as_slice(), hash), (input, record::hash(input)));
                let walked = ChainCursor::origin().check(input).map(|_| ());
                format!("{} {}", outcome(&read.authentication), outcome(&walked))
            }
            Err(error) => {
                assert!(ChainCursor::origin().check(input).is_err());
                outcome(&error)
            }
        }
    });
}

/// Where a frame's sums and lengths would refuse it first, most are put right.
fn repair_frame(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES + END_BYTES {
        return;
    }
    let body = HEADER_BYTES..bytes.len() - END_BYTES;
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let sum = crc32fast::hash(&bytes[body]).to_le_bytes();
    bytes[20..24].copy_from_slice(&length);
    bytes[24..28].copy_from_slice(&sum);
    put_crc(bytes, 0..28);
}

#[test]
fn frames_are_read_strictly() {
    let records = records();
    let samples = [frame(&records[..1], 64), frame(&records, 64)];
    fuzz!(target("frame").samples(samples).repair(|bytes| repair_frame(bytes)), |input| {
        let header = FrameHeader::parse(input);
        for file_offset in [64, 0, 511, u64::MAX - (1 << 30)] {
            let judged = tail::judge(input, file_offset);
            match Frame::parse(input, file_offset) {
                Ok(frame) => {
                    assert_eq!(header.unwrap(), frame.header());
                    assert!(frame.length() <= HEADER_BYTES + MAX_BODY_BYTES + END_BYTES);
                    assert_eq!(frame.records().count() as u64, {
                        frame.next().get() - frame.first().get()
                    });
                    let mut bytes = Vec::new();
                    frame.records().for_each(|record| body::push_encoded(&mut bytes, record));
                    let count = frame.header().records;
                    let mut builder = FrameBuilder::new();
                    // Zeros in a row are no frame that is written, yet they are read.
                    if let Ok(again) = builder.build(frame.first(), count, &bytes, file_offset) {
                        assert_eq!(again, &input[..frame.length()]);
                    }
                    let out_of_place = judged.is_err() || input.iter().all(|byte| *byte == 0);
                    assert!(out_of_place, "an undamaged frame is never cut");
                }
                Err(FrameError::Incomplete { needed }) => assert!(needed > input.len()),
                Err(FrameError::ZeroPiece { at, .. }) => {
                    assert!(at >= file_offset && at < file_offset + input.len() as u64);
                }
                Err(FrameError::Corrupt(_)) => {
                    assert!(!matches!(judged, Ok(Tail::Torn(_))), "damage is never cut");
                }
            }
        }
        let frame = Frame::parse(input, 64);
        let walked = frame.map(|frame| {
            let mut cursor = ChainCursor::resume(frame.first(), Hash::ZERO);
            frame.records().try_for_each(|record| cursor.check(record).map(|_| ()))
        });
        format!("{} {}", outcome(&walked), outcome(&tail::judge(input, 64)))
    });
}

/// A whole file: frame after frame until one is bad, as an open reads it.
#[test]
fn a_file_of_frames_ends_somewhere() {
    let records = records();
    let mut file = SegmentHeader { first: Position::ZERO, previous: Hash::ZERO }.encode().to_vec();
    for group in [&records[..1], &records[1..4], &records[4..]] {
        let next = frame(group, file.len() as u64);
        file.extend(next);
    }
    let mut ahead = file.clone();
    ahead.resize(file.len() + 2 * PIECE_BYTES, 0);
    fuzz!(target("file-of-frames").sample(file).sample(ahead), |input| {
        let header = SegmentHeader::parse(input);
        let mut at = segment::HEADER_BYTES.min(input.len());
        let mut frames = 0;
        while let Ok(frame) = Frame::parse(&input[at..], at as u64) {
            at += frame.length();
            frames += 1;
        }
        let end = tail::judge(&input[at..], at as u64);
        format!("{} {} {}", header.is_ok(), frames.min(2), outcome(&end))
    });
}

#[test]
fn headers_and_names_of_segments_are_read_strictly() {
    let header = SegmentHeader { first: Position::new(9), previous: record::hash(b"before") };
    let put_sum = |bytes: &mut Vec<u8>| {
        if bytes.len() >= segment::HEADER_BYTES {
            put_crc(bytes, 0..60);
        }
    };
    let target =
        target("segment-header").sample(header.encode()).sample("00000000000000000009.seg");
    fuzz!(target.repair(put_sum), |input| {
        if let Ok(text) = str::from_utf8(input)
            && let Some(first) = segment::parse_file_name(text)
        {
            assert_eq!(segment::file_name(first), text);
            return "a name".to_owned();
        }
        let read = SegmentHeader::parse(input);
        if let Ok(header) = read {
            assert_eq!(header.encode(), input[..segment::HEADER_BYTES]);
        }
        outcome(&read)
    });
}
