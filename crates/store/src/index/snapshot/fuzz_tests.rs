//! Files of snapshots that are nearly right, their sum too: see docs/adr/0036-fuzzing.md.

use std::fs;

use bergulir_chain::{Hash, LogSize};
use bergulir_fuzz::{Target, fuzz};

use super::{HEAD_BYTES, KEPT_SNAPSHOTS, Snapshots, TAIL_BYTES};
use crate::index::{IndexError, NextRead};

const NAME: &str = "00000000000000000005.snapshot";

/// Makes what the end says of the whole right again.
fn repair_end(bytes: &mut [u8]) {
    let Some(end) = bytes.len().checked_sub(TAIL_BYTES).filter(|end| *end >= HEAD_BYTES) else {
        return;
    };
    let state = (end - HEAD_BYTES) as u64;
    bytes[end + 8..end + 16].copy_from_slice(&state.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..end + 16]).to_le_bytes();
    bytes[end + 16..].copy_from_slice(&sum);
}

#[test]
fn a_file_of_a_snapshot_is_whole_and_of_its_ledger_or_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Hash::from_bytes([3; 32]);
    let open = || Snapshots::open(folder.path(), identity).unwrap();
    let mut snapshots = open();
    let mut first = snapshots.begin(NextRead::Soon).unwrap();
    first.write(b"a state, opaque here").unwrap();
    first.finish(LogSize::new(5)).unwrap();
    snapshots.keep(LogSize::new(5), &mut first).unwrap();
    let path = snapshots.folder.join(NAME);
    let sample = fs::read(&path).unwrap();
    let target = Target::new("snapshot-file", env!("CARGO_MANIFEST_DIR")).sample(sample);
    fuzz!(target.repair(|bytes| repair_end(bytes)), |input| {
        fs::write(&path, input).unwrap();
        let snapshots = open();
        assert!(snapshots.rows.len() <= KEPT_SNAPSHOTS);
        assert_eq!(path.exists(), !snapshots.rows.is_empty(), "what is no snapshot is removed");
        let Some(row) = snapshots.rows.first() else { return "none".to_owned() };
        assert_eq!(row.size, LogSize::new(5));
        match snapshots.read(*row) {
            Ok(state) => {
                assert!(state == input[HEAD_BYTES..input.len() - TAIL_BYTES]);
                assert_eq!(&input[8..HEAD_BYTES], identity.as_bytes(), "it is of this ledger");
                let mut sum = input.to_vec();
                repair_end(&mut sum);
                assert!(sum == input, "its sum is right");
                "whole".to_owned()
            }
            Err(IndexError::Damaged { .. }) => "damaged".to_owned(),
            Err(error) => panic!("{error:?}"),
        }
    });
}
