//! Frames are read and checked once for many reads, and only those that are undamaged.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bergulir_chain::Position;

use super::super::simulated::SimulatedDisk;
use super::{EVENTS, FileLog, WIDE, segments};
use crate::conformance::read_all;
use crate::log::{EventLog, Head, ReadError, ReadLimit};
use crate::sample::group;

/// Such a read takes the frame; of a single record it may read less.
const TWO: ReadLimit = ReadLimit::records(2);

/// A log of frames of 300 records each, and the bytes of one frame.
fn of_long_frames(disk: &SimulatedDisk, frames: usize) -> (FileLog, usize) {
    let (log, _) = FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), WIDE).unwrap();
    let events: Vec<_> = (0..300_usize).map(|n| vec![1; 900 + n % 7]).collect();
    for _ in 0..frames {
        let head = log.head();
        log.append(head, &group(head, &events)).unwrap();
    }
    let bytes = group(Head::EMPTY, &events).body().len();
    assert!(bytes > 4 * (64 << 10), "longer than what is read at once");
    (log, bytes)
}

#[test]
fn a_frame_is_read_once_for_all_its_records() {
    let disk = SimulatedDisk::default();
    let (log, frame_bytes) = of_long_frames(&disk, 3);
    let expected = read_all(&log, ReadLimit::STEP);
    drop(log);
    let (log, _) = FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), WIDE).unwrap();
    let before = disk.bytes_read();
    for (position, bytes) in (0..).map(Position::new).zip(&expected) {
        let one = log.read(position, ReadLimit::ONE).unwrap();
        assert_eq!(one.iter().collect::<Vec<_>>(), [(position, &bytes[..])]);
    }
    let read = disk.bytes_read() - before;
    assert!(read < 3 * frame_bytes + 10 * (64 << 10), "{read} of 3 times {frame_bytes}");
    // Backwards, in strides, and over the end of a frame, all from memory; then on from the file.
    let before = disk.bytes_read();
    for (from, most) in [(899, 1), (450, 150), (298, 302), (0, 300), (250, 300)] {
        let some = log.read(Position::new(from), ReadLimit::records(most)).unwrap();
        let from = usize::try_from(from).unwrap();
        assert!(some.iter().map(|(_, bytes)| bytes).eq(&expected[from..from + most]));
    }
    assert_eq!(disk.bytes_read(), before);
    let head = log.head();
    log.append(head, &group(head, ["appended"])).unwrap();
    let last = log.read(Position::new(899), ReadLimit::STEP).unwrap();
    assert_eq!((last.len(), last.next()), (2, log.head().size.next_position()));
}

#[test]
fn a_read_that_reached_its_limit_leaves_the_next_frame_alone() {
    let disk = SimulatedDisk::default();
    let (log, frame_bytes) = of_long_frames(&disk, 2);
    let before = disk.bytes_read();
    log.read(Position::new(299), ReadLimit::ONE).unwrap();
    log.read(Position::new(299), ReadLimit::ONE).unwrap();
    log.read(Position::new(200), ReadLimit::records(100)).unwrap();
    let read = disk.bytes_read() - before;
    assert!(read < frame_bytes + 3 * (64 << 10), "{read} for a frame of {frame_bytes}");
}

#[test]
fn a_frame_that_is_damaged_is_not_kept_and_one_that_was_checked_is() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = FileLog::open(folder.path(), WIDE).unwrap();
    let head = log.append(Head::EMPTY, &group(Head::EMPTY, EVENTS)).unwrap();
    let segment = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    damaged[200] ^= 1;
    let positions = || (0..head.size.get()).map(Position::new);

    fs::write(&segment, &damaged).unwrap();
    for position in positions() {
        let error = log.read(position, TWO).unwrap_err();
        assert!(matches!(error, ReadError::Corrupt { .. }));
    }
    fs::write(&segment, &bytes).unwrap();
    log.read(Position::new(2), TWO).unwrap();
    fs::write(&segment, &damaged).unwrap();
    let read: Vec<_> =
        positions().map(|position| log.read(position, ReadLimit::ONE).unwrap()).collect();
    fs::write(&segment, &bytes).unwrap();
    let expected = read_all(&log, ReadLimit::STEP);
    assert!(read.iter().flatten().map(|(_, bytes)| bytes).eq(&expected));
}
