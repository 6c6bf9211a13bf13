//! What is whole of a damaged log is handed over, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bergulir_chain::Frame;
use tempfile::TempDir;

use super::{EVENTS, SMALL, WIDE, segments, written};
use crate::conformance::read_all;
use crate::file_log::{FileLog, FileLogOptions, LogEnd, OpenError, Salvage, salvage};
use crate::log::{EventLog, ReadLimit};

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// What is handed over, and that nothing was changed.
fn salvaged(folder: &Path) -> (Vec<Vec<u8>>, Salvage) {
    let before = files(folder);
    let mut records = Vec::new();
    let found = salvage(folder, &mut |frame: &Frame<'_>, done, total| {
        assert!(done < total);
        records.extend(frame.records().map(<[u8]>::to_vec));
        Ok::<(), OpenError>(())
    });
    assert_eq!(files(folder), before);
    (records, found.unwrap())
}

/// A log of five records in as many frames, and its records.
fn five(options: FileLogOptions) -> (TempDir, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &EVENTS, options);
    let (log, _) = FileLog::open(folder.path(), options).unwrap();
    (folder, read_all(&log, ReadLimit::STEP))
}

#[test]
fn a_whole_log_is_handed_over_whole() {
    for options in [SMALL, WIDE] {
        let (folder, records) = five(options);
        let head = FileLog::open(folder.path(), options).unwrap().0.head();
        let (found, Salvage { head: salvaged, end }) = salvaged(folder.path());
        assert_eq!((found, salvaged, end), (records, head, LogEnd::Whole));
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(salvaged(empty.path()).1.head.size.get(), 0);
}

#[test]
fn a_torn_frame_is_no_damage() {
    let (folder, records) = five(WIDE);
    let segment = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for cut in [end, end - 100, end - 800] {
        fs::write(&segment, &bytes[..cut]).unwrap();
        let (found, salvage) = salvaged(folder.path());
        assert_eq!((found.as_slice(), salvage.end), (&records[..4], LogEnd::Torn));
    }
}

#[test]
fn what_comes_before_a_flipped_byte_is_whole() {
    for options in [SMALL, WIDE] {
        let (folder, records) = five(options);
        for segment in segments(folder.path()) {
            let bytes = fs::read(&segment).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            for at in (0..=end).step_by(23) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                fs::write(&segment, &flipped).unwrap();
                let (found, salvage) = salvaged(folder.path());
                assert!(found.len() < records.len(), "byte {at}");
                assert_eq!(found, records[..found.len()], "byte {at}");
                assert_eq!(salvage.head.size.get(), found.len() as u64, "byte {at}");
                assert_ne!(salvage.end, LogEnd::Whole, "byte {at}");
            }
            fs::write(&segment, &bytes).unwrap();
        }
    }
}

#[test]
fn a_segment_that_is_missing_or_renamed_ends_the_row() {
    let (folder, records) = five(SMALL);
    let all = segments(folder.path());
    assert!(all.len() > 2, "{all:?}");
    for (number, segment) in all.iter().enumerate() {
        for name in ["aside.bin", "renamed.seg"] {
            let aside = folder.path().join(name);
            fs::rename(segment, &aside).unwrap();
            let (found, salvage) = salvaged(folder.path());
            assert!(found.len() < records.len());
            assert_eq!(found, records[..found.len()]);
            // That the newest one was taken away does not show in what is left.
            let shows = number + 1 < all.len() || name == "renamed.seg";
            assert_eq!(matches!(salvage.end, LogEnd::Damaged { .. }), shows, "{number} {name}");
            fs::rename(&aside, segment).unwrap();
        }
    }
}

#[test]
fn a_log_that_cannot_be_read_is_an_error_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let failed = salvage(&missing, &mut |_: &Frame<'_>, _, _| Ok::<(), OpenError>(()));
    assert!(matches!(failed, Err(OpenError::Io { .. })), "{failed:?}");
}
