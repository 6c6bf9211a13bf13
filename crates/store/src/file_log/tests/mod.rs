//! The file log: conformance, recovery from every kind of crash, refusal of every kind of damage.

mod kept_frames;
mod marks;
mod salvage;
mod single;
mod unread;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bergulir_chain::{LogSize, Position};
use proptest::prelude::*;
use tempfile::TempDir;

use super::simulated::{Chance, Fault, SimulatedDisk};
use super::{FileLog, FileLogOptions, OpenError, Recovery};
use crate::conformance::{Store, conforms, read_all};
use crate::log::{AppendError, EventLog, Head, ReadError, ReadLimit, Refusal};
use crate::sample::group;

/// Small enough that a few groups fill several segments.
const SMALL: FileLogOptions = FileLogOptions { segment_bytes: 1_500 };

struct Files<const SEGMENT_BYTES: u64>(TempDir);

impl<const SEGMENT_BYTES: u64> Default for Files<SEGMENT_BYTES> {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl<const SEGMENT_BYTES: u64> Store for Files<SEGMENT_BYTES> {
    fn open(&self) -> Arc<dyn EventLog> {
        let options = FileLogOptions { segment_bytes: SEGMENT_BYTES };
        let (log, recovery) = FileLog::open(&self.0.path().join("a/log"), options).unwrap();
        assert_eq!(recovery.cut, None);
        assert_eq!(recovery.head, log.head());
        Arc::new(log)
    }
}

mod one_segment {
    use super::*;
    conforms!(Files<{ 1 << 30 }>);
}

mod many_segments {
    use super::*;
    conforms!(Files<1_500>);
}

fn open(folder: &Path) -> Result<(FileLog, Recovery), OpenError> {
    FileLog::open(folder, SMALL)
}

/// A log of as many groups of one record; returns the sizes of the newest segment after each
/// group that is in it, and where that segment is.
fn written(folder: &Path, events: &[&[u8]], options: FileLogOptions) -> (PathBuf, Vec<u64>) {
    let (log, _) = FileLog::open(folder, options).unwrap();
    let mut sizes = Vec::new();
    for event in events {
        let head = log.head();
        log.append(head, &group(head, [event])).unwrap();
        let newest = segments(folder).pop().unwrap();
        sizes.push(fs::metadata(newest).unwrap().len());
    }
    (segments(folder).pop().unwrap(), sizes)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

const EVENTS: [&[u8]; 5] = [&[1; 90], &[2; 300], &[3; 40], &[4; 700], &[5; 900]];
const WIDE: FileLogOptions = FileLogOptions { segment_bytes: 1 << 30 };

#[test]
fn a_log_cut_anywhere_in_its_last_frame_keeps_all_before_it() {
    let original = tempfile::tempdir().unwrap();
    let (segment, sizes) = written(original.path(), &EVENTS, WIDE);
    let bytes = fs::read(&segment).unwrap();
    let start = usize::try_from(sizes[3]).unwrap();
    for length in start..bytes.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(segment.file_name().unwrap());
        fs::write(&path, &bytes[..length]).unwrap();
        let (log, recovery) = FileLog::open(folder.path(), WIDE).unwrap();
        assert_eq!(log.head().size, LogSize::new(4), "cut to {length} bytes");
        assert_eq!(read_all(&log, ReadLimit::STEP).len(), 4);
        match recovery.cut {
            None => assert_eq!(length, start),
            Some(cut) => {
                assert_eq!(
                    (cut.position, cut.file, cut.offset),
                    (Position::new(4), path, sizes[3])
                );
                let mut kept = fs::read(cut.kept_in).unwrap();
                assert_eq!(cut.bytes, kept.len() as u64);
                kept.resize(length - start, 0);
                assert_eq!(kept, &bytes[start..length], "all but zeros at the end is kept");
            }
        }
        // It goes on as if the frame had never been. (Not for every length: syncs are slow.)
        if length % 8 != 0 {
            continue;
        }
        let head = log.head();
        log.append(head, &group(head, ["other"])).unwrap();
        drop(log);
        let (log, recovery) = FileLog::open(folder.path(), WIDE).unwrap();
        assert_eq!((recovery.cut, log.head().size), (None, LogSize::new(5)));
    }
}

#[test]
fn unwritten_pieces_and_zeros_ahead_are_cut() {
    let original = tempfile::tempdir().unwrap();
    let (segment, sizes) = written(original.path(), &EVENTS, WIDE);
    let bytes = fs::read(&segment).unwrap();
    let start = usize::try_from(sizes[3]).unwrap();
    let pieces: Vec<usize> = (start / 512..=(bytes.len() - 1) / 512).collect();
    assert!(pieces.len() >= 3);
    for lost in 1_u32..1 << pieces.len() {
        for ahead in [0, 5_000] {
            let mut torn = bytes.clone();
            for (bit, piece) in pieces.iter().enumerate() {
                if lost >> bit & 1 == 1 {
                    let end = torn.len().min((piece + 1) * 512);
                    torn[start.max(piece * 512)..end].fill(0);
                }
            }
            torn.resize(bytes.len() + ahead, 0);
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(segment.file_name().unwrap()), &torn).unwrap();
            let (log, recovery) = FileLog::open(folder.path(), WIDE).unwrap();
            assert_eq!(read_all(&log, ReadLimit::STEP).len(), 4);
            let all_lost = lost + 1 == 1 << pieces.len();
            assert_eq!(recovery.cut.is_none(), all_lost, "{lost:b}");
        }
    }
}

#[test]
fn zeros_ahead_of_a_whole_log_are_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, _) = written(folder.path(), &EVENTS, WIDE);
    let mut bytes = fs::read(&segment).unwrap();
    bytes.resize(bytes.len() + 10_000, 0);
    fs::write(&segment, bytes).unwrap();
    let (log, recovery) = FileLog::open(folder.path(), WIDE).unwrap();
    assert_eq!((recovery.cut, log.head().size), (None, LogSize::new(5)));
    let head = log.head();
    log.append(head, &group(head, ["next"])).unwrap();
    assert_eq!(read_all(&log, ReadLimit::STEP).len(), 6);
}

/// Every bit of the newest segment, the last frame included: it was acknowledged, so it is not
/// cut, and the error names a position that is damaged.
#[test]
fn a_flipped_bit_in_the_newest_segment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, sizes) = written(folder.path(), &EVENTS[..3], WIDE);
    let bytes = fs::read(&segment).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&segment, &damaged).unwrap();
        match open(folder.path()) {
            Err(OpenError::Corrupt { position, .. }) => {
                let frame = sizes.iter().filter(|&&end| end <= bit as u64 / 8).count();
                assert_eq!(position.get(), frame as u64, "bit {bit}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        assert_eq!(fs::read(&segment).unwrap(), damaged, "nothing is changed");
    }
    fs::write(&segment, bytes).unwrap();
    open(folder.path()).unwrap();
}

#[test]
fn damage_in_an_older_segment_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &[&EVENTS[..], &EVENTS[..]].concat(), SMALL);
    let oldest = &segments(folder.path())[0];
    let bytes = fs::read(oldest).unwrap();
    for byte in 64..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x10;
        fs::write(oldest, &damaged).unwrap();
        let (log, _) = open(folder.path()).unwrap();
        let error = (0..log.head().size.get())
            .find_map(|position| log.read(Position::new(position), ReadLimit::ONE).err());
        assert!(matches!(error, Some(ReadError::Corrupt { .. })), "byte {byte}: {error:?}");
        // The newer segments are served all the same.
        let last = log.head().size.last().unwrap();
        assert_eq!(log.read(last, ReadLimit::ONE).unwrap().len(), 1);
    }
}

#[test]
fn missing_renamed_and_foreign_segments_are_refused() {
    let original = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let events = [&EVENTS[..], &EVENTS[..], &EVENTS[..]].concat();
    written(original.path(), &events, SMALL);
    let mut changed = events.clone();
    changed[0] = b"changed";
    written(other.path(), &changed, SMALL);
    let names: Vec<_> =
        segments(original.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(names.len() >= 4);
    let copied = || {
        let folder = tempfile::tempdir().unwrap();
        for name in &names {
            fs::copy(original.path().join(name), folder.path().join(name)).unwrap();
        }
        folder
    };
    let walk = |folder: &Path| -> Result<(), String> {
        let (log, _) = open(folder).map_err(|error| error.to_string())?;
        let mut position = Position::ZERO;
        while position < log.head().size.next_position() {
            position =
                log.read(position, ReadLimit::STEP).map_err(|error| error.to_string())?.next();
        }
        Ok(())
    };
    walk(copied().path()).unwrap();

    let folder = copied();
    fs::remove_file(folder.path().join(&names[0])).unwrap();
    assert!(walk(folder.path()).unwrap_err().contains("first file is missing"));

    let folder = copied();
    fs::remove_file(folder.path().join(&names[2])).unwrap();
    assert!(walk(folder.path()).unwrap_err().contains("the next one goes on at"));

    let folder = copied();
    fs::rename(folder.path().join(&names[3]), folder.path().join("3.seg")).unwrap();
    assert!(walk(folder.path()).unwrap_err().contains("renamed"));

    let folder = copied();
    fs::copy(folder.path().join(&names[1]), folder.path().join(&names[2])).unwrap();
    assert!(walk(folder.path()).unwrap_err().contains("its header says"));

    // Same positions, other history: the names fit, the chain does not.
    let folder = copied();
    for (path, name) in segments(other.path()).iter().zip(&names).skip(1) {
        fs::copy(path, folder.path().join(name)).unwrap();
    }
    assert!(walk(folder.path()).unwrap_err().contains("the next one goes on at"));

    let folder = copied();
    fs::write(
        folder.path().join(&names[1]),
        &fs::read(folder.path().join(&names[1])).unwrap()[..64],
    )
    .unwrap();
    assert!(walk(folder.path()).unwrap_err().contains("empty"));
}

#[test]
fn swapped_repeated_and_removed_frames_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, sizes) = written(folder.path(), &[b"one", b"two", b"six", b"ten"], WIDE);
    let bytes = fs::read(&segment).unwrap();
    let mut ends = sizes.iter().map(|&end| usize::try_from(end).unwrap());
    let ends: [usize; 4] = std::array::from_fn(|_| ends.next().unwrap());
    let frames: [&[u8]; 4] =
        std::array::from_fn(|n| &bytes[if n == 0 { 64 } else { ends[n - 1] }..ends[n]]);
    for (order, first_bad, found) in [
        (&[0, 2, 1, 3][..], 1, 2),
        (&[0, 1, 1, 2, 3], 2, 1),
        (&[0, 1, 3], 2, 3),
        (&[1, 0, 2, 3], 0, 1),
    ] {
        let rest = order.iter().flat_map(|&n: &usize| frames[n]).copied();
        let changed: Vec<u8> = bytes[..64].iter().copied().chain(rest).collect();
        fs::write(&segment, changed).unwrap();
        match open(folder.path()) {
            Err(OpenError::Corrupt { position, why, .. }) => {
                assert_eq!(position, Position::new(first_bad), "{order:?}");
                assert!(why.contains(&format!("begins at position {found}")), "{why}");
            }
            other => panic!("{order:?}: {other:?}"),
        }
    }
}

#[test]
fn a_run_of_zeros_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path()).unwrap();
    let refused = log.append(Head::EMPTY, &group(Head::EMPTY, [[0; 2_000]]));
    assert!(matches!(refused, Err(AppendError::Refused(Refusal::ZeroPiece))));
    log.append(Head::EMPTY, &group(Head::EMPTY, ["fine"])).unwrap();
    assert_eq!(read_all(&log, ReadLimit::STEP).len(), 1);
}

#[test]
fn marks_lead_into_the_middle_of_a_long_segment() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<Vec<u8>> = (0_u16..60).map(|n| vec![n.to_be_bytes()[1] | 1; 9_000]).collect();
    let (log, _) = FileLog::open(folder.path(), FileLogOptions { segment_bytes: 200_000 }).unwrap();
    for pair in events.chunks(2) {
        let head = log.head();
        log.append(head, &group(head, pair)).unwrap();
    }
    let expected = read_all(&log, ReadLimit::STEP);
    drop(log);
    let (log, recovery) = open(folder.path()).unwrap();
    assert!(recovery.segments > 2);
    for (index, bytes) in expected.iter().enumerate().rev() {
        let position = Position::new(index as u64);
        let one = log.read(position, ReadLimit::ONE).unwrap();
        assert_eq!(one.iter().next(), Some((position, &bytes[..])));
    }
}

#[test]
fn a_failed_write_or_sync_makes_the_log_read_only_until_it_is_opened_again() {
    // What a group does that also begins a segment, step by step: create, write, sync, rename,
    // sync the folder, write, sync. Each fails in its turn; only writes and syncs can be short.
    let mut failed = Vec::new();
    for fault in [Fault::Fails, Fault::Short, Fault::PowerGoes] {
        for step in 0..7 {
            let disk = SimulatedDisk::default();
            let folder = Path::new("log");
            let (log, _) = FileLog::open_on(Arc::new(disk.clone()), folder, SMALL).unwrap();
            let first = group(Head::EMPTY, [[1; 1_000]]);
            let head = log.append(Head::EMPTY, &first).unwrap();
            disk.plan(step, fault);
            let second = group(head, [[2; 1_000]]);
            match log.append(head, &second) {
                Ok(_) => continue,
                Err(AppendError::Failed { .. }) => failed.push(fault),
                other => panic!("{other:?}"),
            }
            assert!(matches!(log.append(head, &second), Err(AppendError::Poisoned)));
            assert_eq!(log.head(), head);
            assert_eq!(log.read(Position::ZERO, ReadLimit::STEP).unwrap().len(), 1);
            drop(log);
            if fault == Fault::PowerGoes {
                disk.cut_power(&mut Chance::seeded(step));
            }
            let (log, recovery) = FileLog::open_on(Arc::new(disk), folder, SMALL).unwrap();
            assert!(recovery.head == head || recovery.head == second.head());
            let next = log.head();
            log.append(next, &group(next, ["goes on"])).unwrap();
        }
    }
    let count = |fault| failed.iter().filter(|&&failed| failed == fault).count();
    assert_eq!([Fault::Fails, Fault::Short, Fault::PowerGoes].map(count), [7, 5, 7]);
}

/// What is acknowledged, or was served after an open, is there after every cut, in its order.
fn survives(seed: u64) {
    let mut chance = Chance::seeded(seed);
    let disk = SimulatedDisk::default();
    let folder = Path::new("log");
    let mut known: Vec<Vec<u8>> = Vec::new();
    let mut unknown: Vec<Vec<u8>> = Vec::new();
    for _ in 0..12 {
        let fault = [Fault::Fails, Fault::Short, Fault::PowerGoes]
            [usize::try_from(chance.below(3)).unwrap()];
        if chance.below(4) > 0 {
            disk.plan(chance.below(16), fault);
        }
        match FileLog::open_on(Arc::new(disk.clone()), folder, SMALL) {
            Ok((log, _)) => {
                let served = read_all(&log, ReadLimit::STEP);
                if served.len() > known.len() {
                    known.append(&mut unknown);
                }
                assert_eq!(served, known, "seed {seed}");
                unknown.clear();
                for _ in 0..chance.below(6) {
                    let head = log.head();
                    let events: Vec<Vec<u8>> = (0..=chance.below(3))
                        .map(|_| {
                            let length = usize::try_from(1 + chance.below(900)).unwrap();
                            vec![u8::try_from(1 + chance.below(255)).unwrap(); length]
                        })
                        .collect();
                    let group = group(head, events);
                    let records = group.iter().map(<[u8]>::to_vec);
                    match log.append(head, &group) {
                        Ok(_) => known.extend(records),
                        Err(AppendError::Failed { .. }) => {
                            unknown = records.collect();
                            break;
                        }
                        Err(error) => panic!("seed {seed}: {error}"),
                    }
                }
            }
            Err(OpenError::Io { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        // Else the process alone dies: what the cache shows stays, durable or not.
        if chance.below(3) > 0 || fault == Fault::PowerGoes {
            disk.cut_power(&mut chance);
        }
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    for seed in 1..=1_000 {
        survives(seed);
    }
}

/// To look at one seed that failed, name it in `BERGULIR_SEED`.
#[test]
fn replay_one_seed() {
    let seed = std::env::var("BERGULIR_SEED").map(|seed| seed.parse().unwrap());
    survives(seed.unwrap_or(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut or overwritten anywhere, the log opens with a prefix of its records, or is refused.
    #[test]
    fn no_damage_changes_what_is_served(
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..600),
        cut in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (segment, _) = written(folder.path(), &EVENTS, WIDE);
        let (log, _) = open(folder.path()).unwrap();
        let whole = read_all(&log, ReadLimit::STEP);
        drop(log);
        let mut bytes = fs::read(&segment).unwrap();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + junk.len());
        bytes[at..end].copy_from_slice(&junk[..end - at]);
        if cut {
            bytes.truncate(end);
        }
        fs::write(&segment, bytes).unwrap();
        if let Ok((log, _)) = open(folder.path()) {
            let served = read_all(&log, ReadLimit::STEP);
            prop_assert_eq!(&served[..], &whole[..served.len()]);
        }
    }
}
