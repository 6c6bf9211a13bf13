//! What a ledger proves holds for whoever has a checkpoint of it, at any size, also after a start.

use crate::support::*;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, TreeHead, root, verify_consistency, verify_inclusion};
use bergulir_chain::tiles::{Bundle, Tile, bundles_added, tiles_added};
use bergulir_chain::{Hash, LogSize, Position, record};
use bergulir_engine::{Ledger, ProofRefusal, ReadLimit};

/// The bytes of every record.
fn records(ledger: &Ledger) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while (all.len() as u64) < ledger.head().size.get() {
        let from = Position::new(all.len() as u64);
        let read = ledger.records(from, ReadLimit::STEP).unwrap();
        all.extend(read.iter().map(|(_, bytes)| bytes.to_vec()));
    }
    all
}

fn head(records: &[Vec<u8>], size: u64) -> TreeHead {
    let first = &records[..usize::try_from(size).unwrap()];
    TreeHead { size, root: root(Prefixes::RFC_6962, first) }
}

/// Checks proofs of some records at some sizes up to that of a checkpoint, and the checkpoint.
async fn everything_is_proved(desk: &Desk) {
    let ledger = desk.ledger();
    let signed = ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    let keys = named_keys(&ledger).await;
    let origin = keys[0].name();
    assert_eq!(Checkpoint::open(&signed.note, origin, &keys).unwrap(), signed.checkpoint);
    let records = records(&ledger);
    let all = records.len() as u64;
    assert_eq!(signed.checkpoint.head(), head(&records, all));
    for size in (1..=all).step_by(7).chain([all]) {
        let expected = head(&records, size);
        for position in (0..size).step_by(11).chain([size - 1]) {
            let proof = ledger.inclusion_proof(Position::new(position), LogSize::new(size));
            let proof = proof.unwrap();
            assert_eq!(proof.root, expected.root);
            let leaf = record::hash(&records[usize::try_from(position).unwrap()]);
            assert_eq!(proof.record_hash, leaf);
            verify_inclusion(Prefixes::RFC_6962, expected, position, leaf, &proof.path).unwrap();
        }
        let proof = ledger.consistency_proof(LogSize::new(size), LogSize::new(all)).unwrap();
        assert_eq!(proof.from_root, expected.root);
        assert_eq!(proof.to_root, signed.checkpoint.root);
        let newest = signed.checkpoint.head();
        verify_consistency(Prefixes::RFC_6962, expected, newest, &proof.path).unwrap();
    }
}

/// A ledger of a bit more than a tile of records.
async fn grown(folder: &std::path::Path) -> Desk {
    let desk = Desk::pilot(folder, never()).await;
    desk.lend("l", 500_000_000).await;
    let tranche = |n: u64| bergulir_engine::Request {
        request_id: id(10_000 + n),
        command: disburse("l", 1_000, &format!("T{n}")),
    };
    let work = bergulir_engine::Work::Independent((0..270).map(tranche).collect());
    let terms = bergulir_engine::Terms::PLAIN;
    desk.ledger().submit(caller("maker"), work, terms).await;
    assert!(desk.size() > 270);
    desk
}

#[tokio::test]
async fn every_proof_holds_also_after_a_start_and_after_the_index_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let desk = grown(folder.path()).await;
    everything_is_proved(&desk).await;
    desk.stop().await;
    let desk = Desk::at(folder.path(), never());
    everything_is_proved(&desk).await;
    desk.stop().await;
    std::fs::remove_dir_all(folder.path().join("ledgers/pilot/index")).unwrap();
    let desk = Desk::at(folder.path(), never());
    everything_is_proved(&desk).await;
}

#[tokio::test]
async fn tiles_and_bundles_are_those_of_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let desk = grown(folder.path()).await;
    let ledger = desk.ledger();
    ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    let (records, size) = (records(&ledger), ledger.head().size.get());
    let mut found = Vec::new();
    for bundle in bundles_added(0, size) {
        let bytes = ledger.bundle(bundle).unwrap().unwrap();
        found.extend(bundle.parse(&bytes).unwrap().map(<[u8]>::to_vec));
    }
    assert_eq!(found, records);
    let mut level_0 = Vec::new();
    for tile in tiles_added(0, size) {
        let bytes = ledger.tile(tile).unwrap().unwrap();
        let hashes: Vec<Hash> = bytes.as_chunks().0.iter().copied().map(Hash::from_bytes).collect();
        if tile.level == 0 {
            level_0.extend(hashes);
        } else {
            assert_eq!(hashes, [root(Prefixes::RFC_6962, &records[..256])]);
        }
    }
    assert_eq!(level_0, records.iter().map(|bytes| record::hash(bytes)).collect::<Vec<_>>());
    let beyond = u16::try_from(size - 256).unwrap() + 1;
    assert_eq!(ledger.bundle(Bundle { index: 1, width: beyond }).unwrap(), None);
    assert_eq!(ledger.bundle(Bundle { index: u64::MAX, width: 256 }).unwrap(), None);
    assert_eq!(ledger.tile(Tile { level: 0, index: 1, width: beyond }).unwrap(), None);
    assert_eq!(ledger.tile(Tile { level: 9, index: 0, width: 1 }).unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_proved_is_refused_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let ledger = desk.ledger();
    let size = ledger.head().size;
    ledger.checkpoint(Some(size)).await.unwrap();
    let larger = LogSize::new(size.get() + 1);
    let refused = ledger.checkpoint(Some(larger)).await;
    assert!(matches!(refused, Err(ProofRefusal::NotReached { .. })), "{refused:?}");
    let refused = ledger.inclusion_proof(Position::new(0), larger);
    assert!(matches!(refused, Err(ProofRefusal::NotReached { .. })), "{refused:?}");
    let refused = ledger.inclusion_proof(size.next_position(), size);
    assert!(matches!(refused, Err(ProofRefusal::NotInTree { .. })), "{refused:?}");
    let refused = ledger.consistency_proof(size, larger);
    assert!(matches!(refused, Err(ProofRefusal::NotReached { .. })), "{refused:?}");
    let refused = ledger.consistency_proof(size, LogSize::new(1));
    assert!(matches!(refused, Err(ProofRefusal::Shrinks { .. })), "{refused:?}");
    assert!(ledger.consistency_proof(LogSize::EMPTY, size).unwrap().path.is_empty());
}
