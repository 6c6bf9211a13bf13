//! Where a log ends: zeros written ahead, a torn frame, a writer at work.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use bergulir_audit::{Finding, Options, verify};

use crate::files::{Layout, Log, SMALL, write};
use crate::programme::small;
use crate::{at_once, invalid, report};

#[test]
fn zeros_at_the_end_of_any_segment_are_not_records() {
    let mut files = Log::of(&small().drafts, SMALL).files();
    for file in &mut files {
        file.bytes.resize(file.bytes.len() + 5000, 0);
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    assert_eq!(report(folder.path()).finding, Finding::Valid);
}

#[test]
fn a_torn_last_frame_before_zeros_is_torn() {
    let ledger = small();
    let layout = Layout { records_in_frame: 10, frames_in_segment: 100 };
    let mut files = Log::of(&ledger.drafts, layout).files();
    let file = &mut files[0];
    let last = file.frames.last().unwrap().clone();
    let position = file.owners[last.start];
    // A piece of 512 bytes that was never written.
    let hole = last.start.next_multiple_of(512);
    file.bytes[hole..(hole + 512).min(last.end)].fill(0);
    file.bytes.resize(last.end + 4096, 0);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    let found = report(folder.path());
    let Finding::Torn { position: at, .. } = found.finding else {
        panic!("{:?}", found.finding);
    };
    assert_eq!(at.get(), position);
    assert_eq!(found.records.get(), position);

    // The same hole in an older frame was not left by a crash.
    let file = &mut files[0];
    let older = file.frames[file.frames.len() - 2].clone();
    let hole = older.start.next_multiple_of(512);
    file.bytes[hole..hole + 512].fill(0);
    write(folder.path(), &files);
    let (at, code) = invalid(&report(folder.path()));
    assert_eq!(code, "FRAME_DAMAGED");
    assert!(at < position);
}

#[test]
fn damage_before_a_torn_frame_is_what_is_named() {
    let mut files = Log::of(&small().drafts, SMALL).files();
    let last = files.last_mut().unwrap();
    let torn = last.bytes.len() - 10;
    last.bytes.truncate(torn);
    files[0].bytes[200] ^= 1;
    let expected = files[0].owners[200];
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    assert_eq!(invalid(&report(folder.path())).0, expected);
}

#[test]
fn a_log_without_records_cannot_be_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("log")).unwrap();
    assert_eq!(report(folder.path()).finding, Finding::Empty);
    let mut files = Log::of(&small().drafts[..1], SMALL).files();
    files[0].bytes.truncate(64);
    write(&folder.path().join("log"), &files);
    assert_eq!(report(folder.path()).finding, Finding::Empty);
}

#[test]
fn a_frame_that_is_just_being_written_is_waited_for() {
    let ledger = small();
    let files = Log::of(&ledger.drafts, SMALL).files();
    let last = files.last().unwrap();
    let frame = last.frames.last().unwrap().clone();
    let (begun, rest) = last.bytes.split_at(frame.start + 40);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    let path = folder.path().join(&last.name);
    fs::write(&path, begun).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            for piece in rest.chunks(60) {
                thread::sleep(Duration::from_millis(20));
                file.write_all(piece).unwrap();
            }
        });
        let options = Options { patience: Duration::from_secs(10), ..Options::default() };
        let reports = verify(folder.path(), &options, &mut |_| {}).unwrap().ledgers;
        assert_eq!(reports[0].finding, Finding::Valid);
        assert_eq!(reports[0].records.get(), ledger.size());
    });
}

#[test]
fn a_log_that_grows_is_verified_as_it_was() {
    let ledger = small();
    let layout = Layout { records_in_frame: 1, frames_in_segment: 12 };
    let files = Log::of(&ledger.drafts, layout).files();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files[..1]);
    thread::scope(|scope| {
        let path = folder.path();
        let files = &files;
        let writer = scope.spawn(move || {
            for file in &files[1..] {
                fs::write(path.join("new.seg.new"), &file.bytes[..64]).unwrap();
                let path_of_file = path.join(&file.name);
                fs::rename(path.join("new.seg.new"), &path_of_file).unwrap();
                let mut segment = OpenOptions::new().append(true).open(path_of_file).unwrap();
                for frame in &file.frames {
                    segment.write_all(&file.bytes[frame.clone()]).unwrap();
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut seen = 0;
        while !writer.is_finished() {
            let options = Options { patience: Duration::from_secs(10), ..at_once() };
            let reports = verify(path, &options, &mut |_| {}).unwrap().ledgers;
            assert_eq!(reports[0].finding, Finding::Valid);
            let records = reports[0].records.get();
            assert!(records >= seen);
            seen = records;
        }
    });
    assert_eq!(report(folder.path()).records.get(), ledger.size());
}
