//! The manifest of a backup, nearly right and wrong: see docs/adr/0036-fuzzing.md.

use std::fs;

use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::{Hash, LogSize, Position, Timestamp};
use bergulir_fuzz::{Target, fuzz};

use super::manifest::{MANIFEST_FILE, Manifest, SegmentFile};
use crate::log::Head;

/// Makes the sum at the end right again.
fn repair_sum(bytes: &mut Vec<u8>) {
    if let Some(at) = bytes.windows(5).rposition(|part| part == b"\nsum ") {
        bytes.truncate(at + 1);
        let sum = crc32fast::hash(bytes);
        bytes.extend_from_slice(format!("sum {sum:08x}\n").as_bytes());
    }
}

#[test]
fn a_manifest_has_one_text() {
    const WORDS: &[&str] =
        &["segment 0 1\n", "subtree ", "records ", "continued bWFyaw==\n", "18446744073709551615"];
    let mut tree = Tree::new(Prefixes::RFC_6962);
    (0..5_u8).for_each(|record| tree.push(&[record]));
    let manifest = Manifest {
        ledger: "kab".to_owned(),
        head: Head { size: LogSize::new(5), hash: Hash::from_bytes([7; 32]) },
        recorded_at: Timestamp::from_micros(1_767_225_600_000_000),
        taken_at: Timestamp::from_micros(1_767_225_700_000_000),
        segments: vec![SegmentFile { first: Position::ZERO, bytes: 4_096 }],
        subtrees: tree.subtrees().to_vec(),
        checkpoint: None,
        witnessed: None,
        continued: Some(b"mark".to_vec()),
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("kab");
    fs::create_dir(&folder).unwrap();
    let target = Target::new("backup-manifest", env!("CARGO_MANIFEST_DIR"));
    fuzz!(target.sample(manifest.to_string()).words(WORDS).repair(repair_sum), |input| {
        fs::write(folder.join(MANIFEST_FILE), input).unwrap();
        match Manifest::read(&folder) {
            Ok(manifest) => {
                let manifest = manifest.unwrap();
                assert_eq!(manifest.to_string().as_bytes(), input);
                let _ = (manifest.tree().is_some(), manifest.covered(), manifest.bytes());
                format!("read {} {}", manifest.segments.len().min(2), manifest.checkpoint.is_some())
            }
            Err(error) => {
                let text = error.to_string();
                if text.contains("swapped") { "swapped" } else { "damaged" }.to_owned()
            }
        }
    });
}
