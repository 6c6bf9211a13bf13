//! A single record is read without its frame, and is the right one or none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bergulir_chain::{FrameBuilder, Position, body, record, segment};

use super::super::medium::Medium;
use super::super::simulated::{Chance, SimulatedDisk};
use super::{FileLog, FileLogOptions, SMALL};
use crate::conformance::read_all;
use crate::log::{EventLog, ReadError, ReadLimit};
use crate::records::Scattered;
use crate::sample::group;

const OPTIONS: FileLogOptions = FileLogOptions { segment_bytes: 300 << 10 };

fn open_keeping(disk: &SimulatedDisk) -> FileLog {
    let opened = FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), OPTIONS);
    opened.unwrap().0.keeping_marks_in("marks".into())
}

/// A log of some segments, of frames with 1 to 400 records.
fn of_uneven_frames(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    let log = open_keeping(disk);
    let mut chance = Chance::seeded(3);
    while log.published.read().unwrap().segments.len() < 4 {
        let most = if chance.below(2) == 0 { 400 } else { 3 };
        let records = 1 + chance.below(most);
        let lengths: Vec<_> = (0..records).map(|_| 20 + chance.below(150)).collect();
        let events = lengths.iter().map(|length| vec![7; usize::try_from(*length).unwrap()]);
        let head = log.head();
        log.append(head, &group(head, events)).unwrap();
    }
    read_all(&log, ReadLimit::STEP)
}

/// A single record, asked for by somebody who read another one far away before.
fn single(log: &FileLog, position: u64) -> Result<Vec<u8>, ReadError> {
    log.last_single.store(super::super::NONE_YET, Ordering::Relaxed);
    let read = log.read(Position::new(position), ReadLimit::ONE)?;
    let mut records = read.iter();
    let (at, bytes) = records.next().unwrap();
    assert_eq!((at, records.count()), (Position::new(position), 0));
    Ok(bytes.to_vec())
}

#[test]
fn a_record_is_read_without_its_frame_wherever_it_lies() {
    let disk = SimulatedDisk::default();
    let expected = of_uneven_frames(&disk);
    // Of the segments that are closed the steps were kept; the newest is walked over at a start.
    let log = open_keeping(&disk);
    let segments = log.published.read().unwrap().segments.clone();
    for (segment, _) in segments {
        single(&log, segment.header.first.get()).unwrap();
    }
    for (position, expected) in (0..).zip(&expected) {
        let before = disk.bytes_read();
        assert_eq!(&single(&log, position).unwrap(), expected, "{position}");
        let read = disk.bytes_read() - before;
        assert!(read < 3 << 10, "{read} bytes for position {position}");
    }
}

#[test]
fn a_record_is_read_without_its_frame_as_soon_as_it_is_there() {
    let disk = SimulatedDisk::default();
    let log = open_keeping(&disk);
    for _ in 0..30 {
        let head = log.head();
        log.append(head, &group(head, vec![[9; 300]; 100])).unwrap();
        for back in [1, 50, 100] {
            let before = disk.bytes_read();
            single(&log, log.head().size.get() - back).unwrap();
            let read = disk.bytes_read() - before;
            assert!(read < 3 << 10, "{read} bytes for {back} before {}", log.head().size);
        }
    }
}

/// A log of three segments or more, of frames of three records each.
fn of_short_segments(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    let log = open_short(disk);
    for number in 0..8_u8 {
        let head = log.head();
        log.append(head, &group(head, [vec![number; 30], vec![2; 70], vec![3; 50]])).unwrap();
    }
    assert!(log.published.read().unwrap().segments.len() > 2);
    read_all(&log, ReadLimit::STEP)
}

fn open_short(disk: &SimulatedDisk) -> FileLog {
    FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), SMALL).unwrap().0
}

/// The bytes of the log's first segment, of which others are written in their place.
fn first_segment(disk: &SimulatedDisk) -> (Vec<u8>, impl Fn(&[u8])) {
    let path = Path::new("log").join("00000000000000000000.seg");
    let file = disk.open(&path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    (bytes, move |bytes| assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len()))
}

#[test]
fn records_from_all_over_are_read_without_what_lies_between() {
    let disk = SimulatedDisk::default();
    let expected = of_uneven_frames(&disk);
    let log = open_keeping(&disk);
    let all = expected.len() as u64;
    let read = |positions: &[Position]| {
        let before = disk.bytes_read();
        let found = log.read_each(positions).unwrap();
        assert_eq!(found.len(), positions.len());
        for ((at, hash, bytes), position) in found.iter().zip(positions) {
            assert_eq!(at, *position);
            assert_eq!(bytes, expected[usize::try_from(at.get()).unwrap()], "{at}");
            assert_eq!(hash, record::hash(bytes), "{at}");
        }
        disk.bytes_read() - before
    };
    // Of segments that were not used yet, and of the newest.
    read(&[Position::ZERO, Position::new(all / 2), Position::new(all - 1)]);
    let far: Vec<_> = (0..all).step_by(97).map(Position::new).collect();
    let bytes = read(&far);
    assert!(bytes < far.len() * (3 << 10), "{bytes} bytes for {} records", far.len());
    // Those that lie side by side are read once.
    let near: Vec<_> = (all / 3..all / 3 + 200).map(Position::new).collect();
    let begin = usize::try_from(all / 3).unwrap();
    let length: usize = expected[begin..][..near.len()].iter().map(Vec::len).sum();
    let bytes = read(&near);
    assert!(bytes < 2 * length, "{bytes} bytes for {length}");
    let beyond = [Position::ZERO, Position::new(all)];
    assert!(matches!(log.read_each(&beyond), Err(ReadError::BeyondHead { .. })));
    assert!(log.read_each(&[]).unwrap().is_empty());
}

#[test]
fn no_flipped_byte_is_served_as_truth() {
    let disk = SimulatedDisk::default();
    let expected = of_short_segments(&disk);
    let (whole, overwrite) = first_segment(&disk);
    let mut served = 0;
    for at in 0..whole.len() {
        let log = open_short(&disk);
        // Its frames are walked over before the damage.
        single(&log, 1).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        overwrite(&damaged);
        for (position, expected) in (0..).zip(&expected) {
            if let Ok(read) = single(&log, position) {
                assert_eq!(&read, expected, "byte {at}");
                served += 1;
            }
            let each = log.read_each(&[Position::new(position)]);
            assert!(each.iter().flat_map(Scattered::iter).all(|(.., bytes)| bytes == expected));
        }
        overwrite(&whole);
    }
    assert!(served > whole.len() * (expected.len() - 6), "what is not damaged is served");
}

#[test]
fn a_record_that_is_not_what_the_next_one_names_is_not_served_alone() {
    let disk = SimulatedDisk::default();
    let expected = of_short_segments(&disk);
    let log = open_short(&disk);
    let (segment, extent) = log.locate(Position::ZERO).unwrap().unwrap();
    single(&log, 0).unwrap();
    let alone = |position| {
        let mut found = Scattered::default();
        segment.singles(&[Position::new(position)], extent, None, &mut found);
        found.iter().next().map(|(_, _, bytes)| bytes.to_vec())
    };
    for (position, expected) in (0..3).zip(&expected) {
        assert_eq!(alone(position).as_ref(), Some(expected), "{position}");
    }

    // Changed together with the CRC of its frame.
    let (whole, overwrite) = first_segment(&disk);
    let mut records = expected[..3].to_vec();
    *records[1].last_mut().unwrap() ^= 1;
    let mut changed = Vec::new();
    for record in &records {
        body::push_encoded(&mut changed, record);
    }
    let (begin, mut builder) = (segment::HEADER_BYTES, FrameBuilder::new());
    let frame = builder.build(Position::ZERO, 3, &changed, begin as u64).unwrap();
    overwrite(&[&whole[..begin], frame, &whole[begin + frame.len()..]].concat());
    assert_eq!(alone(1), None);
    assert_eq!(alone(0).as_ref(), Some(&expected[0]));
    assert_eq!(alone(2).as_ref(), Some(&expected[2]));
}
