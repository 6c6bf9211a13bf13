//! A read that fails once is an error once: nothing is taken for missing, and nothing is given up.

use std::path::Path;
use std::sync::Arc;

use bergulir_chain::Position;

use super::super::simulated::SimulatedDisk;
use super::{FileLog, OpenError, SMALL};
use crate::conformance::read_all;
use crate::log::{EventLog, Head, ReadError, ReadLimit};
use crate::sample::group;

fn open(disk: &SimulatedDisk) -> Result<FileLog, OpenError> {
    FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), SMALL).map(|(log, _)| log)
}

fn of_ten_groups(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    let log = open(disk).unwrap();
    let mut head = Head::EMPTY;
    for event in 0..10 {
        head = log.append(head, &group(head, [vec![event; 100]])).unwrap();
    }
    read_all(&log, ReadLimit::STEP)
}

#[test]
fn a_record_that_is_not_given_is_given_the_next_time() {
    let disk = SimulatedDisk::default();
    let expected = of_ten_groups(&disk);
    let log = open(&disk).unwrap();
    for (position, expected) in (0..).map(Position::new).zip(&expected) {
        disk.plan_read(0);
        let read = log.read(position, ReadLimit::ONE);
        if disk.reads_again() {
            assert!(matches!(read, Err(ReadError::Io { .. })), "{position}: {read:?}");
        }
        let records = log.read(position, ReadLimit::ONE).unwrap();
        assert_eq!(records.iter().next(), Some((position, &expected[..])));
    }
}

#[test]
fn a_start_whose_reads_fail_is_refused_and_the_next_one_has_all() {
    let disk = SimulatedDisk::default();
    let expected = of_ten_groups(&disk);
    for read in 0.. {
        disk.plan_read(read);
        let opened = open(&disk);
        if !disk.reads_again() {
            assert!(read > 3, "{read} reads only");
            break;
        }
        assert!(matches!(opened, Err(OpenError::Io { .. })), "at read {read}: {opened:?}");
        assert_eq!(read_all(&open(&disk).unwrap(), ReadLimit::STEP), expected);
    }
}
