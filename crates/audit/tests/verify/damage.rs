//! Damage to the files, by accident or by an insider who mends the sums but not the chain.

use std::fs;

use bergulir_audit::{Finding, Verdict};
use bergulir_chain::Record;

use crate::files::{Layout, Log, SMALL, write};
use crate::programme::small;
use crate::{chain_report, invalid, report};

/// Every byte in optimized builds; in others so many are passed over.
const STRIDE: usize = if cfg!(debug_assertions) { 5 } else { 1 };

#[test]
fn every_flipped_byte_is_found_at_the_position_that_it_belongs_to() {
    let ledger = small();
    let folder = tempfile::tempdir().unwrap();
    let layouts = [(1, 100), (3, 5), (100, 1)].map(|(records_in_frame, frames_in_segment)| {
        Layout { records_in_frame, frames_in_segment }
    });
    for (turn, layout) in layouts.into_iter().enumerate() {
        let folder = folder.path().join(turn.to_string());
        let files = Log::of(&ledger.drafts, layout).files();
        write(&folder, &files);
        for file in &files {
            let path = folder.join(&file.name);
            for at in (turn % STRIDE..file.bytes.len()).step_by(STRIDE) {
                let mask = if at % 2 == 0 { 0xff } else { 1 << (at % 8) };
                let mut bytes = file.bytes.clone();
                bytes[at] ^= mask;
                fs::write(&path, &bytes).unwrap();
                let report = report(&folder);
                let (position, _) = invalid(&report);
                let expected = file.owners[at];
                let finding = &report.finding;
                assert_eq!(
                    position, expected,
                    "byte {at} of {}, mask {mask:#x}: {finding:?}",
                    file.name
                );
                assert_eq!(report.records.get(), position, "{finding:?}");
                let chain = chain_report(&folder);
                assert_eq!(invalid(&chain).0, expected, "{:?}", chain.finding);
                assert_eq!(chain.head_hash, report.head_hash, "{:?}", chain.finding);
            }
            fs::write(&path, &file.bytes).unwrap();
        }
    }
}

#[test]
fn a_record_cut_out_is_found() {
    let ledger = small();
    for position in 0..ledger.size() {
        let mut log = Log::of(&ledger.drafts, SMALL);
        log.remove(position);
        let folder = tempfile::tempdir().unwrap();
        log.write(folder.path());
        let report = report(folder.path());
        if position + 1 < ledger.size() {
            let (at, code) = invalid(&report);
            let found_by = ["RECORD_MISPLACED", "BATCH_BROKEN"];
            assert!(at == position && found_by.contains(&code), "{position}: {at} {code}");
        } else {
            // A log that is shorter by whole frames is a right one: only a checkpoint shows more.
            assert_eq!(report.finding, Finding::Valid);
        }
    }
}

#[test]
fn two_records_swapped_and_one_doubled_are_found() {
    let ledger = small();
    for position in 0..ledger.size() - 1 {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::of(&ledger.drafts, SMALL);
        let second = log.record(position + 1).clone();
        let first = std::mem::replace(log.record(position), second);
        *log.record(position + 1) = first;
        log.write(folder.path());
        assert_eq!(invalid(&report(folder.path())), (position, "RECORD_MISPLACED"));

        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::of(&ledger.drafts, SMALL);
        let doubled = log.record(position).clone();
        log.insert(position, doubled);
        log.write(folder.path());
        assert_eq!(invalid(&report(folder.path())), (position + 1, "RECORD_MISPLACED"));
    }
}

#[test]
fn an_edited_record_is_named_itself_by_the_hash_after_it() {
    let ledger = small();
    for position in 0..ledger.size() - 1 {
        let mut log = Log::of(&ledger.drafts, SMALL);
        let bytes = log.record(position);
        let record = Record::parse(bytes).unwrap();
        let mut edited = Vec::new();
        let request_id = [0xee; 16];
        Record { request_id, ..record }.encode(&mut edited).unwrap();
        *bytes = edited;
        let folder = tempfile::tempdir().unwrap();
        log.write(folder.path());
        // The very last link has nothing after it that tells which side of it was changed.
        let expected = position + u64::from(position + 2 == ledger.size());
        assert_eq!(invalid(&report(folder.path())), (expected, "CHAIN_BROKEN"));
    }
}

#[test]
fn a_frame_missing_in_the_middle_is_found() {
    let ledger = small();
    let files = Log::of(&ledger.drafts, SMALL).files();
    for (s, file) in files.iter().enumerate() {
        for (f, frame) in file.frames.iter().enumerate() {
            let mut files = files.clone();
            files[s].bytes.drain(frame.clone());
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &files);
            let report = report(folder.path());
            if s + 1 == files.len() && f + 1 == file.frames.len() {
                assert_eq!(report.finding, Finding::Valid);
                continue;
            }
            let position = file.owners[frame.start];
            let code =
                if f + 1 < file.frames.len() { "FRAME_MISPLACED" } else { "SEGMENT_MISSING" };
            assert_eq!(invalid(&report), (position, code));
        }
    }
}

#[test]
fn a_frame_truncated_in_the_middle_is_torn_only_at_the_very_end() {
    let ledger = small();
    let files = Log::of(&ledger.drafts, SMALL).files();
    for (s, file) in files.iter().enumerate() {
        for frame in &file.frames {
            let position = file.owners[frame.start];
            let mut files = files.clone();
            let cut = frame.len() / 2;
            files[s].bytes.truncate(frame.start + cut);
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &files);
            let report = report(folder.path());
            if s + 1 < files.len() {
                assert_eq!(invalid(&report), (position, "FRAME_DAMAGED"));
                continue;
            }
            assert_eq!(report.finding.verdict(), Verdict::CannotTell);
            let Finding::Torn { position: at, bytes, place } = &report.finding else {
                panic!("{:?}", report.finding);
            };
            assert_eq!(at.get(), position);
            // Zeros where it ends do not count.
            assert!((cut as u64 - 8..=cut as u64).contains(bytes));
            assert_eq!(place.offset, frame.start as u64);
            assert_eq!(report.records.get(), position);
        }
    }
}

#[test]
fn a_segment_missing_or_renamed_is_found() {
    let ledger = small();
    let files = Log::of(&ledger.drafts, SMALL).files();
    assert!(files.len() > 2);
    for (s, file) in files.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files);
        let first = file.owners[0];
        let next = files.get(s + 1).map(|next| next.owners[0]);

        let path = folder.path().join(&file.name);
        for name in ["x.seg", "00000000000000000001.seg", "00000000000000009999.seg", "away"] {
            let renamed = folder.path().join(name);
            fs::rename(&path, &renamed).unwrap();
            let report = report(folder.path());
            // Of the last one nothing is missed; but its name has no place in the row.
            let is_gap = next.is_some() || name.ends_with("9999.seg");
            if name == "away" && next.is_none() {
                assert_eq!(report.finding, Finding::Valid);
                assert_eq!(report.not_read, ["away"]);
            } else {
                let code = if is_gap { "SEGMENT_MISSING" } else { "SEGMENT_RENAMED" };
                assert_eq!(invalid(&report), (first, code), "{name}");
            }
            fs::rename(&renamed, &path).unwrap();
        }
    }
}

#[test]
fn a_segment_that_says_another_position_than_its_name_is_found() {
    let ledger = small();
    let mut files = Log::of(&ledger.drafts, SMALL).files();
    let other = files[2].bytes[..64].to_vec();
    files[1].bytes[..64].copy_from_slice(&other);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    let first = files[1].owners[0];
    assert_eq!(invalid(&report(folder.path())), (first, "SEGMENT_RENAMED"));
}
