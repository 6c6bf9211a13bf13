use bergulir_chain::merkle::{self, HashSource, Levels, Prefixes, TreeError};
use bergulir_chain::record;

use super::snapshot::PIECE_BYTES;
use super::*;
use crate::balances::BalanceTree;
use crate::sample_ledger::SampleLedger;

fn with_a_cooperative() -> SampleLedger {
    let mut ledger = SampleLedger::open();
    ledger.register(1);
    ledger
}

#[test]
fn the_tree_is_over_the_hashes_of_all_records() {
    let mut ledger = with_a_cooperative();
    for _ in 0..70 {
        ledger.confirm();
        let root = merkle::root(Prefixes::RFC_6962, &ledger.records);
        assert_eq!(ledger.replica.tree().root(), root);
        assert_eq!(ledger.replica.tree().size(), ledger.replica.size().get());
    }
}

#[test]
fn each_record_tells_what_it_adds_to_the_tiles() {
    let mut ledger = with_a_cooperative();
    let mut levels = Levels::new(Prefixes::RFC_6962);
    for bytes in &ledger.records {
        levels.push_hash(record::hash(bytes));
    }
    let mut above = Vec::new();
    while ledger.replica.size().get() < 600 {
        let grown = ledger.confirm();
        levels.push(ledger.records.last().unwrap());
        let mut told = grown.tile_hashes();
        let (leaf, hash) = told.next().unwrap();
        assert_eq!(leaf, Subtree { level: 0, index: ledger.replica.size().get() - 1 });
        assert_eq!(hash, ledger.replica.head_hash());
        for (subtree, root) in told {
            assert_eq!(levels.hash(subtree), Ok(root));
            above.push(subtree);
        }
    }
    let filled = [Subtree { level: 8, index: 0 }, Subtree { level: 8, index: 1 }];
    assert_eq!(above, filled);
}

#[test]
fn a_snapshot_goes_on_with_the_tree() {
    let mut ledger = with_a_cooperative();
    for _ in 0..9 {
        ledger.confirm();
        let restored = Replica::restore(&ledger.replica.snapshot()).unwrap();
        assert_eq!(restored.tree(), ledger.replica.tree());
        ledger.replica = restored;
    }
    let root = merkle::root(Prefixes::RFC_6962, &ledger.records);
    assert_eq!(ledger.replica.tree().root(), root);
}

#[test]
fn a_snapshot_with_the_peaks_of_another_size_is_refused() {
    let ledger = with_a_cooperative();
    let mut bytes = ledger.replica.snapshot();
    assert_eq!(bytes[33..37], [1, 0, 0, 0], "two records are one subtree");
    bytes[33] = 0;
    bytes.drain(37..69);
    let refused = Replica::restore(&bytes).unwrap_err();
    assert_eq!(refused, SnapshotError::Tree(TreeError { size: 2, expected: 1, given: 0 }));
}

#[test]
fn a_seal_is_of_the_snapshot_though_none_is_made_for_it() {
    let mut ledger = SampleLedger::open();
    assert_eq!(Replica::default().seal(), None);
    for number in 1_u32.. {
        ledger.open_fund(&format!("f{number}"));
        if number.is_multiple_of(500) || number == 1 {
            let snapshot = ledger.replica.snapshot();
            assert_eq!(ledger.replica.seal(), ledger.replica.seal_over(&snapshot));
            let mut pieces = Vec::new();
            let all = ledger.replica.snapshot_in_pieces(|piece| pieces.extend_from_slice(piece));
            assert!(pieces == snapshot && all == digest(&snapshot));
            if snapshot.len() > 2 * PIECE_BYTES {
                return;
            }
        }
    }
}

#[test]
fn what_is_held_is_told_as_it_was_while_the_ledger_goes_on() {
    let mut ledger = SampleLedger::with_grants();
    for rows in 1..4 {
        let (snapshot, seal) = (ledger.replica.snapshot(), ledger.replica.seal());
        let leaves: Vec<_> =
            BalanceTree::of(&ledger.replica).leaves().map(<[u8]>::to_vec).collect();
        let mut held = ledger.replica.hold();
        assert_eq!(held.size(), ledger.replica.size());
        let mut told = Vec::new();
        held.begin(&mut told);
        // The rows and the statements of what is told already change too.
        ledger.register(10 + rows);
        let cooperative = format!("x{rows}");
        ledger.open_account("dana", &cooperative, 10 + rows);
        while ledger.replica.tell(&mut held, rows as usize, &mut told) {
            ledger.grant("dana", "a2", 1);
            ledger.grant("dana", "b1", 1);
            ledger.confirm();
        }
        assert!(told == snapshot, "told {rows} rows at a time");
        held.digest(&told);
        while held.plant(rows as usize) {}
        let (told, tree) = held.into_seal().unwrap();
        assert_eq!(Some(told), seal);
        assert!(tree.leaves().eq(leaves.iter().map(Vec::as_slice)));
    }
}

#[test]
fn what_was_held_and_is_forgotten_does_not_come_up_later() {
    let mut ledger = SampleLedger::with_grants();
    drop(ledger.replica.hold());
    ledger.grant("dana", "a2", 1);
    let snapshot = ledger.replica.snapshot();
    let mut held = ledger.replica.hold();
    let mut told = Vec::new();
    held.begin(&mut told);
    while ledger.replica.tell(&mut held, 100, &mut told) {}
    assert!(told == snapshot);
}
