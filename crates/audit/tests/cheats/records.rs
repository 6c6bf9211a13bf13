//! Records changed, taken out, put in or moved.

use bergulir_audit::{Finding, Trust};
use bergulir_chain::segment::{self, HEADER_BYTES};
use bergulir_chain::{Hash, Record, SegmentHeader};
use bergulir_domain::Event;
use bergulir_domain::command::Command;
use bergulir_domain::event::Repaid;

use crate::commands::repay;
use crate::files::{Layout, Log, SMALL, write};
use crate::ledger::Draft;
use crate::programme::small;
use crate::scene::Scene;

/// The position of the first of the repayments of `small`.
const REPAID: usize = 20;

/// The same log with a change to its records, frames summed anew and the links left as they were.
fn altered(drafts: &[Draft], change: impl FnOnce(&mut Log)) -> Scene {
    let scene = Scene::signed(drafts);
    scene.assert_valid(Trust::default());
    let mut log = Log::of(drafts, SMALL);
    change(&mut log);
    scene.write(&log);
    scene
}

#[test]
fn an_amount_edited() {
    let drafts = small().drafts;
    let scene = altered(&drafts, |log| {
        let record = log.record(REPAID as u64);
        let previous = Record::parse(record).unwrap().previous;
        let mut edited = drafts[REPAID].clone();
        let Command::Repay(command) = repay("l1", [3_030_304, 454_545, 10_000], "r1") else {
            unreachable!("it repays");
        };
        edited.set_event(&Event::Repaid(Repaid { command, relend_income: false }));
        assert_eq!(edited.event.len(), drafts[REPAID].event.len(), "an amount, nothing else");
        *record = edited.encode(REPAID as u64, previous).0;
    });
    assert_eq!(scene.found_by_anyone(), (REPAID as u64, "CHAIN_BROKEN"));
}

#[test]
fn a_record_deleted() {
    let drafts = small().drafts;
    let scene = altered(&drafts, |log| {
        log.remove(REPAID as u64);
    });
    assert_eq!(scene.found_by_anyone(), (REPAID as u64, "RECORD_MISPLACED"));
}

#[test]
fn a_record_inserted() {
    let drafts = small().drafts;
    let scene = altered(&drafts, |log| {
        let mut made = drafts[REPAID].clone();
        made.request_id = [0xee; 16];
        let previous = Record::parse(log.record(REPAID as u64)).unwrap().previous;
        let (bytes, _) = made.encode(REPAID as u64, previous);
        log.insert(REPAID as u64, bytes);
    });
    // The one that was put in goes on from the chain; the one after it does not.
    assert_eq!(scene.found_by_anyone().0, REPAID as u64 + 1);
}

#[test]
fn records_swapped() {
    let drafts = small().drafts;
    let at = REPAID as u64;
    let scene = altered(&drafts, |log| {
        let first = log.record(at).clone();
        let second = std::mem::replace(log.record(at + 1), first);
        *log.record(at) = second;
    });
    assert_eq!(scene.found_by_anyone(), (at, "RECORD_MISPLACED"));
}

#[test]
fn a_record_duplicated() {
    let drafts = small().drafts;
    let at = REPAID as u64;
    let scene = altered(&drafts, |log| {
        let copy = log.record(at).clone();
        log.insert(at + 1, copy);
    });
    assert_eq!(scene.found_by_anyone(), (at + 1, "RECORD_MISPLACED"));
}

#[test]
fn the_tail_cut() {
    let drafts = small().drafts;
    let whole_frames = Layout { records_in_frame: 1, frames_in_segment: 100 };
    for kept in [0, 1, 23, drafts.len() - 1] {
        let scene = Scene::signed(&drafts);
        scene.write(&Log::of(&drafts[..kept], whole_frames));
        let (position, code, message) = scene.found(Trust::default());
        assert_eq!((position, code), (kept as u64, "RECORDS_MISSING"));
        assert!(message.contains(&drafts.len().to_string()), "{message}");
    }
}

#[test]
fn a_record_moved_in_from_another_ledger() {
    let drafts = small().drafts;
    let mut other = drafts.clone();
    for draft in &mut other {
        draft.recorded_at += 1;
    }
    let scene = altered(&drafts, |log| {
        *log.record(REPAID as u64) = Log::of(&other, SMALL).record(REPAID as u64).clone();
    });
    assert_eq!(scene.found_by_anyone(), (REPAID as u64, "CHAIN_BROKEN"));
}

#[test]
fn the_clock_run_backwards() {
    let mut drafts = small().drafts;
    drafts[REPAID].recorded_at = drafts[REPAID - 1].recorded_at - 1;
    // Chained and signed with the key.
    let scene = Scene::signed(&drafts);
    assert_eq!(scene.found_by_anyone(), (REPAID as u64, "TIME_BACKWARDS"));
}

#[test]
fn a_request_id_used_twice() {
    let mut drafts = small().drafts;
    drafts[REPAID].request_id = drafts[4].request_id;
    // Chained and signed with the key; no seal after it is known to be of this record.
    let scene = Scene::signed(&drafts[..=REPAID]);
    let (position, code, message) = scene.found(Trust::default());
    assert_eq!((position, code), (REPAID as u64, "REQUEST_ID_USED"));
    assert!(message.contains("position 4 "), "{message}");
}

#[test]
fn a_segment_that_names_another_record_before_it() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let mut files = Log::of(&drafts, SMALL).files();
    let first = segment::parse_file_name(&files[1].name).unwrap();
    let header = SegmentHeader { first, previous: Hash::from_bytes([0xee; 32]) };
    files[1].bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    write(&scene.within("log"), &files);
    assert_eq!(scene.found_by_anyone(), (first.get(), "CHAIN_BROKEN"));
}

#[test]
fn what_is_of_a_newer_version_is_left_to_newer_software() {
    let drafts = small().drafts;
    let newer = |at: usize, summed: usize| {
        let scene = Scene::signed(&drafts);
        let mut files = Log::of(&drafts, SMALL).files();
        let header = &mut files[0].bytes[at..];
        header[4] = 2;
        let crc = crc32fast::hash(&header[..summed]).to_le_bytes();
        header[summed..summed + 4].copy_from_slice(&crc);
        write(&scene.within("log"), &files);
        scene
    };
    let segment = newer(0, 60);
    let frame = newer(HEADER_BYTES, 28);
    let record = altered(&drafts, |log| log.record(REPAID as u64)[0] = 2);
    for scene in [segment, frame, record] {
        let report = scene.report(Trust::default());
        assert!(matches!(report.finding, Finding::Unreadable { .. }), "{:?}", report.finding);
    }
}
