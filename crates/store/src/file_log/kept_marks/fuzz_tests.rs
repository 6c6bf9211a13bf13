//! Kept marks that are nearly right, their sum too: see docs/adr/0036-fuzzing.md.

use std::fs;

use bergulir_chain::Position;
use bergulir_fuzz::{Target, fuzz};

use super::{CRC_BYTES, HEAD_BYTES};
use crate::conformance::read_all;
use crate::log::{EventLog as _, ReadLimit};
use crate::sample::group;
use crate::{FileLog, FileLogOptions};

const OPTIONS: FileLogOptions = FileLogOptions { segment_bytes: 256 << 10 };

/// Makes the sum at the end right again.
fn repair_sum(bytes: &mut [u8]) {
    if let Some(end) = bytes.len().checked_sub(CRC_BYTES) {
        let sum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
    }
}

#[test]
fn wherever_marks_lead_the_record_that_is_asked_for_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, marks) = (folder.path().join("log"), folder.path().join("marks"));
    let open = || FileLog::open(&path, OPTIONS).unwrap().0.keeping_marks_in(marks.clone());
    let log = open();
    // Some frames hold many records, and some records are long.
    for number in 0..60_usize {
        let length = if number % 7 == 0 { 20_000 } else { 300 };
        let events = vec![vec![1 + u8::try_from(number).unwrap(); length]; 1 + number % 5 * 3];
        log.append(log.head(), &group(log.head(), events)).unwrap();
    }
    let written = read_all(&log, ReadLimit::STEP);
    drop(log);
    let kept = marks.join(format!("{:020}.marks", 0));
    let sample = fs::read(&kept).unwrap();
    assert!(sample.len() > HEAD_BYTES + 100, "there are marks");
    let target = Target::new("kept-marks", env!("CARGO_MANIFEST_DIR")).sample(sample);
    fuzz!(target.repair(|bytes| repair_sum(bytes)).memory(4 << 20, 64), |input| {
        fs::write(&kept, input).unwrap();
        let log = open();
        let (mut single, mut far) = (0, 0);
        for (number, record) in written.iter().enumerate().step_by(19) {
            let position = Position::new(number as u64);
            let read = log.read(position, ReadLimit::ONE).expect("the log is whole");
            assert!(
                read.iter().next().is_some_and(|(at, bytes)| at == position && bytes == *record)
            );
            single += 1;
            // And some that go on, which are found by their frames.
            let read = log.read(position, ReadLimit::records(3)).expect("the log is whole");
            for ((at, bytes), record) in read.iter().zip(&written[number..]) {
                assert!(bytes == *record, "{at}");
                far += 1;
            }
        }
        format!("{} {}", single.min(9), far.min(9))
    });
}
