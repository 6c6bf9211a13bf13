//! A position of an old segment is found without a walk over all of it, and by all alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bergulir_chain::Position;

use super::super::medium::Medium;
use super::super::simulated::{Chance, SimulatedDisk};
use super::{FileLog, FileLogOptions};
use crate::conformance::read_all;
use crate::log::{EventLog, ReadError, ReadLimit};
use crate::sample::group;

const MIB: usize = 1 << 20;

/// Long enough that a walk over a segment shares what it found several times.
const OPTIONS: FileLogOptions = FileLogOptions { segment_bytes: 4 << 20 };

fn open(disk: &SimulatedDisk) -> FileLog {
    FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), OPTIONS).unwrap().0
}

fn open_keeping(disk: &SimulatedDisk) -> FileLog {
    open(disk).keeping_marks_in("marks".into())
}

/// A log of three segments, of frames of two records each, and its records.
fn of_three_segments(disk: &SimulatedDisk, open: fn(&SimulatedDisk) -> FileLog) -> Vec<Vec<u8>> {
    let log = open(disk);
    for number in 0_usize.. {
        let head = log.head();
        log.append(head, &group(head, [vec![1; 2_000 + number % 900], vec![2; 900]])).unwrap();
        if log.published.read().unwrap().segments.len() == 3 {
            break;
        }
    }
    read_all(&log, ReadLimit::STEP)
}

fn marks_files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let mut names = disk.names(Path::new("marks")).unwrap();
    names.sort();
    names.iter().map(|name| Path::new("marks").join(name)).collect()
}

fn contents(disk: &SimulatedDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn overwrite(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    disk.create(path).unwrap().write_at(bytes, 0).unwrap();
}

fn check(log: &FileLog, at: usize, expected: &[Vec<u8>]) {
    let one = log.read(Position::new(at as u64), ReadLimit::ONE).unwrap();
    assert_eq!(one.iter().next().unwrap().1, expected[at], "position {at}");
}

/// How many bytes were read to find one record in a log that was just opened.
fn bytes_to_find(
    disk: &SimulatedDisk,
    open: fn(&SimulatedDisk) -> FileLog,
    at: usize,
    expected: &[Vec<u8>],
) -> usize {
    let log = open(disk);
    let before = disk.bytes_read();
    check(&log, at, expected);
    disk.bytes_read() - before
}

#[test]
fn many_readers_and_one_who_looks_single_records_up_agree() {
    let disk = SimulatedDisk::default();
    let expected = of_three_segments(&disk, open);
    for open in [open as fn(&SimulatedDisk) -> FileLog, open_keeping, open_keeping] {
        let log = &open(&disk);
        let expected = &expected;
        thread::scope(|scope| {
            for reader in 0..4_usize {
                // Each from somewhere to the end, all over the same frames.
                scope.spawn(move || {
                    let mut next = reader * expected.len() / 5;
                    while next < expected.len() {
                        let some = log.read(Position::new(next as u64), ReadLimit::STEP).unwrap();
                        for (position, bytes) in &some {
                            assert_eq!(bytes, expected[usize::try_from(position.get()).unwrap()]);
                        }
                        next += some.len();
                    }
                });
            }
            scope.spawn(move || {
                let mut chance = Chance::seeded(7);
                for _ in 0..200 {
                    let at = chance.below(expected.len() as u64);
                    check(log, usize::try_from(at).unwrap(), expected);
                }
            });
        });
        // What they found together is what one alone finds.
        let alone = self::open(&disk);
        read_all(&alone, ReadLimit::STEP);
        for first in [0, 1] {
            let marks = |log: &FileLog| {
                log.published.read().unwrap().segments[first].0.all_marks().places.len()
            };
            assert!(marks(log).abs_diff(marks(&alone)) <= 4, "{} {}", marks(log), marks(&alone));
            assert!(marks(log) > 50);
        }
    }
}

#[test]
fn a_walk_to_a_position_ends_there_and_is_not_made_again() {
    let disk = SimulatedDisk::default();
    let expected = of_three_segments(&disk, open);
    let quarter = expected.len() / 8;
    let log = open(&disk);
    let before = disk.bytes_read();
    check(&log, quarter, &expected);
    let first = disk.bytes_read() - before;
    assert!((MIB..3 * MIB).contains(&first), "{first} for a position after 1 MiB");
    let before = disk.bytes_read();
    check(&log, quarter / 2, &expected);
    let second = disk.bytes_read() - before;
    assert!(second < 200 << 10, "{second} for one before");
}

#[test]
fn with_kept_marks_a_position_is_found_at_once() {
    let disk = SimulatedDisk::default();
    // Kept when a segment is closed; the newest is walked over at every start anyway.
    let expected = of_three_segments(&disk, open_keeping);
    assert_eq!(marks_files(&disk).len(), 2);
    let late = expected.len() * 2 / 5;
    assert!(bytes_to_find(&disk, open_keeping, late, &expected) < 300 << 10);
    assert!(bytes_to_find(&disk, open, late, &expected) > 3 * MIB);

    // And when somebody has walked to the end, by whatever reads.
    for file in marks_files(&disk) {
        disk.remove(&file).unwrap();
    }
    assert!(bytes_to_find(&disk, open_keeping, late, &expected) > 3 * MIB);
    assert_eq!(marks_files(&disk).len(), 0);
    let kept: Vec<_> = {
        read_all(&open_keeping(&disk), ReadLimit::STEP);
        marks_files(&disk)
    };
    assert_eq!(kept.len(), 2);
    assert!(bytes_to_find(&disk, open_keeping, late, &expected) < 300 << 10);
}

#[test]
fn marks_that_are_damaged_or_wrong_do_no_harm() {
    let disk = SimulatedDisk::default();
    let expected = of_three_segments(&disk, open_keeping);
    let [first, second] = &marks_files(&disk)[..] else { panic!("two segments are closed") };
    let whole = contents(&disk, first);
    let places = || (0..expected.len()).step_by(97).chain([expected.len() - 1]);

    let mut wrong = vec![Vec::new(), whole[..whole.len() - 16].to_vec(), contents(&disk, second)];
    for at in (0..whole.len()).step_by(37) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        wrong.push(flipped);
    }
    for wrong in wrong {
        overwrite(&disk, first, &wrong);
        let log = open_keeping(&disk);
        let before = disk.bytes_read();
        places().step_by(5).for_each(|at| check(&log, at, &expected));
        assert!(disk.bytes_read() - before > 3 * MIB, "they are not taken");
    }

    // With a sum that is right: the frame to which they lead tells, or the end of the segment.
    for mark in [1, 20, (whole.len() - 68) / 16 - 1] {
        let mut forged = whole[..whole.len() - 4].to_vec();
        forged[64 + mark * 16] ^= 1;
        let sum = crc32fast::hash(&forged).to_le_bytes();
        forged.extend_from_slice(&sum);
        overwrite(&disk, first, &forged);
        let log = open_keeping(&disk);
        (0..expected.len()).step_by(13).for_each(|at| check(&log, at, &expected));
        assert_eq!(read_all(&log, ReadLimit::STEP), expected);
    }
}

#[test]
fn kept_marks_do_not_hide_that_a_segment_was_replaced() {
    let disk = SimulatedDisk::default();
    of_three_segments(&disk, open_keeping);
    let segment = Path::new("log").join("00000000000000000000.seg");
    let whole = contents(&disk, &segment);
    // The same frames of the same lengths, but for the last: another history.
    let (log, mut last) = (open(&disk), 0);
    while log.locate(Position::new(last + 1)).unwrap().unwrap().0.header.first == Position::ZERO {
        last += 1;
    }
    let (old, extent) = log.locate(Position::new(last)).unwrap().unwrap();
    let mut walk = old.walk_from(Position::new(last), extent, None).unwrap();
    let at = usize::try_from(walk.offset()).unwrap();
    let frame = walk.frame().unwrap();
    let mut body = Vec::new();
    for record in frame.records() {
        let mut other = record.to_vec();
        *other.last_mut().unwrap() ^= 1;
        bergulir_chain::body::push_encoded(&mut body, &other);
    }
    let mut builder = bergulir_chain::FrameBuilder::new();
    let frame = builder.build(frame.first(), 2, &body, at as u64).unwrap();
    overwrite(&disk, &segment, &[&whole[..at], frame].concat());
    for open in [open as fn(&SimulatedDisk) -> FileLog, open_keeping] {
        let error = open(&disk).read(Position::new(last), ReadLimit::ONE).unwrap_err();
        assert!(error.to_string().contains("the next one goes on at"), "{error}");
    }
}

#[test]
fn damage_is_found_with_kept_marks_as_without() {
    let disk = SimulatedDisk::default();
    let expected = of_three_segments(&disk, open_keeping);
    let segment = Path::new("log").join("00000000000000000000.seg");
    let whole = contents(&disk, &segment);
    for at in [whole.len() / 2, whole.len() - 100] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        overwrite(&disk, &segment, &damaged);
        let found = |log: &FileLog| {
            (0..expected.len() as u64).step_by(2).find_map(|position| {
                match log.read(Position::new(position), ReadLimit::ONE) {
                    Err(ReadError::Corrupt { position, place, .. }) => Some((position, place)),
                    Err(other) => panic!("{other}"),
                    Ok(_) => None,
                }
            })
        };
        let without = found(&open(&disk));
        assert!(without.is_some(), "byte {at}");
        assert_eq!(found(&open_keeping(&disk)), without, "byte {at}");
    }
}
